#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12 icount timeout=300 long
#
# Whoever resets rings without end can be killed within a second. A second is 10^9
# instructions here, and no other work on the host makes it longer.
. "${0%/*}/../tap.sh"
# shellcheck source=tests/lib/kvm.sh
. "${0%/*}/../lib/kvm.sh"

kvm_start
ok "our modules are loaded" kvm_is_ours

# dies DESC COMMAND...: killed 1 s after it said that it started
dies() {
	local desc=$1 pid began took
	shift
	: >"$TAP_TMP/out"
	"$@" >"$TAP_TMP/out" &
	pid=$!
	until grep -q started "$TAP_TMP/out"; do
		kill -0 $pid || break
		sleep 0.1
	done
	sleep 1
	kill -0 $pid || { fail "$desc: it ended by itself"; return; }
	began=$(date +%s%N)
	kill -KILL $pid
	wait $pid 2>/dev/null
	took=$((($(date +%s%N) - began) / 1000000))
	note "$desc: $took ms"
	num "$desc" $took -lt 1000
}

dies "amid crafted entries, four rings of the greatest size" \
	"$kvm_clients/ring_hostile" -t 600 -s 65536 -v 4
dies "amid crafted entries, rings of 1024" "$kvm_clients/ring_hostile" -t 600
ok "the next one is served" "$kvm_clients/ring_exact" -p dense -r 2
kvm_stop
done_testing
