// SPDX-License-Identifier: GPL-2.0
#include "report_bill.h"
#include "forecast_session.h"
#include "report_view.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PAGE	4096.
#define MB	1e6

static struct json_object *real(double value)
{
	char text[40];

	snprintf(text, sizeof(text), "%.9g", value);
	return json_object_new_double_s(value, text);
}

static void add(struct json_object *o, const char *key, double value)
{
	json_object_object_add(o, key, real(value));
}

/* --- who waited */

static int by_seconds(const void *a, const void *b)
{
	struct json_object *const *x = a, *const *y = b;
	double d = number(*y, "seconds") - number(*x, "seconds");

	return d < 0 ? -1 : d > 0;
}

/* Threads of the VMM, each thing that they did or waited for: the one that took longest first. */
static void add_threads(const struct view *v, struct json_object *session)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < length(v->vm, "series"); i++) {
		struct json_object *s = item(v->vm, "series", i), *o;
		double seconds;

		if (strcmp(text(s, "name"), "thread_wait_seconds"))
			continue;
		seconds = grown(v, member(s, "points"), v->last);
		if (seconds <= 0)
			continue;
		o = json_object_new_object();
		json_object_object_add(o, "thread", json_object_new_string(text(member(s, "labels"), "thread")));
		json_object_object_add(o, "op", json_object_new_string(text(member(s, "labels"), "op")));
		add(o, "seconds", seconds);
		json_object_array_add(list, o);
	}
	json_object_array_sort(list, by_seconds);
	if (json_object_array_length(list))
		json_object_object_add(session, "threads", list);
	else
		json_object_put(list);
}

/* --- devices */

/* What of a device's series is put on the bill, summed over what labels are not named. */
static const struct {
	const char *key, *series, *label, *value;
	bool last;		/* where it stood at the end, else how far it went */
} device_lines[] = {
	{ "iotlb_misses", "iotlb_lookups", "result", "miss", false },
	{ "iotlb_miss_seconds", "iotlb_miss_service_seconds_sum", NULL, NULL, false },
	{ "iotlb_updates", "iotlb_updates", "op", "update", false },
	{ "iotlb_evictions", "iotlb_evictions", NULL, NULL, false },
	{ "vdpa_kicks", "vdpa_vq_kicks", NULL, NULL, false },
	{ "vdpa_updates", "vdpa_op_seconds_count", "op", "update", false },
	{ "vdpa_update_seconds", "vdpa_op_seconds_sum", "op", "update", false },
	{ "vdpa_pinned_bytes", "vdpa_pinned_bytes", NULL, NULL, true },
	{ "vdpa_misses", "vdpa_table_lookups", "result", "miss", false },
	{ "pins", "vfio_pin_seconds_count", "op", "pin", false },
	{ "pin_seconds", "vfio_pin_seconds_sum", "op", "pin", false },
	{ "unpins", "vfio_pin_seconds_count", "op", "unpin", false },
	{ "pinned_pages", "vfio_pinned_pages", NULL, NULL, true },
	{ "dirty_gets", "vfio_dirty_get_seconds_count", NULL, NULL, false },
	{ "dirty_get_seconds", "vfio_dirty_get_seconds_sum", NULL, NULL, false },
	{ "dirty_get_bytes", "vfio_dirty_get_bytes", NULL, NULL, false },
	{ "dirty_pages", "vfio_dirty_pages_reported", NULL, NULL, false },
	{ "scope_full", "vfio_dirty_scope_full", NULL, NULL, true },
};

static struct json_object *device_of(struct json_object *list, const char *dev)
{
	struct json_object *o;

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		o = json_object_array_get_idx(list, i);
		if (!strcmp(text(o, "dev"), dev))
			return o;
	}
	o = json_object_new_object();
	json_object_object_add(o, "dev", json_object_new_string(dev));
	json_object_array_add(list, o);
	return o;
}

/* What it spent in a migration state. */
static void add_state(const struct view *v, struct json_object *s, struct json_object *list)
{
	double seconds = grown(v, member(s, "points"), v->last);
	struct json_object *labels = member(s, "labels"), *o;

	if (seconds <= 0)
		return;
	o = device_of(list, text(labels, "dev"));
	if (!member(o, "seconds_in"))
		json_object_object_add(o, "seconds_in", json_object_new_object());
	add(member(o, "seconds_in"), text(labels, "state"), seconds);
}

static void add_device_line(const struct view *v, struct json_object *s, struct json_object *list)
{
	struct json_object *labels = member(s, "labels"), *points = member(s, "points"), *o;
	double value;

	for (size_t i = 0; i < sizeof(device_lines) / sizeof(device_lines[0]); i++) {
		if (strcmp(text(s, "name"), device_lines[i].series) ||
		    (device_lines[i].label && strcmp(text(labels, device_lines[i].label), device_lines[i].value)))
			continue;
		value = device_lines[i].last ? value_at(points, v->last) : grown(v, points, v->last);
		if (value < 0)
			continue;
		o = device_of(list, text(labels, "dev"));
		add(o, device_lines[i].key, number(o, device_lines[i].key) + value);
	}
}

/* Has anything happened with it? */
static bool was_used(struct json_object *device)
{
	struct json_object *states = member(device, "seconds_in");

	for (size_t i = 0; i < sizeof(device_lines) / sizeof(device_lines[0]); i++)
		if (!device_lines[i].last && number(device, device_lines[i].key) > 0)
			return true;
	/* that it ran is nothing */
	return states && json_object_object_length(states) > (member(states, "running") ? 1 : 0);
}

/*
 * A device is a VM's when its process's: by name, as both are shown. One with which nothing
 * happened is left out; it may be that of an earlier VM of this name.
 */
static void add_devices(const struct view *v, struct json_object *session)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < length(v->report, "host"); i++) {
		struct json_object *s = item(v->report, "host", i), *labels = member(s, "labels");

		if (!member(labels, "dev") || strcmp(text(labels, "vm"), text(v->vm, "name")))
			continue;
		if (!strcmp(text(s, "name"), "vfio_migration_state_seconds"))
			add_state(v, s, list);
		else
			add_device_line(v, s, list);
	}
	for (size_t i = json_object_array_length(list); i-- > 0;)
		if (!was_used(json_object_array_get_idx(list, i)))
			json_object_array_del_idx(list, i, 1);
	if (json_object_array_length(list))
		json_object_object_add(session, "devices", list);
	else
		json_object_put(list);
}

/* --- rounds and phases */

static void add_rounds(const struct view *v, struct json_object *session)
{
	struct view_sync sync[VIEW_SYNCS];
	size_t n = view_syncs(v, sync);
	struct json_object *list, *phases;
	double begin = elapsed(v, v->first), end = elapsed(v, v->last), syncs = 0;

	if (!n)
		return;
	list = json_object_new_array();
	for (size_t i = 0; i < n; i++) {
		struct json_object *o = json_object_new_object();

		add(o, "at_seconds", sync[i].elapsed - begin);
		if (sync[i].count > 1)
			add(o, "rounds", sync[i].count);
		/* what the first shows is not what was dirtied but all there is */
		if (i && sync[i].pages >= 0)
			add(o, "pages", sync[i].pages);
		json_object_array_add(list, o);
		syncs += sync[i].count;
	}
	json_object_object_add(session, "syncs", list);
	phases = json_object_new_object();
	add(phases, "until_first_sync_seconds", sync[0].elapsed - begin);
	if (n > 1) {
		add(phases, "first_round_seconds", sync[1].elapsed - sync[0].elapsed);
		add(phases, "further_rounds_seconds", sync[n - 1].elapsed - sync[1].elapsed);
	}
	add(phases, "after_last_sync_seconds", end - sync[n - 1].elapsed);
	json_object_object_add(session, "phases", phases);
	json_object_object_add(member(session, "bill"), "rounds", real(syncs));
}

/* --- QEMU's own figures */

/* As of a moment after its end: QEMU works out how long it took when all is over. */
static void add_qemu(const struct view *v, struct json_object *session)
{
	static const char *const key[] = {
		"rounds", "transferred_bytes", "total_bytes", "migration_seconds", "downtime_seconds",
		"expected_downtime_seconds",
	};
	size_t at = v->last, all = length(v->report, "elapsed");
	struct json_object *o, *e;
	char name[64];

	if (!series(v, "qemu_rounds", NULL, NULL))
		return;
	while (at < all && elapsed(v, at) - elapsed(v, v->last) < 1)
		at++;
	o = json_object_new_object();
	for (size_t i = 0; i < length(v->report, "events"); i++) {
		e = item(v->report, "events", i);
		if (!strcmp(text(e, "kind"), "qemu") && number(e, "vm") == number(v->session, "vm") &&
		    number(e, "sample") <= at)
			json_object_object_add(o, "status", json_object_new_string(text(e, "text")));
	}
	for (size_t i = 0; i < sizeof(key) / sizeof(key[0]); i++) {
		snprintf(name, sizeof(name), "qemu_%s", key[i]);
		add(o, key[i], fmax(0, value_at(series(v, name, NULL, NULL), at)));
	}
	json_object_object_add(session, "qemu", o);
}

/* --- what to change */

__attribute__((format(printf, 2, 3)))
static void advise(struct json_object *list, const char *fmt, ...)
{
	char text[600];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_object_array_add(list, json_object_new_string(text));
}

static void advise_convergence(struct json_object *list, struct json_object *f, double harvested,
			       double bandwidth)
{
	/* a bitmap is not harvested; where the curve is known, it has what is dirtied */
	double rate = member(f, "dirty_bytes_per_second") ? number(f, "dirty_bytes_per_second") : harvested;
	double sync = number(f, "sync_seconds");
	double needed = number(f, "bandwidth_needed_bytes_per_second") / MB;
	double limit = number(f, "downtime_needed_seconds");

	if (bandwidth <= 0)
		return;
	if (member(f, "converges") && json_object_get_boolean(member(f, "converges")))
		return;
	if (!member(f, "converges")) {
		if (rate >= bandwidth)
			advise(list, "It dirtied %.1f MB/s and %.1f MB/s can be sent: it does not converge. Throttle the "
			       "guest (auto-converge), give it more bandwidth, or use post-copy; no ring size helps.",
			       rate / MB, bandwidth / MB);
		return;
	}
	/* the least downtime that it leaves, see FORECAST.md */
	if (rate < bandwidth && sync * bandwidth / (bandwidth - rate) > number(f, "downtime_limit_seconds"))
		advise(list, "Collecting the dirty pages takes %.0f ms each time, in which nothing is sent and the guest runs "
		       "on: that is in the way more than the rate.", 1e3 * sync);
	advise(list, "It dirtied %.1f MB/s and %.1f MB/s can be sent: it does not converge, at least %.1f MB are left after "
	       "any round. It takes %.1f MB/s%s, or a throttled guest (auto-converge), or post-copy; no ring size helps.",
	       rate / MB, bandwidth / MB, number(f, "least_left_bytes") / MB, needed,
	       limit > 0 && limit <= 5 ? ", or a longer downtime limit" : "");
	if (limit > 0 && limit <= 5)
		advise(list, "With a downtime limit of %.0f ms it would end at this bandwidth.", 1e3 * limit);
}

static void advise_ring(struct json_object *list, struct json_object *bill, struct json_object *ring, double seconds)
{
	double used = number(bill, "ring_used_max_ratio"), stall = number(bill, "stall_seconds");
	double size = number(ring, "size_needed_entries");

	if (number(bill, "full_exits") > 0) {
		advise(list, "Rings ran full %.0f times and vCPUs stood still for %.3f s (%.1f %% of the time): use a "
		       "larger ring, up to 65536 entries, or have the VMM harvest more often.",
		       number(bill, "full_exits"), stall, seconds > 0 ? 100 * stall / seconds : 0);
		if (size > number(ring, "size_entries"))
			advise(list, "At that rate, harvested once a second, a ring of %.0f entries would not run full.", size);
	} else if (used > 0.8) {
		advise(list, "A ring was filled to %.0f %% of its soft limit: the next size is safer.", 100 * used);
	} else if (used > 0 && used < 0.3 && number(bill, "resets") > 3) {
		advise(list, "No ring was filled to more than %.0f %%: a ring of a half, or a quarter, would do.",
		       100 * used);
	}
}

static void advise_devices(struct json_object *list, struct json_object *devices, double seconds)
{
	size_t n = devices ? json_object_array_length(devices) : 0;

	for (size_t i = 0; i < n; i++) {
		struct json_object *d = json_object_array_get_idx(devices, i);
		double misses = number(d, "iotlb_misses"), waited = number(d, "iotlb_miss_seconds");

		if (seconds > 0 && waited / seconds > 0.05)
			advise(list, "%s waited %.3f s for %.0f translations (%.1f %% of the time): larger mappings, or "
			       "a VMM that answers sooner.", text(d, "dev"), waited, misses, 100 * waited / seconds);
		if (number(d, "iotlb_evictions") > 0)
			advise(list, "%s threw %.0f translations out to make room: vhost.max_iotlb_entries is too small.",
			       text(d, "dev"), number(d, "iotlb_evictions"));
		if (number(d, "scope_full") > 0 && number(d, "dirty_gets") > 0)
			advise(list, "%s makes all that is mapped dirty in each round: its device does not pin what it "
			       "writes, so that all memory is sent again (%.0f GETs).", text(d, "dev"), number(d, "dirty_gets"));
	}
}

static void add_advice(struct json_object *session, struct json_object *f, const struct report_options *o)
{
	struct json_object *list = json_object_new_array(), *bill = member(session, "bill");
	double seconds = number(session, "seconds"), gets = number(bill, "get_calls");
	double sync = number(bill, "reset_walk_seconds") + number(bill, "flush_seconds") +
		      number(bill, "get_seconds") + number(bill, "clear_seconds");
	double mean = gets > 0 ? number(bill, "get_seconds") / gets : 0;

	advise_convergence(list, f, PAGE * number(bill, "pages_per_second"), o->bandwidth);
	advise_ring(list, bill, member(f, "ring"), seconds);
	if (mean > 0.1)
		advise(list, "A GET of the bitmap took %.0f ms on average, which is part of the downtime: use the "
		       "dirty ring, or manual protect.", 1e3 * mean);
	if (seconds > 0 && sync / seconds > 0.1)
		advise(list, "Harvesting took %.0f %% of the time: harvest less often, or use larger rings.",
		       100 * sync / seconds);
	if (number(bill, "switch_on_seconds") > 0.1)
		advise(list, "Switching dirty logging on took %.0f ms: KVM_DIRTY_LOG_INITIALLY_SET avoids the walk.",
		       1e3 * number(bill, "switch_on_seconds"));
	if (number(bill, "rejected_entries") > 0)
		advise(list, "%.0f harvested entries named no page of the VM: the VMM, or who writes to the ring, is wrong.",
		       number(bill, "rejected_entries"));
	advise_devices(list, member(session, "devices"), seconds);
	json_object_object_add(session, "advice", list);
}

void report_bills(struct json_object *report, const struct report_options *o)
{
	struct forecast_options plan = { .bandwidth = o->bandwidth, .downtime = o->downtime };

	for (size_t i = 0; i < length(report, "sessions"); i++) {
		struct json_object *session = item(report, "sessions", i), *f = NULL;
		struct view v;

		if (view_session(report, i, 0, &v)) {
			add_threads(&v, session);
			add_devices(&v, session);
			add_rounds(&v, session);
			add_qemu(&v, session);
		}
		if (strcmp(text(session, "kind"), "display"))
			f = forecast_session(report, i, &plan);
		add_advice(session, f, o);
		if (f && o->bandwidth > 0)
			json_object_object_add(session, "forecast", f);
		else
			json_object_put(f);
	}
}
