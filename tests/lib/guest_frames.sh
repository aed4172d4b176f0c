# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # $trace, the caller's
#
# For tests in which the guest of a QEMU exchanges frames by a device that the host gave it:
#
#	guest OPTION...		tests/clients/vdpa/qemu; its status is $guest_status then, and what
#				it said in $TAP_TMP/said
#	result FILTER		of what the guest counted
#	guest_frames WORDS [LOST]	it ended well, and its frames are right; LOST of them may lack
#	pages map|unmap		of vhost_vdpa, by the events in $trace; what failed is not in it

export PYTHONDONTWRITEBYTECODE=1

guest() {
	guest_status=0
	rm -f "$TAP_TMP/result"
	echo >"$trace/trace"
	tests/clients/vdpa/qemu --json "$TAP_TMP/result" "$@" 2>"$TAP_TMP/said" || guest_status=$?
	[ ! -s "$TAP_TMP/said" ] || diag "$(cat "$TAP_TMP/said")"
}

result() { jq -r "$1" "$TAP_TMP/result" 2>/dev/null; }

guest_frames() {
	is "$1: frames came back as they were sent" "$guest_status" 0
	num "$1: so many" "$(result .frames)" -ge 400
	num "$1: that were lost" "$(result .lost)" -le "${2-0}"
	is "$1: or came twice" "$(result .again)" 0
}

pages() {
	sed -n "s/.* vhost_vdpa_$1: .* pages \([0-9]*\) .* error 0 .*/\1/p" "$trace/trace" | paste -sd+ | bc
}
