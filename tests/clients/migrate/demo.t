#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: host needs=root long
#
# What `make demo` runs and shows, of what is built already: two migrations that arrive, a
# figure in each row, a recording of both and its report.
. "${0%/*}/../../tap.sh"
demo=tests/clients/migrate/demo
out=build/demo

status=0
"$demo" nothing >"$TAP_TMP/out" 2>"$TAP_TMP/err" || status=$?
is "a kernel that is none: status" $status 2
like "a kernel that is none: why" "$(cat "$TAP_TMP/err")" 'ours or stock'

status=0
"$demo" ours >"$TAP_TMP/out" 2>"$TAP_TMP/err" || status=$?
diag "$(cat "$TAP_TMP/out")"
is "it ends well" $status 0
[ $status = 0 ] || diag "$(cat "$TAP_TMP/err")"
for mode in ring bitmap; do
	said() { jq -c "$1" "$out/$mode.json"; }
	is "$mode: QEMU says that it completed" "$(said .result.status)" '"completed"'
	num "$mode: in rounds" "$(said .result.rounds)" -ge 2
	is "$mode: no page arrived as another" "$(said '.verification.pages_bad')" 0
	is "$mode: migscope lost nothing" "$(tail -n 1 "$out/$mode.ndjson" | jq '.lost | add')" 0
done
nok "each row has its figure" grep 'not measured' "$TAP_TMP/out"

report() { "$migscope" report -j "$out/demo.db" | jq -c "$1"; }
migscope=build/migscope
is "the recording is whole" "$(report .recording.complete)" 1
is "both are in it, as what they are" "$(report '[.sessions[] | select(.name | endswith("-origin")) | [.name, .kind]]')" \
	'[["ring-origin","migration"],["bitmap-origin","migration"]]'
like "its report, in words" "$(cat "$out/report.txt")" 'ring-origin.*bitmap-origin'
num "its report, for a browser" "$(stat -c %s "$out/report.html")" -ge 100000
nok "which asks nobody for anything" grep -E '(src|href)="?(https?:)?//' "$out/report.html"
done_testing
