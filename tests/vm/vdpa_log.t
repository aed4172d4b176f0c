#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12,debug timeout=900
#
# The dirty log of a vDPA device: what the simulator writes, and only that, is marked.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/vdpa_node.sh"

client=build/clients/vdpa_log

# shellcheck disable=SC2317 # by trap
cleanup() {
	vdpa dev del d 2>/dev/null || :
	vdpa dev del n 2>/dev/null || :
	umount "$TAP_TMP/files" 2>/dev/null || :
	rmmod vdpa_probe 2>/dev/null || :
	modprobe -qra vdpa_sim_net vdpa_sim_blk vdpa_sim vhost_vdpa || :
	rm -rf "$TAP_TMP"
}
trap cleanup EXIT

load() {
	modprobe -qra vdpa_sim_net vdpa_sim_blk vdpa_sim || :
	modprobe vdpa_sim dirty_log=1 "$@" && modprobe -a vdpa_sim_net vdpa_sim_blk
}
suite() {	# NAME DEVICE SUITE
	"$client" "$(vdpa_node "$2")" "$3" >"$TAP_TMP/out" 2>"$TAP_TMP/err" || diag "$(cat "$TAP_TMP/err")"
	relay "$1: $3" "$TAP_TMP/out"
}

# who would take our devices
modprobe -qr virtio_vdpa || :
modprobe -a vhost_vdpa irqbypass || bail_out "no vhost_vdpa"
like "vhost_vdpa is ours" "$(cat /sys/module/vhost_vdpa/taint)" O

variant() {	# NAME LEFT PARAMETER...: what is so once its owner has left it
	local what pid
	load "${@:3}" || bail_out "no simulator"
	ok "$1: a disk" vdpa dev add name d mgmtdev vdpasim_blk
	for what in rules exact taken broken kept "$2"; do
		suite "$1" d "$what"
		[ "$what" != kept ] || grep -q '^end' "$TAP_TMP/out" || bail_out "a process that stays"
	done
	"$client" "$(vdpa_node d)" stays >"$TAP_TMP/out" &
	pid=$!
	vdpa_says ready "$TAP_TMP/out"
	kill -KILL $pid
	wait $pid 2>/dev/null
	ok "$1: a card" vdpa dev add name n mgmtdev vdpasim_net mac 52:54:00:12:34:58
	suite "$1, after one that was killed" d exact
	suite "$1" n spaces
	vdpa dev del d
	vdpa dev del n
}
variant "user addresses" left
variant "physical addresses" left_pinned use_va=0
variant "physical addresses, map by map" left_pinned use_va=0 batch_mapping=0

load || bail_out "no simulator"
vdpa dev add name d mgmtdev vdpasim_blk
truncate -s 16M "$TAP_TMP/disk" && mkdir "$TAP_TMP/files"
modprobe -a loop ext4
ok "a file system" mkfs.ext4 -q "$TAP_TMP/disk"
mount -o loop "$TAP_TMP/disk" "$TAP_TMP/files" || bail_out "cannot be mounted"
client=$PWD/$client
cd "$TAP_TMP/files" || exit
suite "a file for a log" d file
cd "$OLDPWD" || exit
umount "$TAP_TMP/files"
vdpa dev del d

insmod "build/testmod/$(uname -r)/tests-vm-vdpa_probe/vdpa_probe.ko" mode=tables || bail_out "no device"
ok "a device that cannot log" vdpa dev add name d mgmtdev vdpa_probe mac 02:00:00:00:00:01
suite "one that cannot" d without
done_testing
