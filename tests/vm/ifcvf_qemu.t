#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12,debug timeout=600 needs=qemu own long vdpa
#
# QEMU with a PCI function as a vDPA device: its guest exchanges frames over the wire, and
# rings the function's own doorbells.
. "${0%/*}/../tap.sh"
# shellcheck source=tests/lib/ifcvf.sh
. "${0%/*}/../lib/ifcvf.sh"
. "${0%/*}/../lib/guest_frames.sh"

trace=/sys/kernel/tracing/instances/ifcvf_qemu_test

# shellcheck disable=SC2317 # by trap
cleanup() {
	ifcvf_stop
	rmdir "$trace" 2>/dev/null || :
	rm -rf "$TAP_TMP"
}
trap cleanup EXIT

modprobe kvm_amd || bail_out "no KVM in this machine"
ifcvf_start
pci_mirror
# all of a guest's memory is pinned, and charged even to root
ulimit -l unlimited
mkdir "$trace"
echo 20000 >"$trace/buffer_size_kb"
echo 1 >"$trace/events/vdpa/enable"
echo 1 >"$trace/events/vhost_vdpa/enable"
before=$(pins_left)
ok "a device" ifcvf_add card "${ifcvf_cards[0]}" vhost_vdpa
node=$(vdpa_node card)

events() { grep -c " $1: $2" "$trace/trace"; }
exchange() {	# WORDS OPTION...
	guest "${@:2}" "$node"
	guest_frames "$1"
	num "$1: all of its memory was mapped" "$(pages map)" -ge 4000
	is "$1: and unmapped" "$(pages map)" "$(pages unmap)"
	num "$1: interrupts went back" "$(events vdpa_vq_callback)" -ge 50
}
exchange "by eventfd"
kicks=$(events vdpa_vq_kick)
num "by eventfd: its kicks" "$kicks" -ge 50
exchange "the card's own doorbells" --page-per-vq
num "the card's own doorbells: nobody in between" $(($(events vdpa_vq_kick) * 10)) -lt "$kicks"
vdpa dev del card
is "no page stays pinned" "$(pins_left)" "$before"
done_testing
