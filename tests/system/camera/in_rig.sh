#!/bin/bash
# Run a command in the camera rig, with a source tree at /src (read only).
#
#   in_rig.sh RIG SOURCE COMMAND...          (as root)
#   in_rig.sh .rig/camera . python3 -m virtualcam some.package ARGS
#
# Everything that is mounted goes with the command's own mount namespace. /tmp is empty each time.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
rig=$(cd "$1" && pwd) src=$(cd "$2" && pwd)
shift 2
exec unshare --mount --propagation private bash -euc '
  rig=$0 src=$1 yaml=$2; shift 2
  mount --bind "$src" "$rig/src"
  mount -o remount,bind,ro "$rig/src"
  mount -t proc proc "$rig/proc"
  mkdir -p "$rig/dev/shm"
  mount -t tmpfs tmpfs "$rig/dev/shm"
  mount -t tmpfs tmpfs "$rig/tmp"
  mount --bind "$yaml" "$rig/usr/share/libcamera/pipeline/virtual/virtual.yaml"
  exec chroot "$rig" env -i PATH=/usr/bin:/bin:/usr/sbin:/sbin HOME=/tmp LANG=C.UTF-8 \
    PYTHONPATH=/src/tests/system/camera:/opt/rig:/src PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 LIBCAMERA_LOG_LEVELS="*:WARN" LD_PRELOAD=/opt/rig/dmabuf_shim.so \
    sh -c "cd /src && exec \"\$@\"" sh "$@"
' "$rig" "$src" "$here/virtual.yaml" "$@"
