# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# For tests of PCI functions that are given to somebody, and of the memory that is pinned
# for them:
#
#	pci_functions VENDOR DEVICE	their addresses
#	pci_mirror		the e1000e at the other end of the wire sends back what comes
#	pci_mirror_stop		until then
#	wire_up NIC [WORD...]	of ip link set: nothing goes out of it but what a test sends
#	pins_left		pages pinned for good less those let go, in the whole machine

pci_mirror=''

pci_functions() {
	local device
	for device in /sys/bus/pci/devices/*; do
		[[ $(<"$device/vendor") != "$1" || $(<"$device/device") != "$2" ]] || echo "${device##*/}"
	done
}

# An interface that comes up looks for IPv6 routers, some seconds later.
wire_up() {
	local ipv6=/proc/sys/net/ipv6/conf/$1/disable_ipv6
	[ ! -e "$ipv6" ] || echo 1 >"$ipv6"
	ip link set "$1" up "${@:2}"
}

pci_mirror() {
	local nic
	modprobe e1000e || bail_out "no e1000e"
	for nic in /sys/class/net/*; do
		[ "$(basename "$(readlink -f "$nic/device/driver")")" = e1000e ] || continue
		nic=${nic##*/}
		wire_up "$nic" promisc on
		for ((tries = 0; tries < 600; tries++)); do
			[ "$(cat "/sys/class/net/$nic/carrier" 2>/dev/null)" != 1 ] || break
			sleep 0.1
		done
		build/clients/frames -r "$nic" &
		pci_mirror=$!
		return 0
	done
	bail_out "the wire has no other end"
}

pci_mirror_stop() {
	[ -z "$pci_mirror" ] || kill "$pci_mirror"
	pci_mirror=''
	modprobe -qr e1000e || :
}

pins_left() {
	# each CPU counts for itself, and hands in when there is enough
	echo 1 >/proc/sys/vm/stat_refresh
	awk '$1 == "nr_foll_pin_acquired" { n += $2 } $1 == "nr_foll_pin_released" { n -= $2 }
	     END { print n }' /proc/vmstat
}
