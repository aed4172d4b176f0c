#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: host needs=root,kvm,bpf else=6.12,long timeout=900
#
# migscope record: a known workload's bill, and how a recording ends.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/watch.sh"
cleanup() { umount "$TAP_TMP/small" 2>/dev/null; watch_cleanup; }
trap cleanup EXIT
load_kvm

record() { "$migscope" record "$@" >"$TAP_TMP/out" 2>"$TAP_TMP/err"; }
of() { "$migscope" report -j "$TAP_TMP/$1" 2>>"$TAP_TMP/err" | jq -c "$2"; }

# --- two at once, while a command runs; larger than a display's memory, whose logging is no migration
record -o "$TAP_TMP/two.db" -i 100ms -- sh -c "
	'$kvmload' -c 2 -s 1024 -n 4000 -P 2 --memory 96M --force-full --name loud -r 4000 >'$TAP_TMP/loud.truth' &
	'$kvmload' -c 1 -s 4096 -n 3000 -P 2 --memory 96M --name calm -r 4000 >'$TAP_TMP/calm.truth'
	wait; sleep 0.3; exit 7"
is "the command's status is ours" "$?" 7
is "it is complete" "$(of two.db '[.recording.complete, .recording.ended]')" '[1,"the command ended"]'
for name in loud calm; do
	is "$name: one migration" "$(of two.db ".sessions | map(select(.name | startswith(\"$name\"))) | map(.kind)")" '["migration"]'
	is "$name: pages, full exits" "$(of two.db ".sessions[] | select(.name | startswith(\"$name\")) | .bill | [.pages, .full_exits]")" \
		"$(truth $name '[([.vms[0].total.vcpus[].pushes] | add), ([.vms[0].total.vcpus[].full_exits] | add)]')"
	is "$name: resets" "$(of two.db ".sessions[] | select(.name | startswith(\"$name\")) | .bill.resets")" "$(truth $name '.vms[0].total.resets.calls')"
done
is "the command line is on record" "$(of two.db '.recording.command | contains("--force-full")')" true

# --- ends
record -o "$TAP_TMP/time.db" -d 500ms -i 100ms
is "-d: status" "$?" 0
is "-d: one file, nothing beside it" "$(cd "$TAP_TMP" && echo time.db*)" time.db
is "-d: why" "$(of time.db .recording.ended)" '"the time is over"'
record -o "$TAP_TMP/time.db" -d 100ms
is "a file that is there: status" "$?" 1
like "a file that is there: says so" "$(cat "$TAP_TMP/err")" 'is there already'
is "a file that is there: is left alone" "$(of time.db .recording.ended)" '"the time is over"'
record -o "$TAP_TMP/none/x.db" -d 100ms
is "no such folder: status" "$?" 1
record -o "$TAP_TMP/cmd.db" -- no-such-command
is "no such command: status" "$?" 127
record -o "$TAP_TMP/sig.db" -- sh -c 'kill -9 $$'
is "a command that is killed: status" "$?" 137
nohup "$migscope" record -o "$TAP_TMP/hup.db" -i 100ms -- sh -c 'kill -HUP $$ $PPID; sleep 1; exit 5' \
	>"$TAP_TMP/out" 2>"$TAP_TMP/err" </dev/null
is "nohup: neither we nor the command end by SIGHUP" "$? $(of hup.db .recording.ended)" '5 "the command ended"'
"$migscope" record -o "$TAP_TMP/long.db" -i 100ms -d 200ms -- sleep 600 >"$TAP_TMP/out" 2>"$TAP_TMP/err" &
pid=$!
for ((i = 0; i < 100; i++)); do
	[ "$(of long.db .recording.complete)" != 1 ] || break
	sleep 0.2
done
kill -TERM $pid
wait $pid
is "the time is over, the command goes on: who ends us does not wait for it" "$?" 143
pkill -f '^sleep 600$'
for signal in INT TERM; do
	watch record -o "$TAP_TMP/$signal.db" -i 100ms
	sleep 0.5
	watch_end $signal
	is "SIG$signal: status" "$watch_status" 0
	is "SIG$signal: complete" "$(of $signal.db '[.recording.complete, .recording.ended]')" '[1,"interrupted"]'
done

# --- a full disk
load run -c 1 -s 1024 -n 100000 -P 100 --name run -r 2000
mkdir "$TAP_TMP/small"
mount -t tmpfs -o size=256k none "$TAP_TMP/small"
# the disk ends it; where the machine is busy that takes its time
record -o "$TAP_TMP/small/r.db" -i 10ms -d 900s
is "a full disk: status" "$?" 1
like "a full disk: says so" "$(cat "$TAP_TMP/err")" 'disk is full'
like "a full disk: says what is kept" "$(cat "$TAP_TMP/err")" 'incomplete; [0-9]+ samples are kept'
kept=$(sed -n 's/.*incomplete; \([0-9]*\) samples.*/\1/p' "$TAP_TMP/err")
"$migscope" report -j "$TAP_TMP/small/r.db" >"$TAP_TMP/full.json" 2>"$TAP_TMP/err"
is "a full disk: the file says that it is incomplete" "$?" 4
is "a full disk: all that was said to be kept is" "$(jq '.samples | length' "$TAP_TMP/full.json")" "$kept"
kill -KILL "${load_pid[run]}"
wait "${load_pid[run]}" 2>/dev/null
unset 'load_pid[run]'

for bad in '' '-o' '-o x -d x' '-o x -i 0' '-o x -i 1ms' '-o x -p 0' '-o x -s nothing' '-q'; do
	# shellcheck disable=SC2086 # words
	(cd "$TAP_TMP" && timeout 20 "$OLDPWD/$migscope" record $bad >out 2>err)
	is "record $bad: usage" "$?" 2
	[ ! -e "$TAP_TMP/x" ] || fail "record $bad: leaves no file"
done
done_testing
