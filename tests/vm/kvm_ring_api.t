#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12 timeout=600
#
# What the dirty ring's interface promises and refuses, and its events.
. "${0%/*}/../tap.sh"
probe=build/testmod/$(uname -r)/tests-vm-kvm_ring_probe/kvm_ring_probe.ko
# shellcheck source=tests/lib/kvm.sh
. "${0%/*}/../lib/kvm.sh"

trace=/sys/kernel/tracing/instances/kvm_ring

kvm_start
insmod "$probe" || bail_out "no kvm_ring_probe"
"$kvm_clients/ring_api" >"$TAP_TMP/log" 2>"$TAP_TMP/err"
relay '' "$TAP_TMP/log"
diag "$(cat "$TAP_TMP/err")"

rmmod kvm_ring_probe

# The events, added up, say what the client says.
mkdir "$trace"
for event in reset_done alloc free stall_over push exit; do
	echo 1 >"$trace/events/kvm/kvm_dirty_ring_$event/enable"
done
echo 1 >"$trace/events/kvm/kvm_dirty_log_switch/enable"
said=$("$kvm_clients/ring_exact" -v 2 -s 256 -n 1200 -p dense -r 2 2>&1)
like "the client is content" "$said" 'exact: '
entries=$(sed -n 's/.* \([0-9]*\) entries.*/\1/p' <<<"$said")
resets=$(sed -n 's/.* \([0-9]*\) resets.*/\1/p' <<<"$said")
cat "$trace/trace" >"$TAP_TMP/trace"
count() { grep -c " $1:" "$TAP_TMP/trace"; }
sum() { sed -n "s/.* $1: .* $2 \([0-9]*\).*/\1/p" "$TAP_TMP/trace" | awk '{ s += $1 } END { print s + 0 }'; }
is "one alloc for each ring" "$(count kvm_dirty_ring_alloc)" 2
is "one free for each ring" "$(count kvm_dirty_ring_free)" 2
is "rings are as large as was asked for" \
	"$(grep -c 'alloc: .* size 256 soft limit 192$' "$TAP_TMP/trace")" 2
is "one push for each entry" "$(count kvm_dirty_ring_push)" "$entries"
is "one reset_done for each ring and call" "$(count kvm_dirty_ring_reset_done)" $((2 * resets))
is "their entries are those harvested" "$(sum kvm_dirty_ring_reset_done entries)" "$entries"
is "none was rejected" "$(sum kvm_dirty_ring_reset_done rejected)" 0
num "windows hold several pages" "$(sum kvm_dirty_ring_reset_done windows)" -lt $((entries / 2))
num "a vCPU was turned away" "$(count kvm_dirty_ring_exit)" -ge 1
num "a stall ends for each exit, or each series of them" \
	"$(count kvm_dirty_ring_stall_over)" -ge 1
num "and no more often" "$(count kvm_dirty_ring_stall_over)" -le "$(count kvm_dirty_ring_exit)"
is "a slot that comes with logging on switches nothing" "$(count kvm_dirty_log_switch)" 0
echo >"$trace/trace"
"$kvm_clients/ring_api" tables >/dev/null
cat "$trace/trace" >"$TAP_TMP/trace"
is "what a page table holds takes one MMU call: windows, calls" \
	"$(sum kvm_dirty_ring_reset_done windows) $(sum kvm_dirty_ring_reset_done 'mmu calls')" "14 10"
echo >"$trace/trace"
tests/lib/logged_slots.py </dev/null >"$TAP_TMP/slots"
is "logging that is switched is told, with the size of the slot" \
	"$(sed -n 's/.*kvm_dirty_log_switch: pid [0-9]* \(.*\) duration .*/\1/p' "$trace/trace" | paste -sd,)" \
	"slot 0:2 on: pages 200,slot 0:2 off: pages 200"

echo >"$trace/trace"
echo 1 >"$trace/events/kvm/kvm_dirty_log_sync/enable"
ok "a bitmap, cleared by hand" "$kvm_clients/ring_exact" -B -n 1000 -p asc -r 3
cat "$trace/trace" >"$TAP_TMP/trace"
is "GET is told, with bytes and pages" \
	"$(grep -c 'log_sync: .* slot 0:1 get: bytes 128 pages 1000 ' "$TAP_TMP/trace")" 3
is "CLEAR is told, with bytes and pages" \
	"$(grep -c 'log_sync: .* slot 0:1 clear: bytes 128 pages 1000 ' "$TAP_TMP/trace")" 3
echo 0 >"$trace/events/enable"
rmdir "$trace"
kvm_stop
done_testing
