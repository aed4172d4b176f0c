// SPDX-License-Identifier: GPL-2.0
#include "render_json.h"

#include <migscope/errno.h>

/* Only those that happened: the set is closed, but long. */
static struct json_object *errors_object(const __u64 *errors)
{
	static const char *const name[MS_ERRNO_COUNT] = {
#define MS_ERRNO_NAME(name, number)	#name,
		MS_ERRNOS(MS_ERRNO_NAME)
		[MS_EOTHER] = "other",
	};
	struct json_object *o = json_object_new_object();

	for (int i = 0; i < MS_ERRNO_COUNT; i++)
		if (errors[i])
			json_add_u64(o, name[i], errors[i]);
	return o;
}

static struct json_object *iotlb_object(const struct model *m, const struct model_dev *d)
{
	struct json_object *o = json_object_new_object();
	const struct ms_iotlb_dev *v = &d->iotlb;

	if (m->measured[MEASURE_IOTLB_MISS])
		json_add_u64(o, "misses", v->misses);
	if (m->measured[MEASURE_IOTLB_WAIT]) {
		json_add_u64(o, "misses_again", v->misses_again);
		json_add_time_hist(o, "miss_service", &v->service);
		json_add_u64(o, "waits_cut", v->waits_cut);
		json_add_u64(o, "waits_full", v->waits_full);
		json_add_u64(o, "pending", d->pending);
		json_add_double(o, "oldest_seconds", d->oldest);
	}
	if (m->measured[MEASURE_IOTLB_HIT]) {
		json_add_u64(o, "hits", v->hits);
		json_add_u64(o, "denied", v->denied);
	}
	if (m->measured[MEASURE_IOTLB_UPDATE])
		json_add_u64(o, "updates", v->updates);
	if (m->measured[MEASURE_IOTLB_INVALIDATE])
		json_add_u64(o, "invalidates", v->invalidates);
	if (m->measured[MEASURE_IOTLB_ERROR])
		json_add(o, "errors", errors_object(v->errors));
	if (m->measured[MEASURE_IOTLB_EVICT])
		json_add_u64(o, "evictions", v->evictions);
	if (m->measured[MEASURE_IOTLB_TABLE]) {
		json_add_u64(o, "entries", v->entries);
		if (v->limit)
			json_add_u64(o, "entries_limit", v->limit);
	}
	return o;
}

static struct json_object *vfio_op_object(const struct model *m, enum ms_vfio_op op,
					  const struct ms_vfio_stat *s)
{
	struct json_object *o = json_object_new_object();
	bool bitmap = op == MS_VFIO_GET || op == MS_VFIO_UNMAP_GET;

	json_add_u64(o, "calls", s->calls);
	json_add_u64(o, "errors", s->errors);
	if (op < MS_VFIO_START || bitmap)
		json_add_u64(o, "pages", s->pages);
	if (op >= MS_VFIO_GET)
		json_add_u64(o, "bytes", s->bytes);
	if (bitmap && m->measured[MEASURE_VFIO_DIRTY])
		json_add_u64(o, "dirty_pages", s->dirty);
	if (model_vfio_timed(m, op))
		json_add_time_hist(o, "time", &s->time);
	return o;
}

static struct json_object *vfio_object(const struct model *m, const struct model_dev *d)
{
	static const char *const key[MS_VFIO_OPS] = {
		[MS_VFIO_PIN] = "pin",		[MS_VFIO_UNPIN] = "unpin",
		[MS_VFIO_MAP] = "map",		[MS_VFIO_UNMAP] = "unmap",
		[MS_VFIO_START] = "dirty_start", [MS_VFIO_STOP] = "dirty_stop",
		[MS_VFIO_GET] = "dirty_get",	[MS_VFIO_UNMAP_GET] = "dirty_unmap",
		[MS_VFIO_READ] = "read",	[MS_VFIO_WRITE] = "write",
	};
	struct json_object *o = json_object_new_object();
	const struct ms_vfio *v = &d->vfio;

	json_add_u64(o, "container", d->number);
	for (int i = 0; i < MS_VFIO_OPS; i++)
		if (m->measured[model_vfio_measure(i)])
			json_add(o, key[i], vfio_op_object(m, i, &v->op[i]));
	if (m->measured[MEASURE_VFIO_DIRTY])
		json_add_u64(o, "runs", v->runs);
	if (m->measured[MEASURE_VFIO_PINNED] && (v->knows & MS_VFIO_KNOWS_PINNED))
		json_add_u64(o, "pinned_pages", v->pinned);
	if (!m->measured[MEASURE_VFIO_STATE])
		return o;
	if (v->knows & MS_VFIO_KNOWS_MAPS)
		json_add_u64(o, "mappings", v->maps);
	if (v->knows & MS_VFIO_KNOWS_AVAIL)
		json_add_u64(o, "mappings_available", v->avail);
	if (v->knows & MS_VFIO_KNOWS_SCOPE) {
		json_add(o, "tracking", json_object_new_boolean(v->tracking));
		json_add(o, "scope_full", json_object_new_boolean(v->opaque));
	}
	return o;
}

static struct json_object *mig_object(const struct model_dev *d)
{
	static const char *const name[MS_VFIO_STATES] = { MS_VFIO_STATE_NAMES };
	struct json_object *o = json_object_new_object(), *in = json_object_new_object();
	const struct ms_vfio_mig *v = &d->mig;

	json_add_string(o, "state", v->state < MS_VFIO_STATES ? name[v->state] : "unknown");
	json_add_u64(o, "protocol", v->protocol);
	json_add_u64(o, "steps", v->steps);
	json_add_u64(o, "errors", v->errors);
	json_add_time_hist(o, "time", &v->time);
	for (int i = 0; i < MS_VFIO_STATES; i++)
		if (v->in_ns[i])
			json_add_double(in, name[i], v->in_ns[i] / 1e9);
	json_add(o, "seconds_in", in);
	return o;
}

static struct json_object *vdpa_object(const struct model *m, const struct model_dev *d)
{
	static const char *const key[MS_VDPA_OPS] = {
#define MS_VDPA_NAME(name)	[MS_VDPA_##name] = #name,
		MS_VDPA_OPS_BUS(MS_VDPA_NAME)
		MS_VDPA_OPS_VHOST(MS_VDPA_NAME)
	};
	struct json_object *o = json_object_new_object(), *ops = json_object_new_object();
	const struct ms_vdpa *v = &d->vdpa;

	/* only what was asked of it: there are many */
	for (int i = 0; i < MS_VDPA_OPS; i++) {
		struct json_object *op;

		if (!(v->op[i].calls || v->op[i].errors))
			continue;
		op = json_object_new_object();
		json_add_u64(op, "calls", v->op[i].calls);
		json_add_u64(op, "errors", v->op[i].errors);
		json_add_time_hist(op, "time", &v->op[i].time);
		json_add(ops, key[i], op);
	}
	if (m->measured[MEASURE_VDPA_OP] || m->measured[MEASURE_VDPA_MESSAGE])
		json_add(o, "ops", ops);
	else
		json_object_put(ops);
	if (m->measured[MEASURE_VDPA_MESSAGE])
		json_add(o, "errors", errors_object(v->errors));
	if (m->measured[MEASURE_VDPA_KICK])
		json_add_u64(o, "kicks", v->kicks);
	if (m->measured[MEASURE_VDPA_CALLBACK])
		json_add_u64(o, "callbacks", v->callbacks);
	if (m->measured[MEASURE_VDPA_MAP]) {
		json_add_u64(o, "mapped_pages", v->mapped_pages);
		json_add_u64(o, "runs", v->runs);
	}
	if (m->measured[MEASURE_VDPA_PINNED] && v->knows_pinned) {
		json_add_u64(o, "pinned_pages", v->pinned_pages);
		if (v->pinned_limit)
			json_add_u64(o, "pinned_limit_pages", v->pinned_limit);
	}
	return o;
}

/* Its tables, each that is known; what it looks up is known only of its own. */
static struct json_object *spaces_list(const struct model *m, const struct model_dev *d)
{
	struct json_object *list = json_object_new_array();

	for (int i = 0; i < MS_VDPA_SPACES; i++) {
		const struct ms_vdpa_space *s = &d->vdpa.space[i];
		struct json_object *o;

		if (!s->table)
			continue;
		o = json_object_new_object();
		if (d->has_vdpa)
			json_add_u64(o, "asid", i);
		if (d->has_vdpa && m->measured[MEASURE_VDPA_SPACE]) {
			json_add_u64(o, "entries", s->entries);
			if (model_space_limited(s))
				json_add_u64(o, "entries_limit", s->limit);
		}
		if (s->own && m->measured[MEASURE_VDPA_MISS]) {
			json_add_u64(o, "misses", s->misses);
			json_add_u64(o, "denied", s->denied);
		}
		if (s->own && m->measured[MEASURE_VDPA_HIT])
			json_add_u64(o, "hits", s->hits);
		json_object_array_add(list, o);
	}
	return list;
}

struct json_object *json_devices(const struct model *m)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < m->devs; i++) {
		const struct model_dev *d = &m->dev[i];
		struct json_object *o = json_object_new_object();

		json_add_string(o, "vm", d->vm);
		json_add_string(o, "dev", d->dev);
		json_add_u64(o, "id", d->id);
		json_add_u64(o, "pid", d->pid);
		json_add(o, "alive", json_object_new_boolean(d->alive));
		if (d->has_iotlb)
			json_add(o, "vhost_iotlb", iotlb_object(m, d));
		if (d->has_vfio)
			json_add(o, "vfio", vfio_object(m, d));
		if (d->has_mig && m->measured[MEASURE_VFIO_MIG])
			json_add(o, "migration", mig_object(d));
		if (d->has_vdpa)
			json_add(o, "vdpa", vdpa_object(m, d));
		if (d->has_spaces)
			json_add(o, "spaces", spaces_list(m, d));
		json_object_array_add(list, o);
	}
	return list;
}
