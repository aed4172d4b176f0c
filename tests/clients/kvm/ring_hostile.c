// SPDX-License-Identifier: GPL-2.0
/*
 * ring_hostile - a VMM that writes what it likes into its rings
 *
 * Threads scribble over the mapped rings - random bits, and entries made to look
 * right but for one thing - while others reset, vCPUs run, slots come and go. All
 * that may happen is errors: whoever runs this looks at the kernel's log, and
 * whether it can be killed.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "vm.h"

#define MSR_KVM_WALL_CLOCK_NEW 0x4b564d00

static struct vm vm;
static volatile bool stop;
static u64 resets, reset_entries;

static void *scribbler(void *arg)
{
	static const u32 slots[] = {
		1, 2, 100, 1 << 16 | 1, 2 << 16 | 1, 0xffff0001, 0xffffffff, 32764, 32765, 0,
	};
	static const u64 offsets[] = {
		0, 1, 63, 64, 999, 1000, 1001, 1ULL << 31, 1ULL << 32, (1ULL << 32) - 1,
		1ULL << 52, 1ULL << 63, -1ULL, -64ULL, -1ULL << 12,
	};
	u64 seed = (uintptr_t)arg + 1;

	while (!stop) {
		struct vcpu *v = &vm.vcpu[rnd(&seed) % vm.nr_vcpus];
		u32 at = rnd(&seed) % vm.ring_size, n = rnd(&seed) % 256;

		for (u32 i = 0; i < n; i++) {
			struct kvm_dirty_gfn *e = &v->ring[(at + i) % vm.ring_size];
			u64 r = rnd(&seed);

			switch (r % 4) {
			case 0:
				e->slot = rnd(&seed);
				e->offset = rnd(&seed);
				break;
			case 1:
				e->slot = slots[rnd(&seed) % (sizeof(slots) / sizeof(*slots))];
				e->offset = offsets[rnd(&seed) % (sizeof(offsets) / sizeof(*offsets))];
				break;
			case 2:
				e->slot = 1;
				e->offset = rnd(&seed) % 1100;
				break;
			}
			/* one that is not to be reset holds up all behind it */
			__atomic_store_n(&e->flags, r & 0xf00 ? KVM_DIRTY_GFN_F_RESET : (u32)(r >> 32),
					 __ATOMIC_RELEASE);
		}
	}
	return NULL;
}

static void *resetter(void *arg)
{
	(void)arg;
	while (!stop) {
		int r = vm_reset(&vm);

		errno = 0;
		if (r > (int)(vm.nr_vcpus * vm.ring_size))
			die("one reset of %d entries", r);
		__atomic_add_fetch(&resets, 1, __ATOMIC_RELAXED);
		__atomic_add_fetch(&reset_entries, r, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* Runs, full or not; and makes KVM write the guest's memory without running it. */
static void *runner(void *arg)
{
	struct vcpu *v = arg;
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msr = { .head.nmsrs = 1, .entry.index = MSR_KVM_WALL_CLOCK_NEW };
	u64 list[1000], seed = v->id + 99;

	while (!stop) {
		for (int i = 0; i < 1000; i++)
			list[i] = vm.area[0].gpa + rnd(&seed) % 1000 * PAGE;
		vcpu_load(v, list, 1000, 1);
		for (int i = 0; i < 20 && !stop; i++)
			if (vcpu_run(v) == RAN_DONE)
				break;
		for (int i = 0; i < 300 && !stop; i++) {
			msr.entry.data = vm.area[0].gpa + rnd(&seed) % 1000 * PAGE;
			if (ioctl(v->fd, KVM_SET_MSRS, &msr) < 0)
				die("KVM_SET_MSRS");
		}
	}
	return NULL;
}

int main(int argc, char **argv)
{
	struct vm_opts o = { .ring_size = 1024, .vcpus = 2 };
	u32 seconds = 10, n = 0;
	pthread_t threads[32];
	struct area *second;
	u64 lost = 0, rejected = 0, x;
	time_t end;
	int c;

	while ((c = getopt(argc, argv, "s:v:t:")) != -1) {
		switch (c) {
		case 's': o.ring_size = atoi(optarg); break;
		case 'v': o.vcpus = atoi(optarg); break;
		case 't': seconds = atoi(optarg); break;
		default:
			fputs("ring_hostile [-s ENTRIES] [-v VCPUS] [-t SECONDS]\n", stderr);
			return 2;
		}
	}
	vm_create(&vm, &o);
	vm_add_area(&vm, 1, AREA_GPA + 7 * PAGE, 1000);
	second = vm_add_area(&vm, 2, AREA_GPA + 4096 * PAGE, 1000);

	for (uintptr_t i = 0; i < 3; i++)
		pthread_create(&threads[n++], NULL, scribbler, (void *)i);
	for (int i = 0; i < 3; i++)
		pthread_create(&threads[n++], NULL, resetter, NULL);
	for (u32 i = 0; i < vm.nr_vcpus; i++)
		pthread_create(&threads[n++], NULL, runner, &vm.vcpu[i]);

	/* a slot that goes, comes back smaller, and is whole again */
	puts("started");
	fflush(stdout);
	for (end = time(NULL) + seconds; time(NULL) < end; ) {
		vm_set_area(&vm, second, 0, true);
		vm_set_area(&vm, second, 10, true);
		usleep(1000);
		vm_set_area(&vm, second, 0, true);
		vm_set_area(&vm, second, 1000, true);
		usleep(1000);
	}
	stop = true;
	for (u32 i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	for (u32 i = 0; i < vm.nr_vcpus; i++) {
		if (vcpu_stat(&vm.vcpu[i], "dirty_ring_entries_rejected", &x))
			rejected += x;
		if (vcpu_stat(&vm.vcpu[i], "dirty_ring_lost", &x))
			lost += x;
	}
	printf("hostile: %llu resets of %llu entries, %llu rejected, %llu lost\n",
	       (unsigned long long)resets, (unsigned long long)reset_entries,
	       (unsigned long long)rejected, (unsigned long long)lost);
	return 0;
}
