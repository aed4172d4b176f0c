/* SPDX-License-Identifier: GPL-2.0 */
/* What the guest's assembly and its C share. */
#ifndef GUEST_H
#define GUEST_H

#define MAX_CPUS	8
#define STACK_BYTES	4096

#define TRAMPOLINE	0x8000

/* of QEMU: what the guest says */
#define DEBUGCON_PORT	0xe9

#define LAPIC_BASE	0xfee00000
#define LAPIC_ID	0x020
#define LAPIC_EOI	0x0b0
#define LAPIC_SVR	0x0f0
#define LAPIC_ICR_LOW	0x300
#define LAPIC_ICR_HIGH	0x310
#define LAPIC_LVT_TIMER	0x320
#define LAPIC_LVT_LINT1	0x360
#define LAPIC_TMICT	0x380
#define LAPIC_TDCR	0x3e0

#define NMI_VECTOR	2
#define TIMER_VECTOR	0x20
#define SPURIOUS_VECTOR	0x2f
#define IDT_VECTORS	0x30

#endif
