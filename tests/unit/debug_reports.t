#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: host needs=qemu timeout=900 long
#
# Is a mistake in a module of ours reported by the debug kernel, and does the report
# fail the run?
. "${0%/*}/../tap.sh"

kver=$(kernel/workbench/debug_kernel kver 2>/dev/null) ||
	skip_all "the debug kernel is not built (make debug-kernel, 23 min once)"
probe=build/testmod/$kver/tests-vm-debug_probe/debug_probe.ko
[ -f "$probe" ] || bail_out "$probe is not built: make testmods"

run() {	# PLANT...
	# shellcheck disable=SC2016 # for the shell in the machine
	tests/vm/run -k debug -t 300 -o "$TAP_TMP/out" -- bash -c \
		'for p; do insmod "$0" plant=$p || exit 1; rmmod debug_probe; done' "$probe" "$@" \
		>"$TAP_TMP/said" 2>&1
}

status=0
run none || status=$?
is "a module without a mistake passes" $status 0 || diag "$(tail -40 "$TAP_TMP/said")"

# in this order: a report of KASAN's switches lockdep off
status=0
run lock sleep leak use-after-free || status=$?
is "one with mistakes does not" $status 123
said=$(<"$TAP_TMP/said")
like "a lock inversion is reported" "$said" 'possible circular locking dependency'
like "where it is" "$said" 'debug_probe_lock_inversion|lock_both'
like "sleeping under a spinlock is reported" "$said" 'sleeping function called from invalid context'
like "a leak is reported" "$said" 'unreferenced object'
like "where it is" "$said" 'debug_probe_leak|debug_probe_init'
like "a use after free is reported" "$said" 'KASAN: slab-use-after-free in debug_probe_use_after_free'

done_testing
