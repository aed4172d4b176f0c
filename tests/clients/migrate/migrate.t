#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12 needs=qemu stock own timeout=900 long
#
# The migrations that the demo shows, smaller: they converge in both modes, what
# arrives is what was written, a write that is lost is found, and twice the dirty
# rate is seen by QEMU and by migscope.
# shellcheck source=tests/tap.sh
. "${0%/*}/../../tap.sh"

here=tests/clients/migrate
export PYTHONDONTWRITEBYTECODE=1 MIGRATE_GUEST=build/$here/guest.elf
MEMORY=24
PAGES=$((MEMORY * 256))

modprobe kvm_amd || bail_out "no KVM in this machine"

# migrate FILE OPTION...: the result is left in FILE.json
migrate() {
	local file=$TAP_TMP/$1
	shift
	"$here/migrate" --memory $MEMORY --bandwidth 10 --patience 20 --json "$file.json" "$@" 2>"$file.log"
}

# watched FILE MODE RATE [MIGSCOPE-OPTION...]
watched() {
	local file=$1 mode=$2 rate=$3
	shift 3
	migrate "$file" --mode "$mode" --rate "$rate" \
		--hook-before "$here/watch start $TAP_TMP/$file.ndjson $*" --hook-after "$here/watch stop $TAP_TMP/$file.ndjson"
}

qemu() { jq -r "$2" "$TAP_TMP/$1.json"; }
# of the last sample, the origin's
scope() { tail -n 1 "$TAP_TMP/$1.ndjson" | jq -r ".vms[0]$2"; }

arrived() {
	is "$1: QEMU says it completed" "$(qemu "$1" .result.status)" completed
	ok "$1: and how long it took" jq -e '.result | .total_seconds > 0 and .downtime_seconds > 0' "$TAP_TMP/$1.json"
	num "$1: in several rounds" "$(qemu "$1" .result.rounds)" -ge 3
	is "$1: every page was checked" "$(qemu "$1" .verification.pages_checked)" $PAGES
	is "$1: none lost a write" "$(qemu "$1" .verification.pages_bad)" 0
	ok "$1: the guest went on from where it was" \
		jq -e '.verification | .writes_at_origin <= .writes_at_check and .writes_at_check < .writes_at_end' \
		"$TAP_TMP/$1.json"
}

ok "ring: migrates" watched slow ring 600 || diag "$(tail -n 3 "$TAP_TMP/slow.log")"
arrived slow
is "ring: migscope saw a ring" "$(scope slow .dirty_mode)" ring
is "ring: of the size that was asked for" "$(scope slow .dirty_ring.size_entries)" 4096

ok "ring, twice the rate: migrates" watched ring ring 1200 || diag "$(tail -n 3 "$TAP_TMP/ring.log")"
arrived ring
num "twice the rate: QEMU sends more" \
	"$(qemu ring .result.transferred_bytes)" -gt "$(qemu slow .result.transferred_bytes)"
num "twice the rate: migscope sees more pages" \
	"$(scope ring .dirty_ring.pushes)" -gt "$(scope slow .dirty_ring.pushes)"
num "twice the rate: the ring stands higher" \
	"$(scope ring .dirty_ring.used_max_entries)" -gt "$(scope slow .dirty_ring.used_max_entries)"
num "the ring was harvested at least once a round" \
	"$(scope ring .dirty_ring.resets)" -ge "$(qemu ring .result.rounds)"

ok "bitmap: migrates" watched bitmap bitmap 1200 --exact || diag "$(tail -n 3 "$TAP_TMP/bitmap.log")"
arrived bitmap
is "bitmap: migscope saw a bitmap" "$(scope bitmap .dirty_mode)" bitmap
num "bitmap: GET was called at least once a round" \
	"$(scope bitmap .dirty_log.get.calls)" -ge "$(qemu bitmap .result.rounds)"
num "bitmap: pages were marked" "$(scope bitmap .dirty_log.marked_pages)" -gt 0

# A check that cannot fail shows nothing: take the last writes to one page away.
lost=1234
for mode in ring bitmap; do
	nok "$mode: a lost write fails the migration" migrate lost --mode $mode --rate 2000 --bandwidth 8 \
		--lose-page $lost
	is "$mode: one page is bad" "$(qemu lost .verification.pages_bad)" 1
	is "$mode: and it is that one" "$(qemu lost '.verification.bad_pages[0].gfn - .guest.first_gfn')" $lost
	rm -f "$TAP_TMP/lost.json"
done

# What the demo prints of them
shown=$("$here/compare" "$TAP_TMP") || fail "they are laid side by side"
note "$shown"
is "within 80 columns" "$(awk 'length > 79' <<<"$shown")" ""
like "with QEMU's rounds" "$shown" "sync count\)\ +$(qemu ring .result.rounds)\ +$(qemu bitmap .result.rounds)"
like "and the ring's high water" "$shown" "$(scope ring .dirty_ring.used_max_entries)\ of\ $(scope ring .dirty_ring.soft_limit_entries)"
rm "$TAP_TMP/ring.ndjson"
shown=$("$here/compare" "$TAP_TMP")
like "what was not measured is called so" "$shown" "high\ water\ +not\ measured"
unlike "and is no zero" "$shown" "full\ ring\ +0"

# One that is given up: the guest runs on at the origin, and that is seen.
for mode in ring bitmap; do
	ok "$mode, cancelled: it is given up" migrate given_up --mode $mode --rate 4000 --bandwidth 2 --downtime 1 --patience 0 \
		--timeout 8 --may-fail --hook-before "$here/watch record $TAP_TMP/$mode.db" \
		--hook-after "sleep 5; $here/watch stop $TAP_TMP/$mode.db" || diag "$(tail -n 3 "$TAP_TMP/given_up.log")"
	is "$mode, cancelled: QEMU sent some rounds" "$(qemu given_up .result.status)" 'given up'
	# the destination is a VM as well, whose memory nobody tracked
	is "$mode, cancelled: one session, and what became of it" \
		"$(build/migscope report -j "$TAP_TMP/$mode.db" | jq -c '[.sessions[] | [.kind, .outcome]]')" '[["migration","ran_on"]]'
done
like "cancelled: the report says so" "$(build/migscope report "$TAP_TMP/ring.db")" 'cancelled or failed: the guest ran on'

done_testing
