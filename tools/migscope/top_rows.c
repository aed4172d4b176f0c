// SPDX-License-Identifier: GPL-2.0
#include "top_rows.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct top_column vm_columns[] = {
	{ "MB/s", 7, TOP_RATE, 4096e-6, { "dirty_pages,vcpu" } },
	{ "USED%", 5, TOP_RATIO, 100, { "ring_used_entries" }, { "ring_soft_limit_entries" }, true },
	{ "MAX%", 5, TOP_RATIO, 100, { "ring_used_entries_max" }, { "ring_soft_limit_entries" } },
	{ "FULL/s", 6, TOP_RATE, 1, { "ring_full_exits" } },
	{ "STALL%", 6, TOP_RATE, 100, { "ring_full_stall_seconds_sum" } },
	{ "SYNC/s", 6, TOP_RATE, 1, { "ring_resets", "dirty_log_sync_seconds_count,get" } },
	{ "SYNC%", 5, TOP_RATE, 100, { "ring_reset_seconds_sum", "ring_flush_seconds",
				       "dirty_log_sync_seconds_sum,get", "dirty_log_sync_seconds_sum,clear" } },
};

static const struct top_column device_columns[] = {
	{ "MISS/s", 6, TOP_RATE, 1, { "iotlb_lookups,miss", "vdpa_table_lookups,miss" } },
	{ "WAITms", 6, TOP_MEAN, 1e3, { "iotlb_miss_service_seconds_sum" }, { "iotlb_miss_service_seconds_count" } },
	{ "TABLE%", 6, TOP_RATIO, 100, { "iotlb_entries", "vdpa_table_entries" },
	  { "iotlb_entries_limit", "vdpa_table_entries_limit" } },
	{ "PIN MB", 6, TOP_VALUE, 4096e-6, { "vfio_pinned_pages" } },
	{ "PINS/s", 6, TOP_RATE, 1, { "vfio_pin_seconds_count,pin" } },
	{ "GETms", 5, TOP_MEAN, 1e3, { "vfio_dirty_get_seconds_sum,get" }, { "vfio_dirty_get_seconds_count,get" } },
	{ "KICK/s", 6, TOP_RATE, 1, { "vdpa_vq_kicks" } },
};

#define COLUMNS(c) (sizeof(c) / sizeof((c)[0]))

_Static_assert(COLUMNS(vm_columns) <= TOP_COLUMNS_MAX && COLUMNS(device_columns) <= TOP_COLUMNS_MAX,
	       "a row has room for all");

const struct top_table top_vms = { METRIC_VM, vm_columns, COLUMNS(vm_columns), "MODE", 6 };
const struct top_table top_devices = { METRIC_DEV, device_columns, COLUMNS(device_columns), "DEV", 13 };

/* What the columns need of one VM or device, at one sample. */
struct gathered {
	struct metric_sink sink;
	const struct top_table *table;
	double term[TOP_COLUMNS_MAX][TOP_TERMS], over[TOP_COLUMNS_MAX];
	/* of TOP_RATIO: for each metric; by address space where that is its label, else the first */
	struct share {
		double part, whole;
	} share[TOP_COLUMNS_MAX][TOP_TERMS][MS_VDPA_SPACES];
};

/* What differs in labels that no column names, is one: address spaces of a device. */
static void take(struct gathered *g, const char *key, double value)
{
	for (size_t c = 0; c < g->table->columns; c++) {
		if (g->table->column[c].how == TOP_RATIO)
			continue;
		for (int t = 0; t < TOP_TERMS && g->table->column[c].metric[t]; t++)
			if (!strcmp(g->table->column[c].metric[t], key))
				g->term[c][t] = isnan(g->term[c][t]) ? value : g->term[c][t] + value;
		if (g->table->column[c].over[0] && !strcmp(g->table->column[c].over[0], key))
			g->over[c] = value;
	}
}

static void take_share(struct gathered *g, const char *name, const char *asid, double value)
{
	unsigned long space = strtoul(asid, NULL, 10);

	for (size_t c = 0; space < MS_VDPA_SPACES && c < g->table->columns; c++) {
		const struct top_column *column = &g->table->column[c];

		for (int t = 0; column->how == TOP_RATIO && t < TOP_TERMS && column->metric[t]; t++) {
			if (!strcmp(column->metric[t], name))
				g->share[c][t][space].part = value;
			else if (!strcmp(column->over[t], name))
				g->share[c][t][space].whole = value;
		}
	}
}

static double fullest(const struct share share[TOP_TERMS][MS_VDPA_SPACES])
{
	double most = NAN;

	for (int t = 0; t < TOP_TERMS; t++)
		for (int i = 0; i < MS_VDPA_SPACES; i++)
			if (share[t][i].whole > 0)
				most = fmax(most, share[t][i].part / share[t][i].whole);
	return most;
}

static void put(struct metric_sink *sink, const struct metric *m, const char *const *label,
		const struct metric_value *v)
{
	struct gathered *g = (struct gathered *)sink;
	const char *sep = m->label[0] ? "," : "", *first = m->label[0] && label[0] ? label[0] : "";
	char key[128];

	if (v->kind != METRIC_HIST) {
		double value = v->kind == METRIC_U64 ? (double)v->u64 : v->number;

		snprintf(key, sizeof(key), "%s%s%s", m->name, sep, first);
		take(g, key, value);
		take_share(g, m->name, first, value);
	} else if (v->hist->has_sum) {
		snprintf(key, sizeof(key), "%s_count%s%s", m->name, sep, first);
		take(g, key, v->hist->all);
		snprintf(key, sizeof(key), "%s_sum%s%s", m->name, sep, first);
		take(g, key, v->hist->sum);
	}
}

/* Number @i of the table's objects; SIZE_MAX: one that is not there. */
static void gather(struct gathered *g, const struct top_table *table, const struct model *m, size_t i)
{
	struct metric_at at = { .m = m, .sink = &g->sink };

	g->sink.put = put;
	g->table = table;
	for (size_t c = 0; c < TOP_COLUMNS_MAX; c++) {
		g->over[c] = NAN;
		for (int t = 0; t < TOP_TERMS; t++) {
			g->term[c][t] = NAN;
			for (int s = 0; s < MS_VDPA_SPACES; s++)
				g->share[c][t][s] = (struct share){ .part = NAN, .whole = NAN };
		}
	}
	if (i == SIZE_MAX)
		return;
	metrics_object(&at, table->scope, i);
	for (size_t k = 0; k < metrics_count; k++)
		if (metrics[k].scope == table->scope)
			metrics_points(&at, &metrics[k]);
}

static double column(const struct top_column *c, size_t i, const struct gathered *now,
		     const struct gathered *before, double seconds)
{
	double sum = NAN;

	if (c->how == TOP_RATIO)
		return fullest(now->share[i]) * c->scale;
	for (int t = 0; t < TOP_TERMS && c->metric[t]; t++) {
		double v = now->term[i][t];

		/* of one that was not there, or of a first look, there is no rate */
		if (c->how == TOP_RATE || c->how == TOP_MEAN)
			v = seconds > 0 && v >= before->term[i][t] ? (v - before->term[i][t]) / seconds : NAN;
		if (!isnan(v))
			sum = isnan(sum) ? v : sum + v;
	}
	/* both went on by so much in the same time */
	if (c->how == TOP_MEAN)
		sum = now->over[i] > before->over[i] ? sum * seconds / (now->over[i] - before->over[i]) : NAN;
	return sum * c->scale;
}

static __u64 id_of(const struct model *m, enum metric_scope scope, size_t i)
{
	return scope == METRIC_VM ? m->vm[i].id : m->dev[i].id;
}

static size_t find(const struct model *m, enum metric_scope scope, __u64 id)
{
	for (size_t i = 0; i < metrics_objects(m, scope); i++)
		if (id_of(m, scope, i) == id)
			return i;
	return SIZE_MAX;
}

static void name_row(struct top_row *row, const struct model *m, enum metric_scope scope, size_t i)
{
	row->id = id_of(m, scope, i);
	row->name = scope == METRIC_VM ? m->vm[i].name : m->dev[i].vm;
	row->what = scope == METRIC_DEV ? m->dev[i].dev : m->vm[i].info.ring_bytes ? "ring" : "bitmap";
	row->alive = scope == METRIC_VM ? m->vm[i].alive : m->dev[i].alive;
}

struct top_row *top_rows(const struct model *now, const struct model *before, const struct top_table *table)
{
	size_t n = metrics_objects(now, table->scope);
	struct top_row *row = calloc(n + 1, sizeof(*row));
	struct gathered a, b;

	for (size_t i = 0; row && i < n; i++) {
		name_row(&row[i], now, table->scope, i);
		gather(&a, table, now, i);
		gather(&b, table, before, find(before, table->scope, row[i].id));
		for (size_t c = 0; c < table->columns; c++)
			row[i].value[c] = column(&table->column[c], c, &a, &b, now->elapsed - before->elapsed);
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
