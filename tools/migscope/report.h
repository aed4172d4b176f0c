/* SPDX-License-Identifier: GPL-2.0 */
/* What a recording says, as one JSON object: all other forms are made from it. */
#ifndef MIGSCOPE_REPORT_H
#define MIGSCOPE_REPORT_H

#include <json-c/json.h>
#include <stdio.h>

struct report_options {
	double bandwidth;	/* bytes/s of a migration; 0: not known */
	double downtime;	/* s that it may cause; 0: QEMU's own limit */
};

/* NULL: it cannot be read, which was said. SCHEMA.md describes the object. */
struct json_object *report_read(const char *path, const struct report_options *o);

/* For people. */
void report_text(FILE *out, struct json_object *report);

/* One page with everything in it. 0 or -errno. */
int report_html(FILE *out, struct json_object *report);

#endif
