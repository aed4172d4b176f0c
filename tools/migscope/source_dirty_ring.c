// SPDX-License-Identifier: GPL-2.0
#include "bpf_host.h"
#include "model.h"
#include "working_set.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A record that a writer was at is asked for again, this often at most. */
#define READ_TRIES	8

static void measures(const struct bpf_host *host, bool *measured)
{
	measured[MEASURE_RING] = bpf_host_has(host, "ring_reset");
	measured[MEASURE_RING_FULL] = bpf_host_has(host, "ring_exit") &&
				      (bpf_host_has(host, "ring_reset") ||
				       bpf_host_has(host, "vcpu_run"));
	measured[MEASURE_RING_NOW] = bpf_host_has(host, "ring_now") ||
				     bpf_host_has(host, "vm_files");
	measured[MEASURE_RING_RESET_TIME] = bpf_host_has(host, "ring_reset_begin") &&
					    bpf_host_has(host, "ring_reset_end");
	measured[MEASURE_RING_FLUSH] = bpf_host_has_itself(host, "ring_flush_event") ||
				       bpf_host_hooks_flush(host);
	measured[MEASURE_RING_RESET_WORK] = bpf_host_has(host, "ring_reset_done");
	measured[MEASURE_RING_STALL_RUN] = bpf_host_has(host, "vcpu_run");
	measured[MEASURE_RING_PAGES] = bpf_host_has(host, "ring_pages");
	measured[MEASURE_RING_EXACT] = bpf_host_has(host, "ring_push");
}

static bool torn(const struct ms_ring_now *now, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (now[i].state.seq & 1)
			return true;
	return false;
}

/*
 * The walk over our own map is cheap, and it finds the rings of vCPUs whose file is closed: they
 * live as long as their VM. But a ring whose death nobody tells us of must not be read: then the
 * open files say what is alive.
 */
static bool reads_map(const struct bpf_host *host)
{
	return bpf_host_has(host, "ring_free") && bpf_host_has(host, "ring_now");
}

/* The living rings and their indices; *@now is malloc'ed. Number of records or -errno. */
static long read_rings(struct bpf_host *host, struct ms_ring_now **now)
{
	void *data = NULL;
	long len = 0;

	for (int try = 0; !try || (try < READ_TRIES && torn(*now, len / sizeof(**now))); try++) {
		free(data);
		data = *now = NULL;
		len = bpf_host_read(host, reads_map(host) ? "ring_now" : "vm_files", &data);
		if (len < 0)
			return len;
		*now = data;
	}
	return len / sizeof(**now);
}

/*
 * The same, where open files are all there is, from what this sample's walk over them has found,
 * which is dear: it is not made twice. -ENOENT: there was none, or it met a ring that was being
 * counted.
 */
static long found_rings(struct bpf_host *host, struct ms_ring_now **now, __u64 *changes)
{
	void *data;
	long len = reads_map(host) ? -ENOENT : bpf_host_found(host, &data, changes);

	if (len >= 0 && torn(data, len / sizeof(**now))) {
		free(data);
		len = -ENOENT;
	}
	if (len < 0)
		return len;
	*now = data;
	return len / sizeof(**now);
}

static int by_ring(const void *a, const void *b)
{
	const struct ms_ring_now *x = a, *y = b;

	return x->ring < y->ring ? -1 : x->ring > y->ring;
}

static struct ms_ring_now *find_ring(struct ms_ring_now *now, size_t n, __u64 ring)
{
	struct ms_ring_now key = { .ring = ring };

	return n ? bsearch(&key, now, n, sizeof(key), by_ring) : NULL;
}

/* By address, each once: a vCPU's file may be open in more than one process. Their number. */
static size_t each_once(struct ms_ring_now *now, size_t n)
{
	size_t kept = 0;

	if (n)
		qsort(now, n, sizeof(*now), by_ring);
	for (size_t i = 0; i < n; i++)
		if (!kept || now[kept - 1].ring != now[i].ring)
			now[kept++] = now[i];
	return kept;
}

struct unlisted {
	struct ms_ring_now *now;
	size_t listed, n;
};

static int add_unlisted(unsigned long long key, const void *value, void *arg)
{
	const struct ms_ring *ring = value;
	struct unlisted *u = arg;
	struct ms_ring_now *now;

	if (find_ring(u->now, u->listed, key))
		return 0;
	now = realloc(u->now, (u->n + 1) * sizeof(*now));
	if (!now)
		return -ENOMEM;
	u->now = now;
	now[u->n++] = (struct ms_ring_now) {
		.ring = key, .state = *ring, .reset_index = ring->last_reset, .dirty_index = ring->seen_dirty,
	};
	return 0;
}

/* Those of a vCPU whose file is closed, where only open files are looked at: as they were then. */
static long read_unlisted(struct bpf_host *host, struct ms_ring_now **now, size_t n)
{
	struct unlisted u = { .now = *now, .listed = n, .n = n };
	int err = bpf_host_walk(host, "ms_rings", sizeof(struct ms_ring), add_unlisted, &u);

	*now = u.now;
	return err ? err : (long)each_once(u.now, u.n);
}

static int by_vcpu(const void *a, const void *b)
{
	const struct model_vcpu *x = a, *y = b;

	return x->ring.vcpu_id < y->ring.vcpu_id ? -1 : x->ring.vcpu_id > y->ring.vcpu_id;
}

static void keep_recent(struct model_vm *vm, __u32 used, __u32 soft_limit)
{
	ms_ring_keep(&vm->recent.used, &vm->recent.soft_limit, used, soft_limit);
}

/* The last minute, and what the span of ten seconds at its beginning has before it. */
static void read_recent(const struct model *m, struct model_vm *vm)
{
	__u32 span = m->now_ns / MS_RECENT_NS;

	for (size_t i = 0; i < MS_RECENT; i++)
		if (span - vm->ring.recent[i].span <= 6)
			keep_recent(vm, vm->ring.recent[i].used, vm->ring.recent[i].soft_limit);
}

/* A living ring, with what was pushed since its last reset. */
static int add_ring(struct model *m, const struct ms_ring_now *now)
{
	struct model_vm *vm = model_vm(m, now->state.vm);
	__u32 tail = now->dirty_index - now->state.last_dirty;
	struct model_vcpu *vcpu;

	if (!vm)
		return 0;
	if (!(vm->vcpus & (vm->vcpus - 1))) {
		vcpu = realloc(vm->vcpu, (vm->vcpus ? 2 * vm->vcpus : 1) * sizeof(*vcpu));
		if (!vcpu)
			return -ENOMEM;
		vm->vcpu = vcpu;
	}
	vcpu = &vm->vcpu[vm->vcpus++];
	memset(vcpu, 0, sizeof(*vcpu));
	vcpu->ring = now->state;
	vcpu->used = now->dirty_index - now->reset_index;
	/* indices that went back, or far ahead, belong to another ring at this address */
	if ((__s32)tail < 0 || vcpu->used > 2 * vcpu->ring.size) {
		tail = 0;
		vcpu->used = 0;
	}
	/* it was filled and reset between the two reads */
	if (vcpu->used > vcpu->ring.size)
		vcpu->used = vcpu->ring.size;
	vcpu->ring.pushes += tail;
	vm->ring.pushes += vcpu->ring.pushes;
	if (vcpu->used > vcpu->ring.used_max)
		vcpu->ring.used_max = vcpu->used;
	keep_recent(vm, vcpu->used, vcpu->ring.soft_limit);
	ms_ring_vm_peak(&vm->ring, vcpu->ring.used_max, vcpu->ring.soft_limit);
	vm->stalled_now += vcpu->ring.stall_since != 0;
	return 0;
}

struct rings {
	struct bpf_host *host;
	struct model *m;
	struct ms_ring_now *now;	/* living, by address */
	size_t n;
};

/*
 * A ring whose end nobody told us of: what was known of it when we looked last. One
 * of a VM that was forgotten goes as well.
 */
static int add_gone(unsigned long long key, const void *value, void *arg)
{
	const struct ms_ring *ring = value;
	struct rings *r = arg;
	struct model_vm *vm = model_vm(r->m, ring->vm);
	struct ms_vm known;

	if (find_ring(r->now, r->n, key))
		return 0;
	if (!vm) {
		/* or is it only that nobody asked for it? */
		if (bpf_map_lookup_elem(bpf_host_map(r->host, "ms_vms"), &ring->vm, &known) &&
		    errno == ENOENT)
			bpf_map_delete_elem(bpf_host_map(r->host, "ms_rings"), &key);
		return 0;
	}
	vm->ring.pushes += ring->pushes + (ring->seen_dirty - ring->last_dirty);
	ms_ring_vm_peak(&vm->ring, ring->used_max, ring->soft_limit);
	return 0;
}

/*
 * The table of pushes, malloc'ed; NULL when it cannot be had. It is read again while
 * runs end, so that none is seen half added to those before it.
 */
static struct ms_push *read_pushes(const struct bpf_host *host)
{
	int fd = bpf_host_map(host, "ms_push");
	struct ms_push *push = calloc(2 * MS_PUSH_SLOTS, sizeof(*push)), *old = push + MS_PUSH_SLOTS;
	const __u32 zero = 0;
	bool torn = true;

	for (int try = 0; push && torn && try < READ_TRIES; try++) {
		memcpy(old, push, MS_PUSH_SLOTS * sizeof(*push));
		if (bpf_map_lookup_elem(fd, &zero, push)) {
			free(push);
			return NULL;
		}
		torn = !try;
		for (size_t k = 0; k < MS_PUSH_SLOTS && !torn; k++)
			torn = push[k].pushes != old[k].pushes || push[k].run != old[k].run;
	}
	return push;
}

/*
 * The same, with the sums of the VMs that it belongs to: what a ring that ends meanwhile counted
 * would be in both or in none.
 */
static struct ms_push *read_exact(const struct rings *r)
{
	int fd = bpf_host_map(r->host, "ms_ring_vms");
	struct ms_push *push = NULL;
	struct ms_ring_vm sum;
	__u64 before;
	int try = 0;

	do {
		free(push);
		before = bpf_host_ring_changes(r->host);
		push = read_pushes(r->host);
		for (size_t i = 0; i < r->m->vms; i++)
			r->m->vm[i].pushes_exact = bpf_map_lookup_elem(fd, &r->m->vm[i].id, &sum) ?
						   0 : sum.pushes_seen;
	} while (push && bpf_host_self(r->host, MS_SELF_RING_CHANGES) != before && ++try < READ_TRIES);
	return push;
}

/* Exact mode: what the table of pushes says of each VM and of its living rings. */
static int add_exact(const struct rings *r)
{
	struct ms_push *push = read_exact(r);

	if (!push)
		return -EIO;
	for (size_t k = 0; k < MS_PUSH_SLOTS; k++) {
		struct model_vm *vm = push[k].ring > MS_PUSH_TAKEN ? model_vm(r->m, push[k].vm) : NULL;
		__u32 used_max = ms_push_used_max(&push[k]);
		const struct ms_ring_now *ring;

		if (!vm)
			continue;
		vm->pushes_exact += ms_push_count(&push[k]);
		ring = find_ring(r->now, r->n, push[k].ring);
		for (size_t v = 0; ring && v < vm->vcpus; v++) {
			if (vm->vcpu[v].ring.vcpu_id != ring->state.vcpu_id)
				continue;
			vm->vcpu[v].pushes_exact = ms_push_count(&push[k]);
			if (used_max > vm->vcpu[v].ring.used_max)
				vm->vcpu[v].ring.used_max = used_max;
			ms_ring_vm_peak(&vm->ring, vm->vcpu[v].ring.used_max, vm->vcpu[v].ring.soft_limit);
		}
	}
	free(push);
	return 0;
}

static void read_vms(int fd, struct model *m)
{
	for (size_t i = 0; i < m->vms; i++) {
		struct model_vm *vm = &m->vm[i];
		bool known = !bpf_map_lookup_elem(fd, &vm->id, &vm->ring);

		vm->has_ring = known || vm->info.ring_bytes;
	}
}

/*
 * The VMs' sums and their living rings, of one moment: a ring that ends between
 * the two reads would be in both or in none.
 */
static long read_consistent(struct bpf_host *host, struct model *m, struct ms_ring_now **now)
{
	int fd = bpf_host_map(host, "ms_ring_vms");
	__u64 before;
	long n;

	for (int try = 0;; try++) {
		n = try ? -ENOENT : found_rings(host, now, &before);
		if (n < 0) {
			before = bpf_host_ring_changes(host);
			n = read_rings(host, now);
		}
		if (n >= 0)
			n = each_once(*now, n);
		if (n >= 0 && bpf_host_has(host, "ring_free") && !reads_map(host))
			n = read_unlisted(host, now, n);
		read_vms(fd, m);
		if (n < 0 || bpf_host_self(host, MS_SELF_RING_CHANGES) == before || try == READ_TRIES)
			return n;
		free(*now);
		*now = NULL;
	}
}

static void read_pages(struct bpf_host *host, struct model_vm *vm)
{
	int fd = bpf_host_map(host, "ms_page_vms");

	vm->has_pages = fd >= 0 && !bpf_map_lookup_elem(fd, &vm->id, &vm->pages);
}

static int sample(struct bpf_host *host, struct model *m)
{
	struct rings r = { .host = host, .m = m };
	struct ms_ring_now *now = NULL;
	int err = 0;
	long n;

	if (bpf_host_map(host, "ms_ring_vms") < 0)
		return 0;
	n = read_consistent(host, m, &now);
	if (n < 0 && n != -ENOENT) {
		free(now);
		return n;
	}
	r.now = now;
	r.n = n > 0 ? n : 0;
	for (size_t i = 0; i < m->vms; i++) {
		read_recent(m, &m->vm[i]);
		read_pages(host, &m->vm[i]);
	}
	for (size_t i = 0; i < r.n && !err; i++)
		err = add_ring(m, &now[i]);
	if (!err && !bpf_host_has(host, "ring_free"))
		err = bpf_host_walk(host, "ms_rings", sizeof(struct ms_ring), add_gone, &r);
	for (size_t i = 0; i < m->vms; i++)
		if (m->vm[i].vcpus)
			qsort(m->vm[i].vcpu, m->vm[i].vcpus, sizeof(*m->vm[i].vcpu), by_vcpu);
	if (!err && m->measured[MEASURE_RING_EXACT])
		err = add_exact(&r);
	free(now);
	return err;
}

struct forget {
	int fd;
	__u64 vm;
};

static int forget_page(unsigned long long key, const void *value, void *arg)
{
	const struct ms_page *page = value;
	struct forget *f = arg;

	if (page->vm == f->vm)
		bpf_map_delete_elem(f->fd, &key);
	return 0;
}

static void forget_pages(struct bpf_host *host, __u64 vm)
{
	struct forget f = { bpf_host_map(host, "ms_pages"), vm };
	int fd = bpf_host_map(host, "ms_page_vms");
	struct ms_page_vm pages;

	if (fd < 0 || f.fd < 0 || bpf_map_lookup_elem(fd, &vm, &pages))
		return;
	bpf_map_delete_elem(fd, &vm);
	/* the walk is over all pages: only for a VM that has some */
	if (pages.last)
		bpf_host_walk(host, "ms_pages", sizeof(struct ms_page), forget_page, &f);
}

static void forget(struct bpf_host *host, __u64 vm)
{
	int fd = bpf_host_map(host, "ms_ring_vms");

	if (fd >= 0)
		bpf_map_delete_elem(fd, &vm);
	forget_pages(host, vm);
	/* its rings went before it where ends are hooked, else the next sample finds them */
}

const struct source source_dirty_ring = { "dirty_ring", measures, sample, forget };
