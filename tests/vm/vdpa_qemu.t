#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12 timeout=600 needs=qemu own
#
# QEMU with a vDPA device: a guest under KVM exchanges frames by it, over pinned memory
# and over a shared file's; the same through QEMU's shadow virtqueue; and that guest migrates
# to another QEMU while it goes on. The guest compares every frame, and after the migration
# every page that only the device wrote.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/vdpa_net.sh"
. "${0%/*}/../lib/guest_frames.sh"

mac=(--mac 5254000a0b0c)

modprobe kvm_amd || bail_out "no KVM in this machine"
vdpa_net_load
echo 20000 >"$trace/buffer_size_kb"
echo 1 >"$trace/events/vdpa/enable"
echo 1 >"$trace/events/vhost_vdpa/enable"

# devices PARAMETER [FEATURES]: of the simulator; two cards that are the same to the guest
devices() {
	vdpa_net_sim "$1"
	nodes=()
	for name in origin destination; do
		vdpa_net_card $name "${2-}"
		nodes+=("$node")
	done
}
events() { grep -c " $1: $2" "$trace/trace"; }

# exchange WORDS ARGUMENT...: a guest does, and what it says of its frames is looked at
exchange() {
	local words=$1 most=0
	shift
	# Behind shadow virtqueues the guest's kick for buffers may be suppressed. QEMU looks at them
	# when it comes to it, on a machine that is busy after the frames: a card drops those.
	case " $* " in *" --svq "*) most=16 ;; esac
	for ((tries = 0; tries < 5; tries++)); do
		guest "$@"
		# A call that comes between the stop of QEMU 7.2's shadow virtqueues and the reset of
		# the device finds no queue there: it is QEMU that is broken, and now and then.
		grep -q ', -11: it said nothing' "$TAP_TMP/said" || break
		diag "$words: QEMU died of signal 11; once more"
	done
	guest_frames "$words" $most
	is "$words: what was mapped was unmapped" "$(pages map)" "$(pages unmap)"
}

devices use_va=0
exchange "pinned memory" "${mac[@]}" "${nodes[0]}"
num "all of its memory was mapped" "$(pages map)" -ge 4000
num "its kicks came by eventfd" "$(events vdpa_vq_kick)" -ge 50
num "and interrupts went back" "$(events vdpa_vq_callback)" -ge 50
num "to the guest" "$(result .irqs)" -ge 20

exchange "shadow virtqueue" "${mac[@]}" --svq "${nodes[0]}"

exchange "migration" "${mac[@]}" --svq "${nodes[@]}"
is "migration: QEMU says it completed" "$(result .status)" completed
num "migration: in several rounds" "$(result .rounds)" -ge 2
num "migration: the card wrote in the meantime" "$(result .frames_during)" -ge 128
# the card gives back only what is for its address, which the guest had set here
num "migration: frames on the other side" "$(result .frames_after)" -ge 400
num "migration: pages that only the card wrote are as it left them" "$(result .rechecked_after)" -ge 64
num "migration: no more was lost than was on its way" "$(result .lost_after)" -le 16

# and a card that has no control queue
devices use_va=1 0x300010020
exchange "shared memory" --shared "${nodes[0]}"
is "shared memory: nothing is pinned" "$(events vhost_vdpa_pinned)" 0

done_testing
