#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12,debug timeout=5400 vdpa own long
#
# The vDPA modules loaded, used by the kernel and by a process, and unloaded, a hundred times:
# the simulator's card and disk, and a function of the machine's.
. "${0%/*}/../tap.sh"
# shellcheck source=tests/lib/ifcvf.sh
. "${0%/*}/../lib/ifcvf.sh"

mac=02:00:00:00:00:22
times=100
vmalloc() { sed -n 's/^VmallocUsed: *\([0-9]*\).*/\1/p' /proc/meminfo; }
frames() { [ -n "$1" ] && wire_up "$1" && build/clients/frames -n 8 "$1" >/dev/null; }

cycle() {
	local node disk
	modprobe -a virtio_vdpa vdpa_sim_net vdpa_sim_blk ifcvf || return 1
	vdpa dev add name card mgmtdev vdpasim_net mac $mac || return 1
	vdpa dev add name disk mgmtdev vdpasim_blk || return 1
	vdpa dev add name real mgmtdev "pci/$real" || return 1
	frames "$(ifcvf_wait "/sys/bus/vdpa/devices/card/virtio*/net/*")" || return 1
	frames "$(ifcvf_net real)" || return 1
	disk=$(ifcvf_wait "/sys/bus/vdpa/devices/disk/virtio*/block/*")
	build/clients/blocks -n 8 "/dev/$disk" >/dev/null || return 1
	modprobe -r virtio_vdpa && modprobe vhost_vdpa || return 1
	node=$(vdpa_node card) || return 1
	build/clients/vdpa_user "$node" loop || return 1
	# with their devices, or without
	(($1 % 2)) || { vdpa dev del card && vdpa dev del disk && vdpa dev del real; } || return 1
	modprobe -r vdpa_sim_net && modprobe -r vdpa_sim_blk && modprobe -r ifcvf && modprobe -r vhost_vdpa
}

# shellcheck disable=SC2317 # by trap
cleanup() { ifcvf_stop; rm -rf "$TAP_TMP"; }
trap cleanup EXIT

ifcvf_start
real=${ifcvf_cards[0]}
pci_mirror
modprobe -r ifcvf
modprobe -qr vhost_vdpa virtio_vdpa
cycle 0 || bail_out "not even once"
before=$(vmalloc)
for ((i = 0; i < times; i++)); do
	cycle $i || break
done
is "$times times" $i $times
# modprobe looks at what a module needed in an order of its own: some stay, used by nothing
modprobe -qr vringh vhost_iotlb vdpa
is "nothing is left of it" "$(lsmod | grep -E '^(vdpa|vhost|vringh|virtio_vdpa|ifcvf)' | xargs)" ''
is "nor of the function's interrupts" "$(ifcvf_vectors "$real")" 0
num "not in memory, either (KiB)" $(($(vmalloc) - before)) -lt 256
done_testing
