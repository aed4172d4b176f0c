#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12,debug timeout=600 needs=qemu own long
#
# QEMU 7.2 migrates a guest with a vDPA device live without a shadow virtqueue: the device
# logs what it writes. On arrival the guest compares every page that only the device
# wrote, and goes on with used rings that only the device wrote.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/vdpa_node.sh"

trace=/sys/kernel/tracing/instances/vdpa_migrate_test
export PYTHONDONTWRITEBYTECODE=1

# shellcheck disable=SC2317 # by trap
cleanup() {
	modprobe -qr vdpa_sim_net || :
	rmdir "$trace" 2>/dev/null || :
	modprobe -qr vhost_vdpa vdpa || :
	rm -rf "$TAP_TMP"
}
trap cleanup EXIT

modprobe -qr virtio_vdpa
modprobe kvm_amd || bail_out "no KVM in this machine"
modprobe -a vhost_vdpa vdpa || bail_out "no vhost_vdpa"
for name in vdpa vhost_vdpa vhost; do
	like "$name is ours" "$(cat /sys/module/$name/taint)" O
done
# all of a guest's memory is pinned, and charged even to root
ulimit -l unlimited
mkdir "$trace"
echo 1 >"$trace/events/vdpa/vdpa_features/enable"

modprobe vdpa_sim use_va=0 dirty_log=1 || bail_out "no simulator"
modprobe vdpa_sim_net || bail_out "no simulator"
nodes=()
for name in origin destination; do
	# without a control queue, which QEMU would shadow
	tests/clients/vdpa/add vdpasim_net $name 0x300010020 1 52:54:00:12:34:56 || bail_out "no device"
	nodes+=("$(vdpa_node $name)") || bail_out "no device"
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
done_testing
