#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=debug timeout=1800 long
#
# Simulated devices that are added, and drivers that take them, while each allocation fails
# in turn: an error leaves nothing, and the next try comes through.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/failslab.sh"

# shellcheck disable=SC2317 # by trap
cleanup() {
	modprobe -qra vdpa_sim_net vdpa_sim_blk virtio_vdpa vhost_vdpa || :
	rm -rf "$TAP_TMP"
}
trap cleanup EXIT

can_fail || bail_out "nothing can be made to fail here"
modprobe -a vdpa_sim_net vdpa_sim_blk virtio_vdpa vhost_vdpa virtio_net virtio_blk ||
	bail_out "a module is missing"
echo 0 >/sys/bus/vdpa/drivers_autoprobe

faults() {	# NAME ARGUMENT...
	local said
	said=$(timeout 600 python3 tests/lib/vdpa_faults.py "${@:2}") || :
	like "$1" "${said:-no end}" 'allocations [0-9]+ failed [1-9][0-9]* refused [1-9]'
	note "$1: $said"
}

faults "a card is added" add mgmtdev=vdpasim_net name=card mac=020000000001
faults "a disk is added" add mgmtdev=vdpasim_blk name=disk
is "none of them is left" "$(vdpa dev show)" ''
vdpa dev add name card mgmtdev vdpasim_net mac 02:00:00:00:00:01 || bail_out "no card"
vdpa dev add name disk mgmtdev vdpasim_blk || bail_out "no disk"
for device in card disk; do
	for driver in vhost_vdpa virtio_vdpa; do
		echo $driver >/sys/bus/vdpa/devices/$device/driver_override
		faults "$driver takes the $device" bind $device $driver
	done
done
echo card >/sys/bus/vdpa/drivers/virtio_vdpa/bind
echo disk >/sys/bus/vdpa/drivers/virtio_vdpa/bind
net=(/sys/bus/vdpa/devices/card/virtio*/net/*)
block=(/sys/bus/vdpa/devices/disk/virtio*/block/*)
ip link set "${net[0]##*/}" up
ok "after all that, frames come back" build/clients/frames -n 50 "${net[0]##*/}"
ok "and blocks" build/clients/blocks -n 10 "/dev/${block[0]##*/}"
vdpa dev del card
vdpa dev del disk
ok "nobody holds the simulator" modprobe -r vdpa_sim_net vdpa_sim_blk
done_testing
