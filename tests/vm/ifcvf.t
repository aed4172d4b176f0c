#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12,debug timeout=3600 vdpa
#
# Our ifcvf on QEMU's virtio functions behind its Intel IOMMU: with the kernel's own drivers
# on top, and with a process that has the card.
. "${0%/*}/../tap.sh"
# shellcheck source=tests/lib/ifcvf.sh
. "${0%/*}/../lib/ifcvf.sh"
. "${0%/*}/../lib/failslab.sh"

trace=/sys/kernel/tracing/instances/ifcvf_test
client=build/clients/vdpa_card
frames=build/clients/frames

# shellcheck disable=SC2317 # by trap
cleanup() {
	ifcvf_stop
	rmdir "$trace" 2>/dev/null || :
	rm -rf "$TAP_TMP"
}
trap cleanup EXIT

ifcvf_start
for name in ifcvf vdpa virtio_vdpa vhost_vdpa; do
	like "$name is ours" "$(cat /sys/module/$name/taint)" O
done
is "the wire, two cards and a disk" "${#ifcvf_cards[@]} ${#ifcvf_disks[@]}" "2 1"
card=${ifcvf_cards[0]} shared=${ifcvf_cards[1]} disk=${ifcvf_disks[0]}

#
# What a function offers
#
show() { vdpa -j mgmtdev show "pci/$1" | jq -c ".mgmtdev[\"pci/$1\"] | $2"; }
is "a card" "$(show "$card" .supported_classes)" '["net"]'
is "with its queues" "$(show "$card" .max_supported_vqs)" 3
like "and its features" "$(show "$card" .dev_features)" ACCESS_PLATFORM
like "up to the highest, its speed" "$(show "$card" .dev_features)" SPEED_DUPLEX
is "a disk" "$(show "$disk" .supported_classes)" '["block"]'
like "they have no live migration region, and say so" \
	"$(dmesg | grep "ifcvf $card")" 'no live migration region'
ok "a device" vdpa dev add name card mgmtdev "pci/$card"
is "only one of each function" "$(vdpa dev add name more mgmtdev "pci/$card" 2>&1 | grep -c 'No space')" 1
is "with its address" "$(vdpa -j dev config show card | jq -r '.config.card.mac')" 52:54:00:00:00:11
is "an interrupt for each queue, and one" "$(ifcvf_vectors "$card")" 4
vdpa dev del card
is "none without a device" "$(ifcvf_vectors "$card")" 0
# VERSION_1, ACCESS_PLATFORM, MAC; and MTU, which this card does not have
some=0x300000020
like "no features that it lacks" \
	"$(tests/lib/vdpa_nl.py add bus=pci mgmtdev="$card" name=some features=$((some | 8)))" '^Invalid.*features 0x8 are not supported'
nok "nor too few for any driver: no VERSION_1, no ACCESS_PLATFORM" \
	tests/lib/vdpa_nl.py add bus=pci mgmtdev="$card" name=some features=0x20
ok "fewer than it has" tests/lib/vdpa_nl.py add bus=pci mgmtdev="$card" name=some features=$some
is "are those" "$(vdpa -j dev config show some | jq -r '.config.some.mac')" 52:54:00:00:00:11
vdpa dev del some

#
# The kernel's own drivers
#
pci_mirror
kernel_card() {	# WHAT FUNCTION
	local nic
	ok "$1: added" ifcvf_add card "$2" virtio_vdpa
	nic=$(ifcvf_net card)
	isnt "$1: a card of the kernel's" "$nic" ''
	ip link set "$nic" up
	ok "$1: frames come back" "$frames" -n 300 -b 16 "$nic"
	# the control queue: others' frames are not the card's until they are asked for
	ip link set "$nic" address 52:54:00:00:00:77
	ok "$1: to the new address, too" "$frames" -n 50 "$nic"
	ip link set "$nic" down
	ip link set "$nic" up
	ok "$1: and after it was down" "$frames" -n 50 "$nic"
	ok "$1: deleted" vdpa dev del card
}
mkdir "$trace"
echo 1 >"$trace/events/vdpa/vdpa_op/enable"
kernel_card "card" "$card"
echo 0 >"$trace/events/vdpa/vdpa_op/enable"
asked=$(sed -n 's/.* op get_device_features result \(-*\).*/of them\1/p' "$trace/trace" | sort -u)
is "card: the highest feature does not make an error of them" "$asked" "of them"
like "queues that share an interrupt" "$(ifcvf_add card "$shared" virtio_vdpa; dmesg | grep "ifcvf $shared")" \
	'2 vectors for 3 queues: some are shared'
vdpa dev del card
kernel_card "shared interrupts, packed rings" "$shared"
is "no interrupt is left" "$(ifcvf_vectors "$card") $(ifcvf_vectors "$shared")" "0 0"

ok "disk: added" ifcvf_add disk "$disk" virtio_vdpa
dev=$(ifcvf_disk disk)
isnt "disk: of the kernel's" "$dev" ''
ok "disk: blocks" build/clients/blocks -n 60 "/dev/$dev"
ok "disk: requests of many segments" build/clients/blocks -n 20 -s 131072 "/dev/$dev"
ok "disk: deleted" vdpa dev del disk

#
# A process
#
suite() {	# NAME SUITE
	"$client" "$node" "$2" >"$TAP_TMP/out" 2>"$TAP_TMP/err" || diag "$(cat "$TAP_TMP/err")"
	relay "$1" "$TAP_TMP/out"
}
process_card() {	# FUNCTION
	ok "a process's card" ifcvf_add card "$1" vhost_vdpa
	node=$(vdpa_node card)
}

before=$(pins_left)
process_card "$card"
for what in asks frames doorbell memory ranges; do
	suite "$what" $what
	is "$what: no page stays pinned" "$(pins_left)" "$before"
done
is "the platform's IOMMU stood in the way, and said so" \
	"$(dmesg | grep -c 'DMAR: \[DMA .*Request device' | awk '{ print ($1 > 2) }')" 1

if can_fail; then
	suite faults faults
	is "faults: no page stays pinned" "$(pins_left)" "$before"
	vdpa dev del card
	faults() { timeout 1800 python3 tests/lib/vdpa_faults.py "$@"; }
	like "faults: a device" "$(faults add bus=pci mgmtdev="$card" name=card)" 'refused [1-9]'
	is "faults: no interrupt is left" "$(ifcvf_vectors "$card")" 0
	process_card "$card"
else
	skip 1 "only a kernel with CONFIG_FAILSLAB can fail there"
fi

"$client" "$node" stays >"$TAP_TMP/out" &
pid=$!
wait_for_line ready "$TAP_TMP/out"
isnt "it has memory pinned" "$(pins_left)" "$before"
kill -KILL $pid
wait $pid 2>/dev/null
is "killed: no page stays pinned" "$(pins_left)" "$before"
suite "after it" frames

removed() {	# NAME COMMAND...
	local pid status=0
	rm -f "$TAP_TMP/tell"
	mkfifo "$TAP_TMP/tell"
	"$client" "$node" removed <"$TAP_TMP/tell" >"$TAP_TMP/out" 2>&1 &
	pid=$!
	exec 7>"$TAP_TMP/tell"
	wait_for_line ready "$TAP_TMP/out"
	ok "$1: done at once" timeout 60 "${@:2}"
	is "$1: no page stays pinned" "$(pins_left)" "$before"
	echo gone >&7
	exec 7>&-
	wait $pid || status=$?
	is "$1: the process lives on" $status 0
	relay "$1" "$TAP_TMP/out"
}
removed "deleted" vdpa dev del card
process_card "$card"
removed "the function taken from its driver" sh -c "echo $card >/sys/bus/pci/drivers/ifcvf/unbind"
ok "given back" sh -c "echo $card >/sys/bus/pci/drivers/ifcvf/bind"
process_card "$card"
suite "given back" frames
vdpa dev del card

process_card "$shared"
suite "shared page" no-doorbell
suite "packed rings" packed
vdpa dev del card
is "the kernel can have it again: no page stays pinned" "$(pins_left)" "$before"
kernel_card "after processes" "$card"
done_testing
