#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12,debug timeout=3000
#
# Our vhost_vdpa, driven by processes, on a device that says how it is treated.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/vdpa_node.sh"
# shellcheck source=tests/lib/vdpa_probe.sh
. "${0%/*}/../lib/vdpa_probe.sh"
. "${0%/*}/../lib/failslab.sh"
# shellcheck source=tests/lib/pci.sh
. "${0%/*}/../lib/pci.sh"

trace=/sys/kernel/tracing/instances/vhost_vdpa_test

# shellcheck disable=SC2317 # by trap
cleanup() {
	exec 7>&- || :
	rmdir "$trace" 2>/dev/null || :
	probe_stop
	rm -rf "$TAP_TMP"
}
trap cleanup EXIT

probe_start

suite() {	# NAME SUITE ARGUMENT...
	"$client" "$node" "${@:2}" >"$TAP_TMP/out" 2>"$TAP_TMP/err" || diag "$(cat "$TAP_TMP/err")"
	relay "$1" "$TAP_TMP/out" 4
}

device tables
is "a device that was just made has not been told of memory" "$(parameter set_maps)" 0
suite "ioctls" ioctls
suite "tables" memory
is "opened and closed, each space was emptied" "$(parameter entries)" 0
is "and brought to its default, once each time" "$(parameter reset_maps)" 6
is "the callback is the device's no longer" "$(parameter has_config_cb)" N
device maps
suite "maps" memory
suite "cannot be suspended" unsuspended
is "nothing is left there, either" "$(parameter entries)" 0
device va
suite "files" files
is "bound to nobody" "$(parameter binds)" 0

# every message and what it did
mkdir "$trace"
echo 1 >"$trace/events/vhost_vdpa/enable"
events() { grep -c " vhost_vdpa_$1: dev [0-9]* $2" "$trace/trace"; }
device tables
"$client" "$node" exact >"$TAP_TMP/exact" || diag "$(cat "$TAP_TMP/exact")"
want() { sed -n "s/^$1 //p" "$TAP_TMP/exact"; }
for type in update invalidate batch_begin batch_end; do
	num "events: $type: the client sent some" "$(want $type)" -gt 0
	is "events: $type, each once" "$(events message ".*type $type ")" "$(want $type)"
done
is "events: what failed" "$(events message '.*error -')" "$(want failed)"
is "events: why" "$(events message '.*error -12 ') $(events message '.*error -17 ')" "1 1"
is "events: pages pinned" \
   "$(sed -n 's/.* vhost_vdpa_pinned: .* pages \([0-9]*\) .*/\1/p' "$trace/trace" | paste -sd+ | bc)" \
   "$(want pinned)"
is "events: all let go in the end" \
   "$(sed -n 's/.* vhost_vdpa_pinned: .* pages \([-0-9]*\) .*/\1/p' "$trace/trace" | paste -sd+ | bc)" 0
is "events: maps, with their pages" "$(events map '.* pages 4 runs .* error 0')" 10
echo 0 >"$trace/events/vhost_vdpa/enable"

pinned=$(pins_left)
none_stays() { is "$1: no page stays pinned" "$(pins_left)" "$pinned"; }

# each allocation of a message fails once
for mode in tables maps va; do
	can_fail || { skip 1 "$mode: only a kernel with CONFIG_FAILSLAB can fail there"; continue; }
	device $mode
	suite "faults, $mode" faults
	is "faults, $mode: nothing is left" "$(parameter entries) $(parameter unpinned)" "0 0"
	none_stays "faults, $mode"
done

# a guest whose memory is in pieces: with time for it, as many as 1 GiB has pages. Each entry
# by itself, or each looked at by KASAN: fewer are enough
for mode in tables maps; do
	runs=16384
	[ -z "${MIGSCOPE_LONG-}" ] || [ $mode != tables ] || [ "${MIGSCOPE_KERNEL-}" = debug ] || runs=262144
	device $mode
	suite "$runs runs, $mode" runs "$runs"
	is "$runs runs, $mode: nothing is left" "$(parameter entries) $(parameter unpinned)" "0 0"
	none_stays "$runs runs, $mode"
done

# the device goes while a process has it
removed() {	# NAME COMMAND...
	local pid status=0
	rm -f "$TAP_TMP/tell"
	mkfifo "$TAP_TMP/tell"
	"$client" "$node" removed <"$TAP_TMP/tell" >"$TAP_TMP/out" 2>&1 &
	pid=$!
	exec 7>"$TAP_TMP/tell"
	for ((tries = 0; tries < 300; tries++)); do
		! grep -q ready "$TAP_TMP/out" || break
		sleep 0.1
	done
	ok "$1: done at once" timeout 20 "${@:2}"
	is "$1: the device let go of all memory" "$(parameter entries 2>/dev/null || echo 0)" 0
	echo gone >&7
	exec 7>&-
	wait $pid || status=$?
	is "$1: the process lives on" $status 0
	relay "$1" "$TAP_TMP/out" 4
}
device tables
removed "deleted" vdpa dev del probe
is "deleted: the device is freed" "$(parameter frees)" 1
device maps
removed "the device's module removed" rmmod vdpa_probe
device tables
removed "unbound" sh -c 'echo probe >/sys/bus/vdpa/drivers/vhost_vdpa/unbind'
ok "unbound: another process can have it" sh -c 'echo probe >/sys/bus/vdpa/drivers/vhost_vdpa/bind'
node=$(vdpa_node probe)
"$client" "$node" busy >"$TAP_TMP/out" &
busy=$!
vdpa_says busy "$TAP_TMP/out"
nok "our module stays while a process uses it" rmmod vhost_vdpa
nok "one process at a time" "$client" "$node" exact
ok "deleted while it is busy" timeout 20 vdpa dev del probe
ok "the process is still there" kill -KILL $busy
wait $busy 2>/dev/null || :

rmmod vdpa_probe
ok "our modules can go" modprobe -r vhost_vdpa
nok "they are gone" test -d /sys/module/vhost_vdpa

done_testing
