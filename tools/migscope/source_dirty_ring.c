// SPDX-License-Identifier: GPL-2.0
#include "bpf_host.h"
#include "model.h"

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
				       bpf_host_has(host, "vcpu_entry"));
	measured[MEASURE_RING_NOW] = bpf_host_has(host, "ring_now") ||
				     bpf_host_has(host, "vm_files");
	measured[MEASURE_RING_RESET_TIME] = bpf_host_has(host, "ring_reset_begin") &&
					    bpf_host_has(host, "ring_reset_end");
	measured[MEASURE_RING_RESET_WORK] = bpf_host_has(host, "ring_reset_done");
	measured[MEASURE_RING_STALL_RUN] = bpf_host_has(host, "ring_stall_over") ||
					   (bpf_host_has(host, "vcpu_entry") &&
					    bpf_host_has(host, "ring_stalled"));
	measured[MEASURE_RING_EXACT] = bpf_host_has(host, "ring_push");
}

/* The living rings and their indices; *@now is malloc'ed. Number of records or -errno. */
static long read_rings(struct bpf_host *host, struct ms_ring_now **now)
{
	/*
	 * The walk over our own map is cheap, but a ring whose death nobody tells
	 * us of must not be read: then the open files say what is alive.
	 */
	const char *probe = bpf_host_has(host, "ring_free") && bpf_host_has(host, "ring_now") ?
			    "ring_now" : "vm_files";
	void *data = NULL;
	long len = -ENOENT;
	bool torn = true;

	for (int try = 0; torn && try < READ_TRIES; try++) {
		free(data);
		data = NULL;
		len = bpf_host_read(host, probe, &data);
		if (len < 0)
			return len;
		torn = false;
		for (size_t i = 0; i < len / sizeof(**now); i++)
			torn |= ((struct ms_ring_now *)data)[i].state.seq & 1;
	}
	*now = data;
	return len / sizeof(**now);
}

static int by_ring(const void *a, const void *b)
{
	const struct ms_ring_now *x = a, *y = b;

	return x->ring < y->ring ? -1 : x->ring > y->ring;
}

static int by_vcpu(const void *a, const void *b)
{
	const struct model_vcpu *x = a, *y = b;

	return x->ring.vcpu_id < y->ring.vcpu_id ? -1 : x->ring.vcpu_id > y->ring.vcpu_id;
}

/* Keeps the fill that came nearest to its soft limit. */
static void keep_peak(struct model_vm *vm, const struct ms_ring *r)
{
	if ((__u64)r->used_max * vm->ring.used_max_soft_limit <
	    (__u64)vm->ring.used_max * r->soft_limit)
		return;
	vm->ring.used_max = r->used_max;
	vm->ring.used_max_soft_limit = r->soft_limit;
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
	/* an index that went back belongs to another ring at this address */
	if ((__s32)tail < 0 || vcpu->used > vcpu->ring.size) {
		tail = 0;
		vcpu->used = 0;
	}
	vcpu->ring.pushes += tail;
	vm->ring.pushes += vcpu->ring.pushes;
	if (vcpu->used > vcpu->ring.used_max)
		vcpu->ring.used_max = vcpu->used;
	keep_peak(vm, &vcpu->ring);
	vm->stalled_now += vcpu->ring.stall_since != 0;
	return 0;
}

struct rings {
	struct bpf_host *host;
	struct model *m;
	const struct ms_ring_now *now;	/* living, by address */
	size_t n;
	__u64 forget;			/* a VM; 0: none */
};

static const struct ms_ring_now *find_ring(const struct rings *r, __u64 ring)
{
	struct ms_ring_now key = { .ring = ring };

	return r->n ? bsearch(&key, r->now, r->n, sizeof(key), by_ring) : NULL;
}

/* A ring whose end nobody told us of: what was known of it when we looked last. */
static int add_gone(unsigned long long key, const void *value, void *arg)
{
	const struct ms_ring *ring = value;
	struct rings *r = arg;
	struct model_vm *vm = model_vm(r->m, ring->vm);

	if (!vm || find_ring(r, key))
		return 0;
	vm->ring.pushes += ring->pushes + (ring->seen_dirty - ring->last_dirty);
	keep_peak(vm, ring);
	return 0;
}

/* Exact mode: what the table of pushes says of each VM and of its living rings. */
static int add_exact(const struct rings *r)
{
	int fd = bpf_host_map(r->host, "ms_push");
	struct ms_push *push = calloc(MS_PUSH_SLOTS, sizeof(*push));
	__u32 *key = calloc(MS_PUSH_SLOTS, sizeof(*key)), got = MS_PUSH_SLOTS, next;

	if (!push || !key || bpf_map_lookup_batch(fd, NULL, &next, key, push, &got, NULL))
		got = 0;
	for (size_t i = 0; i < r->m->vms; i++)
		r->m->vm[i].pushes_exact = r->m->vm[i].ring.pushes_seen;
	for (__u32 k = 0; k < got; k++) {
		struct model_vm *vm = push[k].ring > 1 ? model_vm(r->m, push[k].vm) : NULL;
		const struct ms_ring_now *ring;

		if (!vm)
			continue;
		vm->pushes_exact += push[k].pushes;
		ring = find_ring(r, push[k].ring);
		for (size_t v = 0; ring && v < vm->vcpus; v++) {
			if (vm->vcpu[v].ring.vcpu_id != ring->state.vcpu_id)
				continue;
			vm->vcpu[v].pushes_exact = push[k].pushes;
			if (push[k].used_max > vm->vcpu[v].ring.used_max)
				vm->vcpu[v].ring.used_max = push[k].used_max;
			keep_peak(vm, &vm->vcpu[v].ring);
		}
	}
	free(push);
	free(key);
	return got ? 0 : -EIO;
}

static __u64 read_vms(int fd, struct model *m)
{
	__u64 changes = 0;

	for (size_t i = 0; i < m->vms; i++) {
		struct model_vm *vm = &m->vm[i];
		bool known = !bpf_map_lookup_elem(fd, &vm->id, &vm->ring);

		vm->has_ring = known || vm->info.ring_bytes;
		changes += vm->ring.rings + vm->ring.rings_freed;
	}
	return changes;
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
		before = read_vms(fd, m);
		n = read_rings(host, now);
		if (n < 0 || read_vms(fd, m) == before || try == READ_TRIES)
			return n;
		free(*now);
		*now = NULL;
	}
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
	if (n < 0 && n != -ENOENT)
		return n;
	if (n > 0)
		qsort(now, n, sizeof(*now), by_ring);
	/* a vCPU's file may be open in more than one process */
	for (long i = 0; i < n; i++)
		if (!r.n || now[r.n - 1].ring != now[i].ring)
			now[r.n++] = now[i];
	r.now = now;
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

static int forget_ring(unsigned long long key, const void *value, void *arg)
{
	const struct ms_ring *ring = value;
	struct rings *r = arg;

	if (ring->vm == r->forget)
		bpf_map_delete_elem(bpf_host_map(r->host, "ms_rings"), &key);
	return 0;
}

static void forget(struct bpf_host *host, __u64 vm)
{
	struct rings r = { .host = host, .forget = vm };
	int fd = bpf_host_map(host, "ms_ring_vms");

	if (fd >= 0)
		bpf_map_delete_elem(fd, &vm);
	/* where ends are hooked its rings went before it */
	if (!bpf_host_has(host, "ring_free"))
		bpf_host_walk(host, "ms_rings", sizeof(struct ms_ring), forget_ring, &r);
}

const struct source source_dirty_ring = { "dirty_ring", measures, sample, forget };
