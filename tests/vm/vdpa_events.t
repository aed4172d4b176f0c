#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12 timeout=600 long
#
# The source vdpa on our bus and our vhost_vdpa: by their events, against a client that
# knows what it did, and against perf on the same events.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/watch.sh"
. "${0%/*}/../lib/vdpa.sh"
vdpa_load || bail_out "no vhost_vdpa"
for name in vdpa vhost_vdpa; do
	like "$name is ours" "$(cat "/sys/module/$name/taint")" O
done
v='.devices[] | select(.dev == "probe") | .vdpa'

watch stat -j 0.5
vdpa_run
sleep 1
watch_end
vdpa_counted
is "each operation by name: what was pinned and mapped" "$(sample "$v.mapped_pages")" "$(vdpa_did pinned)"
num "among them those that are inlined in the base's" \
    "$(sample "$v.ops | [.set_driver_features, .get_status] | map(.calls // 0) | min")" -ge 1
is "and queues made ready" "$(sample "$v.ops.set_vq_ready.calls")" "$(vdpa_did ready)"
is "nothing was lost" "$(sample '.lost | add')" 0
ok "as SCHEMA.md says" tests/lib/schema.py tools/migscope/SCHEMA.md "$TAP_TMP/watch"

watch stat -j 0.5 -s vdpa
perf record -q -a -e 'vdpa:*,vhost_vdpa:*' -o "$TAP_TMP/perf.data" -- sleep 1000 2>"$TAP_TMP/perf.err" &
perf_pid=$!
for ((i = 0; i < 200; i++)); do
	[ "$(cat /sys/kernel/tracing/events/vdpa/vdpa_op/enable)" = 0 ] || break
	sleep 0.1
done
sleep 1
vdpa_run
sleep 1
kill -INT "$perf_pid"
wait "$perf_pid" || :
watch_end
perf script -i "$TAP_TMP/perf.data" -F event,trace 2>/dev/null >"$TAP_TMP/perf"
events() { grep -c -E "^ *$1: .*$2" "$TAP_TMP/perf"; }
is "perf agrees: kicks, callbacks" "[$(events vdpa:vdpa_vq_kick ''),$(events vdpa:vdpa_vq_callback '')]" \
   "$(sample "$v | [.kicks, .callbacks]")"
for op in set_vq_ready set_status get_status set_driver_features; do
	is "perf agrees: $op" "$(events vdpa:vdpa_op "op $op ")" "$(sample "$v.ops.$op | .calls + .errors")"
done
is "perf agrees: updates" "$(events vhost_vdpa:vhost_vdpa_message 'type update ')" \
   "$(sample "$v.ops.update | .calls + .errors")"

done_testing
