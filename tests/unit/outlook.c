// SPDX-License-Identifier: GPL-2.0
/*
 * outlook - what is forecast of a VM, sample by sample, whose dirty rate is known: from
 * when on, at what rate, and of whom nothing. Prints TAP.
 */
#include <math.h>
#include <stdlib.h>
#include "tap.h"
#include "../../tools/migscope/outlook.h"

#define PAGE		4096.
#define SLOTS		4
#define MEMORY		(1u << 20)	/* pages */
#define RATE		1000u		/* pages dirtied a second */
#define BANDWIDTH	(100 * 1024 * PAGE / 4)

struct host {
	struct model m;
	struct model_vm vm;
	struct outlook *o;
};

static void host_init(struct host *h)
{
	*h = (struct host){ .vm = { .id = 1, .alive = true, .has_log = true }, .o = outlook_new(BANDWIDTH, 0.3) };
	h->m.vm = &h->vm;
	h->m.vms = 1;
	h->m.measured[MEASURE_LOG_TOGGLE] = true;
	h->m.measured[MEASURE_LOG_DIRTY] = true;
	if (!h->o)
		exit(1);
}

/* A sample, @seconds after the last one. */
static bool sample(struct host *h, double seconds)
{
	h->m.elapsed += seconds;
	h->vm.has_outlook = false;
	if (outlook_feed(h->o, &h->m))
		exit(1);
	return h->vm.has_outlook;
}

static void switch_on(struct host *h, unsigned int slots, __u64 pages)
{
	h->vm.log.op[MS_LOG_ON].calls += slots;
	h->vm.log.op[MS_LOG_ON].pages += pages;
}

static void switch_off(struct host *h, unsigned int slots, __u64 pages)
{
	h->vm.log.op[MS_LOG_OFF].calls += slots;
	h->vm.log.op[MS_LOG_OFF].pages += pages;
}

/* A GET of each of @slots, in which together @pages are dirty. */
static void sync_slots(struct host *h, unsigned int slots, __u64 pages)
{
	h->vm.log.op[MS_LOG_GET].calls += slots;
	h->vm.log.op[MS_LOG_GET].dirty += pages;
	h->vm.log.op[MS_LOG_GET].time.sum_ns += slots * 1000;
}

static bool is_rate(const struct host *h)
{
	return h->vm.has_outlook && h->vm.outlook.known && h->vm.outlook.converges &&
	       fabs(h->vm.outlook.ratio * BANDWIDTH / PAGE / RATE - 1) < 0.01;
}

/* Three samples, each with a sync of what was dirtied since the last one. */
static unsigned int rates(struct host *h)
{
	unsigned int n = 0;

	for (int i = 0; i < 3; i++) {
		sync_slots(h, SLOTS, 5 * RATE);
		sample(h, 5);
		n += is_rate(h);
	}
	return n;
}

/* What is forecast where rings are reset once a second, in no time but that of a flush. */
static double downtime(__u64 flush_ns)
{
	struct host h;
	double s;

	host_init(&h);
	h.vm.has_ring = h.m.measured[MEASURE_RING] = true;
	switch_on(&h, SLOTS, MEMORY);
	for (int i = 0; i < 5; i++) {
		sample(&h, 1);
		h.vm.ring.pushes += RATE;
		h.vm.ring.resets++;
		h.vm.ring.flushes++;
		h.vm.ring.flush_ns += flush_ns;
	}
	s = sample(&h, 1) ? h.vm.outlook.downtime : -1;
	outlook_free(h.o);
	return s;
}

int main(void)
{
	struct host h;

	host_init(&h);
	sample(&h, 5);
	switch_on(&h, SLOTS, MEMORY);
	ok(!sample(&h, 5), "logging is on, nothing was harvested");
	sync_slots(&h, SLOTS, MEMORY);
	ok(!sample(&h, 5), "all that there is was not dirtied");
	ok(rates(&h) == 3, "what comes then is");
	switch_off(&h, SLOTS, MEMORY);
	sample(&h, 60);
	switch_on(&h, SLOTS, MEMORY);
	sync_slots(&h, SLOTS, MEMORY);
	ok(!sample(&h, 5), "again, within one sample");
	ok(rates(&h) == 3, "and what comes then");
	outlook_free(h.o);

	host_init(&h);
	switch_on(&h, SLOTS, MEMORY);
	sync_slots(&h, 10 * SLOTS, MEMORY + 50 * RATE);
	sample(&h, 5);
	ok(rates(&h) == 3, "one that was under way before us");
	outlook_free(h.o);

	host_init(&h);
	switch_on(&h, SLOTS, MEMORY);
	sync_slots(&h, SLOTS - 1, MEMORY - 8 * RATE);
	sample(&h, 5);
	sync_slots(&h, 1, 8 * RATE);
	ok(!sample(&h, 5), "a slot that is asked for later is shown for the first time, too");
	ok(rates(&h) == 3, "and is dirtied from then on");
	outlook_free(h.o);

	host_init(&h);
	switch_on(&h, 1, 4096);
	for (int i = 0; i < 5; i++) {
		sync_slots(&h, 1, 100);
		ok(!sample(&h, 5), "a display's logging is no migration, sample %d", i + 1);
	}
	switch_on(&h, SLOTS, MEMORY);
	sync_slots(&h, SLOTS + 1, MEMORY);
	sample(&h, 5);
	ok(rates(&h) == 3, "one beside it is");
	outlook_free(h.o);

	host_init(&h);
	h.m.measured[MEASURE_LOG_DIRTY] = false;
	h.m.measured[MEASURE_LOG_MARKS] = true;
	switch_on(&h, SLOTS, MEMORY);
	sample(&h, 5);
	sync_slots(&h, SLOTS, 0);
	h.vm.log.marks += 5 * RATE;
	sample(&h, 5);
	ok(is_rate(&h), "marks are of what is dirtied, from the first on");
	outlook_free(h.o);

	ok(downtime(0) >= 0 && fabs(downtime(100000000) - downtime(0) - 0.1) < 0.01,
	   "the flush behind a reset is part of the downtime: %.3f s, %.3f s", downtime(0), downtime(100000000));

	printf("1..%d\n", tests);
	return failed != 0;
}
