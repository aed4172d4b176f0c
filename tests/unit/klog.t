#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What of a kernel log fails a run: real reports, cut short, and lines that only look alike.
. "${0%/*}/../tap.sh"

log=$TAP_TMP/log
known=$TAP_TMP/known
: >"$known"
klog() { tests/vm/klog -k "$known" "$@" "$log"; }

# reported DESC: stdin is a log, which holds one report
reported() {
	sed 's/^/[   12.345678] /' >"$log"
	local said status=0
	said=$(klog) || status=$?
	is "$1" "$status" 1
	isnt "$1: shown" "$said" ""
}

quiet() {
	sed 's/^/[   12.345678] /' >"$log"
	is "$1" "$(klog)" ""
}

reported WARN <<'LOG'
------------[ cut here ]------------
WARNING: CPU: 1 PID: 812 at arch/x86/kvm/../../../virt/kvm/dirty_ring.c:98 kvm_dirty_ring_push+0x5a/0x60 [kvm]
Modules linked in: kvm_amd kvm
RIP: 0010:kvm_dirty_ring_push+0x5a/0x60 [kvm]
Call Trace:
 <TASK>
 mark_page_dirty_in_slot+0x9d/0x100 [kvm]
 </TASK>
---[ end trace 0000000000000000 ]---
LOG
reported oops <<'LOG'
BUG: kernel NULL pointer dereference, address: 0000000000000010
#PF: supervisor read access in kernel mode
Oops: Oops: 0000 [#1] PREEMPT SMP NOPTI
LOG
reported "6.1's general protection" <<<'general protection fault, probably for non-canonical address 0xdead000000000100: 0000 [#1] PREEMPT SMP NOPTI'
reported "6.12's general protection" <<<'Oops: general protection fault, probably for non-canonical address 0xdead000000000100: 0000 [#1] PREEMPT SMP NOPTI'
reported "soft lockup" <<<'watchdog: BUG: soft lockup - CPU#0 stuck for 122s! [kvmload:301]'
reported "RCU stall" <<<'rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:'
reported "RCU stall of this CPU" <<<'rcu: INFO: rcu_preempt self-detected stall on CPU'
reported "hung task" <<<'INFO: task kworker/0:1:12 blocked for more than 120 seconds.'
reported "lock order" <<<'WARNING: possible circular locking dependency detected'
reported "RCU use" <<<'WARNING: suspicious RCU usage'
reported "lock not set up" <<<'INFO: trying to register non-static key.'
reported "sleeping while atomic" <<<'BUG: sleeping function called from invalid context at kernel/locking/mutex.c:580'
reported KASAN <<<'BUG: KASAN: slab-use-after-free in vhost_iotlb_itree_first+0x4d/0x80 [vhost_iotlb]'
reported UBSAN <<<'UBSAN: shift-out-of-bounds in drivers/vfio/vfio_iommu_type1.c:1180:23'
reported "slab corruption" <<<'BUG kmalloc-64 (Tainted: G           OE     ): Poison overwritten'
reported "list corruption" <<<'list_del corruption. prev->next should be ff110000, but was dead0000'
reported "leak" <<<'kmemleak: unreferenced object 0xff1100000a3d2b00 (size 64):'
reported "no memory" <<<'Out of memory: Killed process 512 (qemu) total-vm:3000kB, anon-rss:100kB'
reported "allocation failure" <<<'modprobe: page allocation failure: order:9, mode:0x40dc0, nodemask=(null)'
reported panic <<<'Kernel panic - not syncing: sysrq triggered crash'
reported "a trace without a name" <<'LOG'
something odd
Call Trace:
 <TASK>
 f+0x1/0x2
 </TASK>
LOG
printf '[    1.000000][    T1] WARNING: CPU: 0 PID: 1 at a.c:1 f+0x1/0x2\r\n' >"$log"
nok "with the caller's number, and a serial line's end" klog

quiet "a user program's faults are its own" <<'LOG'
traps: kvmload[301] general protection fault ip:55d0 sp:7ffe error:0 in kvmload[55d0+1000]
kvmload[301]: segfault at 0 ip 000055d0 sp 00007ffe error 4
LOG
quiet "words in passing" <<'LOG'
Linux version 6.12.117+deb12-amd64 (debian-kernel@lists.debian.org)
rcu: RCU calculated value of scheduler-enlistment delay is 25 jiffies.
rcu: 	RCU CPU stall timeout is 120
kmemleak_init: not a report
x86/mm: Checked W+X mappings: passed, no W+X pages found.
vhost_iotlb: loading out-of-tree module taints kernel.
workqueue: drain_vmap_area_work hogged CPU for >10000us 4 times, consider switching to WQ_UNBOUND
LOG

# listed ones
first='WARNING: CPU: 0 PID: 1 at a.c:1 f+0x1/0x2'
second='WARNING: CPU: 0 PID: 1 at b.c:1 g+0x1/0x2'
printf 'at a\\.c:1\tharmless here\n' >"$known"
printf '%s\n' "$first" "Call Trace:" " <TASK>" " f+0x1/0x2" " </TASK>" "---[ end trace 0 ]---" |
	sed 's/^/[   12.345678] /' >"$log"
is "listed: silent, its trace too" "$(klog)" ""
is "listed: with -a and its reason" "$(klog -a)" "(listed: harmless here) $first"
sed -i '/end trace/d; /<\/TASK>/d' "$log"
echo "[   12.345678] $second" >>"$log"
is "listed: does not hide the next one" "$(klog)" "$second"
printf 'at a\\.c:1\n' >"$known"
nok "listed without a reason: refused" klog
printf 'size 64\tg\\+\tanother time\n' >"$known"
leak() {	# FUNCTION
	printf '[   12.345678] kmemleak: %s\n' "unreferenced object 0xff1100000a3d2b00 (size 64):" \
		'  comm "python3", pid 241' '  hex dump (first 32 bytes):' '    00 00 00 00  ....' '  backtrace (crc 0):' \
		"    $1+0x1/0x2"
	seq -f '[   12.345678] kmemleak:     frame%.0f+0x1/0x2' 20
}
{ leak f; leak g; leak h; } >"$log"
is "listed by what is in its trace: of three leaks two are left" "$(klog | grep -c unreferenced)" 2
is "of these all is shown" "$(klog | grep -c 'frame20\|  [fh]+0x1')" 4
{ leak f; echo "[   12.345678] $second"; echo "[   12.345678] kmemleak: 3 new"; } >"$log"
is "a leak ends where something else is said" "$(klog | sed '1,/frame20/d')" "$second"$'\n''kmemleak: 3 new'
: >"$known"

# machines that run several tests
printf '[    1.000000] %s\n' "$first" "migscope: end one" "nothing" "migscope: end two" "$second" \
	"migscope: end three" "BUG: late" >"$log"
is "part of the first test" "$(klog -e one)" "$first"
is "part of the second" "$(klog -e two)" ""
is "part of the third" "$(klog -e three)" "$second"
like "part of the last, to the end" "$(klog -e three -l)" "BUG: late"

: >"$log"
ok "the list of known ones is in order" tests/vm/klog "$log"
done_testing
