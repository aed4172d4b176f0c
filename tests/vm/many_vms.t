#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: stock vm=6.12,6.1 host needs=root,kvm,bpf timeout=900 long
#
# Fifty VMs come and go while we watch, one after the other and all at once, with rings
# and with bitmaps; with the hooks on birth and death, and without them.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/watch.sh"
load_kvm

fentry=1
"$migscope" doctor -j | jq -e '[.probes[] | select(.how == "fentry" and (.source | IN("dirty_ring", "dirty_log", "vm")) and .state != "attached")] == []' >/dev/null ||
	fentry=''
[ -n "$fentry" ] || [ "$MIGSCOPE_KERNEL" = host ] || bail_out "fentry must work on $MIGSCOPE_KERNEL"

gone=(--target ring_alloc=gone --target ring_free=gone --target push_free=gone --target vm_destroy=gone)

# What both sides say of each VM. VMs are told apart by what they did: of fifty that run
# at once nobody but kvmload knows which is which.
truth_filter='.vms | map(.total | [.pushes, .reset_entries, .reset_events, .reset_empty, .resets.calls,
	.full_exits, .high_water]) | sort'
ours_filter='[.vms[] | select(.pid == $pid) | .dirty_ring | [.pushes, .reset_entries, .reset_events,
	.reset_empty, .resets, .full_exits, .used_max_entries]] | sort'
fills='[.vms[] | select(.pid == $pid) | .dirty_ring.fill_at_reset.count] | sort'

# round WHAT ADDRESSES? WATCH-OPTIONS -- LOAD-OPTIONS
round() {
	local what=$1 options=() pid
	shift
	while [ "$1" != -- ]; do options+=("$1"); shift; done
	shift
	watch "${options[@]}" stat -j 1
	load many --wait-start --name many "$@"
	load_to many start && load_go many
	load_end many
	sleep 1.2
	watch_end
	pid=$(truth many .pid)
	is "$what: every VM is seen, once" "$(sample '[.vms[] | select(.pid == $pid)] | length' --argjson pid "$pid")" 50
	is "$what: no id is given twice" "$(sample '[.vms[].id] | length - (unique | length)')" 0
	is "$what: nothing was lost" "$(sample '[.lost | .vms, .rings, .states, .calls, .pushes] | add')" 0
}

compare() {
	local pid
	pid=$(truth many .pid)
	is "$1: every count of every VM" "$(sample "$ours_filter" --argjson pid "$pid")" "$(truth many "$truth_filter")"
	is "$1: every bucket of every VM" "$(sample "$fills" --argjson pid "$pid")" \
	   "$(truth many '.vms | map(.total.occupancy) | sort')"
}

# a plan that is small, and not a multiple of anything
small=(--vms 50 --pages "211,223" --vcpus 2 --ring-size 256 --reset-every 50)

if [ -n "$fentry" ]; then
	round "one after another" -- "${small[@]}"
	compare "one after another"
	is "one after another: they ended" "$(sample '[.vms[] | select(.alive)] | length')" 0
	is "one after another: as many rings as were made" "$(sample '[.vms[].dirty_ring | .rings, .rings_freed] | unique')" '[2]'

	round "at the same time" -- "${small[@]}" --parallel
	compare "at the same time"

	round "what no reset shows" -- "${small[@]}" --leave-tail
	compare "what no reset shows"
	num "what no reset shows: there was some" "$(truth many '[.vms[].total.left] | min')" -gt 0

	round "killed while stalled" -- --vms 50 --ring-size 256 --pages 401 --kill-stalled
	# kvmload looks at a ring when it harvests, which it did not come to
	is "killed while stalled: every count of every VM" \
	   "$(sample "$ours_filter | map(.[:-1])" --argjson pid "$(truth many .pid)")" \
	   "$(truth many "$truth_filter | map(.[:-1])")"
	is "killed while stalled: none of them ended" \
	   "$(sample '[.vms[].dirty_ring | [.stall.count, .stall_unfinished]] | unique')" '[[0,1]]'

	round "exact" -x -- "${small[@]}"
	compare "exact"
	is "exact: one by one, they are as many" "$(sample '[.vms[].dirty_ring | .pushes_exact - .pushes] | unique')" '[0]'

	round "bitmaps" -- --vms 50 --pages 211 --mode bitmap-manual --reset-every 50
	is "bitmaps: every call of every VM" \
	   "$(sample '[.vms[].dirty_log | [.get.calls, .get.bytes, .clear.calls, .clear.bytes, .on.calls]] | sort')" \
	   "$(truth many '.vms | map(.total | [.get.calls, .get.bitmap_bytes, .clear.calls, .clear.bitmap_bytes,
				.logging_on.calls]) | sort')"
	is "bitmaps: they are not taken for rings" "$(sample '[.vms[].dirty_mode] | unique')" '["bitmap"]'
else
	skip 27 "no fentry here: no birth, no death, no bitmaps"
fi

# Without birth and death a VM's address is all there is. kvmload is one process, so its
# next VM at the same address looks like the last one until its rings say otherwise.
[ -z "$fentry" ] || options=("${gone[@]}")
watch "${options[@]}" stat -j 1
for ((i = 0; i < 50; i++)); do
	pages[i]=$((101 + i))
	"$kvmload" --name "nr$i" --pages "${pages[i]}" --ring-size 256 --reset-every 50 >"$TAP_TMP/nr" || break
	[ "$(jq '.vms[0].total | .pushes == .reset_entries' "$TAP_TMP/nr")" = true ] || break
	pids[i]=$(jq .pid "$TAP_TMP/nr")
done
sleep 1.2
watch_end
is "without hooks: fifty processes" "$i" 50
want=$(for ((i = 0; i < ${#pids[@]}; i++)); do echo "[${pids[i]},${pages[i]},$(((pages[i] + 49) / 50))]"; done | jq -sc sort)
mine=$(printf '%s\n' "${pids[@]}" | jq -sc .)
is "without hooks: each VM of each process, and its counts" \
   "$(sample '[.vms[] | select(.pid as $p | $mine | index($p)) | [.pid, .dirty_ring.pushes, .dirty_ring.resets]] | sort' \
	--argjson mine "$mine")" "$want"
is "without hooks: the missing ones are named" \
   "$(sample '[.not_measured[].probe] | contains(["ring_alloc", "ring_free", "vm_destroy"])')" true
is "without hooks: who is gone is not alive" \
   "$(sample '[.vms[] | select(.alive and (.pid as $p | $mine | index($p)))] | length' --argjson mine "$mine")" 0
# of how many rings the address was one that had been another's
watch "${options[@]}" stat -j 1
load many --wait-start --name many "${small[@]}"
load_to many start && load_go many
load_end many
sleep 1.2
watch_end
is "without hooks, one process: no push is lost or counted twice" \
   "$(sample '[.vms[] | select(.pid == $pid) | .dirty_ring.pushes] | add' --argjson pid "$(truth many .pid)")" \
   "$(truth many '[.vms[].total.pushes] | add')"
is "without hooks, one process: no reset is" \
   "$(sample '[.vms[] | select(.pid == $pid) | .dirty_ring | .resets, .reset_events, .reset_entries] | add' \
	--argjson pid "$(truth many .pid)")" \
   "$(truth many '[.vms[].total | .resets.calls, .reset_events, .reset_entries] | add')"

done_testing
