/* SPDX-License-Identifier: GPL-2.0 */
/* The screen of migscope top: what is on it, and how it is drawn. */
#ifndef MIGSCOPE_TOP_SCREEN_H
#define MIGSCOPE_TOP_SCREEN_H

#include <stdbool.h>
#include "model.h"
#include "top_rows.h"

#define FILTER_MAX	40
#define SORT_BY_NAME	-1

enum view { VIEW_LIST, VIEW_VCPUS, VIEW_HELP, VIEW_LOST };
enum color { COLOR_HEAD = 1, COLOR_SELECTED, COLOR_HIGH, COLOR_DIM };

struct bpf_host;
struct vm_names;

struct screen {
	struct bpf_host *host;
	struct vm_names *names;
	struct model now, before;
	struct top_row *row;		/* of `now`, sorted and filtered */
	size_t rows;
	enum view view;
	const struct top_table *table;	/* of VIEW_LIST */
	int sort;			/* a column, or SORT_BY_NAME */
	bool reverse, paused, typing, quit;
	char filter[FILTER_MAX];
	__u64 selected;			/* VM or device; 0: the first */
	size_t first;			/* row at the top of the list */
	double interval;
};

/* The row that is selected: the first one where it is gone. */
size_t top_selected(const struct screen *s);

void top_draw(struct screen *s);

#endif
