#!/bin/bash
# Make a Debian 12 machine that QEMU boots without KVM, for the recorder's system test.
#
#   make_rig.sh DIR          (as root; about a minute and 900 MB)
#
# DIR gets disk.img, vmlinux, initrd.img and wheels/ (what wban needs, for the machine's Python).
# Nothing is done where DIR was made from the same files as now; otherwise it is made anew. Packages
# come from the Debian mirror that apt is set to and from the package index that pip is set to.
# PYTHON names a Python that has pip (default python3).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../../.." && pwd)
rig=$(realpath -m "${1:?usage: make_rig.sh DIR}")
python=${PYTHON:-python3}
suite=bookworm # as Raspberry Pi OS; its Python is 3.11
disk_size=2G

requirements=$("$python" - "$repository/pyproject.toml" <<'EOF'
import sys, tomllib
print(*tomllib.load(open(sys.argv[1], "rb"))["project"]["dependencies"], sep="\n")
EOF
)
stamp=$(cat "$0" "$here"/cuse_i2c.c "$here"/guest/* "$repository"/constraints.txt - \
  <<< "$requirements" | sha256sum | cut -d' ' -f1)
if [ "$(cat "$rig/stamp" 2>/dev/null)" = "$stamp" ]; then
  exit 0
fi
if [ -e "$rig" ] && [ ! -e "$rig/stamp" ]; then
  echo "make_rig.sh: $rig is there and was not made by this script; remove it or choose another" >&2
  exit 1
fi
if [ "$(id -u)" != 0 ]; then
  echo "make_rig.sh: making a Debian root needs root; run it with sudo" >&2
  exit 1
fi
for tool in mmdebstrap mkfs.ext4 cc pkg-config; do
  command -v $tool >/dev/null || missing="${missing:-} $tool"
done
if [ -n "${missing:-}" ] || ! pkg-config --exists fuse3; then
  echo "make_rig.sh: missing:${missing:-} libfuse3-dev; apt-get install mmdebstrap e2fsprogs gcc" \
    "libc6-dev pkg-config libfuse3-dev" >&2
  exit 1
fi
mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' |
  awk '$2 !~ /security/ && /debian/ {print $1; exit}')}
if [ -z "$mirror" ]; then
  echo "make_rig.sh: apt's settings name no Debian mirror; give one in DEBIAN_MIRROR" >&2
  exit 1
fi

part=$rig.part
root=$part/root
rm -rf --one-file-system "$part"
mkdir -p "$part/wheels"

# What wban needs, fetched here, installed there without a network; and the machine's I2C bus.
mapfile -t requirements <<< "$requirements"
"$python" -m pip download --quiet --disable-pip-version-check --only-binary=:all: \
  --constraint "$repository/constraints.txt" --dest "$part/wheels" \
  --implementation cp --python-version 3.11 --platform manylinux_2_28_x86_64 \
  --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 "${requirements[@]}"
cc -O2 -Wall -Wextra -Werror "$here/cuse_i2c.c" -o "$part/cuse_i2c" \
  $(pkg-config --cflags fuse3) -l:libfuse3.a -lpthread -ldl

# The plain kernel: the cloud flavour has no character devices in user space (CUSE).
packages=systemd,systemd-sysv,dbus,udev,kmod,procps,e2fsprogs,zstd,initramfs-tools,linux-image-amd64
packages+=,python3,python3-venv,python3-numpy
excludes=()
for folder in /usr/share/{doc,man,locale,info} \
  '/lib/modules/*/kernel/drivers/'{gpu,infiniband,isdn,media,net,scsi,staging} \
  '/lib/modules/*/kernel/'{sound,net/wireless,net/bluetooth}; do
  excludes+=(--dpkgopt="path-exclude=$folder/*")
done
# A machine whose clock is off by weeks (a fresh VM) would refuse the mirror's signatures.
clock_may_be_off=(--aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Check-Date "false"')
# A short initrd, only what finds the disk: the emulated processor unpacks it in a second.
mmdebstrap --quiet --variant=minbase "${clock_may_be_off[@]}" --include="$packages" \
  --dpkgopt=force-unsafe-io "${excludes[@]}" --aptopt='Acquire::Languages "none"' \
  --essential-hook='mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/usr/share/initramfs-tools/modules.d"' \
  --essential-hook='echo MODULES=list > "$1/etc/initramfs-tools/conf.d/rig"' \
  --essential-hook='printf "virtio_pci\nvirtio_blk\next4\n" > "$1/usr/share/initramfs-tools/modules.d/rig"' \
  $suite "$root" "deb $mirror $suite main"

# The system: one disk, the folder /host that is shared with the outside, a bus, an agent.
cat > "$root/etc/fstab" <<'EOF'
/dev/vda / ext4 defaults,errors=remount-ro 0 1
host /host 9p trans=virtio,version=9p2000.L,msize=262144 0 0
EOF
printf '9pnet_virtio\nvirtio_console\ncuse\n' > "$root/etc/modules-load.d/rig.conf"
echo 'blacklist i2c_i801' > "$root/etc/modprobe.d/rig.conf" # the machine's own bus is not ours
echo rig > "$root/etc/hostname"
echo '127.0.0.1 localhost rig' > "$root/etc/hosts"
: > "$root/etc/machine-id"
chroot "$root" passwd --delete root > /dev/null
mkdir -p "$root/host" "$root/etc/systemd/system/multi-user.target.wants"
install -m 755 "$part/cuse_i2c" "$here/guest/rig-agent" "$here/guest/rig-i2c" "$root/usr/local/sbin/"
for unit in rig-agent.service rig-i2c.service; do
  install -m 644 "$here/guest/$unit" "$root/etc/systemd/system/"
  ln -s "../$unit" "$root/etc/systemd/system/multi-user.target.wants/"
done
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
  e2scrub_reap.service fstrim.timer getty@tty1.service serial-getty@ttyS0.service; do
  ln -sf /dev/null "$root/etc/systemd/system/$unit"
done

# An unpacked kernel: the emulated processor would take seconds to unpack it at each boot.
"$python" - "$root"/boot/vmlinuz-* "$part/vmlinux" <<'EOF'
import lzma, pathlib, sys
packed = pathlib.Path(sys.argv[1]).read_bytes()
start = packed.find(b"\xfd7zXZ\0")
if start < 0:
    sys.exit(f"make_rig.sh: {sys.argv[1]} is not packed with xz; expected Debian 12's kernel")
pathlib.Path(sys.argv[2]).write_bytes(lzma.LZMADecompressor().decompress(packed[start:]))
EOF
cp "$root"/boot/initrd.img-* "$part/initrd.img"
rm "$root"/boot/vmlinuz-* "$root"/boot/initrd.img-*
truncate -s $disk_size "$part/disk.img"
mkfs.ext4 -q -F -L rig -d "$root" "$part/disk.img"
rm -rf --one-file-system "$root"

echo "$stamp" > "$part/stamp"
rm -rf --one-file-system "$rig"
mv "$part" "$rig"
echo "The machine is ready in $rig."
