#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: stock vm=6.12 timeout=600 long
#
# The source vdpa on the kernel's own bus and vhost_vdpa: every count against a client that
# knows what it did.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/watch.sh"
. "${0%/*}/../lib/vdpa.sh"
vdpa_load || bail_out "no vhost_vdpa"
v='.devices[] | select(.dev == "probe") | .vdpa'

watch stat -j 0.5
vdpa_run
sleep 1
watch_end
vdpa_counted
is "of the bus's operations only those are known that are not inlined" \
   "$(sample "$v.ops | keys - [\"update\",\"invalidate\",\"batch_begin\",\"batch_end\",\"set_status\",\"get_config\"]")" '[]'
num "and some of them happened" "$(sample "$v.ops.set_status.calls // 0")" -ge 0
is "what a device translates by itself is not known here, and not shown as zero" \
   "$(sample '[.devices[] | has("spaces")] | any')" false
"$migscope" doctor -j >"$TAP_TMP/doctor" || :
is "doctor says so, and what it is that only our modules tell" \
   "$(jq -c '[.probes[] | select(.target | test("^vhost_iotlb_(miss|denied|hit)$")) | [.probe, .state, .why, .gives]]' "$TAP_TMP/doctor")" \
   '[["vdpa_miss","off","only with our kernel modules","addresses that vringh could not translate"],["vdpa_denied","off","only with our kernel modules","accesses that vringh was denied"],["vdpa_hit","off","only with our kernel modules","addresses that vringh translated"]]'
like "in words, too" "$("$migscope" doctor)" 'vdpa_miss .* off.*only with our kernel modules.*lost without it: addresses that vringh could not translate'
is "nothing was lost" "$(sample '.lost | add')" 0
ok "as SCHEMA.md says" tests/lib/schema.py tools/migscope/SCHEMA.md "$TAP_TMP/watch"

watch_first stat -j 0.3 -s vdpa
vdpa_run
vdpa_handed_over
watch_end
vdpa_known_later

watch stat 0.5 -s vdpa
vdpa_run
sleep 1
watch_end
like "the report" "$(cat "$TAP_TMP/watch")" "kicks: $(vdpa_did kicks)"$'\n'

watch stat -j 0.5 -s vdpa
vdpa_run
rmmod vdpa_probe
sleep 1
watch_end
is "a device that went" "$(sample '.devices[] | select(.dev == "probe") | .alive')" false

# --- each probe is taken away: what it gives is not there, and is named
without() {
	case $1 in
	vdpa_message_*) echo 'has("errors") or has("pinned_pages") or (.ops | has("update"))' ;;
	vdpa_close)	echo 'has("pinned_pages")' ;;
	vdpa_callback)	echo 'has("callbacks")' ;;
	*)		echo false ;;
	esac
}
for p in vdpa_add vdpa_remove vdpa_open vdpa_status_begin vdpa_get_config_end vdpa_message_begin vdpa_message_end vdpa_close \
	 vdpa_callback; do
	watch --target "$p=no_such_function" stat -j 0.5 -s vdpa
	vdpa_run
	sleep 0.6
	watch_end
	is "without $p: what it gives is not there" "$(sample "[.devices[].vdpa | $(without "$p")] | any")" false
	is "without $p: it is named" "$(sample '[.not_measured[] | [.probe, .state]]' | grep -c "\"$p\",\"missing\"")" 1
	is "without $p: kicks are right" "$(sample "$v.kicks")" "$(vdpa_did kicks)"
done

# --- and a migscope that counts wrong would be noticed
migscope=build/tests/miscount/vdpa/migscope
watch stat -j 0.5 -s vdpa
vdpa_run
sleep 1
watch_end
isnt "counted wrong: invalidates" "$(sample "$v.ops.invalidate.calls // 0")" "$(vdpa_did invalidate)"
isnt "counted wrong: kicks" "$(sample "$v.kicks")" "$(vdpa_did kicks)"

done_testing
