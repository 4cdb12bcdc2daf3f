#!/bin/bash
# Make a Debian 13 root in which the real picamera2 runs on libcamera's virtual camera.
#
#   make_rig.sh DIR          (as root; about 2 minutes and 600 MB, once)
#
# Packages come from the Debian mirror that apt is set to and from the package index that pip is
# set to. Nothing is compiled but the small shim beside this script. DIR appears when it is
# complete: a build that was cut off leaves DIR.part, which the next one removes.
# PYTHON names a Python that has pip (default python3).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
rig=$(realpath -m "${1:?usage: make_rig.sh DIR}")
python=${PYTHON:-python3}
picamera2=${PICAMERA2_VERSION:-0.3.38}
suite=trixie
backports=$suite-backports

if [ -e "$rig" ]; then
  echo "make_rig.sh: $rig exists already; remove it to build the rig anew" >&2
  exit 0
fi
if [ "$(id -u)" != 0 ]; then
  echo "make_rig.sh: making a Debian root needs root; run it with sudo" >&2
  exit 1
fi

mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' |
  awk '$2 !~ /security/ && /debian/ {print $1; exit}')}
if [ -z "$mirror" ]; then
  echo "make_rig.sh: apt's settings name no Debian mirror; give one in DEBIAN_MIRROR" >&2
  exit 1
fi
command -v mmdebstrap >/dev/null || apt-get install -y --no-install-recommends mmdebstrap

part=$rig.part
rm -rf --one-file-system "$part"
mkdir -p "$(dirname "$part")"
# A machine whose clock is off by weeks (a fresh VM) would refuse the mirror's signatures.
clock_may_be_off=(--aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Check-Date "false"')
# Debian builds libcamera with the "virtual" pipeline from 0.5 on, which trixie has in backports.
mmdebstrap --quiet --variant=minbase "${clock_may_be_off[@]}" \
  --include="python3-libcamera/$backports,libcamera-ipa/$backports" \
  --include="libcamera-tools/$backports,libcamera-v4l2/$backports" \
  --include=python3,python3-numpy,python3-pil,python3-piexif,python3-prctl,python3-pytest \
  $suite "$part" "deb $mirror $suite main" "deb $mirror $backports main"

# Pure Python, or wheels for the rig's Python rather than for this one.
"$python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
  --target "$part/opt/rig" --implementation cp --python-version 3.13 \
  --abi cp313 --abi abi3 --abi none \
  --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 \
  --platform manylinux2014_x86_64 --platform any \
  "picamera2==$picamera2" videodev2 simplejpeg

cc -O2 -Wall -shared -fPIC -o "$part/opt/rig/dmabuf_shim.so" "$here/dmabuf_shim.c" -ldl
mkdir -p "$part/src" "$part/usr/share/libcamera/pipeline/virtual"
touch "$part/usr/share/libcamera/pipeline/virtual/virtual.yaml" # in_rig.sh mounts ours over it
mv "$part" "$rig"
echo "The camera rig is ready in $rig."
