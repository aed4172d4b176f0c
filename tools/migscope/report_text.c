// SPDX-License-Identifier: GPL-2.0
#include "report.h"
#include "report_get.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>

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
	{ "reset_walk_seconds", "  time in them", "s", 1 },
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

static void put_line(FILE *out, struct json_object *bill, const struct line *l)
{
	double v = number(bill, l->key) * l->scale;

	if (!member(bill, l->key))
		return;
	fprintf(out, "    %-34s ", l->what);
	if (!*l->unit)
		fprintf(out, "%14.0f\n", v);
	else
		fprintf(out, "%14.*f %s\n", !strcmp(l->unit, "s") ? 6 : 1, v, l->unit);
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
	if (!strcmp(text(s, "recognised_by"), "harvests"))
		fprintf(out, "    (recognised by what was harvested: the switching of logging was not seen)\n");
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		bool sub = lines[i].what[0] == ' ';

		/* of what never happened there is no more to say */
		if (!sub && member(member(s, "bill"), lines[i].key))
			happened = number(member(s, "bill"), lines[i].key) != 0;
		if (!sub || happened)
			put_line(out, member(s, "bill"), &lines[i]);
	}
	for (size_t i = 0; i < length(s, "advice"); i++)
		fprintf(out, "    -> %s\n", json_object_get_string(item(s, "advice", i)));
}

static void put_not_measured(FILE *out, struct json_object *report)
{
	const char *source = "", *said = "";

	for (size_t i = 0; i < length(report, "not_measured"); i++) {
		struct json_object *p = item(report, "not_measured", i);

		if (!i)
			fprintf(out, "\nnot measured\n");
		if (strcmp(source, text(p, "source")))
			fprintf(out, "  %s: %s\n", text(p, "source"), text(p, "why"));
		source = text(p, "source");
		if (strcmp(said, text(p, "lost")))
			fprintf(out, "    %s\n", text(p, "lost"));
		said = text(p, "lost");
	}
}

void report_text(FILE *out, struct json_object *report)
{
	struct json_object *meta = member(report, "recording");
	size_t samples = length(report, "samples");
	double first = 0, last = 0;
	char buf[32];

	if (samples) {
		first = json_object_get_double(item(report, "samples", 0));
		last = json_object_get_double(item(report, "samples", samples - 1));
	}
	fprintf(out, "%s: %zu samples from %s, %.1f s\n", text(meta, "command"), samples,
		stamp(buf, sizeof(buf), first), last - first);
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
		fprintf(out, "  %s  %s\n", stamp(buf, sizeof(buf), number(e, "time")), text(e, "text"));
	}
	put_not_measured(out, report);
}
