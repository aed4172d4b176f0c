// SPDX-License-Identifier: GPL-2.0
/* OpenMetrics 1.0, and the classic text format of Prometheus. */
#include "metrics.h"
#include "render.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX	32

/* Text that grows; once memory was short it takes no more. */
struct text {
	char *data;
	size_t len, room;
	bool failed;
};

static bool text_room(struct text *t, size_t n)
{
	char *more;

	if (t->len + n <= t->room)
		return true;
	more = t->failed ? NULL : realloc(t->data, 2 * (t->len + n));
	if (!more) {
		t->failed = true;
		return false;
	}
	t->data = more;
	t->room = 2 * (t->len + n);
	return true;
}

static void text_add(struct text *t, const char *s, size_t n)
{
	if (text_room(t, n)) {
		memcpy(t->data + t->len, s, n);
		t->len += n;
	}
}

static void text_put(struct text *t, const char *s)
{
	text_add(t, s, strlen(s));
}

/* @quoted: a label's value, else a HELP. */
static void text_escaped(struct text *t, const char *s, bool quoted)
{
	for (;; s++) {
		size_t plain = strcspn(s, quoted ? "\n\\\"" : "\n\\");

		text_add(t, s, plain);
		s += plain;
		if (!*s)
			return;
		text_put(t, *s == '\n' ? "\\n" : *s == '\\' ? "\\\\" : "\\\"");
	}
}

/* Once more what was written from @from on, @n bytes. */
static void text_again(struct text *t, size_t from, size_t n)
{
	if (text_room(t, n)) {
		memcpy(t->data + t->len, t->data + from, n);
		t->len += n;
	}
}

/* printf takes several times as long, and there are many */
static void text_u64(struct text *t, __u64 n)
{
	char buf[NUMBER_MAX], *p = buf + sizeof(buf);

	do
		*--p = '0' + n % 10;
	while (n /= 10);
	text_add(t, p, buf + sizeof(buf) - p);
}

/* Canonical: as Go prints it, and whole numbers with a `.0`. */
static void canonical(char *buf, size_t size, double d)
{
	/* fifteen digits are those that every double keeps */
	snprintf(buf, size, "%.15g", d);
	if (!strpbrk(buf, ".eni"))
		snprintf(buf + strlen(buf), size - strlen(buf), ".0");
}

static void text_double(struct text *t, double d)
{
	char buf[NUMBER_MAX];

	canonical(buf, sizeof(buf), d);
	text_put(t, buf);
}

struct exposition {
	struct metric_sink sink;
	struct text text;
	bool openmetrics;
	const struct metric *family;	/* whose head was written last */
	char base[2 * (MODEL_NAME_MAX + MODEL_DEV_MAX) + 24];	/* labels of the object, as they are written */
	const double *le;		/* whose bounds stand in le_text */
	char le_text[METRIC_BUCKETS][NUMBER_MAX];
};

static void put_name(struct exposition *e, const struct metric *m, const char *suffix)
{
	if (!m->bare)
		text_put(&e->text, METRIC_PREFIX);
	text_put(&e->text, m->name);
	text_put(&e->text, suffix);
}

/* HELP, TYPE and UNIT of a family, before its first series. */
static void put_head(struct exposition *e, const struct metric *m)
{
	static const char *const type[] = { "gauge", "counter", "histogram" };
	/* the classic format knows only what stands on the line of a sample */
	const char *suffix = m->type == METRIC_COUNTER && !e->openmetrics ? "_total" : "";

	text_put(&e->text, "# HELP ");
	put_name(e, m, suffix);
	text_put(&e->text, " ");
	text_escaped(&e->text, m->help, e->openmetrics);
	text_put(&e->text, "\n# TYPE ");
	put_name(e, m, suffix);
	text_put(&e->text, " ");
	text_put(&e->text, type[m->type]);
	text_put(&e->text, "\n");
	if (e->openmetrics && m->unit) {
		text_put(&e->text, "# UNIT ");
		put_name(e, m, "");
		text_put(&e->text, " ");
		text_put(&e->text, m->unit);
		text_put(&e->text, "\n");
	}
	e->family = m;
}

/* Name and labels of a series; what comes before one more label, or before their end if any came. */
static const char *put_labels(struct exposition *e, const struct metric *m, const char *suffix,
			      const char *const *label)
{
	const char *sep = "{";

	put_name(e, m, suffix);
	if (*e->base) {
		text_put(&e->text, sep);
		text_put(&e->text, e->base);
		sep = ",";
	}
	for (int i = 0; i < METRIC_LABELS && m->label[i]; i++) {
		text_put(&e->text, sep);
		text_put(&e->text, m->label[i]);
		text_put(&e->text, "=\"");
		text_escaped(&e->text, label[i] ? label[i] : "", true);
		text_put(&e->text, "\"");
		sep = ",";
	}
	return sep;
}

/* A series, up to its value. */
static void put_series(struct exposition *e, const struct metric *m, const char *suffix,
		       const char *const *label)
{
	text_put(&e->text, *put_labels(e, m, suffix, label) == ',' ? "} " : " ");
}

static void put_hist(struct exposition *e, const struct metric *m, const char *const *label,
		     const struct metric_hist *h)
{
	size_t from = e->text.len, n;

	if (e->le != h->le) {
		for (size_t i = 0; i < h->buckets; i++)
			canonical(e->le_text[i], NUMBER_MAX, h->le[i]);
		e->le = h->le;
	}
	text_put(&e->text, put_labels(e, m, "_bucket", label));
	text_put(&e->text, "le=\"");
	n = e->text.len - from;
	for (size_t i = 0; i <= h->buckets; i++) {
		/* they differ in nothing else, and are most of what is written */
		if (i)
			text_again(&e->text, from, n);
		text_put(&e->text, i < h->buckets ? e->le_text[i] : "+Inf");
		text_put(&e->text, "\"} ");
		text_u64(&e->text, i < h->buckets ? h->count[i] : h->all);
		text_put(&e->text, "\n");
	}
	/* count and sum come together or not at all */
	if (!h->has_sum)
		return;
	put_series(e, m, "_count", label);
	text_u64(&e->text, h->all);
	text_put(&e->text, "\n");
	put_series(e, m, "_sum", label);
	text_double(&e->text, h->sum);
	text_put(&e->text, "\n");
}

static void put(struct metric_sink *sink, const struct metric *m, const char *const *label,
		const struct metric_value *v)
{
	struct exposition *e = (struct exposition *)sink;

	if (e->family != m)
		put_head(e, m);
	if (v->kind == METRIC_HIST) {
		put_hist(e, m, label, v->hist);
		return;
	}
	put_series(e, m, m->type == METRIC_COUNTER ? "_total" : "", label);
	if (v->kind == METRIC_U64)
		text_u64(&e->text, v->u64);
	else
		text_double(&e->text, v->number);
	text_put(&e->text, "\n");
}

/* --- the cap: objects are shown whole, those that are alive and older first */

struct counter {
	struct metric_sink sink;
	size_t series;
};

static void put_count(struct metric_sink *sink, const struct metric *m,
		      const char *const *label, const struct metric_value *v)
{
	struct counter *c = (struct counter *)sink;

	(void)m;
	(void)label;
	c->series += v->kind == METRIC_HIST ? v->hist->buckets + 1 + 2 * v->hist->has_sum : 1;
}

static size_t count_series(struct metric_at *at, enum metric_scope scope, size_t object)
{
	struct counter c = { .sink.put = put_count };

	at->sink = &c.sink;
	metrics_object(at, scope, object);
	for (size_t i = 0; i < metrics_count; i++)
		if (metrics[i].scope == scope)
			metrics_points(at, &metrics[i]);
	return c.series;
}

/* What tells the series of an object from those of others, and which of two is to be shown. */
struct object {
	const char *vm, *dev;	/* its labels */
	bool alive;
	__u64 id;
	size_t i;
};

static int by_labels(const void *a, const void *b)
{
	const struct object *x = a, *y = b;
	int diff = strcmp(x->vm, y->vm);

	if (!diff)
		diff = strcmp(x->dev, y->dev);
	if (!diff)
		diff = x->alive - y->alive;
	return diff ? diff : x->id < y->id ? -1 : x->id > y->id;
}

/*
 * One that ended has its name for as long as it is kept, and the next may have the same:
 * of those with the same labels the one that is alive, or the newest, is marked.
 */
static int mark_distinct(struct metric_at *at, enum metric_scope scope, bool *shown)
{
	size_t n = metrics_objects(at->m, scope);
	struct object *o = calloc(n + 1, sizeof(*o));

	if (!o)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		o[i] = (struct object){ .vm = "", .dev = "", .alive = true, .i = i };
		metrics_object(at, scope, i);
		if (at->vm)
			o[i] = (struct object){ at->vm->name, "", at->vm->alive, at->vm->id, i };
		else if (at->dev)
			o[i] = (struct object){ at->dev->vm, at->dev->dev, at->dev->alive, at->dev->id, i };
	}
	qsort(o, n, sizeof(*o), by_labels);
	for (size_t i = 0; i < n; i++)
		shown[o[i].i] = i + 1 == n || strcmp(o[i].vm, o[i + 1].vm) ||
				strcmp(o[i].dev, o[i + 1].dev);
	free(o);
	return 0;
}

/*
 * Which objects of each scope fit, of those that are marked; those of the host always do. First
 * those that are there, then of those that are over the youngest.
 */
static void choose(struct metric_at *at, size_t most, bool **shown, struct openmetrics_stats *stats)
{
	for (int alive = 1; alive >= 0; alive--)
		for (enum metric_scope scope = 0; scope < METRIC_SCOPES; scope++)
			for (size_t k = 0, all = metrics_objects(at->m, scope); k < all; k++) {
				size_t i = alive ? k : all - 1 - k, n;

				metrics_object(at, scope, i);
				if (!shown[scope][i] ||
				    (at->vm ? at->vm->alive : at->dev ? at->dev->alive : 1) != alive)
					continue;
				n = count_series(at, scope, i);
				shown[scope][i] = scope == METRIC_HOST || stats->series + n <= most;
				if (shown[scope][i])
					stats->series += n;
				else
					stats->dropped += n;
			}
}

static void set_base(struct exposition *e, const struct metric_at *at)
{
	struct text base = { 0 };

	*e->base = '\0';
	if (!at->vm && !at->dev)
		return;
	text_put(&base, "vm=\"");
	text_escaped(&base, at->vm ? at->vm->name : at->dev->vm, true);
	if (at->dev) {
		text_put(&base, "\",dev=\"");
		text_escaped(&base, at->dev->dev, true);
	}
	text_add(&base, "\"", 2);
	if (base.failed || base.len > sizeof(e->base))
		e->text.failed = true;
	else
		memcpy(e->base, base.data, base.len);
	free(base.data);
}

int render_openmetrics(const struct model *m, const struct metric_self *self,
		       const struct openmetrics_options *o, char **out, size_t *len,
		       struct openmetrics_stats *stats)
{
	struct exposition e = { .sink.put = put, .openmetrics = o->openmetrics };
	struct metric_at at = { .m = m, .self = self };
	bool *shown[METRIC_SCOPES] = { NULL };
	int err = -ENOMEM;

	memset(stats, 0, sizeof(*stats));
	for (enum metric_scope scope = 0; scope < METRIC_SCOPES; scope++) {
		shown[scope] = calloc(metrics_objects(m, scope) + 1, sizeof(bool));
		if (!shown[scope] || mark_distinct(&at, scope, shown[scope]))
			goto out;
	}
	choose(&at, o->most, shown, stats);

	at.sink = &e.sink;
	for (size_t i = 0; i < metrics_count; i++) {
		enum metric_scope scope = metrics[i].scope;

		for (size_t k = 0; k < metrics_objects(m, scope); k++) {
			if (!shown[scope][k])
				continue;
			metrics_object(&at, scope, k);
			set_base(&e, &at);
			metrics_points(&at, &metrics[i]);
		}
	}
	if (o->openmetrics)
		text_put(&e.text, "# EOF\n");
	if (e.text.failed)
		goto out;
	*out = e.text.data;
	*len = e.text.len;
	e.text.data = NULL;
	err = 0;
out:
	for (enum metric_scope scope = 0; scope < METRIC_SCOPES; scope++)
		free(shown[scope]);
	free(e.text.data);
	return err;
}
