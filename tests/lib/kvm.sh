# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# For tests of KVM in a machine: load it, and keep its static keys as they are
# (tests/clients/kvm/hold.c says why). kvm_start [PARAMETER=VALUE...] of kvm_amd.

kvm_clients=build/clients/kvm
hold_pid=''

kvm_start() {
	modprobe kvm_amd "$@" || bail_out "kvm_amd does not load"
	mkfifo "$TAP_TMP/hold.in"
	"$kvm_clients/hold" <"$TAP_TMP/hold.in" >"$TAP_TMP/hold.out" &
	hold_pid=$!
	exec {hold_in}>"$TAP_TMP/hold.in"
	until grep -q held "$TAP_TMP/hold.out"; do
		kill -0 $hold_pid 2>/dev/null || bail_out "no VM can be made"
		sleep 0.1
	done
}

kvm_stop() {
	exec {hold_in}>&-
	wait "$hold_pid"
	rm -f "$TAP_TMP/hold.in" "$TAP_TMP/hold.out"
	modprobe -r kvm_amd
}

# kvm_is_ours: a test of what the base does not have must not pass on the base
kvm_is_ours() { [ -e /sys/kernel/tracing/events/kvm/kvm_dirty_ring_reset_done ]; }
