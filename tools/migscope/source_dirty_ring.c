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

struct exact {
	struct model *m;
	const struct ms_ring_now *now;
	size_t n;
};

/* Adds what was pushed since the last reset to a ring and to its VM. */
static void fold_tail(struct model_vm *vm, struct model_vcpu *vcpu, const struct ms_ring_now *now)
{
	uint32_t tail = now->dirty_index - now->state.last_dirty;
	struct ms_ring *r = &vcpu->ring;

	*r = now->state;
	vcpu->used = now->dirty_index - now->reset_index;
	/* an index that went back belongs to another ring at this address */
	if ((int32_t)tail < 0 || vcpu->used > r->size) {
		tail = 0;
		vcpu->used = 0;
	}
	r->pushes += tail;
	vm->ring.pushes += tail;
	if (vcpu->used > r->used_max)
		r->used_max = vcpu->used;
	if ((__u64)r->used_max * vm->ring.used_max_soft_limit >=
	    (__u64)vm->ring.used_max * r->soft_limit) {
		vm->ring.used_max = r->used_max;
		vm->ring.used_max_soft_limit = r->soft_limit;
	}
	vm->stalled_now += r->stall_since != 0;
}

static int add_ring(struct model *m, const struct ms_ring_now *now)
{
	struct model_vm *vm = model_vm(m, now->state.vm);
	struct model_vcpu *more;

	if (!vm)
		return 0;
	if (!(vm->vcpus & (vm->vcpus - 1))) {
		more = realloc(vm->vcpu, (vm->vcpus ? 2 * vm->vcpus : 1) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		vm->vcpu = more;
	}
	memset(&vm->vcpu[vm->vcpus], 0, sizeof(*vm->vcpu));
	fold_tail(vm, &vm->vcpu[vm->vcpus++], now);
	return 0;
}

/* Exact mode: the table of pushes, mapped to its rings. */
static int add_exact(struct bpf_host *host, struct model *m, const struct ms_ring_now *now, size_t n)
{
	int fd = bpf_host_map(host, "ms_push");
	struct ms_push push;

	for (size_t i = 0; i < m->vms; i++)
		m->vm[i].pushes_exact = m->vm[i].ring.pushes_seen;
	for (uint32_t k = 0; fd >= 0 && k < MS_PUSH_SLOTS; k++) {
		struct ms_ring_now key = { 0 }, *ring;
		struct model_vm *vm;

		if (bpf_map_lookup_elem(fd, &k, &push))
			return -errno;
		vm = push.ring > 1 ? model_vm(m, push.vm) : NULL;
		if (!vm)
			continue;
		vm->pushes_exact += push.pushes;
		key.ring = push.ring;
		ring = n ? bsearch(&key, now, n, sizeof(key), by_ring) : NULL;
		for (size_t v = 0; ring && v < vm->vcpus; v++)
			if (vm->vcpu[v].ring.vcpu_id == ring->state.vcpu_id) {
				vm->vcpu[v].pushes_exact = push.pushes;
				if (push.used_max > vm->vcpu[v].ring.used_max)
					vm->vcpu[v].ring.used_max = push.used_max;
			}
	}
	return 0;
}

static int sample(struct bpf_host *host, struct model *m)
{
	int fd = bpf_host_map(host, "ms_ring_vms"), err = 0;
	struct ms_ring_now *now = NULL;
	size_t unique = 0;
	long n;

	if (fd < 0)
		return 0;
	for (size_t i = 0; i < m->vms; i++) {
		struct model_vm *vm = &m->vm[i];

		vm->has_ring = !bpf_map_lookup_elem(fd, &vm->id, &vm->ring) || vm->info.ring_bytes;
	}
	n = read_rings(host, &now);
	if (n < 0 && n != -ENOENT)
		return n;
	if (n < 0)
		n = 0;
	/* a vCPU's file may be open in more than one process */
	if (n)
		qsort(now, n, sizeof(*now), by_ring);
	for (long i = 0; i < n; i++)
		if (!unique || now[unique - 1].ring != now[i].ring)
			now[unique++] = now[i];
	for (size_t i = 0; i < unique && !err; i++)
		err = add_ring(m, &now[i]);
	for (size_t i = 0; i < m->vms; i++)
		if (m->vm[i].vcpus)
			qsort(m->vm[i].vcpu, m->vm[i].vcpus, sizeof(*m->vm[i].vcpu), by_vcpu);
	if (!err && m->measured[MEASURE_RING_EXACT])
		err = add_exact(host, m, now, unique);
	free(now);
	return err;
}

static void forget(struct bpf_host *host, __u64 vm)
{
	int fd = bpf_host_map(host, "ms_ring_vms");

	if (fd >= 0)
		bpf_map_delete_elem(fd, &vm);
}

const struct source source_dirty_ring = { "dirty_ring", measures, sample, forget };
