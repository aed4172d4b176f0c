/* SPDX-License-Identifier: GPL-2.0 */
/* What we could not count, of the counters of our own. */
#ifndef MIGSCOPE_LOST_H
#define MIGSCOPE_LOST_H

#include <stdbool.h>
#include <stddef.h>
#include <migscope/vm.h>

struct lost {
	enum ms_self what;
	const char *name;	/* as a key */
	const char *text;	/* what there are so many of; NULL: no loss, it was before our time */
	bool full;		/* there was no room in one of our maps */
};

extern const struct lost lost[];
extern const size_t lost_count;

#endif
