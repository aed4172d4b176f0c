#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12,debug timeout=400
#
# Our vringh through what it exports, in its four kinds of memory: traffic compared byte
# by byte, rings that are wrong, what is remembered of translations; and the misses it
# has, through ftrace, counted.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/failslab.sh"

probe=build/testmod/$(uname -r)/tests-vm-vringh_probe/vringh_probe.ko
trace=/sys/kernel/tracing/instances/vringh_test

# shellcheck disable=SC2317 # by trap
cleanup() {
	rmmod vringh_probe vdpa_sim_net vdpa_sim 2>/dev/null || :
	modprobe -qr vringh 2>/dev/null || :
	rmdir "$trace" 2>/dev/null || :
	rm -rf "$TAP_TMP"
}
trap cleanup EXIT

modprobe vringh || bail_out "no vringh"
mkdir "$trace"
echo 40000 >"$trace/buffer_size_kb"
echo 1 >"$trace/events/vhost_iotlb/vhost_iotlb_miss/enable"
echo 1 >"$trace/events/vhost_iotlb/vhost_iotlb_denied/enable"
echo 1 >"$trace/events/vringh/vringh_bad/enable"
# what is injected on purpose is no report
can_fail || :

# probe PARAMETER...: loads it, and takes over what it says
probe() {
	local line points
	echo "vringh.t: begin $*" >/dev/kmsg
	ok "the probe loads${*:+, $*}" insmod "$probe" seed="${MIGSCOPE_SEED:-1}" "$@"
	rmmod vringh_probe
	dmesg | sed "1,/vringh.t: begin $*\$/d" | sed -n 's/^.*vringh_probe: //p' >"$TAP_TMP/log"
	relay '' "$TAP_TMP/log" 8
}

probe
read -r -a want < <(sed -n 's/^events //p' "$TAP_TMP/log")
for ((i = 0; i < ${#want[@]}; i += 2)); do
	is "events: ${want[i]}, each once" \
	   "$(grep -c " vhost_iotlb_${want[i]}: " "$trace/trace")" "${want[i + 1]}"
done
is "both kinds were looked at" "${#want[@]}" 4
is "events: memory that is not there: of a chain, a table, and none of the user's" \
   "$(grep -c 'vringh_bad: .* memory that is not there, at 0x.* error -14' "$trace/trace")" 3

echo 0 >"$trace/tracing_on"
probe fuzz=1

# Debian ships no user of vringh; linux-source has one
base() { echo "build/testmod/$(uname -r)/tests-vm-base_vdpa_sim/$1.ko"; }
modprobe -a vdpa virtio_vdpa virtio_net
ok "the base's simulator loads on ours" insmod "$(base vdpa_sim)"
ok "with its network card" insmod "$(base vdpa_sim_net)"
like "vringh is what it is on" " $(ls /sys/module/vringh/holders) " '[[:space:]]vdpa_sim_net[[:space:]]'
# it compares addresses as strings: no byte of them may be 0
vdpa dev add name base0 mgmtdev vdpasim_net mac 52:54:01:12:34:56
net=$(echo /sys/bus/vdpa/devices/base0/virtio*/net/*); net=${net##*/}
ip link set "$net" up
ok "frames come back from it" build/clients/frames "$net"
ok "in bursts, too" build/clients/frames -b 32 -n 1024 "$net"
vdpa dev del base0

done_testing
