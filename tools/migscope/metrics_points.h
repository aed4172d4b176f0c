/* SPDX-License-Identifier: GPL-2.0 */
/* What the files that put points of metrics share. */
#ifndef MIGSCOPE_METRICS_POINTS_H
#define MIGSCOPE_METRICS_POINTS_H

#include "metrics.h"

/* Puts one value; what follows it are the values of the metric's own labels. */
#define PUT(at, v, ...)	metric_put(at, v, (const char *const[METRIC_LABELS + 1]){ __VA_ARGS__ })

static inline void metric_put(const struct metric_at *at, struct metric_value v,
			      const char *const *label)
{
	at->sink->put(at->sink, at->metric, label, &v);
}

static inline struct metric_value count(__u64 n)
{
	return (struct metric_value){ .kind = METRIC_U64, .u64 = n };
}

static inline struct metric_value number(double d)
{
	return (struct metric_value){ .kind = METRIC_DOUBLE, .number = d };
}

#define BOUNDS(le) (sizeof(le) / sizeof((le)[0]))

/* A histogram of durations; @label: the metric's only one, NULL for none. */
void put_times(const struct metric_at *at, const struct ms_time_hist *h, const char *label);

/* metrics_devices.c */
void iotlb_lookups(const struct metric_at *at);
void iotlb_pending(const struct metric_at *at);
void iotlb_oldest(const struct metric_at *at);
void iotlb_entries(const struct metric_at *at);
void iotlb_limit(const struct metric_at *at);
void iotlb_evictions(const struct metric_at *at);
void iotlb_service(const struct metric_at *at);
void iotlb_updates(const struct metric_at *at);
void iotlb_map_errors(const struct metric_at *at);
void vfio_pinned(const struct metric_at *at);
void vfio_times(const struct metric_at *at);
void vfio_get_times(const struct metric_at *at);
void vfio_get_bytes(const struct metric_at *at);
void vfio_dirty_pages(const struct metric_at *at);
void vfio_scope(const struct metric_at *at);
void vfio_tracking(const struct metric_at *at);
void vfio_mappings(const struct metric_at *at);
void vfio_available(const struct metric_at *at);
void vfio_states(const struct metric_at *at);
void vdpa_times(const struct metric_at *at);
void vdpa_kicks(const struct metric_at *at);
void vdpa_callbacks(const struct metric_at *at);
void vdpa_pinned(const struct metric_at *at);
void vdpa_lookups(const struct metric_at *at);
void vdpa_entries(const struct metric_at *at);
void vdpa_limit(const struct metric_at *at);

#endif
