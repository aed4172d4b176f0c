#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: stock host vm=6.12,6.1 needs=root,kvm timeout=900
#
# kvmload's counts against arithmetic and against perf, its barriers, and whether it
# notices a KVM that lies. In an emulated machine jq takes several times as long as
# kvmload: it runs once, at the end, over most of the truths.
# shellcheck source=tests/tap.sh
. "${0%/*}/../tap.sh"

kvmload=build/kvmload
liar=build/tests/kvmload_liar.so
out=$TAP_TMP/out err=$TAP_TMP/err
loaded=''
if [ ! -e /dev/kvm ]; then
	modprobe kvm_amd && loaded=1
fi
trap '[ -z "$loaded" ] || modprobe -r kvm_amd; rm -rf "$TAP_TMP"' EXIT
[ -e /dev/kvm ] || bail_out "no /dev/kvm, and kvm_amd does not bring it"

# The truth goes to $out, complaints to $err.
run() { timeout 100 "$kvmload" "$@" >"$out" 2>"$err" </dev/null; }

# truth FILTER: of the first VM
truth() { jq -rc "select(.vms) | .vms[0] | $1" "$out"; }

# counts DESC WANTED FILTER ARGS...: kvmload runs, nothing contradicts its plan, and
# FILTER of its truth is WANTED, which check_counts finds out
descs=() wanted=() filters=() failed=()
counts() {
	local status
	descs+=("$1") wanted+=("$2") filters+=("$3")
	shift 3
	run "$@"
	status=$?
	if [ $status -eq 0 ]; then
		failed+=('')
		cat "$out" >>"$TAP_TMP/truths"
	else
		failed+=("kvmload $*: status $status: $(head -3 "$err")")
		echo null >>"$TAP_TMP/truths"
	fi
}
check_counts() {
	local i program='' got
	for ((i = 0; i < ${#descs[@]}; i++)); do
		program+="${program:+,}(.[$i] | try (.vms[0] | (${filters[i]})) catch null | tojson)"
	done
	mapfile -t got < <(jq -rs "$program" "$TAP_TMP/truths")
	for ((i = 0; i < ${#descs[@]}; i++)); do
		if [ -n "${failed[i]}" ]; then
			fail "${descs[i]}" "${failed[i]}"
		else
			is "${descs[i]}" "${got[i]:-}" "${wanted[i]}"
		fi
	done
}

# --- ring sizes
for size in 128 131072; do
	run -s $size
	is "a ring of $size: status" "$?" 2
	like "a ring of $size: what is legal" "$(<"$err")" 'a power of two from [0-9]+ to 65536'
done
counts "a ring of 65536" "[65536,$((65536 - 64)),101]" '[.ring.size, .ring.soft_limit, .total.pushes]' \
	-s 65536 -n 101

# --- the schema
ring='"full_exits","full_max","full_min","high_water","left"'
more='"pushes","raced","repeats","reset_empty","reset_entries","reset_events"'
counts "keys, ring" "$(echo "[
	[\"emulated\",\"exact\",\"killed_stalled\",\"ring\",\"since_barrier\",\"slot\",\"total\",\"vcpus\",\"vm\",\"wrong\"],
	[$ring,\"logging_off\",\"logging_on\",\"occupancy\",$more,\"resets\",\"stalls\",\"unique_pages\",\"vcpus\",\"writes\"],
	[$ring,\"occupancy\",\"pages\",$more,\"stalls\",\"unique_pages\",\"vcpu\",\"writes\"],
	{\"id\":1,\"pages\":503,\"bytes\":$((503 * 4096))},null,true]" | tr -d '\n\t')" \
	'[keys, (.total | keys), (.total.vcpus[0] | keys), .slot, .since_barrier,
	  (.total.resets.seconds | . > 0 and . < 100)]' -n 503 --name box
like "keys, top" "$(<"$out")" \
	'^\{"kvmload":"[^"]+","schema":1,"pid":[0-9]+,"name":"box","mode":"ring","pattern":"seq","passes":1,"batch":64,"rate":0,"vms":'
counts "keys, bitmap" "$(echo '[
	["clear","get","left","logging_off","logging_on","unique_pages","vcpus","writes"],
	["bitmap_bytes","calls","dirty_pages","empty","max_dirty_pages","max_seconds","seconds"]]' |
	tr -d '\n\t')" '[.total | keys, (.get | keys)]' -n 503 -m bitmap

# --- counts against arithmetic, whatever the vCPUs, the order, the ring: 50 at a time, four
# times; at the end what is left of each prime. 50 of 192 is bucket 3, of 960 bucket 1.
pages=(211 223 227 229)
for vcpus in 1 2 4; do
	list=$(IFS=,; echo "${pages[*]:0:vcpus}")
	sum=$((${list//,/+}))
	low=0
	for ((i = 0; i < vcpus; i++)); do
		[ $((pages[i] % 50 * 10)) -gt 192 ] || low=$((low + 1))
	done
	for size in 256 1024; do
		case $size in
		256)	occupancy="[0,$low,$((vcpus - low)),$((4 * vcpus)),0,0,0,0,0,0,0,0]" ;;
		1024)	occupancy="[0,$((5 * vcpus)),0,0,0,0,0,0,0,0,0,0]" ;;
		esac
		for pattern in seq stride random; do
			counts "$vcpus vCPUs, $pattern, ring $size" \
				"[$sum,$sum,$sum,0,$sum,0,5,$((5 * vcpus)),0,50,0,$occupancy,[$list]]" \
				'[.total | .pushes, .unique_pages, .writes, .repeats, .reset_entries, .left,
				  .resets.calls, .reset_events, .reset_empty, .high_water, .full_exits,
				  .occupancy, [.vcpus[].unique_pages]]' \
				-c "$vcpus" -p "$pattern" -s "$size" -n "$list" -e 50
		done
	done
done
counts "default plan: primes, not the same" '[2003,2011]' '[.total.vcpus[].unique_pages]' -c 2
counts "three passes" '[633,211]' '.total | [.pushes, .unique_pages]' -n 211 -P 3 -e 100
counts "one vCPU ends early: empty resets" '[[4,2,2],[4,0,0]]' \
	'[.total.vcpus[] | [.reset_events, .reset_empty, .occupancy[0]]]' -c 2 -n 53,151 -e 50
counts "at most 7 at a time" 7 .total.resets.max_entries -n 101 -e 10 --harvest-max 7
counts "16 GiB" $((16 << 30)) .slot.bytes -n 503 -p random --memory 16G
begin=${EPOCHREALTIME/./}
counts "a rate" 211 .total.writes -n 211 -r 400
num "a rate is never exceeded" $((${EPOCHREALTIME/./} - begin)) -ge 500000

# --- full rings. 1009 pages through a soft limit of 192: five times full, whether a store is
# done when its entry is pushed (emulated: 5 x 192) or comes again (5 x 191)
# shellcheck disable=SC2016 # jq's variable
counts "full rings" '[15,5,0,192,192,192,5,1009,6,true,true]' \
	'.emulated as $emulated | .total | [.full_exits, .stalls.ended, .stalls.unfinished, .full_min,
	 .full_max, .high_water, .occupancy[10], .pushes - .repeats, .resets.calls,
	 .repeats == (if $emulated then 0 else 5 end),
	 (.stalls | .max_seconds > 0 and .seconds >= .max_seconds)]' \
	-s 256 -n 1009 --force-full --full-retries 2
counts "a vCPU that keeps trying" '[2,0,true,true]' \
	'.total | [.stalls.ended, .stalls.unfinished, .stalls.max_seconds >= 0.05, .full_exits >= 4]' \
	-s 256 -n 401 --force-full --full-delay 50
counts "killed while stalled" '[true,0,1,192,192,0,1]' \
	'[.killed_stalled, (.total | .stalls.ended, .stalls.unfinished, .left, .pushes, .resets.calls,
	  .full_exits)]' -s 256 -n 401 --kill-stalled
run -s 256 -n 101 --kill-stalled
is "nothing stalls: status" "$?" 1
like "nothing stalls: says so" "$(<"$err")" 'no vCPU ever stalled'
counts "two vCPUs, full" '[1208,1208,true]' \
	'.total | [.unique_pages, .pushes - .repeats, .reset_entries == .pushes]' \
	-c 2 -s 256 -n 601,607 --force-full
counts "a tail of 3" '[3,503,500,503]' '.total | [.left, .pushes, .reset_entries, .unique_pages]' \
	-n 503 -e 100 --leave-tail

# --- bitmaps: 2003 pages are 32 words
get='(.get | .calls, .bitmap_bytes, .dirty_pages, .max_dirty_pages)'
clear='(.clear | .calls, .bitmap_bytes, .dirty_pages)'
counts "bitmap" "[5,$((5 * 256)),2003,500,0,0,0]" ".total | [$get, $clear]" -m bitmap -n 2003 -e 500
counts "bitmap, manual" "[5,$((5 * 256)),2003,500,5,$((5 * 256)),2003]" ".total | [$get, $clear]" \
	-m bitmap-manual -n 2003 -e 500
counts "bitmap, in chunks" "[4,$((4 * 256)),2003,640,4,$((3 * 80 + 16)),2003]" ".total | [$get, $clear]" \
	-m bitmap-manual -n 2003 -e 640 --clear-chunk 640
counts "bitmap, random" '[5,5,503]' '.total | [.get.calls, .clear.calls, .unique_pages]' \
	-m bitmap-manual -n 503 -e 110 -p random --memory 4G
for mode in ring bitmap bitmap-manual; do
	counts "logging toggled, $mode" '[4,3,3018,1006]' \
		'.total | [.logging_on.calls, .logging_off.calls, .logging_off.pages, .unique_pages]' \
		-m "$mode" -n 503 -P 2 -c 2 --toggle-logging=3
done

# --- harvested while they run
counts "concurrent, ring" '[false,2022,0,true,true]' \
	'[.exact, (.total | .unique_pages, .left, .reset_entries == .pushes,
	  (.occupancy | add) == .reset_events)]' \
	-c 2 -n 1009,1013 -P 3 -s 256 -e 40 --concurrent
for mode in bitmap bitmap-manual; do
	counts "concurrent, $mode" '[2022,0]' '.total | [.unique_pages, .left]' \
		-c 2 -n 1009,1013 -m "$mode" -i 1 --concurrent
done

# --- barriers. 1009 pages: 504 before, with 4 of them in the ring
mkfifo "$TAP_TMP/go"
timeout 300 "$kvmload" -n 1009 -e 100 --wait-start -b --hold --hold-vm --leave-tail <"$TAP_TMP/go" >"$out" &
job=$!
exec 7>"$TAP_TMP/go"
barrier() {	# AT: wait for it, set pid
	local n
	for ((n = 0; n < 600; n++)); do
		[[ $(<"$out") =~ \"at\":\"$1\",\"pid\":([0-9]+) ]] && { pid=${BASH_REMATCH[1]}; return 0; }
		sleep 0.1
	done
	return 1
}
files_of() { find "/proc/$1/fd" -lname "anon_inode:kvm-$2*" 2>/dev/null | wc -l; }
vms_of() { files_of "$1" vm; }
ok "barrier at the start" barrier start
is "no VM before it" "$(vms_of "$pid")" 0
echo >&7
ok "barrier in the middle" barrier middle
is "the VM lives" "$(vms_of "$pid")" 1
sleep 0.3
unlike "nothing ends while it waits" "$(<"$out")" '"end"'
kill -USR1 "$pid"
ok "barrier at the end, after a signal" barrier end
is "the VM still lives" "$(vms_of "$pid")" 1
echo >&7
ok "barrier when only the VM is open" barrier vm
is "it is" "$(vms_of "$pid") $(files_of "$pid" vcpu)" "1 0"
nok "nor is a vCPU mapped" grep -q 'kvm-vcpu' "/proc/$pid/maps"
echo >&7
wait "$job"
is "and then it ends: status" "$?" 0
exec 7>&-
is "before and after: all" "$(truth '.total | [.pushes, .resets.calls, .left, .unique_pages]')" '[1009,10,9,1009]'
is "before and after: since" "$(truth '.since_barrier | [.writes, .pushes, .unique_pages, .reset_entries, .left,
	.resets.calls, .high_water, .occupancy[2], .logging_on.calls]')" '[505,505,505,500,9,5,100,5,0]'
timeout 20 "$kvmload" -b < <(:) >"$out" 2>"$err"
is "input ends at a barrier: status" "$?" 1
like "input ends at a barrier: says why" "$(<"$err")" 'input ended'

# --- seen enough: at the end of a batch, and the counts are of what was written
timeout -s USR2 --preserve-status 3 "$kvmload" -n 503 -e 100 -P 60000 -r 1000 >"$out" 2>"$err"
is "told to end: status" "$?" 0
is "told to end: what was written is the plan" "$(truth '.total |
	[.writes > 0, .writes < 30180000, .writes == .pushes, .left, .unique_pages == ([.writes, 503] | min)]')" \
	'[true,true,true,0,true]'

check_counts

# --- several VMs
for how in --vms=5 '--vms=5 --parallel'; do
	# shellcheck disable=SC2086 # words
	run $how -n 101,103 -c 2 -e 30
	is "$how: each its truth" "$(jq -c '[.vms[] | [.vm, .total.pushes, .wrong]]' "$out")" \
		'[[0,204,0],[1,204,0],[2,204,0],[3,204,0],[4,204,0]]'
done

# --- somebody else counts too
tracefs=/sys/kernel/tracing
mountpoint -q $tracefs || mount -t tracefs tracefs $tracefs
events=kvm:kvm_dirty_ring_push,kvm:kvm_dirty_ring_reset,kvm:kvm_dirty_ring_exit
if perf stat -x, -o "$TAP_TMP/perf" -e "$events" true 2>"$err"; then
	for args in "-c 2 -s 256 --force-full --full-retries 1" "-c 4 -n 503 -e 50" \
		    "-c 2 -n 1009 -P 2 --concurrent -s 256 -e 40"; do
		# shellcheck disable=SC2086 # words
		perf stat -x, -o "$TAP_TMP/perf" -e "$events" timeout 100 $kvmload $args >"$out" 2>"$err"
		is "perf agrees: $args" "$(grep -o '^[0-9]\+' "$TAP_TMP/perf" | paste -sd,)" \
			"$(truth '.total | [.pushes, .reset_events, .full_exits] | join(",")')"
	done
else
	skip 3 "perf cannot count KVM's tracepoints here: $(tail -1 "$err")"
fi

# order ARGS...: the pages of one vCPU in the order in which KVM saw them. A buffer of our
# own, and only for what we start: other VMs may run on this machine.
buffer=$tracefs/instances/kvmload-test.$$
push=$buffer/events/kvm/kvm_dirty_ring_push/enable
order() {
	local line
	echo >"$buffer/trace"
	run -n 101 "$@"
	grep -o 'offset 0x[0-9a-f]*' "$buffer/trace" | while read -r line; do echo $((${line#* })); done
}
stop_tracing() {
	[ ! -e "$push" ] || echo 0 >"$push"
	[ ! -e "$buffer" ] || rmdir "$buffer"
}
trap 'stop_tracing; [ -z "$loaded" ] || modprobe -r kvm_amd; rm -rf "$TAP_TMP"' EXIT
if mkdir "$buffer" 2>"$err" && [ -e "$push" ]; then
	echo 1 >"$buffer/options/event-fork"
	echo $$ >"$buffer/set_event_pid"
	echo 1 >"$push"
	is "order: seq" "$(order -p seq)" "$(seq 0 100)"
	is "order: stride" "$(order -p stride --stride 19)" "$(seq 0 19 1900)"
	one=$(order -p random)
	sorted=$(sort -n <<<"$one")
	is "order: random: 101 different pages" "$(uniq <<<"$sorted" | wc -l)" 101
	isnt "order: random: not in order" "$one" "$sorted"
	num "order: random: beyond the first 101" "${sorted##*$'\n'}" -gt 101
	is "order: random: the same again" "$(order -p random)" "$one"
	isnt "order: random: another seed" "$(order -p random --seed 2)" "$one"
	stop_tracing
else
	skip 7 "KVM's tracepoints cannot be traced here: $(tail -1 "$err")"
fi

# --- a KVM that lies
caught() {	# LIE REGEX ARGS...
	local lie=$1 regex=$2 status
	shift 2
	LIE=$lie LD_PRELOAD=$PWD/$liar timeout 60 "$kvmload" -n 503 "$@" >"$out" 2>"$err"
	status=$?
	[[ $(<"$out") =~ \"wrong\":[1-9] ]] || status="$status, not counted"
	is "a lie is noticed: $lie: status" "$status" 1
	like "a lie is noticed: $lie: says which" "$(<"$err")" "$regex"
}
LIE=none LD_PRELOAD=$PWD/$liar timeout 60 "$kvmload" -n 503 -p stride >"$out" 2>"$err"
is "no lie, nothing to notice" "$?" 0
caught reset-short 'reset [0-9]+ entries, 503 were harvested'
caught reset-nothing 'were harvested' -e 100
caught foreign 'never told to write'
caught twice 'written without an entry: 1'
caught content 'page 0 holds'
caught full 'full exit at 64 entries, below the soft limit'
for mode in bitmap bitmap-manual; do
	caught bit-more 'page 1 is dirty, but nobody' -p stride -m "$mode"
	caught bit-less '1 pages were written and are not in the bitmap' -p stride -m "$mode"
done

done_testing
