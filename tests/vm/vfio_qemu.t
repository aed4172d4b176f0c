#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12 timeout=300 needs=qemu own vdpa
#
# A network card behind an Intel IOMMU, given by the stock vfio-pci and QEMU to a guest
# under KVM, on our type1: all of the guest's memory is mapped for it, and the guest's own
# driver exchanges frames with the other end of the wire and compares them.
. "${0%/*}/../tap.sh"
# shellcheck source=tests/lib/vfio.sh
. "${0%/*}/../lib/vfio.sh"
. "${0%/*}/../lib/guest_frames.sh"

trace=/sys/kernel/tracing/instances/vfio_qemu_test

# shellcheck disable=SC2317 # by trap
cleanup() {
	pci_mirror_stop
	rmdir "$trace" 2>/dev/null || :
	rm -rf "$TAP_TMP"
}
trap cleanup EXIT

modprobe kvm_amd || bail_out "no KVM in this machine"
modprobe vfio_iommu_type1 || bail_out "no vfio_iommu_type1"
like "type1 is ours" "$(cat /sys/module/vfio_iommu_type1/taint)" O
mapfile -t cards < <(pci_functions 0x1af4 0x1041)
num "there are cards to assign" ${#cards[@]} -ge 2
pci_mirror
before=$(pins_left)
mkdir "$trace"
echo 1 >"$trace/events/vfio/enable"

count() { grep -c " vfio_$1: " "$trace/trace"; }
sum() { sed -n "s/.* vfio_$1: .* $2 \([0-9]*\).*/\1/p" "$trace/trace" | awk '{ s += $1 } END { print s + 0 }'; }

# One has a page for each doorbell and an interrupt for each queue, the other neither.
for card in "${cards[@]}"; do
	name=${card#*:}
	vfio_assign "$card"
	guest --name vfio "$card"
	guest_frames "$name"
	num "$name: by interrupts" "$(result .irqs)" -ge 20
	num "$name: all of its memory was mapped" "$(sum map pages)" -ge 4096
	num "$name: in fewer runs than pages" "$(sum map runs)" -lt "$(sum map pages)"
	num "$name: and unmapped, or gone with its container" "$(count container_release)" -ge 1
	is "$name: of which none is left" "$(count container_release)" "$(count container_open)"
	is "$name: nobody asked for dirty pages" "$(count dirty_get)" 0
	is "$name: no page stays pinned" "$(pins_left)" "$before"
done

vfio_stop
modprobe -r kvm_amd
done_testing
