/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How many migrations there were, and how long they took: of all VMs together, so that they
 * stay visible when their VMs are gone.
 */
#ifndef MIGSCOPE_MIGRATIONS_H
#define MIGSCOPE_MIGRATIONS_H

#include "sessions.h"

#define MIGRATIONS_BUCKETS 13

/* Of durations, s, inclusive; what took longer than the last has a bucket of its own. */
extern const double migrations_le[MIGRATIONS_BUCKETS];

struct migrations {
	struct sessions *sessions;
	unsigned long samples;
	__u64 running;			/* as of the last sample */
	struct migrations_ended {
		__u64 bucket[MIGRATIONS_BUCKETS + 1];
		double seconds;		/* of all of them together */
	} ended[SESSION_OUTCOMES];
};

struct migrations *migrations_new(void);	/* NULL: no memory */
void migrations_free(struct migrations *g);

/* Takes the next sample, which refers to @g from then on. 0 or -ENOMEM. */
int migrations_feed(struct migrations *g, struct model *m);

/* How many came to that, as far as their outcome is the last word. */
__u64 migrations_count(const struct migrations *g, enum session_outcome outcome);

/* Can one that comes to @outcome be told here? What never can is not counted as none. */
bool migrations_told(const struct model *m, enum session_outcome outcome);

#endif
