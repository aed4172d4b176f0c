// SPDX-License-Identifier: GPL-2.0
#include "render_text.h"
#include "lost.h"

#include <stdarg.h>
#include <string.h>
#include <time.h>

#define BAR_WIDTH 30
#define NAME_WIDTH 16
#define NAME_WIDTH_STAMPS 8	/* a time before it, and still no more than 80 columns */

/* A duration for people: three digits and a unit. */
const char *text_duration(char *buf, size_t size, __u64 ns)
{
	static const struct {
		double ns;
		const char *unit;
	} units[] = { { 1, "ns" }, { 1e3, "us" }, { 1e6, "ms" }, { 1e9, "s" }, { 60e9, "min" } };
	size_t u = 0;
	double v;

	/* what would be rounded up to four digits belongs to the next unit */
	while (u < 4 && ns / units[u].ns >= (u == 3 ? 600 : 999.5))
		u++;
	v = ns / units[u].ns;
	snprintf(buf, size, "%.*f%s", !u || v >= 99.95 ? 0 : v >= 9.995 ? 1 : 2, v, units[u].unit);
	return buf;
}

/* Counts that would break a column of seven are shortened. */
const char *text_count(char *buf, size_t size, double n)
{
	if (n < 9999999.5)
		snprintf(buf, size, "%.0f", n);
	else if (n < 9999.5e6)
		snprintf(buf, size, "%.0fM", n / 1e6);
	else
		snprintf(buf, size, "%.0fG", n / 1e9);
	return buf;
}

/* A counter never goes back; should it seem to, nothing happened. */
__u64 text_since(__u64 now, __u64 old)
{
	return now > old ? now - old : 0;
}

bool render_is_lost(const struct probe *p)
{
	return p->gives && p->state != PROBE_ATTACHED && probe_is_wanted(p);
}

static const struct model_vm *find_vm(const struct model *m, __u64 id)
{
	for (size_t i = 0; i < m->vms; i++)
		if (m->vm[i].id == id)
			return &m->vm[i];
	return NULL;
}

/* One row of the table: a VM now, and the same VM at the sample before. */
struct row {
	const struct model *m;
	const struct model_vm *vm, *old;
	double seconds;
};

static const struct model_vm nothing;

static void col_pages(const struct row *r, char *buf, size_t size)
{
	bool marks = !r->vm->has_ring && r->m->measured[MEASURE_LOG_MARKS];
	__u64 now = marks ? r->vm->log.marks : r->vm->ring.pushes;
	__u64 old = marks ? r->old->log.marks : r->old->ring.pushes;

	/* a bitmap does not say how many pages it showed */
	if (!marks && !r->vm->has_ring)
		snprintf(buf, size, "-");
	else
		text_count(buf, size, r->seconds > 0 ? text_since(now, old) / r->seconds : 0);
}

static void col_used(const struct row *r, char *buf, size_t size)
{
	__u32 used = 0, limit = 0;

	for (size_t i = 0; i < r->vm->vcpus; i++) {
		const struct model_vcpu *v = &r->vm->vcpu[i];

		if (!ms_ring_fuller(v->used, v->ring.soft_limit, used, limit))
			continue;
		used = v->used;
		limit = v->ring.soft_limit;
	}
	if (limit)
		snprintf(buf, size, "%.0f", 100.0 * used / limit);
	else
		snprintf(buf, size, "-");
}

static void col_used_max(const struct row *r, char *buf, size_t size)
{
	if (r->vm->ring.used_max_soft_limit)
		snprintf(buf, size, "%.0f",
			 100.0 * r->vm->ring.used_max / r->vm->ring.used_max_soft_limit);
	else
		snprintf(buf, size, "-");
}

static void col_full(const struct row *r, char *buf, size_t size)
{
	if (r->vm->has_ring)
		text_count(buf, size, text_since(r->vm->ring.full_exits, r->old->ring.full_exits));
	else
		snprintf(buf, size, "-");
}

static void col_stall(const struct row *r, char *buf, size_t size)
{
	__u64 ns = text_since(r->vm->ring.stall.sum_ns, r->old->ring.stall.sum_ns);

	if (r->vm->has_ring)
		snprintf(buf, size, "%.1f%s", ns / 1e6, r->vm->stalled_now ? "+" : "");
	else
		snprintf(buf, size, "-");
}

static __u64 syncs(const struct model *m, const struct model_vm *vm)
{
	if (vm->has_ring)
		return vm->ring.resets;
	return (m->measured[MEASURE_LOG_GET] ? vm->log.op[MS_LOG_GET].calls : 0) +
	       (m->measured[MEASURE_LOG_CLEAR] ? vm->log.op[MS_LOG_CLEAR].calls : 0);
}

static void col_syncs(const struct row *r, char *buf, size_t size)
{
	bool known = r->vm->has_ring ? r->m->measured[MEASURE_RING] : r->m->measured[MEASURE_LOG_GET];

	if (known)
		text_count(buf, size, text_since(syncs(r->m, r->vm), syncs(r->m, r->old)));
	else
		snprintf(buf, size, "-");
}

static __u64 sync_ns(const struct model_vm *vm)
{
	return ms_ring_reset_ns(&vm->ring) + vm->log.op[MS_LOG_GET].time.sum_ns +
	       vm->log.op[MS_LOG_CLEAR].time.sum_ns;
}

static void col_sync_ms(const struct row *r, char *buf, size_t size)
{
	bool known = r->vm->has_ring ? r->m->measured[MEASURE_RING_RESET_TIME] :
				       r->m->measured[MEASURE_LOG_GET];

	if (known)
		snprintf(buf, size, "%.2f", text_since(sync_ns(r->vm), sync_ns(r->old)) / 1e6);
	else
		snprintf(buf, size, "-");
}

static void col_logging(const struct row *r, char *buf, size_t size)
{
	text_count(buf, size, text_since(r->vm->log.op[MS_LOG_ON].calls + r->vm->log.op[MS_LOG_OFF].calls,
			       r->old->log.op[MS_LOG_ON].calls + r->old->log.op[MS_LOG_OFF].calls));
}

/* A column is there when one of its two measures is. */
static const struct column {
	const char *head;
	int width;
	enum model_measure measure, other;
	void (*put)(const struct row *r, char *buf, size_t size);
} columns[] = {
	{ "PAGES/s", 7, MEASURE_RING, MEASURE_LOG_MARKS, col_pages },
	{ "USED%", 6, MEASURE_RING_NOW, MEASURE_RING_NOW, col_used },
	{ "MAX%", 5, MEASURE_RING, MEASURE_RING, col_used_max },
	{ "FULL", 6, MEASURE_RING_FULL, MEASURE_RING_FULL, col_full },
	{ "STALLms", 7, MEASURE_RING_FULL, MEASURE_RING_FULL, col_stall },
	{ "SYNCS", 6, MEASURE_RING, MEASURE_LOG_GET, col_syncs },
	{ "SYNCms", 7, MEASURE_RING_RESET_TIME, MEASURE_LOG_GET, col_sync_ms },
	{ "LOG", 4, MEASURE_LOG_TOGGLE, MEASURE_LOG_TOGGLE, col_logging },
};

#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

static bool has_column(const struct model *m, const struct column *c)
{
	return m->measured[c->measure] || m->measured[c->other];
}

void render_table_head(FILE *out, const struct model *m, bool stamps)
{
	if (stamps)
		fprintf(out, "%-9s", "TIME");
	fprintf(out, "%-*s %-6s", stamps ? NAME_WIDTH_STAMPS : NAME_WIDTH, "VM", "MODE");
	for (size_t i = 0; i < COLUMNS; i++)
		if (has_column(m, &columns[i]))
			fprintf(out, " %*s", columns[i].width, columns[i].head);
	fputc('\n', out);
}

/* Cut at @width characters, not bytes: names are UTF-8. */
static void put_name(FILE *out, const char *name, int width)
{
	int chars = 0;

	for (; *name && chars < width; chars += (*name++ & 0xc0) != 0x80)
		fputc(*name, out);
	while ((*name & 0xc0) == 0x80)
		fputc(*name++, out);
	fprintf(out, "%*s", width - chars, "");
}

void render_table(FILE *out, const struct model *m, const struct model *before, bool stamps)
{
	char buf[64], stamp[16] = "";
	time_t t = m->time;
	struct tm tm;

	if (stamps && localtime_r(&t, &tm))
		strftime(stamp, sizeof(stamp), "%H:%M:%S", &tm);
	for (size_t i = 0; i < m->vms; i++) {
		const struct model_vm *old = find_vm(before, m->vm[i].id);
		struct row r = { m, &m->vm[i], old ? old : &nothing, m->interval };

		/* one that had ended a sample ago has nothing new to say */
		if (!m->vm[i].alive && old && !old->alive)
			continue;
		if (stamps)
			fprintf(out, "%-9s", stamp);
		put_name(out, m->vm[i].name, stamps ? NAME_WIDTH_STAMPS : NAME_WIDTH);
		fprintf(out, " %-6s", m->vm[i].info.ring_bytes ? "ring" : "bitmap");
		for (size_t k = 0; k < COLUMNS; k++) {
			if (!has_column(m, &columns[k]))
				continue;
			columns[k].put(&r, buf, sizeof(buf));
			fprintf(out, " %*s", columns[k].width, buf);
		}
		fputs(m->vm[i].alive ? "\n" : " (ended)\n", out);
	}
	text_devices(out, m, before);
	if (!m->vms && !m->devs)
		fprintf(out, m->at_first_event ? "(each is seen from its first event on)\n" :
						 "(no VM seen yet)\n");
	fflush(out);
}

static void put_bar(FILE *out, __u64 n, __u64 most)
{
	int len = most ? (int)((n * BAR_WIDTH + most - 1) / most) : 0;

	fprintf(out, " %8llu ", n);
	while (len-- > 0)
		fputc('#', out);
	fputc('\n', out);
}

void text_time_hist(FILE *out, const char *what, const struct ms_time_hist *h)
{
	int first = MS_TIME_BUCKETS, last = -1;
	char from[16], to[16];
	__u64 n = 0, most = 0;

	for (int i = 0; i < MS_TIME_BUCKETS; i++) {
		if (!h->bucket[i])
			continue;
		first = i < first ? i : first;
		last = i;
		n += h->bucket[i];
		most = h->bucket[i] > most ? h->bucket[i] : most;
	}
	fprintf(out, "  %s: %llu", what, n);
	if (!n) {
		fputc('\n', out);
		return;
	}
	fprintf(out, ", mean %s, ", text_duration(from, sizeof(from), h->sum_ns / n));
	fprintf(out, "longest %s, in all %s\n", text_duration(from, sizeof(from), h->max_ns),
		text_duration(to, sizeof(to), h->sum_ns));
	for (int i = first; i <= last; i++) {
		text_duration(from, sizeof(from), i ? MS_TIME_BOUND_NS(i - 1) : 0);
		if (i < MS_TIME_BUCKETS - 1)
			text_duration(to, sizeof(to), MS_TIME_BOUND_NS(i));
		else
			snprintf(to, sizeof(to), "...");
		fprintf(out, "    %8s - %-8s", from, to);
		put_bar(out, h->bucket[i], most);
	}
}

static void put_fill_hist(FILE *out, const __u64 *fill)
{
	__u64 most = 0;
	int last = 0;

	for (int i = 0; i < MS_FILL_BUCKETS; i++) {
		most = fill[i] > most ? fill[i] : most;
		last = fill[i] ? i : last;
	}
	fprintf(out, "  fill at reset, against the soft limit:\n");
	for (int i = 0; i <= last; i++) {
		if (!i)
			fprintf(out, "    %-19s", "empty");
		else if (i == MS_FILL_BUCKETS - 1)
			fprintf(out, "    %-19s", "above");
		else
			fprintf(out, "    %7d%% - %3d%%    ", (i - 1) * 10, i * 10);
		put_bar(out, fill[i], most);
	}
}

static void report_ring(FILE *out, const struct model *m, const struct model_vm *vm)
{
	const struct ms_ring_vm *r = &vm->ring;
	char hold[16];

	fprintf(out, "  rings: %llu of %u entries, soft limit %u\n", r->rings, r->size,
		r->soft_limit);
	if (m->measured[MEASURE_RING]) {
		fprintf(out, "  pages pushed: %llu; given back: %llu in %llu resets\n", r->pushes,
			r->reset_entries, r->resets);
		fprintf(out, "  resets of single rings: %llu, of them %llu of an empty one\n",
			r->reset_events, r->reset_empty);
		if (m->measured[MEASURE_RING_EXACT])
			fprintf(out, "  pushes seen one by one: %llu\n", vm->pushes_exact);
		if (r->used_max_soft_limit)
			fprintf(out, "  fullest ring: %u of %u entries (%.0f%% of its soft limit)\n",
				r->used_max, r->used_max_soft_limit,
				100.0 * r->used_max / r->used_max_soft_limit);
		put_fill_hist(out, r->fill);
	}
	if (m->measured[MEASURE_RING_FULL]) {
		fprintf(out, "  full exits: %llu; stalls unfinished: %llu"
			", going on: %u\n", r->full_exits, r->stalls_unfinished, vm->stalled_now);
		text_time_hist(out, "guest stalled by a full ring", &r->stall);
	}
	if (m->measured[MEASURE_RING_RESET_TIME])
		text_time_hist(out, "walk of one ring at a reset", &r->reset);
	if (m->measured[MEASURE_RING_FLUSH])
		fprintf(out, "  TLB flushes at the end of resets: %llu, in all %s\n", r->flushes,
			text_duration(hold, sizeof(hold), r->flush_ns));
	if (m->measured[MEASURE_RING_RESET_WORK]) {
		fprintf(out, "  resets took %llu MMU calls for %llu windows; %llu entries rejected\n",
			r->mmu_calls, r->windows, r->rejected);
		fprintf(out, "  longest hold of mmu_lock at a reset: %s\n",
			text_duration(hold, sizeof(hold), r->hold_max_ns));
	}
	if (!vm->vcpus)
		return;
	fprintf(out, "  %6s %7s %7s %9s %10s %8s %8s\n", "vCPU", "used", "max", "of limit",
		"pushes", "resets", "full");
	for (size_t i = 0; i < vm->vcpus; i++) {
		const struct ms_ring *v = &vm->vcpu[i].ring;

		fprintf(out, "  %6u %7u %7u %9u %10llu %8llu %8llu\n", v->vcpu_id,
			vm->vcpu[i].used, v->used_max, v->soft_limit, v->pushes, v->reset_events,
			v->full_exits);
	}
}

static void report_log(FILE *out, const struct model *m, const struct model_vm *vm)
{
	static const char *const what[MS_LOG_OPS] = {
		[MS_LOG_GET] = "KVM_GET_DIRTY_LOG",
		[MS_LOG_CLEAR] = "KVM_CLEAR_DIRTY_LOG",
		[MS_LOG_ON] = "logging switched on, per slot",
		[MS_LOG_OFF] = "logging switched off, per slot",
	};

	for (int i = 0; i < MS_LOG_OPS; i++) {
		if (!m->measured[model_log_measure(i)] ||
		    !(vm->log.op[i].calls || vm->log.op[i].errors))
			continue;
		text_time_hist(out, what[i], &vm->log.op[i].time);
		if (i <= MS_LOG_CLEAR && m->measured[MEASURE_LOG_DIRTY])
			fprintf(out, "    %llu dirty pages", vm->log.op[i].dirty);
		else
			fprintf(out, "    %llu pages covered", vm->log.op[i].pages);
		if (i <= MS_LOG_CLEAR)
			fprintf(out, ", %llu bytes of bitmap", vm->log.op[i].bytes);
		if (vm->log.op[i].errors)
			fprintf(out, ", %llu calls failed", vm->log.op[i].errors);
		fputc('\n', out);
	}
	if (m->measured[MEASURE_LOG_MARKS])
		fprintf(out, "  pages marked dirty: %llu\n", vm->log.marks);
}

void render_report(FILE *out, const struct model *m)
{
	for (size_t i = 0; i < m->vms; i++) {
		const struct model_vm *vm = &m->vm[i];

		fprintf(out, "\n%s (pid %u, %s%s)\n", vm->name, vm->info.tgid,
			vm->info.ring_bytes ? "dirty ring" : "dirty bitmap",
			vm->alive ? "" : ", ended");
		if (vm->has_ring)
			report_ring(out, m, vm);
		if (vm->has_log)
			report_log(out, m, vm);
	}
	text_devices_report(out, m);
	render_not_measured(out, m);
	fflush(out);
}

static bool same_reason(const struct probe *a, const struct probe *b)
{
	return render_is_lost(b) && a->state == b->state && !strcmp(a->why, b->why);
}

static bool first_of_reason(const struct model *m, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (same_reason(&m->probe[i], &m->probe[k]))
			return false;
	return true;
}

/* One reason, and all that is lost for it; a measure that needs two hooks is named once. */
static void put_reason(FILE *out, const struct model *m, size_t first)
{
	const struct probe *p = m->probe;
	const char *said = "";

	fprintf(out, "not measured, %s (%s):\n", probe_state_name(p[first].state), p[first].why);
	for (size_t i = first; i < m->probes; i++) {
		if (!same_reason(&p[first], &p[i]) || !strcmp(p[i].gives, said))
			continue;
		fprintf(out, "  %s: %s\n", p[i].name, p[i].gives);
		said = p[i].gives;
	}
}

void render_not_measured(FILE *out, const struct model *m)
{
	for (size_t i = 0; i < m->probes; i++)
		if (render_is_lost(&m->probe[i]) && first_of_reason(m, i))
			put_reason(out, m, i);
	for (size_t i = 0; i < lost_count; i++)
		if (lost[i].text && m->self[lost[i].what])
			fprintf(out, "lost: %llu %s\n", m->self[lost[i].what], lost[i].text);
}
