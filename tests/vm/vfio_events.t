#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12 timeout=600 long
#
# The source vfio on our type1: by its events, against a client that knows what it did,
# and against perf on the same events.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/watch.sh"
. "${0%/*}/../lib/vfio.sh"
vfio_load || bail_out "no type1, or no device for it"
like "type1 is ours" "$(cat /sys/module/vfio_iommu_type1/taint)" O

"$migscope" doctor -j >"$TAP_TMP/doctor" || :
# two wait for vfio_sim, which is not loaded
is "its events are attached, no hook is needed" \
   "$(jq -c '[.probes[] | select(.source == "vfio" and .how != "iterator" and (.probe | IN("vfio_state", "vfio_mig_close") | not)) | [.how, .state]] | unique' "$TAP_TMP/doctor")" \
   '[["fentry","off"],["tracepoint","attached"]]'
vfio_counted total
first='.devices[] | select(.dev == "container-0")'
is "pages that the bitmaps showed" "$(sample "$first.vfio | [.dirty_get.dirty_pages, .dirty_unmap.dirty_pages]")" \
   "$(truth client '.total | [.dirty_get.dirty, .dirty_unmap.dirty]')"

is "and what of an unmap was its bitmap" "$(sample "$first.vfio.dirty_unmap | .time.count == .calls and .time.seconds > 0")" true

# --- it comes to a container that has been at work: what that holds is known once it changes
load client -hold
load_to client start
load_go client
load_to client middle
watch_first stat -j 0.5 -s vfio
is "it came later: what it pinned is not known" "$(sample "$first.vfio | has(\"pinned_pages\")")" false
load_go client
load_to client end
sleep 1
known=$(sample "$first.vfio.pinned_pages")
load_end client
is "and then it is" "$known" "$(truth client .pinned)"
watch_end

perf record -q -a -e 'vfio:*' -o "$TAP_TMP/perf.data" -- "$kvmload" >"$TAP_TMP/client.truth" 2>"$TAP_TMP/perf.err"
perf script -i "$TAP_TMP/perf.data" -F event,trace 2>/dev/null >"$TAP_TMP/perf"
# events NAME [FIELD]: how many of it succeeded, or the sum of FIELD over them
events() {
	awk -v e="vfio:vfio_$1:" -v f="${2:-}" '$1 == e && !/error -/ {
		if (f == "") { n++; next }
		for (i = 2; i < NF; i++) if ($i == f) n += $(i + 1)
	} END { print n + 0 }' "$TAP_TMP/perf"
}
is "perf agrees: maps, unmaps, pins, unpins" \
   "[$(events map),$(events unmap),$(events pin),$(events unpin)]" \
   "$(truth client '.total | [.map.calls, .unmap.calls, .pin.calls, .unpin.calls]')"
is "perf agrees: pages mapped, pinned" "[$(events map pages),$(events pin pages)]" \
   "$(truth client '.total | [.map.pages, .pin.pages]')"
is "perf agrees: bitmaps, their bytes, dirty pages" \
   "[$(events dirty_get),$(events dirty_get bytes),$(events dirty_get dirty)]" \
   "$(truth client '.total | [.dirty_get.calls + .dirty_unmap.calls, .dirty_get.bytes + .dirty_unmap.bytes, .dirty_get.dirty + .dirty_unmap.dirty]')"

done_testing
