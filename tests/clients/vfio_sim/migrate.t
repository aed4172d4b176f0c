#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12 needs=qemu own timeout=600 long
#
# A guest with a simulated VFIO device in it migrates from one QEMU to another: what the
# device wrote after it was sent arrives, because the container's dirty bitmap named it,
# and the device goes on where it was. Pages that stay pinned, and pages that are pinned
# for each write.
# shellcheck source=tests/tap.sh
. "${0%/*}/../../tap.sh"

here=tests/clients/vfio_sim
parent=/sys/class/mdev_bus/vfio_sim/mdev_supported_types/vfio_sim-pci
trace=/sys/kernel/tracing/instances/vfio_sim_migrate
origin=00000000-0000-4000-8000-00000000000a
destination=00000000-0000-4000-8000-00000000000b
export PYTHONDONTWRITEBYTECODE=1

# shellcheck disable=SC2317 # by trap
cleanup() {
	for uuid in $origin $destination; do
		[ ! -e "/sys/bus/mdev/devices/$uuid" ] || echo 1 >"/sys/bus/mdev/devices/$uuid/remove"
	done
	[ ! -d $trace ] || rmdir $trace
	rm -rf "$TAP_TMP"
}
trap cleanup EXIT

modprobe kvm_amd || bail_out "no KVM in this machine"
modprobe vfio_iommu_type1 || bail_out "no vfio_iommu_type1"
modprobe vfio_sim || bail_out "no vfio_sim"
mkdir $trace
echo 1 >$trace/events/vfio_sim/vfio_sim_state/enable
for uuid in $origin $destination; do
	echo "$uuid" >"$parent/create" || bail_out "no device"
done

result() { jq -r "$1" "$TAP_TMP/result"; }
states() { sed -n "s/.* device $1 protocol 1 \(.*\) duration.* result 0\$/\1/p" $trace/trace | tr '\n' ','; }

# migrates HOW WORDS PINNED: whether it arrives is told apart from how it went
migrates() {
	local how=$1 words=$2 pinned=$3
	echo >$trace/trace
	rm -f "$TAP_TMP/result"
	"$here/migrate" --how "$how" --json "$TAP_TMP/result" $origin $destination >&2 || :
	is "$words: QEMU says it completed" "$(result .status)" completed || return 0
	num "$words: in several rounds" "$(result .rounds)" -ge 2
	num "$words: the device wrote in the meantime" "$(result .passes_during)" -ge 4
	is "$words: what the device wrote arrived" "$(result .checked.bad_device)" 0 ||
		diag "$(result '.bad_pages | tostring')"
	is "$words: what the CPU wrote arrived" "$(result .checked.bad_cpu)" 0
	is "$words: the device's state arrived" "$(result .checked.bad_state)" 0
	num "$words: it went on from where it was" \
		"$(result .passes_first_at_destination)" -ge "$(result .passes_at_origin)"
	num "$words: its interrupts reach the guest there" "$(result .checked.irqs)" -gt 0
	is "$words: pages are pinned there" "$(result .checked.pinned)" "$pinned"
	like "$words: the origin's states" "$(states $origin)" \
		"running -> pre_copy,pre_copy -> stop_copy,stop_copy -> stop,"
	like "$words: the destination's states" "$(states $destination)" \
		"running -> stop,stop -> resuming,resuming -> stop,stop -> running,"
}

migrates keep "pages that stay pinned" 128
migrates pin "pages pinned for each write" 0

done_testing
