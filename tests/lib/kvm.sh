# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034 # read by those who source this
#
# For tests of KVM in a machine. kvm_start [PARAMETER=VALUE...] of kvm_amd.
#
# After tests/lib/watch.sh, while migscope watches: kvm_logged_slots: what it counts of slots
# that come and go with logging on, or have it switched, is what was switched.

kvm_clients=build/clients/kvm

kvm_start() { modprobe kvm_amd "$@" || bail_out "kvm_amd does not load"; }
kvm_stop() { modprobe -r kvm_amd; }

# kvm_is_ours: a test of what the base does not have must not pass on the base
kvm_is_ours() { [ -e /sys/kernel/tracing/events/kvm/kvm_dirty_ring_reset_done ]; }

kvm_logged_slots() {
	local slots=''
	coproc SLOTS { exec tests/lib/logged_slots.py; }
	read -r -t 60 -u "${SLOTS[0]}" slots
	sleep 0.7
	is "logging that is switched, not slots that come and go with it on: calls, pages" \
	   "$(sample ".vms[] | select(.pid == $(jq .pid <<<"$slots")) | .dirty_log | [[.on, .off][] | [.calls, .pages]]")" \
	   "$(jq -c '[.on, .off]' <<<"$slots")"
	kill "$SLOTS_PID"
	wait "$SLOTS_PID"
}
