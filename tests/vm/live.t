#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: host needs=root,kvm,bpf
#
# The live page in a browser, while two VMs run: what it draws is what /sample.json said,
# also across a gap in which nobody answers, and a migscope that ends and comes again.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/watch.sh"
. "${0%/*}/../lib/serve.sh"
load_kvm
serve
# one that was there before has the lowest number, until it is gone and forgotten
load early -c 1 -s 1024 -n 1000 --name early$$
load_end early
load loud -c 2 -s 1024 -n 2000 -P 60000 --force-full --name "lo\"<b>$$" -r 3000
load calm -c 1 -s 4096 -n 1000 -P 60000 -e 700 --name calm$$ -r 1000
coproc tests/lib/plots.py live "$serve_url" build/shots "lo\"<b>$$" calm$$
plots_pid=$COPROC_PID
exec {from_plots}<&"${COPROC[0]}" {to_plots}>&"${COPROC[1]}"
: >"$TAP_TMP/plots"
while read -r -u "$from_plots" line; do
	case $line in
	'do gap')
		kill -STOP "$http_pid"
		sleep 10
		kill -CONT "$http_pid"
		echo 'done' >&"$to_plots"
		;;
	'do restart')
		serve_end TERM
		is "a restart: status" "$serve_status" 0
		sleep 1
		ok "a restart: on the same port" serve -l "127.0.0.1:$serve_port"
		echo 'done' >&"$to_plots"
		;;
	*)	echo "$line" >>"$TAP_TMP/plots" ;;
	esac
done
wait "$plots_pid"
is "the page: status" "$?" 0
is "the page: what differs" "$(grep '^not ok' "$TAP_TMP/plots")" ''
num "the page: all was looked at" "$(grep -c '^ok' "$TAP_TMP/plots")" -ge 30
note "$(cat "$TAP_TMP/plots")"
for name in loud calm; do
	ok "$name: it ran all the time" kill -0 "${load_pid[$name]}"
	kill -KILL "${load_pid[$name]}"
	wait "${load_pid[$name]}" 2>/dev/null
	unset "load_pid[$name]"
done
serve_end TERM
is "the end" "$serve_status" 0
done_testing
