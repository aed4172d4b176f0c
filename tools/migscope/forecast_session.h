/* SPDX-License-Identifier: GPL-2.0 */
/* A forecast for a migration of a recording, from what was seen of it. */
#ifndef MIGSCOPE_FORECAST_SESSION_H
#define MIGSCOPE_FORECAST_SESSION_H

#include <json-c/json.h>
#include <stdio.h>
#include "forecast.h"

/* What a migration is given; 0: not known. */
struct forecast_options {
	double bandwidth, last_bandwidth;	/* bytes/s */
	double downtime, overhead;		/* s */
	double memory;				/* bytes that the first round sends */
	double at;				/* s into the session: what came later is not looked at */
};

#define FORECAST_DOWNTIME	0.3	/* s: QEMU's own limit, unless it is told another */

/*
 * For session number @i of what report_read() made: an object, SCHEMA.md describes it. It
 * has `why_not` instead of a forecast where there is nothing to make one from.
 */
struct json_object *forecast_session(struct json_object *report, size_t i,
				     const struct forecast_options *o);

/* The same from a rate that was sampled, without a session. */
struct json_object *forecast_sampled(const char *vm, double rate, double seconds,
				     const struct forecast_options *o);

/* For people. */
void forecast_text(FILE *out, struct json_object *forecast);

#endif
