/* SPDX-License-Identifier: GPL-2.0 */
/* What the live screen shows of each VM or device: columns over the table of metrics. */
#ifndef MIGSCOPE_TOP_ROWS_H
#define MIGSCOPE_TOP_ROWS_H

#include "metrics.h"

enum top_how {
	TOP_VALUE,
	TOP_RATE,		/* a second */
	TOP_RATIO,		/* of a metric to the one in `over`, in per cent; the highest, of several */
	TOP_MEAN,		/* of what it went on by, each time that the other went on by one */
};

#define TOP_TERMS 4		/* metrics of a column, of which not all may be measured: it adds them up */

struct top_column {
	const char *head;
	int width;		/* without the blank before it */
	enum top_how how;
	double scale;
	const char *metric[TOP_TERMS + 1];	/* name, suffix of a histogram, `,` and its label */
	const char *over[TOP_TERMS];	/* TOP_RATIO: one for each metric; TOP_MEAN: one */
	bool bar;		/* drawn as one, before the number */
};

/* A row for each VM, or for each device. */
struct top_table {
	enum metric_scope scope;
	const struct top_column *column;
	size_t columns;
	const char *what;	/* head of what stands behind the VM's name */
	int what_width;
};

extern const struct top_table top_vms, top_devices;

#define TOP_COLUMNS_MAX 16

struct top_row {
	__u64 id;
	const char *name;	/* the model's */
	const char *what;	/* how a VM is tracked, or which device it is */
	bool alive;
	double value[TOP_COLUMNS_MAX];	/* NAN: not measured */
};

/* A row for each of @now; malloc'ed. NULL: no memory. @before may have none. */
struct top_row *top_rows(const struct model *now, const struct model *before, const struct top_table *table);

/* The number as it stands in a column of @width. */
void top_text(char *buf, size_t size, double value, int width);

#endif
