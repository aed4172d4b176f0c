#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: host needs=qemu
#
# Test files that share a machine: what one does to it must not fall on another.
. "${0%/*}/../tap.sh"

dir=$TAP_TMP/group.0
mkdir "$dir"
share=$(mktemp -d build/group.XXXXXX)
trap 'rm -rf "$TAP_TMP" "$share"' EXIT

make_test() {	# NAME BODY
	printf '#!/bin/bash\n%s\necho "ok 1 - %s"\necho 1..1\n' "$2" "$1" >"$share/$1"
	chmod +x "$share/$1"
	printf '%s\t%s\t%s\n' "$1" "$PWD/$share/$1" "${3:-60}" >>"$dir/list"
	printf '%s\t-\t%s\t%s\t\n' "$1@vm" "$dir" "$1" >>"$TAP_TMP/index"
}

make_test good 'echo "on stderr" >&2'
make_test warns 'echo "WARNING: CPU: 0 PID: 1 at x.c:1 f+0x1/0x2" >/dev/kmsg'
make_test slow 'sleep 1000' 2
make_test after ''
make_test panics 'echo c >/proc/sysrq-trigger; sleep 60'
make_test survivor ''
# after the end of its test; the pipe that it holds keeps the machine up for that long
make_test late '(sleep 1; echo "WARNING: CPU: 0 PID: 1 at late.c:1 f+0x1/0x2" >/dev/kmsg) \
	>/run/migscope/err 2>&1 & disown'
echo "-k 6.12 -S" >"$dir/options"

tests/lib/group "$dir"
result() {
	status=0
	MIGSCOPE_TEST_STATE=$TAP_TMP tests/lib/exec "$1@vm" >"$TAP_TMP/stdout" 2>"$TAP_TMP/stderr" || status=$?
}
result good
is "good: status" $status 0
is "good: its TAP" "$(cat "$TAP_TMP/stdout")" $'ok 1 - good\n1..1'
is "good: its stderr" "$(cat "$TAP_TMP/stderr")" "on stderr"
result warns
is "warns: status" $status 123
like "warns: shown" "$(cat "$TAP_TMP/stderr")" "x.c:1"
result slow
is "slow: status" $status 122
like "slow: told" "$(cat "$TAP_TMP/stderr")" "did not end in time"
result after
is "after a slow one: status" $status 0
ok "after a slow one: another boot" test -e "$dir/boot.2/after.status"
result panics
is "panics: status" $status 121
like "panics: shown" "$(cat "$TAP_TMP/stderr")" "sysrq triggered crash"
result survivor
is "after a panic: status" $status 0
ok "after a panic: another boot" test -e "$dir/boot.3/survivor.status"
result late
is "warning while the machine stops: falls on the last" $status 123
ok "all is over" test -e "$dir/finished"
nok "no more boots than needed" test -e "$dir/boot.4"

done_testing
