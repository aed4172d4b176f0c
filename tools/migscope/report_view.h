/* SPDX-License-Identifier: GPL-2.0 */
/* One VM's numbers during one session, out of what report_read() made. */
#ifndef MIGSCOPE_REPORT_VIEW_H
#define MIGSCOPE_REPORT_VIEW_H

#include <stdbool.h>
#include "report_get.h"

/* What of a recording is looked at: one VM, from one sample to another. */
struct view {
	struct json_object *report, *vm, *session;
	size_t first, last;	/* samples, from 1 */
};

/* Of session number @i, of it no more than @at s (0: all); false: there is nothing to see. */
bool view_session(struct json_object *report, size_t i, double at, struct view *v);

/* s since attached, of a sample. */
double elapsed(const struct view *v, size_t sample);

/* Points of the VM's series of that name; @label (NULL: any) has to be @value. */
struct json_object *series(const struct view *v, const char *name, const char *label, const char *value);

/* What they stood at; -1: there was nothing yet. */
double value_at(struct json_object *points, size_t sample);

/* The highest that they went to in the view; where they did not move, what they stand at. */
double highest(const struct view *v, struct json_object *points);

/* How far they went from the view's beginning to @sample; 0 for what is not there. */
double grown(const struct view *v, struct json_object *points, size_t sample);

#define VIEW_SYNCS 512

/* One collecting of dirty pages, or several that lie between two samples. */
struct view_sync {
	double elapsed;		/* when it was seen */
	double seconds;		/* since the one before; 0 for the first */
	double pages;		/* that it showed; -1: not measured */
	double count;		/* how many these are */
};

/*
 * The syncs of a session, up to VIEW_SYNCS: of bitmaps by the GETs; of rings, which are harvested
 * between them as well, as QEMU counts them, none if it was not asked.
 */
size_t view_syncs(const struct view *v, struct view_sync *sync);

#endif
