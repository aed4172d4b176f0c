/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Entry points of the dirtying guest: multiboot for the boot CPU, a real-mode
 * trampoline for the others, and the interrupts that either may take.
 *
 * 32 bit, flat, no paging: the guest sets no dirty bits of its own, so every
 * dirty page that the host sees is one that this program wrote.
 */
#include "guest.h"

#define MULTIBOOT_MAGIC		0x1badb002
#define MULTIBOOT_FLAGS		0

#define CODE_SEL		0x08
#define DATA_SEL		0x10

	.section .multiboot, "a"
	.balign	4
	.long	MULTIBOOT_MAGIC
	.long	MULTIBOOT_FLAGS
	.long	-(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

	.text
	.code32
	.globl	_start
_start:
	cli
	lgdt	gdt_ptr
	ljmp	$CODE_SEL, $1f
1:	call	load_data_segments
	movl	$(stacks + STACK_BYTES), %esp
	lidt	idt_ptr
	movl	$begun, %esi
	movl	$(begun_end - begun), %ecx
	movl	$DEBUGCON_PORT, %edx
	cld
	rep outsb
	pushl	%ebx			/* the multiboot information */
	call	boot_cpu
	jmp	hang

load_data_segments:
	movl	$DATA_SEL, %ecx
	movl	%ecx, %ds
	movl	%ecx, %es
	movl	%ecx, %fs
	movl	%ecx, %gs
	movl	%ecx, %ss
	ret

/* Copied to TRAMPOLINE, where a startup interrupt makes a CPU begin. */
	.code16
	.globl	trampoline, trampoline_end
trampoline:
	cli
	xorw	%ax, %ax
	movw	%ax, %ds
	lgdtl	(TRAMPOLINE + trampoline_gdt_ptr - trampoline)
	movl	%cr0, %eax
	orl	$1, %eax
	movl	%eax, %cr0
	ljmpl	$CODE_SEL, $next_start
	.balign	8
trampoline_gdt_ptr:
	.word	gdt_end - gdt - 1
	.long	gdt
trampoline_end:

	.code32
next_start:
	movl	$DATA_SEL, %ecx		/* no stack yet: not by a call */
	movl	%ecx, %ds
	movl	%ecx, %es
	movl	%ecx, %fs
	movl	%ecx, %gs
	movl	%ecx, %ss
	movl	LAPIC_BASE + LAPIC_ID, %eax
	shrl	$24, %eax
	movl	%eax, %ecx
	incl	%ecx
	imull	$STACK_BYTES, %ecx
	leal	stacks(%ecx), %esp
	lidt	idt_ptr
	pushl	%eax
	call	next_cpu
hang:	cli
	hlt
	jmp	hang

/* The timer only has to end a hlt. */
	.globl	timer_irq, spurious_irq, nmi, trap
timer_irq:
	movl	$0, LAPIC_BASE + LAPIC_EOI
spurious_irq:
	iret

nmi:	pushal
	call	nmi_received
	popal
	iret

trap:	call	trapped
	jmp	hang

	.section .rodata
	.balign	8
gdt:	.quad	0
	.quad	0x00cf9b000000ffff	/* code: flat, 32 bit */
	.quad	0x00cf93000000ffff	/* data: flat */
gdt_end:
gdt_ptr:
	.word	gdt_end - gdt - 1
	.long	gdt
idt_ptr:
	.word	IDT_VECTORS * 8 - 1
	.long	idt
/* the first word, so that it can be told from firmware that hangs */
begun:	.ascii	"begun\n"
begun_end:

	.section .bss
	.balign	4096
stacks:	.skip	MAX_CPUS * STACK_BYTES
	.section .note.GNU-stack, "", @progbits
