// SPDX-License-Identifier: GPL-2.0
/*
 * ring_api - what the interface of the dirty ring promises, and refuses
 *
 * Prints TAP. Each test makes the VM it needs; arguments name those wanted.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ring_api.h"

/* newer than Debian 12's headers */
#ifndef KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP
#define KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP 225
#endif

static int tests, failed;

bool ok(bool passed, const char *file, int line, const char *fmt, ...)
{
	int err = errno;
	va_list ap;

	printf("%sok %d - ", passed ? "" : "not ", ++tests);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	puts("");
	if (!passed) {
		failed++;
		fprintf(stderr, "# failed at %s:%d, errno %d\n", file, line, err);
	}
	fflush(stdout);
	errno = 0;
	return passed;
}

static int enable_ring(int vm, u64 bytes)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_DIRTY_LOG_RING, .args[0] = bytes };

	return error_of(ioctl(vm, KVM_ENABLE_CAP, &cap));
}

static void test_size(void)
{
	static const struct { u64 bytes; int want; const char *why; } sizes[] = {
		{ 0, EINVAL, "none" },
		{ 12345, EINVAL, "no power of two" },
		{ 3 * 4096, EINVAL, "no power of two, but pages" },
		{ 2048, EINVAL, "less than a page" },
		{ 2 * MAX_RING * 16, E2BIG, "more than the most" },
		{ MAX_RING * 16, 0, "the most" },
	};
	int kvm = open("/dev/kvm", O_RDWR), vm, vcpu;
	u64 least;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		vm = XIOCTL(kvm, KVM_CREATE_VM, 0);
		OK(enable_ring(vm, sizes[i].bytes) == sizes[i].want, "size: %s", sizes[i].why);
		close(vm);
	}

	/* the least is one that has room for more than what is reserved */
	for (least = 4096; ; least *= 2) {
		vm = XIOCTL(kvm, KVM_CREATE_VM, 0);
		if (!enable_ring(vm, least))
			break;
		close(vm);
	}
	OK(least == 4096 || least == 1024 * 16, "size: the least is %llu entries",
	   (unsigned long long)least / 16);
	OK(enable_ring(vm, least) == EINVAL, "size: set once");
	OK(enable_ring(vm, 2 * least) == EINVAL, "size: and not to another value");
	close(vm);

	vm = XIOCTL(kvm, KVM_CREATE_VM, 0);
	vcpu = XIOCTL(vm, KVM_CREATE_VCPU, 0);
	OK(enable_ring(vm, 65536) == EINVAL, "size: not after the first vCPU");
	OK(error_of(ioctl(vm, KVM_RESET_DIRTY_RINGS, 0)) == EINVAL, "reset: not without rings");
	close(vcpu);
	close(vm);

	vm = XIOCTL(kvm, KVM_CREATE_VM, 0);
	OK(ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_DIRTY_LOG_RING) == MAX_RING * 16,
	   "capability: KVM_CAP_DIRTY_LOG_RING says the most");
	OK(ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_DIRTY_LOG_RING_ACQ_REL) == MAX_RING * 16,
	   "capability: so does _ACQ_REL");
	OK(ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP) == 0,
	   "capability: no bitmap beside it");
	close(vm);
	close(kvm);
}

/* Two threads set the size at the same time: one of them is told so. */
static struct { pthread_barrier_t b; int vm; int ok; } race;

static void *race_thread(void *arg)
{
	pthread_barrier_wait(&race.b);
	if (!enable_ring(race.vm, (u64)arg))
		__atomic_add_fetch(&race.ok, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void test_size_race(void)
{
	int kvm = open("/dev/kvm", O_RDWR), worst = 0;

	for (int i = 0; i < 200; i++) {
		pthread_t a, b;

		pthread_barrier_init(&race.b, NULL, 2);
		race.vm = XIOCTL(kvm, KVM_CREATE_VM, 0);
		race.ok = 0;
		pthread_create(&a, NULL, race_thread, (void *)65536UL);
		pthread_create(&b, NULL, race_thread, (void *)131072UL);
		pthread_join(a, NULL);
		pthread_join(b, NULL);
		worst = race.ok > worst ? race.ok : worst;
		close(race.vm);
		pthread_barrier_destroy(&race.b);
	}
	OK(worst == 1, "size: of two who set it at the same time one succeeds");
	close(kvm);
}

static void test_mmap(void)
{
	const struct vm_opts o = { .ring_size = 1024, .vcpus = 1 };
	const long ring = PAGE * KVM_DIRTY_LOG_PAGE_OFFSET, len = 1024 * 16;
	/* from kvm_run to behind the ring */
	const long all = ring + len + 16 * PAGE;
	static struct vm vm;
	int fd;
	char *p;

	vm_create(&vm, &o);
	fd = vm.vcpu[0].fd;
	OK(mmap(NULL, len, PROT_READ | PROT_EXEC, MAP_SHARED, fd, ring) == MAP_FAILED &&
	   errno == EINVAL, "mmap: not executable");
	OK(mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, ring) == MAP_FAILED &&
	   errno == EINVAL, "mmap: not private");
	OK(mmap(NULL, all, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0) == MAP_FAILED,
	   "mmap: not executable in the middle of a mapping");
	OK(mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0) == MAP_FAILED,
	   "mmap: not private in the middle of a mapping");
	p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, ring);
	OK(p != MAP_FAILED, "mmap: shared and writable");
	OK(mprotect(p, len, PROT_READ | PROT_EXEC) < 0, "mmap: not made executable later");
	munmap(p, len);
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, ring - PAGE);
	OK(p != MAP_FAILED, "mmap: what is before it, private");
	OK(mremap(p, PAGE, PAGE + len, MREMAP_MAYMOVE) == MAP_FAILED && errno == EFAULT,
	   "mmap: not grown into the ring");
	munmap(p, PAGE);

	/* what is kept behind the entries is not to be seen */
	p = mmap(NULL, len + PAGE, PROT_READ, MAP_SHARED, fd, ring);
	if (p != MAP_FAILED) {
		pid_t pid = fork();
		int status;

		if (!pid) {
			signal(SIGBUS, SIG_DFL);
			_exit(*(volatile char *)(p + len) & 0);
		}
		waitpid(pid, &status, 0);
		OK(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS,
		   "mmap: nothing behind the ring");
	} else {
		OK(true, "mmap: nothing behind the ring");
	}
	vm_destroy(&vm);
}

static void no_entry(void *arg, struct vcpu *v, u32 slot, u64 offset)
{
	(void)v; (void)slot; (void)offset;
	++*(int *)arg;
}

static void test_tss(void)
{
	const struct vm_opts o = { .ring_size = 4096, .vcpus = 0 };
	static struct vm vm;
	struct vm_opts with = o;
	u64 map = 0xfeffc000;
	int entries = 0;

	with.vcpus = 1;
	vm_create(&vm, &o);
	XIOCTL(vm.fd, KVM_SET_IDENTITY_MAP_ADDR, &map);
	XIOCTL(vm.fd, KVM_SET_TSS_ADDR, 0xfeffd000);
	vm_destroy(&vm);

	vm_create(&vm, &with);
	XIOCTL(vm.fd, KVM_SET_TSS_ADDR, 0xfeffd000);
	vcpu_harvest(&vm.vcpu[0], 1, no_entry, &entries);
	OK(!entries, "a new VM has no entry for TSS and identity map");
	vm_destroy(&vm);
}

static void test_exclusive(void)
{
	const struct vm_opts o = { .ring_size = 4096, .vcpus = 1 };
	static struct vm vm;
	struct kvm_dirty_log log = { .slot = 1 };
	struct kvm_clear_dirty_log clear = { .slot = 1, .num_pages = 64 };
	struct area *a;

	vm_create(&vm, &o);
	a = vm_add_area(&vm, 1, AREA_GPA, 64);
	log.dirty_bitmap = clear.dirty_bitmap = a->got;
	OK(error_of(ioctl(vm.fd, KVM_GET_DIRTY_LOG, &log)) == ENXIO, "GET_DIRTY_LOG: not beside rings");
	OK(error_of(ioctl(vm.fd, KVM_CLEAR_DIRTY_LOG, &clear)) == ENXIO,
	   "CLEAR_DIRTY_LOG: not beside rings");
	vm_destroy(&vm);
}

static void test_soft_limit(void)
{
	const struct vm_opts o = { .ring_size = 1024, .vcpus = 1 };
	static struct vm vm;
	struct area *a;
	struct vcpu *v;
	u32 n, limit;

	vm_create(&vm, &o);
	v = &vm.vcpu[0];
	a = vm_add_area(&vm, 1, AREA_GPA, 2048);
	write_pages(v, a, 0, 2048);
	OK(vcpu_run(v) == RAN_FULL, "soft limit: the vCPU stops");
	OK(vcpu_run(v) == RAN_FULL, "soft limit: and does not go on");
	n = vcpu_harvest(v, UINT32_MAX, NULL, NULL);
	limit = 1024 - RSVD_ENTRIES;
	OK(n == limit || (n >= limit - PML_RESERVE && n < limit), "soft limit: at %u of 1024", n);
	OK(vcpu_run(v) == RAN_FULL, "soft limit: harvested is not reset");
	OK(vm_reset(&vm) == (int)n, "soft limit: all that was harvested is reset");
	OK(vm_reset(&vm) == 0, "reset: nothing is reset twice");
	while (vcpu_run(v) != RAN_DONE) {
		vcpu_harvest(v, UINT32_MAX, NULL, NULL);
		vm_reset(&vm);
	}
	vm_destroy(&vm);
}

/* Harvested entries whose slot shrinks or goes: part of the count, and no more. */
static void test_slots(void)
{
	const struct vm_opts o = { .ring_size = 4096, .vcpus = 1 };
	static struct vm vm;
	struct area *a, *b;
	struct vcpu *v;
	u64 rejected = 0;
	u32 n;

	vm_create(&vm, &o);
	v = &vm.vcpu[0];
	a = vm_add_area(&vm, 1, AREA_GPA + 3 * PAGE, 500);
	b = vm_add_area(&vm, 2, AREA_GPA + 1024 * PAGE, 500);
	/* what a reset knows of the slots must not outlast it */
	write_pages(v, a, 0, 1);
	vcpu_run(v);
	write_pages(v, b, 0, 1);
	vcpu_run(v);
	vcpu_harvest(v, UINT32_MAX, NULL, NULL);
	vm_reset(&vm);
	write_pages(v, a, 0, 500);
	vcpu_run(v);
	write_pages(v, b, 0, 500);
	vcpu_run(v);
	n = vcpu_harvest(v, UINT32_MAX, NULL, NULL);
	OK(n == 1000, "slots: all written pages are reported");
	vm_set_area(&vm, a, 0, true);
	vm_set_area(&vm, a, 100, true);
	vm_set_area(&vm, b, 0, true);
	OK(vm_reset(&vm) == 1000, "slots: one shrank, one is gone, all entries are reset");
	OK(vcpu_stat(v, "dirty_ring_entries_rejected", &rejected) && rejected == 900,
	   "slots: those of pages that are gone were rejected");

	/* what is left works */
	vm_set_area(&vm, a, 0, true);
	vm_set_area(&vm, a, 500, true);
	write_pages(v, a, 0, 500);
	vcpu_run(v);
	OK(vcpu_harvest(v, UINT32_MAX, NULL, NULL) == 500, "slots: the next round is reported");
	OK(vm_reset(&vm) == 500, "slots: and reset");
	vm_destroy(&vm);
}

/* Entries that a user made up: rejected, counted, and never more than were pushed. */
static void test_crafted(void)
{
	static const struct { u32 slot; u64 offset; } bad[] = {
		{ 1, 500 }, { 1, -1ULL }, { 1, -64ULL }, { 1, 1ULL << 52 }, { 1, 1ULL << 32 },
		{ 2, 0 }, { 1 << 16 | 1, 0 }, { 2 << 16 | 1, 0 }, { 0xffff0001, 0 },
		{ 32764, 0 }, { 0xffff, 0 }, { 0xffffffff, -1ULL },
	};
	static const struct { u64 offset; bool bad; } beside[] = {
		{ 499, false }, { 500, true }, { 499, false }, { 511, true }, { 448, false },
		{ 512, true }, { 447, false }, { 0, false }, { -1ULL, true }, { 63, false },
		{ 1ULL << 32, true }, { 64, false }, { 1ULL << 63, true },
	};
	const u32 n = sizeof(bad) / sizeof(*bad), n_beside = sizeof(beside) / sizeof(*beside);
	u32 bad_beside = 0;
	const struct vm_opts o = { .ring_size = 4096, .vcpus = 1 };
	static struct vm vm;
	struct area *a;
	struct vcpu *v;
	u64 x;

	for (u32 i = 0; i < n_beside; i++)
		bad_beside += beside[i].bad;
	vm_create(&vm, &o);
	v = &vm.vcpu[0];
	a = vm_add_area(&vm, 1, AREA_GPA, 500);
	write_pages(v, a, 0, n);
	vcpu_run(v);
	for (u32 i = 0; i < n; i++) {
		v->ring[i].slot = bad[i].slot;
		v->ring[i].offset = bad[i].offset;
	}
	for (u32 i = 0; i < vm.ring_size; i++)
		__atomic_store_n(&v->ring[i].flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
	OK(vm_reset(&vm) == (int)n, "crafted: what was pushed is reset, and no more");
	OK(vcpu_stat(v, "dirty_ring_entries_rejected", &x) && x == n,
	   "crafted: every bad entry is rejected");
	OK(v->ring[0].flags == 0 && v->ring[n].flags == KVM_DIRTY_GFN_F_RESET,
	   "crafted: and only those were touched");
	for (u32 i = 0; i < vm.ring_size; i++)
		v->ring[i].flags = 0;
	v->fetch = n;
	/* the pages are still writable, as nobody reset them; others are not */
	write_pages(v, a, 100, 50);
	vcpu_run(v);
	OK(vcpu_harvest(v, UINT32_MAX, NULL, NULL) == 50, "crafted: the ring goes on");
	OK(vm_reset(&vm) == 50, "crafted: and is reset");

	/* the slot ends amid a window, in which its last page was just seen */
	write_pages(v, a, 200, n_beside);
	vcpu_run(v);
	for (u32 i = 0; i < n_beside; i++)
		v->ring[v->fetch + i].offset = beside[i].offset;
	vcpu_harvest(v, UINT32_MAX, NULL, NULL);
	OK(vm_reset(&vm) == (int)n_beside && vcpu_stat(v, "dirty_ring_entries_rejected", &x) &&
	   x == n + bad_beside, "crafted: beside one that is right");
	vm_destroy(&vm);
}

static void test_memory(void)
{
	const struct vm_opts o = { .ring_size = 4096, .vcpus = 1 };
	static struct vm ring, bitmap;
	struct vm_opts without = o;
	u64 pages = 1 << 20;
	long before, with_ring, with_bitmap;
	FILE *f;
	char line[128];

	without.ring_size = 0;
#define VMALLOC(var) do {						\
	f = fopen("/proc/meminfo", "r");				\
	var = 0;							\
	while (f && fgets(line, sizeof(line), f))			\
		sscanf(line, "VmallocUsed: %ld", &var);			\
	if (f)								\
		fclose(f);						\
} while (0)
	vm_create(&ring, &o);
	VMALLOC(before);
	vm_add_area(&ring, 1, AREA_GPA, pages);
	VMALLOC(with_ring);
	vm_destroy(&ring);
	vm_create(&bitmap, &without);
	with_ring -= before;
	VMALLOC(before);
	vm_add_area(&bitmap, 1, AREA_GPA, pages);
	VMALLOC(with_bitmap);
	with_bitmap -= before;
	vm_destroy(&bitmap);
	/* twice the bitmap of a bit for each page */
	OK(with_bitmap - with_ring >= (long)(2 * pages / 8 / 1024) * 9 / 10,
	   "no bitmap beside rings: a slot takes %ld KiB, with a bitmap %ld KiB",
	   with_ring, with_bitmap);
}

/* The file of statistics is whole, from any offset. */
static void test_stats(void)
{
	const struct vm_opts o = { .ring_size = 4096, .vcpus = 1 };
	static struct vm vm;
	static char whole[65536], part[65536];
	ssize_t size, n, at = 0;
	struct area *a;
	void *hole;
	u64 x = 0;
	int fd;

	vm_create(&vm, &o);
	a = vm_add_area(&vm, 1, AREA_GPA, 64);
	write_pages(&vm.vcpu[0], a, 0, 10);
	vcpu_run(&vm.vcpu[0]);
	OK(vcpu_stat(&vm.vcpu[0], "dirty_ring_pushes", &x) && x == 10, "statistics: pushes");
	OK(vcpu_stat(&vm.vcpu[0], "exits", &x) && x > 0, "statistics: the others are still there");
	fd = XIOCTL(vm.vcpu[0].fd, KVM_GET_STATS_FD, 0);
	size = pread(fd, whole, sizeof(whole), 0);
	while ((n = pread(fd, part + at, at % 89 + 1, at)) > 0)
		at += n;
	OK(size > 0 && at == size && !memcmp(whole, part, size),
	   "statistics: read in pieces they are the same");
	OK(pread(fd, part, 1, size) == 0 && pread(fd, part, 1, 1LL << 62) == 0,
	   "statistics: nothing behind the end");
	hole = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	OK(error_of(pread(fd, hole, 64, 0)) == EFAULT, "statistics: EFAULT");
	close(fd);
	vm_destroy(&vm);
}

static void on_alarm(int sig)
{
	(void)sig;
}

/* An ordinary signal that is pending must not shorten the count. */
static void test_signals(void)
{
	const struct vm_opts o = { .ring_size = 65536, .vcpus = 2, .list_max = 20000 };
	struct sigaction sa = { .sa_handler = on_alarm };
	struct itimerval often = { { 0, 200 }, { 0, 200 } }, never = { 0 };
	static struct vm vm;
	struct area *a;
	bool all = true;
	int n;

	vm_create(&vm, &o);
	a = vm_add_area(&vm, 1, AREA_GPA, 40000);
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	for (int round = 0; round < 3; round++) {
		n = 0;
		for (int i = 0; i < 2; i++) {
			write_pages(&vm.vcpu[i], a, 20000 * i, 20000);
			while (vcpu_run(&vm.vcpu[i]) != RAN_DONE)
				;
			n += vcpu_harvest(&vm.vcpu[i], UINT32_MAX, NULL, NULL);
		}
		all &= vm_reset(&vm) == n && n >= 40000;
	}
	setitimer(ITIMER_REAL, &never, NULL);
	OK(all, "signals: a storm of them does not shorten a reset");
	vm_destroy(&vm);
}

/* vCPU and VM are closed while the vCPU runs and pushes. */
static void *run_forever(void *arg)
{
	struct vcpu *v = arg;

	for (;;)
		if (ioctl(v->fd, KVM_RUN, NULL) && errno == EBADF)
			return NULL;
		else if (v->run->exit_reason == KVM_EXIT_DIRTY_RING_FULL)
			vcpu_harvest(v, UINT32_MAX, NULL, NULL), ioctl(v->vm->fd, KVM_RESET_DIRTY_RINGS, 0);
}

static void test_release(void)
{
	const struct vm_opts o = { .ring_size = 1024, .vcpus = 2 };
	int died = 0;

	for (int i = 0; i < 20; i++) {
		pid_t pid = fork();
		int status;

		if (!pid) {
			static struct vm vm;
			struct area *a;
			pthread_t t;

			vm_create(&vm, &o);
			a = vm_add_area(&vm, 1, AREA_GPA, 4000);
			for (int k = 0; k < 2; k++) {
				write_pages(&vm.vcpu[k], a, 0, 4000);
				pthread_create(&t, NULL, run_forever, &vm.vcpu[k]);
			}
			usleep(1000 * (i + 1));
			close(vm.vcpu[0].fd);
			close(vm.fd);
			usleep(1000);
			close(vm.vcpu[1].fd);
			_exit(0);	/* with the vCPUs still in KVM_RUN, some of the time */
		}
		waitpid(pid, &status, 0);
		died += status != 0;
	}
	OK(!died, "release: vCPU and VM are closed while the vCPU writes");
}

/* A caller with much to do, and no end of it, can be killed at once. */
static void test_kill(void)
{
	struct timespec t0, t1;
	pid_t pid = fork();
	double took;
	int status;

	if (!pid) {
		const struct vm_opts o = { .ring_size = 65536, .vcpus = 4, .list_max = 60000 };
		static struct vm vm;
		struct area *a;

		vm_create(&vm, &o);
		a = vm_add_area(&vm, 1, AREA_GPA, 60000);
		for (u32 i = 0; i < vm.nr_vcpus; i++) {
			write_pages(&vm.vcpu[i], a, 0, 60000);
			while (vcpu_run(&vm.vcpu[i]) == RAN_INTR)
				;
		}
		for (;;)
			for (u32 i = 0; i < vm.nr_vcpus; i++) {
				for (u32 k = 0; k < vm.ring_size; k++)
					vm.vcpu[i].ring[k].flags = KVM_DIRTY_GFN_F_RESET;
				vm_reset(&vm);
			}
	}
	sleep(6);
	clock_gettime(CLOCK_MONOTONIC, &t0);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	clock_gettime(CLOCK_MONOTONIC, &t1);
	took = (t1.tv_sec - t0.tv_sec) + (t1.tv_nsec - t0.tv_nsec) / 1e9;
	OK(WIFSIGNALED(status) && took < 5, "kill: a caller that resets without end dies (%.2f s)", took);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*test)(void);
	} all[] = {
		{ "size", test_size },
		{ "size_race", test_size_race },
		{ "mmap", test_mmap },
		{ "tss", test_tss },
		{ "exclusive", test_exclusive },
		{ "protect", test_protect },
		{ "pre_fault", test_pre_fault },
		{ "strings", test_strings },
		{ "soft_limit", test_soft_limit },
		{ "slots", test_slots },
		{ "crafted", test_crafted },
		{ "memory", test_memory },
		{ "stats", test_stats },
		{ "signals", test_signals },
		{ "flush", test_flush },
		{ "tables", test_tables },
		{ "epochs", test_epochs },
		{ "release", test_release },
		{ "kill", test_kill },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		bool wanted = argc == 1;

		for (int k = 1; k < argc; k++)
			wanted |= !strcmp(argv[k], all[i].name);
		if (wanted)
			all[i].test();
	}
	printf("1..%d\n", tests);
	return failed != 0;
}
