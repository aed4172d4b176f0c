#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Recordings: who is recognised as what, what each cost, what the page draws; and what
# becomes of one that is damaged.
. "${0%/*}/../tap.sh"

migscope=build/migscope
db=$TAP_TMP/r.db
ok "a recording is written" build/tests/recording "$db"
is "it is sound" "$(sqlite3 "$db" 'PRAGMA integrity_check')" ok
"$migscope" report -j "$db" >"$TAP_TMP/r.json"
is "report -j: status" "$?" 0
report() { jq -c "$1" "$TAP_TMP/r.json"; }

is "who did what" "$(report '.sessions | map([.name, .kind, .outcome, .recognised_by, .slots])')" \
	'[["one","migration","logging_off","logging",4],["two </script><b>&","migration","vm_ended","logging",3],["screen","display","logging_off","logging",1],["one","migration","running","logging",4],["screen","display","running","logging",1]]'
is "for how long" "$(report '.sessions | map(.seconds)')" '[21,21,4,13,11]'
is "the bill of the first: pages, resets, full exits, stalled seconds" \
	"$(report '.sessions[0].bill | [.pages, .resets, .full_exits, .stall_seconds]')" '[21000,21,3,0.15]'
is "the bill of the second: GETs, their time, their bytes; nothing of rings" \
	"$(report '.sessions[1].bill | [.get_calls, .get_seconds, .get_bytes, .pages, .resets]')" '[38,5.7,1245184,5700,null]'
is "the bill of the one that goes on" "$(report '.sessions[3].bill | [.pages, .pages_per_reset]')" '[6500,500]'
cp "$db" "$TAP_TMP/peak.db"
sqlite3 "$TAP_TMP/peak.db" "DELETE FROM value WHERE series = (SELECT id FROM series WHERE vm = 1 AND name = 'ring_used_entries_max');
	INSERT INTO value (series, sample, value) SELECT id, 1, 2016 FROM series WHERE vm = 1 AND name = 'ring_used_entries_max'"
is "the fullest ring; of one that was as full before it" \
	"$(report '.sessions[0].bill.ring_used_max_ratio'):$("$migscope" report -j "$TAP_TMP/peak.db" | jq '.sessions[0].bill.ring_used_max_ratio')" 1:0.5
is "time of the switching" "$(report '.sessions[0].bill | [.switch_on_seconds, .switch_off_seconds]')" '[0.004,0.004]'
like "advice: the ring was full" "$(report '.sessions[0].advice[0]')" 'full 3 times.*0.150 s'
like "advice: GETs are slow" "$(report '.sessions[1].advice[0]')" '150 ms on average'
is "advice: nothing for what went well" "$(report '.sessions[2].advice')" '[]'
"$migscope" report -b 1.5 -j "$db" >"$TAP_TMP/b.json"
is "with a bandwidth: who does not converge" "$(jq -c '.sessions | map(.advice | map(select(contains("does not converge"))) | length)' "$TAP_TMP/b.json")" '[1,1,0,1,0]'
is "what is not measured; a module that nobody needs is no loss" \
	"$(report '.not_measured | map([.probe, .state, .lost])')" \
	'[["waits","waiting","a fourth"],["lost","missing","another"]]'
is "who waited" "$(report '.sessions[0].threads | map([.thread, .op, .seconds])')" \
	'[["CPU N/KVM","stall",0.15],["live_migration","reset",0.042]]'
is "devices: misses and their time; pins, GETs" "$(report '.sessions[0:2] | map(.devices[0] | [.dev, .iotlb_misses, .iotlb_miss_seconds, .pins, .dirty_gets, .pinned_pages])')" \
	'[["vhost-net-0",200,4,null,null,null],["container-0",null,null,76,19,1216]]'
is "devices: time in each migration state" "$(report '.sessions[0:2] | map(.devices | map([.dev, .seconds_in]) | .[1:])')" \
	'[[["00000000-0000-4000-8000-00000000000a",{"running":1,"pre_copy":19,"stop_copy":1}]],[]]'
is "of a device that only runs there is nothing to say" "$(report '.sessions[1].devices | map(.dev)')" '["container-0"]'
is "devices: what a device itself missed, in all its address spaces, beside that" \
	"$(report '.sessions[0].devices[0] | [.vdpa_misses, .iotlb_misses]')" '[140,200]'
is "QEMU's own figures, once it has worked them out" "$(report '.sessions[0].qemu | [.status, .rounds, .migration_seconds, .downtime_seconds]')" '["completed",5,20.5,0.25]'
is "rounds, as QEMU counts them" "$(report '.sessions[0] | [.bill.rounds, (.syncs | length), .syncs[1].pages]')" '[5,5,5000]'
is "rounds of a bitmap, by its GETs" "$(report '.sessions[1] | [.bill.rounds, .syncs[1].pages]')" '[19,300]'
is "phases" "$(report '.sessions[0].phases | [.until_first_sync_seconds, .first_round_seconds, .further_rounds_seconds, .after_last_sync_seconds]')" '[1,5,15,0]'
like "advice: a device that waits" "$(report '.sessions[0].advice[-1]')" 'vhost-net-0 waited 4.000 s for 200 translations'
like "advice: which ring would do" "$(report '.sessions[0].advice[1]')" 'a ring of 8192 entries would not run full'
is "events" "$(report '[.events[].kind] | group_by(.) | map([.[0], length])')" '[["clock_step",1],["gap",1],["lost",2],["qemu",2],["vm_ended",2],["vm_seen",4]]'
like "events: the clock" "$(report '.events[] | select(.kind == "clock_step") | .text')" '\+100\.000 s'
is "events: what was lost, and when" "$(report '.events | map(select(.kind == "lost") | [.sample, .text])')" \
	'[[29,"74 events could not be counted"],[45,"2 events could not be counted"]]'
is "two VMs of one name are two" "$(report '[.vms[] | select(.name == "one") | .id]')" '[1,4]'
is "a process's name is text, in whatever letters" "$(report '.vms[1].comm')" '"café?? 89012345"'
is "a second that nobody saw is not made up" "$(report '.samples | length')" 55
text=$("$migscope" report "$db")
is "text: status" "$?" 0
like "text: a display is told apart" "$text" 'screen: logging of a display, no migration'
like "text: how long it took, whatever the clock was set to" "$text" ': 55 samples from [^,]*, 60\.0 s'
like "text: the bill" "$text" 'pages dirtied +21000'
like "text: what was lost" "$text" '74 events could not be counted'
like "text: a device's migration states" "$text" 'in pre_copy +19.000000 s.*in stop_copy +1.000000 s'
unlike "text: a recording that is whole does not say otherwise" "$text" INCOMPLETE

# --- somebody reads it while it is written, for longer than is waited for
ok "with a reader: it is written to its end" build/tests/recording "$TAP_TMP/read.db" read
is "with a reader: nothing is missing" \
	"$(sqlite3 "$TAP_TMP/read.db" .dump | md5sum)" "$(sqlite3 "$db" .dump | md5sum)"

# --- the page
"$migscope" report --html "$TAP_TMP/r.html" "$db"
is "--html: status" "$?" 0
PANELS=15 HOLES=1 tests/lib/plots.py report "$db" "$TAP_TMP/r.html" build/shots >"$TAP_TMP/plots"
is "the page in a browser: status" "$?" 0
is "the page in a browser: what differs" "$(grep '^not ok' "$TAP_TMP/plots")" ''
num "the page in a browser: all was looked at" "$(grep -c '^ok' "$TAP_TMP/plots")" -ge 35

# --- one that goes on for most of a day
cp "$db" "$TAP_TMP/long.db"
sqlite3 "$TAP_TMP/long.db" "CREATE TABLE n (i INTEGER PRIMARY KEY);
	WITH RECURSIVE c(i) AS (SELECT 56 UNION ALL SELECT i + 1 FROM c WHERE i < 60000) INSERT INTO n SELECT i FROM c;
	INSERT INTO sample SELECT i, 1700000000 + i, 1000 + i, i FROM n;
	INSERT INTO value SELECT n.i, s.id, n.i * 100 FROM n, series s WHERE s.vm = 4 AND s.name IN ('dirty_pages', 'ring_resets');
	DROP TABLE n; UPDATE session SET last = 60000 WHERE outcome = 'running'"
timeout 30 "$migscope" report -j "$TAP_TMP/long.db" >"$TAP_TMP/long"
is "a long one: it comes to its end" "$?" 0
is "a long one: what was counted in it" "$(jq -c '.sessions[3].bill | [.pages, .resets]' "$TAP_TMP/long")" '[6000000,6000000]'

# --- damaged
size=$(stat -c %s "$db")
head -c $((size / 2)) "$db" >"$TAP_TMP/half.db"
head -c 100 "$db" >"$TAP_TMP/head.db"
: >"$TAP_TMP/empty.db"
echo "no database" >"$TAP_TMP/text.db"
sqlite3 "$TAP_TMP/other.db" 'CREATE TABLE t (x)'
cp "$db" "$TAP_TMP/schema.db"
sqlite3 "$TAP_TMP/schema.db" "UPDATE meta SET value = 99 WHERE key = 'schema'"
broken=0
for ((at = 4096; at < size; at += 4096)); do
	cp "$db" "$TAP_TMP/page.db"
	printf 'broken page %s' "$at" | dd of="$TAP_TMP/page.db" bs=1 seek=$((at + 3)) conv=notrunc status=none
	"$migscope" report -j "$TAP_TMP/page.db" >"$TAP_TMP/out" 2>"$TAP_TMP/err"
	case $?:$(wc -c <"$TAP_TMP/out"):$(grep -c . "$TAP_TMP/err") in
	1:0:1) broken=$((broken + 1)) ;;
	*) fail "a page broken at $at: no clear end" "$(cat "$TAP_TMP/err")" ;;
	esac
done
is "any page broken: status 1, one clear line" "$broken" $((size / 4096 - 1))
for bad in half head empty text other schema nothere; do
	"$migscope" report "$TAP_TMP/$bad.db" >"$TAP_TMP/out" 2>"$TAP_TMP/err"
	is "$bad: status" "$?" 1
	is "$bad: one clear line, and nothing else" "$(wc -l <"$TAP_TMP/err"):$(wc -c <"$TAP_TMP/out")" 1:0
	note "$(cat "$TAP_TMP/err")"
done
# --- of somebody who has tables of his own
cp "$db" "$TAP_TMP/nokey.db"
sqlite3 "$TAP_TMP/nokey.db" "ALTER TABLE meta RENAME TO was; CREATE TABLE meta (key, value);
	INSERT INTO meta SELECT * FROM was; INSERT INTO meta VALUES (NULL, 1)"
cp "$db" "$TAP_TMP/columns.db"
sqlite3 "$TAP_TMP/columns.db" "ALTER TABLE session ADD devices DEFAULT 'x'; ALTER TABLE session ADD syncs DEFAULT 'x';
	ALTER TABLE vm ADD series DEFAULT 'x'; ALTER TABLE event ADD more DEFAULT 'x'"
"$migscope" report -j "$TAP_TMP/nokey.db" >"$TAP_TMP/nokey"
is "a value without a key: status" "$?" 0
is "a value without a key: the others are there" "$(jq -c .recording "$TAP_TMP/nokey")" "$(report .recording)"
"$migscope" report -j "$TAP_TMP/columns.db" >"$TAP_TMP/columns"
is "columns of his own: status" "$?" 0
ok "columns of his own: they are left out" cmp "$TAP_TMP/columns" "$TAP_TMP/r.json"
# --- of somebody who writes to our terminal
cp "$db" "$TAP_TMP/evil.db"
sqlite3 "$TAP_TMP/evil.db" "UPDATE meta SET value = value || char(27) || '[31m' WHERE key IN ('command', 'host', 'kernel', 'version');
	UPDATE vm SET name = name || char(27, 10, 155, 8238) WHERE id > 1; UPDATE event SET text = text || char(27, 7);
	UPDATE series SET labels = replace(replace(labels, 'vhost-net-0', 'vhost\u001b]0\u009b'), 'live_migration', 'live\u001b[2J')"
for command in 'report' 'forecast -b 100'; do
	# shellcheck disable=SC2086 # words
	"$migscope" $command "$TAP_TMP/evil.db" >"$TAP_TMP/evil"
	num "$command: it is shown" "$(wc -l <"$TAP_TMP/evil")" -ge 3
	is "$command: no control characters" "$(LC_ALL=C tr -d '\n\40-\176' <"$TAP_TMP/evil" | xxd -p)" ''
done
like "report: what it says is there" "$("$migscope" report "$TAP_TMP/evil.db")" 'device vhost\?\]0'
sqlite3 "$db" "UPDATE meta SET value = 0 WHERE key = 'complete'"
text=$("$migscope" report "$db")
is "incomplete: status" "$?" 4
like "incomplete: says so" "$text" 'INCOMPLETE'
for bad in '' '-q' '-b x r.db' '-b 0 r.db' 'a b'; do
	# shellcheck disable=SC2086 # words
	"$migscope" report $bad >/dev/null 2>&1
	is "report $bad: usage" "$?" 2
done
done_testing
