// SPDX-License-Identifier: GPL-2.0
/* The truth as JSON. The schema is described in README.md. */
#include <json-c/json.h>

#include "kvmload.h"

typedef struct json_object jso;

static void put(jso *o, const char *key, u64 n)
{
	json_object_object_add(o, key, json_object_new_uint64(n));
}

static void put_seconds(jso *o, const char *key, u64 ns)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu.%09llu", (unsigned long long)(ns / 1000000000),
		 (unsigned long long)(ns % 1000000000));
	json_object_object_add(o, key, json_object_new_double_s((double)ns / 1e9, text));
}

static void put_occupancy(jso *o, const u64 *bucket)
{
	jso *a = json_object_new_array();

	for (int i = 0; i < KL_BUCKETS; i++)
		json_object_array_add(a, json_object_new_uint64(bucket[i]));
	json_object_object_add(o, "occupancy", a);
}

static jso *calls(const struct kl_calls *c, const char *pages, bool bytes)
{
	jso *o = json_object_new_object();
	char max[32];

	snprintf(max, sizeof(max), "max_%s", pages);
	put(o, "calls", c->calls);
	if (bytes)
		put(o, "bitmap_bytes", c->bytes);
	put(o, pages, c->pages);
	put(o, max, c->max_pages);
	put(o, "empty", c->empty);
	put_seconds(o, "seconds", c->ns);
	put_seconds(o, "max_seconds", c->max_ns);
	return o;
}

static void put_ring(jso *o, const struct kl_vcpu_count *c)
{
	jso *stalls = json_object_new_object();

	put(o, "pushes", c->pushes);
	put(o, "repeats", c->repeats);
	put(o, "left", c->left);
	put(o, "reset_events", c->reset_events);
	put(o, "reset_empty", c->reset_empty);
	put(o, "reset_entries", c->reset_entries);
	put(o, "raced", c->raced);
	put(o, "high_water", c->high_water);
	put_occupancy(o, c->occupancy);
	put(o, "full_exits", c->full_exits);
	put(o, "full_min", c->full_min);
	put(o, "full_max", c->full_max);
	put(stalls, "ended", c->stalls);
	put(stalls, "unfinished", c->stalls_unfinished);
	put_seconds(stalls, "seconds", c->stall_ns);
	put_seconds(stalls, "max_seconds", c->stall_max_ns);
	json_object_object_add(o, "stalls", stalls);
}

static void add_up(struct kl_vcpu_count *sum, const struct kl_vcpu_count *c)
{
	sum->writes += c->writes;
	sum->pushes += c->pushes;
	sum->unique += c->unique;
	sum->repeats += c->repeats;
	sum->left += c->left;
	sum->reset_events += c->reset_events;
	sum->reset_empty += c->reset_empty;
	sum->reset_entries += c->reset_entries;
	sum->raced += c->raced;
	sum->full_exits += c->full_exits;
	sum->stalls += c->stalls;
	sum->stalls_unfinished += c->stalls_unfinished;
	sum->stall_ns += c->stall_ns;
	if (c->stall_max_ns > sum->stall_max_ns)
		sum->stall_max_ns = c->stall_max_ns;
	if (c->high_water > sum->high_water)
		sum->high_water = c->high_water;
	if (c->full_min && (!sum->full_min || c->full_min < sum->full_min))
		sum->full_min = c->full_min;
	if (c->full_max > sum->full_max)
		sum->full_max = c->full_max;
	for (int i = 0; i < KL_BUCKETS; i++)
		sum->occupancy[i] += c->occupancy[i];
}

static jso *vcpu(const struct kl_vcpu *v, int span)
{
	const struct kl_vcpu_count *c = &v->count[span];
	jso *o = json_object_new_object();

	put(o, "vcpu", v->id);
	put(o, "pages", v->n_pages);
	put(o, "writes", c->writes);
	if (v->vm->o->mode == KL_RING) {
		put(o, "unique_pages", c->unique);
		put_ring(o, c);
	}
	return o;
}

static jso *span_of(const struct kl_vm *vm, int span)
{
	const struct kl_vm_count *c = &vm->count[span];
	jso *o = json_object_new_object(), *vcpus = json_object_new_array();
	struct kl_vcpu_count sum = { 0 };

	for (u32 i = 0; i < vm->o->vcpus; i++) {
		add_up(&sum, &vm->vcpu[i].count[span]);
		json_object_array_add(vcpus, vcpu(&vm->vcpu[i], span));
	}
	put(o, "writes", sum.writes);
	if (vm->o->mode == KL_RING) {
		put(o, "unique_pages", sum.unique);
		put_ring(o, &sum);
		json_object_object_add(o, "resets", calls(&c->reset, "entries", false));
	} else {
		put(o, "unique_pages", c->unique);
		put(o, "left", c->left);
		json_object_object_add(o, "get", calls(&c->get, "dirty_pages", true));
		json_object_object_add(o, "clear", calls(&c->clear, "dirty_pages", true));
	}
	json_object_object_add(o, "logging_on", calls(&c->log_on, "pages", false));
	json_object_object_add(o, "logging_off", calls(&c->log_off, "pages", false));
	json_object_object_add(o, "vcpus", vcpus);
	return o;
}

jso *kl_json_vm(const struct kl_vm *vm)
{
	jso *o = json_object_new_object(), *slot = json_object_new_object();

	put(o, "vm", vm->index);
	put(o, "vcpus", vm->o->vcpus);
	json_object_object_add(o, "exact", json_object_new_boolean(!vm->o->concurrent));
	json_object_object_add(o, "emulated", json_object_new_boolean(vm->emulated));
	json_object_object_add(o, "killed_stalled", json_object_new_boolean(vm->killed));
	put(o, "wrong", vm->wrong);
	put(slot, "id", KL_SLOT_DATA);
	put(slot, "pages", vm->mem_pages);
	put(slot, "bytes", vm->mem_pages * KL_PAGE_SIZE);
	json_object_object_add(o, "slot", slot);
	if (vm->o->mode == KL_RING) {
		jso *ring = json_object_new_object();

		put(ring, "size", vm->o->ring_size);
		put(ring, "soft_limit", vm->soft_limit);
		json_object_object_add(ring, "soft_limit_from",
				       json_object_new_string(vm->soft_from));
		json_object_object_add(o, "ring", ring);
	}
	json_object_object_add(o, "total", span_of(vm, KL_TOTAL));
	json_object_object_add(o, "since_barrier",
			       vm->past_barrier ? span_of(vm, KL_SINCE) : NULL);
	return o;
}
