/* SPDX-License-Identifier: GPL-2.0 */
/* All BPF programs, as one object: see bpf/bpf.mk. */
	.section .rodata
	.balign	8
	.globl	ms_programs
ms_programs:
	.incbin	OBJECT
	.globl	ms_programs_end
ms_programs_end:
	.section .note.GNU-stack, "", @progbits
