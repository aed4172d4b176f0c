#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: stock vm=6.12,6.1 own timeout=600 long
#
# KVM as a module: it may come after us, it is held while we watch, and it may go and
# come again.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/watch.sh"
modprobe -rq kvm_amd || :
nok "KVM is not there yet" test -e /sys/module/kvm

"$migscope" doctor -j >"$TAP_TMP/doctor"
is "doctor without KVM: status" "$?" 3
is "doctor without KVM: what it waits for" \
   "$(jq -c '[.probes[] | select(.how != "iterator" and .state != "off" and (.source | test("dirty_|vm$"))) | [.state, .why]] | unique' "$TAP_TMP/doctor")" \
   '[["waiting","kvm is not loaded"]]'

for round in first second; do
	watch -x stat -j 0.5
	like "$round: stat says that it waits" "$(cat "$TAP_TMP/watch.err")" 'waiting for kvm[a-z0-9_, ]* to be loaded'
	sleep 1
	is "$round: nothing is measured yet, and that is said" \
	   "$(sample '[(.vms | length), ([.not_measured[] | select(.state == "waiting")] | length > 10)]' 2>&1)" '[0,true]'
	ok "$round: KVM comes" modprobe kvm_amd
	for ((i = 0; i < 300; i++)); do
		[ "$(sample '.not_measured | length' 2>/dev/null)" != 0 ] || break
		sleep 0.2
	done
	is "$round: everything is attached now" "$(sample .not_measured)" '[]'
	load late --vcpus 2 --ring-size 256 --pages 401,409 --force-full --name late --hold
	load_to late end
	sleep 1
	pid=${load_pid[late]}
	load_end late
	sleep 1.2
	is "$round: a VM that came afterwards, every count" \
	   "$(sample ".vms[] | select(.pid == $pid) | .dirty_ring | [.pushes, .pushes_exact, .resets, .reset_entries, .full_exits, .stall.count, .fill_at_reset.count]")" \
	   "$(truth late '.vms[0].total | [.pushes, .pushes, .resets.calls, .reset_entries, .full_exits, .stalls.ended, .occupancy]')"
	# kvm_amd is not watched, kvm is
	rmmod kvm_amd 2>/dev/null
	rmmod kvm 2>"$TAP_TMP/err"
	isnt "$round: while we watch KVM cannot be removed" "$?" 0
	like "$round: it is in use" "$(cat "$TAP_TMP/err")" 'in use'
	watch_end
	is "$round: status" "$watch_status" 0
	# programs are let go of when the kernel gets to it
	gone=''
	for ((i = 0; i < 100; i++)); do
		if rmmod kvm 2>/dev/null; then gone=1; break; fi
		sleep 0.1
	done
	is "$round: afterwards it can" "$gone" 1
done

done_testing
