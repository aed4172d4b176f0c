/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The guest: 32 bits, flat, no paging. esi: the mailbox, which is how many
 * addresses and then these. What to load into ecx is patched in.
 */
	.section .rodata
	.globl	guest_code, guest_words, guest_code_end
guest_code:
	.code32
1:	movl	(%esi), %edx
	leal	4(%esi), %ebx
2:	movl	(%ebx), %edi
	movl	$0, %ecx
guest_words:
	rep stosl
	addl	$4, %ebx
	decl	%edx
	jnz	2b
	outb	%al, $0xb2		/* KL_DONE_PORT */
	jmp	1b
guest_code_end:
	.section .note.GNU-stack, "", @progbits
