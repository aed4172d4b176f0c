#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12 mem=3G timeout=1500 own long
#
# The base's own selftests of dirty tracking, memslots and page tables, on our modules.
. "${0%/*}/../tap.sh"
# shellcheck source=tests/lib/kvm.sh
. "${0%/*}/../lib/kvm.sh"

dir=build/kvm/selftests/out
[ -x $dir/dirty_log_test ] || bail_out "not built: make kvm-selftests"

# A test that skips says so with status 4: that is not passed.
passes() {	# DESC TEST OPTION...
	local desc=$1 status=0
	shift
	timeout 300 "$dir/$1" "${@:2}" >"$TAP_TMP/out" 2>&1 || status=$?
	is "$desc" "$status" 0 || diag "$(tail -n 15 "$TAP_TMP/out")"
}

kvm_start
ok "our modules are loaded" kvm_is_ours
for mode in dirty-log clear-log dirty-ring; do
	passes "dirty_log_test: $mode" dirty_log_test -M $mode -i 3 -I 20
done
passes "dirty_log_test: the least ring" dirty_log_test -M dirty-ring -c 1024 -i 3 -I 20
passes "dirty_log_test: the greatest ring" dirty_log_test -M dirty-ring -c 65536 -i 3 -I 20
passes "dirty_log_perf_test" dirty_log_perf_test -i 2 -b 32M -v 2
passes "dirty_log_perf_test: without manual protect" dirty_log_perf_test -g -i 2 -b 32M -v 2
passes "dirty_log_perf_test: several slots, random" dirty_log_perf_test -a -i 2 -b 16M -v 2 -x 4
passes "memslot_modification_stress_test" memslot_modification_stress_test -b 16M -v 2 -i 200 -d 100
passes "memslot_perf_test: slots moved" memslot_perf_test -f 3 -e 4 -s 64 -l 1
passes "memslot_perf_test: slots mapped and unmapped" memslot_perf_test -f 0 -e 2 -s 64 -l 1
passes "kvm_page_table_test" kvm_page_table_test -b 32M -v 2
passes "set_memory_region_test" set_memory_region_test
passes "kvm_binary_stats_test" kvm_binary_stats_test
kvm_stop
done_testing
