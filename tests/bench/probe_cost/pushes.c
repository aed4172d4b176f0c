// SPDX-License-Identifier: GPL-2.0
/*
 * A guest that does little but dirty pages, and a clock: what one push costs.
 *
 * Reads numbers from standard input; for each it dirties PAGES pages and harvests
 * them that many times, and prints one line of JSON. The VM lives as long as the process, so that
 * a run with a probe and one without differ in nothing but the probe.
 *
 * Made of kvmload's parts: its VM, its pages, its harvest, which says how many
 * pushes there were. Two things are not kvmload's. One thread does everything in
 * turn, so nothing wakes up. And the guest is simpler: where KVM emulates, an
 * instruction or a walk of the guest's page tables costs more than a probe. So there
 * are no page tables, and the store is a REP STOS, whose rounds are not decoded anew
 * and each of which is a push, also to a page that is dirty.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../../tools/kvmload/kvmload.h"
#include "guest.h"

#define BATCH		KL_MAX_BATCH
#define RING		4096U
#define PAGES		2048U	/* pushed between two harvests */
#define DATA_GPA	0x1000000U	/* the guest reaches 4 GiB */
#define MAX_CYCLES	100000UL

struct bench {
	struct kl_opts o;
	struct kl_vm vm;
	struct kl_vcpu vcpu;
	u32 words;		/* written to each page; each a push */
	u32 lists;		/* batches between two harvests */
	u32 next;
	int stats_fd;
	off_t exits_at;		/* KVM's count of exits, in stats_fd */
};

/* Where KVM counts this vCPU's exits; a KVM without such statistics (5.14) has none. */
static void find_exits(struct bench *b)
{
	struct kvm_stats_header h;
	struct kvm_stats_desc *d;
	size_t size;

	b->stats_fd = ioctl(b->vcpu.fd, KVM_GET_STATS_FD, NULL);
	if (b->stats_fd < 0 || pread(b->stats_fd, &h, sizeof(h), 0) != sizeof(h))
		return;
	size = sizeof(*d) + h.name_size;
	d = kl_alloc(1, size);
	for (u32 i = 0; i < h.num_desc; i++) {
		if (pread(b->stats_fd, d, size, h.desc_offset + i * size) != (ssize_t)size)
			break;
		if (!strcmp(d->name, "exits"))
			b->exits_at = h.data_offset + d->offset;
	}
	free(d);
}

static u64 exits(const struct bench *b)
{
	u64 n = 0;

	if (b->exits_at && pread(b->stats_fd, &n, sizeof(n), b->exits_at) != sizeof(n))
		kl_die(KL_EXIT_FAIL, "KVM's statistics: %s", strerror(errno));
	return n;
}

static void set_slot(const struct kl_vm *vm, u64 bytes)
{
	struct kvm_userspace_memory_region region = {
		.slot = KL_SLOT_DATA, .flags = KVM_MEM_LOG_DIRTY_PAGES,
		.guest_phys_addr = DATA_GPA, .memory_size = bytes,
		.userspace_addr = (uintptr_t)vm->mem,
	};

	kl_ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, "KVM_SET_USER_MEMORY_REGION", &region);
}

/* 32 bits, flat, no paging; kvmload's guest has begun with 64 bits and its page tables. */
static void simplify(struct bench *b)
{
	struct kl_vm *vm = &b->vm;
	struct kvm_sregs s;

	kl_ioctl(b->vcpu.fd, KVM_GET_SREGS, "KVM_GET_SREGS", &s);
	s.cr0 &= ~(1ULL << 31);			/* PG */
	s.efer &= ~(1ULL << 8 | 1ULL << 10);	/* LME, LMA */
	s.cs.l = 0;
	s.cs.db = 1;
	kl_ioctl(b->vcpu.fd, KVM_SET_SREGS, "KVM_SET_SREGS", &s);
	memcpy(vm->sys, guest_code, guest_code_end - guest_code);
	memcpy(vm->sys + (guest_words - guest_code) - 4, &b->words, 4);
	set_slot(vm, 0);
	set_slot(vm, vm->mem_pages * KL_PAGE_SIZE);
}

static void set_up(struct bench *b)
{
	struct kl_vm *vm = &b->vm;
	struct kl_vcpu *v = &b->vcpu;

	b->o = (struct kl_opts) {
		.device = "/dev/kvm", .mode = KL_RING, .pattern = KL_SEQ, .vcpus = 1,
		.ring_size = RING, .batch = BATCH, .passes = 1, .vms = 1, .seed = 1,
		.pages = { PAGES }, .n_pages = 1,
	};
	vm->o = &b->o;
	vm->vcpu = v;
	v->vm = vm;
	kl_plan_shape(vm);
	kl_kvm_create(vm);
	kl_plan_vcpu(v);
	kl_kvm_vcpu(v);

	/* with hardware only the first write to a page is a push */
	b->words = vm->emulated ? BATCH : 1;
	b->lists = PAGES / BATCH;
	simplify(b);
	find_exits(b);
}

static void load(struct bench *b)
{
	u32 pages = BATCH / b->words, *mailbox = (u32 *)b->vcpu.mailbox;

	*mailbox++ = pages;
	for (u32 i = 0; i < pages; i++)
		*mailbox++ = DATA_GPA + b->vcpu.pages[b->next * pages + i] * KL_PAGE_SIZE;
	b->next = (b->next + 1) % b->lists;
}

/* One batch; how long KVM_RUN took. */
static u64 run_batch(struct bench *b)
{
	struct kl_vcpu *v = &b->vcpu;
	u64 start, end;

	load(b);
	start = kl_now();
	if (ioctl(v->fd, KVM_RUN, 0) < 0)
		kl_die(KL_EXIT_FAIL, "KVM_RUN: %s", strerror(errno));
	end = kl_now();
	if (v->run->exit_reason != KVM_EXIT_IO || v->run->io.port != KL_DONE_PORT)
		kl_die(KL_EXIT_FAIL, "unexpected exit %u", v->run->exit_reason);
	return end - start;
}

/* From one harvest to the next, that harvest included. */
struct cycle {
	u64 ns;		/* first, by_size() sorts by it */
	u64 exits;
};

static int by_size(const void *a, const void *b)
{
	const u64 *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void measure(struct bench *b, u64 cycles)
{
	u64 batches = cycles * b->lists, n = 0, pushes = 0;
	struct cycle *cycle = kl_alloc(cycles, sizeof(*cycle)), *c;
	u64 *took = kl_alloc(batches, sizeof(*took));

	for (c = cycle; c < cycle + cycles; c++) {
		u64 before = exits(b), start = kl_now();

		for (u32 i = 0; i < b->lists; i++)
			took[n++] = run_batch(b);
		pushes += kl_ring_harvest(&b->vm);
		c->ns = kl_now() - start;
		c->exits = exits(b) - before;
	}
	if (pushes != batches * BATCH)
		kl_wrong(&b->vm, "%llu pushes, expected %llu", (unsigned long long)pushes,
			 (unsigned long long)batches * BATCH);
	if (b->vm.wrong)
		kl_die(KL_EXIT_FAIL, "the ring does not hold what was written");

	/*
	 * Other work disturbs in one direction only, and often for long: a neighbour on
	 * the same core makes a batch a third slower. So it is the fast ones that
	 * tell what a push costs, and the least would tell luck: the first percent.
	 */
	qsort(took, batches, sizeof(*took), by_size);
	qsort(cycle, cycles, sizeof(*cycle), by_size);
	c = &cycle[cycles / 20];
	printf("{\"push_ns\":%.2f,\"median_ns\":%.2f", (double)took[batches / 100] / BATCH,
	       (double)took[batches / 2] / BATCH);
	printf(",\"pushes\":%llu,\"exits\":%llu,\"cycle_ns\":%llu,\"emulated\":%s}\n",
	       (unsigned long long)pushes, (unsigned long long)c->exits,
	       (unsigned long long)c->ns, b->vm.emulated ? "true" : "false");
	fflush(stdout);
	free(took);
	free(cycle);
}

int main(void)
{
	static struct bench b;
	char line[32];

	set_up(&b);
	while (fgets(line, sizeof(line), stdin)) {
		u64 cycles = strtoull(line, NULL, 10);

		if (!cycles || cycles > MAX_CYCLES)
			kl_die(KL_EXIT_USAGE, "not a number of cycles: %s", line);
		measure(&b, cycles);
	}
	kl_kvm_destroy(&b.vm);
	return KL_EXIT_OK;
}
