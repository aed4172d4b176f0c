// SPDX-License-Identifier: GPL-2.0
/*
 * ring_live - a copy that is kept up by dirty rings while vCPUs write is the memory
 *
 * Each vCPU goes from page to page, writes every one many times, and moves on for
 * good: what the last write left there must be in the copy in the end. Harvesters
 * (each owns some of the rings, all reset at the same time) take what was
 * reported, reset, and only then read the pages. A write that comes after the
 * read and is not reported anew - because the page was not tracked again, or a
 * vCPU went on through a stale translation after the reset returned - leaves the
 * copy old.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vm.h"

static const char usage[] =
"ring_live [options]\n"
"  -s ENTRIES     size of a ring (4096)\n"
"  -v VCPUS       (1)\n"
"  -h HARVESTERS  (1)\n"
"  -n PAGES       for each vCPU (512)\n"
"  -w WRITES      to a page before the next (200)\n"
"  -r PASSES      over all pages (20)\n"
"  -u USEC        a harvester sleeps after each time (50)\n";

static struct vm vm;
static u64 *copy;
static u32 harvesters = 1, running;
static u64 pages = 512, writes = 200, passes = 20;
static u64 entries, resets, syncs;
static u32 pause_us = 50;

struct taken {
	u64 page[MAX_RING];
	u32 n;
};

static void take(void *arg, struct vcpu *v, u32 slot, u64 offset)
{
	struct taken *t = arg;

	errno = 0;
	if (slot != vm.area[0].slot || offset >= vm.area[0].pages)
		die("vcpu %u: an entry for page %llu of slot %u", v->id,
		    (unsigned long long)offset, slot);
	t->page[t->n++] = offset;
}

static u64 value_of(u64 page)
{
	return __atomic_load_n((u64 *)(vm.area[0].mem + page * PAGE), __ATOMIC_RELAXED);
}

static void keep_up(u32 first, struct taken *t)
{
	int r;

	t->n = 0;
	for (u32 i = first; i < vm.nr_vcpus; i += harvesters)
		vcpu_harvest(&vm.vcpu[i], vm.ring_size, take, t);
	r = vm_reset(&vm);
	for (u32 i = 0; i < t->n; i++)
		copy[t->page[i]] = value_of(t->page[i]);
	__atomic_add_fetch(&entries, t->n, __ATOMIC_RELAXED);
	__atomic_add_fetch(&resets, r, __ATOMIC_RELAXED);
	__atomic_add_fetch(&syncs, 1, __ATOMIC_RELAXED);
}

static void *harvester(void *arg)
{
	struct taken *t = calloc(1, sizeof(*t) * ((vm.nr_vcpus + harvesters - 1) / harvesters));

	/*
	 * A translation is stale until its CPU leaves the guest for whatever reason.
	 * Where one thread emulates all CPUs, one that was not run for long does that
	 * at once, to take its timer interrupt; so work little and sleep, for it to go
	 * on in the guest.
	 */
	while (__atomic_load_n(&running, __ATOMIC_ACQUIRE)) {
		keep_up((u32)(uintptr_t)arg, t);
		usleep(pause_us);
	}
	free(t);
	return NULL;
}

static void *writer(void *arg)
{
	struct vcpu *v = arg;
	u64 *list = malloc(pages * sizeof(*list));
	u64 seed = v->id + 1;

	for (u64 p = 0; p < passes; p++) {
		for (u64 i = 0; i < pages; i++)
			list[i] = vm.area[0].gpa + (v->id * pages + i) * PAGE;
		for (u64 i = pages - 1; i; i--) {
			u64 k = rnd(&seed) % (i + 1), x = list[i];

			list[i] = list[k];
			list[k] = x;
		}
		vcpu_load(v, list, pages, writes);
		while (vcpu_run(v) != RAN_DONE)
			sched_yield();
	}
	free(list);
	__atomic_sub_fetch(&running, 1, __ATOMIC_RELEASE);
	return NULL;
}

int main(int argc, char **argv)
{
	struct vm_opts o = { .ring_size = 4096, .vcpus = 1 };
	pthread_t threads[16];
	struct taken *rest;
	u64 old = 0, first = 0;
	int c;

	while ((c = getopt(argc, argv, "s:v:h:n:w:r:u:")) != -1) {
		switch (c) {
		case 's': o.ring_size = atoi(optarg); break;
		case 'v': o.vcpus = atoi(optarg); break;
		case 'h': harvesters = atoi(optarg); break;
		case 'n': pages = atoi(optarg); break;
		case 'w': writes = atoi(optarg); break;
		case 'u': pause_us = atoi(optarg); break;
		case 'r': passes = atoi(optarg); break;
		default: fputs(usage, stderr); return 2;
		}
	}
	if (!harvesters || harvesters > 16) {
		fputs(usage, stderr);
		return 2;
	}
	o.list_max = pages;
	vm_create(&vm, &o);
	vm_add_area(&vm, 1, AREA_GPA + 3 * PAGE, pages * o.vcpus);
	copy = calloc(pages * o.vcpus, sizeof(*copy));

	running = vm.nr_vcpus;
	for (u32 i = 0; i < vm.nr_vcpus; i++)
		pthread_create(&vm.vcpu[i].thread, NULL, writer, &vm.vcpu[i]);
	for (u32 i = 0; i < harvesters; i++)
		pthread_create(&threads[i], NULL, harvester, (void *)(uintptr_t)i);
	for (u32 i = 0; i < vm.nr_vcpus; i++)
		pthread_join(vm.vcpu[i].thread, NULL);
	for (u32 i = 0; i < harvesters; i++)
		pthread_join(threads[i], NULL);

	rest = calloc(1, sizeof(*rest) * vm.nr_vcpus);
	for (u32 i = 0; i < harvesters; i++)
		keep_up(i, rest);
	errno = 0;
	if (entries != resets)
		die("harvested %llu entries, %llu were reset", (unsigned long long)entries,
		    (unsigned long long)resets);
	for (u64 p = 0; p < vm.area[0].pages; p++)
		if (copy[p] != value_of(p))
			first = old++ ? first : p;
	if (old)
		die("%llu pages of the copy are old, the first is %llu: %llx, in memory %llx",
		    (unsigned long long)old, (unsigned long long)first,
		    (unsigned long long)copy[first], (unsigned long long)value_of(first));
	printf("live: %llu entries, %llu syncs\n", (unsigned long long)entries,
	       (unsigned long long)syncs);
	return 0;
}
