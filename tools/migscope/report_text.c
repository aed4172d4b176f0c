// SPDX-License-Identifier: GPL-2.0
#include "report.h"
#include "report_get.h"

#include <migscope/vfio.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#define ROUNDS_SHOWN	12

static const char *stamp(char *buf, size_t size, double time)
{
	time_t t = time;
	struct tm tm;

	if (!localtime_r(&t, &tm) || !strftime(buf, size, "%Y-%m-%d %H:%M:%S", &tm))
		snprintf(buf, size, "%.0f", time);
	return buf;
}

static const struct line {
	const char *key, *what, *unit;
	double scale;
} lines[] = {
	{ "pages", "pages dirtied", "", 1 },
	{ "pages_per_second", "  a second", "MB/s", 4096e-6 },
	{ "ring_used_max_ratio", "fullest ring, of its soft limit", "%", 100 },
	{ "full_exits", "exits because of a full ring", "", 1 },
	{ "stall_seconds", "  vCPUs stood still", "s", 1 },
	{ "stalls_unfinished", "  that never ended", "", 1 },
	{ "resets", "resets of the rings", "", 1 },
	{ "pages_per_reset", "  pages in each", "", 1 },
	{ "reset_walk_seconds", "  time in their walks", "s", 1 },
	{ "flush_seconds", "  in the TLB flushes behind", "s", 1 },
	{ "reset_mmu_calls", "  calls into the MMU", "", 1 },
	{ "rejected_entries", "  entries rejected", "", 1 },
	{ "get_calls", "KVM_GET_DIRTY_LOG", "", 1 },
	{ "get_seconds", "  time in them", "s", 1 },
	{ "get_bytes", "  bitmap copied", "KiB", 1 / 1024. },
	{ "clear_calls", "KVM_CLEAR_DIRTY_LOG", "", 1 },
	{ "clear_seconds", "  time in them", "s", 1 },
	{ "switch_on_seconds", "logging switched on", "s", 1 },
	{ "switch_off_seconds", "logging switched off", "s", 1 },
};

static void put_line(FILE *out, struct json_object *bill, const struct line *l, const char *indent)
{
	double v = number(bill, l->key) * l->scale;

	if (!member(bill, l->key))
		return;
	fprintf(out, "    %s%-*s ", indent, 34 - (int)strlen(indent), l->what);
	if (!*l->unit)
		fprintf(out, "%14.0f\n", v);
	else
		fprintf(out, "%14.*f %s\n", !strcmp(l->unit, "s") ? 6 : 1, v, l->unit);
}

/* What was dirtied from one sync to the next; of many the first and the last. */
static void put_rounds(FILE *out, struct json_object *s)
{
	struct json_object *phases = member(s, "phases"), *r;
	size_t n = length(s, "syncs");

	if (!phases)
		return;
	fprintf(out, "    %-34s %14.0f\n", "rounds", number(member(s, "bill"), "rounds"));
	fprintf(out, "      first %.1f s, further ones %.1f s, after the last sync %.3f s\n",
		number(phases, "first_round_seconds"), number(phases, "further_rounds_seconds"),
		number(phases, "after_last_sync_seconds"));
	for (size_t i = 1; i < n; i++) {
		if (i == ROUNDS_SHOWN / 2 && n > ROUNDS_SHOWN + 1) {
			fprintf(out, "      ...\n");
			i = n - ROUNDS_SHOWN / 2;
		}
		r = item(s, "syncs", i);
		fprintf(out, "      at %7.1f s", number(r, "at_seconds"));
		if (member(r, "pages"))
			fprintf(out, " %12.0f pages", number(r, "pages"));
		if (member(r, "rounds"))
			fprintf(out, " in %.0f rounds", number(r, "rounds"));
		fputc('\n', out);
	}
}

static void put_threads(FILE *out, struct json_object *s)
{
	static const struct {
		const char *op, *words;
	} what[] = {
		{ "reset", "in resets of the rings" }, { "get", "in KVM_GET_DIRTY_LOG" },
		{ "clear", "in KVM_CLEAR_DIRTY_LOG" }, { "switch", "switching logging" },
		{ "stall", "stood still, ring full" },
	};

	for (size_t i = 0; i < length(s, "threads"); i++) {
		struct json_object *t = item(s, "threads", i);
		const char *words = text(t, "op");

		if (!i)
			fprintf(out, "    who waited\n");
		for (size_t k = 0; k < sizeof(what) / sizeof(what[0]); k++)
			if (!strcmp(what[k].op, words))
				words = what[k].words;
		fprintf(out, "      %-18s %-24s %10.6f s\n", text(t, "thread"), words, number(t, "seconds"));
	}
}

static const struct line device_lines[] = {
	{ "iotlb_misses", "misses", "", 1 },
	{ "iotlb_miss_seconds", "waited for translations", "s", 1 },
	{ "iotlb_updates", "translations given", "", 1 },
	{ "iotlb_evictions", "thrown out for room", "", 1 },
	{ "vdpa_kicks", "kicks", "", 1 },
	{ "vdpa_updates", "updates of its memory", "", 1 },
	{ "vdpa_update_seconds", "time in them", "s", 1 },
	{ "vdpa_pinned_bytes", "pinned at the end", "MB", 1e-6 },
	{ "vdpa_misses", "addresses that it found nothing at", "", 1 },
	{ "pins", "pins", "", 1 },
	{ "pin_seconds", "time in them", "s", 1 },
	{ "unpins", "unpins", "", 1 },
	{ "pinned_pages", "pages pinned at the end", "", 1 },
	{ "dirty_gets", "dirty bitmaps asked for", "", 1 },
	{ "dirty_get_seconds", "time in them", "s", 1 },
	{ "dirty_get_bytes", "bitmap copied", "KiB", 1 / 1024. },
	{ "dirty_pages", "pages that they showed", "", 1 },
	{ "scope_full", "all that is mapped counts as dirty", "", 1 },
};

/* What a device spent in each of its migration states. */
static void put_states(FILE *out, struct json_object *seconds_in)
{
	static const char *const state[MS_VFIO_STATES] = { MS_VFIO_STATE_NAMES };
	static const int order[MS_VFIO_STATES] = { MS_VFIO_STATE_ORDER };
	char what[32];

	for (int i = 0; i < MS_VFIO_STATES; i++) {
		struct line l = { state[order[i]], what, "s", 1 };

		snprintf(what, sizeof(what), "in %s", l.key);
		put_line(out, seconds_in, &l, "  ");
	}
}

static void put_devices(FILE *out, struct json_object *s)
{
	for (size_t i = 0; i < length(s, "devices"); i++) {
		struct json_object *d = item(s, "devices", i);

		fprintf(out, "    device %s\n", text(d, "dev"));
		for (size_t k = 0; k < sizeof(device_lines) / sizeof(device_lines[0]); k++)
			if (number(d, device_lines[k].key) != 0)
				put_line(out, d, &device_lines[k], "  ");
		put_states(out, member(d, "seconds_in"));
	}
}

static void put_qemu(FILE *out, struct json_object *s)
{
	struct json_object *q = member(s, "qemu");

	if (!q)
		return;
	fprintf(out, "    QEMU says: %s, %.0f rounds, %.1f MB sent of %.1f, %.3f s, downtime %.3f s\n",
		text(q, "status"), number(q, "rounds"), number(q, "transferred_bytes") / 1e6,
		number(q, "total_bytes") / 1e6, number(q, "migration_seconds"), number(q, "downtime_seconds"));
}

static void put_session(FILE *out, struct json_object *s)
{
	static const struct {
		const char *name, *words;
	} outcome[] = {
		{ "running", "still going on when the recording ended" },
		{ "logging_off", "until logging was switched off" },
		{ "vm_ended", "until the VM ended" },
		{ "idle", "until nothing more was harvested" },
		{ "overtaken", "until a migration began beside it" },
		{ "tracking_off", "until its devices were tracked no more" },
		{ "ran_on", "cancelled or failed: the guest ran on here" },
		{ "devices_stopped", "until its devices were saved, and stood still" },
		{ "device_error", "failed: a device of it is in error" },
	};
	const char *how = "";
	bool happened = true;
	char begin[32];

	for (size_t i = 0; i < sizeof(outcome) / sizeof(outcome[0]); i++)
		if (!strcmp(outcome[i].name, text(s, "outcome")))
			how = outcome[i].words;
	fprintf(out, "\n  %s: %s, from %s for %.1f s, %s\n", text(s, "name"),
		!strcmp(text(s, "kind"), "display") ? "logging of a display, no migration" : "migration",
		stamp(begin, sizeof(begin), number(s, "begin")), number(s, "seconds"), how);
	if (!strcmp(text(s, "recognised_by"), "tracking"))
		fprintf(out, "    (recognised by VFIO's tracking of its devices)\n");
	if (!strcmp(text(s, "recognised_by"), "device_states"))
		fprintf(out, "    (recognised by the migration states of its devices)\n");
	if (!strcmp(text(s, "recognised_by"), "harvests"))
		fprintf(out, "    (recognised by what was harvested: the switching of logging was not seen)\n");
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		bool sub = lines[i].what[0] == ' ';

		/* of what never happened there is no more to say */
		if (!sub && member(member(s, "bill"), lines[i].key))
			happened = number(member(s, "bill"), lines[i].key) != 0;
		if (!sub || happened)
			put_line(out, member(s, "bill"), &lines[i], "");
	}
	put_rounds(out, s);
	put_threads(out, s);
	put_devices(out, s);
	put_qemu(out, s);
	if (length(s, "advice"))
		fprintf(out, "    what to change\n");
	for (size_t i = 0; i < length(s, "advice"); i++)
		fprintf(out, "    -> %s\n", json_object_get_string(item(s, "advice", i)));
}

static void put_not_measured(FILE *out, struct json_object *report)
{
	const char *source = "", *why = "", *said = "";

	for (size_t i = 0; i < length(report, "not_measured"); i++) {
		struct json_object *p = item(report, "not_measured", i);

		if (!i)
			fprintf(out, "\nnot measured\n");
		if (strcmp(source, text(p, "source")) || strcmp(why, text(p, "why"))) {
			fprintf(out, "  %s: %s\n", text(p, "source"), text(p, "why"));
			said = "";
		}
		source = text(p, "source");
		why = text(p, "why");
		if (strcmp(said, text(p, "lost")))
			fprintf(out, "    %s\n", text(p, "lost"));
		said = text(p, "lost");
	}
}

void report_text(FILE *out, struct json_object *report)
{
	struct json_object *meta = member(report, "recording");
	size_t samples = length(report, "samples");
	double first = 0, seconds = 0;
	char buf[32];

	if (samples) {
		first = json_object_get_double(item(report, "samples", 0));
		seconds = json_object_get_double(item(report, "elapsed", samples - 1)) -
			  json_object_get_double(item(report, "elapsed", 0));
	}
	fprintf(out, "%s: %zu samples from %s, %.1f s\n", text(meta, "command"), samples,
		stamp(buf, sizeof(buf), first), seconds);
	fprintf(out, "migscope %s on %s, kernel %s\n", text(meta, "version"), text(meta, "host"),
		text(meta, "kernel"));
	if (!number(meta, "complete"))
		fprintf(out, "INCOMPLETE: it was cut off, or is still being written\n");
	fprintf(out, "\nVMs\n");
	for (size_t i = 0; i < length(report, "vms"); i++) {
		struct json_object *vm = item(report, "vms", i);

		fprintf(out, "  %s (pid %.0f, %s)%s\n", text(vm, "name"), number(vm, "pid"),
			!strcmp(text(vm, "dirty_mode"), "ring") ? "dirty ring" : "dirty bitmap",
			member(vm, "ended") ? ", ended" : "");
	}
	if (!length(report, "vms"))
		fprintf(out, "  none was seen\n");
	fprintf(out, "\nSessions\n");
	for (size_t i = 0; i < length(report, "sessions"); i++)
		put_session(out, item(report, "sessions", i));
	if (!length(report, "sessions"))
		fprintf(out, "  nothing was tracked while we watched\n");
	for (size_t i = 0; i < length(report, "events"); i++) {
		struct json_object *e = item(report, "events", i);

		if (!i)
			fprintf(out, "\nEvents\n");
		fprintf(out, "  %s  %s%s\n", stamp(buf, sizeof(buf), number(e, "time")),
			strcmp(text(e, "kind"), "qemu") ? "" : "QEMU: ", text(e, "text"));
	}
	put_not_measured(out, report);
}
