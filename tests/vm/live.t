#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: host needs=qemu
#
# The live page in a browser, while two VMs run: what it draws is what /sample.json said,
# also across a gap in which nobody answers, and a migscope that ends and comes again.
# migscope and the VMs are in a machine, the browser is not: emulated, it does not answer.
. "${0%/*}/../tap.sh"
port=9788

# In the machine. What has to be done there is in a file that it looks for.
if [ "${1:-}" = --inside ]; then
	. "${0%/*}/../lib/watch.sh"
	. "${0%/*}/../lib/serve.sh"
	order=$MIGSCOPE_OUT/order
	load_kvm
	ok "it serves" serve -l "0.0.0.0:$port"
	# one that was there before has the lowest number, until it is gone and forgotten
	load early -c 1 -s 1024 -n 1000 --name early
	load_end early
	load loud -c 2 -s 1024 -n 2000 -P 60000 --force-full --name "$2" -r 700
	load calm -c 1 -s 4096 -n 1000 -P 60000 -e 100 --name "$3" -r 200
	word=''
	until [ "$word" = enough ]; do
		echo 'done'
		until [ -e "$order" ]; do
			sleep 0.1
		done
		read -r word <"$order"
		rm "$order"
		case $word in
		stop)	kill -STOP "$http_pid" ;;
		go)	kill -CONT "$http_pid" ;;
		end)	serve_end TERM
			is "it ends: status" "$serve_status" 0 ;;
		begin)	ok "it serves again, on the same port" serve -l "0.0.0.0:$port" ;;
		esac
	done
	for name in loud calm; do
		ok "$name: it ran all the time" kill -0 "${load_pid[$name]}"
		kill -KILL "${load_pid[$name]}"
		wait "${load_pid[$name]}" 2>/dev/null
		unset "load_pid[$name]"
	done
	serve_end TERM
	is "the end" "$serve_status" 0
	done_testing
	exit
fi

out=$TAP_TMP/out
loud='lo"<b>' calm=calm
exec {from_machine}< <(exec tests/vm/run -P $port -o "$out" -- "$0" --inside "$loud" $calm)
machine_pid=$!
: >"$TAP_TMP/machine"
trap 'kill "$machine_pid" 2>/dev/null; wait; rm -rf "$TAP_TMP"' EXIT

machine_tell() { echo "$1" >"$out/order.tmp" && mv "$out/order.tmp" "$out/order"; }

# waits until that is done
machine_done() {
	local line
	while read -r -u "$from_machine" line; do
		[ "$line" != 'done' ] || return 0
		echo "$line" >>"$TAP_TMP/machine"
	done
	return 1
}

ok "the machine comes up" machine_done || { done_testing; exit 1; }
coproc tests/lib/plots.py live "http://127.0.0.1:$(<"$out/port")" build/shots "$loud" $calm
plots_pid=$COPROC_PID
exec {from_plots}<&"${COPROC[0]}"- {to_plots}>&"${COPROC[1]}"-
: >"$TAP_TMP/plots"
while read -r -u "$from_plots" line; do
	case $line in
	'do '*)	machine_tell "${line#do }"
		machine_done || break
		echo 'done' >&"$to_plots" ;;
	*)	echo "$line" >>"$TAP_TMP/plots" ;;
	esac
done
exec {to_plots}>&-
wait "$plots_pid"
is "the page: status" "$?" 0
is "the page: what differs" "$(grep '^not ok' "$TAP_TMP/plots")" ''
num "the page: all was looked at" "$(grep -c '^ok' "$TAP_TMP/plots")" -ge 30
note "$(cat "$TAP_TMP/plots")"
machine_tell enough
machine_done
wait "$machine_pid"
is "the machine: status" "$?" 0
relay "" "$TAP_TMP/machine" 6
done_testing
