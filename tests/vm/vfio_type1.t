#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12,debug timeout=1200 iommu
#
# Our type1 backend with devices that pin for themselves: what it promises and refuses, every
# bit that it reports, and its events, added up, against what the client knows.
. "${0%/*}/../tap.sh"
# shellcheck source=tests/lib/vfio.sh
. "${0%/*}/../lib/vfio.sh"

trace=/sys/kernel/tracing/instances/vfio_type1

# tests/vm/vfio_probe is built for it: build/testmod/*/tests-vm-vfio_probe/vfio_probe.ko
vfio_start
before=$(pins_left)
vfio_client type1_api
vfio_client type1_dirty -n 3000 -s "${MIGSCOPE_SEED:-1}"

mkdir "$trace"
echo 20000 >"$trace/buffer_size_kb"
echo 1 >"$trace/events/vfio/enable"
vfio_client type1_dirty -t random -n 600 -s 7
echo 0 >"$trace/events/vfio/enable"
sed '/^#/d' "$trace/trace" >"$TAP_TMP/trace"
lost=$(awk '/^overrun|^dropped/ { n += $2 } END { print n }' "$trace"/per_cpu/cpu*/stats)
rmdir "$trace"
is "no event was lost" "$lost" 0

truth() { sed -n "s/^# truth .*\<$1 \([0-9]*\).*/\1/p" "$TAP_TMP/log"; }
# sum EVENT FIELD [CONDITION]: of the events without an error
sum() {
	grep " vfio_$1: " "$TAP_TMP/trace" | grep -v 'error -' | grep -e "${3-}" |
		sed -n "s/.* $2 \([0-9]*\).*/\1/p" | awk '{ s += $1 } END { print s + 0 }'
}
count() { grep " vfio_$1: " "$TAP_TMP/trace" | grep -v 'error -' | grep -c -e "${2-}"; }
is "events: maps" "$(count map)" "$(truth maps)"
is "events: pages mapped" "$(sum map pages)" "$(truth mapped)"
is "events: mappings unmapped" "$(sum unmap gone)" "$(truth unmaps)"
is "events: pages unmapped" "$(sum unmap pages)" "$(truth unmapped)"
is "events: calls that pin" "$(count pin)" "$(truth pins)"
is "events: pages that nobody held" "$(sum pin changed)" "$(truth pinned)"
is "events: pages that nobody holds any more" "$(sum unpin changed)" "$(truth pinned)"
is "events: bitmaps by GET" "$(count dirty_get 'unmap 0')" "$(truth gets)"
is "events: bitmaps by unmapping" "$(count dirty_get 'unmap 1')" "$(truth unmap_gets)"
is "events: dirty pages reported" "$(sum dirty_get dirty)" "$(truth dirty)"
is "events: bytes of bitmap" "$(sum dirty_get bytes)" "$(truth bytes)"
is "events: starts that changed something" "$(sum dirty_start changed)" "$(truth starts)"
is "events: stops that did" "$(sum dirty_stop changed)" "$(truth stops)"
is "events: the container is released" "$(count container_release)" 1
num "events: how long it took" "$(sum dirty_get ns)" -gt 0

vfio_stop
is "no page stays pinned" "$(pins_left)" "$before"
done_testing
