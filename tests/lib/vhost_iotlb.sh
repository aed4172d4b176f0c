# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # watch.sh's
#
# For tests that hold the source vhost_iotlb against tests/clients/vhost_net_miss. After
# tests/lib/watch.sh, whose load, load_to, ... run that client then:
#
#	iotlb_counts SPAN JQ	the device that JQ chooses has counted what the client says of
#				SPAN: total or since_middle

# shellcheck disable=SC2034 # tests/lib/watch.sh starts it
kvmload=build/clients/vhost_net_miss

# What base and ours make of an update that wraps: the table's own error.
iotlb_wrapped() {
	if [ -e /sys/kernel/tracing/events/vhost_iotlb/vhost_iotlb_reject ]; then
		echo EINVAL
	else
		echo EFAULT
	fi
}

iotlb_counts() {
	local span=$1 dev=$2 got want
	got=$(sample "$dev.vhost_iotlb | [.misses, .misses_again, .miss_service.count, .updates, .invalidates, .evictions, .denied, .waits_full]")
	want=$(truth client ".$span | [.misses, .again, .waits, .updates, .invalidates, .evictions, .denied, 0]")
	is "$span: misses, repeated ones, answers, updates, invalidates, evictions, denied" "$got" "$want"
	is "$span: messages refused, by the table's own error" \
	   "$(sample "$dev.vhost_iotlb.errors" -S)" \
	   "$(truth client ".$span | {EFAULT: .efault, EINVAL: .einval} | .$(iotlb_wrapped) += \$wrapped | with_entries(select(.value > 0))" \
		-S --argjson wrapped "$(truth client ".$span.wrapped")")"
	is "$span: from a miss to its answer, between what the client took at least and at most" \
	   "$(sample "$dev.vhost_iotlb.miss_service.seconds as \$s | \$least <= \$s and \$s <= \$most" \
		--argjson least "$(truth client ".$span.least")" --argjson most "$(truth client ".$span.most")")" true
}
