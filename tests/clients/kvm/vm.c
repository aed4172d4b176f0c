// SPDX-License-Identifier: GPL-2.0
/*
 * Guest-physical memory
 *   1 MiB   system slot, in both address spaces, never logged: code, page
 *           tables, a mailbox for each vCPU
 *   4 GiB   and up: what is logged
 *
 * The page tables map it one to one with their accessed and dirty bits set, and
 * the guest's stack is never used: nothing but the stores of the program below
 * writes to logged memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vm.h"

#define SYS_GPA		0x100000ULL
#define SYS_ID		100		/* slot id, away from the areas' */
#define GIB		0x40000000ULL
#define DONE_PORT	0xb2

#define PTE_TABLE	0x023ULL	/* present, writable, accessed */
#define PTE_LARGE	0x0e3ULL	/* and dirty, 2 MiB */
#define PTE_READ	0x061ULL	/* present, accessed, dirty */
#define PTE_WRITE	0x002ULL

enum { SYS_CODE, SYS_PML4, SYS_PDPT, SYS_PD };

struct mailbox {
	u64 count;
	u64 value;
	u64 reps;
	u64 addr[];
};

asm(".pushsection .rodata\n"
    ".globl guest_code, guest_copy, guest_input_down, guest_code_end\n"
    "guest_code:\n"
    ".code64\n"
    "1:	movq	(%rsi), %rcx\n"
    "	movq	8(%rsi), %rax\n"
    "	leaq	24(%rsi), %rbx\n"
    "2:	movq	(%rbx), %rdx\n"
    "	movq	16(%rsi), %rdi\n"
    "3:	movq	%rax, (%rdx)\n"
    "	incq	%rax\n"
    "	decq	%rdi\n"
    "	jnz	3b\n"
    "	addq	$8, %rbx\n"
    "	decq	%rcx\n"
    "	jnz	2b\n"
    "	outb	%al, $0xb2\n"
    "	jmp	1b\n"
    "guest_copy:\n"
    "	rep movsl\n"
    "	outb	%al, $0xb2\n"
    "	jmp	guest_copy\n"
    "guest_input_down:\n"
    "	std\n"
    "	rep insl\n"
    "	cld\n"
    "	outb	%al, $0xb2\n"
    "	jmp	guest_input_down\n"
    "guest_code_end:\n"
    ".popsection\n");

extern const char guest_code[], guest_copy[], guest_input_down[], guest_code_end[];

void die(const char *fmt, ...)
{
	int err = errno;
	va_list ap;

	va_start(ap, fmt);
	fprintf(stderr, "fail: ");
	vfprintf(stderr, fmt, ap);
	if (err)
		fprintf(stderr, " (%s)", strerror(err));
	fputc('\n', stderr);
	exit(1);
}

int xioctl(int fd, unsigned long cmd, const char *name, void *arg)
{
	int r = ioctl(fd, cmd, arg);

	if (r < 0)
		die("%s", name);
	return r;
}

u64 rnd(u64 *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void *map_pages(u64 pages)
{
	void *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		die("mmap of %llu pages", (unsigned long long)pages);
	/* a huge page is split or collapsed at times that no test chose */
	madvise(p, pages * PAGE, MADV_NOHUGEPAGE);
	return p;
}

static u64 *sys_page(struct vm *vm, u64 page)
{
	return (u64 *)(vm->sys + page * PAGE);
}

static u64 sys_gpa(u64 page)
{
	return SYS_GPA + page * PAGE;
}

u64 vm_entry(const struct vm *vm, u64 page)
{
	return sys_gpa(vm->tables) + page * sizeof(u64);
}

u64 vm_entry_value(u64 page, bool writable)
{
	return (AREA_GPA + page * PAGE) | PTE_READ | (writable ? PTE_WRITE : 0);
}

static void build_tables(struct vm *vm, u64 gibs, u32 small)
{
	memcpy(sys_page(vm, SYS_CODE), guest_code, guest_code_end - guest_code);
	sys_page(vm, SYS_PML4)[0] = sys_gpa(SYS_PDPT) | PTE_TABLE;
	for (u64 g = 0; g < gibs; g++) {
		sys_page(vm, SYS_PDPT)[g] = sys_gpa(SYS_PD + g) | PTE_TABLE;
		for (u64 i = 0; i < 512; i++)
			sys_page(vm, SYS_PD + g)[i] = (g * GIB + i * (GIB / 512)) | PTE_LARGE;
	}
	for (u64 t = 0; t < small; t++) {
		sys_page(vm, SYS_PD + AREA_GPA / GIB)[t] = sys_gpa(vm->tables + t) | PTE_TABLE;
		for (u64 i = 0; i < 512; i++)
			sys_page(vm, vm->tables + t)[i] = vm_entry_value(t * 512 + i, true);
	}
}

static void set_slot(struct vm *vm, u32 slot, u32 flags, u64 gpa, u64 bytes, void *mem)
{
	struct kvm_userspace_memory_region r = {
		.slot = slot, .flags = flags, .guest_phys_addr = gpa,
		.memory_size = bytes, .userspace_addr = (u64)mem,
	};

	XIOCTL(vm->fd, KVM_SET_USER_MEMORY_REGION, &r);
}

static void create_vcpu(struct vm *vm, u32 id, bool smm, u64 mailbox_page)
{
	static union {
		struct kvm_cpuid2 head;
		char space[sizeof(struct kvm_cpuid2) + 256 * sizeof(struct kvm_cpuid_entry2)];
	} cpuid;
	struct kvm_segment code = {
		.limit = 0xffffffff, .selector = 8, .type = 0xb,
		.present = 1, .s = 1, .l = 1, .g = 1,
	};
	struct kvm_segment data = {
		.limit = 0xffffffff, .selector = 16, .type = 3,
		.present = 1, .s = 1, .db = 1, .g = 1,
	};
	struct kvm_regs regs = {
		.rip = sys_gpa(SYS_CODE), .rsi = sys_gpa(mailbox_page), .rflags = 2,
	};
	struct vcpu *v = &vm->vcpu[id];
	struct kvm_sregs sregs;
	int run_size;

	v->vm = vm;
	v->id = id;
	v->as_id = smm;
	v->value = (u64)(id + 1) << 48;
	v->mailbox = (struct mailbox *)sys_page(vm, mailbox_page);
	v->fd = XIOCTL(vm->fd, KVM_CREATE_VCPU, id);

	run_size = XIOCTL(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	v->run = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	if (v->run == MAP_FAILED)
		die("mmap of kvm_run");
	if (vm->ring_size) {
		v->ring = mmap(NULL, vm->ring_size * sizeof(*v->ring), PROT_READ | PROT_WRITE,
			       MAP_SHARED, v->fd, PAGE * KVM_DIRTY_LOG_PAGE_OFFSET);
		if (v->ring == MAP_FAILED)
			die("mmap of the ring");
	}

	cpuid.head.nent = 256;
	XIOCTL(vm->kvm, KVM_GET_SUPPORTED_CPUID, &cpuid);
	XIOCTL(v->fd, KVM_SET_CPUID2, &cpuid);

	if (smm) {
		struct kvm_vcpu_events ev;

		XIOCTL(v->fd, KVM_GET_VCPU_EVENTS, &ev);
		ev.flags |= KVM_VCPUEVENT_VALID_SMM;
		ev.smi.smm = 1;
		XIOCTL(v->fd, KVM_SET_VCPU_EVENTS, &ev);
	}

	XIOCTL(v->fd, KVM_GET_SREGS, &sregs);
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.cr3 = sys_gpa(SYS_PML4);
	sregs.cr4 |= 1 << 5;			/* PAE */
	sregs.cr0 |= 1U << 31 | 1 << 5 | 1;	/* PG, NE, PE */
	sregs.efer |= 1 << 8 | 1 << 10;		/* LME, LMA */
	XIOCTL(v->fd, KVM_SET_SREGS, &sregs);
	XIOCTL(v->fd, KVM_SET_REGS, &regs);
}

void vm_create(struct vm *vm, const struct vm_opts *o)
{
	u64 gibs = 4 + (o->gibs ? o->gibs : 4);
	u64 list_max = o->list_max ? o->list_max : 4096;
	u64 box = (sizeof(struct mailbox) + list_max * 8 + PAGE - 1) / PAGE;

	memset(vm, 0, sizeof(*vm));
	vm->ring_size = o->ring_size;
	vm->list_max = list_max;
	vm->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->kvm < 0)
		die("/dev/kvm");
	vm->fd = XIOCTL(vm->kvm, KVM_CREATE_VM, 0);

	if (o->ring_size) {
		struct kvm_enable_cap cap = {
			.cap = KVM_CAP_DIRTY_LOG_RING,
			.args[0] = o->ring_size * sizeof(struct kvm_dirty_gfn),
		};

		XIOCTL(vm->fd, KVM_ENABLE_CAP, &cap);
	}
	if (o->manual) {
		struct kvm_enable_cap cap = {
			.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, .args[0] = 1,
		};

		XIOCTL(vm->fd, KVM_ENABLE_CAP, &cap);
	}

	if (o->irqchip)
		XIOCTL(vm->fd, KVM_CREATE_IRQCHIP, 0);

	vm->tables = SYS_PD + gibs + o->vcpus * box;
	vm->sys_pages = vm->tables + o->tables;
	vm->sys = map_pages(vm->sys_pages);
	build_tables(vm, gibs, o->tables);
	set_slot(vm, SYS_ID, 0, SYS_GPA, vm->sys_pages * PAGE, vm->sys);
	if (o->smm_vcpus)
		set_slot(vm, 1 << 16 | SYS_ID, 0, SYS_GPA, vm->sys_pages * PAGE, vm->sys);

	for (u32 i = 0; i < o->vcpus; i++)
		create_vcpu(vm, i, i >= o->vcpus - o->smm_vcpus, SYS_PD + gibs + i * box);
	vm->nr_vcpus = o->vcpus;
}

void vm_destroy(struct vm *vm)
{
	int run_size = XIOCTL(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);

	for (u32 i = 0; i < vm->nr_vcpus; i++) {
		munmap(vm->vcpu[i].run, run_size);
		if (vm->vcpu[i].ring)
			munmap(vm->vcpu[i].ring, vm->ring_size * sizeof(*vm->vcpu[i].ring));
		close(vm->vcpu[i].fd);
	}
	close(vm->fd);
	close(vm->kvm);
	munmap(vm->sys, vm->sys_pages * PAGE);
	for (u32 i = 0; i < vm->nr_areas; i++) {
		munmap(vm->area[i].mem, vm->area[i].pages * PAGE);
		free(vm->area[i].want);
		free(vm->area[i].got);
	}
}

void vm_set_area(struct vm *vm, struct area *a, u64 pages, bool logged)
{
	set_slot(vm, a->slot, logged ? KVM_MEM_LOG_DIRTY_PAGES : 0, a->gpa,
		 pages * PAGE, a->mem);
	a->logged = logged;
}

struct area *vm_add_area(struct vm *vm, u32 slot, u64 gpa, u64 pages)
{
	struct area *a = &vm->area[vm->nr_areas++];

	if (vm->nr_areas > MAX_AREAS)
		die("too many areas");
	a->slot = slot;
	a->gpa = gpa;
	a->pages = pages;
	a->mem = map_pages(pages);
	a->want = calloc((pages + 63) / 64, 8);
	a->got = calloc((pages + 63) / 64, 8);
	vm_set_area(vm, a, pages, true);
	return a;
}

struct area *vm_find_area(struct vm *vm, u32 slot)
{
	for (u32 i = 0; i < vm->nr_areas; i++)
		if (vm->area[i].slot == slot)
			return &vm->area[i];
	return NULL;
}

void vcpu_load(struct vcpu *v, const u64 *addr, u64 n, u64 reps)
{
	if (!n || n > v->vm->list_max)
		die("a list of %llu addresses", (unsigned long long)n);
	v->mailbox->count = n;
	v->mailbox->value = v->value;
	v->mailbox->reps = reps;
	memcpy(v->mailbox->addr, addr, n * sizeof(*addr));
	v->value += n * reps;
}

static void load_string(struct vcpu *v, const char *code, u64 from, u64 to, u64 n)
{
	struct kvm_regs regs;

	XIOCTL(v->fd, KVM_GET_REGS, &regs);
	regs.rip = sys_gpa(SYS_CODE) + (code - guest_code);
	regs.rsi = regs.rdx = from;
	regs.rdi = to;
	regs.rcx = n;
	XIOCTL(v->fd, KVM_SET_REGS, &regs);
}

void vcpu_load_copy(struct vcpu *v, u64 from, u64 to, u64 n)
{
	load_string(v, guest_copy, from, to, n);
}

void vcpu_load_input_down(struct vcpu *v, u64 port, u64 to, u64 n)
{
	load_string(v, guest_input_down, port, to, n);
}

enum ran vcpu_run(struct vcpu *v)
{
	do {
		if (ioctl(v->fd, KVM_RUN, NULL)) {
			if (errno == EINTR || errno == EAGAIN)
				return RAN_INTR;
			die("KVM_RUN of vcpu %u", v->id);
		}
		switch (v->run->exit_reason) {
		case KVM_EXIT_IO:
			if (v->run->io.port == DONE_PORT)
				return RAN_DONE;
			break;
		case KVM_EXIT_DIRTY_RING_FULL:
			v->full_exits++;
			return RAN_FULL;
		}
	} while (v->serve && v->serve(v));
	errno = 0;
	die("vcpu %u left with reason %u", v->id, v->run->exit_reason);
}

static inline __attribute__((always_inline)) u32
harvest(struct vcpu *v, u32 max, harvest_cb cb, void *arg)
{
	const u32 mask = v->vm->ring_size - 1, from = v->fetch;
	u32 at;

	for (at = from; at - from < max; at++) {
		struct kvm_dirty_gfn *e = &v->ring[at & mask];

		if (__atomic_load_n(&e->flags, __ATOMIC_ACQUIRE) != KVM_DIRTY_GFN_F_DIRTY)
			break;
		if (cb)
			cb(arg, v, e->slot, e->offset);
		__atomic_store_n(&e->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
	}
	v->fetch = at;
	return at - from;
}

/* What a harvest takes is measured: without a callback there is none to ask for. */
u32 vcpu_harvest(struct vcpu *v, u32 max, harvest_cb cb, void *arg)
{
	return cb ? harvest(v, max, cb, arg) : harvest(v, max, NULL, NULL);
}

int vm_reset(struct vm *vm)
{
	return XIOCTL(vm->fd, KVM_RESET_DIRTY_RINGS, 0);
}

bool vcpu_stat(struct vcpu *v, const char *name, u64 *value)
{
	struct kvm_stats_header h;
	struct kvm_stats_desc *d;
	bool found = false;
	size_t size;
	int fd;

	fd = XIOCTL(v->fd, KVM_GET_STATS_FD, 0);
	if (pread(fd, &h, sizeof(h), 0) != sizeof(h))
		die("statistics: header");
	size = sizeof(*d) + h.name_size;
	d = malloc(size);
	for (u32 i = 0; i < h.num_desc && !found; i++) {
		if (pread(fd, d, size, h.desc_offset + i * size) != (ssize_t)size)
			die("statistics: descriptor %u", i);
		if (strcmp(d->name, name))
			continue;
		if (pread(fd, value, 8, h.data_offset + d->offset) != 8)
			die("statistics: %s", name);
		found = true;
	}
	free(d);
	close(fd);
	return found;
}
