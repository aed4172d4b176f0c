// SPDX-License-Identifier: GPL-2.0
/* Points of the metrics about devices and containers. */
#include "metrics_points.h"

#include <migscope/errno.h>

#define DEV_METRIC(fn, has, measure, value, ...)			\
void fn(const struct metric_at *at)				\
{									\
	if (at->dev->has && at->m->measured[measure])			\
		PUT(at, value, ##__VA_ARGS__);				\
}

DEV_METRIC(iotlb_pending, has_iotlb, MEASURE_IOTLB_WAIT, count(at->dev->pending))
DEV_METRIC(iotlb_oldest, has_iotlb, MEASURE_IOTLB_WAIT, number(at->dev->oldest))
DEV_METRIC(iotlb_entries, has_iotlb, MEASURE_IOTLB_TABLE, count(at->dev->iotlb.entries))
DEV_METRIC(iotlb_evictions, has_iotlb, MEASURE_IOTLB_EVICT, count(at->dev->iotlb.evictions))

/* Nobody is near a limit of 0: in vhost's own table it is none, into ours nothing goes. */
void iotlb_limit(const struct metric_at *at)
{
	if (at->dev->has_iotlb && at->dev->iotlb.limit && at->m->measured[MEASURE_IOTLB_TABLE])
		PUT(at, count(at->dev->iotlb.limit));
}

void iotlb_service(const struct metric_at *at)
{
	if (at->dev->has_iotlb && at->m->measured[MEASURE_IOTLB_WAIT])
		put_times(at, &at->dev->iotlb.service, NULL);
}

void iotlb_updates(const struct metric_at *at)
{
	if (at->dev->has_iotlb && at->m->measured[MEASURE_IOTLB_UPDATE])
		PUT(at, count(at->dev->iotlb.updates), "update");
	if (at->dev->has_iotlb && at->m->measured[MEASURE_IOTLB_INVALIDATE])
		PUT(at, count(at->dev->iotlb.invalidates), "invalidate");
}

void iotlb_lookups(const struct metric_at *at)
{
	if (!at->dev->has_iotlb)
		return;
	if (at->m->measured[MEASURE_IOTLB_MISS])
		PUT(at, count(at->dev->iotlb.misses), "miss");
	if (!at->m->measured[MEASURE_IOTLB_HIT])
		return;
	PUT(at, count(at->dev->iotlb.hits), "hit");
	PUT(at, count(at->dev->iotlb.denied), "denied");
}

/* Only errors that happened: the set is closed, but long. */
static void put_errors(const struct metric_at *at, const __u64 *errors)
{
	static const char *const name[MS_ERRNO_COUNT] = {
#define MS_ERRNO_NAME(name, number)	#name,
		MS_ERRNOS(MS_ERRNO_NAME)
		[MS_EOTHER] = "other",
	};

	for (int i = 0; i < MS_ERRNO_COUNT; i++)
		if (errors[i])
			PUT(at, count(errors[i]), name[i]);
}

void iotlb_map_errors(const struct metric_at *at)
{
	if (at->dev->has_iotlb && at->m->measured[MEASURE_IOTLB_ERROR])
		put_errors(at, at->dev->iotlb.errors);
	if (at->dev->has_vdpa && at->m->measured[MEASURE_VDPA_MESSAGE])
		put_errors(at, at->dev->vdpa.errors);
}

/* The operations from @first to @last, those that are measured. */
static void put_vfio_times(const struct metric_at *at, enum ms_vfio_op first, enum ms_vfio_op last)
{
	static const char *const name[MS_VFIO_OPS] = {
		[MS_VFIO_PIN] = "pin", [MS_VFIO_UNPIN] = "unpin",
		[MS_VFIO_MAP] = "map", [MS_VFIO_UNMAP] = "unmap",
		[MS_VFIO_GET] = "get", [MS_VFIO_UNMAP_GET] = "unmap",
	};

	for (enum ms_vfio_op op = first; at->dev->has_vfio && op <= last; op++)
		if (at->m->measured[model_vfio_measure(op)] && model_vfio_timed(at->m, op))
			put_times(at, &at->dev->vfio.op[op].time, name[op]);
}

void vfio_times(const struct metric_at *at)
{
	put_vfio_times(at, MS_VFIO_PIN, MS_VFIO_UNMAP);
}

void vfio_get_times(const struct metric_at *at)
{
	put_vfio_times(at, MS_VFIO_GET, MS_VFIO_UNMAP_GET);
}

DEV_METRIC(vfio_get_bytes, has_vfio, MEASURE_VFIO_GET,
	   count(at->dev->vfio.op[MS_VFIO_GET].bytes + at->dev->vfio.op[MS_VFIO_UNMAP_GET].bytes))
DEV_METRIC(vfio_dirty_pages, has_vfio, MEASURE_VFIO_DIRTY,
	   count(at->dev->vfio.op[MS_VFIO_GET].dirty + at->dev->vfio.op[MS_VFIO_UNMAP_GET].dirty))

#define VFIO_STATE(fn, measure, known, value)				\
void fn(const struct metric_at *at)					\
{									\
	if (at->dev->has_vfio && at->m->measured[measure] &&		\
	    at->dev->vfio.knows & (known))				\
		PUT(at, count(value));					\
}

VFIO_STATE(vfio_pinned, MEASURE_VFIO_PINNED, MS_VFIO_KNOWS_PINNED, at->dev->vfio.pinned)
VFIO_STATE(vfio_scope, MEASURE_VFIO_STATE, MS_VFIO_KNOWS_SCOPE, at->dev->vfio.opaque != 0)
VFIO_STATE(vfio_tracking, MEASURE_VFIO_STATE, MS_VFIO_KNOWS_SCOPE, at->dev->vfio.tracking != 0)
VFIO_STATE(vfio_mappings, MEASURE_VFIO_STATE, MS_VFIO_KNOWS_MAPS, at->dev->vfio.maps)
VFIO_STATE(vfio_available, MEASURE_VFIO_STATE, MS_VFIO_KNOWS_AVAIL, at->dev->vfio.avail)

/* All states from the start: one that came with the time in it would have no rate. */
void vfio_states(const struct metric_at *at)
{
	static const char *const name[MS_VFIO_STATES] = { MS_VFIO_STATE_NAMES };
	static const int order[MS_VFIO_STATES] = { MS_VFIO_STATE_ORDER };

	if (!at->dev->has_mig || !at->m->measured[MEASURE_VFIO_MIG])
		return;
	for (int i = 0; i < MS_VFIO_STATES; i++)
		PUT(at, number(at->dev->mig.in_ns[order[i]] / 1e9), name[order[i]]);
}

/* Only what was asked of the device: there are many operations. */
void vdpa_times(const struct metric_at *at)
{
	static const char *const name[MS_VDPA_OPS] = {
#define MS_VDPA_NAME(name)	[MS_VDPA_##name] = #name,
		MS_VDPA_OPS_BUS(MS_VDPA_NAME)
		MS_VDPA_OPS_VHOST(MS_VDPA_NAME)
	};
	const struct ms_vdpa *v = &at->dev->vdpa;

	if (!at->dev->has_vdpa)
		return;
	for (int i = 0; i < MS_VDPA_OPS; i++)
		if (at->m->measured[i < MS_VDPA_BUS_OPS ? MEASURE_VDPA_OP : MEASURE_VDPA_MESSAGE] &&
		    (v->op[i].calls || v->op[i].errors))
			put_times(at, &v->op[i].time, name[i]);
}

DEV_METRIC(vdpa_kicks, has_vdpa, MEASURE_VDPA_KICK, count(at->dev->vdpa.kicks))
DEV_METRIC(vdpa_callbacks, has_vdpa, MEASURE_VDPA_CALLBACK, count(at->dev->vdpa.callbacks), "callback")

void vdpa_pinned(const struct metric_at *at)
{
	const struct model_dev *d = at->dev;

	if (d->has_vdpa && at->m->measured[MEASURE_VDPA_PINNED] && d->vdpa.knows_pinned)
		PUT(at, count(4096 * d->vdpa.pinned_pages));
}

/* What vringh translates by a table of which no device is known has no address space. */
static const char *asid(const struct model_dev *d, int i)
{
	static const char *const name[MS_VDPA_SPACES] = { "0", "1", "2", "3" };

	return d->has_vdpa ? name[i] : "";
}

void vdpa_lookups(const struct metric_at *at)
{
	const struct model_dev *d = at->dev;

	for (int i = 0; d->has_spaces && i < MS_VDPA_SPACES; i++) {
		const struct ms_vdpa_space *s = &d->vdpa.space[i];

		if (s->own && at->m->measured[MEASURE_VDPA_MISS]) {
			PUT(at, count(s->misses), "miss", asid(d, i));
			PUT(at, count(s->denied), "denied", asid(d, i));
		}
		if (s->own && at->m->measured[MEASURE_VDPA_HIT])
			PUT(at, count(s->hits), "hit", asid(d, i));
	}
}

#define SPACE_METRIC(fn, known, value)					\
void fn(const struct metric_at *at)					\
{									\
	const struct model_dev *d = at->dev;				\
									\
	if (!d->has_vdpa || !at->m->measured[MEASURE_VDPA_SPACE])	\
		return;							\
	for (int i = 0; i < MS_VDPA_SPACES; i++) {			\
		const struct ms_vdpa_space *s = &d->vdpa.space[i];	\
									\
		if (s->table && (known))				\
			PUT(at, count(value), asid(d, i));		\
	}								\
}

SPACE_METRIC(vdpa_entries, true, s->entries)
SPACE_METRIC(vdpa_limit, model_space_limited(s), s->limit)
