# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# For tests in which allocations fail:
#
#	can_fail	is this a kernel for that? Those that may sleep are among them from
#			then on, and the kernel's log does not tell of each.

can_fail() {
	local knobs=/sys/kernel/debug/failslab
	[ -d $knobs ] || return
	echo 0 | tee $knobs/verbose /sys/kernel/debug/fail_usercopy/verbose >/dev/null
	echo 0 >$knobs/ignore-gfp-wait
}
