#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12,debug timeout=3000
#
# The simulated VFIO device through a container: what it is, its DMA and dirty pages to
# the page, both migration protocols, state that is moved from one to another, streams
# that were made up.
. "${0%/*}/../tap.sh"

client=build/clients/vfio_sim
trace=/sys/kernel/tracing/instances/vfio_sim_test
parent=/sys/class/mdev_bus/vfio_sim/mdev_supported_types/vfio_sim-pci
uuids=()
for n in 1 2 3; do
	uuids+=("00000000-0000-4000-8000-00000000000$n")
done

# shellcheck disable=SC2317 # by trap
cleanup() {
	for uuid in "${uuids[@]}"; do
		[ ! -e "/sys/bus/mdev/devices/$uuid" ] || echo 1 >"/sys/bus/mdev/devices/$uuid/remove"
	done
	[ ! -d $trace ] || rmdir $trace
	modprobe -r vfio_sim 2>/dev/null || :
	rm -rf "$TAP_TMP"
}
trap cleanup EXIT

make_devices() {
	local uuid
	for uuid in "${uuids[@]}"; do
		[ -e "/sys/bus/mdev/devices/$uuid" ] || echo "$uuid" >$parent/create
	done
}

part() { ok "$1" timeout 180 $client -s "${MIGSCOPE_SEED:-1}" "$2" "${uuids[@]}"; }

# What cannot be had from it is not offered: this kernel's VFIO core cannot report.
modprobe vfio_sim || bail_out "no vfio_sim"
modprobe vfio_iommu_type1 || bail_out "no vfio_iommu_type1"
is "device dirty tracking is not offered where it cannot be read" \
   "$(cat /sys/module/vfio_sim/parameters/dma_logging)" N
remove_devices() {
	local uuid
	for uuid in "${uuids[@]}"; do
		echo 1 >"/sys/bus/mdev/devices/$uuid/remove"
	done
}
make_devices
part "nor any part of it" no_logging
remove_devices
modprobe -r vfio_sim
modprobe vfio_sim dma_logging=1
is "what it is called" "$(cat $parent/device_api) $(cat $parent/name)" \
   "vfio-pci Simulated migratable PCI device"
make_devices

part "what it says of itself" info
part "registers and configuration space" registers
part "DMA moves what it should" dma
part "DMA that cannot be is refused" bad_dma
part "pages that cannot be kept are not written" keep_room
part "memory that user space has to bring is not waited for" missing
part "a mapping that goes takes its pins along" unmap
part "interrupts" interrupts
part "dirty pages, by the container" dirty_container
part "dirty pages of several devices" dirty_several
part "dirty pages of a mapping that goes" dirty_unmap
part "dirty pages, by the device" dirty_logging
part "dirty pages, by the device, while signals come" dirty_signals
part "states by the region" states_v1
part "states by the feature" states_v2
part "one protocol at a time" states_both
part "stopped is stopped" stopped
part "closed at any moment" close
part "resumed is what was saved" resume
part "saved while it runs" pre_copy
part "saved while it runs, by the region" region_pre_copy
part "given up" cancel

# The events say what the client knows that it did.
events() { sed -n "s/.*: vfio_sim_$1: //p" $trace/trace; }
sum() { awk -v key="$1" '{ for (i = 1; i < NF; i++) if ($i == key) n += $(i + 1) } END { print n + 0 }'; }
mkdir $trace
echo 'result != 0' >$trace/events/vfio_sim/vfio_sim_data/filter
echo 1 >$trace/events/vfio_sim/vfio_sim_data/enable
part "streams that are wrong" streams
like "events: what comes after the end" "$(events data)" 'resumed end bytes 0 total [0-9]+ result -22'
part "a stream without an end" endless
like "events: a stream without an end" "$(events data)" 'resumed memory bytes [0-9]+ total [0-9]+ result -27'
echo 0 >$trace/events/vfio_sim/vfio_sim_data/enable
echo 0 >$trace/events/vfio_sim/vfio_sim_data/filter
echo >$trace/trace
part "streams that are anything" fuzz

echo 1 >$trace/events/vfio_sim/enable
ok "events: something to tell" timeout 60 sh -c "$client traced ${uuids[*]} >$TAP_TMP/truth"
echo 0 >$trace/events/vfio_sim/enable
is "events: DMA and state" "$(printf 'dma %s pages %s bytes %s failed %s saved %s resumed %s stream %s' \
	"$(events dma | grep -c 'result 0$')" "$(events dma | sum pages)" "$(events dma | sum bytes)" \
	"$(events dma | grep -vc 'result 0$')" "$(events data | grep -c ' saved ')" \
	"$(events data | grep -c ' resumed ')" "$(events data | grep ' saved ' | sum bytes)")" \
	"$(head -n 1 "$TAP_TMP/truth")"
is "events: the total is the sum" "$(events data | grep ' resumed ' | tail -n 1 | sum total)" \
	"$(events data | grep ' resumed ' | sum bytes)"
is "events: steps from state to state" "states ${uuids[0]} $(events state | grep "${uuids[0]}" |
	grep -c 'protocol [12]') ${uuids[1]} $(events state | grep "${uuids[1]}" | grep -c 'protocol [12]')" \
	"$(tail -n 1 "$TAP_TMP/truth")"
nok "events: all took some time" grep -q 'duration 0 ' <(events dma)
is "events: none was lost" "$(awk '/^overrun|^dropped/ { n += $2 } END { print n }' $trace/per_cpu/cpu*/stats)" 0

part "taken away while in use" removal
make_devices

# Whoever is killed, whatever it was doing: the next one finds a device.
RANDOM=${MIGSCOPE_SEED:-1}
busy=(unmap dirty_several resume pre_copy region_pre_copy streams stopped interrupts)
for ((n = 0; n < 24; n++)); do
	# by a shell, which says who was killed to nobody
	sh -c "timeout -s KILL 0.$((RANDOM % 40 + 10)) $client -s $n ${busy[n % ${#busy[@]}]} ${uuids[*]}; :" \
		>/dev/null 2>&1
done
part "killed at any moment" registers
is "killed at any moment: nobody holds it" "$(cat /sys/module/vfio_sim/refcnt)" 0

remove_devices
loads=100
reload() {
	modprobe -r vfio_sim && modprobe vfio_sim && echo "${uuids[0]}" >$parent/create &&
		echo 1 >"/sys/bus/mdev/devices/${uuids[0]}/remove"
}
n=0
while [ $n -lt $loads ] && reload; do
	n=$((n + 1))
done
is "loaded and unloaded" $n $loads

done_testing
