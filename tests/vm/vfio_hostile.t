#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12,debug timeout=1800 iommu
#
# Users of our type1 backend that call anything, and users that are killed: they get
# errors, at worst, and leave nothing behind; what the kernel logs meanwhile fails this.
# MIGSCOPE_LONG=1 takes ten minutes.
. "${0%/*}/../tap.sh"
# shellcheck source=tests/lib/vfio.sh
. "${0%/*}/../lib/vfio.sh"

seconds=60
[ -z "${MIGSCOPE_LONG-}" ] || seconds=600

# tests/vm/vfio_probe is built for it: build/testmod/*/tests-vm-vfio_probe/vfio_probe.ko
vfio_start
before=$(pins_left)
edu=$(pci_functions 0x1234 0x11e8)
isnt "there is a device to assign" "$edu" ''
vfio_assign "$edu"
ok "ioctls at random, for $seconds s" \
	timeout $((seconds + 120)) build/fuzz/vfio_type1 -t $seconds -s "${MIGSCOPE_SEED:-1}" "$edu"
is "no page stays pinned" "$(pins_left)" "$before"
ok "users are killed, 200 times" timeout 900 $vfio_clients/type1_kill -n 200 "$edu"
is "no page stays pinned" "$(pins_left)" "$before"
vfio_stop
done_testing
