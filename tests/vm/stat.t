#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: stock vm=6.12,6.1 host needs=root,kvm,bpf timeout=600 long
#
# migscope stat from outside: how it ends, what it leaves behind, what it takes and what
# it writes.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/watch.sh"
load_kvm

# ids of what migscope has in the kernel; other programs have theirs
ours() {
	bpftool -j prog list | jq -c '[.[] | select((.name // "") | startswith("ms_")) | .id]'
	bpftool -j map list | jq -c '[.[] | select((.name // "") | startswith("ms_")) | .id]'
}
links() { bpftool -j link list | jq '[.[].id] | length'; }

# --- the end of it
before=$(ours)
nlinks=$(links)
load two --ring-size 256 --pages 401 --force-full --name two --hold
load_to two end
for signal in INT TERM HUP; do
	watch stat 0.2
	[ "$MIGSCOPE_KERNEL" = host ] || num "while it runs something is attached" "$(links)" -gt "$nlinks"
	sleep 0.5
	watch_end $signal
	is "SIG$signal: status" "$watch_status" 0
	like "SIG$signal: the last word is a report" "$(cat "$TAP_TMP/watch")" 'pages pushed: [0-9]+; given back'
	watch stat -j 60
	watch_end $signal
	is "SIG$signal: JSON: the last line is the final one" "$(sample .final)" true
	num "SIG$signal: it does not wait for its interval" "$(sample '.elapsed | floor')" -lt 50
done
"$migscope" stat -j 1 100 2>"$TAP_TMP/err" | head -n 1 >"$TAP_TMP/head"
status=${PIPESTATUS[0]}
is "a closed pipe: one line came through" "$(jq -s length "$TAP_TMP/head")" 1
num "a closed pipe: no signal, no crash" "$status" -lt 2
unlike "a closed pipe: no noise" "$(cat "$TAP_TMP/err")" '[Bb]roken|[Ee]rror'
"$migscope" stat 0.2 100 2>"$TAP_TMP/err" | head -n 1 >/dev/null
num "a closed pipe, table: no signal, no crash" "${PIPESTATUS[0]}" -lt 2
# the kernel lets go of programs when it gets to it
for ((i = 0; i < 100; i++)); do
	[ "$(ours)" != "$before" ] || break
	sleep 0.1
done
[ "$MIGSCOPE_KERNEL" = host ] || is "nothing is left: programs and maps" "$(ours)" "$before"
[ "$MIGSCOPE_KERNEL" = host ] || is "nothing is left: links" "$(links)" "$nlinks"

# --- arguments
"$migscope" stat -j 0.1 3 >"$TAP_TMP/watch" 2>/dev/null
is "a count: as many lines" "$(wc -l <"$TAP_TMP/watch")" 3
is "a count: only the last is final" "$(jq -sc 'map(.final)' "$TAP_TMP/watch")" '[false,false,true]'
ok "intervals are at least what was asked for" jq -se 'map(.interval) | min >= 0.09' "$TAP_TMP/watch"
"$migscope" stat -j -d 500ms 0.2 >"$TAP_TMP/watch" 2>/dev/null
is "a duration: the last line is final" "$(sample .final)" true
ok "a duration is not cut short" jq -se 'last.elapsed >= 0.49' "$TAP_TMP/watch"
num "a duration: no line behind it" "$(wc -l <"$TAP_TMP/watch")" -le 3
for bad in '-d x' '-d -1' '-d 0' '0' '0.001' 'x' '1 0' '1 -1' '1 x' '1 99999999999999999999' '1 1 1' '-p 0' '-p x' '-s nothing' '-s dirty_ring,nothing' '-q'; do
	# shellcheck disable=SC2086 # words
	timeout 20 "$migscope" stat $bad >"$TAP_TMP/out" 2>"$TAP_TMP/err"
	is "stat $bad: usage" "$?" 2
	isnt "stat $bad: says why" "$(cat "$TAP_TMP/err")" ""
	is "stat $bad: writes nothing else" "$(cat "$TAP_TMP/out")" ""
done
"$migscope" >/dev/null 2>&1
is "no command: usage" "$?" 2
"$migscope" dance >/dev/null 2>&1
is "an unknown command: usage" "$?" 2

# --- one VM of several, one of two of a name
load other --ring-size 1024 --pages 101 --name other --hold
load_to other end
"$migscope" stat -j 0.1 1 >"$TAP_TMP/watch" 2>/dev/null
pids="${load_pid[two]},${load_pid[other]}"
is "both are seen" "$(sample "[.vms[] | select(.pid == ($pids)) | .pid] | length")" 2
"$migscope" stat -j -p "${load_pid[other]}" 0.1 1 >"$TAP_TMP/watch" 2>/dev/null
is "-p: one of them" "$(sample '[.vms[].pid]')" "[${load_pid[other]}]"
name=$(sample '.vms[0].vm')
"$migscope" stat -j -g "$name" 0.1 1 >"$TAP_TMP/watch" 2>/dev/null
is "-g: by its name" "$(sample '[.vms[].pid]')" "[${load_pid[other]}]"
"$migscope" stat -j -g no-such-vm 0.1 1 >"$TAP_TMP/watch" 2>/dev/null
is "-g: nobody has it: status" "$?" 0
is "-g: nobody has it" "$(sample '.vms')" '[]'
"$migscope" stat -j -s dirty_ring 0.1 1 >"$TAP_TMP/watch" 2>/dev/null
is "-s dirty_ring: nothing of dirty_log" "$(sample '[.vms[] | has("dirty_log")] | any')" false
load_end other
load_end two

load pair --vms 2 --parallel --name pair --ring-size 256 --pages 101 --hold
load_to pair end
watch stat -j 0.2
sleep 0.5
is "two VMs of one name: #2" "$(sample "[.vms[] | select(.pid == ${load_pid[pair]}) | .vm] | map(sub(\"^[^#]*\"; \"\")) | sort" 2>/dev/null)" \
   '["","#2"]' || diag "$(sample '[.vms[].vm]')"
watch_end
is "and each keeps it" "$(jq -sc "[.[].vms | map(select(.pid == ${load_pid[pair]}) | [.id, .vm])] | map(select(length == 2)) | unique | length" "$TAP_TMP/watch")" 1
load_end pair

# --- what it writes
load mixed --ring-size 256 --pages 401,409 --vcpus 2 --force-full --name mixed --barrier --hold
load_to mixed middle
load map --mode bitmap-manual --pages 503 --toggle-logging=1 --name map --barrier --hold
load_to map middle
for mode in '' -x; do
	# shellcheck disable=SC2086 # one option or none
	watch $mode stat -j 0.2
	if [ -z "$mode" ]; then
		load_go mixed; load_go map
		load_to mixed end; load_to map end
	fi
	sleep 0.5
	watch_end
	ok "every line is as SCHEMA.md says${mode:+ ($mode)}" python3 tests/lib/schema.py tools/migscope/SCHEMA.md "$TAP_TMP/watch"
	cp "$TAP_TMP/watch" "$TAP_TMP/lines"
done
# and a line that is not is found
tail -n 1 "$TAP_TMP/lines" >"$TAP_TMP/good"
for wrong in '.schema = 2' 'del(.elapsed)' '.extra = 1' '.vms[0].pid = "1"' '.vms[0].alive = 1' \
	     '.vms[0].dirty_ring.pushes = -1' 'del(.vms[0].dirty_ring.rings)' '.vms[0].dirty_ring.fill_at_reset.count |= .[1:]' \
	     '.vms[0].dirty_ring.stall.count_le[3] = 99999' '.vms[0].dirty_ring.vcpus[0].what = 1' '.lost.vms = null' \
	     '.vms[0].dirty_mode = "log"'; do
	jq -c ".vms |= map(select(.dirty_ring.stall)) | $wrong" "$TAP_TMP/good" >"$TAP_TMP/bad"
	nok "a wrong line is found: $wrong" python3 tests/lib/schema.py tools/migscope/SCHEMA.md "$TAP_TMP/bad" 2>/dev/null
done
COLUMNS=80 timeout 30 "$migscope" -x stat -T 0.2 3 >"$TAP_TMP/out" 2>/dev/null
num "no line of the table is wider than 80 columns" "$(awk '/^TIME/ { t = 1 } t && length($0) > m { m = length($0) } END { print m + 0 }' <(sed '/^$/q' "$TAP_TMP/out"))" -le 80
num "nor of the report" "$(LC_ALL=C.UTF-8 awk 'length($0) > m { m = length($0) } END { print m + 0 }' "$TAP_TMP/out")" -le 80
load_end mixed
load_end map

done_testing
