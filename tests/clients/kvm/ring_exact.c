// SPDX-License-Identifier: GPL-2.0
/*
 * ring_exact - the pages that a dirty ring reports are exactly those written
 *
 * In every round each vCPU writes a list of pages. Whenever a ring is full, and
 * at the end of the round, what is there is harvested and reset; at the end the
 * set of reported pages must be the set of written ones. A page that a reset
 * failed to track again is missing from the next round that writes it.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm.h"

static const char usage[] =
"ring_exact [options]\n"
"  -s ENTRIES  size of a ring (4096)\n"
"  -v VCPUS    (1)\n"
"  -S VCPUS    how many of them run in address space 1 (0)\n"
"  -a AREAS    logged slots in each address space that is used (1)\n"
"  -n PAGES    of each (1000)\n"
"  -m PAGES    how far the slots are from being aligned (5)\n"
"  -p PATTERN  asc desc random dense edge alternate one (asc)\n"
"  -k ENTRIES  harvest only so many of a ring before each reset (all)\n"
"  -r ROUNDS   (8)\n"
"  -x SEED     (1)\n"
"  -w RINGS    the indices started so many times the ring's size before 2^32 (0)\n"
"  -b          bitmaps instead of rings; -B: cleared by hand\n";

enum state { IDLE, GO, STOPPED_FULL, QUIT };

static struct {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	enum state state[MAX_VCPUS];
} sync_ = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER };

static u32 opt_partial = UINT32_MAX;
static const char *opt_pattern = "asc";
static bool opt_bitmap, opt_manual;
static u32 opt_wrap;
static u64 seed = 1;
static u64 harvested_total, resets;

static void set_state(u32 id, enum state s)
{
	pthread_mutex_lock(&sync_.lock);
	sync_.state[id] = s;
	pthread_cond_broadcast(&sync_.cond);
	pthread_mutex_unlock(&sync_.lock);
}

static void *vcpu_thread(void *arg)
{
	struct vcpu *v = arg;

	for (;;) {
		enum state s;

		pthread_mutex_lock(&sync_.lock);
		while ((s = sync_.state[v->id]) == IDLE || s == STOPPED_FULL)
			pthread_cond_wait(&sync_.cond, &sync_.lock);
		pthread_mutex_unlock(&sync_.lock);
		if (s == QUIT)
			return NULL;

		switch (vcpu_run(v)) {
		case RAN_DONE:	set_state(v->id, IDLE); break;
		case RAN_FULL:	set_state(v->id, STOPPED_FULL); break;
		case RAN_INTR:	break;
		}
	}
}

/*
 * Patterns: each fills @list with indices into the @n pages of an address space,
 * and returns how many.
 */
static u64 fill(u64 *list, u64 n, u64 areas)
{
	u64 count = 0;

	if (!strcmp(opt_pattern, "asc")) {
		for (u64 i = 0; i < n; i++)
			list[count++] = i;
	} else if (!strcmp(opt_pattern, "desc")) {
		for (u64 i = n; i--; )
			list[count++] = i;
	} else if (!strcmp(opt_pattern, "random")) {
		for (u64 i = 0; i < n / 4; i++)
			list[count++] = rnd(&seed) % n;
	} else if (!strcmp(opt_pattern, "dense")) {
		while (count < n / 2) {
			u64 at = rnd(&seed) % n;

			for (int i = 0; i < 48 && count < n / 2; i++) {
				u64 page = at + rnd(&seed) % 64;

				if (page < n)
					list[count++] = page;
			}
		}
	} else if (!strcmp(opt_pattern, "edge")) {
		/* to and fro over every place where a window may end */
		for (u64 at = 0; at < n; at += 1 + rnd(&seed) % 64) {
			static const int step[] = { 0, -1, 1, -2, 63, 64, 65, -64 };

			for (size_t i = 0; i < sizeof(step) / sizeof(*step); i++)
				if (at + step[i] < n && count < n)
					list[count++] = at + step[i];
		}
	} else if (!strcmp(opt_pattern, "alternate")) {
		/* another slot each time */
		for (u64 i = 0; i < n / areas; i++)
			for (u64 a = 0; a < areas; a++)
				list[count++] = a * (n / areas) + i;
	} else if (!strcmp(opt_pattern, "one")) {
		list[count++] = rnd(&seed) % n;
	} else {
		fputs(usage, stderr);
		exit(2);
	}
	return count;
}

/* The page of an address space with this index. */
static struct area *area_of(struct vm *vm, u32 as_id, u64 index, u64 *page)
{
	for (u32 i = 0; i < vm->nr_areas; i++) {
		struct area *a = &vm->area[i];

		if (a->slot >> 16 != as_id)
			continue;
		if (index < a->pages) {
			*page = index;
			return a;
		}
		index -= a->pages;
	}
	errno = 0;
	die("no page %llu in address space %u", (unsigned long long)index, as_id);
}

static void load_round(struct vm *vm, u64 areas)
{
	u64 *list = malloc(vm->list_max * sizeof(*list));

	for (u32 i = 0; i < vm->nr_vcpus; i++) {
		struct vcpu *v = &vm->vcpu[i];
		u64 n = 0, count, page;

		for (u32 k = 0; k < vm->nr_areas; k++)
			if (vm->area[k].slot >> 16 == v->as_id)
				n += vm->area[k].pages;
		count = fill(list, n, areas);
		for (u64 k = 0; k < count; k++) {
			struct area *a = area_of(vm, v->as_id, list[k], &page);

			bit_set(a->want, page);
			list[k] = a->gpa + page * PAGE;
		}
		vcpu_load(v, list, count, 1);
	}
	free(list);
}

static void got(void *arg, struct vcpu *v, u32 slot, u64 offset)
{
	struct area *a = vm_find_area(v->vm, slot);

	(void)arg;
	errno = 0;
	if (!a)
		die("vcpu %u: an entry for slot %u:%u, which is not logged", v->id,
		    slot >> 16, slot & 0xffff);
	if (slot >> 16 != v->as_id)
		die("vcpu %u: an entry of the other address space", v->id);
	if (offset >= a->pages)
		die("vcpu %u: page %llu of slot %u, which has %llu", v->id,
		    (unsigned long long)offset, slot, (unsigned long long)a->pages);
	bit_set(a->got, offset);
}

static void sync_rings(struct vm *vm, u32 max)
{
	int n = 0, r;

	for (u32 i = 0; i < vm->nr_vcpus; i++)
		n += vcpu_harvest(&vm->vcpu[i], max, got, NULL);
	r = vm_reset(vm);
	errno = 0;
	if (r != n)
		die("harvested %d entries, %d were reset", n, r);
	harvested_total += n;
	resets++;
}

static void sync_bitmaps(struct vm *vm)
{
	for (u32 i = 0; i < vm->nr_areas; i++) {
		struct area *a = &vm->area[i];
		struct kvm_dirty_log log = { .slot = a->slot, .dirty_bitmap = a->got };
		struct kvm_clear_dirty_log clear = {
			.slot = a->slot, .num_pages = a->pages, .dirty_bitmap = a->got,
		};

		XIOCTL(vm->fd, KVM_GET_DIRTY_LOG, &log);
		if (opt_manual)
			XIOCTL(vm->fd, KVM_CLEAR_DIRTY_LOG, &clear);
	}
}

static bool all(struct vm *vm, enum state s)
{
	for (u32 i = 0; i < vm->nr_vcpus; i++)
		if (sync_.state[i] != s)
			return false;
	return true;
}

static bool any(struct vm *vm, enum state s)
{
	for (u32 i = 0; i < vm->nr_vcpus; i++)
		if (sync_.state[i] == s)
			return true;
	return false;
}

static void run_round(struct vm *vm)
{
	for (u32 i = 0; i < vm->nr_vcpus; i++)
		set_state(i, GO);

	pthread_mutex_lock(&sync_.lock);
	while (!all(vm, IDLE)) {
		if (!any(vm, STOPPED_FULL)) {
			pthread_cond_wait(&sync_.cond, &sync_.lock);
			continue;
		}
		pthread_mutex_unlock(&sync_.lock);
		sync_rings(vm, opt_partial);
		pthread_mutex_lock(&sync_.lock);
		for (u32 i = 0; i < vm->nr_vcpus; i++)
			if (sync_.state[i] == STOPPED_FULL)
				sync_.state[i] = GO;
		pthread_cond_broadcast(&sync_.cond);
	}
	pthread_mutex_unlock(&sync_.lock);

	if (opt_bitmap) {
		sync_bitmaps(vm);
		return;
	}
	for (u64 before = UINT64_MAX; before != harvested_total; ) {
		before = harvested_total;
		sync_rings(vm, opt_partial);
	}
}

static void check_round(struct vm *vm, u32 round)
{
	errno = 0;
	for (u32 i = 0; i < vm->nr_areas; i++) {
		struct area *a = &vm->area[i];
		u64 missing = 0, extra = 0, first = UINT64_MAX;

		for (u64 p = 0; p < a->pages; p++) {
			bool want = bit_test(a->want, p), have = bit_test(a->got, p);

			missing += want && !have;
			extra += have && !want;
			if (want != have && first == UINT64_MAX)
				first = p;
		}
		if (missing || extra)
			die("round %u, slot %u:%u: %llu pages missing, %llu not written, the first is %llu",
			    round, a->slot >> 16, a->slot & 0xffff,
			    (unsigned long long)missing, (unsigned long long)extra,
			    (unsigned long long)first);
		memset(a->want, 0, (a->pages + 63) / 64 * 8);
		memset(a->got, 0, (a->pages + 63) / 64 * 8);
	}
}

/* Where the kernel counts, it must have counted what happened. */
static void check_stats(struct vm *vm)
{
	u64 pushes = 0, reset = 0, full = 0, full_seen = 0, x;
	/* what each ring's index was put to, unlike the count of what was reset */
	u32 start = 0 - opt_wrap * vm->ring_size;

	for (u32 i = 0; i < vm->nr_vcpus; i++) {
		struct vcpu *v = &vm->vcpu[i];

		if (!vcpu_stat(v, "dirty_ring_pushes", &x))
			return;
		pushes += x - start;
		full_seen += v->full_exits;
		if (vcpu_stat(v, "dirty_ring_entries_reset", &x))
			reset += x;
		if (vcpu_stat(v, "dirty_ring_full_exits", &x))
			full += x;
		errno = 0;
		if (!vcpu_stat(v, "dirty_ring_lost", &x) || x)
			die("vcpu %u lost %llu pages", v->id, (unsigned long long)x);
		if (!vcpu_stat(v, "dirty_ring_entries_rejected", &x) || x)
			die("vcpu %u: %llu entries rejected", v->id, (unsigned long long)x);
	}
	if (pushes != harvested_total || reset != harvested_total)
		die("statistics: %llu pushes, %llu reset, but %llu harvested",
		    (unsigned long long)pushes, (unsigned long long)reset,
		    (unsigned long long)harvested_total);
	if (full != full_seen)
		die("statistics: %llu full exits, but %llu seen",
		    (unsigned long long)full, (unsigned long long)full_seen);
}

int main(int argc, char **argv)
{
	struct vm_opts o = { .ring_size = 4096, .vcpus = 1 };
	u64 pages = 1000, areas = 1, skew = 5;
	u32 rounds = 8;
	struct vm vm;
	int c;

	while ((c = getopt(argc, argv, "s:v:S:a:n:m:p:k:r:x:w:bB")) != -1) {
		switch (c) {
		case 's': o.ring_size = atoi(optarg); break;
		case 'v': o.vcpus = atoi(optarg); break;
		case 'S': o.smm_vcpus = atoi(optarg); break;
		case 'a': areas = atoi(optarg); break;
		case 'n': pages = atoi(optarg); break;
		case 'm': skew = atoi(optarg); break;
		case 'p': opt_pattern = optarg; break;
		case 'k': opt_partial = atoi(optarg); break;
		case 'r': rounds = atoi(optarg); break;
		case 'x': seed = atoi(optarg); break;
		case 'w': opt_wrap = atoi(optarg); break;
		case 'B': opt_manual = true; /* fall through */
		case 'b': opt_bitmap = true; break;
		default: fputs(usage, stderr); return 2;
		}
	}
	if (opt_bitmap)
		o.ring_size = 0;
	o.manual = opt_manual;
	o.list_max = areas * pages + 64;
	o.gibs = (2 * areas * (pages + 1024) * PAGE >> 30) + 1;
	seed = seed * 0x9e3779b97f4a7c15ULL + 1;

	vm_create(&vm, &o);
	for (u64 i = 0; i < areas * (o.smm_vcpus ? 2 : 1); i++) {
		u64 k = i % areas;

		/* the same addresses in both address spaces, other memory */
		vm_add_area(&vm, (i / areas) << 16 | (k + 1),
			    AREA_GPA + (k * (pages + 512) + skew * (k + 1)) * PAGE, pages);
	}
	for (u32 i = 0; i < vm.nr_vcpus; i++)
		if (pthread_create(&vm.vcpu[i].thread, NULL, vcpu_thread, &vm.vcpu[i]))
			die("cannot start a thread");

	for (u32 r = 0; r < rounds; r++) {
		load_round(&vm, areas);
		run_round(&vm);
		check_round(&vm, r);
	}
	for (u32 i = 0; i < vm.nr_vcpus; i++)
		set_state(i, QUIT);
	for (u32 i = 0; i < vm.nr_vcpus; i++)
		pthread_join(vm.vcpu[i].thread, NULL);
	if (!opt_bitmap)
		check_stats(&vm);
	errno = 0;
	for (u32 i = 0; i < vm.nr_vcpus && opt_wrap; i++)
		if (vm.vcpu[i].fetch <= opt_wrap * vm.ring_size)
			die("vcpu %u: %u entries are not past the wrap", i, vm.vcpu[i].fetch);
	vm_destroy(&vm);
	printf("exact: %u rounds, %llu entries, %llu resets\n", rounds,
	       (unsigned long long)harvested_total, (unsigned long long)resets);
	return 0;
}
