# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # watch.sh's
#
# For tests of VFIO in a machine: type1 and the devices of vfio_probe loaded, clients run,
# everything taken away again.
#
#	vfio_start [PARAMETER=VALUE...]	of vfio_iommu_type1
#	vfio_client CLIENT ARGUMENT...	its TAP lines become ours; the log is in $TAP_TMP/log
#	vfio_assign ADDRESS		give a PCI device to vfio-pci
#	vfio_wire			the other card on the wire: its interface is $vfio_net then
#	vfio_stop

# shellcheck source=tests/lib/pci.sh
. "${BASH_SOURCE[0]%/*}/pci.sh"

vfio_clients=build/clients/vfio
vfio_assigned=()
vfio_net=''

vfio_start() {
	modprobe vfio_iommu_type1 "$@" || bail_out "vfio_iommu_type1 does not load"
	insmod "build/testmod/$(uname -r)/tests-vm-vfio_probe/vfio_probe.ko" || bail_out "no vfio_probe"
}

vfio_client() {
	local status=0
	"$vfio_clients/$1" "${@:2}" >"$TAP_TMP/log" 2>"$TAP_TMP/err" || status=$?
	[ ! -s "$TAP_TMP/err" ] || diag "$(cat "$TAP_TMP/err")"
	relay "" "$TAP_TMP/log"
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

vfio_wire() {
	modprobe virtio_net || bail_out "no virtio_net"
	vfio_net=$(basename /sys/bus/virtio/drivers/virtio_net/virtio*/net/*)
	wire_up "$vfio_net" || bail_out "no card on the wire"
}

vfio_stop() {
	local address
	for address in "${vfio_assigned[@]}"; do
		echo "$address" >"/sys/bus/pci/devices/$address/driver/unbind"
		echo >"/sys/bus/pci/devices/$address/driver_override"
	done
	vfio_assigned=()
	[ ! -d /sys/module/vfio_probe ] || rmmod vfio_probe
	if [ -n "$vfio_net" ]; then
		rmmod virtio_net
		vfio_net=''
	fi
	modprobe -r -q vfio-pci || :
	rmmod vfio_iommu_type1 || bail_out "vfio_iommu_type1 stays in use"
}

# For tests that hold the source vfio against tests/clients/vfio/vfio_counts. After
# tests/lib/watch.sh, whose load, load_to, ... run that client then:
#
#	vfio_load		type1 and its devices; undone at the end
#	vfio_counted SPAN	watched from its begin to its end: all is as vfio_same has it, and
#				what it held before its end was what it says
#	vfio_same SPAN		the container has counted what the client says of SPAN: total
#				or since_middle
#	vfio_want SPAN		what that is: a list for each operation
#	vfio_got		what migscope says

# shellcheck disable=SC2317 # by trap
vfio_cleanup() {
	watch_cleanup
	rmmod vfio_probe 2>/dev/null || :
	modprobe -r -q vfio_iommu_type1 || :
}

vfio_load() {
	kvm_loaded=''
	kvmload=$vfio_clients/vfio_counts
	trap vfio_cleanup EXIT
	modprobe vfio_iommu_type1 && insmod "build/testmod/$(uname -r)/tests-vm-vfio_probe/vfio_probe.ko"
}

vfio_container='.devices[] | select(.dev == "container-0") | .vfio'

# Of each operation: its name, calls, those that failed, pages, bytes; null what it has not.
vfio_got() {
	sample "$vfio_container | to_entries | map(select(.value | type == \"object\") |
		[.key, .value.calls, .value.errors, .value.pages, .value.bytes]) | sort"
}

vfio_want() {
	truth client ".$1 | to_entries | map([.key, .value.calls, .value.errors,
		if .key | test(\"^(pin|unpin|map|unmap|dirty_get|dirty_unmap)\$\") then .value.pages else null end,
		if .key | test(\"^(dirty_get|dirty_unmap|read|write)\$\") then .value.bytes else null end]) | sort"
}

vfio_same() {
	is "$1: calls, errors, pages, bytes" "$(vfio_got)" "$(vfio_want "$1")"
	is "$1: each call was timed" \
	   "$(sample "$vfio_container | map(select(type == \"object\" and has(\"time\")) | .time.count == .calls) | all")" true
	is "$1: and took time, but not longer than seen by who called" \
	   "$(sample "$vfio_container | to_entries | map(select(.value | type == \"object\" and has(\"time\")) |
		.value.time.seconds as \$s | \$s > 0 and \$s <= \$t[.key].seconds) | all" \
		--argjson t "$(truth client ".$1")")" true
}

vfio_counted() {
	local holds
	watch stat -j 0.5 -s vfio
	load client -hold
	load_to client start
	load_go client
	load_to client middle
	load_go client
	load_to client end
	sleep 1
	holds=$(sample "$vfio_container | [.pinned_pages, .mappings, .mappings_available, .scope_full]")
	load_end client
	sleep 1
	watch_end
	vfio_same "$1"
	is "what it held in the end" "$holds" "$(truth client '[.pinned, .maps, .avail, false]')"
	is "then it was closed" "$(sample '.devices[] | select(.dev == "container-0") | .alive')" false
	is "nothing was lost" "$(sample '.lost | add')" 0
	ok "as SCHEMA.md says" tests/lib/schema.py tools/migscope/SCHEMA.md "$TAP_TMP/watch"
}
