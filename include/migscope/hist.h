/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Histograms that BPF fills and user space reads.
 *
 * Every bucket has an inclusive upper bound, as Prometheus' `le` has; the last
 * bucket has none. What lies above the last bound is never clamped into a
 * bucket that claims a bound.
 */
#ifndef MIGSCOPE_HIST_H
#define MIGSCOPE_HIST_H

#include <linux/types.h>

/*
 * Durations: bucket i counts values <= 1024 ns << i, for i in 0..24 (1.024 us
 * to 17.18 s); bucket 25 counts what was longer.
 */
#define MS_TIME_BUCKETS		26
#define MS_TIME_SHIFT		10

/* Upper bound of duration bucket @i in ns; not for the last bucket. */
#define MS_TIME_BOUND_NS(i)	(1ULL << (MS_TIME_SHIFT + (i)))

struct ms_time_hist {
	__u64 sum_ns;
	__u64 max_ns;
	__u64 bucket[MS_TIME_BUCKETS];
};

_Static_assert(sizeof(struct ms_time_hist) == 8 * (2 + MS_TIME_BUCKETS),
	       "ms_time_hist is shared with BPF");

/* The bucket that @ns falls into. Bounded without a loop's exit condition. */
static inline __u32 ms_time_bucket(__u64 ns)
{
	__u32 i;

	for (i = 0; i < MS_TIME_BUCKETS - 1; i++)
		if (ns <= MS_TIME_BOUND_NS(i))
			break;
	return i;
}

/*
 * Ring fill: 12 buckets against the ring's soft limit. Bucket 0 counts an empty
 * ring, bucket i (1..10) one that is filled to at most i/10 of the soft limit,
 * bucket 11 one above the soft limit.
 */
#define MS_FILL_BUCKETS		12

static inline __u32 ms_fill_bucket(__u32 used, __u32 soft_limit)
{
	__u32 i;

	if (!used)
		return 0;
	for (i = 1; i < MS_FILL_BUCKETS - 1; i++)
		if ((__u64)used * 10 <= (__u64)soft_limit * i)
			break;
	return i;
}

#endif
