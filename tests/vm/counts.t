#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: stock vm=6.12,6.1 host needs=root,kvm,bpf timeout=400
#
# Every count against a workload that is known, on the kernel's own KVM: the selection
# of selfcheck. tests/vm/selfcheck.t has all combinations, and what must be noticed.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/watch.sh"
. "${0%/*}/../lib/kvm.sh"
load_kvm

build/migscope selfcheck >"$TAP_TMP/out"
is "every count is right" $? 0
grep -vE '^ok|^1\.\.' "$TAP_TMP/out" >&2
num "and counts were compared" "$(grep -cE '^ok' "$TAP_TMP/out")" -ge 7

# a copy whose fill counts wrong, by one line, must not pass
build/tests/miscount/fill/migscope selfcheck -k build/kvmload -o 'empty resets' >"$TAP_TMP/out"
is "a count that is wrong is noticed" $? 5
like "and named" "$(cat "$TAP_TMP/out")" 'fill bucket'

# what selfcheck's VMs do not do; on some hosts fentry is refused
watch_first stat -j 0.3 -s dirty_log
if [ "$(sample '[.not_measured[] | select(.probe | startswith("log_toggle"))]')" = '[]' ]; then
	kvm_logged_slots
else
	skip 1 "the switching of logging cannot be seen here"
fi
watch_end

unload_kvm
done_testing
