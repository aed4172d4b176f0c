#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: stock vm=6.12 timeout=600 long
#
# The source vfio on the kernel's own type1: every count against a client that knows what
# it did. tests/vm/vfio_events.t is the same on ours.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/watch.sh"
. "${0%/*}/../lib/vfio.sh"
vfio_load || bail_out "no type1, or no device for it"

vfio_counted total
first='.devices[] | select(.dev == "container-0")'
is "how many dirty pages a bitmap showed nobody says here" \
   "$(sample "$first.vfio.dirty_get | has(\"dirty_pages\")")" false

is "nor what of an unmap was its bitmap" "$(sample "$first.vfio | [.unmap, .dirty_get, .dirty_unmap | has(\"time\")]")" '[true,true,false]'

# --- it comes to a container that has been at work
load client -hold
load_to client start
load_go client
load_to client middle
watch stat -j 0.5 -s vfio
load_go client
load_to client end
sleep 1
is "in the middle: what it holds is known, but for the number of mappings, and of pages that are pinned" \
   "$(sample "$first.vfio | [has(\"mappings\"), has(\"pinned_pages\"), .mappings_available, .scope_full]")" \
   "[false,false,$(($(cat /sys/module/vfio_iommu_type1/parameters/dma_entry_limit) - 1)),false]"
load_end client
sleep 1
watch_end
vfio_same since_middle

# --- the report
watch stat 0.5 -s vfio
load client
load_end client
sleep 1
watch_end
like "the table shows it as it goes" "$(cat "$TAP_TMP/watch")" 'container-0: .*[0-9]+ maps in '
like "and the report" "$(cat "$TAP_TMP/watch")" "dirty bitmaps: $(truth client .total.dirty_get.calls), mean"

# --- each probe is taken away: what it gives is not there, and is named
without() {
	case $1 in
	vfio_ioctl_*) echo 'has("map") or has("unmap") or has("dirty_get") or has("dirty_start") or has("tracking")' ;;
	vfio_pin_*)   echo 'has("pin") or has("pinned_pages")' ;;
	vfio_unpin_*) echo 'has("unpin") or has("pinned_pages")' ;;
	vfio_rw_*)    echo 'has("read") or has("write")' ;;
	*)	      echo false ;;
	esac
}
for p in vfio_open vfio_release vfio_ioctl_begin vfio_ioctl_end vfio_pin_begin vfio_pin_end \
	 vfio_unpin_begin vfio_unpin_end vfio_rw_begin vfio_rw_end; do
	watch --target "$p=no_such_function" stat -j 0.5 -s vfio
	load client
	load_end client
	sleep 0.6
	watch_end
	is "without $p: what it gives is not there" "$(sample "[.devices[].vfio | $(without "$p")] | any")" false
	is "without $p: it is named" "$(sample '[.not_measured[] | [.probe, .state]]' | grep -c "\"$p\",\"missing\"")" 1
	case $p in
	vfio_ioctl_*)	left=pin ;;
	*)		left=map ;;
	esac
	is "without $p: what is left is right" "$(sample "$first.vfio.$left.calls")" "$(truth client ".total.$left.calls")"
done

# --- and a migscope that counts wrong would be noticed
migscope=build/tests/miscount/vfio/migscope
watch stat -j 0.5 -s vfio
load client
load_end client
sleep 1
watch_end
for op in dirty_get dirty_unmap; do
	isnt "counted wrong: $op" "$(vfio_got | jq -c --arg o $op '.[] | select(.[0] == $o)')" \
	     "$(vfio_want total | jq -c --arg o $op '.[] | select(.[0] == $o)')"
done

done_testing
