#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12 timeout=600
#
# The clock is set, far ahead and then far back, while record, serve and top look at a VM
# whose rate is known: samples stay in order, rates stay right, the recording says so.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/watch.sh"
. "${0%/*}/../lib/serve.sh"
. "${0%/*}/../lib/top.sh"
uptime_s() { cut -d. -f1 /proc/uptime; }
booted=$(($(date +%s) - $(uptime_s)))
# shellcheck disable=SC2317 # by trap
cleanup() {
	date -s "@$((booted + $(uptime_s)))" >/dev/null
	top_end
	serve_cleanup
}
trap cleanup EXIT
load_kvm

db=$TAP_TMP/clock.db
samples() { sqlite3 -readonly "$db" 'SELECT count(*) FROM sample' 2>/dev/null || echo 0; }
more_samples() {
	local i want=$(($(samples) + $1))
	for ((i = 0; i < 600; i++)); do
		[ "$(samples)" -lt "$want" ] || return 0
		sleep 0.1
	done
	diag "no $1 more samples"
	return 1
}
json() { curl -sS -f "$serve_url/$1.json"; }

serve
watch record -o "$db" -i 500ms
top_start C.UTF-8 2
# 500 pages a second, or what a busy machine makes of that: a clock that is taken for what
# passed is wrong by a factor of thousands. It is harvested often: a page that is dirty already
# is not dirtied again. Its plan is longer than anybody looks.
load calm -c 1 -s 4096 -n 2000 -P 2000 -e 250 --memory 128M --name calm -r 500
ok "top sees it" shows '^calm +ring +[0-9]'
about_right() { awk -v r="$1" 'BEGIN { exit !(r > 0.1 && r < 40) }'; }

for step in 7200 -10800; do
	what="set by $step s"
	more_samples 3
	json sample >"$TAP_TMP/before"
	json live >"$TAP_TMP/live.before"
	date -s "@$(($(date +%s) + step))" >/dev/null
	json sample >"$TAP_TMP/after"
	# a sample is as fresh as that, whatever the clock says
	for ((i = 0; i < 300; i++)); do
		json live >"$TAP_TMP/live.after"
		[ "$(jq '.vms[0].v["dirty_pages,vcpu"]' "$TAP_TMP/live.after")" = \
		  "$(jq '.vms[0].v["dirty_pages,vcpu"]' "$TAP_TMP/live.before")" ] || break
		sleep 0.1
	done
	both() { jq -sc "$1" "$TAP_TMP/$2before" "$TAP_TMP/$2after"; }
	is "$what: serve: a new sample, behind the one before" "$(both 'map(.elapsed) | .[0] <= .[1]')" true
	is "$what: serve: no more has passed than did" "$(both 'map(.interval) | max < 600 and min >= 0')" true
	num "$what: serve: it counts on" "$(both 'map(.vms[0].v["dirty_pages,vcpu"]) | .[1] - .[0]' live.)" -gt 0
	is "$what: serve: the live page is told both clocks" \
		"$(both "map([.time, .monotonic]) | (.[1][0] - .[0][0]) as \$set |
			(if $step > 0 then \$set > $step / 2 else \$set < $step / 2 end) and .[0][1] < .[1][1]" live.)" true
	# what is on the screen when the hour is another: the first look after the step
	for ((i = 0; i < 600; i++)); do
		screen >"$TAP_TMP/screen"
		! grep -q "^migscope  $(date +%H):" "$TAP_TMP/screen" || break
		sleep 0.1
	done
	like "$what: top: the time of day is the new one" "$(head -1 "$TAP_TMP/screen")" "^migscope  $(date +%H):"
	rate=$(awk '$1 == "calm" { print $3 }' "$TAP_TMP/screen")
	ok "$what: top: the rate stays right ($rate MB/s)" about_right "$rate"
	more_samples 3
done
load_enough calm
more_samples 3
watch_end
pages=$(truth calm '[.vms[0].total.vcpus[].pushes] | add')
scrape_all
is "serve: all of it was counted" "$(pages)" "$pages"
press q
ok "top: it ends as ever" shows '^status 0'
mux kill-session -t top
serve_end TERM

report() { jq -c "$1" "$TAP_TMP/clock.json"; }
"$migscope" report -j "$db" >"$TAP_TMP/clock.json"
is "record: whole" "$(report .recording.complete)" 1
is "record: samples are in order" \
	"$(sqlite3 "$db" 'SELECT count(*) FROM sample a, sample b WHERE b.id = a.id + 1 AND
		NOT (b.monotonic > a.monotonic AND b.elapsed > a.elapsed)')" 0
is "record: their times of day are not" \
	"$(sqlite3 "$db" 'SELECT count(*) FROM sample a, sample b WHERE b.id = a.id + 1 AND b.time < a.time')" 1
is "record: it says that the clock was set, and by how much" \
	"$(report '[.events[] | select(.kind == "clock_step") | .text | capture("set by (?<s>[-+][0-9.]+) s") | .s | tonumber / 60 | round / 10 | round]')" \
	'[12,-18]'
is "record: what was no gap is not called one" \
	"$(report '[.events[] | select(.kind == "gap") | .text | capture("(?<s>[0-9.]+) s") | .s | tonumber | select(. > 600)]')" '[]'
is "record: one migration" "$(report '.sessions | map([.name, .kind])' | sed "s/-[0-9]*//")" '[["calm","migration"]]'
is "record: its pages" "$(report '.sessions[0].bill.pages')" "$pages"
is "record: as long as it took, not as the clock has it" \
	"$(report '.sessions[0].seconds | . > 1 and . < 1800')" true
ok "record: its rate" about_right "$(report '.sessions[0].bill.pages_per_second * 4096e-6')"
like "record: in words" "$("$migscope" report "$db")" 'the clock was set by \+7[12][0-9]{2}\..*the clock was set by -10[78]'
done_testing
