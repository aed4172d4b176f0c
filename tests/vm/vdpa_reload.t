#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12,debug timeout=3600 own long
#
# The vDPA modules loaded, used by the kernel and by a process, and unloaded, a hundred times.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/vdpa_node.sh"

mac=02:00:00:00:00:22
vmalloc() { sed -n 's/^VmallocUsed: *\([0-9]*\).*/\1/p' /proc/meminfo; }
until_there() {	# GLOB: what matches it
	local i found
	for ((i = 0; i < 100; i++)); do
		found=$(compgen -G "$1" | head -1)
		[ -z "$found" ] || { echo "$found"; return 0; }
		sleep 0.05
	done
	return 1
}

cycle() {
	local nic node
	modprobe -a virtio_vdpa vdpa_sim_net || return 1
	vdpa dev add name card mgmtdev vdpasim_net mac $mac || return 1
	nic=$(until_there "/sys/bus/vdpa/devices/card/virtio*/net/*") || return 1
	ip link set "${nic##*/}" up && build/clients/frames -n 8 "${nic##*/}" >/dev/null || return 1
	modprobe -r virtio_vdpa && modprobe vhost_vdpa || return 1
	node=$(vdpa_node card) || return 1
	build/clients/vdpa_user "$node" loop || return 1
	# with its device, or without
	(($1 % 2)) || vdpa dev del card || return 1
	modprobe -r vdpa_sim_net && modprobe -r vhost_vdpa
}

modprobe -a virtio_net irqbypass
modprobe -qr vhost_vdpa virtio_vdpa
cycle 0 || bail_out "not even once"
before=$(vmalloc)
for ((i = 0; i < 100; i++)); do
	cycle $i || break
done
is "a hundred times" $i 100
# modprobe looks at what a module needed in an order of its own: some stay, used by nothing
modprobe -qr vringh vhost_iotlb vdpa
is "nothing is left of it" "$(lsmod | grep -E '^(vdpa|vhost|vringh|virtio_vdpa)' | xargs)" ''
num "not in memory, either (KiB)" $(($(vmalloc) - before)) -lt 256
done_testing
