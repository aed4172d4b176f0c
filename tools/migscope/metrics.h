/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The table of everything that is exported as a number: name, type, unit, labels,
 * and where in the model it stands. Renderers and the recorder walk it; a new
 * source adds lines.
 */
#ifndef MIGSCOPE_METRICS_H
#define MIGSCOPE_METRICS_H

#include "model.h"

#define METRIC_PREFIX		"migscope_"
#define METRIC_LABELS		3	/* of its own, at most */
#define METRIC_BUCKETS		13	/* of a histogram, at most, without +Inf */

enum metric_type {
	METRIC_GAUGE,
	METRIC_COUNTER,
	METRIC_HISTOGRAM,
};

/* What a metric is about: these have labels of their own, which come first. */
enum metric_scope {
	METRIC_HOST,		/* no label */
	METRIC_VM,		/* vm */
	METRIC_DEV,		/* vm, dev */
	METRIC_SCOPES
};

struct metric_hist {
	const double *le;		/* inclusive */
	size_t buckets;			/* without the one that has no bound */
	__u64 count[METRIC_BUCKETS];	/* cumulative */
	__u64 all;			/* with those above the last bound */
	bool has_sum;
	double sum;
};

struct metric_value {
	enum { METRIC_U64, METRIC_DOUBLE, METRIC_HIST } kind;
	__u64 u64;
	double number;
	const struct metric_hist *hist;
};

/* What the exporter says of itself; filled by who exports. */
struct metric_self {
	double scrape_seconds;	/* that the last sample and its exposition took */
	__u64 series;		/* in the last exposition */
	__u64 dropped;		/* series that the cap left out, over all expositions */
	double cpu_seconds;
	__u64 resident_bytes;
	double start_time;	/* Unix time, s */
};

struct metric;

/*
 * Takes one series: @label are the values of the metric's own labels, as many as it
 * has names for.
 */
struct metric_sink {
	void (*put)(struct metric_sink *sink, const struct metric *metric,
		    const char *const *label, const struct metric_value *value);
};

/* What is looked at: the model, and of it the object that the scope is about. */
struct metric_at {
	const struct model *m;
	const struct model_vm *vm;		/* METRIC_VM */
	const struct model_dev *dev;		/* METRIC_DEV */
	const struct metric_self *self;		/* NULL: nobody exports */
	const struct metric *metric;
	struct metric_sink *sink;
};

struct metric {
	const char *name;	/* without prefix and `_total`; its last word is the unit, if it has one */
	enum metric_type type;
	const char *unit;	/* NULL: none */
	const char *help;
	const char *source;	/* which source brings it; "sessions": several; "self": we do */
	enum metric_scope scope;
	const char *label[METRIC_LABELS + 1];
	/* puts what there is; what is not measured has no series */
	void (*points)(const struct metric_at *at);
	bool bare;		/* a name that the field has agreed on: no prefix */
};

extern const struct metric metrics[];
extern const size_t metrics_count;

/* How many objects of a scope the model has. */
size_t metrics_objects(const struct model *m, enum metric_scope scope);

/* Sets what @at says of the object number @i of a scope. */
void metrics_object(struct metric_at *at, enum metric_scope scope, size_t i);

/* Every series of @metric about that object goes into the sink. */
void metrics_points(struct metric_at *at, const struct metric *metric);

#endif
