/* SPDX-License-Identifier: GPL-2.0 */
/* What the live screen shows of each VM: columns over the table of metrics. */
#ifndef MIGSCOPE_TOP_ROWS_H
#define MIGSCOPE_TOP_ROWS_H

#include "metrics.h"

enum top_how {
	TOP_VALUE,
	TOP_RATE,		/* a second */
	TOP_RATIO,		/* to the column's other metric, in per cent */
};

#define TOP_TERMS 3		/* metrics that a column adds up; of which not all may be measured */

struct top_column {
	const char *head;
	int width;		/* without the blank before it */
	enum top_how how;
	double scale;
	const char *metric[TOP_TERMS + 1];	/* name, suffix of a histogram, `,` and its label */
	const char *over;	/* TOP_RATIO */
	bool bar;		/* drawn as one, before the number */
};

extern const struct top_column top_columns[];
extern const size_t top_columns_count;

#define TOP_COLUMNS_MAX 16

struct top_row {
	__u64 id;
	const char *name;	/* the model's */
	const char *mode;
	bool alive;
	double value[TOP_COLUMNS_MAX];	/* NAN: not measured */
};

/* A row for each VM of @now; malloc'ed. NULL: no memory. @before may have no VM. */
struct top_row *top_rows(const struct model *now, const struct model *before);

/* The number as it stands in a column of @width. */
void top_text(char *buf, size_t size, double value, int width);

#endif
