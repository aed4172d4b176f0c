// SPDX-License-Identifier: GPL-2.0
#include "forecast_session.h"
#include "metrics.h"
#include "report_view.h"
#include "working_set.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PAGE		4096.
#define FOR_EVER_S	3600.
#define MOST_BANDWIDTH	1e12
#define MOST_DOWNTIME_S	60.
#define RING_MOST	65536
#define HARVEST_S	1.	/* QEMU harvests rings at least as often */

/* --- what the VM dirties */

/*
 * What is pushed after a reset was not dirtied since: that is exact, but reaches no further than
 * to the next reset. The longest time that it does; 0, and no curve: nothing was seen to be pushed
 * but together with a reset. A guest that stands still at the end is no slower for it before.
 */
static double curve_of_pushes(const struct view *v, struct forecast_curve *c)
{
	struct json_object *pages = series(v, "dirty_pages", NULL, NULL);
	struct json_object *resets = series(v, "ring_resets", NULL, NULL);
	double longest = 0, seconds;
	size_t reset = v->last, last = v->last;

	while (pages && last > v->first && value_at(pages, last) == value_at(pages, last - 1))
		last--;
	for (size_t i = v->first + 1; pages && resets && i <= last; i++) {
		if (value_at(resets, i) != value_at(resets, i - 1)) {
			reset = i;
			continue;
		}
		if (reset >= i)
			continue;
		seconds = elapsed(v, i) - elapsed(v, reset);
		forecast_curve_add(c, seconds, PAGE * (value_at(pages, i) - value_at(pages, reset)));
		longest = fmax(longest, seconds);
	}
	if (forecast_dirtied(c, longest) > 0)
		return longest;
	memset(c, 0, sizeof(*c));
	return 0;
}

/*
 * Entries show a page once for each reset, however often it was dirtied in between: of times
 * shorter than that, and of the rate, they show too little. From there on they tell how it goes on.
 */
static bool curve_of_entries(const struct view *v, struct forecast_curve *c)
{
	static const char *const within[] = { WORKING_SET_TIMES };
	struct forecast_curve entries = { 0 };
	double exact = curve_of_pushes(v, c), of_all = 1;

	for (size_t i = 0; i < sizeof(within) / sizeof(within[0]); i++) {
		double pages = value_at(series(v, "working_set_pages", "within", within[i]), v->last);

		if (pages >= 0)
			forecast_curve_add(&entries, strtod(within[i], NULL), PAGE * pages);
	}
	if (!entries.points) {
		memset(c, 0, sizeof(*c));
		return false;
	}
	if (exact > 0 && forecast_dirtied(&entries, exact) > 0)
		of_all = forecast_dirtied(&entries, exact) / forecast_dirtied(c, exact);
	for (size_t i = 0; i < entries.points; i++)
		if (entries.point[i].seconds > exact)
			forecast_curve_add(c, entries.point[i].seconds, entries.point[i].bytes / of_all);
	return true;
}

/* A ring's pages between two resets, on average: each is in it once. */
static bool curve_of_rings(const struct view *v, struct forecast_curve *c)
{
	struct json_object *pages = series(v, "dirty_pages", NULL, NULL);
	struct json_object *resets = series(v, "ring_resets", NULL, NULL);
	double n = grown(v, resets, v->last), seconds = elapsed(v, v->last) - elapsed(v, v->first);

	if (!pages || n < 1 || seconds <= 0)
		return false;
	forecast_curve_add(c, seconds / n, PAGE * grown(v, pages, v->last) / n);
	return true;
}

/* Where a VM's migration stands, as far as it was seen. */
struct state {
	struct forecast_curve curve;
	const char *from;	/* what the curve was made of */
	double sync;		/* s that one collecting takes; 0: not measured */
	double round_began;	/* elapsed, s; 0: not known */
	unsigned int rounds;
};

/* A bitmap's pages from one sync to the next. */
static bool curve_of_bitmap(const struct view *v, struct state *st)
{
	struct view_sync sync[VIEW_SYNCS];
	size_t n = view_syncs(v, sync);

	for (size_t i = 0; i < n; i++) {
		st->rounds += sync[i].count;
		/* what the first one shows is not what was dirtied but all there is */
		if (i && sync[i].pages >= 0)
			forecast_curve_add(&st->curve, sync[i].seconds / sync[i].count,
					   PAGE * sync[i].pages / sync[i].count);
	}
	if (!n)
		return false;
	st->round_began = sync[n - 1].elapsed;
	forecast_curve_begin(&st->curve);
	st->sync = grown(v, series(v, "dirty_log_sync_seconds_sum", "op", "get"), v->last) / st->rounds;
	return st->curve.points;
}

static void look(const struct view *v, struct state *st)
{
	struct json_object *walk = series(v, "ring_reset_seconds_sum", NULL, NULL);
	/* of an older recording, or where it could not be seen, there is none */
	struct json_object *flush = series(v, "ring_flush_seconds", NULL, NULL);
	double resets = grown(v, series(v, "ring_resets", NULL, NULL), v->last);

	if (strcmp(text(v->vm, "dirty_mode"), "ring")) {
		st->from = curve_of_bitmap(v, st) ? "bitmaps" : NULL;
		return;
	}
	if (walk && resets > 0)
		st->sync = (grown(v, walk, v->last) + grown(v, flush, v->last)) / resets;
	if (curve_of_entries(v, &st->curve))
		st->from = "entries";
	else if (curve_of_rings(v, &st->curve))
		st->from = "rings";
}

/* --- where it stands */

/* QEMU's own words, if it was asked: how much is left, in which round, and since when. */
static bool qemu_says(const struct view *v, struct state *st, double *left)
{
	struct json_object *rounds = series(v, "qemu_rounds", NULL, NULL);
	double n = value_at(rounds, v->last);
	size_t i = v->last;

	if (n < 1)
		return false;
	while (i > v->first && value_at(rounds, i - 1) == n)
		i--;
	st->rounds = n;
	/* some time between the two samples */
	st->round_began = i > v->first ? (elapsed(v, i) + elapsed(v, i - 1)) / 2 : elapsed(v, i);
	*left = fmax(0, value_at(series(v, "qemu_remaining_bytes", NULL, NULL), v->last));
	return true;
}

/*
 * Without QEMU: what logging was switched on for has to be sent once; if the time was
 * enough for that, what is dirtied meanwhile is sent now.
 */
static double guess_left(const struct view *v, const struct state *st, const struct forecast_options *o,
			 double memory)
{
	double passed = elapsed(v, v->last) - elapsed(v, v->first), all = memory / o->bandwidth, left;

	if (passed < all && st->rounds <= 1)
		return memory - passed * o->bandwidth;
	if (st->rounds > 1 && st->curve.points)
		passed = elapsed(v, v->last) - st->round_began;
	else
		passed = 0;
	left = forecast_dirtied(&st->curve, fmin(all, FOR_EVER_S)) - passed * o->bandwidth;
	return fmax(left, 0);
}

/* --- rings */

static unsigned int ring_for(double entries, double reserved)
{
	unsigned int size = 1024;

	while (size < RING_MOST && size - reserved < entries)
		size *= 2;
	return size - reserved < entries ? 0 : size;
}

/* Which ring would not run full: from the highest fill, or from the rate where it ran full. */
static struct json_object *ring_object(const struct view *v)
{
	struct json_object *o = json_object_new_object(), *reset = series(v, "ring_resets", NULL, NULL);
	double size = value_at(series(v, "ring_size_entries", NULL, NULL), v->last);
	double limit = value_at(series(v, "ring_soft_limit_entries", NULL, NULL), v->last);
	double used = highest(v, series(v, "ring_used_entries_max", NULL, NULL));
	double full = grown(v, series(v, "ring_full_exits", NULL, NULL), v->last);
	double events = grown(v, series(v, "ring_fill_at_reset_ratio_bucket", "le", "+Inf"), v->last);
	double seconds = elapsed(v, v->last) - elapsed(v, v->first), rings, need;

	if (size <= 0 || limit <= 0 || used < 0 || seconds <= 0) {
		json_object_put(o);
		return NULL;
	}
	rings = fmax(1, round(events / fmax(1, grown(v, reset, v->last))));
	need = full > 0 ? fmax(used, HARVEST_S * grown(v, series(v, "dirty_pages", NULL, NULL), v->last) /
			       seconds / rings) : used;
	json_object_object_add(o, "size_entries", json_object_new_int64(size));
	json_object_object_add(o, "soft_limit_entries", json_object_new_int64(limit));
	json_object_object_add(o, "used_max_entries", json_object_new_int64(used));
	json_object_object_add(o, "full_exits", json_object_new_int64(full));
	/* a quarter more than was seen: the next migration is not this one */
	json_object_object_add(o, "size_needed_entries", json_object_new_int64(ring_for(1.25 * need, size - limit)));
	return o;
}

/* --- the object */

static void add(struct json_object *o, const char *key, double value)
{
	char text[40];

	snprintf(text, sizeof(text), "%.6g", value);
	json_object_object_add(o, key, json_object_new_double_s(value, text));
}

static void say(struct json_object *o, const char *key, const char *text)
{
	json_object_object_add(o, key, json_object_new_string(text));
}

/* The curve, at times that a person would ask for, and its rate at first. */
static void add_curve(struct json_object *o, const struct forecast_curve *c)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < c->points; i++) {
		struct json_object *p = json_object_new_object();

		add(p, "seconds", c->point[i].seconds);
		add(p, "bytes", forecast_dirtied(c, c->point[i].seconds));
		json_object_array_add(list, p);
	}
	json_object_object_add(o, "curve", list);
	add(o, "dirty_bytes_per_second", forecast_dirtied(c, c->point[0].seconds) / c->point[0].seconds);
}

static void add_forecast(struct json_object *o, const struct forecast_curve *c,
			 const struct forecast_plan *p, double passed)
{
	struct forecast f;
	double least;

	forecast_run(c, p, &f);
	add(o, "bandwidth_bytes_per_second", p->bandwidth);
	add(o, "downtime_limit_seconds", p->downtime);
	add(o, "sync_seconds", p->sync);
	add(o, "left_bytes", p->left);
	json_object_object_add(o, "converges", json_object_new_boolean(f.converges));
	add(o, "least_left_bytes", f.least);
	if (f.converges) {
		json_object_object_add(o, "rounds", json_object_new_int64(f.rounds));
		add(o, "seconds", f.seconds);
		add(o, "total_seconds", passed + f.seconds);
		add(o, "downtime_seconds", f.downtime);
	}
	least = forecast_bandwidth(c, p, MOST_BANDWIDTH);
	if (least > 0)
		add(o, "bandwidth_needed_bytes_per_second", least);
	least = forecast_downtime(c, p, MOST_DOWNTIME_S);
	if (least > 0)
		add(o, "downtime_needed_seconds", least);
}

/*
 * How much one round showed does not say whether it was dirtied bit by bit or all at once, and
 * over again: is it the same either way?
 */
static bool one_point_will_do(const struct forecast_curve *c, const struct forecast_plan *p)
{
	struct forecast_curve at_once = *c;
	struct forecast slowly, quickly;

	forecast_curve_add(&at_once, c->point[0].seconds / 1000, c->point[0].bytes);
	forecast_run(c, p, &slowly);
	forecast_run(&at_once, p, &quickly);
	return slowly.converges == quickly.converges;
}

static void plan_of(const struct forecast_options *o, struct forecast_plan *p)
{
	p->bandwidth = o->bandwidth;
	p->last_bandwidth = o->last_bandwidth;
	p->downtime = o->downtime > 0 ? o->downtime : FORECAST_DOWNTIME;
	p->overhead = o->overhead;
	p->most_seconds = FOR_EVER_S;
}

struct json_object *forecast_session(struct json_object *report, size_t i,
				     const struct forecast_options *o)
{
	struct json_object *out = json_object_new_object(), *ring;
	struct state st = { 0 };
	struct forecast_plan p = { 0 };
	double memory, passed, left;
	struct view v;

	say(out, "vm", text(item(report, "sessions", i), "name"));
	json_object_object_add(out, "session", json_object_new_int64(number(item(report, "sessions", i), "id")));
	if (!view_session(report, i, o->at, &v)) {
		say(out, "why_not", "the session is shorter than a sample");
		return out;
	}
	passed = elapsed(&v, v.last) - elapsed(&v, v.first);
	add(out, "at_seconds", passed);
	look(&v, &st);
	ring = ring_object(&v);
	if (ring)
		json_object_object_add(out, "ring", ring);
	if (!st.from) {
		say(out, "why_not", strcmp(text(v.vm, "dirty_mode"), "ring") ?
		    "no sync has shown yet what is dirtied, or this kernel does not tell (migscope -x does)" :
		    "no ring has been reset yet");
		return out;
	}
	say(out, "from", st.from);
	memory = o->memory > 0 ? o->memory : PAGE * number(v.session, "pages");
	st.curve.most = memory;
	add_curve(out, &st.curve);
	if (o->bandwidth <= 0) {
		say(out, "why_not", "no bandwidth was given");
		return out;
	}
	plan_of(o, &p);
	p.sync = st.sync;
	if (qemu_says(&v, &st, &left)) {
		p.left = left;
	} else if (memory > 0) {
		p.left = guess_left(&v, &st, o, memory);
	} else {
		say(out, "why_not", "how much memory the VM has is not known: its logging was not seen to be switched on");
		return out;
	}
	p.since = st.round_began > 0 ? elapsed(&v, v.last) - st.round_began : fmin(passed, p.left / p.bandwidth);
	if (!strcmp(st.from, "bitmaps") && st.curve.points == 1 && !one_point_will_do(&st.curve, &p)) {
		say(out, "why_not", "one sync has shown how much is dirtied, but not how soon again: the next one does");
		return out;
	}
	add_forecast(out, &st.curve, &p, passed);
	return out;
}

struct json_object *forecast_sampled(const char *vm, double rate, double seconds,
				     const struct forecast_options *o)
{
	struct json_object *out = json_object_new_object();
	struct forecast_curve c = { .most = o->memory };
	struct forecast_plan p = { .left = o->memory };

	say(out, "vm", vm);
	say(out, "from", "sampled");
	forecast_curve_add(&c, seconds, rate * seconds);
	if (!c.points) {
		say(out, "why_not", "nothing was dirtied");
		return out;
	}
	add_curve(out, &c);
	plan_of(o, &p);
	if (o->memory <= 0)
		say(out, "why_not", "how much memory the VM has is not known");
	else if (o->bandwidth <= 0)
		say(out, "why_not", "no bandwidth was given");
	else
		add_forecast(out, &c, &p, 0);
	return out;
}
