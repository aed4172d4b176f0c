/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Of what something cost each time: a tick of the clock, or the first time, costs as much as
 * many others, and the mean would tell of that.
 */
#ifndef _CLIENTS_MEDIAN_H
#define _CLIENTS_MEDIAN_H

#include <stdlib.h>

static inline int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Sorts @v. Of an even number of values, the upper of the two in the middle. */
static inline double median(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), by_value);
	return v[n / 2];
}

#endif
