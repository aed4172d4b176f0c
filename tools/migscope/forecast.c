// SPDX-License-Identifier: GPL-2.0
/*
 * The model is QEMU's migration thread. Ten times a second it may send a tenth of its
 * bandwidth, or when it is late. Before each of these, if what is left could be sent within the downtime limit,
 * it collects the dirty pages; if what is left then still could, it stops the VM, collects once
 * more and sends the rest without a limit. So a round ends when its rest is small, not when it is
 * empty; that rest stays dirty beside what was dirtied meanwhile.
 */
#include "forecast.h"

#include <math.h>
#include <string.h>

#define TICK_S		0.1
#define NEAR		1.03	/* times that lie closer are one */
#define SEARCH_STEPS	40
#define BEGIN_POINTS	5	/* each of half the time of the one after it */

static void merge(struct forecast_curve *c, size_t i, double seconds, double bytes, double weight)
{
	double all = c->point[i].weight + weight;

	c->point[i].seconds = (c->point[i].seconds * c->point[i].weight + seconds * weight) / all;
	c->point[i].bytes = (c->point[i].bytes * c->point[i].weight + bytes * weight) / all;
	c->point[i].weight = all;
}

static void drop_closest(struct forecast_curve *c)
{
	size_t closest = 1;

	for (size_t i = 1; i < c->points; i++)
		if (c->point[i].seconds / c->point[i - 1].seconds <
		    c->point[closest].seconds / c->point[closest - 1].seconds)
			closest = i;
	merge(c, closest - 1, c->point[closest].seconds, c->point[closest].bytes, c->point[closest].weight);
	c->points--;
	memmove(&c->point[closest], &c->point[closest + 1], (c->points - closest) * sizeof(c->point[0]));
}

void forecast_curve_add(struct forecast_curve *c, double seconds, double bytes)
{
	size_t at = 0;

	if (!(seconds > 0) || !(bytes >= 0) || !isfinite(seconds + bytes))
		return;
	while (at < c->points && c->point[at].seconds < seconds)
		at++;
	if (at < c->points && c->point[at].seconds < seconds * NEAR) {
		merge(c, at, seconds, bytes, 1);
		return;
	}
	if (at && c->point[at - 1].seconds * NEAR > seconds) {
		merge(c, at - 1, seconds, bytes, 1);
		return;
	}
	if (c->points == FORECAST_POINTS) {
		drop_closest(c);
		forecast_curve_add(c, seconds, bytes);
		return;
	}
	memmove(&c->point[at + 1], &c->point[at], (c->points - at) * sizeof(c->point[0]));
	c->point[at].seconds = seconds;
	c->point[at].bytes = bytes;
	c->point[at].weight = 1;
	c->points++;
}

/*
 * How far @c is from W (1 - exp(-t / tau)): memory that is written at random is the more often
 * dirty already the more of it is. *@w is the W that suits best.
 */
static double misfit(const struct forecast_curve *c, double tau, double *w)
{
	double linear = 0, square = 0, sum = 0, part;

	for (size_t i = 0; i < c->points; i++) {
		part = -expm1(-c->point[i].seconds / tau) / c->point[i].bytes;
		linear += part;
		square += part * part;
	}
	*w = linear / square;
	for (size_t i = 0; i < c->points; i++) {
		part = 1 + *w * expm1(-c->point[i].seconds / tau) / c->point[i].bytes;
		sum += part * part;
	}
	return sum;
}

void forecast_curve_begin(struct forecast_curve *c)
{
	double first, tau, best = 0, least = INFINITY, w, error;

	if (c->points < 2 || c->points > FORECAST_POINTS - BEGIN_POINTS || c->point[0].bytes <= 0)
		return;
	first = c->point[0].seconds;
	/* from nearly all at once to nearly a straight line */
	for (tau = first / 8; tau < 64 * c->point[c->points - 1].seconds; tau *= 1.05) {
		error = misfit(c, tau, &w);
		if (error < least) {
			least = error;
			best = tau;
		}
	}
	misfit(c, best, &w);
	for (int i = 0; i < BEGIN_POINTS; i++) {
		first /= 2;
		forecast_curve_add(c, first, -w * expm1(-first / best));
	}
}

double forecast_dirtied(const struct forecast_curve *c, double seconds)
{
	double t0 = 0, b0 = 0, slope = 0, bytes;
	size_t i;

	/* noise must not make it fall */
	for (i = 0; i < c->points; i++) {
		bytes = fmax(b0, c->point[i].bytes);
		slope = (bytes - b0) / (c->point[i].seconds - t0);
		if (c->point[i].seconds >= seconds)
			break;
		t0 = c->point[i].seconds;
		b0 = bytes;
	}
	bytes = b0 + slope * (seconds - t0);
	return c->most > 0 ? fmin(bytes, c->most) : bytes;
}

/*
 * What is left to be sent: memory that will not be dirtied again, which is sent once, and a
 * part of the working set, of all of which some is dirtied again.
 */
struct left {
	double once, again;
	double set;		/* the whole working set; 0: nothing is dirtied */
};

static double all(const struct left *l)
{
	return l->once + l->again;
}

/*
 * What was dirtied within the last @seconds is to be sent, of which a part is already. All that
 * is left has been dirtied within the @age before: how much of what comes now is the same again
 * the curve tells, by what it has for both times together. A guest that goes round in its memory
 * dirties no page twice before it is round.
 */
static void dirty(struct left *l, const struct forecast_curve *c, double seconds, double age)
{
	double fresh = fmin(l->set, forecast_dirtied(c, seconds)), before = forecast_dirtied(c, age), same;

	if (!(fresh > 0))
		return;
	same = before > 0 ? 1 - (forecast_dirtied(c, age + seconds) - before) / fresh : 0;
	same = fmin(1, fmax(0, same)) * fmin(1, l->again / fmax(before, 1));
	l->again = fmin(l->set, l->again + fresh * (1 - same));
}

/* They lie beside each other: of each as much is sent as there is. */
static void sent(struct left *l, double bytes)
{
	double part = all(l) > bytes ? 1 - bytes / all(l) : 0;

	l->once *= part;
	l->again *= part;
}

void forecast_run(const struct forecast_curve *c, const struct forecast_plan *p, struct forecast *f)
{
	double enough = p->bandwidth * p->downtime, since = p->since, wait;
	struct left left = { .set = forecast_dirtied(c, p->most_seconds) };

	left.again = fmin(left.set, p->left);
	left.once = p->left - left.again;
	memset(f, 0, sizeof(*f));
	f->least = p->left;
	while (f->seconds < p->most_seconds) {
		wait = TICK_S;
		if (all(&left) <= enough) {
			wait = fmax(0, TICK_S - p->sync);
			since += p->sync;
			f->seconds += p->sync;
			/* it lies in the order of addresses: what is sent next was dirtied at any time */
			dirty(&left, c, since, all(&left) / p->bandwidth + since);
			since = 0;
			f->rounds++;
			f->least = fmin(f->least, all(&left));
			if (all(&left) <= enough) {
				f->converges = true;
				break;
			}
		}
		sent(&left, p->bandwidth * TICK_S);
		since += wait;
		f->seconds += wait;
	}
	if (!f->converges)
		return;
	/* the VM stands still, but ran on while the last pages were collected */
	dirty(&left, c, p->sync, all(&left) / p->bandwidth);
	f->last = all(&left);
	f->downtime = p->overhead + p->sync + f->last / fmax(p->last_bandwidth, p->bandwidth);
	f->seconds += f->downtime;
	f->rounds++;
}

/* The least value of *@what, which is part of @p, for which it converges; 0: none. */
static double least(const struct forecast_curve *c, struct forecast_plan *p, double *what, double most)
{
	double low = 0, high = most;
	struct forecast f;

	*what = most;
	forecast_run(c, p, &f);
	if (!f.converges)
		return 0;
	for (int i = 0; i < SEARCH_STEPS && high - low > 1e-3 * high; i++) {
		/* it may be anywhere: first its size, then its digits */
		*what = low > 0 ? (low + high) / 2 : high / 2;
		forecast_run(c, p, &f);
		if (f.converges)
			high = *what;
		else
			low = *what;
	}
	return high;
}

double forecast_bandwidth(const struct forecast_curve *c, const struct forecast_plan *p, double most)
{
	struct forecast_plan try = *p;

	return least(c, &try, &try.bandwidth, most);
}

double forecast_downtime(const struct forecast_curve *c, const struct forecast_plan *p, double most)
{
	struct forecast_plan try = *p;

	return least(c, &try, &try.downtime, most);
}
