/* SPDX-License-Identifier: GPL-2.0 */
/* Renderers: each turns a sample of the model into text, and knows nothing else. */
#ifndef MIGSCOPE_RENDER_H
#define MIGSCOPE_RENDER_H

#include <stdio.h>
#include "metrics.h"
#include "model.h"
#include "our_modules.h"

/* One line of NDJSON: SCHEMA.md. 0 or -errno. */
int render_json(FILE *out, const struct model *m, bool final);

/*
 * A sample for the live page: tools/migscope/web/live.js. @began tells the process that
 * answers from one before it, whose numbers of VMs and counters were others. 0 or -errno.
 */
int render_live(FILE *out, const struct model *m, double began);

/* What doctor found, as one JSON object. 0 or -errno. */
int render_json_probes(FILE *out, const struct probe *probe, size_t n,
		       const struct module_info *module, size_t modules, const char *note);

struct openmetrics_options {
	bool openmetrics;	/* else the classic text format */
	size_t most;		/* series; what is beyond is left out, object by object */
};

struct openmetrics_stats {
	size_t series, dropped;
};

/* @self may be NULL; *@out is malloc'ed, *@len bytes without a NUL. 0 or -errno. */
int render_openmetrics(const struct model *m, const struct metric_self *self,
		       const struct openmetrics_options *o, char **out, size_t *len,
		       struct openmetrics_stats *stats);

/* The table of one interval; @before is the sample before it, empty for the first. */
void render_table_head(FILE *out, const struct model *m, bool stamps);
void render_table(FILE *out, const struct model *m, const struct model *before, bool stamps);

/* Everything about each VM, with histograms: what a run ends with. */
void render_report(FILE *out, const struct model *m);

/* One line for each thing that is not measured, and for our own losses. */
void render_not_measured(FILE *out, const struct model *m);

/* Does a line in `not_measured` belong to this probe? */
bool render_is_lost(const struct probe *p);

#endif
