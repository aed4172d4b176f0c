// SPDX-License-Identifier: GPL-2.0
/*
 * Pages that are dirtied within a time t are those whose time since they were dirtied
 * before is longer than what of t has passed. So the curve is the rate of dirtying times the
 * integral, from 0 to t, of the part of gaps that are longer (Denning's working set). The
 * gap of a page that was seen for the first time is only known to be longer than the time
 * since we began: it is censored, and the part is estimated as survival is (Kaplan, Meier).
 */
#include "working_set.h"

#include <math.h>

/* The integral from 0 to @seconds of the part of gaps that are longer. */
static double survival_integral(const struct ms_page_vm *p, double seconds)
{
	double at_risk = 0, part = 1, sum = 0;

	for (int i = 0; i < MS_GAP_BUCKETS; i++)
		at_risk += p->gap[i] + p->first[i];
	for (int i = 0; i < MS_GAP_BUCKETS; i++) {
		double begin = ms_gap_ns(i) / 1e9, width = ms_gap_ns(i + 1) / 1e9 - begin, within, next = part;

		/* those that are censored in a bucket were there for half of it */
		if (at_risk - p->first[i] / 2. > 0)
			next *= fmax(0, 1 - p->gap[i] / (at_risk - p->first[i] / 2.));
		at_risk -= p->gap[i] + p->first[i];
		within = fmin(seconds - begin, width);
		/* gaps of a bucket lie evenly in it; what is in the last has no end */
		if (i == MS_GAP_BUCKETS - 1)
			return sum + part * (seconds - begin);
		sum += within * (part - (part - next) * within / width / 2);
		if (within < width)
			return sum;
		part = next;
	}
	return sum;
}

double working_set_pages(const struct ms_page_vm *p, unsigned int part, double seconds)
{
	double looked = (p->last_ns - p->since_ns) / 1e9;

	if (!p->since_ns || looked <= 0 || seconds > looked)
		return -1;
	return ldexp(p->seen / looked * survival_integral(p, seconds), part);
}
