#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12,debug timeout=600 needs=qemu own long
#
# QEMU 7.2 migrates a guest with a vDPA device live without a shadow virtqueue: the device
# logs what it writes. On arrival the guest compares every page that only the device
# wrote, of frames and of used rings. That of the rings proves nothing of their log: QEMU
# sends them with the last pages, as it stops the device. So they must have been sent before.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/vdpa_net.sh"
export PYTHONDONTWRITEBYTECODE=1

modprobe kvm_amd || bail_out "no KVM in this machine"
vdpa_net_load
vdpa_net_sim use_va=0 dirty_log=1
nodes=()
for name in origin destination; do
	# without a control queue, which QEMU would shadow
	vdpa_net_card $name 0x300010020
	nodes+=("$node")
done
result() { jq -r "$1" "$TAP_TMP/result" 2>/dev/null; }
ok "a guest migrates" tests/clients/vdpa/qemu --json "$TAP_TMP/result" "${nodes[@]}"
is "QEMU says it completed" "$(result .status)" completed
num "in several rounds" "$(result .rounds)" -ge 2
num "the card wrote in the meantime" "$(result .frames_during)" -ge 128
num "frames on the other side" "$(result .frames_after)" -ge 400
is "none was lost" "$(result .lost)" 0
num "no more than were on their way when it stopped" "$(result .lost_after)" -le 16
num "pages that only the card wrote are as it left them" "$(result .rechecked_after)" -ge 64
num "its used rings are, too" "$(result .used_rechecked_after)" -ge 400
num "which were sent again while it went on" "$(result .used_rings_sent)" -ge 1
done_testing
