# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The device of tests/vm/vdpa_probe, which says how it is treated, for vhost_vdpa. Takes
# TAP_TMP, and what tap.sh and vdpa_node.sh bring.
#
#	probe_start		our vhost_vdpa, which takes what comes
#	device MODE		a new one; the last one goes. $node is how a process opens it
#	parameter NAME		prints what it says, or fails
#	probe_stop		all of that gone
#	$client			the process that drives it

# shellcheck disable=SC2034 # for who sources us
client=build/clients/vhost_vdpa
# shellcheck disable=SC2034
node=''

probe_start() {
	# who would take our devices
	modprobe -qr virtio_vdpa
	modprobe vhost_vdpa || bail_out "no vhost_vdpa"
	modprobe irqbypass
	like "vhost_vdpa is ours" "$(cat /sys/module/vhost_vdpa/taint)" O
	like "on vhost.ko, which is ours" "$(cat /sys/module/vhost/taint)" O
}

device() {
	[ ! -d /sys/module/vdpa_probe ] || rmmod vdpa_probe || fail "the last device goes"
	insmod "build/testmod/$(uname -r)/tests-vm-vdpa_probe/vdpa_probe.ko" mode="$1" ||
		bail_out "no device"
	vdpa dev add name probe mgmtdev vdpa_probe mac 02:00:00:00:00:01 mtu 1400 ||
		bail_out "no device"
	node=$(vdpa_node probe) || bail_out "no node"
}

parameter() {
	local said
	said=$(</sys/module/vdpa_probe/parameters/"$1") && echo "$said"
}

probe_stop() {
	rmmod vdpa_probe 2>/dev/null || :
	modprobe -qr vhost_vdpa vdpa 2>/dev/null || :
}
