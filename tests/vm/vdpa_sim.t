#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12,debug timeout=1800
#
# Our simulated vDPA devices, by the kernel's own drivers and by a process: frames
# and files compared, an IOMMU that lets through what was mapped and nothing else, and
# what is left after a reset.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/vdpa_node.sh"
. "${0%/*}/../lib/failslab.sh"

client=build/clients/vdpa_user
trace=/sys/kernel/tracing/instances/vdpa_sim_test

# shellcheck disable=SC2317 # by trap
cleanup() {
	umount "$TAP_TMP/disk" 2>/dev/null || :
	unload
	modprobe -qr vhost_vdpa virtio_vdpa vdpa || :
	rmdir "$trace" 2>/dev/null || :
	rm -rf "$TAP_TMP"
}
trap cleanup EXIT

unload() { modprobe -qr vdpa_sim_net vdpa_sim_blk || :; }

# load PARAMETER=VALUE...: of vdpa_sim
# shellcheck disable=SC2120 # by variant
load() {
	unload
	modprobe vdpa_sim "$@" && modprobe -a vdpa_sim_net vdpa_sim_blk || return 1
	# they come with the module, and go with it
	echo 1 >"$trace/events/vdpa_sim/enable"
	echo 1 >"$trace/events/vhost_iotlb/vhost_iotlb_miss/enable"
}

# add NAME KIND DRIVER ARGUMENT...
add() {
	local name=$1 kind=$2 driver=$3
	shift 3
	echo 0 >/sys/bus/vdpa/drivers_autoprobe
	vdpa dev add name "$name" mgmtdev "vdpasim_$kind" "$@" && bind "$name" "$driver"
}

bind() {
	echo "$2" >"/sys/bus/vdpa/devices/$1/driver_override"
	echo "$1" >"/sys/bus/vdpa/drivers/$2/bind"
}

net_of() { local dev; dev=$(echo "/sys/bus/vdpa/devices/$1"/virtio*/net/*); echo "${dev##*/}"; }
disk_of() { local dev; dev=$(echo "/sys/bus/vdpa/devices/$1"/virtio*/block/*); echo "/dev/${dev##*/}"; }
# the character device of the device that a process uses
stat_of() { vdpa -jp dev vstats show "$1" qidx "$2" | sed -n "s/.*\"$3\": *\([0-9]*\).*/\1/p"; }

modprobe -a virtio_net virtio_blk ext4 vdpa virtio_vdpa vhost_vdpa || bail_out "a module is missing"
mkdir "$trace"
echo 20000 >"$trace/buffer_size_kb"
load use_va=1 || bail_out "no simulator"
events() { grep -c " $1: " "$trace/trace"; }
# rounds of work, by who kicked and by the worker
rounds_here() { grep -c ' vdpa_sim_work: .* here$' "$trace/trace"; }
# what is left is the worker's: he may be woken often before he runs once
rounds_passed_on() { grep -c ' vdpa_sim_work: .* more here$' "$trace/trace"; }
rounds_of_worker() { grep ' vdpa_sim_work: ' "$trace/trace" | grep -cv ' here$'; }

#
# The kernel's own drivers
#
like "management: the card's, with what it offers" "$(vdpa mgmtdev show vdpasim_net)" \
	'supported_classes net.*MTU MAC .*CTRL_VQ .*ACCESS_PLATFORM'
ok "a network card" add n0 net virtio_vdpa mac 52:54:00:12:34:56 mtu 4000
net=$(net_of n0)
like "its configuration" "$(vdpa dev config show n0)" 'mac 52:54:00:12:34:56 link up .*mtu 4000'
ip link set "$net" up
is "its largest frame" "$(cat "/sys/class/net/$net/mtu")" 4000
said=$(build/clients/frames -n 600 "$net") || :
like "frames come back as they were, one by one" "${said:-none}" 'frames 600 bytes [0-9]+ strangers 8[56]'
num "who sends them does the card's work" "$(rounds_here)" -ge 600
said=$(build/clients/frames -n 2048 -b 64 "$net") || :
like "and in bursts" "${said:-none}" 'frames 2048 '
num "what was received" "$(stat_of n0 0 'rx packets')" -ge 2648
num "and what was for strangers" "$(stat_of n0 0 'rx drops')" -ge 300
ip link set "$net" down
ok "an address is set by the driver" ip link set "$net" address 52:54:00:aa:bb:cc
like "and the card has it" "$(vdpa dev config show n0)" 'mac 52:54:00:aa:bb:cc'
is "by one command" "$(stat_of n0 2 'cvq successes')" 1
ip link set "$net" up
ok "frames for the new address come back" build/clients/frames -n 50 "$net"

ok "a card with four pairs of queues" add n4 net virtio_vdpa mac 52:54:00:12:34:57 max_vqp 4
net=$(net_of n4)
ip link set "$net" up
ok "frames on any of them" build/clients/frames -n 600 -b 32 "$net"

ok "a card of long frames" add n64 net virtio_vdpa mac 52:54:00:12:34:59 mtu 65535
net=$(net_of n64)
ip link set "$net" up
passed_on=$(rounds_passed_on)
ok "each is as much as a kick may take" build/clients/frames -n 600 -s 600 "$net"
num "and wakes nobody, if it is all there is" $(($(rounds_passed_on) - passed_on)) -le 20

ok "a disk" add b0 blk virtio_vdpa
disk=$(disk_of b0)
here=$(rounds_here) worker=$(rounds_of_worker)
ok "blocks, past the cache" build/clients/blocks -n 100 "$disk"
num "who asks for them does the disk's work" $(($(rounds_here) - here)) -ge 200
num "and wakes nobody" $(($(rounds_of_worker) - worker)) -le 20
worker=$(rounds_of_worker)
ok "they are overwritten with zeroes" timeout 60 blkdiscard -z -l 64M "$disk"
ok "all of them" cmp -n 64M "$disk" /dev/zero
num "by the worker, which has the time" $(($(rounds_of_worker) - worker)) -ge 1
ok "and in requests of many segments" build/clients/blocks -n 40 -s 131072 "$disk"
mkdir "$TAP_TMP/disk"
mkfs.ext4 -q "$disk" && mount "$disk" "$TAP_TMP/disk"
ok "files are copied" cp -r tests tools "$TAP_TMP/disk/"
umount "$TAP_TMP/disk"
ok "the file system is whole" fsck.ext4 -fn "$disk"
mount "$disk" "$TAP_TMP/disk"
ok "they are the same" diff -r tests "$TAP_TMP/disk/tests"
umount "$TAP_TMP/disk"

for dev in n0 n4 n64 b0; do
	ok "$dev is taken away" vdpa dev del $dev
done
is "no ring was broken" "$(events vdpa_sim_broken)" 0
is "nor missed anything" "$(events vhost_iotlb_miss)" 0

unload
modprobe vdpa_sim_blk shared_backend=1
echo 1 >"$trace/events/vdpa_sim/enable"
echo >"$trace/trace"
for dev in b0 b1; do
	ok "disk $dev, which is the same as others" add $dev blk virtio_vdpa
done
ok "what is written to one" build/clients/blocks -n 100 "$(disk_of b0)"
ok "is on the other" cmp -n 409600 "$(disk_of b0)" "$(disk_of b1)"
is "who may have to wait for others' requests is the worker" "$(rounds_here)" 0
for dev in b0 b1; do
	ok "$dev is taken away, too" vdpa dev del $dev
done

#
# A process, with user addresses and with physical ones, by whole tables and by maps
#
# with time for it, as many as a guest of 1 GiB has pages; KASAN looks at each
pieces=16384
[ -z "${MIGSCOPE_LONG-}" ] || [ "${MIGSCOPE_KERNEL-}" = debug ] || pieces=262144
while_it() {	# WAITS: what is said of the disk as long as a process does that
	local pid
	"$client" "$(vdpa_node b1)" "$1" >"$TAP_TMP/$1" &
	pid=$!
	vdpa_says "$1" "$TAP_TMP/$1"
	"$1"
	kill -KILL $pid
	wait $pid 2>/dev/null
}
waits() {	# the disk, for a page that never comes
	like "$words: a disk that waits for a page" "$(<"$TAP_TMP/waits")" waits
	ok "$words: who only looks at it does not wait" timeout 20 vdpa dev config show b1
	ok "$words: nor who takes it away" timeout 20 vdpa dev del b1
}
stuck() {	# and somebody waits for the disk, with its state in his hands
	nok "$words: whose state is being set is not shown" vdpa dev config show b1
	like "$words: it is busy" "$(vdpa dev config show b1 2>&1)" busy
	ok "$words: the bus goes on" timeout 20 vdpa dev show
	ok "$words: it is taken away from under him" timeout 20 vdpa dev del b1
}

variant() {	# WORDS -p|'' PARAMETER...
	local words=$1 physical=$2 what
	shift 2
	ok "$words: the simulator" load "$@"
	ok "$words: a disk" add b1 blk vhost_vdpa
	for what in blocks unmapped hostile reset suspend queue waiting; do
		ok "$words: $what" "$client" ${physical:+"$physical"} "$(vdpa_node b1)" $what ||
			[ $what != blocks ] || bail_out "a disk that does nothing"
	done
	[ -n "$physical" ] || for what in meanwhile killed; do
		ok "$words: $what" "$client" "$(vdpa_node b1)" $what ||
			[ $what != killed ] || bail_out "a process that stays"
	done
	# map by map it is the device's limit that counts
	case $* in *batch_mapping=0*) what=too_many ;; *) what=fragments ;; esac
	ok "$words: $what" "$client" ${physical:+"$physical"} -f "$pieces" "$(vdpa_node b1)" $what
	if can_fail; then
		ok "$words: faults" "$client" ${physical:+"$physical"} "$(vdpa_node b1)" faults
	else
		skip 1 "$words: only a kernel with CONFIG_FAILSLAB can fail there"
	fi
	is "$words: a process's kick is the worker's" "$(rounds_here)" 0
	num "$words: to do" "$(rounds_of_worker)" -ge 10
	echo >"$trace/trace"
	ok "$words: who maps nothing reaches nothing" \
		"$client" ${physical:+"$physical"} "$(vdpa_node b1)" nothing
	is "$words: that was one miss" "$(events vhost_iotlb_miss)" 1
	is "$words: and broke the device once" "$(events vdpa_sim_broken)" 1
	ok "$words: a card" add n1 net vhost_vdpa mac 52:54:00:12:34:58
	# what it offers by itself, MQ and GUEST_ANNOUNCE
	ok "$words: a card that can do more" tests/lib/vdpa_nl.py add \
		mgmtdev=vdpasim_net name=n2 features=0x308e30028 max_vqp=4
	bind n2 vhost_vdpa
	for what in loop left spaces control config; do
		ok "$words: $what" "$client" "$(vdpa_node n1)" $what
	done
	ok "$words: control, with pairs and announcements" "$client" "$(vdpa_node n2)" control
	echo >"$trace/trace"
	ok "$words: a queue that was not negotiated" "$client" "$(vdpa_node n2)" unused
	num "$words: does not keep the worker busy" "$(events vdpa_sim_work)" -le 20
	# back and forth: an identity map must not outlive the kernel's driver
	echo b1 >/sys/bus/vdpa/drivers/vhost_vdpa/unbind
	bind b1 virtio_vdpa
	ok "$words: the disk in the kernel's hands" build/clients/blocks -n 10 "$(disk_of b1)"
	echo b1 >/sys/bus/vdpa/drivers/virtio_vdpa/unbind
	bind b1 vhost_vdpa
	ok "$words: after that, nothing is mapped again" \
		"$client" ${physical:+"$physical"} "$(vdpa_node b1)" nothing
	if [ -z "$physical" ]; then
		while_it waits
		ok "$words: another disk" add b1 blk vhost_vdpa
		while_it stuck
	fi
	vdpa dev del b1 2>/dev/null || :
	vdpa dev del n1
	vdpa dev del n2
}

variant "user addresses" ''
variant "physical addresses" -p use_va=0
variant "physical addresses, map by map" -p use_va=0 batch_mapping=0

done_testing
