# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034 # read by those who source this
#
# For tests of KVM in a machine. kvm_start [PARAMETER=VALUE...] of kvm_amd.

kvm_clients=build/clients/kvm

kvm_start() { modprobe kvm_amd "$@" || bail_out "kvm_amd does not load"; }
kvm_stop() { modprobe -r kvm_amd; }

# kvm_is_ours: a test of what the base does not have must not pass on the base
kvm_is_ours() { [ -e /sys/kernel/tracing/events/kvm/kvm_dirty_ring_reset_done ]; }
