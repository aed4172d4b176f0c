// SPDX-License-Identifier: GPL-2.0
/*
 * ring_cost - what a page costs: to be logged, and to be tracked again
 *
 * For a machine whose clock counts instructions (tests/vm/run -i): nanoseconds of
 * CLOCK_MONOTONIC are instructions there. Every round writes the same number of
 * pages, harvests and resets them; the first rounds, in which pages are mapped
 * for the first time, do not count. Prints the medians, per page: to be tracked
 * again (RESET, CLEAR), to be written, to be harvested (GET), and what exits of the
 * vCPU it takes: one each time the ring is full, and with rings a kick at the end.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../median.h"
#include "vm.h"

static const char usage[] =
"ring_cost [options]\n"
"  -s ENTRIES  size of the ring (4096); 0: bitmap, cleared by hand\n"
"  -n MIB      of logged memory (64)\n"
"  -g MIB      that the slot has, of which only the first -n are ever touched (-n)\n"
"  -d PERCENT  of its pages are written in a round (100)\n"
"  -p PATTERN  seq back random (seq)\n"
"  -r ROUNDS   (5)\n";

#define WARM_UP 2

static u64 seed = 0x9e3779b97f4a7c15ULL;

static u64 now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

/* @n different pages of @pages, in the order of the pattern. */
static void choose(u64 *list, u64 n, u64 pages, const char *pattern)
{
	u32 *deck = malloc(pages * sizeof(*deck));

	for (u64 i = 0; i < pages; i++)
		deck[i] = i;
	if (!strcmp(pattern, "random"))
		for (u64 i = 0; i < n; i++) {
			u64 k = i + rnd(&seed) % (pages - i);
			u32 t = deck[i];

			deck[i] = deck[k];
			deck[k] = t;
		}
	for (u64 i = 0; i < n; i++)
		list[i] = AREA_GPA + PAGE * (strcmp(pattern, "back") ? deck[i] : deck[n - 1 - i]);
	free(deck);
}

struct cost {
	u64 write, sync, harvest, exits, pages;
};

static void sync_ring(struct vm *vm, struct cost *c)
{
	u64 t0 = now(), t1;
	u32 n = vcpu_harvest(&vm->vcpu[0], UINT32_MAX, NULL, NULL);
	int r;

	t1 = now();
	r = vm_reset(vm);
	c->sync += now() - t1;
	c->harvest += t1 - t0;
	errno = 0;
	if (r != (int)n)
		die("harvested %u entries, %d were reset", n, r);
	c->pages += n;
}

static void sync_bitmap(struct vm *vm, struct cost *c)
{
	struct area *a = &vm->area[0];
	struct kvm_dirty_log log = { .slot = a->slot, .dirty_bitmap = a->got };
	struct kvm_clear_dirty_log clear = {
		.slot = a->slot, .num_pages = a->pages, .dirty_bitmap = a->got,
	};
	u64 t0 = now(), t1;

	XIOCTL(vm->fd, KVM_GET_DIRTY_LOG, &log);
	t1 = now();
	XIOCTL(vm->fd, KVM_CLEAR_DIRTY_LOG, &clear);
	c->sync += now() - t1;
	c->harvest += t1 - t0;
	for (u64 i = 0; i < (a->pages + 63) / 64; i++)
		c->pages += __builtin_popcountll(a->got[i]);
}

/* An exit of a vCPU that is not let into the guest, as at a full ring or a kick. */
static void exit_once(struct vm *vm, struct cost *c, bool kick)
{
	enum ran ran;
	u64 t;

	vm->vcpu[0].run->immediate_exit = kick;
	t = now();
	ran = vcpu_run(&vm->vcpu[0]);
	c->exits += now() - t;
	vm->vcpu[0].run->immediate_exit = 0;
	errno = 0;
	if (ran != (kick ? RAN_INTR : RAN_FULL))
		die("the vCPU left with %d", ran);
}

static void run_round(struct vm *vm, struct cost *c)
{
	enum ran ran;
	u64 t;

	memset(c, 0, sizeof(*c));
	do {
		t = now();
		do {
			ran = vcpu_run(&vm->vcpu[0]);
		} while (ran == RAN_INTR);
		c->write += now() - t;
		if (vm->ring_size)
			exit_once(vm, c, ran == RAN_DONE);
		if (vm->ring_size)
			sync_ring(vm, c);
		else if (ran == RAN_DONE)
			sync_bitmap(vm, c);
	} while (ran != RAN_DONE);
}

int main(int argc, char **argv)
{
	struct vm_opts o = { .ring_size = 4096, .vcpus = 1 };
	u64 mib = 64, guest_mib = 0, percent = 100, pages, n, *list;
	double sync[64], write[64], harvest[64], exits[64];
	const char *pattern = "seq";
	u32 rounds = 5, used = 0;
	struct cost cost;
	struct vm vm;
	int c;

	while ((c = getopt(argc, argv, "s:n:g:d:p:r:")) != -1) {
		switch (c) {
		case 's': o.ring_size = atoi(optarg); break;
		case 'n': mib = atoi(optarg); break;
		case 'g': guest_mib = atoi(optarg); break;
		case 'd': percent = atoi(optarg); break;
		case 'p': pattern = optarg; break;
		case 'r': rounds = atoi(optarg); break;
		default: fputs(usage, stderr); return 2;
		}
	}
	if (!guest_mib)
		guest_mib = mib;
	if (rounds > 64 || !percent || percent > 100 || guest_mib < mib) {
		fputs(usage, stderr);
		return 2;
	}
	pages = mib << 20 >> 12;
	n = pages * percent / 100;
	o.list_max = n;
	o.gibs = (guest_mib >> 10) + 1;
	o.manual = !o.ring_size;

	vm_create(&vm, &o);
	vm_add_area(&vm, 1, AREA_GPA, guest_mib << 20 >> 12);
	list = malloc(n * sizeof(*list));
	/* map all of it, so that rounds differ only in what they write */
	for (u64 at = 0, i; at < pages; at += n) {
		for (i = 0; i < n; i++)
			list[i] = AREA_GPA + PAGE * ((at + i) % pages);
		vcpu_load(&vm.vcpu[0], list, n, 1);
		run_round(&vm, &cost);
	}
	choose(list, n, pages, pattern);
	for (u32 r = 0; r < WARM_UP + rounds; r++) {
		vcpu_load(&vm.vcpu[0], list, n, 1);
		run_round(&vm, &cost);
		if (r < WARM_UP)
			continue;
		errno = 0;
		/* a full exit comes between the report of a page and its write */
		if (cost.pages < n || cost.pages > n + n / 64)
			die("%llu pages written, %llu reported", (unsigned long long)n,
			    (unsigned long long)cost.pages);
		sync[used] = (double)cost.sync / cost.pages;
		write[used] = (double)cost.write / cost.pages;
		exits[used] = (double)cost.exits / cost.pages;
		harvest[used++] = (double)cost.harvest / cost.pages;
	}
	printf("%.1f %.1f %.1f %.1f\n", median(sync, used), median(write, used),
	       median(harvest, used), median(exits, used));
	vm_destroy(&vm);
	return 0;
}
