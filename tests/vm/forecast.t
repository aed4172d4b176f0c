#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: host needs=root,kvm,bpf else=6.12,long timeout=900
#
# migscope forecast of VMs whose pages are known: what it takes from their rings decides as
# what they do would. The bandwidths follow from how fast the guest really was: a busy machine
# changes nothing. The VMs are larger than the memory of a display, whose logging is no migration.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/watch.sh"
. "${0%/*}/../lib/serve.sh"
load_kvm

# record NAME ARGUMENTS of kvmload: the whole of it, into NAME.db
record() {
	local name=$1
	shift
	"$migscope" -w record -o "$TAP_TMP/$name.db" -i 200ms -- "$kvmload" --memory 96M --name "$name$$" "$@" >"$TAP_TMP/$name.truth" 2>"$TAP_TMP/err" ||
		fail "$name: recorded" "$(tail -3 "$TAP_TMP/err")"
}
# verdict NAME BANDWIDTH MEMORY, both in MB(/s): of the VM's only session
verdict() {
	"$migscope" forecast -j -b "$2" -m "$3" "$TAP_TMP/$1.db" |
		jq -sc --arg name "$1$$" 'map(select(.vm | startswith($name))) | map([.from, .converges])'
}
# MB/s that it dirtied, times $2
rate() {
	"$migscope" forecast -j -b 1 -m 100 "$TAP_TMP/$1.db" |
		jq -s --arg name "$1$$" --argjson by "$2" 'map(select(.vm | startswith($name)))[0].dirty_bytes_per_second / 1e6 * $by * 1000 | ceil / 1000'
}

for pattern in seq random; do
	# 4000 pages are 16.4 MB; each comes back after all others
	record $pattern -s 4096 -n 4000 -P 4 -p $pattern -r 2000 -i 200
	is "$pattern: all pages are seen" "$("$migscope" report -j "$TAP_TMP/$pattern.db" | jq -c --arg name "$pattern$$" '[.sessions[] | select(.name | startswith($name)) | .bill.pages]')" \
		"[$(truth $pattern '[.vms[0].total.vcpus[].pushes] | add')]"
	is "$pattern: half as much can be sent as is dirtied: never" "$(verdict $pattern "$(rate $pattern 0.5)" 16.4)" '[["entries",false]]'
	is "$pattern: twice as much: it ends" "$(verdict $pattern "$(rate $pattern 2)" 16.4)" '[["entries",true]]'
	needed=$("$migscope" forecast -j -b 1 -m 16.4 "$TAP_TMP/$pattern.db" | jq -s --arg name "$pattern$$" \
		'map(select(.vm | startswith($name)))[0] | .bandwidth_needed_bytes_per_second / .dirty_bytes_per_second * 100 | round')
	num "$pattern: what it takes is about what it dirties: $needed %" "$needed" -ge 80
	num "$pattern: what it takes is about what it dirties: $needed %" "$needed" -le 130
done

# the same rate on a hundred pages: 0.4 MB, which is sent in no time
record hot -s 4096 -n 100 -P 100 -r 4000 -i 200
is "a hot set that fits into the limit: it ends" "$(verdict hot 1.6 16.4)" '[["entries",true]]'
is "one that does not: never" "$(verdict hot 0.3 16.4)" '[["entries",false]]'

# now, not from a file
export TMPDIR=$TAP_TMP/tmp
mkdir "$TMPDIR"
load now --memory 96M -s 4096 -n 2000 -P 1000 -r 1000 -i 200 --name "now$$"
sleep 1
"$migscope" -w forecast -j -b 1000 -m 8.2 -d 4s -g "now$$" >"$TAP_TMP/now" 2>"$TAP_TMP/err"
is "now: status" "$?" 0
is "now: it ends" "$(jq -sc 'map([.from, .converges])' "$TAP_TMP/now")" '[["entries",true]]'
"$migscope" -w forecast -j -b 0.1 -m 8.2 -d 4s -g "now$$" >"$TAP_TMP/now" 2>"$TAP_TMP/err"
is "now, at next to nothing: status" "$?" 6
"$migscope" forecast -j -b 1000 -m 8.2 -d 4s -g "now$$" >"$TAP_TMP/now" 2>"$TAP_TMP/err"
is "without -w: by how far its rings went" "$(jq -sc 'map(.from)' "$TAP_TMP/now")" '["rings"]'
# as metrics: 4.1 MB/s against a tenth of a megabyte, and against a terabyte
for bandwidth in 0.1 1000000; do
	serve -b $bandwidth
	ratio=none
	for ((i = 0; i < 60; i++)); do
		scrape_all
		ratio=$(jq -sr --arg name "now$$" 'map(select(.name == "migscope_dirty_to_bandwidth_ratio" and (.labels.vm | startswith($name)))) | .[0].value // "none"' "$TAP_TMP/scrape.json")
		[ "$ratio" = none ] || break
		sleep 0.5
	done
	isnt "serve -b $bandwidth: it is exported" "$ratio" none
	ok "serve -b $bandwidth: $ratio" awk -v r="$ratio" -v b=$bandwidth 'BEGIN { exit !(b < 1 ? r > 1 : r > 0 && r < 0.1) }'
	serve_end TERM
done
serve
scrape_all
is "serve without a bandwidth: no forecast is made up" "$(grep -c '^migscope_\(forecast\|dirty_to_bandwidth\)' "$TAP_TMP/scrape")" 0
serve_end TERM
kill -KILL "${load_pid[now]}"
wait "${load_pid[now]}" 2>/dev/null
unset 'load_pid[now]'
text=$("$migscope" -w forecast -b 1000 -d 1s -g "none$$" 2>/dev/null)
is "nothing is migrated: status" "$?" 4
like "nothing is migrated: says so" "$text" 'no data for a forecast: nothing is migrated now'
is "nothing of ours stays behind" "$(ls "$TMPDIR")" ''
done_testing
