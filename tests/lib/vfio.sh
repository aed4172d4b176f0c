# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# For tests of VFIO in a machine: type1 and the devices of vfio_probe loaded, clients run,
# everything taken away again.
#
#	vfio_start [PARAMETER=VALUE...]	of vfio_iommu_type1
#	vfio_client CLIENT ARGUMENT...	its TAP lines become ours; the log is in $TAP_TMP/log
#	vfio_assign ADDRESS		give a PCI device to vfio-pci
#	vfio_stop

vfio_clients=build/clients/vfio
vfio_assigned=()

vfio_start() {
	modprobe vfio_iommu_type1 "$@" || bail_out "vfio_iommu_type1 does not load"
	insmod "build/testmod/$(uname -r)/tests-vm-vfio_probe/vfio_probe.ko" || bail_out "no vfio_probe"
}

vfio_client() {
	local line status=0
	"$vfio_clients/$1" "${@:2}" >"$TAP_TMP/log" 2>"$TAP_TMP/err" || status=$?
	while read -r line; do
		case $line in
		*'# SKIP '*)	skip 1 "${line#*# SKIP } (${line%% \# SKIP*})" ;;
		'ok '*)		pass "${line#ok * - }" ;;
		'not ok '*)	fail "${line#not ok * - }" ;;
		esac
	done <"$TAP_TMP/log"
	[ ! -s "$TAP_TMP/err" ] || diag "$(cat "$TAP_TMP/err")"
	is "$1 came to its end" "$(sed -n 's/^1\.\.//p' "$TAP_TMP/log")" \
		"$(grep -c -E '^(not )?ok ' "$TAP_TMP/log")"
	[ $status -lt 2 ] || diag "$1 ended with status $status"
}

vfio_assign() {
	local device=/sys/bus/pci/devices/$1
	modprobe vfio-pci || bail_out "no vfio-pci"
	echo vfio-pci >"$device/driver_override"
	[ ! -e "$device/driver" ] || echo "$1" >"$device/driver/unbind"
	echo "$1" >/sys/bus/pci/drivers_probe
	[ -e "$device/driver" ] || bail_out "$1 cannot be assigned"
	vfio_assigned+=("$1")
}

# vfio_pci VENDOR DEVICE: the addresses of such devices
vfio_pci() {
	local device
	for device in /sys/bus/pci/devices/*; do
		[[ $(<"$device/vendor") != "$1" || $(<"$device/device") != "$2" ]] || echo "${device##*/}"
	done
}

vfio_stop() {
	local address
	for address in "${vfio_assigned[@]}"; do
		echo "$address" >"/sys/bus/pci/devices/$address/driver/unbind"
		echo >"/sys/bus/pci/devices/$address/driver_override"
	done
	vfio_assigned=()
	rmmod vfio_probe
	modprobe -r -q vfio-pci || :
	rmmod vfio_iommu_type1 || bail_out "vfio_iommu_type1 stays in use"
}

# pages that were pinned for good less those that were let go of, in the whole machine
pins_left() {
	awk '$1 == "nr_foll_pin_acquired" { n += $2 } $1 == "nr_foll_pin_released" { n -= $2 }
	     END { print n }' /proc/vmstat
}
