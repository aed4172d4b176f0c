#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12 timeout=300 long
#
# The source vhost_iotlb on our table below the base's vhost: by the table's events, against
# a client that knows what it did, and against perf on the same events.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/watch.sh"
. "${0%/*}/../lib/vhost_iotlb.sh"
# not ours, which does not repeat a miss
base=$(find "/lib/modules/$(uname -r)/kernel/drivers/vhost" -name 'vhost.ko*')
modprobe -a vhost_iotlb tun || bail_out "no vhost_iotlb, no tun"
[ -d /sys/module/vhost ] || insmod "$base" || bail_out "no vhost"
modprobe vhost_net || bail_out "no vhost_net"
is "vhost is the base's" "$(cat /sys/module/vhost/taint)" ""
like "the table is ours" "$(cat /sys/module/vhost_iotlb/taint)" O
# shellcheck disable=SC2317 # by trap
cleanup() {
	watch_cleanup
	modprobe -qr vhost_net || :
}
kvm_loaded=''
trap cleanup EXIT

"$migscope" doctor -j >"$TAP_TMP/doctor" || :
is "the events are attached, the hooks they replace are not" \
   "$(jq -c '[.probes[] | select(.probe | test("^iotlb_(add|retire|reject)_")) | [.probe, .state]]' "$TAP_TMP/doctor")" \
   '[["iotlb_add_event","attached"],["iotlb_retire_event","attached"],["iotlb_reject_event","attached"],["iotlb_add_begin","off"],["iotlb_add_end","off"]]'

watch -x stat -j 0.5 -s vhost_iotlb
perf record -q -a -e 'vhost_iotlb:*' -o "$TAP_TMP/perf.data" -- "$kvmload" -denied \
	>"$TAP_TMP/client.truth" 2>"$TAP_TMP/perf.err" || diag "$(tail -n 3 "$TAP_TMP/perf.err")"
sleep 1
watch_end
first='.devices[] | select(.dev == "vhost-net-0")'
iotlb_counts total "$first"
is "nothing was lost" "$(sample '.lost | add')" 0
perf script -i "$TAP_TMP/perf.data" -F event 2>/dev/null | sed 's/^ *vhost_iotlb:vhost_iotlb_//; s/: *$//' |
	sort | uniq -c | sort -k 2 >"$TAP_TMP/perf"
events() { awk -v e="$1" '$2 == e { n = $1 } END { print n + 0 }' "$TAP_TMP/perf"; }
is "perf agrees: updates" "$(events add)" "$(sample "$first.vhost_iotlb.updates")"
is "perf agrees: evictions" "$(events retire)" "$(sample "$first.vhost_iotlb.evictions")"
is "perf agrees: what the table refused" "$(events reject)" "$(truth client .total.wrapped)"
# those of invalidations, and all that was left when the device was closed
is "perf agrees: what came went" "$(events delete)" "$(($(events add) - $(events retire)))"
unlike "and lost nothing" "$(cat "$TAP_TMP/perf.err")" LOST

done_testing
