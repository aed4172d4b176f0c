#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12 timeout=600
#
# migscope on our own KVM: the events take the place of the hooks, every count is as
# true as with them, and what only they tell is there.
. "${0%/*}/../tap.sh"

modprobe kvm_amd || skip_all "kvm_amd cannot be loaded"
migscope=build/migscope

doctor=$($migscope doctor)
for probe in ring_alloc_event ring_free_event ring_reset_done ring_reset_fill ring_flush_event ring_stall_over log_sync log_switch; do
	like "$probe is attached" "$(grep "^  $probe " <<<"$doctor")" ' attached$'
done
for probe in ring_alloc ring_free ring_reset_begin ring_reset_end ring_flush_end log_get_begin log_clear_end log_toggle_begin; do
	like "$probe is not needed" "$(grep "^  $probe " <<<"$doctor")" ' off$'
done

$migscope selfcheck >"$TAP_TMP/selfcheck"
is "selfcheck: every count is right" $? 0
grep -vE '^(ok|1\.\.)' "$TAP_TMP/selfcheck" >&2
is "and nothing is skipped" "$(grep -c 'SKIP' "$TAP_TMP/selfcheck")" 0

$migscope stat -j -d 60 60 >"$TAP_TMP/stat" 2>"$TAP_TMP/err" &
stat=$!
for ((i = 0; i < 300; i++)); do
	grep -q ^watching "$TAP_TMP/err" && break
	sleep 0.1
done
build/kvmload -c 2 -p random >"$TAP_TMP/ring"
build/kvmload -c 2 -m bitmap >"$TAP_TMP/bitmap"
kill -INT $stat
wait $stat
is "stat ends well" $? 0
ring=$(jq -c '.vms[] | select(.dirty_mode == "ring") | .dirty_ring' "$TAP_TMP/stat")
num "a random pattern took fewer MMU calls than entries" \
	"$(jq .reset_mmu_calls <<<"$ring")" -lt "$(jq .reset_entries <<<"$ring")"
num "and some" "$(jq .reset_mmu_calls <<<"$ring")" -gt 0
is "flushed once for each reset of something" "$(jq .flushes <<<"$ring")" \
	"$(jq '.vms[0].total.resets | .calls - .empty' "$TAP_TMP/ring")"
num "which took its time" "$(jq '.flush_seconds * 1e9 | floor' <<<"$ring")" -gt 0
is "nothing was rejected" "$(jq .rejected_entries <<<"$ring")" 0
is "pages that the bitmap showed" \
	"$(jq '.vms[] | select(.dirty_mode == "bitmap") | .dirty_log.get.dirty_pages' "$TAP_TMP/stat")" \
	"$(jq .vms[0].total.get.dirty_pages "$TAP_TMP/bitmap")"

rmmod kvm_amd kvm
done_testing
