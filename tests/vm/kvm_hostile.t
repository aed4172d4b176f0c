#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12,debug timeout=900 own long
#
# A VMM that writes anything into its rings gets errors, at worst; what the kernel logs
# meanwhile fails this. MIGSCOPE_LONG=1 takes ten minutes instead of half a minute.
. "${0%/*}/../tap.sh"
# shellcheck source=tests/lib/kvm.sh
. "${0%/*}/../lib/kvm.sh"

seconds=30
[ -z "${MIGSCOPE_LONG-}" ] || seconds=600

kvm_start
ok "rings scribbled over while others reset and slots come and go" \
	timeout $((seconds + 120)) "$kvm_clients/ring_hostile" -t $seconds

"$kvm_clients/ring_hostile" -t 600 -s 65536 -v 4 >"$TAP_TMP/out" &
pid=$!
until grep -q started "$TAP_TMP/out"; do sleep 0.2; done
sleep 3
began=$(date +%s%N)
kill -KILL $pid
wait $pid 2>/dev/null
took=$((($(date +%s%N) - began) / 1000000))
note "it took $took ms to die"
num "in the middle of it, it can be killed" $took -lt 10000

ok "the next one is served" timeout 120 "$kvm_clients/ring_exact" -p dense -v 2
kvm_stop
done_testing
