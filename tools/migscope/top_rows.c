// SPDX-License-Identifier: GPL-2.0
#include "top_rows.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct top_column top_columns[] = {
	{ "MB/s", 7, TOP_RATE, 4096e-6, { "dirty_pages,vcpu" } },
	{ "USED%", 5, TOP_RATIO, 100, { "ring_used_entries" }, "ring_soft_limit_entries", true },
	{ "MAX%", 5, TOP_RATIO, 100, { "ring_used_entries_max" }, "ring_soft_limit_entries" },
	{ "FULL/s", 6, TOP_RATE, 1, { "ring_full_exits" } },
	{ "STALL%", 6, TOP_RATE, 100, { "ring_full_stall_seconds_sum" } },
	{ "SYNC/s", 6, TOP_RATE, 1, { "ring_resets", "dirty_log_sync_seconds_count,get" } },
	{ "SYNC%", 5, TOP_RATE, 100, { "ring_reset_seconds_sum", "dirty_log_sync_seconds_sum,get",
				       "dirty_log_sync_seconds_sum,clear" } },
};

const size_t top_columns_count = sizeof(top_columns) / sizeof(top_columns[0]);

_Static_assert(sizeof(top_columns) / sizeof(top_columns[0]) <= TOP_COLUMNS_MAX, "a row has room for all");

/* What the columns need of one VM, at one sample. */
struct gathered {
	struct metric_sink sink;
	double term[TOP_COLUMNS_MAX][TOP_TERMS], over[TOP_COLUMNS_MAX];
};

static void take(struct gathered *g, const char *key, double value)
{
	for (size_t c = 0; c < top_columns_count; c++) {
		for (int t = 0; t < TOP_TERMS && top_columns[c].metric[t]; t++)
			if (!strcmp(top_columns[c].metric[t], key))
				g->term[c][t] = value;
		if (top_columns[c].over && !strcmp(top_columns[c].over, key))
			g->over[c] = value;
	}
}

static void put(struct metric_sink *sink, const struct metric *m, const char *const *label,
		const struct metric_value *v)
{
	struct gathered *g = (struct gathered *)sink;
	const char *sep = m->label[0] ? "," : "", *first = m->label[0] && label[0] ? label[0] : "";
	char key[128];

	if (v->kind != METRIC_HIST) {
		snprintf(key, sizeof(key), "%s%s%s", m->name, sep, first);
		take(g, key, v->kind == METRIC_U64 ? (double)v->u64 : v->number);
	} else if (v->hist->has_sum) {
		snprintf(key, sizeof(key), "%s_count%s%s", m->name, sep, first);
		take(g, key, v->hist->all);
		snprintf(key, sizeof(key), "%s_sum%s%s", m->name, sep, first);
		take(g, key, v->hist->sum);
	}
}

static void gather(struct gathered *g, const struct model *m, const struct model_vm *vm)
{
	struct metric_at at = { .m = m, .vm = vm, .sink = &g->sink };

	g->sink.put = put;
	for (size_t c = 0; c < TOP_COLUMNS_MAX; c++) {
		g->over[c] = NAN;
		for (int t = 0; t < TOP_TERMS; t++)
			g->term[c][t] = NAN;
	}
	for (size_t i = 0; vm && i < metrics_count; i++)
		if (metrics[i].scope == METRIC_VM)
			metrics_points(&at, &metrics[i]);
}

static double column(const struct top_column *c, size_t i, const struct gathered *now,
		     const struct gathered *before, double seconds)
{
	double sum = NAN;

	for (int t = 0; t < TOP_TERMS && c->metric[t]; t++) {
		double v = now->term[i][t];

		/* of one that was not there, or of a first look, there is no rate */
		if (c->how == TOP_RATE)
			v = seconds > 0 && v >= before->term[i][t] ? (v - before->term[i][t]) / seconds : NAN;
		if (!isnan(v))
			sum = isnan(sum) ? v : sum + v;
	}
	if (c->how == TOP_RATIO)
		sum = now->over[i] > 0 ? sum / now->over[i] : NAN;
	return sum * c->scale;
}

static const struct model_vm *find(const struct model *m, __u64 id)
{
	for (size_t i = 0; i < m->vms; i++)
		if (m->vm[i].id == id)
			return &m->vm[i];
	return NULL;
}

struct top_row *top_rows(const struct model *now, const struct model *before)
{
	struct top_row *row = calloc(now->vms + 1, sizeof(*row));
	struct gathered a, b;

	for (size_t i = 0; row && i < now->vms; i++) {
		const struct model_vm *vm = &now->vm[i];

		gather(&a, now, vm);
		gather(&b, before, find(before, vm->id));
		row[i].id = vm->id;
		row[i].name = vm->name;
		row[i].mode = vm->info.ring_bytes ? "ring" : "bitmap";
		row[i].alive = vm->alive;
		for (size_t c = 0; c < top_columns_count; c++)
			row[i].value[c] = column(&top_columns[c], c, &a, &b, now->elapsed - before->elapsed);
	}
	return row;
}

void top_text(char *buf, size_t size, double value, int width)
{
	static const char *const unit[] = { "", "k", "M", "G", "T" };
	size_t u = 0;

	if (isnan(value)) {
		snprintf(buf, size, "-");
		return;
	}
	for (int digits = value && value < 10 ? 2 : value && value < 100; digits >= 0; digits--)
		if (snprintf(buf, size, "%.*f", digits, value) <= width)
			return;
	while (snprintf(buf, size, "%.0f%s", value, unit[u]) > width && u < 4) {
		value /= 1000;
		u++;
	}
}
