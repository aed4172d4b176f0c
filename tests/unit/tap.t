#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A test that cannot fail is worth nothing: neither is a library for tests.
. "${0%/*}/../tap.sh"
lib=$PWD/tests/tap.sh

# judged DESC STATUS BODY: what prove makes of a test file
judged() {
	printf '. %q\n%s\n' "$lib" "$3" >"$TAP_TMP/t"
	local status=0
	prove --exec bash "$TAP_TMP/t" >"$TAP_TMP/said" 2>&1 || status=$?
	is "$1" "$status" "$2" || diag "$(cat "$TAP_TMP/said")"
}

judged "all pass" 0 'ok a true; nok b false; is c 1 1; isnt d 1 2; like e abc "b."; unlike f abc x
	num g 3 -lt 4; pass h; done_testing'
for bad in 'ok a false' 'nok a true' 'is a 1 2' 'isnt a 1 1' 'like a abc x' 'unlike a abc b' \
	   'num a 3 -gt 4' 'num a three -gt 4' 'fail a' 'bail_out a'; do
	judged "fails: $bad" 1 "$bad; done_testing"
done
judged "died half way" 1 'ok a true; exit 0; done_testing'
judged "died half way under set -e" 1 'set -e; ok a true; false; done_testing'
judged "less than planned" 1 'plan 2; ok a true; done_testing'
judged "good tests, bad exit status" 1 'ok a true; done_testing; exit 3'
judged "no test at all" 1 'done_testing'
judged "skips pass" 0 'skip 2 "no reason"; done_testing'
judged "whole file skipped" 0 'skip_all "none needed"'
judged "a # in a name is no directive" 1 'is "a # TODO" 1 2; done_testing'

# relayed DESC STATUS LINE...: of a client
relayed() {
	printf '%s\n' "${@:3}" >"$TAP_TMP/points"
	judged "relayed: $1" "$2" 'relay client '"$TAP_TMP/points"' 2; done_testing'
}
relayed "good ones, and one left out" 0 'ok 1 - a' 'ok 2 - b # SKIP none' end
relayed "a plan" 0 'ok 1 - a' 'ok 2 - b' 1..2
relayed "a bad one" 1 'ok 1 - a' 'not ok 2 - b' end
relayed "died half way" 1 'ok 1 - a' 'ok 2 - b'
relayed "less than planned" 1 'ok 1 - a' 'ok 2 - b' 1..3
relayed "too few" 1 'ok 1 - a' end

# what tests/run adds to prove's report
printf '. %q\nok a true; skip 1 "because of b"; done_testing\n' "$lib" >"$TAP_TMP/one"
printf '. %q\nskip_all "because of c"\n' "$lib" >"$TAP_TMP/two"
said=$(cd "$TAP_TMP" && MIGSCOPE_STARTED=$(date +%s) PERL5LIB=${lib%/*}/lib \
	prove --formatter MigscopeFormatter --exec bash one two 2>&1)
like "skip listed with its reason" "$said" $'\n  one: 2: because of b'
like "skipped file, too" "$said" $'\n  two: all: because of c'
like "the time" "$said" "Time with building: 0 min"
is "prove has the last word" "$(tail -1 <<<"$said")" "Result: PASS"

done_testing
