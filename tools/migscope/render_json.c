// SPDX-License-Identifier: GPL-2.0
#include "render_json.h"
#include "lost.h"
#include "migrations.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include "vm_names.h"
#include "working_set.h"

void json_add(struct json_object *o, const char *key, struct json_object *value)
{
	json_object_object_add(o, key, value);
}

void json_add_u64(struct json_object *o, const char *key, __u64 value)
{
	json_add(o, key, json_object_new_uint64(value));
}

void json_add_double(struct json_object *o, const char *key, double value)
{
	char text[40];

	/* the shortest form that a person would write; of 16 minutes still the nanosecond */
	snprintf(text, sizeof(text), "%.12g", value);
	json_add(o, key, json_object_new_double_s(value, text));
}

void json_add_string(struct json_object *o, const char *key, const char *value)
{
	json_add(o, key, json_object_new_string(value));
}

void json_add_time_hist(struct json_object *o, const char *key, const struct ms_time_hist *h)
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
	json_add_u64(t, "count", sum + h->bucket[MS_TIME_BUCKETS - 1]);
	json_add_double(t, "seconds", h->sum_ns / 1e9);
	json_add_double(t, "max_seconds", h->max_ns / 1e9);
	json_add(t, "le", le);
	json_add(t, "count_le", count);
	json_add(o, key, t);
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
	json_add(f, "le", le);
	json_add(f, "count", count);
	json_add(o, "fill_at_reset", f);
}

static struct json_object *vcpu_object(const struct model *m, const struct model_vcpu *v)
{
	struct json_object *o = json_object_new_object();
	const struct ms_ring *r = &v->ring;

	json_add_u64(o, "vcpu", r->vcpu_id);
	json_add_u64(o, "size_entries", r->size);
	json_add_u64(o, "soft_limit_entries", r->soft_limit);
	if (m->measured[MEASURE_RING_NOW])
		json_add_u64(o, "used_entries", v->used);
	if (m->measured[MEASURE_RING]) {
		json_add_u64(o, "used_max_entries", r->used_max);
		json_add_u64(o, "pushes", r->pushes);
		json_add_u64(o, "reset_events", r->reset_events);
		json_add_u64(o, "reset_empty", r->reset_empty);
		json_add_u64(o, "reset_entries", r->reset_entries);
		add_fill(o, r->fill);
	}
	if (m->measured[MEASURE_RING_EXACT])
		json_add_u64(o, "pushes_exact", v->pushes_exact);
	if (m->measured[MEASURE_RING_FULL]) {
		json_add_u64(o, "full_exits", r->full_exits);
		json_add_u64(o, "stalls", r->stalls);
		json_add_double(o, "stall_seconds", r->stall_ns / 1e9);
	}
	return o;
}

/* Only the times that were looked at. */
static struct json_object *working_set_object(const struct model *m, const struct model_vm *vm)
{
	static const char *const within[] = { WORKING_SET_TIMES };
	struct json_object *o = json_object_new_object(), *curve = json_object_new_object();
	const struct ms_page_vm *p = &vm->pages;
	double pages;

	json_add_u64(o, "one_in", 1ULL << m->page_part);
	json_add_u64(o, "seen", p->seen);
	json_add_u64(o, "pages", p->kept);
	json_add_u64(o, "overflow", p->overflow);
	json_add_u64(o, "unread", p->unread);
	for (size_t i = 0; i < sizeof(within) / sizeof(within[0]); i++) {
		pages = working_set_pages(p, m->page_part, strtod(within[i], NULL));
		if (pages >= 0)
			json_add_double(curve, within[i], pages);
	}
	json_add(o, "pages_within", curve);
	return o;
}

static struct json_object *threads_object(const struct model_vm *vm)
{
	static const char *const wait[MS_WAITS] = { "reset", "get", "clear", "switch", "stall" };
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < vm->threads; i++) {
		struct json_object *o = json_object_new_object();

		json_add_string(o, "thread", vm->thread[i].name);
		for (enum ms_wait what = 0; what < MS_WAITS; what++) {
			struct json_object *w;

			if (!vm->thread[i].calls[what])
				continue;
			w = json_object_new_object();
			json_add_u64(w, "calls", vm->thread[i].calls[what]);
			json_add_double(w, "seconds", vm->thread[i].ns[what] / 1e9);
			json_add(o, wait[what], w);
		}
		json_object_array_add(list, o);
	}
	return list;
}

static struct json_object *ring_object(const struct model *m, const struct model_vm *vm)
{
	struct json_object *o = json_object_new_object(), *vcpus = json_object_new_array();
	const struct ms_ring_vm *r = &vm->ring;

	json_add_u64(o, "rings", r->rings);
	json_add_u64(o, "rings_freed", r->rings_freed);
	json_add_u64(o, "size_entries", r->size);
	json_add_u64(o, "soft_limit_entries", r->soft_limit);
	if (m->measured[MEASURE_RING]) {
		json_add_u64(o, "pushes", r->pushes);
		json_add_u64(o, "resets", r->resets);
		json_add_u64(o, "reset_events", r->reset_events);
		json_add_u64(o, "reset_empty", r->reset_empty);
		json_add_u64(o, "reset_entries", r->reset_entries);
		json_add_u64(o, "used_max_entries", r->used_max);
		if (r->used_max_soft_limit)
			json_add_double(o, "used_max_ratio", (double)r->used_max / r->used_max_soft_limit);
		add_fill(o, r->fill);
	}
	if (m->measured[MEASURE_RING_EXACT])
		json_add_u64(o, "pushes_exact", vm->pushes_exact);
	if (m->measured[MEASURE_RING_FULL]) {
		json_add_u64(o, "full_exits", r->full_exits);
		json_add_time_hist(o, "stall", &r->stall);
		json_add_u64(o, "stall_unfinished", r->stalls_unfinished);
		json_add_u64(o, "stalled_now", vm->stalled_now);
	}
	if (m->measured[MEASURE_RING_RESET_TIME])
		json_add_time_hist(o, "reset_walk", &r->reset);
	if (m->measured[MEASURE_RING_FLUSH]) {
		json_add_u64(o, "flushes", r->flushes);
		json_add_double(o, "flush_seconds", r->flush_ns / 1e9);
	}
	if (m->measured[MEASURE_RING_RESET_WORK]) {
		json_add_u64(o, "reset_windows", r->windows);
		json_add_u64(o, "reset_mmu_calls", r->mmu_calls);
		json_add_u64(o, "rejected_entries", r->rejected);
		json_add_u64(o, "rejected_no_slot", r->rejected_slot);
		json_add_double(o, "mmu_lock_hold_max_seconds", r->hold_max_ns / 1e9);
	}
	for (size_t i = 0; i < vm->vcpus; i++)
		json_object_array_add(vcpus, vcpu_object(m, &vm->vcpu[i]));
	json_add(o, "vcpus", vcpus);
	return o;
}

static struct json_object *log_object(const struct model *m, const struct model_vm *vm)
{
	static const char *const key[MS_LOG_OPS] = {
		[MS_LOG_GET] = "get",
		[MS_LOG_CLEAR] = "clear",
		[MS_LOG_ON] = "on",
		[MS_LOG_OFF] = "off",
	};
	struct json_object *o = json_object_new_object();

	for (int i = 0; i < MS_LOG_OPS; i++) {
		struct json_object *p;

		if (!m->measured[model_log_measure(i)])
			continue;
		p = json_object_new_object();
		json_add_u64(p, "calls", vm->log.op[i].calls);
		if (!m->measured[MEASURE_LOG_DIRTY])
			json_add_u64(p, "errors", vm->log.op[i].errors);
		json_add_u64(p, "bytes", vm->log.op[i].bytes);
		/* our event says how many were dirty, the hook how large the slot is */
		if (i <= MS_LOG_CLEAR && m->measured[MEASURE_LOG_DIRTY])
			json_add_u64(p, "dirty_pages", vm->log.op[i].dirty);
		else
			json_add_u64(p, "pages", vm->log.op[i].pages);
		json_add_time_hist(p, "time", &vm->log.op[i].time);
		json_add(o, key[i], p);
	}
	if (m->measured[MEASURE_LOG_GET])
		json_add_u64(o, "bytes_unknown", vm->log.bytes_unknown);
	if (m->measured[MEASURE_LOG_MARKS])
		json_add_u64(o, "marked_pages", vm->log.marks);
	return o;
}

static struct json_object *vm_object(const struct model *m, const struct model_vm *vm)
{
	struct json_object *o = json_object_new_object();
	char comm[MS_COMM_LEN + 1];

	vm_names_comm(comm, sizeof(comm), vm->info.comm);
	json_add_string(o, "vm", vm->name);
	json_add_u64(o, "id", vm->id);
	json_add_u64(o, "pid", vm->info.tgid);
	json_add_string(o, "comm", comm);
	if (*vm->uuid)
		json_add_string(o, "uuid", vm->uuid);
	json_add(o, "alive", json_object_new_boolean(vm->alive));
	json_add_string(o, "dirty_mode", vm->info.ring_bytes ? "ring" : "bitmap");
	if (vm->has_ring)
		json_add(o, "dirty_ring", ring_object(m, vm));
	if (vm->has_log)
		json_add(o, "dirty_log", log_object(m, vm));
	if (vm->has_pages && m->measured[MEASURE_RING_PAGES])
		json_add(o, "working_set", working_set_object(m, vm));
	if (vm->threads && m->measured[MEASURE_WAITS])
		json_add(o, "threads", threads_object(vm));
	return o;
}

static struct json_object *probe_object_json(const struct probe *p)
{
	struct json_object *o = json_object_new_object();

	json_add_string(o, "source", p->source);
	json_add_string(o, "probe", p->name);
	json_add_string(o, "state", probe_state_name(p->state));
	if (*p->why)
		json_add_string(o, "why", p->why);
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

/* Those that are over, by what they came to: the same numbers as in /metrics. */
static struct json_object *migrations_object(const struct model *m)
{
	struct json_object *o = json_object_new_object(), *ended = json_object_new_object();
	const struct migrations *g = m->migrations;

	for (enum session_outcome out = 0; out < SESSION_OUTCOMES; out++) {
		struct json_object *t, *le, *count;
		__u64 sum = 0;

		if (!migrations_told(m, out))
			continue;
		t = json_object_new_object();
		le = json_object_new_array();
		count = json_object_new_array();
		for (size_t i = 0; i < MIGRATIONS_BUCKETS; i++) {
			sum += g->ended[out].bucket[i];
			json_object_array_add(le, json_object_new_int(migrations_le[i]));
			json_object_array_add(count, json_object_new_uint64(sum));
		}
		json_add_u64(t, "count", migrations_count(g, out));
		json_add_double(t, "seconds", g->ended[out].seconds);
		json_add(t, "le", le);
		json_add(t, "count_le", count);
		json_add(ended, session_outcome_name(out), t);
	}
	json_add_u64(o, "running", g->running);
	json_add(o, "ended", ended);
	return o;
}

int render_json(FILE *out, const struct model *m, bool final)
{
	struct json_object *o = json_object_new_object(), *list;
	char time[40];

	json_add(o, "schema", json_object_new_int(1));
	/* nine digits of Unix time are ten seconds */
	snprintf(time, sizeof(time), "%.6f", m->time);
	json_add(o, "time", json_object_new_double_s(m->time, time));
	json_add_double(o, "elapsed", m->elapsed);
	json_add_double(o, "interval", m->interval);
	json_add(o, "final", json_object_new_boolean(final));
	json_add(o, "exact", json_object_new_boolean(m->measured[MEASURE_RING_EXACT] ||
						m->measured[MEASURE_LOG_MARKS] ||
						m->measured[MEASURE_IOTLB_HIT] ||
						m->measured[MEASURE_VDPA_HIT]));
	list = json_object_new_array();
	for (size_t i = 0; i < m->vms; i++)
		json_object_array_add(list, vm_object(m, &m->vm[i]));
	json_add(o, "vms", list);
	json_add(o, "devices", json_devices(m));
	if (m->migrations)
		json_add(o, "migrations", migrations_object(m));

	list = json_object_new_array();
	for (size_t i = 0; i < m->probes; i++) {
		struct json_object *p;

		if (!render_is_lost(&m->probe[i]))
			continue;
		p = probe_object_json(&m->probe[i]);
		json_add_string(p, "lost", m->probe[i].gives);
		json_object_array_add(list, p);
	}
	json_add(o, "not_measured", list);

	list = json_object_new_object();
	for (size_t i = 0; i < lost_count; i++)
		json_add_u64(list, lost[i].name, m->self[lost[i].what]);
	json_add(o, "lost", list);
	return put_line(out, o);
}

int render_json_probes(FILE *out, const struct probe *probe, size_t n,
		       const struct module_info *module, size_t modules, const char *note)
{
	struct json_object *o = json_object_new_object(), *list = json_object_new_array();

	json_add(o, "schema", json_object_new_int(1));
	for (size_t i = 0; i < n; i++) {
		struct json_object *p = probe_object_json(&probe[i]);

		json_add_string(p, "how", probe_how_name(probe[i].how));
		json_add_string(p, "target", probe[i].target);
		json_add_string(p, "object", probe[i].object);
		json_add_string(p, "program", probe[i].program);
		json_add(p, "exact", json_object_new_boolean(probe[i].exact));
		if (probe[i].state == PROBE_REFUSED)
			json_add(p, "errno", json_object_new_int(probe[i].err));
		if (probe[i].gives)
			json_add_string(p, "gives", probe[i].gives);
		json_object_array_add(list, p);
	}
	json_add(o, "probes", list);
	list = json_object_new_array();
	for (size_t i = 0; i < modules; i++) {
		struct json_object *m = json_object_new_object();

		json_add_string(m, "module", module[i].name);
		json_add_string(m, "state", module_state_name(module[i].state));
		if (*module[i].why)
			json_add_string(m, "why", module[i].why);
		json_object_array_add(list, m);
	}
	json_add(o, "modules", list);
	if (note)
		json_add_string(o, "note", note);
	return put_line(out, o);
}
