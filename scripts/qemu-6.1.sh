#!/usr/bin/env bash
# Runs a bounded set of checks on Debian 12's kernel, Linux 6.1, in an emulated machine (QEMU without KVM), whatever the kernel
# here is: `npm run test:qemu [CHECK...]`, default all of scripts/qemu/checks.sh. The kernel is unpacked below build/qemu, not
# installed; the machine has no network and sees this machine's files read-only. Writes docs/TEST-KERNEL-6.1.md after a run of
# all checks. Exit code: 0 when all passed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
ROOT=$PWD
. scripts/qemu/checks.sh

# Seconds for the machine from power on to off.
LIMIT=${SHUNT_QEMU_LIMIT:-1800}
WORK=build/qemu
OUT=$WORK/out

fail() {
  printf 'qemu-6.1: %s\n' "$*" >&2
  exit 2
}

[ "$(id -u)" = 0 ] || fail 'read files of root for the machine: not root (EPERM). run it as root.'
wanted=${*:-$CHECKS}
for name in $wanted; do
  case " $CHECKS " in *" $name "*) ;; *) fail "run $name: no check is called so. use some of: $CHECKS." ;; esac
done
for built in build/bpf/shunt.bpf.o build/native/Release/shunt_native.node build/box/netclient dist/src/cli/main.js; do
  [ -e "$built" ] || fail "run the checks: $built is not built (ENOENT). run 'npm run setup' first."
done

# --- Debian packages: QEMU is installed, kernel and busybox are unpacked ----------------------------

apt() {
  DEBIAN_FRONTEND=noninteractive apt-get -q -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@"
}

unpack() {
  apt update
  command -v qemu-system-x86_64 >/dev/null || apt install -y --no-install-recommends qemu-system-x86
  local image
  image=$(apt-cache depends linux-image-amd64 | awk '$1 == "Depends:" && $2 ~ /^linux-image-6\.1\./ { print $2 }')
  [ -n "$image" ] || fail "find Linux 6.1: linux-image-amd64 is another kernel here. run it on Debian 12."
  rm -rf "$WORK/root" "$WORK/packages"
  mkdir -p "$WORK/root" "$WORK/packages"
  (cd "$WORK/packages" && apt download "$image" busybox-static)
  for package in "$WORK/packages"/*.deb; do dpkg -x "$package" "$WORK/root"; done
  rm -rf "$WORK/packages"
  "$WORK/root/bin/busybox" depmod -b "$WORK/root" "$(kernel_version)"
  touch "$WORK/unpacked"
}

kernel_version() { basename "$WORK"/root/lib/modules/6.1.*; }

mkdir -p "$WORK"
if ! [ -e "$WORK/unpacked" ] || ! command -v qemu-system-x86_64 >/dev/null; then
  echo 'qemu-6.1: fetching QEMU, the kernel and busybox ...'
  unpack >"$WORK/unpack.log" 2>&1 || fail "fetch the packages: see $WORK/unpack.log. check the network and /etc/apt."
fi
VERSION=$(kernel_version)

# --- initramfs: busybox, init and what mounts the root file system ----------------------------------

make_initramfs() {
  local tree=$WORK/initramfs modules=$WORK/root/lib/modules/$VERSION name file
  rm -rf "$tree"
  mkdir -p "$tree"/{bin,sbin,proc,sys,dev} "$tree/lib/modules/$VERSION"
  cp "$WORK/root/bin/busybox" "$tree/bin/"
  cp scripts/qemu/init.sh "$tree/init"
  chmod +x "$tree/init"
  cp "$modules"/modules.{dep,alias,symbols,builtin} "$tree/lib/modules/$VERSION/"
  for name in virtio_pci 9pnet_virtio 9p overlay; do
    for file in $(sed -n "s|^\(kernel/.*/$name\.ko\):|\1 |p" "$modules/modules.dep"); do
      install -D -m 644 "$modules/$file" "$tree/lib/modules/$VERSION/$file"
    done
  done
  (cd "$tree" && find . | ../root/bin/busybox cpio -o -H newc 2>/dev/null) | gzip -1 >"$WORK/initramfs.gz"
}
make_initramfs

# --- the machine ------------------------------------------------------------------------------------

rm -rf "$OUT"
mkdir -p "$OUT"
printf '%s\n' "$wanted" >"$OUT/wanted"
dirname "$(readlink -f "$(command -v node)")" >"$OUT/node"
QEMU=

stop() {
  trap - INT TERM
  [ -n "$QEMU" ] && kill -TERM "$QEMU" 2>/dev/null && wait "$QEMU"
  exit 130
}
trap stop INT TERM

began=$SECONDS
# `timeout` passes a signal on to QEMU. multidevs: the root may be on several file systems.
timeout --kill-after=10 "$LIMIT" qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 -m 2048 -nic none \
  -nodefaults -display none -serial stdio -no-reboot \
  -kernel "$WORK/root/boot/vmlinuz-$VERSION" -initrd "$WORK/initramfs.gz" \
  -append "console=ttyS0 quiet panic=1 mitigations=off nokaslr shunt.repo=$ROOT" \
  -fsdev local,id=host,path=/,security_model=none,readonly=on,multidevs=remap \
  -device virtio-9p-pci,fsdev=host,mount_tag=host \
  -fsdev "local,id=out,path=$ROOT/$OUT,security_model=none" \
  -device virtio-9p-pci,fsdev=out,mount_tag=out </dev/null &
QEMU=$!
code=0
wait "$QEMU" || code=$?
QEMU=
took=$((SECONDS - began))
[ "$code" = 0 ] || echo "qemu-6.1: the machine ended with code $code (124: the limit of $LIMIT s)"
# shellcheck disable=SC2086 # one word per check
exec node dist/scripts/qemu/report.js "$OUT" "$took" $CHECKS
