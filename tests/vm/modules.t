#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: host needs=qemu
#
# Our modules come before the kernel's own, wherever modprobe is led to them.
. "${0%/*}/../tap.sh"

image=$(kernel/workbench/fetch image)
kver=$(kernel/workbench/fetch kver)

# The base's own files stand in for ours: where they are found is what counts.
mkdir "$TAP_TMP/ours"
for module in drivers/vhost/vhost_iotlb drivers/vfio/vfio_iommu_type1; do
	xz -dc "$image/lib/modules/$kver/kernel/$module.ko.xz" >"$TAP_TMP/ours/${module##*/}.ko"
done

cat >"$TAP_TMP/guest" <<'GUEST'
modinfo -F filename vhost_iotlb vfio_iommu_type1 vhost
modprobe -v vhost 2>&1 | grep -o '/lib/modules.*vhost_iotlb[^ ]*'
# softdep: vfio brings its type1 driver along
modprobe -v vfio 2>&1 | grep -o '/lib/modules.*type1[^ ]*'
grep -c -E '^(vhost_iotlb|vfio_iommu_type1) ' /proc/modules
GUEST

top=/lib/modules/$kver
said=$(tests/vm/run -M "$TAP_TMP/ours" -o "$TAP_TMP/out" -- bash -c "$(<"$TAP_TMP/guest")")
is "ours, by name, by dependency and by soft dependency" "$said" "$top/updates/vhost_iotlb.ko
$top/updates/vfio_iommu_type1.ko
$top/kernel/drivers/vhost/vhost.ko
$top/updates/vhost_iotlb.ko
$top/updates/vfio_iommu_type1.ko
2"
said=$(tests/vm/run -S -M "$TAP_TMP/ours" -o "$TAP_TMP/out" -- bash -c "$(<"$TAP_TMP/guest")")
is "-S: the kernel's own" "$said" "$top/kernel/drivers/vhost/vhost_iotlb.ko
$top/kernel/drivers/vfio/vfio_iommu_type1.ko
$top/kernel/drivers/vhost/vhost.ko
$top/kernel/drivers/vhost/vhost_iotlb.ko
$top/kernel/drivers/vfio/vfio_iommu_type1.ko
2"

status=0
tests/vm/run -M "$TAP_TMP/nowhere" -- true 2>/dev/null || status=$?
is "a folder that is not there" $status 125
done_testing
