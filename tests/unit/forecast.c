// SPDX-License-Identifier: GPL-2.0
/*
 * forecast - the working set curve of streams of pages whose curve is known, and the
 * forecast against QEMU's loop, played step by step with the pages themselves. Prints TAP.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "tap.h"
#include "../../tools/migscope/forecast.h"
#include "../../tools/migscope/working_set.h"

#define PAGES	4096
#define PAGE	4096.

static bool near(double got, double want, double part)
{
	return fabs(got - want) <= part * want;
}

/* --- a guest: which page it writes next */

struct guest {
	unsigned int pages, next;
	bool random;
	unsigned long long seed;
};

static unsigned int next_page(struct guest *g)
{
	if (!g->random)
		return g->next++ % g->pages;
	g->seed = g->seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (g->seed >> 33) % g->pages;
}

/* What BPF would have counted of it, with a reset each @every s, after @seconds. */
static void count(struct guest *g, double rate, double every, double seconds, struct ms_page_vm *p)
{
	static unsigned long long last[PAGES];
	unsigned long long now = 1000000000000ULL, writes = 0;
	bool seen[PAGES];

	memset(p, 0, sizeof(*p));
	memset(last, 0, sizeof(last));
	for (int reset = 0; reset * every <= seconds; reset++) {
		memset(seen, 0, sizeof(seen));
		now += every * 1e9;
		p->resets++;
		if (!p->since_ns)
			p->since_ns = now;
		p->last_ns = now;
		for (; writes < rate * every * (reset + 1); writes++) {
			unsigned int page = next_page(g);

			/* a ring shows it once */
			if (seen[page])
				continue;
			seen[page] = true;
			if (p->resets > 1) {
				p->seen++;
				if (last[page])
					p->gap[ms_gap_bucket(now - last[page])]++;
				else
					p->first[ms_gap_bucket(now - p->since_ns)]++;
			}
			last[page] = now;
		}
	}
}

static void buckets(void)
{
	bool all = true;

	for (unsigned int i = 0; i < MS_GAP_BUCKETS; i++)
		all &= ms_gap_bucket(ms_gap_ns(i)) == i && (!i || ms_gap_bucket(ms_gap_ns(i) - 1) == i - 1);
	ok(all, "each gap is in the bucket whose bounds are around it");
	ok(ms_gap_bucket(~0ULL) == MS_GAP_BUCKETS - 1, "the longest one is in the last");
}

static void working_sets(void)
{
	static const double within[] = { 0.5, 1, 2, 5, 10 };
	struct ms_page_vm p;

	for (int random = 0; random < 2; random++)
		for (int i = 0; i < 5; i++) {
			struct guest g = { .pages = 3000, .random = random, .seed = 42 };
			double t = within[i], all = 1000 * t, want;

			count(&g, 1000, 0.1, 30, &p);
			want = random ? 3000 * (1 - exp(-all / 3000)) : fmin(all, 3000);
			ok(near(working_set_pages(&p, 0, t), want, 0.06), "%s: within %g s %.0f pages, by theory %.0f",
			   random ? "random" : "in order", t, working_set_pages(&p, 0, t), want);
		}
	ok(working_set_pages(&p, 0, 60) < 0, "of a time that was not looked at nothing is said");
	ok(near(working_set_pages(&p, 3, 5), 8 * working_set_pages(&p, 0, 5), 1e-9), "one page in eight stands for eight");
	/* too short for any page to come again: then nothing but the rate is known */
	{
		struct guest g = { .pages = 4096 };

		count(&g, 100, 0.5, 10, &p);
		ok(near(working_set_pages(&p, 0, 8), 800, 0.03), "no page came again: the rate, %.0f", working_set_pages(&p, 0, 8));
	}
	memset(&p, 0, sizeof(p));
	ok(working_set_pages(&p, 0, 1) < 0, "nothing seen, nothing said");
}

/* --- QEMU's loop with the pages themselves: what it comes to */

struct played {
	bool converges;
	double seconds, last;
	unsigned int rounds;
};

static void play(struct guest *g, unsigned int memory, double rate, double bandwidth, double limit, struct played *out)
{
	static bool dirty[PAGES];
	static bool written[PAGES];
	unsigned int left = memory, at = 0;
	double owed = 0, now = 0, quota = 0;

	memset(out, 0, sizeof(*out));
	memset(dirty, 1, sizeof(dirty));
	memset(written, 0, sizeof(written));
	for (; now < 600; now += 0.1) {
		if (left * PAGE <= bandwidth * limit) {
			left = 0;
			for (unsigned int i = 0; i < memory; i++) {
				dirty[i] |= written[i];
				written[i] = false;
				left += dirty[i];
			}
			out->rounds++;
			if (left * PAGE <= bandwidth * limit) {
				out->converges = true;
				break;
			}
		}
		quota += bandwidth * 0.1 / PAGE;
		/* goes round, from where it stopped */
		for (unsigned int n = 0; n < memory && quota >= 1; n++, at = (at + 1) % memory)
			if (dirty[at]) {
				dirty[at] = false;
				left--;
				quota--;
			}
		quota = fmin(quota, 1);
		for (owed += rate * 0.1; owed >= 1; owed--)
			written[next_page(g)] = true;
	}
	out->seconds = now;
	out->last = left * PAGE;
}

static void forecasts(void)
{
	int right = 0, all = 0, close = 0, converging = 0;

	for (unsigned int i = 0; i < 240; i++) {
		/* of every other one an eighth of its memory is all that it writes */
		unsigned int memory = 512 << i % 4;
		struct guest g = { .pages = i / 8 % 2 ? memory / 8 : memory, .random = i / 4 % 2, .seed = i };
		double rate = 500 + 250 * (i * 7 % 11), bandwidth = (3 + i * 5 % 9) * 1e6, limit = 0.1 + 0.1 * (i * 3 % 5);
		struct forecast_plan p = { .bandwidth = bandwidth, .downtime = limit, .left = memory * PAGE,
					   .most_seconds = 600 };
		struct forecast_curve c = { .most = memory * PAGE };
		double border, fits;
		struct forecast f;
		struct played is;

		for (double t = 0.1; t < 60; t *= 2)
			forecast_curve_add(&c, t, PAGE * (g.random ? g.pages * (1 - exp(-rate * t / g.pages)) :
							   fmin(rate * t, g.pages)));
		forecast_run(&c, &p, &f);
		play(&g, memory, rate, bandwidth, limit, &is);
		/* near the border it is a matter of luck, on either side */
		border = rate * PAGE / bandwidth;
		fits = g.pages * PAGE / (bandwidth * limit);
		if (fabs(border - 1) < 0.1 || fabs(fits - 1) < 0.1)
			continue;
		all++;
		right += f.converges == is.converges;
		if (f.converges != is.converges)
			printf("# %u: D/B %.2f, memory/limit %.2f: forecast %d, played %d\n", i, border, fits, f.converges, is.converges);
		if (!is.converges || !f.converges)
			continue;
		converging++;
		/* a round more or less is what the order of pages makes of it */
		if (near(f.seconds - f.downtime, is.seconds, 0.15) || fabs(f.seconds - f.downtime - is.seconds) < 0.5)
			close++;
		else
			printf("# %u: forecast %.1f s, played %.1f s\n", i, f.seconds - f.downtime, is.seconds);
	}
	ok(all > 150 && converging > 80, "%d migrations away from the border, %d of them converge", all, converging);
	ok(right == all, "all of their verdicts are right: %d", right);
	ok(close >= 0.9 * converging, "and the time of those that converge: %d", close);
}

static void needs(void)
{
	struct forecast_curve c = { .most = 1e9 };
	struct forecast_plan p = { .bandwidth = 50e6, .downtime = 0.3, .left = 1e9, .most_seconds = 3600 };
	struct forecast f;
	double b;

	forecast_curve_add(&c, 1, 100e6);
	forecast_run(&c, &p, &f);
	ok(!f.converges, "100 MB/s are dirtied, 50 are sent: it does not converge");
	b = forecast_bandwidth(&c, &p, 1e12);
	ok(b > 95e6 && b < 120e6, "it takes a little more than it dirties: %.0f MB/s", b / 1e6);
	p.bandwidth = b;
	forecast_run(&c, &p, &f);
	ok(f.converges, "and with that it does");
	p.bandwidth = b * 0.98;
	forecast_run(&c, &p, &f);
	ok(!f.converges, "with a little less it does not");
	p.bandwidth = 50e6;
	b = forecast_downtime(&c, &p, 60);
	/* what is left may be as much as half of it: then half of what is dirtied is dirty already */
	ok(near(b, 10, 0.05), "a limit in which half of its memory can be sent: %.1f s", b);
	p.sync = 1;
	p.bandwidth = 150e6;
	forecast_run(&c, &p, &f);
	ok(!f.converges, "a sync of a second in which more is dirtied than the limit allows");
	p.bandwidth = 1e9;
	forecast_run(&c, &p, &f);
	ok(!f.converges, "nor with a bandwidth at which no more is sent between two syncs than is dirtied in one");
	p.bandwidth = 4e9;
	forecast_run(&c, &p, &f);
	ok(f.converges && f.downtime > 1, "with enough bandwidth it does, but the sync is part of the downtime: %.2f s", f.downtime);
	p.downtime = 1e-9;
	ok(forecast_bandwidth(&c, &p, 1e9) == 0, "no bandwidth is enough for no downtime");
}

static void curves(void)
{
	struct forecast_curve c = { 0 };
	bool falls = false;

	ok(forecast_dirtied(&c, 5) == 0, "no point, nothing");
	forecast_curve_add(&c, 2, 200);
	ok(forecast_dirtied(&c, 1) == 100 && forecast_dirtied(&c, 4) == 400, "one point: a line");
	forecast_curve_add(&c, 4, 100);
	ok(forecast_dirtied(&c, 4) == 200, "it never falls");
	c.most = 150;
	ok(forecast_dirtied(&c, 2) == 150, "nor is it more than there is");
	forecast_curve_add(&c, 0, 10);
	forecast_curve_add(&c, -1, 10);
	forecast_curve_add(&c, NAN, 10);
	forecast_curve_add(&c, 1, INFINITY);
	ok(c.points == 2, "points that are none are left out");
	memset(&c, 0, sizeof(c));
	for (int i = 1; i <= 500; i++)
		forecast_curve_add(&c, i * 0.1 + (i * 37 % 10) * 0.01, i * 10);
	for (double t = 0; t < 60; t += 0.05)
		falls |= forecast_dirtied(&c, t + 0.05) < forecast_dirtied(&c, t);
	ok(c.points <= FORECAST_POINTS && !falls && near(forecast_dirtied(&c, 25), 2500, 0.05),
	   "500 points make %zu", c.points);
}

/* What two rounds of a bitmap show, and what is made of shorter times. */
static double at_first(double t1, double b1, double t2, double b2, double seconds)
{
	struct forecast_curve c = { 0 };

	forecast_curve_add(&c, t1, b1);
	forecast_curve_add(&c, t2, b2);
	forecast_curve_begin(&c);
	return forecast_dirtied(&c, seconds) / seconds;
}

static void begins(void)
{
	struct forecast_curve c = { 0 };
	double rate = 3000, pages = 8000;

	forecast_curve_begin(&c);
	forecast_curve_add(&c, 2, 200);
	forecast_curve_begin(&c);
	ok(c.points == 1, "one point, no begin");
	ok(near(at_first(3, 3000, 5, 5000, 0.1), 1000, 0.03), "in order: as before");
	ok(near(at_first(3, pages * (1 - exp(-rate * 3 / pages)), 4, pages * (1 - exp(-rate * 4 / pages)), 0.1),
		rate, 0.1), "at random: the rate that there is at first");
	ok(at_first(3, 6000, 4, 6000, 0.1) > 10000, "the same each time: at once");
	ok(near(at_first(3, 3060, 4, 4000, 0.1), 1000, 0.1), "a little noise, a little off");
}

int main(void)
{
	buckets();
	working_sets();
	curves();
	begins();
	forecasts();
	needs();
	printf("1..%d\n", tests);
	return failed != 0;
}
