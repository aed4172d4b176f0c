# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Devices for guests that migrate, two of each kind; for scripts in a machine with our
# modules.
#
#	devices_begin	makes them; the words that migrate takes are in devices_options
#	devices_end	takes them away again

devices_vfio=(00000000-0000-4000-8000-00000000000a 00000000-0000-4000-8000-00000000000b)
devices_vdpa=(migscope-origin migscope-destination)
devices_parent=/sys/class/mdev_bus/vfio_sim/mdev_supported_types/vfio_sim-pci
# an address, a link state, virtio 1, translations: a control queue is not moved by this QEMU
DEVICES_FEATURES=0x300010020
devices_options=()

# shellcheck source=tests/lib/vdpa_node.sh
. "${BASH_SOURCE[0]%/*}/../../lib/vdpa_node.sh"

devices_begin() {
	local name uuid nodes=()
	# what a vDPA device reaches is pinned, and charged to root as well
	ulimit -l unlimited || return
	# by physical addresses: with user addresses a device reaches shared memory only
	modprobe vdpa_sim use_va=0 && modprobe -a vhost_vdpa vdpa_sim_net vfio_iommu_type1 vfio_sim || return
	for uuid in "${devices_vfio[@]}"; do
		echo "$uuid" >"$devices_parent/create" || return
	done
	for name in "${devices_vdpa[@]}"; do
		tests/lib/vdpa_nl.py add mgmtdev=vdpasim_net name="$name" \
			features=$DEVICES_FEATURES >&2 || return
		nodes+=("$(vdpa_node "$name")") || return
	done
	# shellcheck disable=SC2034 # for the caller
	devices_options=(--vfio "${devices_vfio[@]}" --vdpa "${nodes[@]}")
}

devices_end() {
	local name uuid
	for uuid in "${devices_vfio[@]}"; do
		[ ! -e "/sys/bus/mdev/devices/$uuid" ] || echo 1 >"/sys/bus/mdev/devices/$uuid/remove"
	done
	for name in "${devices_vdpa[@]}"; do
		[ ! -e "/sys/bus/vdpa/devices/$name" ] || vdpa dev del "$name"
	done
}
