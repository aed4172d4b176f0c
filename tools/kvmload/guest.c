// SPDX-License-Identifier: GPL-2.0
/*
 * The guest: a dozen instructions in 64-bit mode, and the memory it runs in.
 *
 * Guest-physical memory
 *   1 MiB   system slot, never logged: code, page tables, one mailbox per vCPU
 *   4 GiB   data slot, logged: nothing else is ever written to it
 *
 * The tables map it one to one with 2 MiB pages whose accessed and dirty bits
 * are set beforehand; they lie in the unlogged slot, so whatever the processor
 * or KVM's emulator does to them is not dirty logging's business. With 64-bit
 * mode the size of the data slot is limited only by one page-directory-pointer
 * table (508 GiB) and by the processor's physical address width.
 */
#include <string.h>

#include "kvmload.h"

#define SYS_GPA		0x100000ULL
#define DATA_GPA	0x100000000ULL
#define GIB		0x40000000ULL
#define LARGE_PAGE	0x200000ULL

#define PTE_P		0x001ULL
#define PTE_RW		0x002ULL
#define PTE_A		0x020ULL
#define PTE_D		0x040ULL
#define PTE_PS		0x080ULL

/* pages of the system slot */
enum { SYS_CODE, SYS_PML4, SYS_PDPT, SYS_LOW_PD, SYS_REST };

struct kl_mailbox {
	u64 count;
	u64 value;
	u64 address[KL_MAX_BATCH];
};

/*
 * rsi: the mailbox. One store per page, then one port write to say that the
 * list is done. KVM that emulates takes every instruction here one by one.
 */
asm(".pushsection .rodata\n"
    "	.globl kl_guest_code, kl_guest_code_end\n"
    "kl_guest_code:\n"
    "	.code64\n"
    "1:	movq	(%rsi), %rcx\n"
    "	movq	8(%rsi), %rax\n"
    "	leaq	16(%rsi), %rbx\n"
    "2:	movq	(%rbx), %rdx\n"
    "	movq	%rdx, %rdi\n"
    "	xorq	%rax, %rdi\n"
    "	movq	%rdi, (%rdx)\n"
    "	addq	$8, %rbx\n"
    "	decq	%rcx\n"
    "	jnz	2b\n"
    "	outb	%al, $0xb2\n"		/* KL_DONE_PORT */
    "	jmp	1b\n"
    "kl_guest_code_end:\n"
    ".popsection\n");

extern const char kl_guest_code[], kl_guest_code_end[];

u64 kl_guest_gpa(u64 page)
{
	return DATA_GPA + page * KL_PAGE_SIZE;
}

static u64 data_gibs(const struct kl_vm *vm)
{
	return (vm->mem_pages * KL_PAGE_SIZE + GIB - 1) / GIB;
}

static u64 mailbox_page(const struct kl_vm *vm, u32 vcpu)
{
	return SYS_REST + data_gibs(vm) + vcpu;
}

static u64 sys_gpa(u64 page)
{
	return SYS_GPA + page * KL_PAGE_SIZE;
}

static u64 *sys_page(const struct kl_vm *vm, u64 page)
{
	return (u64 *)(vm->sys + page * KL_PAGE_SIZE);
}

static void fill_directory(u64 *pd, u64 gpa)
{
	for (int i = 0; i < 512; i++)
		pd[i] = (gpa + i * LARGE_PAGE) | PTE_P | PTE_RW | PTE_A | PTE_D | PTE_PS;
}

u64 kl_guest_sys_pages(const struct kl_vm *vm)
{
	if (data_gibs(vm) > 512 - DATA_GPA / GIB)
		kl_die(KL_EXIT_USAGE, "--memory: at most %llu GiB",
		       (unsigned long long)(512 - DATA_GPA / GIB));
	return mailbox_page(vm, vm->o->vcpus);
}

u64 kl_guest_sys_gpa(void)
{
	return SYS_GPA;
}

void kl_guest_build(struct kl_vm *vm)
{
	const u64 table = PTE_P | PTE_RW | PTE_A;

	memcpy(sys_page(vm, SYS_CODE), kl_guest_code, kl_guest_code_end - kl_guest_code);
	sys_page(vm, SYS_PML4)[0] = sys_gpa(SYS_PDPT) | table;
	sys_page(vm, SYS_PDPT)[0] = sys_gpa(SYS_LOW_PD) | table;
	fill_directory(sys_page(vm, SYS_LOW_PD), 0);
	for (u64 i = 0; i < data_gibs(vm); i++) {
		sys_page(vm, SYS_PDPT)[DATA_GPA / GIB + i] = sys_gpa(SYS_REST + i) | table;
		fill_directory(sys_page(vm, SYS_REST + i), DATA_GPA + i * GIB);
	}
}

void kl_guest_start(struct kl_vcpu *v)
{
	struct kl_vm *vm = v->vm;
	struct kvm_segment code = {
		.limit = 0xffffffff, .selector = 0x08, .type = 0xb,
		.present = 1, .s = 1, .l = 1, .g = 1,
	};
	struct kvm_segment data = {
		.limit = 0xffffffff, .selector = 0x10, .type = 0x3,
		.present = 1, .s = 1, .db = 1, .g = 1,
	};
	struct kvm_sregs sregs;
	struct kvm_regs regs = {
		.rip = sys_gpa(SYS_CODE),
		.rsi = sys_gpa(mailbox_page(vm, v->id)),
		.rflags = 2,
	};

	v->mailbox = (struct kl_mailbox *)sys_page(vm, mailbox_page(vm, v->id));

	kl_ioctl(v->fd, KVM_GET_SREGS, "KVM_GET_SREGS", &sregs);
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.cr3 = sys_gpa(SYS_PML4);
	sregs.cr4 |= 1 << 5;			/* PAE */
	sregs.cr0 |= 1U << 31 | 1 << 5 | 1;	/* PG, NE, PE */
	sregs.efer |= 1 << 8 | 1 << 10;		/* LME, LMA */
	kl_ioctl(v->fd, KVM_SET_SREGS, "KVM_SET_SREGS", &sregs);
	kl_ioctl(v->fd, KVM_SET_REGS, "KVM_SET_REGS", &regs);
}

void kl_guest_load(struct kl_vcpu *v, const u32 *pages, u32 n, u64 value)
{
	v->mailbox->count = n;
	v->mailbox->value = value;
	for (u32 i = 0; i < n; i++)
		v->mailbox->address[i] = kl_guest_gpa(pages[i]);
}
