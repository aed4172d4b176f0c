#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12,debug timeout=300
#
# Our vhost_iotlb through what it exports, every step compared with a second
# implementation, and its events through ftrace, counted.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/failslab.sh"

probe=build/testmod/$(uname -r)/tests-vm-vhost_iotlb_probe/vhost_iotlb_probe.ko
trace=/sys/kernel/tracing/instances/iotlb_test

# shellcheck disable=SC2317 # by trap
cleanup() {
	rmmod vhost_iotlb_probe 2>/dev/null || :
	rmdir "$trace" 2>/dev/null || :
	rm -rf "$TAP_TMP"
}
trap cleanup EXIT

modprobe vhost_iotlb || bail_out "no vhost_iotlb"
mkdir "$trace"
echo 40000 >"$trace/buffer_size_kb"
echo 1 >"$trace/events/vhost_iotlb/enable"
# what is injected on purpose is no report
can_fail || :

echo "vhost_iotlb.t: begin" >/dev/kmsg
ok "the probe loads" insmod "$probe" seed="${MIGSCOPE_SEED:-1}"
dmesg | sed '1,/vhost_iotlb.t: begin/d' | sed -n 's/^.*iotlb_probe: //p' >"$TAP_TMP/log"

relay '' "$TAP_TMP/log" 20

read -r -a want < <(sed -n 's/^events //p' "$TAP_TMP/log")
for ((i = 0; i < ${#want[@]}; i += 2)); do
	is "events: ${want[i]}, each once" \
	   "$(grep -c " vhost_iotlb_${want[i]}: " "$trace/trace")" "${want[i + 1]}"
done
is "all kinds of events were looked at" "${#want[@]}" 8
is "no event was lost" "$(awk '/^overrun|^dropped/ { n += $2 } END { print n }' "$trace"/per_cpu/cpu*/stats)" 0

done_testing
