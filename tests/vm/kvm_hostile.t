#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12,debug timeout=1200
#
# A VMM that writes anything into its rings gets errors, at worst; what the kernel logs
# meanwhile fails this. Half a minute of it, ten where tests may take long.
. "${0%/*}/../tap.sh"
# shellcheck source=tests/lib/kvm.sh
. "${0%/*}/../lib/kvm.sh"

seconds=30
[ -z "${MIGSCOPE_LONG-}" ] || [ "$MIGSCOPE_KERNEL" = debug ] || seconds=600

kvm_start
ok "rings scribbled over while others reset and slots come and go" \
	timeout $((seconds + 120)) "$kvm_clients/ring_hostile" -t $seconds
ok "the next one is served" timeout 120 "$kvm_clients/ring_exact" -p dense -v 2
kvm_stop
done_testing
