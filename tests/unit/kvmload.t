#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: host vm=6.12,6.1 needs=root,kvm timeout=400
#
# kvmload: its options, its counts against arithmetic and against perf, its barriers, and
# whether it notices a KVM that lies.
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

# run ARGS...: the truth goes to $out, complaints to $err; returns kvmload's status
run() { timeout 100 "$kvmload" "$@" >"$out" 2>"$err" </dev/null; }

# done_ok DESC ARGS...: runs, and nothing contradicts the plan
done_ok() {
	local desc=$1
	shift
	run "$@"
	is "$desc" "$?" 0 || diag "$(head -5 "$err")"
}

# truth FILTER: of the first VM
truth() { tail -1 "$out" | jq -rc ".vms[0] | $1"; }

# exits DESC STATUS REGEX ARGS...
exits() {
	local desc=$1 status=$2 regex=$3
	shift 3
	run "$@"
	is "$desc: status" "$?" "$status"
	like "$desc: says why" "$(cat "$err")" "$regex"
}

# --- the command line
like "--help names the options" "$($kvmload --help)" '--ring-size.*--force-full.*Exit status'
is "--help: status" "$($kvmload --help >/dev/null; echo $?)" 0
like "--version" "$($kvmload --version)" '^kvmload [^ ]+$'
exits "an unknown option" 2 'unrecognized option' --frobnicate
exits "an argument" 2 'no arguments' foo
exits "an unknown mode" 2 "'dirty' is not known" --mode dirty
exits "an unknown pattern" 2 "'zigzag' is not known" --pattern zigzag
exits "a negative number" 2 'not a number' --vcpus -1
exits "a batch above the reserve" 2 'from 1 to 64' --batch 65
exits "page counts for other vCPUs" 2 '2 numbers for 3 vCPUs' -c 3 -n 5,7
exits "a memory too small" 2 'the plan needs 503 pages' -n 503 --memory 1M
exits "a full bitmap" 2 'never full' -m bitmap --force-full
exits "forced and asked for" 2 'exclude' --force-full -e 10
exits "a chunk across words" 2 'multiple of 64' -m bitmap-manual --clear-chunk 100

# --- ring sizes
exits "a ring of 300" 2 'not a power of two' -s 300
exits "a ring of 128" 2 'a power of two from [0-9]+ to 65536' -s 128
exits "a ring of 131072" 2 'from [0-9]+ to 65536' -s 131072
done_ok "a ring of 65536" -s 65536 -n 101
is "its soft limit" "$(truth .ring.soft_limit)" $((65536 - 64))

# --- no KVM
exits "no device" 77 'No such file' --device "$TAP_TMP/kvm"
exits "a device that is not KVM" 77 'not KVM' --device /dev/zero
cp "$kvmload" "$TAP_TMP/kvmload"	# who may not read the repository
chmod 755 "$TAP_TMP"
mode=$(stat -c %a /dev/kvm)
chmod 600 /dev/kvm
setpriv --reuid 65534 --regid 65534 --clear-groups "$TAP_TMP/kvmload" >"$out" 2>"$err"
is "no permission: status" "$?" 77
chmod "$mode" /dev/kvm
like "no permission: says why" "$(cat "$err")" 'Permission denied.*root'

# --- the schema
done_ok "ring mode" -n 503 --name box
is "top keys" "$(jq -c 'keys' "$out")" \
	'["batch","kvmload","mode","name","passes","pattern","pid","rate","schema","vms"]'
is "VM's keys" "$(truth keys)" \
	'["emulated","exact","killed_stalled","ring","since_barrier","slot","total","vcpus","vm","wrong"]'
ring_keys='"full_exits","full_max","full_min","high_water","left"'
is "counters" "$(truth '.total | keys')" \
	"[$ring_keys,\"logging_off\",\"logging_on\",\"occupancy\",\"pushes\",\"raced\",\"repeats\",\"reset_empty\",\"reset_entries\",\"reset_events\",\"resets\",\"stalls\",\"unique_pages\",\"vcpus\",\"writes\"]"
is "a vCPU's counters" "$(truth '.total.vcpus[0] | keys')" \
	"[$ring_keys,\"occupancy\",\"pages\",\"pushes\",\"raced\",\"repeats\",\"reset_empty\",\"reset_entries\",\"reset_events\",\"stalls\",\"unique_pages\",\"vcpu\",\"writes\"]"
is "its name" "$(jq -r .name "$out")" box
is "the slot" "$(truth .slot)" "{\"id\":1,\"pages\":503,\"bytes\":$((503 * 4096))}"
is "no barrier" "$(truth .since_barrier)" null
ok "durations are seconds" jq -e '.vms[0].total.resets.seconds | . > 0 and . < 100' "$out"
done_ok "bitmap mode" -n 503 -m bitmap
is "bitmap counters" "$(truth '.total | keys')" \
	'["clear","get","left","logging_off","logging_on","unique_pages","vcpus","writes"]'
is "GET counters" "$(truth '.total.get | keys')" \
	'["bitmap_bytes","calls","dirty_pages","empty","max_dirty_pages","max_seconds","seconds"]'

# --- counts against arithmetic, whatever the vCPUs, the order, the ring
pages=(211 223 227 229)
for vcpus in 1 2 4; do
	for pattern in seq stride random; do
		for size in 256 1024; do
			list=$(IFS=,; echo "${pages[*]:0:vcpus}")
			sum=$((${list//,/+}))
			what="$vcpus vCPUs, $pattern, ring $size"
			done_ok "$what" -c "$vcpus" -p "$pattern" -s "$size" -n "$list" -e 50
			# 50 at a time, four times; at the end what is left of each prime
			is "$what: counts" "$(truth '.total |
				[.pushes, .unique_pages, .writes, .repeats, .reset_entries, .left,
				 .resets.calls, .reset_events, .reset_empty, .high_water, .full_exits]')" \
				"[$sum,$sum,$sum,0,$sum,0,5,$((5 * vcpus)),0,50,0]"
			is "$what: each vCPU" "$(truth '[.total.vcpus[].unique_pages]')" "[$list]"
			# 50 of 192 is bucket 3, of 960 bucket 1; 11 to 29 are 1 or 2 of 192
			case $size in
			256)	tail=$(for ((i = 0; i < vcpus; i++)); do echo $((pages[i] % 50)); done |
				       awk '{ b[$1 * 10 <= 192 ? 1 : 2]++ } END { print b[1] + 0 "," b[2] + 0 }')
				want="[0,$tail,$((4 * vcpus)),0,0,0,0,0,0,0,0]" ;;
			1024)	want="[0,$((5 * vcpus)),0,0,0,0,0,0,0,0,0,0]" ;;
			esac
			is "$what: occupancy" "$(truth .total.occupancy)" "$want"
		done
	done
done
done_ok "default plan" -c 2
is "default plan: primes, not the same" "$(truth '[.total.vcpus[].unique_pages]')" '[2003,2011]'
done_ok "three passes" -n 211 -P 3 -e 100
is "three passes: every one is seen" "$(truth '.total | [.pushes, .unique_pages]')" '[633,211]'
done_ok "one vCPU ends early" -c 2 -n 53,151 -e 50
is "one vCPU ends early: empty resets" "$(truth '[.total.vcpus[] | [.reset_events, .reset_empty, .occupancy[0]]]')" \
	'[[4,2,2],[4,0,0]]'
done_ok "at most 7 at a time" -n 101 -e 10 --harvest-max 7
is "at most 7 at a time" "$(truth '.total.resets.max_entries')" 7
done_ok "16 GiB" -n 503 -p random --memory 16G
is "16 GiB: the slot" "$(truth .slot.bytes)" $((16 << 30))
begin=$(date +%s%N)
done_ok "a rate" -n 211 -r 400
num "a rate is never exceeded" $((($(date +%s%N) - begin) / 1000000)) -ge 500

# --- full rings. 1009 pages through a soft limit of 192: five times full, whether a store is
# done when its entry is pushed (emulated: 5 x 192) or comes again (5 x 191)
done_ok "full rings" -s 256 -n 1009 --force-full --full-retries 2
is "full rings: counts" "$(truth '.total | [.full_exits, .stalls.ended, .stalls.unfinished, .full_min,
	.full_max, .high_water, .occupancy[10], .pushes - .repeats, .resets.calls]')" \
	'[15,5,0,192,192,192,5,1009,6]'
is "full rings: what is pushed twice" "$(truth '.total.repeats == (if .emulated then 0 else 5 end)')" true
ok "full rings: stalls took time" jq -e '.vms[0].total.stalls | .max_seconds > 0 and .seconds >= .max_seconds' "$out"
done_ok "a delay" -s 256 -n 401 --force-full --full-delay 20
num "a delay: several full exits in a stall" "$(truth .total.full_exits)" -gt "$(truth .total.stalls.ended)"
is "a delay: the stalls" "$(truth '.total.stalls | [.ended, .unfinished]')" '[2,0]'
ok "a delay: at least as long" jq -e '.vms[0].total.stalls.max_seconds >= 0.020' "$out"
done_ok "killed while stalled" -s 256 -n 401 --kill-stalled
is "killed while stalled: counts" "$(truth '[.killed_stalled, (.total | .stalls.ended, .stalls.unfinished,
	.left, .pushes, .resets.calls, .full_exits)]')" '[true,0,1,192,192,0,1]'
exits "nothing stalls" 1 'no vCPU ever stalled' -s 256 -n 101 --kill-stalled
done_ok "two vCPUs, full" -c 2 -s 256 -n 601,607 --force-full
is "two vCPUs, full: nothing lost" "$(truth '.total | [.unique_pages, .pushes - .repeats, .reset_entries == .pushes]')" \
	'[1208,1208,true]'
done_ok "a tail" -n 503 -e 100 --leave-tail
is "a tail: 3 are left" "$(truth '.total | [.left, .pushes, .reset_entries, .unique_pages]')" '[3,503,500,503]'

# --- bitmaps: 2003 pages are 32 words
for mode in bitmap bitmap-manual; do
	done_ok "$mode" -m "$mode" -n 2003 -e 500 -p seq
	is "$mode: GET" "$(truth '.total.get | [.calls, .bitmap_bytes, .dirty_pages, .max_dirty_pages]')" \
		"[5,$((5 * 256)),2003,500]"
done
is "CLEAR" "$(truth '.total.clear | [.calls, .bitmap_bytes, .dirty_pages]')" "[5,$((5 * 256)),2003]"
done_ok "CLEAR in chunks" -m bitmap-manual -n 2003 -e 640 --clear-chunk 640
is "CLEAR in chunks" "$(truth '.total.clear | [.calls, .bitmap_bytes, .dirty_pages]')" \
	"[4,$((3 * 80 + 16)),2003]"
for mode in ring bitmap bitmap-manual; do
	done_ok "logging toggled, $mode" -m "$mode" -n 503 -P 2 -c 2 --toggle-logging=3
	is "logging toggled, $mode" "$(truth '.total | [.logging_on.calls, .logging_off.calls,
		.logging_off.pages, .unique_pages]')" '[4,3,3018,1006]'
done

# --- harvested while they run
done_ok "concurrent ring" -c 2 -n 1009,1013 -P 3 -s 256 -e 40 --concurrent
is "concurrent ring: nothing lost" "$(truth '[.exact, (.total | .unique_pages, .left,
	.reset_entries == .pushes, (.occupancy | add) == .reset_events)]')" '[false,2022,0,true,true]'
for mode in bitmap bitmap-manual; do
	done_ok "concurrent $mode" -c 2 -n 1009,1013 -m "$mode" -i 1 --concurrent
	is "concurrent $mode: nothing lost" "$(truth '.total | [.unique_pages, .left]')" '[2022,0]'
done

# --- barriers. 1009 pages: 504 before, with 4 of them in the ring
mkfifo "$TAP_TMP/go"
timeout 100 "$kvmload" -n 1009 -e 100 --wait-start -b --hold --leave-tail <"$TAP_TMP/go" >"$out" &
job=$!
exec 7>"$TAP_TMP/go"
barrier() {	# AT: wait for it, set pid
	local n
	for ((n = 0; n < 600; n++)); do
		pid=$(jq -r "select(.at == \"$1\") | .pid" "$out" 2>/dev/null)
		[ -z "$pid" ] || return 0
		sleep 0.1
	done
	return 1
}
vms_of() { find "/proc/$1/fd" -lname 'anon_inode:kvm-vm' 2>/dev/null | wc -l; }
ok "barrier at the start" barrier start
is "no VM before it" "$(vms_of "$pid")" 0
echo >&7
ok "barrier in the middle" barrier middle
is "the VM lives" "$(vms_of "$pid")" 1
sleep 0.3
is "nothing ends while it waits" "$(jq -r .at "$out" | tail -1)" middle
kill -USR1 "$pid"
ok "barrier at the end, after a signal" barrier end
is "the VM still lives" "$(vms_of "$pid")" 1
echo >&7
wait "$job"
is "and then it ends: status" "$?" 0
exec 7>&-
is "before and after: all" "$(truth '.total | [.pushes, .resets.calls, .left, .unique_pages]')" '[1009,10,9,1009]'
is "before and after: since" "$(truth '.since_barrier | [.writes, .pushes, .unique_pages, .reset_entries, .left,
	.resets.calls, .high_water, .occupancy[2], .logging_on.calls]')" '[505,505,505,500,9,5,100,5,0]'
timeout 20 "$kvmload" -b < <(:) >"$out" 2>"$err"
is "input ends at a barrier: status" "$?" 1
like "input ends at a barrier: says why" "$(cat "$err")" 'input ended'

# --- several VMs
for how in '' --parallel; do
	# shellcheck disable=SC2086 # one word or none
	done_ok "5 VMs $how" --vms 5 $how -n 101,103 -c 2 -e 30
	is "5 VMs $how: each its truth" "$(jq -c '[.vms[] | [.vm, .total.pushes, .wrong]]' "$out")" \
		'[[0,204,0],[1,204,0],[2,204,0],[3,204,0],[4,204,0]]'
done

# --- somebody else counts too
events=kvm:kvm_dirty_ring_push,kvm:kvm_dirty_ring_reset,kvm:kvm_dirty_ring_exit
mountpoint -q /sys/kernel/tracing || mount -t tracefs tracefs /sys/kernel/tracing
if perf stat -x, -o "$TAP_TMP/perf" -e "$events" true 2>"$err"; then
	for args in "-c 2 -s 256 --force-full --full-retries 1" "-c 4 -n 503 -e 50" \
		    "-c 2 -n 1009 -P 2 --concurrent -s 256 -e 40"; do
		# shellcheck disable=SC2086 # words
		perf stat -x, -o "$TAP_TMP/perf" -e "$events" timeout 100 $kvmload $args >"$out" 2>"$err"
		is "perf agrees: $args" "$(grep -o '^[0-9]\+' "$TAP_TMP/perf" | paste -sd,)" \
			"$(truth '.total | [.pushes, .reset_events, .full_exits] | join(",")')"
	done
	# the pages in the order in which KVM saw them
	order() {
		perf record -q -o "$TAP_TMP/perf.data" -e kvm:kvm_dirty_ring_push \
			timeout 60 $kvmload -n 101 "$@" >"$out" 2>"$err"
		perf script -i "$TAP_TMP/perf.data" -F trace 2>/dev/null |
			while read -r line; do
				[[ $line =~ offset\ (0x[0-9a-f]+) ]] && echo $((BASH_REMATCH[1]))
			done
	}
	is "order: seq" "$(order -p seq)" "$(seq 0 100)"
	is "order: stride" "$(order -p stride --stride 19)" "$(seq 0 19 1900)"
	one=$(order -p random)
	is "order: random: 101 different pages" "$(sort -n <<<"$one" | uniq | wc -l)" 101
	isnt "order: random: not in order" "$one" "$(sort -n <<<"$one")"
	num "order: random: beyond the first 101" "$(sort -n <<<"$one" | tail -1)" -gt 101
	is "order: random: the same again" "$(order -p random)" "$one"
	isnt "order: random: another seed" "$(order -p random --seed 2)" "$one"
else
	skip 10 "perf cannot count KVM's tracepoints here: $(tail -1 "$err")"
fi

# --- a KVM that lies
caught() {	# LIE REGEX ARGS...
	local lie=$1 regex=$2
	shift 2
	LIE=$lie LD_PRELOAD=$PWD/$liar timeout 60 "$kvmload" "$@" >"$out" 2>"$err"
	is "a lie is noticed: $lie: status" "$?" 1
	like "a lie is noticed: $lie: says which" "$(cat "$err")" "$regex"
	num "a lie is noticed: $lie: is counted" "$(truth .wrong)" -gt 0
}
LIE=none LD_PRELOAD=$PWD/$liar timeout 60 "$kvmload" -n 503 -p stride >"$out" 2>"$err"
is "no lie, nothing to notice" "$?" 0
caught reset-short 'reset [0-9]+ entries, 503 were harvested' -n 503
caught reset-nothing 'were harvested' -n 503 -e 100
caught foreign 'never told to write' -n 503
caught twice 'written without an entry: 1' -n 503
caught content 'page 0 holds' -n 503
caught full 'full exit at 64 entries, below the soft limit' -n 503
for mode in bitmap bitmap-manual; do
	caught bit-more 'page 1 is dirty, but nobody' -n 503 -p stride -m "$mode"
	caught bit-less '1 pages were written and are not in the bitmap' -n 503 -p stride -m "$mode"
done

ok "kvmload's fill buckets are migscope's" build/tests/fill_bucket

done_testing
