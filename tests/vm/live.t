#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: host needs=root,kvm,bpf
#
# The live page in a browser, while a VM runs.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/watch.sh"
. "${0%/*}/../lib/serve.sh"
load_kvm
serve
load live -c 2 -s 1024 -n 2000 -P 1000 --force-full --name 'live "<b>' -r 3000
tests/lib/plots.py live "$serve_url" build/shots >"$TAP_TMP/plots"
is "the page: status" "$?" 0
is "the page: what differs" "$(grep '^not ok' "$TAP_TMP/plots")" ''
num "the page: all was looked at" "$(grep -c '^ok' "$TAP_TMP/plots")" -ge 12
kill -KILL "${load_pid[live]}"
wait "${load_pid[live]}" 2>/dev/null
unset 'load_pid[live]'
serve_end TERM
is "the end" "$serve_status" 0
done_testing
