#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12,debug timeout=300 iommu
#
# Our type1 backend with an IOMMU: the stock vfio-pci assigns QEMU's edu, which does DMA.
. "${0%/*}/../tap.sh"
# shellcheck source=tests/lib/vfio.sh
. "${0%/*}/../lib/vfio.sh"

# tests/vm/vfio_probe is built for it: build/testmod/*/tests-vm-vfio_probe/vfio_probe.ko
vfio_start
before=$(pins_left)
edu=$(pci_functions 0x1234 0x11e8)
isnt "there is a device to assign" "$edu" ''
vfio_assign "$edu"
vfio_client type1_dma "$edu"
vfio_stop
is "no page stays pinned" "$(pins_left)" "$before"
done_testing
