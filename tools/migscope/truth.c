// SPDX-License-Identifier: GPL-2.0
#include "truth.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

struct compare {
	int differ;
	int compared;
	char where[64];
};

static struct json_object *at(struct json_object *o, const char *key)
{
	struct json_object *v = NULL;

	return o && json_object_object_get_ex(o, key, &v) ? v : NULL;
}

static void same(struct compare *c, const char *what, struct json_object *truth, __u64 ours)
{
	__u64 want = truth ? json_object_get_uint64(truth) : 0;

	c->compared++;
	if (truth && want == ours)
		return;
	c->differ++;
	if (truth)
		printf("# %s: %s: counted %llu, true is %llu\n", c->where, what, ours, want);
	else
		printf("# %s: %s: kvmload does not say\n", c->where, what);
}

static __u64 time_count(const struct ms_time_hist *h)
{
	__u64 n = 0;

	for (int i = 0; i < MS_TIME_BUCKETS; i++)
		n += h->bucket[i];
	return n;
}

/* Our time of a thing lies inside the time that kvmload took for it. */
static void within(struct compare *c, const char *what, struct json_object *truth, __u64 ns)
{
	double most = truth ? json_object_get_double(truth) : -1;

	c->compared++;
	if (ns / 1e9 <= most)
		return;
	c->differ++;
	printf("# %s: %s took: %.9f s measured, kvmload says %.9f s around it\n", c->where, what,
	       ns / 1e9, most);
}

/* A reset that took nothing has nothing to flush. */
static void same_flushes(struct compare *c, struct json_object *resets, __u64 ours)
{
	struct json_object *truth = NULL;

	if (resets)
		truth = json_object_new_uint64(json_object_get_uint64(at(resets, "calls")) -
					       json_object_get_uint64(at(resets, "empty")));
	same(c, "TLB flushes", truth, ours);
	json_object_put(truth);
}

static void same_fill(struct compare *c, struct json_object *truth, const __u64 *fill)
{
	char what[32];

	for (int i = 0; i < MS_FILL_BUCKETS; i++) {
		snprintf(what, sizeof(what), "fill bucket %d", i);
		same(c, what, truth ? json_object_array_get_idx(truth, i) : NULL, fill[i]);
	}
}

static void compare_vcpu(struct compare *c, const struct model *m, struct json_object *t,
			 const struct model_vcpu *v)
{
	const struct ms_ring *r = &v->ring;

	if (m->measured[MEASURE_RING]) {
		same(c, "pushes", at(t, "pushes"), r->pushes);
		same(c, "reset events", at(t, "reset_events"), r->reset_events);
		same(c, "empty resets", at(t, "reset_empty"), r->reset_empty);
		same(c, "entries reset", at(t, "reset_entries"), r->reset_entries);
		same(c, "high-water mark", at(t, "high_water"), r->used_max);
		same_fill(c, at(t, "occupancy"), r->fill);
	}
	if (m->measured[MEASURE_RING_NOW])
		same(c, "entries left", at(t, "left"), v->used);
	if (m->measured[MEASURE_RING_EXACT])
		same(c, "pushes one by one", at(t, "pushes"), v->pushes_exact);
	if (m->measured[MEASURE_RING_FULL]) {
		same(c, "full exits", at(t, "full_exits"), r->full_exits);
		same(c, "stalls", at(at(t, "stalls"), "ended"), r->stalls);
		/* until the vCPU runs again is longer than kvmload can see */
		if (!m->measured[MEASURE_RING_STALL_RUN])
			within(c, "stalls", at(at(t, "stalls"), "seconds"), r->stall_ns);
	}
}

static void compare_ring(struct compare *c, const struct model *m, struct json_object *t,
			 const struct model_vm *vm)
{
	struct json_object *vcpus = at(t, "vcpus");
	const struct ms_ring_vm *r = &vm->ring;

	if (m->measured[MEASURE_RING]) {
		same(c, "pushes", at(t, "pushes"), r->pushes);
		same(c, "resets", at(at(t, "resets"), "calls"), r->resets);
		same(c, "reset events", at(t, "reset_events"), r->reset_events);
		same(c, "empty resets", at(t, "reset_empty"), r->reset_empty);
		same(c, "entries reset", at(t, "reset_entries"), r->reset_entries);
		same(c, "high-water mark", at(t, "high_water"), r->used_max);
		same_fill(c, at(t, "occupancy"), r->fill);
	}
	if (m->measured[MEASURE_RING_FULL]) {
		same(c, "full exits", at(t, "full_exits"), r->full_exits);
		same(c, "stalls", at(at(t, "stalls"), "ended"), time_count(&r->stall));
		if (!m->measured[MEASURE_RING_STALL_RUN])
			within(c, "stalls", at(at(t, "stalls"), "seconds"), r->stall.sum_ns);
	}
	if (m->measured[MEASURE_RING_EXACT])
		same(c, "pushes one by one", at(t, "pushes"), vm->pushes_exact);
	if (m->measured[MEASURE_RING_RESET_TIME])
		within(c, "resets", at(at(t, "resets"), "seconds"), ms_ring_reset_ns(r));
	if (m->measured[MEASURE_RING_FLUSH])
		same_flushes(c, at(t, "resets"), r->flushes);
	for (size_t i = 0; i < vm->vcpus; i++) {
		__u64 id = vm->vcpu[i].ring.vcpu_id;

		snprintf(c->where, sizeof(c->where), "vCPU %llu", id);
		compare_vcpu(c, m, vcpus ? json_object_array_get_idx(vcpus, id) : NULL, &vm->vcpu[i]);
	}
	snprintf(c->where, sizeof(c->where), "VM");
	if (m->measured[MEASURE_RING_RESET_WORK]) {
		c->compared++;
		/* kvmload writes no entry that the kernel could reject */
		if (r->rejected || r->mmu_calls > r->reset_entries) {
			c->differ++;
			printf("# VM: %llu entries rejected, %llu MMU calls for %llu entries\n",
			       r->rejected, r->mmu_calls, r->reset_entries);
		}
	}
	same(c, "rings", json_object_new_uint64(vcpus ? json_object_array_length(vcpus) : 0), vm->vcpus);
}

static void compare_log(struct compare *c, const struct model *m, struct json_object *t,
			const struct model_vm *vm)
{
	static const char *const key[MS_LOG_OPS] = {
		[MS_LOG_GET] = "get",
		[MS_LOG_CLEAR] = "clear",
		[MS_LOG_ON] = "logging_on",
		[MS_LOG_OFF] = "logging_off",
	};

	for (int i = 0; i < MS_LOG_OPS; i++) {
		struct json_object *o = at(t, key[i]);

		/* a ring VM has no GET and no CLEAR to tell of */
		if (!m->measured[model_log_measure(i)] || (!o && vm->has_ring))
			continue;
		snprintf(c->where, sizeof(c->where), "%s", key[i]);
		same(c, "calls", at(o, "calls"), vm->log.op[i].calls);
		within(c, "time", at(o, "seconds"), vm->log.op[i].time.sum_ns);
		if (i <= MS_LOG_CLEAR && m->measured[MEASURE_LOG_DIRTY])
			same(c, "dirty pages", at(o, "dirty_pages"), vm->log.op[i].dirty);
		if (i <= MS_LOG_CLEAR)
			same(c, "bytes", at(o, "bitmap_bytes"), vm->log.op[i].bytes);
		else
			same(c, "pages", at(o, "pages"), vm->log.op[i].pages);
	}
}

int truth_compare(const char *text, bool since_barrier, const struct model *m)
{
	struct json_object *root = json_tokener_parse(text), *vm, *span;
	struct compare c = { .where = "VM" };
	int ret = -EINVAL;

	if (!root)
		return ret;
	vm = at(root, "vms");
	vm = vm ? json_object_array_get_idx(vm, 0) : NULL;
	span = at(vm, since_barrier ? "since_barrier" : "total");
	if (!span)
		goto out;
	if (m->vms != 1) {
		printf("# %zu VMs of this process were seen, there is one\n", m->vms);
		ret = 1;
		goto out;
	}
	/* says nothing of what we count */
	same(&c, "has rings", json_object_new_boolean(at(vm, "ring") != NULL), m->vm[0].has_ring);
	c.compared = 0;
	if (m->vm[0].has_ring)
		compare_ring(&c, m, span, &m->vm[0]);
	compare_log(&c, m, span, &m->vm[0]);
	ret = c.differ;
	if (!ret && !c.compared)
		ret = -ENODATA;
out:
	json_object_put(root);
	return ret;
}
