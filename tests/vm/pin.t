#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: stock vm=6.12,6.1 host needs=root,kvm,bpf timeout=400
#
# migscope pin and unpin: the probes run on without us, and plain bpftool reads them.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/watch.sh"
load_kvm

mounted=''
if ! mountpoint -q /sys/fs/bpf; then
	mount -t bpf bpf /sys/fs/bpf && mounted=1
fi
dir=/sys/fs/bpf/migscope_pin_$$
# shellcheck disable=SC2317 # by trap
cleanup() {
	rm -rf "$dir"
	[ -z "$mounted" ] || umount /sys/fs/bpf
	watch_cleanup
}
trap cleanup EXIT

# says STATUS REGEX ARGS...
says() {
	local want=$1 regex=$2 status=0
	shift 2
	timeout 60 "$migscope" "$@" >"$TAP_TMP/out" 2>&1 || status=$?
	is "migscope $*: status" "$status" "$want"
	like "migscope $*: it says" "$(cat "$TAP_TMP/out")" "$regex"
}
says 2 'the folder is missing' pin
says 2 'one argument too many' pin a b
says 1 'not on a bpf file system' pin "$TAP_TMP/pinned"
nok "nothing is made there" test -e "$TAP_TMP/pinned"
says 1 'nothing of ours is pinned' unpin "$dir"
says 1 'nothing of ours is pinned' unpin /sys/fs/bpf
says 1 'nothing of ours is pinned' unpin "$TAP_TMP"
says 1 'no folder|cannot|parent|No such' pin "$dir/in/nowhere"
nok "and nothing stays of that" test -e "$dir"
says 1 "'\.'" pin "$dir.d"
nok "nor of that" test -e "$dir.d"

ids() { bpftool -j prog list | jq -c '[.[] | select((.name // "") | startswith("ms_")) | .id]'; }
before=$(ids)
says 0 'probes pinned' pin "$dir"
says 1 'is there already' pin "$dir"

load ring --ring-size 256 --pages 401,409 --vcpus 2 --force-full --name ring --hold
load_to ring end
row=$(bpftool -j map dump pinned "$dir/maps/ms_ring_vms" >"$TAP_TMP/dump"; jq -c '[.[] | .formatted.value // .value]' "$TAP_TMP/dump")
ok "a map has fields with names" jq -e '.[0] | has("pushes") and has("reset_entries") and has("used_max") and has("fill")' <<<"$row"
like "and the plain dump does, too" "$(bpftool map dump pinned "$dir/maps/ms_rings")" '"(vcpu_id|reset_events)": [0-9]'
id=$(bpftool -j map dump pinned "$dir/maps/ms_vms" | jq "[.[] | .formatted // . | select(.value.tgid == ${load_pid[ring]}) | .key][0]")
mine=$(jq -c --argjson id "${id:-0}" '[.[] | .formatted // . | select(.key == $id) | .value][0]' "$TAP_TMP/dump")
pid=${load_pid[ring]}
# what the end of kvmload adds is not there yet: it is held before the VM goes
load_end ring
is "$pid: what the map holds is what was done" \
   "$(jq -c '[.resets, .reset_events, .reset_entries, .full_exits, .used_max, .fill]' <<<"$mine")" \
   "$(truth ring '.vms[0].total | [.resets.calls, .reset_events, .reset_entries, .full_exits, .high_water, .occupancy]')"
# enum ms_self: MS_SELF_RING_CHANGES
changes=$(bpftool -j map dump pinned "$dir/maps/ms_self" | jq '[.[] | .formatted // . | select(.key == 14) | .value][0]')
if [ -e "$dir/links/ms_ring_free" ]; then
	num "rings that came and rings that went are changes" "$changes" -ge 4
else
	num "rings that came are changes" "$changes" -ge 2
fi
count=0
for prog in "$dir"/progs/*; do
	like "bpftool prog show pinned ${prog##*/}" "$(bpftool prog show pinned "$prog" 2>&1)" 'tracing .*name ms_'
	like "bpftool link show pinned ${prog##*/}" "$(bpftool link show pinned "$dir/links/${prog##*/}" 2>&1)" '(tracing|iter|raw_tracepoint) .*prog'
	count=$((count + 1))
done
num "as many as were attached" "$count" -ge 4
ok "the iterator over files is read with cat" test -n "$dir/links/ms_ring_files"
says 0 '' unpin "$dir"
nok "nothing stays of it" test -e "$dir"
for ((i = 0; i < 100; i++)); do
	[ "$(ids)" != "$before" ] || break
	sleep 0.1
done
[ "$MIGSCOPE_KERNEL" = host ] || is "nor in the kernel" "$(ids)" "$before"

# With small maps: nobody is there who would forget VMs that ended.
small=build/tests/miscount/small/migscope
# self NUMBER of enum ms_self
self() { bpftool -j map dump pinned "$dir/maps/ms_self" | jq "[.[] | .formatted // . | select(.key == $1) | .value][0]"; }
# held MAP: the number of its entries
held() { bpftool -j map dump pinned "$dir/maps/$1" | jq length; }
full() { echo "[$(self 1),$(self 2),$(self 3),$(self 16)]"; }
if [ -x "$small" ]; then
	migscope=$small says 0 'probes pinned' -w pin "$dir"
	if [ -e "$dir/links/ms_vm_destroy" ]; then
		"$kvmload" --vms 40 --vcpus 2 --ring-size 256 --pages 67,71 >"$TAP_TMP/many" || diag "kvmload: $?"
		num "nobody reads: they ended" "$(self 7)" -ge 40
		is "nobody reads: many VMs, and room for each one's threads" "$(full)" '[0,0,0,0]'
		num "nobody reads: some of those that ended are kept" "$(held ms_threads)" -ge 4
		large=(--vcpus 8 --ring-size 256 --pages 223 --force-full)
		"$kvmload" --vms 7 "${large[@]}" >"$TAP_TMP/many" || diag "kvmload: $?"
		load last "${large[@]}" --name last --hold
		load_to last end
		is "nobody reads: those that ended make room for the living" "$(full)" '[0,0,0,0]'
		num "nobody reads: whose threads are there" "$(bpftool -j map dump pinned "$dir/maps/ms_threads" |
			jq --argjson id "$(self 0)" '[.[] | .formatted.value // .value | select(.vm == $id)] | length')" -ge 2
		load_end last
		is "nobody reads: nor does a page of theirs find no room" \
			"$(bpftool -j map dump pinned "$dir/maps/ms_page_vms" | jq '[.[] | .formatted.value // .value | .overflow] | add')" 0
		num "nobody reads: what is told of pages goes with its VM" "$(held ms_page_vms)" -le 6
	else
		skip 7 "no fentry here: who would know that they ended?"
	fi
	says 0 '' unpin "$dir"
else
	skip 11 "make check builds the one that it is for"
fi

says 0 'probes pinned' pin -s dirty_ring "$dir"
nok "-s: no probe of another source" compgen -G "$dir/progs/ms_log_*"
says 0 '' unpin "$dir"

done_testing
