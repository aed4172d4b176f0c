/* SPDX-License-Identifier: GPL-2.0 */
/* Renderers: each turns a sample of the model into text, and knows nothing else. */
#ifndef MIGSCOPE_RENDER_H
#define MIGSCOPE_RENDER_H

#include <stdio.h>
#include "model.h"

/* One line of NDJSON: SCHEMA.md. 0 or -errno. */
int render_json(FILE *out, const struct model *m, bool final);

/* What doctor found, as one JSON object. 0 or -errno. */
int render_json_probes(FILE *out, const struct probe *probe, size_t n, const char *note);

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
