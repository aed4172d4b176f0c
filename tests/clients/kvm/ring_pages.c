// SPDX-License-Identifier: GPL-2.0
/* Of ring_api: pages are tracked again, all of them, and all at once. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "ring_api.h"

/* newer than Debian 12's headers */
#ifndef KVM_PRE_FAULT_MEMORY
struct kvm_pre_fault_memory {
	__u64 gpa;
	__u64 size;
	__u64 flags;
	__u64 padding[5];
};
#define KVM_PRE_FAULT_MEMORY _IOWR(KVMIO, 0xd5, struct kvm_pre_fault_memory)
#endif

void write_pages(struct vcpu *v, struct area *a, u64 from, u64 n)
{
	u64 *list = malloc(n * sizeof(*list));

	for (u64 i = 0; i < n; i++)
		list[i] = a->gpa + (from + i) * PAGE;
	vcpu_load(v, list, n, 1);
	free(list);
}

static void note(void *arg, struct vcpu *v, u32 slot, u64 offset)
{
	struct area *a = arg;

	(void)v;
	if (slot == a->slot && offset < a->pages)
		bit_set(a->got, offset);
}

static void harvest_all(struct vcpu *v, struct area *a)
{
	vcpu_harvest(v, UINT32_MAX, note, a);
	vm_reset(v->vm);
}

static u64 noted(const struct area *a)
{
	u64 n = 0;

	for (u64 i = 0; i < a->pages; i++)
		n += bit_test(a->got, i);
	return n;
}

static void write_all(struct vcpu *v, struct area *a)
{
	write_pages(v, a, 0, a->pages);
	while (vcpu_run(v) != RAN_DONE)
		harvest_all(v, a);
	harvest_all(v, a);
}

static void all_is_dirty(struct vcpu *v, struct area *a, const char *what)
{
	memset(a->got, 0, (a->pages + 63) / 64 * 8);
	write_all(v, a);
	OK(noted(a) == a->pages, "%s: %llu of %llu pages that are written are dirty", what,
	   (unsigned long long)noted(a), (unsigned long long)a->pages);
}

static void none_is_lost(struct vcpu *v, const char *what)
{
	u64 lost = 1;

	vcpu_stat(v, "dirty_ring_lost", &lost);
	OK(!lost, "%s: %llu lost", what, (unsigned long long)lost);
}

/* By the guest, page by page; then it loads its page tables anew. */
static void protect(struct vcpu *v, struct area *a, bool writable)
{
	u64 value = v->value;
	struct kvm_sregs sregs;

	for (u64 i = 0; i < a->pages; i++) {
		u64 entry = vm_entry(v->vm, i);

		v->value = vm_entry_value(i, writable);
		vcpu_load(v, &entry, 1, 1);
		while (vcpu_run(v) != RAN_DONE)
			harvest_all(v, a);
	}
	v->value = value;
	XIOCTL(v->fd, KVM_GET_SREGS, &sregs);
	sregs.cr3 ^= 1 << 3;			/* PWT: as good as any other, but not the same */
	XIOCTL(v->fd, KVM_SET_SREGS, &sregs);
}

/*
 * With shadow paging, what the guest has changed in its page tables is looked at all at once,
 * on the way into it: more pages may become writable than a ring has room for.
 */
void test_protect(void)
{
	const struct vm_opts o = { .ring_size = 256, .vcpus = 1, .tables = 2 };
	static struct vm vm;
	struct area *a;
	struct vcpu *v;

	vm_create(&vm, &o);
	v = &vm.vcpu[0];
	a = vm_add_area(&vm, 1, AREA_GPA, 1024);
	write_all(v, a);
	OK(noted(a) == a->pages, "protected: at first all pages are dirty");
	for (int round = 0; round < 2; round++) {
		protect(v, a, false);
		protect(v, a, true);
		all_is_dirty(v, a, "protected and not any more");
	}
	none_is_lost(v, "protected");
	vm_destroy(&vm);
}

/* Each page that is mapped before it is touched may take an entry: no more than there is room for. */
void test_pre_fault(void)
{
	const struct vm_opts o = { .ring_size = 256, .vcpus = 1 };
	struct kvm_pre_fault_memory range = { .gpa = AREA_GPA, .size = 1024 * PAGE };
	static struct vm vm;
	struct area *a;
	struct vcpu *v;
	int r, refused = 0;

	vm_create(&vm, &o);
	v = &vm.vcpu[0];
	a = vm_add_area(&vm, 1, AREA_GPA, 1024);
	/* what is not there is mapped by a read as what it is: read-only */
	memset(a->mem, 1, a->pages * PAGE);
	do {
		r = error_of(ioctl(v->fd, KVM_PRE_FAULT_MEMORY, &range));
		refused += r == EAGAIN;
		if (r == EAGAIN || range.size)
			harvest_all(v, a);
	} while (range.size && (!r || r == EAGAIN) && refused < 100);
	OK(!range.size, "pre-fault: comes to its end, errno %d, %llu bytes left", r, (unsigned long long)range.size);
	harvest_all(v, a);
	all_is_dirty(v, a, "pre-fault");
	none_is_lost(v, "pre-fault");
	/* a full ring is not what it is asked about */
	range = (struct kvm_pre_fault_memory){ .gpa = AREA_GPA, .size = PAGE };
	write_pages(v, a, 0, a->pages);
	OK(vcpu_run(v) == RAN_FULL && error_of(ioctl(v->fd, KVM_PRE_FAULT_MEMORY, &range)) == EAGAIN,
	   "pre-fault: not while the ring is full");
	vm_destroy(&vm);
}

#define LAPIC_GPA	0xfee00000ULL
#define HOLE_GPA	0xd0000000ULL
#define INPUT_PORT	0x1230

/* Where what is no memory is read, the next number is found. */
static u32 numbers;

static bool serve_numbers(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	u32 *data, n;

	if (run->exit_reason == KVM_EXIT_MMIO && !run->mmio.is_write && run->mmio.len == 4) {
		data = (u32 *)run->mmio.data;
		n = 1;
	} else if (run->exit_reason == KVM_EXIT_IO && run->io.port == INPUT_PORT) {
		data = (u32 *)((char *)run + run->io.data_offset);
		n = run->io.count;
	} else {
		return false;
	}
	while (n--)
		*data++ = ++numbers;
	return true;
}

/* Leaves the ring such that it takes one more page to stop the vCPU. */
static struct area *nearly_full(struct vm *vm, bool irqchip)
{
	const struct vm_opts o = { .ring_size = 256, .vcpus = 1, .irqchip = irqchip };
	struct area *a;

	vm_create(vm, &o);
	vm_add_area(vm, 2, AREA_GPA + 1024 * PAGE, 256);
	a = vm_add_area(vm, 1, AREA_GPA, 4);
	write_pages(&vm->vcpu[0], &vm->area[0], 0, 256 - RSVD_ENTRIES - 1);
	vcpu_run(&vm->vcpu[0]);
	numbers = 0;
	vm->vcpu[0].serve = serve_numbers;
	return a;
}

/* The instruction that is loaded writes its second page after more than the ring has room for. */
static void both_are_dirty(struct vcpu *v, struct area *a, const char *what)
{
	u64 pushes = 0;

	while (vcpu_run(v) != RAN_DONE)
		harvest_all(v, a);
	harvest_all(v, a);
	OK(bit_test(a->got, 1) && bit_test(a->got, 2), "%s: both pages are dirty", what);
	none_is_lost(v, what);
	vcpu_stat(v, "dirty_ring_pushes", &pushes);
	OK(pushes > 256, "%s: %llu pushes are more than the ring has entries", what, (unsigned long long)pushes);
}

/* @step 1 or -1: up or down from @at on are the numbers, and nothing else. */
static bool numbered(const struct area *a, u64 at, int step, u64 n)
{
	const u32 *mem = (const u32 *)a->mem, *first = mem + at / 4;
	u64 others = 0;

	for (u64 i = 0; i < a->pages * PAGE / 4; i++)
		others += mem[i] != 0;
	for (u64 i = 0; i < n; i++)
		if (first[(long)i * step] != i + 1)
			return false;
	return others == n && numbers == n;
}

/* By its registers that do not change; what is between two of them is nothing to read. */
static bool is_lapic(struct vcpu *v, const char *mem)
{
	static const u32 regs[] = { 0x20, 0x30, 0xd0, 0xe0, 0xf0 };
	struct kvm_lapic_state state;
	bool same = true;

	XIOCTL(v->fd, KVM_GET_LAPIC, &state);
	for (size_t i = 0; i < sizeof(regs) / sizeof(*regs); i++)
		same &= !memcmp(mem + regs[i], state.regs + regs[i], 4);
	return same && *(const u32 *)(mem + 0x30);
}

/*
 * A string instruction that KVM emulates writes page after page, and each write takes an entry,
 * of the same page, too: it has to be left in the middle.
 */
void test_strings(void)
{
	static struct vm vm;
	struct vcpu *v = &vm.vcpu[0];
	struct area *a;

	a = nearly_full(&vm, true);
	vcpu_load_copy(v, LAPIC_GPA, a->gpa + 0x1800, 1024);
	both_are_dirty(v, a, "strings: from a device in the kernel");
	OK(is_lapic(v, a->mem + 0x1800), "strings: from a device in the kernel: was copied");
	vm_destroy(&vm);

	a = nearly_full(&vm, false);
	vcpu_load_copy(v, HOLE_GPA, a->gpa + 0x1800, 1024);
	both_are_dirty(v, a, "strings: from one of user space");
	OK(numbered(a, 0x1800, 1, 1024), "strings: from one of user space: each once");
	vm_destroy(&vm);

	/* 65 of them are in the second page, where it begins; what is read ahead must not be lost */
	a = nearly_full(&vm, false);
	vcpu_load_input_down(v, INPUT_PORT, a->gpa + 0x2100, 256);
	both_are_dirty(v, a, "strings: from a port, downwards");
	OK(numbered(a, 0x2100, -1, 256), "strings: from a port, downwards: each once");
	vm_destroy(&vm);
}

/* What tests/vm/kvm_ring_probe counts; it has to be there. */
static u32 probe(const char *name)
{
	char path[128];
	u32 n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/module/kvm_ring_probe/parameters/%s", name);
	f = fopen(path, "r");
	if (!f || fscanf(f, "%u", &n) != 1)
		die("%s: kvm_ring_probe is not loaded", path);
	fclose(f);
	return n;
}

/*
 * Whatever was given to the MMU is flushed, before the lock is released: a second
 * caller must not find everything done and return while a vCPU still writes
 * through what the first has not flushed yet.
 */
static void flushed(struct vm *vm, u32 entries, u32 flushes, const char *what)
{
	u32 all = probe("flushes"), locked = probe("flushes_locked");

	OK(vm_reset(vm) == (int)entries, "flush: %s: is reset", what);
	OK(probe("flushes") - all == flushes, "flush: %s: %s", what, flushes ? "once" : "none");
	OK(probe("flushes_locked") - locked == flushes, "flush: %s: under slots_lock", what);
}

void test_flush(void)
{
	const struct vm_opts o = { .ring_size = 1024, .vcpus = 2 };
	static struct vm vm;
	struct area *a;

	vm_create(&vm, &o);
	a = vm_add_area(&vm, 1, AREA_GPA, 1000);
	flushed(&vm, 0, 0, "nothing harvested");
	for (u32 i = 0; i < 2; i++) {
		write_pages(&vm.vcpu[i], a, 100 * i, 10);
		vcpu_run(&vm.vcpu[i]);
	}
	flushed(&vm, 0, 0, "pushed, but not harvested");
	for (u32 i = 0; i < 2; i++) {
		vcpu_harvest(&vm.vcpu[i], UINT32_MAX, NULL, NULL);
		flushed(&vm, 10, 1, i ? "the last ring" : "the first ring");
	}

	write_pages(&vm.vcpu[0], a, 200, 1);
	vcpu_run(&vm.vcpu[0]);
	vm.vcpu[0].ring[vm.vcpu[0].fetch].offset = 999;
	vcpu_harvest(&vm.vcpu[0], UINT32_MAX, NULL, NULL);
	flushed(&vm, 1, 1, "a page that was clear already");

	write_pages(&vm.vcpu[0], a, 300, 1);
	vcpu_run(&vm.vcpu[0]);
	vm.vcpu[0].ring[vm.vcpu[0].fetch].offset = 1000;
	vcpu_harvest(&vm.vcpu[0], UINT32_MAX, NULL, NULL);
	flushed(&vm, 1, 0, "an entry that is rejected");
	vm_destroy(&vm);
}

/* Write pages of an area, each once; returns how many were reported, all of them harvested. */
static u32 written(struct vcpu *v, const struct area *a, const u64 *pages, u32 n)
{
	u64 list[16];

	for (u32 i = 0; i < n; i++)
		list[i] = a->gpa + pages[i] * PAGE;
	vcpu_load(v, list, n, 1);
	vcpu_run(v);
	return vcpu_harvest(v, UINT32_MAX, NULL, NULL);
}

/*
 * Pages of a page table are tracked again together. The slot begins in the last 64 of one.
 * tests/vm/kvm_ring_api.t knows how many windows and tables these are.
 */
void test_tables(void)
{
	static const u64 edges[] = { 0, 63, 64, 575, 576, 1199 }, table[] = { 64, 65, 575 };
	const struct vm_opts o = { .ring_size = 1024, .vcpus = 1 };
	static struct vm vm;
	struct area *a;
	struct vcpu *v;

	vm_create(&vm, &o);
	v = &vm.vcpu[0];
	a = vm_add_area(&vm, 1, AREA_GPA + 448 * PAGE, 1200);
	OK(written(v, a, edges, 6) == 6 && vm_reset(&vm) == 6, "tables: first and last pages");
	OK(written(v, a, edges, 6) == 6 && vm_reset(&vm) == 6, "tables: each of them once more");

	OK(written(v, a, table, 3) == 3, "tables: one, written");
	if (madvise(a->mem + table[0] * PAGE, PAGE, MADV_DONTNEED))
		die("madvise: %s", strerror(errno));
	OK(vm_reset(&vm) == 3, "tables: reset, its first page is not mapped any more");
	OK(written(v, a, table + 1, 2) == 2 && vm_reset(&vm) == 2, "tables: the others are tracked");
	vm_destroy(&vm);
}

/*
 * Where a window was noted in a reset long ago, nothing of that counts, though its mark looks
 * the same after 63 others.
 */
void test_epochs(void)
{
	static const u64 here[] = { 0 }, there[] = { 64, 128 };
	const struct vm_opts o = { .ring_size = 1024, .vcpus = 1 };
	static struct vm vm;
	bool all = true;
	struct area *a;
	struct vcpu *v;

	vm_create(&vm, &o);
	v = &vm.vcpu[0];
	a = vm_add_area(&vm, 1, AREA_GPA, 200);
	for (u32 others = 61; others <= 64; others++) {
		all &= written(v, a, here, 1) == 1 && vm_reset(&vm) == 1;
		for (u32 i = 0; i < others; i++)
			all &= written(v, a, there, 2) == 2 && vm_reset(&vm) == 2;
		all &= written(v, a, here, 1) == 1 && vm_reset(&vm) == 1;
	}
	OK(all, "epochs: a page is tracked again however many resets lie between");
	vm_destroy(&vm);
}
