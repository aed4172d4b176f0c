#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12 needs=qemu own timeout=900 long
#
# The migrations that the demo shows on our modules, smaller: a guest with a vDPA network
# card and a VFIO device, with the ring and with the bitmap. Both arrive and go on, and what
# migscope says of them is what the guest and the devices themselves say.
# shellcheck source=tests/tap.sh
. "${0%/*}/../../tap.sh"

here=tests/clients/migrate
# shellcheck source=tests/clients/migrate/devices.sh
. "$here/devices.sh"
export PYTHONDONTWRITEBYTECODE=1 MIGRATE_GUEST=build/$here/guest.elf
MEMORY=16
PAGES=32

# shellcheck disable=SC2317 # by trap
cleanup() {
	devices_end
	rm -rf "$TAP_TMP"
}
trap cleanup EXIT

modprobe kvm_amd || bail_out "no KVM in this machine"
devices_begin || bail_out "no devices"

qemu() { jq -r "$2" "$TAP_TMP/$1.json"; }
# of the last sample: the origin's device of this kind
device() { tail -n 1 "$TAP_TMP/$1.ndjson" | jq -r --argjson pid "$(qemu "$1" .origin.pid)" \
	".devices[] | select(.pid == \$pid and .$2) | .$2 | $3"; }

for mode in ring bitmap; do
	# a bitmap does not count: there pages are counted where each is marked
	exact=()
	[ $mode = ring ] || exact=(--exact)
	ok "$mode: migscope watches" "$here/watch" start "$TAP_TMP/$mode.ndjson" "${exact[@]}"
	ok "$mode: migrates" "$here/migrate" --mode $mode --memory $MEMORY --rate 500 --bandwidth 8 --patience 20 \
		--vfio-pages $PAGES --json "$TAP_TMP/$mode.json" "${devices_options[@]}"
	ok "$mode: migscope ends" "$here/watch" stop "$TAP_TMP/$mode.ndjson"
	is "$mode: QEMU says it completed" "$(qemu $mode .result.status)" completed
	is "$mode: no page of the CPU's lost a write" "$(qemu $mode .verification.pages_bad)" 0

	# the device counts its passes, each of which pins every page and lets it go
	is "$mode: what the VFIO device wrote is what it says" \
	   "$(qemu $mode '.verification.devices.vfio | [.pages, .bad]' | xargs)" "[ $PAGES, 0 ]"
	pins=$(device $mode vfio .pin.calls)
	passes=$(qemu $mode .devices_at_origin.vfio.passes)
	note "$mode: $pins pins, $passes passes when the origin spoke last"
	num "$mode: a pin for each page of each pass" "$pins" -ge $((passes * PAGES))
	num "$mode: and no more than until it was stopped" "$pins" -le \
		$((($(qemu $mode .verification.devices.vfio.passes) + 1) * PAGES))
	is "$mode: all were let go" "$(device $mode vfio '[.unpin.calls, .pinned_pages]' | xargs)" "[ $pins, 0 ]"
	num "$mode: its bitmap was asked for in each round" \
		"$(device $mode vfio .dirty_get.calls)" -ge "$(qemu $mode .result.rounds)"
	num "$mode: and named pages of its" "$(device $mode vfio .dirty_get.dirty_pages)" -ge $PAGES
	isnt "$mode: not everything counted as dirty" "$(device $mode vfio .scope_full)" true

	is "$mode: no frame came back as another" "$(qemu $mode .verification.devices.net.bad)" 0
	num "$mode: frames came back after it had moved" \
		"$(qemu $mode .verification.devices.net.back)" -gt "$(qemu $mode .devices_at_origin.net.back)"
	# all of the guest's memory, and the queues in QEMU's own
	num "$mode: the card's memory was mapped" "$(device $mode vdpa .mapped_pages)" -ge $(((MEMORY + 16) * 256))
	num "$mode: and pinned meanwhile" "$(jq -s --argjson pid "$(qemu $mode .origin.pid)" \
		'[.[].devices[] | select(.pid == $pid) | .vdpa.pinned_pages // 0] | max' "$TAP_TMP/$mode.ndjson")" \
		-ge $(((MEMORY + 16) * 256))
	num "$mode: and kicked for frames" "$(device $mode vdpa .kicks)" -gt 0
done

shown=$("$here/compare" "$TAP_TMP") || fail "they are laid side by side"
note "$shown"
is "within 80 columns" "$(awk 'length > 79' <<<"$shown")" ""
like "pins, as in the samples" "$shown" "pins,\ unpins\ +[0-9]+,\ [0-9]+\ +[0-9]+,\ [0-9]+"
like "GETs" "$shown" "dirty\ bitmaps\ \(GET\)\ +[1-9][0-9]*\ +[1-9]"
like "memory that is mapped" "$shown" "mapped\ by\ them\ +[1-9][0-9]*\ [KM]iB"
# whether everything counts as dirty is told when it changes
unlike "all of it was measured" "$(grep -v 'all counts as dirty' <<<"$shown")" "not\ measured"

done_testing
