#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12 timeout=240 own
#
# The base's vduse on our bus: a disk that QEMU's storage daemon offers, by our
# virtio_vdpa, with a file system in it; what is in the daemon's file is what was written.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/ours.sh"

mnt=$TAP_TMP/mnt
image=$TAP_TMP/image
trace=/sys/kernel/tracing/instances/vduse_test
daemon=''

# shellcheck disable=SC2317 # by trap
cleanup() {
	umount "$mnt" 2>/dev/null || :
	vdpa dev del disk 2>/dev/null || :
	[ -z "$daemon" ] || kill "$daemon" 2>/dev/null || :
	wait
	rmdir "$trace" 2>/dev/null || :
	modprobe -qra vduse virtio_vdpa vdpa || :
	rm -rf "$TAP_TMP"
}
trap cleanup EXIT

modprobe -qr vhost_vdpa
modprobe -a virtio_vdpa virtio_blk ext4 loop || bail_out "no drivers"
ok "the base's vduse loads" modprobe vduse
is "it is the base's" "$(cat /sys/module/vduse/taint)" ""
is_ours vdpa virtio_vdpa vhost_iotlb
like "on our bus" " $(ls /sys/module/vdpa/holders) " '[[:space:]]vduse[[:space:]]'
like "on our table of translations" " $(ls /sys/module/vhost_iotlb/holders) " '[[:space:]]vduse[[:space:]]'
mkdir "$trace" "$mnt"
echo 1 >"$trace/events/vdpa/enable"
echo 1 >"$trace/events/vhost_iotlb/enable"
events() { grep -c " $1: $2" "$trace/trace"; }

truncate -s 64M "$image"
# the cache of a file has to be written through: what is compared below is the file
qemu-storage-daemon --blockdev driver=file,filename="$image",node-name=file \
	--export type=vduse-blk,id=disk,node-name=file,name=disk,num-queues=1,queue-size=128,writable=on \
	>"$TAP_TMP/log" 2>&1 &
daemon=$!
for ((tries = 0; tries < 200; tries++)); do
	[ ! -e /dev/vduse/disk ] || break
	kill -0 $daemon 2>/dev/null || bail_out "the daemon ended: $(cat "$TAP_TMP/log")"
	sleep 0.1
done
like "a management device of its own" "$(vdpa mgmtdev show)" "vduse"
ok "a device of it" timeout 60 vdpa dev add name disk mgmtdev vduse
for ((tries = 0; tries < 200; tries++)); do
	block=(/sys/bus/vdpa/devices/disk/virtio*/block/*)
	[ ! -e "${block[0]}" ] || break
	sleep 0.1
done
disk=/dev/${block[0]##*/}
is "taken by our virtio_vdpa" "$(basename "$(readlink -f /sys/bus/vdpa/devices/disk/driver)")" virtio_vdpa
is "of the file's size" "$(blockdev --getsize64 "$disk")" $((64 << 20))
ok "a file system" mkfs.ext4 -q "$disk"
ok "mounted" mount "$disk" "$mnt"
head -c 20000000 /dev/urandom >"$TAP_TMP/data"
ok "20 MB copied" cp "$TAP_TMP/data" "$mnt/data"
umount "$mnt"
echo 3 >/proc/sys/vm/drop_caches
ok "mounted again" mount "$disk" "$mnt"
ok "the same is read" cmp "$TAP_TMP/data" "$mnt/data"
umount "$mnt"
ok "the file system is clean" fsck.ext4 -fn "$disk"
num "events: it was kicked through our bus" "$(events vdpa_vq_kick)" -ge 10
num "events: and called back" "$(events vdpa_vq_callback)" -ge 10
num "events: what it translates is in our table" "$(events vhost_iotlb_add)" -ge 1

ok "deleted" timeout 60 vdpa dev del disk
kill $daemon
wait $daemon
daemon=''
ok "the daemon's file is a clean file system" fsck.ext4 -fn "$image"
ok "with the same in it" cmp "$TAP_TMP/data" <(debugfs -R "cat data" "$image" 2>/dev/null)

done_testing
