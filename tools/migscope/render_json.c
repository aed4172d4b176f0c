// SPDX-License-Identifier: GPL-2.0
#include "render.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>

static void add(struct json_object *o, const char *key, struct json_object *value)
{
	json_object_object_add(o, key, value);
}

static void add_u64(struct json_object *o, const char *key, __u64 value)
{
	add(o, key, json_object_new_uint64(value));
}

static void add_double(struct json_object *o, const char *key, double value)
{
	char text[40];

	/* the shortest form that a person would write; nine digits are a nanosecond */
	snprintf(text, sizeof(text), "%.9g", value);
	add(o, key, json_object_new_double_s(value, text));
}

static void add_string(struct json_object *o, const char *key, const char *value)
{
	add(o, key, json_object_new_string(value));
}

static void add_time_hist(struct json_object *o, const char *key, const struct ms_time_hist *h)
{
	struct json_object *t = json_object_new_object(), *le = json_object_new_array();
	struct json_object *count = json_object_new_array();
	__u64 sum = 0;

	for (int i = 0; i < MS_TIME_BUCKETS - 1; i++) {
		char text[40];
		double bound = MS_TIME_BOUND_NS(i) / 1e9;

		snprintf(text, sizeof(text), "%.9g", bound);
		sum += h->bucket[i];
		json_object_array_add(le, json_object_new_double_s(bound, text));
		json_object_array_add(count, json_object_new_uint64(sum));
	}
	add_u64(t, "count", sum + h->bucket[MS_TIME_BUCKETS - 1]);
	add_double(t, "seconds", h->sum_ns / 1e9);
	add_double(t, "max_seconds", h->max_ns / 1e9);
	add(t, "le", le);
	add(t, "count_le", count);
	add(o, key, t);
}

static void add_fill(struct json_object *o, const __u64 *fill)
{
	struct json_object *f = json_object_new_object(), *le = json_object_new_array();
	struct json_object *count = json_object_new_array();

	for (int i = 0; i < MS_FILL_BUCKETS - 1; i++) {
		char text[8];

		snprintf(text, sizeof(text), i % 10 ? "0.%d" : "%d", i % 10 ? i : i / 10);
		json_object_array_add(le, json_object_new_double_s(i / 10.0, text));
	}
	for (int i = 0; i < MS_FILL_BUCKETS; i++)
		json_object_array_add(count, json_object_new_uint64(fill[i]));
	add(f, "le", le);
	add(f, "count", count);
	add(o, "fill_at_reset", f);
}

static struct json_object *vcpu_object(const struct model *m, const struct model_vcpu *v)
{
	struct json_object *o = json_object_new_object();
	const struct ms_ring *r = &v->ring;

	add_u64(o, "vcpu", r->vcpu_id);
	add_u64(o, "size_entries", r->size);
	add_u64(o, "soft_limit_entries", r->soft_limit);
	if (m->measured[MEASURE_RING_NOW])
		add_u64(o, "used_entries", v->used);
	if (m->measured[MEASURE_RING]) {
		add_u64(o, "used_max_entries", r->used_max);
		add_u64(o, "pushes", r->pushes);
		add_u64(o, "reset_events", r->reset_events);
		add_u64(o, "reset_empty", r->reset_empty);
		add_u64(o, "reset_entries", r->reset_entries);
		add_fill(o, r->fill);
	}
	if (m->measured[MEASURE_RING_EXACT])
		add_u64(o, "pushes_exact", v->pushes_exact);
	if (m->measured[MEASURE_RING_FULL]) {
		add_u64(o, "full_exits", r->full_exits);
		add_u64(o, "stalls", r->stalls);
		add_double(o, "stall_seconds", r->stall_ns / 1e9);
	}
	return o;
}

static struct json_object *ring_object(const struct model *m, const struct model_vm *vm)
{
	struct json_object *o = json_object_new_object(), *vcpus = json_object_new_array();
	const struct ms_ring_vm *r = &vm->ring;

	add_u64(o, "rings", r->rings);
	add_u64(o, "rings_freed", r->rings_freed);
	add_u64(o, "size_entries", r->size);
	add_u64(o, "soft_limit_entries", r->soft_limit);
	if (m->measured[MEASURE_RING]) {
		add_u64(o, "pushes", r->pushes);
		add_u64(o, "resets", r->resets);
		add_u64(o, "reset_events", r->reset_events);
		add_u64(o, "reset_empty", r->reset_empty);
		add_u64(o, "reset_entries", r->reset_entries);
		add_u64(o, "used_max_entries", r->used_max);
		if (r->used_max_soft_limit)
			add_double(o, "used_max_ratio", (double)r->used_max / r->used_max_soft_limit);
		add_fill(o, r->fill);
	}
	if (m->measured[MEASURE_RING_EXACT])
		add_u64(o, "pushes_exact", vm->pushes_exact);
	if (m->measured[MEASURE_RING_FULL]) {
		add_u64(o, "full_exits", r->full_exits);
		add_time_hist(o, "stall", &r->stall);
		add_u64(o, "stall_unfinished", r->stalls_unfinished);
		add_u64(o, "stalled_now", vm->stalled_now);
	}
	if (m->measured[MEASURE_RING_RESET_TIME])
		add_time_hist(o, "reset_walk", &r->reset);
	if (m->measured[MEASURE_RING_RESET_WORK]) {
		add_u64(o, "reset_windows", r->windows);
		add_u64(o, "reset_mmu_calls", r->mmu_calls);
		add_u64(o, "rejected_entries", r->rejected);
		add_u64(o, "rejected_no_slot", r->rejected_slot);
		add_double(o, "mmu_lock_hold_max_seconds", r->hold_max_ns / 1e9);
	}
	for (size_t i = 0; i < vm->vcpus; i++)
		json_object_array_add(vcpus, vcpu_object(m, &vm->vcpu[i]));
	add(o, "vcpus", vcpus);
	return o;
}

static struct json_object *log_object(const struct model *m, const struct model_vm *vm)
{
	static const struct {
		const char *key;
		enum model_measure measure;
	} op[MS_LOG_OPS] = {
		[MS_LOG_GET] = { "get", MEASURE_LOG_GET },
		[MS_LOG_CLEAR] = { "clear", MEASURE_LOG_CLEAR },
		[MS_LOG_ON] = { "on", MEASURE_LOG_TOGGLE },
		[MS_LOG_OFF] = { "off", MEASURE_LOG_TOGGLE },
	};
	struct json_object *o = json_object_new_object();

	for (int i = 0; i < MS_LOG_OPS; i++) {
		struct json_object *p;

		if (!m->measured[op[i].measure])
			continue;
		p = json_object_new_object();
		add_u64(p, "calls", vm->log.op[i].calls);
		if (!m->measured[MEASURE_LOG_DIRTY])
			add_u64(p, "errors", vm->log.op[i].errors);
		add_u64(p, "bytes", vm->log.op[i].bytes);
		/* our event says how many were dirty, the hook how large the slot is */
		if (i <= MS_LOG_CLEAR && m->measured[MEASURE_LOG_DIRTY])
			add_u64(p, "dirty_pages", vm->log.op[i].dirty);
		else
			add_u64(p, "pages", vm->log.op[i].pages);
		add_time_hist(p, "time", &vm->log.op[i].time);
		add(o, op[i].key, p);
	}
	if (m->measured[MEASURE_LOG_GET])
		add_u64(o, "bytes_unknown", vm->log.bytes_unknown);
	if (m->measured[MEASURE_LOG_MARKS])
		add_u64(o, "marked_pages", vm->log.marks);
	return o;
}

static struct json_object *vm_object(const struct model *m, const struct model_vm *vm)
{
	struct json_object *o = json_object_new_object();
	char comm[MS_COMM_LEN + 1] = "";

	memcpy(comm, vm->info.comm, MS_COMM_LEN);
	for (char *p = comm; *p; p++)
		if ((unsigned char)*p < 0x20 || (unsigned char)*p >= 0x7f)
			*p = '?';
	add_string(o, "vm", vm->name);
	add_u64(o, "id", vm->id);
	add_u64(o, "pid", vm->info.tgid);
	add_string(o, "comm", comm);
	if (*vm->uuid)
		add_string(o, "uuid", vm->uuid);
	add(o, "alive", json_object_new_boolean(vm->alive));
	add_string(o, "dirty_mode", vm->info.ring_bytes ? "ring" : "bitmap");
	if (vm->has_ring)
		add(o, "dirty_ring", ring_object(m, vm));
	if (vm->has_log)
		add(o, "dirty_log", log_object(m, vm));
	return o;
}

static struct json_object *probe_object_json(const struct probe *p)
{
	struct json_object *o = json_object_new_object();

	add_string(o, "source", p->source);
	add_string(o, "probe", p->name);
	add_string(o, "state", probe_state_name(p->state));
	if (*p->why)
		add_string(o, "why", p->why);
	return o;
}

static int put_line(FILE *out, struct json_object *o)
{
	const char *text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
							  JSON_C_TO_STRING_NOSLASHESCAPE);
	int err = 0;

	/* a line goes out whole: readers follow along */
	if (!text || fprintf(out, "%s\n", text) < 0 || fflush(out))
		err = -EIO;
	json_object_put(o);
	return err;
}

int render_json(FILE *out, const struct model *m, bool final)
{
	static const char *const lost[MS_SELF_COUNT] = {
		[MS_SELF_VMS_FULL] = "vms",
		[MS_SELF_RINGS_FULL] = "rings",
		[MS_SELF_STATE_FULL] = "states",
		[MS_SELF_PENDING_FULL] = "calls",
		[MS_SELF_PUSH_FULL] = "pushes",
		[MS_SELF_UNMATCHED] = "unmatched",
	};
	struct json_object *o = json_object_new_object(), *list;
	char time[40];

	add(o, "schema", json_object_new_int(1));
	/* nine digits of Unix time are ten seconds */
	snprintf(time, sizeof(time), "%.6f", m->time);
	add(o, "time", json_object_new_double_s(m->time, time));
	add_double(o, "elapsed", m->elapsed);
	add_double(o, "interval", m->interval);
	add(o, "final", json_object_new_boolean(final));
	add(o, "exact", json_object_new_boolean(m->measured[MEASURE_RING_EXACT] ||
						m->measured[MEASURE_LOG_MARKS]));
	list = json_object_new_array();
	for (size_t i = 0; i < m->vms; i++)
		json_object_array_add(list, vm_object(m, &m->vm[i]));
	add(o, "vms", list);

	list = json_object_new_array();
	for (size_t i = 0; i < m->probes; i++) {
		struct json_object *p;

		if (!render_is_lost(&m->probe[i]))
			continue;
		p = probe_object_json(&m->probe[i]);
		add_string(p, "lost", m->probe[i].gives);
		json_object_array_add(list, p);
	}
	add(o, "not_measured", list);

	list = json_object_new_object();
	for (int i = 0; i < MS_SELF_COUNT; i++)
		if (lost[i])
			add_u64(list, lost[i], m->self[i]);
	add(o, "lost", list);
	return put_line(out, o);
}

int render_json_probes(FILE *out, const struct probe *probe, size_t n, const char *note)
{
	struct json_object *o = json_object_new_object(), *list = json_object_new_array();

	add(o, "schema", json_object_new_int(1));
	for (size_t i = 0; i < n; i++) {
		struct json_object *p = probe_object_json(&probe[i]);

		add_string(p, "how", probe_how_name(probe[i].how));
		add_string(p, "target", probe[i].target);
		add_string(p, "object", probe[i].object);
		add_string(p, "program", probe[i].program);
		add(p, "exact", json_object_new_boolean(probe[i].exact));
		if (probe[i].state == PROBE_REFUSED)
			add(p, "errno", json_object_new_int(probe[i].err));
		if (probe[i].gives)
			add_string(p, "gives", probe[i].gives);
		json_object_array_add(list, p);
	}
	add(o, "probes", list);
	if (note)
		add_string(o, "note", note);
	return put_line(out, o);
}
