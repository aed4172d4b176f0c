// SPDX-License-Identifier: GPL-2.0
#include "outlook.h"
#include "forecast.h"
#include "sessions.h"
#include "working_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGE		4096.
#define LOOK_S		30	/* as far back */
#define SAMPLES		16	/* of it, at most: two seconds apart */
#define FOR_EVER_S	3600

/* What a VM's counters stood at. */
struct stand {
	double elapsed;
	__u64 pages, syncs, sync_ns;
	__u64 on;		/* slots whose logging was switched on, where a bitmap's pages are counted */
};

struct watched {
	__u64 vm;
	bool here;
	__u64 on, syncs;	/* at the sample before */
	__u64 first;		/* what syncs stand at when each slot was shown once */
	struct stand stand[SAMPLES];	/* the newest first */
	size_t stands;
};

struct outlook {
	double bandwidth, downtime;
	struct watched *watched;
	size_t n;
};

struct outlook *outlook_new(double bandwidth, double downtime)
{
	struct outlook *o = calloc(1, sizeof(*o));

	if (o) {
		o->bandwidth = bandwidth;
		o->downtime = downtime;
	}
	return o;
}

void outlook_free(struct outlook *o)
{
	if (o)
		free(o->watched);
	free(o);
}

static struct watched *find(struct outlook *o, __u64 vm)
{
	struct watched *w;

	for (size_t i = 0; i < o->n; i++)
		if (o->watched[i].vm == vm)
			return &o->watched[i];
	w = realloc(o->watched, (o->n + 1) * sizeof(*w));
	if (!w)
		return NULL;
	o->watched = w;
	w += o->n++;
	memset(w, 0, sizeof(*w));
	w->vm = vm;
	return w;
}

/* Ring: what is pushed; bitmap: what a sync showed, or each mark. False: not measured. */
static bool look(const struct model *m, const struct model_vm *vm, struct stand *s)
{
	const struct ms_time_hist *get = &vm->log.op[MS_LOG_GET].time;

	s->elapsed = m->elapsed;
	if (vm->has_ring && m->measured[MEASURE_RING]) {
		s->pages = vm->ring.pushes;
		s->syncs = vm->ring.resets;
		s->sync_ns = ms_ring_reset_ns(&vm->ring);
		return true;
	}
	if (!vm->has_log || vm->info.ring_bytes)
		return false;
	s->syncs = vm->log.op[MS_LOG_GET].calls;
	s->sync_ns = get->sum_ns;
	s->pages = vm->log.marks;
	if (m->measured[MEASURE_LOG_DIRTY]) {
		s->pages = vm->log.op[MS_LOG_GET].dirty;
		s->on = vm->log.op[MS_LOG_ON].calls;
	}
	return m->measured[MEASURE_LOG_DIRTY] || m->measured[MEASURE_LOG_MARKS];
}

/*
 * What a bitmap shows first, after its logging was switched on, is not what was dirtied but may
 * be all there is. Is that over?
 */
static bool counts(struct watched *w, const struct stand *now)
{
	if (now->on != w->on) {
		w->first = w->syncs + now->on - w->on;
		w->stands = 0;
	}
	w->on = now->on;
	w->syncs = now->syncs;
	return !now->on || now->syncs >= w->first;
}

static void keep(struct watched *w, const struct stand *s)
{
	if (w->stands && s->elapsed - w->stand[0].elapsed < (double)LOOK_S / (SAMPLES - 1))
		return;
	if (w->stands < SAMPLES)
		w->stands++;
	memmove(&w->stand[1], &w->stand[0], (w->stands - 1) * sizeof(w->stand[0]));
	w->stand[0] = *s;
	while (w->stands > 1 && s->elapsed - w->stand[w->stands - 1].elapsed > LOOK_S + 1)
		w->stands--;
}

/* Memory whose logging is on now; 0: its switching is not seen. */
static double logged(const struct model *m, const struct model_vm *vm)
{
	__u64 on = vm->log.op[MS_LOG_ON].pages, off = vm->log.op[MS_LOG_OFF].pages;

	return m->measured[MEASURE_LOG_TOGGLE] && on > off ? PAGE * (on - off) : 0;
}

/* Somebody looks at its screen, no more. */
static bool is_display(const struct model *m, const struct model_vm *vm)
{
	__u64 on = vm->log.op[MS_LOG_ON].calls, off = vm->log.op[MS_LOG_OFF].calls;
	double bytes = logged(m, vm);

	return bytes > 0 && on > off && session_is_display(on - off, bytes / PAGE);
}

static void forecast(const struct outlook *o, const struct model *m, struct model_vm *vm,
		     const struct stand *now, const struct stand *then)
{
	double seconds = now->elapsed - then->elapsed, rate = PAGE * (now->pages - then->pages) / seconds;
	double syncs = now->syncs - then->syncs, pages;
	struct forecast_curve c = { .most = logged(m, vm) };
	struct forecast_plan p = {
		.bandwidth = o->bandwidth, .downtime = o->downtime, .left = c.most, .most_seconds = FOR_EVER_S,
	};
	static const char *const within[] = { WORKING_SET_TIMES };
	struct forecast f;

	vm->has_outlook = true;
	vm->outlook.ratio = rate / o->bandwidth;
	vm->outlook.known = c.most > 0;
	if (!vm->outlook.known)
		return;
	for (size_t i = 0; vm->has_pages && i < sizeof(within) / sizeof(within[0]); i++) {
		pages = working_set_pages(&vm->pages, m->page_part, strtod(within[i], NULL));
		if (pages >= 0)
			forecast_curve_add(&c, strtod(within[i], NULL), PAGE * pages);
	}
	if (!c.points)
		forecast_curve_add(&c, syncs > 0 ? seconds / syncs : seconds, rate * (syncs > 0 ? seconds / syncs : seconds));
	/* of a bitmap one GET is of one slot, so that this is less than a sync: how many there are is not known */
	p.sync = syncs > 0 ? (now->sync_ns - then->sync_ns) / 1e9 / syncs : 0;
	forecast_run(&c, &p, &f);
	vm->outlook.converges = f.converges;
	/* what it would be if the VM were stopped at the best moment that there is */
	vm->outlook.downtime = f.converges ? f.downtime : p.sync + f.least / o->bandwidth;
}

int outlook_feed(struct outlook *o, struct model *m)
{
	size_t kept = 0;

	for (size_t i = 0; i < o->n; i++)
		o->watched[i].here = false;
	for (size_t i = 0; i < m->vms; i++) {
		struct model_vm *vm = &m->vm[i];
		const struct stand *then;
		struct stand now = { 0 };
		struct watched *w;

		if (!vm->alive || !look(m, vm, &now))
			continue;
		w = find(o, vm->id);
		if (!w)
			return -ENOMEM;
		w->here = true;
		if (!counts(w, &now) || is_display(m, vm))
			continue;
		then = w->stands ? &w->stand[w->stands - 1] : &now;
		/* only one that is tracked: somebody harvests it */
		if (now.elapsed - then->elapsed >= 1 && now.syncs > then->syncs && now.pages >= then->pages)
			forecast(o, m, vm, &now, then);
		keep(w, &now);
	}
	for (size_t i = 0; i < o->n; i++)
		if (o->watched[i].here)
			o->watched[kept++] = o->watched[i];
	o->n = kept;
	return 0;
}
