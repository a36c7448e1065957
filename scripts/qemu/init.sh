#!/bin/busybox sh
# First program of the virtual machine of scripts/qemu-6.1.sh, in its initramfs: mounts the machine's root over 9p, read-only,
# below a tmpfs that takes every write, and hands over to scripts/qemu/guest.sh there.
set -e
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
# shunt.repo=PATH on the kernel's command line.
repo=$(sed 's/.*shunt\.repo=\([^ ]*\).*/\1/' /proc/cmdline)

for module in virtio_pci 9pnet_virtio 9p overlay; do modprobe "$module"; done
mkdir -p /host /rw /root
# cache=loose: nobody else is expected to write what is read here.
mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288,cache=loose,ro host /host
mount -t tmpfs -o size=768m tmpfs /rw
mkdir /rw/upper /rw/work
mount -t overlay -o lowerdir=/host,upperdir=/rw/upper,workdir=/rw/work overlay /root

mount -t proc proc /root/proc
mount -t sysfs sysfs /root/sys
mount -t devtmpfs devtmpfs /root/dev
mkdir -p /root/dev/pts /root/dev/shm
mount -t devpts devpts /root/dev/pts
for directory in dev/shm run; do mount -t tmpfs tmpfs "/root/$directory"; done
mount -t bpf bpf /root/sys/fs/bpf
mount -t cgroup2 cgroup2 /root/sys/fs/cgroup
mkdir -p /root/run/netns /root/run/qemu/out
mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288 out /root/run/qemu/out

# All modules of this kernel, loaded on demand as on a real machine.
mkdir -p /root/lib/modules
ln -sfn "$repo/build/qemu/root/lib/modules/$(uname -r)" "/root/lib/modules/$(uname -r)"
cp /bin/busybox /root/run/qemu/modprobe
echo /run/qemu/modprobe >/proc/sys/kernel/modprobe
umount /proc /sys /dev 2>/dev/null || true
exec switch_root /root /bin/bash "$repo/scripts/qemu/guest.sh" "$repo"
