#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: host needs=root,kvm,bpf,qemu else=6.12,long timeout=900
#
# --qmp: QEMU's own figures beside ours, from a real one; its sampled dirty rate where
# nothing is migrated; monitors that are busy, are none, or go away.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/watch.sh"
load_kvm
qemu_pid=''
# shellcheck disable=SC2317 # by trap
cleanup() { [ -z "$qemu_pid" ] || kill -KILL "$qemu_pid" 2>/dev/null; watch_cleanup; }
trap cleanup EXIT

qmp() {	# COMMAND [ARGUMENTS]: by the first monitor
	python3 - "$TAP_TMP/first" "$@" <<-'PY'
		import json, socket, sys
		s = socket.socket(socket.AF_UNIX)
		s.settimeout(60)
		s.connect(sys.argv[1])
		f = s.makefile('rw')
		f.readline()
		for c in ({'execute': 'qmp_capabilities'},
		          {'execute': sys.argv[2], 'arguments': json.loads(sys.argv[3]) if len(sys.argv) > 3 else {}}):
		    f.write(json.dumps(c) + '\n')
		    f.flush()
		    a = {}
		    while 'return' not in a and 'error' not in a:
		        a = json.loads(f.readline())
		print(json.dumps(a.get('return', a)))
	PY
}
qemu() {
	qemu-system-x86_64 -accel kvm -cpu qemu64,-svm -machine pc,usb=off -m 64 -nodefaults -display none -S -name told \
		-qmp "unix:$TAP_TMP/first,server=on,wait=off" -qmp "unix:$TAP_TMP/second,server=on,wait=off" >"$TAP_TMP/qemu.log" 2>&1 &
	qemu_pid=$!
	for ((i = 0; i < 300; i++)); do [ ! -S "$TAP_TMP/second" ] || return 0; sleep 0.1; done
	bail_out "QEMU does not start: $(tail -2 "$TAP_TMP/qemu.log")"
}
qemu

# --- nothing is migrated: it samples
"$migscope" forecast -j --qmp "$TAP_TMP/second" -d 1s >"$TAP_TMP/sampled" 2>"$TAP_TMP/err"
status=$?
like "before a migration: it says that it is sampled, or that nothing is dirtied" "$(cat "$TAP_TMP/sampled" "$TAP_TMP/err")" '"from":"sampled"'
is "before a migration: a guest that stands still dirties nothing" "$(jq -c '[.dirty_bytes_per_second, .converges]' "$TAP_TMP/sampled")" '[0,true]'
is "before a migration: status" "$status" 0
is "QEMU's own limits were used" "$(jq '.downtime_limit_seconds' "$TAP_TMP/sampled")" 0.3

# --- a migration
"$migscope" record -o "$TAP_TMP/r.db" -i 100ms --qmp "$TAP_TMP/second" >"$TAP_TMP/out" 2>"$TAP_TMP/err" &
record_pid=$!
for ((i = 0; i < 300; i++)); do ! grep -q '^watching' "$TAP_TMP/err" || break; sleep 0.1; done
qmp migrate '{"uri": "exec:cat >/dev/null"}' >/dev/null
for ((i = 0; i < 300; i++)); do
	qmp query-migrate >"$TAP_TMP/said"
	[ "$(jq -r .status "$TAP_TMP/said")" != completed ] || break
	sleep 0.1
done
sleep 0.5
kill -INT $record_pid
wait $record_pid
is "record: status" "$?" 0
is "record: nothing to complain about" "$(grep -v '^watching\|samples in' "$TAP_TMP/err")" ''
"$migscope" report -j "$TAP_TMP/r.db" >"$TAP_TMP/r.json"
value() { jq -c "[.vms[] | select(.name == \"told\") | .series[] | select(.name == \"$1\") | .points[-1][1]][0]" "$TAP_TMP/r.json"; }
is "QEMU's figures are those that it tells others" \
	"$(value qemu_rounds):$(value qemu_total_bytes):$(value qemu_transferred_bytes)" \
	"$(jq -r '.ram | [."dirty-sync-count", .total, .transferred] | join(":")' "$TAP_TMP/said")"
is "and its times" "$(value qemu_migration_seconds):$(value qemu_downtime_seconds)" \
	"$(jq -r '[."total-time" / 1000, .downtime / 1000] | map(tostring) | join(":")' "$TAP_TMP/said")"
like "its status is among the events" "$(jq -c '[.events[] | select(.kind == "qemu") | .text]' "$TAP_TMP/r.json")" '"completed"\]$'

# --- monitors
exec 5<>/dev/null
python3 - "$TAP_TMP/second" <<-'PY' &
	import socket, sys, time
	s = socket.socket(socket.AF_UNIX)
	s.connect(sys.argv[1])
	time.sleep(60)
PY
busy=$!
sleep 1
"$migscope" record -o "$TAP_TMP/busy.db" --qmp "$TAP_TMP/second" -d 1s >"$TAP_TMP/out" 2>"$TAP_TMP/err"
is "one that another has: status" "$?" 1
like "one that another has: says what may be" "$(cat "$TAP_TMP/err")" 'one client at a time'
kill $busy
wait $busy 2>/dev/null
echo hello | socat -t 5 "UNIX-LISTEN:$TAP_TMP/none" - >/dev/null &
for ((i = 0; i < 50; i++)); do [ ! -S "$TAP_TMP/none" ] || break; sleep 0.1; done
"$migscope" record -o "$TAP_TMP/none.db" --qmp "$TAP_TMP/none" -d 1s >"$TAP_TMP/out" 2>"$TAP_TMP/err"
is "a socket that is none: status" "$?" 1
like "a socket that is none: says so" "$(cat "$TAP_TMP/err")" 'no JSON|no QMP monitor'
"$migscope" record -o "$TAP_TMP/gone.db" -i 100ms -d 3s --qmp "$TAP_TMP/second" >"$TAP_TMP/out" 2>"$TAP_TMP/err" &
record_pid=$!
for ((i = 0; i < 300; i++)); do ! grep -q '^watching' "$TAP_TMP/err" || break; sleep 0.1; done
kill -KILL $qemu_pid
wait $qemu_pid 2>/dev/null
qemu_pid=''
wait $record_pid
is "a QEMU that dies: the recording goes on" "$?" 0
is "a QEMU that dies: said once" "$(grep -c 'its figures end here' "$TAP_TMP/err")" 1
is "a QEMU that dies: and it is complete" "$("$migscope" report -j "$TAP_TMP/gone.db" | jq .recording.complete)" 1
done_testing
