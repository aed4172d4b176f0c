#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The working set curve and the forecast, against streams of pages and migrations that are
# played; the command on recordings that were made up.
. "${0%/*}/../tap.sh"

build/tests/forecast >"$TAP_TMP/model"
is "the model: status" "$?" 0
is "the model: what differs" "$(grep '^not ok' "$TAP_TMP/model")" ''
num "the model: all of it ran" "$(grep -c '^ok' "$TAP_TMP/model")" -ge 33

# --- the command
migscope=build/migscope
db=$TAP_TMP/r.db
ok "a recording is written" build/tests/recording "$db"
forecast() { "$migscope" forecast -j "$@" "$db" | jq -sc "$filter"; }

filter='map([.vm, .from // "-", .converges, (.why_not // "" | length > 0)])'
is "ring: by how far it went; bitmap: by what each sync showed; a display is none" "$(forecast -b 100)" \
	'[["one","rings",true,false],["two </script><b>&","bitmaps",true,false],["one","rings",true,false]]'
filter='map(.dirty_bytes_per_second / 4096 | round)'
is "what is dirtied: pages a second, of both kinds" "$(forecast -b 100)" '[1000,300,500]'
filter='map(.sync_seconds)'
is "what a sync costs" "$(forecast -b 100)" '[0,0.3,0]'
filter='map(.at_seconds)'
is "as of the end" "$(forecast -b 100)" '[21,21,13]'
is "--at: as of then" "$(forecast -b 100 --at 10s)" '[10,10,10]'
# a thousand pages a second are 4.1 MB/s, 500 are 2; the syncs of the second leave time for 1 MB/s
filter='map(.converges)'
is "too little for one, a sync too long for another" "$(forecast -b 3 -m 500)" '[false,false,true]'
filter='map(.bandwidth_needed_bytes_per_second > 4.0e6 and .bandwidth_needed_bytes_per_second < 4.6e6)'
is "what it would take" "$(forecast -b 3 -m 500)" '[true,false,false]'
filter='map([.ring.full_exits, .ring.size_needed_entries])'
is "which ring would do: one that ran full, none, one a quarter full" "$(forecast -b 3)" '[[3,8192],[null,null],[0,2048]]'
for case in '100:0' '3 -m 500:6'; do
	# shellcheck disable=SC2086 # words
	"$migscope" forecast -b ${case%:*} "$db" >"$TAP_TMP/text"
	is "-b ${case%:*}: status" "$?" "${case#*:}"
done
like "text: a verdict" "$(cat "$TAP_TMP/text")" 'at 3\.0 MB/s and 300 ms it DOES NOT CONVERGE: never less than [0-9.]+ MB are left'
like "text: what would do" "$(cat "$TAP_TMP/text")" 'at this downtime limit it takes 4\.[0-9] MB/s'
like "text: what it is from" "$(cat "$TAP_TMP/text")" 'pages dirtied again count anew'

for what in 'forecast -b 100' report; do
	# shellcheck disable=SC2086 # words
	"$migscope" $what "$db" >/dev/full
	is "$what: what cannot be written is a failure" "$?" 1
done

# --- rings whose entries were followed. They show four pages of five that were dirtied within a
# second or more, as those that come again before a reset; what no reset came between is exact
followed() {	# SQL: more of it; pages a second, and pages within five
	cp "$db" "$TAP_TMP/f.db"
	sqlite3 "$TAP_TMP/f.db" "
		UPDATE session SET last = 31 WHERE id = 1;
		INSERT INTO series SELECT 1000 + value, 1, 'working_set_pages', 'gauge', 'pages',
			json_object('within', CAST(value AS TEXT)) FROM json_each('[1, 2, 5, 10]');
		INSERT INTO value SELECT 25, 1000 + value, 800 * value FROM json_each('[1, 2, 5, 10]');
		CREATE VIEW of AS SELECT s.id, s.name FROM series s WHERE s.vm = 1; $1"
	"$migscope" forecast -j -b 100 "$TAP_TMP/f.db" |
		jq -sc '.[0] | [.from, (.dirty_bytes_per_second, (.curve[] | select(.seconds == 5) | .bytes) | . / 4096 | round)]'
}
is "entries: a reset in each second, then it stands still: what they show" "$(followed '')" '["entries",800,4000]'
is "entries: it stood still in the middle, too" "$(followed "
	DELETE FROM value WHERE sample IN (16, 17) AND series IN (SELECT id FROM of WHERE name IN ('ring_resets', 'dirty_pages'))")" \
	'["entries",800,4000]'
is "entries: two seconds without a reset show how many they do not" "$(followed "
	DELETE FROM value WHERE sample IN (16, 17) AND series IN (SELECT id FROM of WHERE name = 'ring_resets')")" \
	'["entries",1000,5000]'

# --- no data is said, not made up
sqlite3 "$db" "DELETE FROM session"
text=$("$migscope" forecast -b 100 "$db")
is "no session: status" "$?" 4
like "no session: says so" "$text" 'no data for a forecast'
for bad in '' '-b' '-b x' '-b 0' '-b 1 a b' '-b 1 -D x' '-b 1 --qmp s f' '-b 1 -g one f' '-b 1 -p 1 f' '-b 1 -i 1ms' '-q'; do
	# shellcheck disable=SC2086 # words
	"$migscope" forecast $bad >/dev/null 2>&1
	is "forecast $bad: usage" "$?" 2
done
"$migscope" forecast -b 1 "$TAP_TMP/none.db" >/dev/null 2>"$TAP_TMP/err"
is "no such file: status" "$?" 1
"$migscope" forecast --qmp "$TAP_TMP/none.sock" >/dev/null 2>"$TAP_TMP/err"
is "no such monitor: status" "$?" 1
is "no such monitor: one clear line" "$(grep -c none.sock "$TAP_TMP/err")" 1

# --- a monitor that says what none would
monitor() {	# MODE
	rm -f "$TAP_TMP/monitor"
	python3 - "$TAP_TMP/monitor" "$1" <<-'PY' &
		import json, socket, sys
		s = socket.socket(socket.AF_UNIX)
		s.bind(sys.argv[1])
		s.listen(1)
		c = s.accept()[0]
		f = c.makefile('rw')
		looked = 0
		f.write('{"QMP": {}}\n')
		f.flush()
		for line in f:
		    command = json.loads(line)['execute']
		    answer = {'return': {}}
		    if sys.argv[2] == 'refuses':
		        answer = {'error': {'desc': 'no\x1b[31m\n\x9b\u202eway'}}
		    elif sys.argv[2] == 'silent':
		        answer = {'error': {'desc': None}}
		    elif command == 'query-migrate-parameters':
		        answer['return'] = {'max-bandwidth': 100000000, 'downtime-limit': 300}
		    elif command == 'query-migrate':
		        answer['return'] = {'status': None}
		    elif command == 'query-dirty-rate':
		        looked += 1
		        answer['return'] = {'status': 'measured' if looked > 1 else None, 'dirty-rate': 10}
		    f.write(json.dumps(answer) + '\n')
		    f.flush()
	PY
	for ((i = 0; i < 100; i++)); do [ ! -S "$TAP_TMP/monitor" ] || break; sleep 0.1; done
	"$migscope" forecast -j -m 500 --qmp "$TAP_TMP/monitor" -d 1s >"$TAP_TMP/said" 2>"$TAP_TMP/err"
	status=$?
	wait
}
monitor null
is "a status that is null: status" "$status" 0
is "a status that is null: it is asked again" "$(jq .dirty_bytes_per_second "$TAP_TMP/said")" 10485800
monitor refuses
is "a refusal: status" "$status" 1
like "a refusal: its words, and nothing else" "$(cat "$TAP_TMP/err")" 'qmp_capabilities: no\?\[31m \?\?\?\?\?way$'
monitor silent
like "a refusal without words" "$(cat "$TAP_TMP/err")" 'qmp_capabilities: no reason given$'
done_testing
