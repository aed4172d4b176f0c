// SPDX-License-Identifier: GPL-2.0
#include "report_view.h"

#include <math.h>
#include <string.h>

double elapsed(const struct view *v, size_t sample)
{
	return json_object_get_double(item(v->report, "elapsed", sample - 1));
}

struct json_object *series(const struct view *v, const char *name, const char *label, const char *value)
{
	for (size_t i = 0; i < length(v->vm, "series"); i++) {
		struct json_object *s = item(v->vm, "series", i);

		if (!strcmp(text(s, "name"), name) &&
		    (!label || !strcmp(text(member(s, "labels"), label), value)))
			return member(s, "points");
	}
	return NULL;
}

static struct json_object *of_point(struct json_object *points, size_t i, size_t what)
{
	return json_object_array_get_idx(json_object_array_get_idx(points, i), what);
}

double value_at(struct json_object *points, size_t sample)
{
	size_t first = 0, end = points ? json_object_array_length(points) : 0;

	/* they are in order: what is before the first of later samples */
	while (first < end) {
		size_t i = first + (end - first) / 2;

		if ((size_t)json_object_get_int64(of_point(points, i, 0)) > sample)
			end = i;
		else
			first = i + 1;
	}
	return end ? json_object_get_double(of_point(points, end - 1, 1)) : -1;
}

double highest(const struct view *v, struct json_object *points)
{
	double most = -1;

	for (size_t i = 0; points && i < json_object_array_length(points); i++) {
		size_t sample = json_object_get_int64(of_point(points, i, 0));

		if (sample > v->first && sample <= v->last)
			most = fmax(most, json_object_get_double(of_point(points, i, 1)));
	}
	return most < 0 ? value_at(points, v->first) : most;
}

double grown(const struct view *v, struct json_object *points, size_t sample)
{
	return points ? fmax(0, value_at(points, sample)) - fmax(0, value_at(points, v->first)) : 0;
}

bool view_session(struct json_object *report, size_t i, double at, struct view *v)
{
	struct json_object *s = item(report, "sessions", i);

	*v = (struct view){ .report = report, .session = s, .first = number(s, "first"), .last = number(s, "last") };
	for (size_t k = 0; k < length(report, "vms"); k++)
		if (number(item(report, "vms", k), "id") == number(s, "vm"))
			v->vm = item(report, "vms", k);
	if (!v->first)
		v->first = 1;
	while (at > 0 && v->last > v->first + 1 && elapsed(v, v->last) - elapsed(v, v->first) > at)
		v->last--;
	return v->vm && v->last > v->first;
}

/* As QEMU counts them. */
static size_t qemu_syncs(const struct view *v, struct json_object *pages, struct view_sync *sync)
{
	struct json_object *rounds = series(v, "qemu_rounds", NULL, NULL);
	double shown = 0, before = 0, at = 0, n;
	size_t syncs = 0;

	for (size_t i = v->first + 1; i <= v->last && syncs < VIEW_SYNCS; i++) {
		n = value_at(rounds, i);
		if (n <= before)
			continue;
		sync[syncs++] = (struct view_sync){
			.elapsed = elapsed(v, i),
			.seconds = at > 0 ? elapsed(v, i) - at : 0,
			.pages = pages ? grown(v, pages, i) - shown : -1,
			.count = n - before,
		};
		at = elapsed(v, i);
		before = n;
		shown = grown(v, pages, i);
	}
	return syncs;
}

/*
 * GETs that one sync of all slots makes, and the sample in which the first of them was over:
 * what came before the first pause or, where there is none, in the first sample.
 */
static double gets_of_sync(const struct view *v, struct json_object *calls, size_t *end)
{
	size_t i = v->first + 1, first;

	while (i <= v->last && grown(v, calls, i) <= 0)
		i++;
	first = i;
	while (i < v->last && grown(v, calls, i + 1) > grown(v, calls, i))
		i++;
	/* one that two samples share */
	*end = i - first > 1 ? first : i;
	return *end <= v->last ? grown(v, calls, *end) : 0;
}

static size_t bitmap_syncs(const struct view *v, struct json_object *pages, struct view_sync *sync)
{
	struct json_object *calls = series(v, "dirty_log_sync_seconds_count", "op", "get");
	double each, called = 0, shown = 0, at = 0, n;
	size_t syncs = 0, first = 0;

	each = calls ? gets_of_sync(v, calls, &first) : 0;
	for (size_t i = first; each >= 1 && i <= v->last && syncs < VIEW_SYNCS; i++) {
		n = round((grown(v, calls, i) - called) / each);
		/* a part of a sync, or none */
		if (n < 1)
			continue;
		sync[syncs++] = (struct view_sync){
			.elapsed = elapsed(v, i),
			.seconds = at > 0 ? elapsed(v, i) - at : 0,
			.pages = pages ? grown(v, pages, i) - shown : -1,
			.count = n,
		};
		at = elapsed(v, i);
		called = grown(v, calls, i);
		shown = grown(v, pages, i);
	}
	return syncs;
}

size_t view_syncs(const struct view *v, struct view_sync *sync)
{
	bool ring = !strcmp(text(v->vm, "dirty_mode"), "ring");
	struct json_object *pages = ring ? NULL : series(v, "dirty_log_sync_pages", "op", "get");

	if (!pages)
		pages = series(v, "dirty_pages", NULL, NULL);
	/* a sync and QEMU's count of it may come in different samples: of bitmaps both matter */
	if (!ring)
		return bitmap_syncs(v, pages, sync);
	return series(v, "qemu_rounds", NULL, NULL) ? qemu_syncs(v, pages, sync) : 0;
}
