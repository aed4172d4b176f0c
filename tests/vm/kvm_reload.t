#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12,debug timeout=4000 own long
#
# Loaded, used and unloaded a hundred times.
. "${0%/*}/../tap.sh"
# shellcheck source=tests/lib/kvm.sh
. "${0%/*}/../lib/kvm.sh"

vmalloc() { sed -n 's/^VmallocUsed: *\([0-9]*\).*/\1/p' /proc/meminfo; }

cycle() {
	modprobe kvm_amd && "$kvm_clients/ring_exact" -v 2 -s 256 -n 300 -p dense -r 1 >/dev/null &&
		modprobe -r kvm_amd
}

cycle || bail_out "not even once"
before=$(vmalloc)
for ((i = 0; i < 100; i++)); do
	cycle || break
done
is "a hundred times" $i 100
is "nothing is left of it" "$(lsmod | grep -c '^kvm')" 0
num "not in memory, either (KiB)" $(($(vmalloc) - before)) -lt 256
done_testing
