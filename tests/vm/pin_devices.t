#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12 timeout=300
#
# Devices that can migrate, one process after another, with nobody there who would forget
# those that were given back.
. "${0%/*}/../tap.sh"

small=build/tests/miscount/small/migscope
dir=/sys/fs/bpf/migscope_pin_$$
uuid=00000000-0000-4000-8000-000000000001
mounted=''
# shellcheck disable=SC2317 # by trap
cleanup() {
	rm -rf "$dir"
	[ -z "$mounted" ] || umount /sys/fs/bpf
	[ ! -e /sys/bus/mdev/devices/$uuid ] || echo 1 >/sys/bus/mdev/devices/$uuid/remove
	modprobe -qra vfio_sim vfio_iommu_type1 || :
	rm -rf "$TAP_TMP"
}
trap cleanup EXIT
if ! mountpoint -q /sys/fs/bpf; then
	mount -t bpf bpf /sys/fs/bpf && mounted=1
fi
modprobe -a vfio_sim vfio_iommu_type1 || bail_out "no vfio_sim"
echo $uuid >/sys/class/mdev_bus/vfio_sim/mdev_supported_types/vfio_sim-pci/create

if [ -x $small ]; then
	ok "it is pinned" $small pin -s vfio "$dir"
	for ((i = 0; i < 12; i++)); do
		yes 2>/dev/null | build/clients/vfio_sim given_back $uuid >/dev/null || diag "round $i: $?"
	done
	# enum ms_self: MS_SELF_DEVS_FULL
	is "each finds room" "$(bpftool -j map dump pinned "$dir/maps/ms_self" |
		jq '[.[] | .formatted // . | select(.key == 10) | .value][0]')" 0
	num "some that ended are kept" "$(bpftool -j map dump pinned "$dir/maps/ms_vfio_migs" | jq length)" -ge 1
	ok "it is unpinned" $small unpin "$dir"
else
	skip 4 "make check builds the one that it is for"
fi

done_testing
