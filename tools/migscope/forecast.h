/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Whether a pre-copy migration ends, when, and with what downtime: from how much memory a VM
 * dirties within a time. Times in s, memory in bytes, rates in bytes a second.
 */
#ifndef MIGSCOPE_FORECAST_H
#define MIGSCOPE_FORECAST_H

#include <stdbool.h>
#include <stddef.h>

#define FORECAST_POINTS	32

/* Different memory that is dirtied within a time; through the origin, and never falls. */
struct forecast_curve {
	struct { double seconds, bytes, weight; } point[FORECAST_POINTS];	/* by time */
	size_t points;		/* 0: nothing is known */
	double most;		/* all memory that could be dirtied; 0: not known */
};

/*
 * Adds what was seen to be dirtied within @seconds. Two points of nearly the same time become
 * their mean; when there is no room those that lie closest together do.
 */
void forecast_curve_add(struct forecast_curve *c, double seconds, double bytes);

/*
 * Where nothing was seen of times shorter than a round of a migration: adds shorter ones, from how
 * the longer ones saturate. With fewer than two points there is nothing to tell by.
 */
void forecast_curve_begin(struct forecast_curve *c);

/* What is dirtied within @seconds; beyond the last point it goes on as it came. */
double forecast_dirtied(const struct forecast_curve *c, double seconds);

/* What a migration is given, and where it stands. */
struct forecast_plan {
	double bandwidth;	/* it may use */
	double last_bandwidth;	/* at which the last part is sent: a VMM lifts its limit then */
	double downtime;	/* it may cause */
	double sync;		/* that collecting the dirty pages takes */
	double overhead;	/* of the stop, besides memory: devices, and what the VMM does */
	double left;		/* to be sent in the round that is under way */
	double since;		/* since that round began */
	double most_seconds;	/* longer than this is for ever */
};

struct forecast {
	bool converges;
	unsigned int rounds;	/* more, the last one included */
	double seconds;		/* until it is over, the downtime included */
	double downtime;
	double last;		/* sent while the VM stands still */
	double least;		/* left after any of the rounds: the downtime limit must cover that much */
};

void forecast_run(const struct forecast_curve *c, const struct forecast_plan *p, struct forecast *f);

/* The least bandwidth that does; 0: none up to @most. */
double forecast_bandwidth(const struct forecast_curve *c, const struct forecast_plan *p, double most);

/* The shortest downtime limit that does; 0: none up to @most. */
double forecast_downtime(const struct forecast_curve *c, const struct forecast_plan *p, double most);

#endif
