#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: stock vm=6.12,6.1 host needs=root,kvm,bpf timeout=1800 long
#
# Every count against a workload that is known, bucket by bucket; and that selfcheck,
# which says so, sees a count that is wrong.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/watch.sh"
load_kvm

# checked OPTIONS...: selfcheck's points as points of this file
checked() {
	local status=0
	"$migscope" "$@" >"$TAP_TMP/out" 2>"$TAP_TMP/err" || status=$?
	relay "" "$TAP_TMP/out"
	is "migscope $*: status" $status 0 || diag "$(head -5 "$TAP_TMP/err")"
}

checked selfcheck --all
is "each vCPU count, pattern, size, and when: 36 and what else can be" \
   "$(grep -c '^ok .* - ring, ' "$TAP_TMP/out")" 36
if [ "$MIGSCOPE_KERNEL" != host ]; then
	is "no case is left out" "$(grep -c SKIP "$TAP_TMP/out")" 0
fi
checked -x selfcheck

# --- what a wrong count looks like: kvmload lies, one number at a time
cat >"$TAP_TMP/liar" <<-'END'
	#!/bin/bash
	# same process, so that its VM is found; the truth is bent on its way out
	exec "$KVMLOAD" "$@" > >(exec jq -c --unbuffered "if .vms then .vms[0].total |= ($LIE) else . end")
END
chmod +x "$TAP_TMP/liar"
export KVMLOAD=$kvmload LIE

# sees CASE LIE COUNT..: with all of these bent, it is red and names each
sees() {
	local status=0 case=$1 what
	LIE=$2
	shift 2
	"$migscope" "${exact[@]}" selfcheck --only "$case" --kvmload "$TAP_TMP/liar" >"$TAP_TMP/out" 2>&1 || status=$?
	is "lies are seen: $case" "$status" 5
	for what; do
		ok "a lie is named: $what" grep -q -E "^# $what: (counted|[0-9.]+ s measured)" "$TAP_TMP/out"
	done
}
exact=()
ring='full rings, attached before'
counts='.pushes += 1 | .reset_events += 1 | .reset_empty += 1 | .reset_entries += 1 | .high_water += 1 |
	.full_exits += 1 | .stalls.ended += 1 | .left += 1 | .occupancy[] += 1 | .stalls.seconds = 1e-9'
names=(pushes "reset events" "empty resets" "entries reset" "high-water mark" "full exits" "stalls")
mapfile -t -O 7 names < <(printf 'fill bucket %d\n' {0..11})
is "no lie: green" "$(LIE=. "$migscope" selfcheck --only "$ring" --kvmload "$TAP_TMP/liar" >/dev/null 2>&1; echo $?)" 0
times=()
[ "$MIGSCOPE_KERNEL" = host ] || times=("VM: resets took" "VM: TLB flushes")
# whichever vCPU fills its ring first stalls, and the other one may never
sees "$ring" "$counts | .resets.calls += 1 | .resets.seconds = 1e-9 | .vcpus[] |= ($counts)" \
	"VM: resets" "${times[@]}" "${names[@]/#/VM: }" "${names[@]/#/vCPU 0: }" "${names[@]/#/vCPU 1: }" \
	"VM: stalls took" "vCPU [01]: stalls took" "vCPU 0: entries left" "vCPU 1: entries left"
sees "$ring" '.vcpus += [.vcpus[1]]' "VM: rings"
if [ "$MIGSCOPE_KERNEL" != host ]; then
	sees 'bitmap, manual protect, attached before' '.get |= (.calls += 1 | .bitmap_bytes += 8 | .seconds = 1e-9) |
		.clear |= (.calls += 1 | .bitmap_bytes += 8 | .seconds = 1e-9)' \
		"get: calls" "get: bytes" "get: time took" "clear: calls" "clear: bytes" "clear: time took"
	sees "logging switched, attached before" '.logging_on |= (.calls += 1 | .pages += 1 | .seconds = 1e-9) |
		.logging_off |= (.calls += 1 | .pages += 1 | .seconds = 1e-9)' \
		"logging_on: calls" "logging_on: pages" "logging_on: time took" \
		"logging_off: calls" "logging_off: pages" "logging_off: time took"
fi
exact=(-x)
sees "$ring" '.pushes += 1 | .vcpus[].pushes += 1' \
	"VM: pushes one by one" "vCPU 0: pushes one by one" "vCPU 1: pushes one by one"

# --- and the other way round: the tool counts wrong
for what in fill tail push stall run; do
	# where no fentry is nobody looks at KVM_RUN, and nothing is miscounted
	[ "$what $MIGSCOPE_KERNEL" != "run host" ] || continue
	status=0
	case $what in run|push) exact=(-x) ;; *) exact=() ;; esac
	build/tests/miscount/$what/migscope "${exact[@]}" selfcheck --kvmload "$kvmload" --only "$(
		case $what in tail) echo 'a tail that is not reset, attached before' ;; *) echo "$ring" ;; esac
	)" >"$TAP_TMP/out" 2>&1 || status=$?
	is "a migscope that counts wrong ($what) is found out" "$status" 5
done
like "and it is the stalls that are wrong" "$(cat "$TAP_TMP/out")" 'stalls: counted 0'
exact=()

# --- attached to a VM that runs on. One migscope is there from the beginning and knows
# how far the VM was when others came, and when they said that they watch.
pushes_at() {	# of the last whole line
	local n
	# nothing at all before the first line
	n=$(sample '[.vms[] | select(.pid == '"${load_pid[runs]}"') | .dirty_ring.pushes] | add // 0')
	echo "${n:-0}"
}
watch stat -j 0.1
load runs --pages 20011 --passes 16 --rate 5000 --ring-size 4096 --name runs --hold
until [ "$(pushes_at)" -gt 0 ]; do sleep 0.2; done
late=() before=() after=()
for mode in '' -x; do
	before+=("$(pushes_at)")
	# shellcheck disable=SC2086 # one option or none
	"$migscope" $mode stat -j -p "${load_pid[runs]}" 0.5 >"$TAP_TMP/late$mode" 2>"$TAP_TMP/late$mode.err" &
	late+=($!)
done
for mode in '' -x; do
	until grep -q ^watching "$TAP_TMP/late$mode.err" || ! kill -0 "${late[${#after[@]}]}" 2>/dev/null; do
		sleep 0.1
	done
	sleep 0.3
	after+=("$(pushes_at)")
done
load_to runs end
sleep 1
kill -INT "${late[@]}"
wait "${late[@]}"
watch_end
total=$(pushes_at)
load_end runs
is "from the beginning: every push" "$total" "$(truth runs '.vms[0].total.pushes')"
i=0
for mode in '' -x; do
	what="to a VM that runs on, ${mode:-default}"
	ours=$(tail -n 1 "$TAP_TMP/late$mode" | jq '.vms[0].dirty_ring.pushes // -1')
	note "$what: of $total, ${before[i]} to ${after[i]} when it came, counted $ours"
	num "$what: it came in the middle" "${after[i]}" -lt "$total"
	num "$what: every push after it says that it watches" "$ours" -ge $((total - after[i]))
	num "$what: none from before it came, but what stood in the ring" "$ours" -le $((total - before[i] + 4096))
	i=$((i + 1))
done
# the two are not attached at the same moment, so each is held against the witness alone
one=$(jq -s 'last | .vms[0].dirty_ring.pushes_exact // -1' "$TAP_TMP/late-x")
num "one by one: every push after it says that it watches" "$one" -ge $((total - after[1]))
num "one by one: none from before it came" "$one" -le $((total - before[1]))

# --- harvested while the vCPUs run on: a push that races a reset is counted, but
# which side of the reset it falls on is open
watch stat -j 1
load racer --concurrent --vcpus 2 --passes 4 --name concurrent --hold
load_to racer end
sleep 0.3
watch_end
load_end racer
vm='.vms[] | select(.pid == '"$(truth racer .pid)"') | .dirty_ring'
t='.vms[0].total'
for key in pushes reset_events reset_entries full_exits; do
	is "harvested while it runs: $key" "$(sample "$vm.$key")" "$(truth racer "$t.$key")"
done
is "harvested while it runs: resets" "$(sample "$vm.resets")" "$(truth racer "$t.resets.calls")"
high=$(truth racer "$t.high_water") raced=$(truth racer "$t.raced") ours=$(sample "$vm.used_max_entries")
note "high water $high, $raced raced, ours $ours"
num "harvested while it runs: the high-water mark is at least what user space saw" "$ours" -ge "$high"
num "and within the pushes that raced" "$ours" -le "$((high + raced))"
is "each reset event is in one bucket" "$(sample "$vm.fill_at_reset.count | add")" "$(truth racer "$t.reset_events")"

# --- perf counts the same events
perf=$(type -P perf || :)
if [ -z "$perf" ]; then
	fail "perf is here (package linux-perf)"
else
	watch -x stat -j 1
	load counted --vcpus 2 --passes 2 --name counted --wait-start --hold
	load_to counted start
	"$perf" stat -p "${load_pid[counted]}" -x, -e kvm:kvm_dirty_ring_push -o "$TAP_TMP/perf" 2>"$TAP_TMP/perf.err" &
	perf_pid=$!
	# it has opened its event when it waits for the end
	until [ -n "$(find /proc/$perf_pid/fd -lname 'anon_inode:?perf_event?' 2>/dev/null)" ] ||
	      ! kill -0 $perf_pid; do sleep 0.1; done
	sleep 0.5
	load_go counted
	load_to counted end
	kill -INT $perf_pid
	wait $perf_pid
	sleep 0.3
	watch_end
	load_end counted
	pid=$(truth counted .pid)
	seen=$(awk -F, '$3 ~ /kvm_dirty_ring_push/ { print $1 }' "$TAP_TMP/perf")
	mine=".vms[] | select(.pid == $pid) | .dirty_ring"
	is "perf stat: as many as exact mode counts" "$seen" "$(sample "$mine.pushes_exact")"
	is "perf stat: as many as default mode derives" "$seen" "$(sample "$mine.pushes")"
	is "perf stat: as many as there were" "$seen" "$(truth counted '.vms[0].total.pushes')"
fi

done_testing
