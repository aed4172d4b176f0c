#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12,debug timeout=3000
#
# Processes that have a device of our vhost_vdpa and are killed at any point of what they do
# with it: two hundred in all if there is time for that.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/vdpa_node.sh"
# shellcheck source=tests/lib/vdpa_probe.sh
. "${0%/*}/../lib/vdpa_probe.sh"
# shellcheck source=tests/lib/pci.sh
. "${0%/*}/../lib/pci.sh"

# shellcheck disable=SC2317 # by trap
cleanup() {
	probe_stop
	rm -rf "$TAP_TMP"
}
trap cleanup EXIT

kills=12
[ -z "${MIGSCOPE_LONG-}" ] || kills=100

probe_start
pinned=$(pins_left)
for mode in tables maps; do
	device $mode
	left=0 idle=0
	for ((i = 1; i <= kills; i++)); do
		: >"$TAP_TMP/out"
		"$client" "$node" busy $((i * 7919)) >"$TAP_TMP/out" &
		busy=$!
		vdpa_says busy "$TAP_TMP/out"
		vdpa_pause "0.0$((i * 37 % 10))"
		kill -KILL $busy
		# killed, not ended by itself
		wait $busy 2>/dev/null
		[ $? = 137 ] || idle=$((idle + 1))
		# once it was waited for, its file is released
		"$client" "$node" exact >"$TAP_TMP/out" 2>&1 || diag "$(cat "$TAP_TMP/out")"
		mapfile -t said <"$TAP_TMP/out"
		[ "$(parameter entries) ${said[-1]}" = "0 end" ] || left=$((left + 1))
	done
	is "$mode: $kills were at it when they were killed" $idle 0
	is "$mode: the next one finds a device without memory" $left 0
	is "$mode: none was let go before the device forgot it" "$(parameter unpinned)" 0
	is "$mode: no page stays pinned" "$(pins_left)" "$pinned"
done

rmmod vdpa_probe
ok "our modules can go" modprobe -r vhost_vdpa
nok "they are gone" test -d /sys/module/vhost_vdpa

done_testing
