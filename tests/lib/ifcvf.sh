# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# For tests of vDPA on PCI functions, in a machine with the word vdpa:
#
#	ifcvf_start		loads ours, and gives them virtio's functions behind the IOMMU
#	ifcvf_cards, ifcvf_disks	their addresses
#	ifcvf_add NAME ADDRESS DRIVER	a device of that function, for virtio_vdpa or vhost_vdpa
#	ifcvf_net, ifcvf_disk NAME	what became of it
#	ifcvf_vectors ADDRESS	how many interrupts a function has
#	ifcvf_stop		everything is undone
#	wait_for_line LINE FILE	for up to a minute

. "${BASH_SOURCE[0]%/*}/vdpa_node.sh"
. "${BASH_SOURCE[0]%/*}/pci.sh"

ifcvf_cards=() ifcvf_disks=()

ifcvf_take() {
	echo ifcvf >"/sys/bus/pci/devices/$1/driver_override"
	[ ! -e "/sys/bus/pci/devices/$1/driver" ] || echo "$1" >"/sys/bus/pci/devices/$1/driver/unbind"
	echo "$1" >/sys/bus/pci/drivers_probe
	[ "$(basename "$(readlink -f "/sys/bus/pci/devices/$1/driver")")" = ifcvf ] ||
		bail_out "ifcvf does not take $1"
}

ifcvf_start() {
	local address
	modprobe -a vdpa ifcvf virtio_vdpa vhost_vdpa irqbypass virtio_net virtio_blk ||
		bail_out "modules do not load"
	mapfile -t ifcvf_cards < <(pci_functions 0x1af4 0x1041)
	mapfile -t ifcvf_disks < <(pci_functions 0x1af4 0x1042)
	for address in "${ifcvf_cards[@]}" "${ifcvf_disks[@]}"; do
		ifcvf_take "$address"
	done
}

ifcvf_stop() {
	local address name
	for name in /sys/bus/vdpa/devices/*; do
		[ ! -e "$name" ] || vdpa dev del "${name##*/}"
	done
	pci_mirror_stop
	for address in "${ifcvf_cards[@]}" "${ifcvf_disks[@]}"; do
		echo "$address" >"/sys/bus/pci/devices/$address/driver/unbind"
		echo >"/sys/bus/pci/devices/$address/driver_override"
	done
	modprobe -qr -a ifcvf virtio_vdpa vhost_vdpa || :
}

# A device belongs to the first driver that is there: it is given the one that is wanted.
ifcvf_add() {
	local driver
	vdpa dev add name "$1" mgmtdev "pci/$2" || return 1
	driver=$(basename "$(readlink -f "/sys/bus/vdpa/devices/$1/driver")")
	[ "$driver" != "$3" ] || return 0
	echo "$3" >"/sys/bus/vdpa/devices/$1/driver_override"
	[ ! -e "/sys/bus/vdpa/devices/$1/driver" ] ||
		echo "$1" >"/sys/bus/vdpa/devices/$1/driver/unbind"
	echo "$1" >"/sys/bus/vdpa/drivers/$3/bind"
}

# ifcvf_wait PATTERN: the last part of the path, when it is there
ifcvf_wait() {
	local path tries
	for ((tries = 0; tries < 100; tries++)); do
		path=$(compgen -G "$1" | head -n 1)
		[ -z "$path" ] || { echo "${path##*/}"; return 0; }
		sleep 0.1
	done
}
# A virtio device hangs below the one that does its DMA: the function.
ifcvf_net() { ifcvf_wait "/sys/bus/vdpa/devices/$1/../virtio*/net/*"; }
ifcvf_disk() { ifcvf_wait "/sys/bus/vdpa/devices/$1/../virtio*/block/*"; }
ifcvf_vectors() { grep -c "ifcvf-$1-" /proc/interrupts; }

wait_for_line() { vdpa_says $'\n'"$1" "$2" 60; }
