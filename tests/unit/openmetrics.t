#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Both text formats: as they were written down, and as others read them.
. "${0%/*}/../tap.sh"

render=build/tests/render_openmetrics
promtool=$(tests/lib/prometheus)/promtool

for format in classic openmetrics; do
	$render $format >"$TAP_TMP/$format" 2>"$TAP_TMP/stats"
	sed 's/version="[^"]*"/version="VERSION"/' "$TAP_TMP/$format" >"$TAP_TMP/golden"
	ok "$format: as in tests/golden/exposition.$format" \
		diff "tests/golden/exposition.$format" "$TAP_TMP/golden"
	tests/lib/exposition.py $format "$TAP_TMP/$format" >"$TAP_TMP/$format.json"
	is "$format: another's parser reads it" "$?" 0
	is "$format: as many series as were counted" "$(wc -l <"$TAP_TMP/$format.json")" "$(cut -d' ' -f1 "$TAP_TMP/stats")"
	is "$format: a name comes back as it was" \
		"$(jq -sc 'map(select(.name == "migscope_vm_info") | .labels.vm) | .[0]' "$TAP_TMP/$format.json")" \
		'"a\"b\\c\nd {e,f} gü#2"'
	is "$format: a counter beyond 2^53 is exact" \
		"$(sed -n 's/^migscope_dirty_pages_total{.*g.*,writer="vcpu"} //p' "$TAP_TMP/$format")" 9007199254740993
done
is "both say the same" "$(jq -Sc . "$TAP_TMP/classic.json" | sort | md5sum)" "$(jq -Sc . "$TAP_TMP/openmetrics.json" | sort | md5sum)"
"$promtool" check metrics <"$TAP_TMP/classic" >"$TAP_TMP/lint" 2>&1
is "promtool check metrics: status" "$?" 0
is "promtool check metrics has nothing to say" "$(cat "$TAP_TMP/lint")" ''

# --- what has not happened is 0 from the start, where it would be seen; elsewhere it has no series
$render partial >"$TAP_TMP/partial" 2>/dev/null
tests/lib/exposition.py openmetrics "$TAP_TMP/partial" >"$TAP_TMP/partial.json"
waits() { jq -sc 'map(select(.name == "migscope_thread_wait_seconds_total") | [.labels.thread, .labels.op, .value])' "$TAP_TMP/$1.json"; }
is "waits of a kind of threads: all that it may wait for" "$(waits openmetrics)" \
	'[["CPU N/KVM","reset",0],["CPU N/KVM","switch",0],["CPU N/KVM","stall",1.5],["live_migration","reset",0.25],["live_migration","switch",0],["live_migration","stall",0]]'
is "waits of a kind of threads: not what is not seen" "$(waits partial)" \
	'[["CPU N/KVM","stall",1.5],["live_migration","reset",0.25],["live_migration","stall",0]]'
states() { jq -sc 'map(select(.name == "migscope_vfio_migration_state_seconds_total") | .value)' "$TAP_TMP/$1.json"; }
is "states of a device: all" "$(states openmetrics)" '[12.345678901,0,0.5,0,0,0,0,0]'
is "states of a device: none where they are not told" "$(states partial)" '[]'
outcomes() { jq -sc 'map(select(.name == "migscope_migration_duration_seconds_count") | [.labels.outcome, .value])' "$TAP_TMP/$1.json"; }
is "how long migrations took: of all outcomes" "$(outcomes openmetrics)" \
	'[["logging_off",5],["vm_ended",0],["idle",0],["tracking_off",0],["ran_on",2],["devices_stopped",0],["device_error",0]]'
is "how long migrations took: of none that cannot be told" "$(outcomes partial)" \
	'[["logging_off",5],["vm_ended",0],["idle",0],["tracking_off",0],["ran_on",2]]'

# --- the cap: whole objects, those that ended first
# vms FILE: those that have series of their own
vms() { jq -sc 'map(select(.labels.dev | not) | .labels.vm // empty) | unique' "$1"; }
for most in 1 40 240 290; do
	$render openmetrics $most >"$TAP_TMP/capped" 2>"$TAP_TMP/stats"
	read -r shown dropped <"$TAP_TMP/stats"
	tests/lib/exposition.py openmetrics "$TAP_TMP/capped" >"$TAP_TMP/capped.json"
	is "$most series at most: still read" "$?" 0
	is "$most series at most: none is lost in the count" "$((shown + dropped))" "$(wc -l <"$TAP_TMP/openmetrics.json")"
	is "$most series at most: as many as it says" "$(wc -l <"$TAP_TMP/capped.json")" "$shown"
	self=$(jq -sr 'map(select(.labels.vm | not)) | length' "$TAP_TMP/capped.json")
	num "$most series at most: kept, but for our own" "$((shown - self))" -le "$((most > self ? most - self : 0))"
done
is "the one that ended is left out first" "$(vms "$TAP_TMP/capped.json" | jq length)" 1
$render openmetrics 490 >"$TAP_TMP/capped" 2>/dev/null
tests/lib/exposition.py openmetrics "$TAP_TMP/capped" >"$TAP_TMP/capped.json"
is "nor does it keep a device out that is there" \
	"[$(vms "$TAP_TMP/capped.json" | jq length),$(jq -sc 'any(.labels.dev)' "$TAP_TMP/capped.json")]" '[1,true]'

# --- one that ended keeps its name for a while, and the next may have it
$render twins >"$TAP_TMP/twins" 2>"$TAP_TMP/stats"
tests/lib/exposition.py openmetrics "$TAP_TMP/twins" >"$TAP_TMP/twins.json"
is "one name, two VMs: no series is there twice" "$?" 0
is "one name, two VMs: as many as were counted, and none was left out by the cap" \
	"$(cat "$TAP_TMP/stats")" "$(wc -l <"$TAP_TMP/twins.json") 0"
shown() { jq -sc --arg n "migscope_$1" 'map(select(.name == $n and (.labels.vm | IN("again", "first", "over"))) | .value)' "$TAP_TMP/twins.json"; }
is "one name, two VMs: the living one is shown, else the newer" "$(shown dirty_pages_total)" '[2,3,6]'
# one series less than all VMs have
most=$(jq -s 'map(select(.labels.vm != "over" or (.labels.dev | not))) | length - 1' "$TAP_TMP/twins.json")
$render twins "$most" 2>/dev/null >"$TAP_TMP/capped"
tests/lib/exposition.py openmetrics "$TAP_TMP/capped" >"$TAP_TMP/capped.json"
is "of those that ended the oldest is left out first" \
	"$(vms "$TAP_TMP/capped.json" | jq -c '[length, any(. == "over")]')" \
	"$(vms "$TAP_TMP/twins.json" | jq -c '[length - 1, true]')"
is "one name, two VMs: whether it is alive" "$(shown vm_alive)" '[1,1,0]'
is "one name, two devices: the same" \
	"$(jq -sc 'map(select(.name == "migscope_iotlb_lookups_total" and .labels.result == "miss") | [.labels.vm, .value])' "$TAP_TMP/twins.json")" \
	'[["plain",41],["again",2],["first",3],["over",6]]'
is "a table whose limit is 0 has no limit that it could be near" \
	"$(jq -sc 'map(select((.name | test("_entries_limit$")) and .labels.dev) | [.labels.vm, .labels.asid, .value])' "$TAP_TMP/twins.json")" \
	'[["plain",null,2048],["plain","0",2048],["plain","2",2048],["again","2",2048],["first","2",2048],["over","2",2048]]'

$render >"$TAP_TMP/accept"
is "Accept headers" "$(grep '^not ok' "$TAP_TMP/accept")" ''
num "Accept headers: all were tried" "$(grep -c '^ok' "$TAP_TMP/accept")" -ge 18
done_testing
