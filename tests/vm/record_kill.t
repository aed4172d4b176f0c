#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12 host needs=root,kvm,bpf timeout=900
#
# migscope record: killed at any moment, and in the midst of a sample; and a VM that is
# killed in the middle of its migration.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/watch.sh"
load_kvm

of() { "$migscope" report -j "$TAP_TMP/$1" 2>>"$TAP_TMP/err" | jq -c "$2"; }
# samples that a reader finds; nothing while he is kept out
written() { sqlite3 -readonly "$TAP_TMP/$1" 'SELECT count(*) FROM sample' 2>/dev/null; }
# the same, as soon as he is let in
found() {
	local i
	for ((i = 0; i < 600; i++)); do
		! written "$1" || return 0
		sleep 0.1
	done
	diag "$1 cannot be read"
	return 1
}
# until_written FILE N
until_written() {
	local i
	for ((i = 0; i < 600; i++)); do
		[ "$(written "$1" || echo 0)" -lt "$2" ] || return 0
		sleep 0.1
	done
	diag "$1 has not come to $2 samples"
	return 1
}
# what a process holds of BPF, and what there is in the kernel
held() {
	local kind
	for kind in link prog map; do
		sed -n "s/^${kind}_id:[[:blank:]]*/$kind /p" /proc/"$1"/fdinfo/* 2>/dev/null
	done | sort -u
}
loaded() {
	local kind
	for kind in link prog map; do
		bpftool -j $kind list | jq -r --arg kind $kind '.[] | "\($kind) \(.id)"'
	done | sort -u
}
# record_killed FILE: by then it is watched, and held before is what it held
record_killed() {
	held "$watch_pid" >"$TAP_TMP/held"
	watch_end KILL
	"$migscope" report -j "$TAP_TMP/$1" >"$TAP_TMP/kill.json" 2>"$TAP_TMP/err"
	is "$what: incomplete, and readable" "$?:$(cat "$TAP_TMP/err")" 4:
	kept=$(jq '.samples | length' "$TAP_TMP/kill.json")
	is "$what: sound" "$(sqlite3 "$TAP_TMP/$1" 'PRAGMA integrity_check')" ok
	is "$what: none is missing in between" \
		"$(sqlite3 "$TAP_TMP/$1" 'SELECT min(id), max(id) = count(*) FROM sample')" '1|1'
	rm -f "$TAP_TMP/$1"*
}

# --- each sample is written by itself: there is no second one to lose
load run -c 1 -s 1024 -n 100000 -P 100 --name run -r 2000
what='while it runs'
watch record -o "$TAP_TMP/each.db" -i 1s
until_written each.db 3
ones=0 last=$(found each.db)
for ((i = 0; i < 3000 && ones < 5; i++)); do
	now=$(written each.db) || continue
	[ "$now" -ne $((last + 1)) ] || ones=$((ones + 1))
	last=$now
done
is "$what: five times a reader found one more than before" "$ones" 5
held "$watch_pid" >"$TAP_TMP/held"
is "$what: links, programs and maps are in the kernel" \
	"$(cut -d' ' -f1 "$TAP_TMP/held" | sort -u | xargs):$(loaded | comm -23 "$TAP_TMP/held" -)" 'link map prog:'

# --- killed at any moment
record_killed each.db
num "$what: killed: what a reader had found is there" "$kept" -ge "$last"
for delay in 0.3 0.41 0.52 0.63 0.74; do
	what="killed after $delay s"
	watch record -o "$TAP_TMP/kill.db" -i 10ms
	until_written kill.db 3
	sleep $delay
	before=$(found kill.db)
	record_killed kill.db
	num "$what: what a reader had found is there" "$kept" -ge "$before"
	# the kernel lets go of them when it gets to it
	for ((i = 0; i < 100; i++)); do
		left=$(loaded | comm -12 "$TAP_TMP/held" -)
		[ -n "$left" ] || break
		sleep 0.1
	done
	num "$what: links, programs and maps that it held" "$(wc -l <"$TAP_TMP/held")" -gt 10
	is "$what: none of them stays" "$left" ''
done

# --- and where one is half written: its journal has been begun, and nobody is kept out yet
half_written() {
	local i state
	for ((i = 0; i < 5000; i++)); do
		kill -STOP "$watch_pid"
		until read -r _ _ state _ <"/proc/$watch_pid/stat" && [ "$state" = T ]; do :; done
		! { [ -s "$TAP_TMP/$1-journal" ] && before=$(written "$1"); } || return 0
		kill -CONT "$watch_pid"
		sleep "0.00$((1 + RANDOM % 9))"
	done
	diag "it was never seen to write"
	return 1
}
for time in first second third; do
	what="killed in a sample, the $time time"
	watch record -o "$TAP_TMP/half.db" -i 10ms
	until_written half.db 3
	ok "$what: it is half written" half_written half.db
	record_killed half.db
	is "$what: that one is lost, and no other" "$kept" "$before"
done
kill -KILL "${load_pid[run]}"
wait "${load_pid[run]}" 2>/dev/null
unset 'load_pid[run]'

# --- a VM that is killed in the middle of its migration
# What it has done until then another one with the same plan tells, which lives on. Its slot is
# larger than a display's.
until_middle() { truth lives ".vms[0] | [.total, .since_barrier] | map([$1]) | transpose | map(.[0] - .[1])"; }
# dies NAME ARGUMENT... of kvmload: the recording is $TAP_TMP/NAME.db
dies() {
	local i
	load lives "${@:2}" --barrier --name lives
	load_end lives
	watch record -o "$TAP_TMP/$1.db" -i 100ms
	load "$1" "${@:2}" --barrier --name "$1"
	load_to "$1" middle
	# without the hooks on a ring's end its last pushes are known by a look at them
	until_written "$1.db" $(($(found "$1.db") + 3))
	kill -KILL "${load_pid[$1]}"
	wait "${load_pid[$1]}" 2>/dev/null
	unset "load_pid[$1]"
	for ((i = 0; i < 600; i++)); do
		[ "$(sqlite3 -readonly "$TAP_TMP/$1.db" "SELECT count(*) FROM event WHERE kind = 'vm_ended' AND text LIKE '$1%'" 2>/dev/null)" != 1 ] || break
		sleep 0.1
	done
	watch_end
	mine=".sessions[] | select(.name | startswith(\"$1\"))"
	is "$1: it has ended, and that is said once" \
		"$(of "$1.db" "[.events[] | select(.text | startswith(\"$1\")) | .kind]")" '["vm_seen","vm_ended"]'
	is "$1: of one migration" "$(of "$1.db" "[$mine | [.kind, .outcome]]")" '[["migration","vm_ended"]]'
	[ "$MIGSCOPE_KERNEL" = host ] ||
		is "$1: recognised by the switching of logging" "$(of "$1.db" "$mine | .recognised_by")" '"logging"'
}
dies ring --memory 128M -c 2 -s 1024 -n 3001,2003 -P 3 -r 6000
is "ring: pages, resets, entries given back" \
	"$(of ring.db "$mine | .bill | [.pages, .resets, .reset_entries]")" \
	"$(until_middle '([.vcpus[].pushes] | add), .resets.calls, ([.vcpus[].reset_entries] | add)')"
if [ "$MIGSCOPE_KERNEL" != host ]; then
	dies bitmap --memory 128M -m bitmap-manual -c 2 -n 3001,2003 -P 3 -r 6000
	is "bitmap: GETs, CLEARs, what they copied" \
		"$(of bitmap.db "$mine | .bill | [.get_calls, .clear_calls, .get_bytes, .clear_bytes]")" \
		"$(until_middle '.get.calls, .clear.calls, .get.bitmap_bytes, .clear.bitmap_bytes')"
fi
done_testing
