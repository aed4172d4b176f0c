# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# TAP for tests in bash. A test file begins
#
#	#!/bin/bash
#	# SPDX-License-Identifier: GPL-2.0
#	# migscope: vm=6.12,6.1		(where it runs: see tests/run)
#	. "${0%/*}/../tap.sh"
#
# and ends with done_testing; without that line (or plan N at the beginning) the file
# fails, so that one which dies half way is not taken for one that passed.
#
#	ok DESC COMMAND...		passes if COMMAND succeeds
#	nok DESC COMMAND...		passes if it does not
#	is DESC GOT WANTED		equal strings
#	isnt DESC GOT UNWANTED
#	like DESC GOT REGEX		bash's own regular expressions
#	unlike DESC GOT REGEX
#	num DESC A OP B			OP as in [ ]: -eq -ne -lt -le -gt -ge
#	pass DESC, fail DESC [WHY]
#	skip N REASON			the next N tests cannot be made here
#	skip_all REASON			none can; ends the file
#	diag WORDS, note WORDS		shown always, shown by prove -v
#	relay NAME FILE [MIN]		the points of a client, or of what a probe in the kernel logged,
#					become ours, "NAME: ..." if there is a name. It must have come
#					to its end, a plan or "end", after at least MIN of them, or one
#	bail_out REASON			no test at all makes sense any more
#
# Each returns whether the test passed. What COMMAND prints goes to stderr.
# $TAP_TMP is a folder of the file's own that vanishes at its end.

tap_count=0
tap_planned=''
TAP_TMP=$(mktemp -d)
export TAP_TMP
trap 'rm -rf "$TAP_TMP"' EXIT

tap_result() {	# STATUS DESC
	tap_count=$((tap_count + 1))
	# a # would begin a directive
	if [ "$1" -eq 0 ]; then
		echo "ok $tap_count - ${2//#/\\#}"
	else
		echo "not ok $tap_count - ${2//#/\\#}"
		diag "failed: $2 (${BASH_SOURCE[2]##*/}:${BASH_LINENO[1]})"
		return 1
	fi
}

tap_compare() {	# STATUS DESC GOT WORDS WANTED
	if ! tap_result "$1" "$2"; then
		diag "  got:  ${3}"
		diag "  $4 ${5}"
		return 1
	fi
}

note() { local words="$*"; echo "# ${words//$'\n'/$'\n# '}"; }
diag() { note "$@" >&2; }

plan() { tap_planned=$1; echo "1..$1"; }

relay() {
	local line before=$1${1:+: } points
	while read -r line; do
		case $line in
		'ok '*'# SKIP '*) skip 1 "${line#*# SKIP } ($before${line%% \# SKIP*})" ;;
		'ok '*)		pass "$before${line#ok*- }" ;;
		'not ok '*)	fail "$before${line#not ok*- }" ;;
		'# '*)		diag "${line#\# }" ;;
		esac
	done <"$2"
	points=$(grep -c -E '^(not )?ok ' "$2")
	is "${before}it came to its end" "$(sed -n "s/^1\\.\\.//p; s/^end\$/$points/p" "$2")" "$points"
	num "${before}and tried something" "$points" -ge "${3:-1}"
}

# 1..0 would be a skipped file
done_testing() { [ -n "$tap_planned" ] || [ $tap_count -eq 0 ] || echo "1..$tap_count"; }

skip_all() { echo "1..0 # SKIP ${*:?a skip has a reason}"; exit 0; }

bail_out() { echo "Bail out! $*"; exit 1; }

skip() {
	local n
	: "${2:?a skip has a reason}"
	for ((n = 0; n < $1; n++)); do
		tap_count=$((tap_count + 1))
		echo "ok $tap_count # SKIP ${*:2}"
	done
}

pass() { tap_result 0 "$1"; }
fail() { tap_result 1 "$1" || { [ $# -lt 2 ] || diag "  $2"; return 1; }; }

ok() {
	local rc=0
	"${@:2}" >&2 || rc=$?
	tap_result $rc "$1" || { diag "  status $rc: ${*:2}"; return 1; }
}

nok() {
	local rc=0
	"${@:2}" >&2 || rc=$?
	tap_result $((!rc)) "$1" || { diag "  succeeded: ${*:2}"; return 1; }
}

is()	 { local s=0; [ "$2" = "$3" ] || s=1;	  tap_compare $s "$1" "$2" "want:" "$3"; }
isnt()	 { local s=0; [ "$2" != "$3" ] || s=1;	  tap_compare $s "$1" "$2" "must not be:" "$3"; }
like()	 { local s=0; [[ $2 =~ $3 ]] || s=1;	  tap_compare $s "$1" "$2" "want match of:" "$3"; }
unlike() { local s=0; [[ ! $2 =~ $3 ]] || s=1;	  tap_compare $s "$1" "$2" "must not match:" "$3"; }
num() {
	local s=0
	# shellcheck disable=SC1009,SC1072,SC1073 # the operator is an argument
	test "$2" "$3" "$4" || s=1
	tap_compare $s "$1" "$2" "want: $3" "$4"
}
