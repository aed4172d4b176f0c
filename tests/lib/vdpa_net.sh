# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034 # read by those who source this
#
# For tests of simulated vDPA network cards behind vhost_vdpa:
#
#	vdpa_net_load			the bus and vhost_vdpa; undone at the end, with all below
#	vdpa_net_sim PARAMETER...	the simulator, anew, with these parameters; all is ours
#	vdpa_net_card NAME [FEATURES]	a card, $vdpa_net_mac; with FEATURES, by number, one that
#					has no others and no control queue. Its file: $node
#
# What is in $trace is this test's own; nothing is traced before it says so. Files that
# need vdpa_net_undo to do more define vdpa_net_more.

. "${BASH_SOURCE[0]%/*}/ours.sh"
. "${BASH_SOURCE[0]%/*}/vdpa_node.sh"

vdpa_net_mac=52:54:00:12:34:56
trace=/sys/kernel/tracing/instances/vdpa_net_test
node=''

vdpa_net_more() { :; }

# shellcheck disable=SC2317 # by trap
vdpa_net_undo() {
	vdpa_net_more
	modprobe -qr vdpa_sim_net || :
	rmdir "$trace" 2>/dev/null || :
	modprobe -qr vhost_vdpa vdpa || :
	rm -rf "$TAP_TMP"
}

vdpa_net_load() {
	trap vdpa_net_undo EXIT
	# it would take our devices
	modprobe -qr virtio_vdpa
	modprobe -a vhost_vdpa vdpa || bail_out "no vhost_vdpa"
	mkdir "$trace"
	# all of a guest's memory is pinned, and charged even to root
	ulimit -l unlimited
}

vdpa_net_sim() {
	modprobe -qr vdpa_sim_net vdpa_sim
	modprobe vdpa_sim "$@" || bail_out "no simulator"
	modprobe vdpa_sim_net || bail_out "no simulated card"
	is_ours vdpa vhost_vdpa vhost vhost_iotlb vringh vdpa_sim vdpa_sim_net
}

vdpa_net_card() {
	if [ -n "${2-}" ]; then
		tests/lib/vdpa_nl.py add mgmtdev=vdpasim_net name="$1" features="$2" max_vqp=1 \
			mac=$vdpa_net_mac >&2
	else
		vdpa dev add name "$1" mgmtdev vdpasim_net mac $vdpa_net_mac
	fi || bail_out "no device $1"
	node=$(vdpa_node "$1") || bail_out "no file of $1"
}
