// SPDX-License-Identifier: GPL-2.0
#include "report.h"
#include "migscope.h"
#include "recording.h"
#include "report_bill.h"
#include "vm_names.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct reader {
	sqlite3 *db;
	const char *path;
	bool failed;
};

/* A statement with integer parameters, -1 after the last; NULL and failed: no. */
static sqlite3_stmt *prepare(struct reader *r, const char *sql, ...)
{
	sqlite3_stmt *s = NULL;
	long long value;
	va_list ap;

	if (r->failed || sqlite3_prepare_v2(r->db, sql, -1, &s, NULL) != SQLITE_OK) {
		r->failed = true;
		return NULL;
	}
	va_start(ap, sql);
	for (int i = 1; (value = va_arg(ap, long long)) >= 0; i++)
		sqlite3_bind_int64(s, i, value);
	va_end(ap);
	return s;
}

/* True for each row; at the end the statement is gone. */
static bool row(struct reader *r, sqlite3_stmt *s)
{
	int ret = s ? sqlite3_step(s) : SQLITE_ERROR;

	if (ret == SQLITE_ROW)
		return true;
	r->failed |= ret != SQLITE_DONE;
	sqlite3_finalize(s);
	return false;
}

static struct json_object *number(sqlite3_stmt *s, int column)
{
	char text[40];

	if (sqlite3_column_type(s, column) == SQLITE_INTEGER)
		return json_object_new_int64(sqlite3_column_int64(s, column));
	if (sqlite3_column_type(s, column) != SQLITE_FLOAT)
		return NULL;
	snprintf(text, sizeof(text), "%.15g", sqlite3_column_double(s, column));
	return json_object_new_double_s(sqlite3_column_double(s, column), text);
}

static struct json_object *string(sqlite3_stmt *s, int column)
{
	const char *text = (const char *)sqlite3_column_text(s, column);

	return text ? json_object_new_string(text) : NULL;
}

/*
 * The row as an object: the columns' names are the keys, NULLs are left out. What is asked for is
 * named: columns that somebody added would be taken for what is put into it later.
 */
static struct json_object *row_object(sqlite3_stmt *s)
{
	struct json_object *o = json_object_new_object();

	for (int i = 0; i < sqlite3_column_count(s); i++) {
		int type = sqlite3_column_type(s, i);

		if (type != SQLITE_NULL)
			json_object_object_add(o, sqlite3_column_name(s, i),
					       type == SQLITE_TEXT ? string(s, i) : number(s, i));
	}
	return o;
}

static struct json_object *rows(struct reader *r, const char *sql)
{
	struct json_object *list = json_object_new_array();
	sqlite3_stmt *s = prepare(r, sql, -1LL);

	while (row(r, s))
		json_object_array_add(list, row_object(s));
	return list;
}

static double scalar(struct reader *r, const char *sql, long long a, long long b, long long c)
{
	sqlite3_stmt *s = prepare(r, sql, a, b, c, -1LL);
	double value = 0;

	while (row(r, s))
		value = sqlite3_column_double(s, 0);
	return value;
}

static struct json_object *read_meta(struct reader *r)
{
	struct json_object *o = json_object_new_object();
	sqlite3_stmt *s = prepare(r, "SELECT key, value FROM meta WHERE key IS NOT NULL ORDER BY key", -1LL);

	while (row(r, s))
		json_object_object_add(o, (const char *)sqlite3_column_text(s, 0),
				       sqlite3_column_type(s, 1) == SQLITE_TEXT ? string(s, 1) : number(s, 1));
	return o;
}

/* What a VM's series, or the host's (@vm 0), were: [number of the sample, value], .. */
static struct json_object *read_series(struct reader *r, long long vm)
{
	struct json_object *list = json_object_new_array();
	sqlite3_stmt *s = prepare(r, "SELECT id, name, type, unit, labels FROM series"
				     " WHERE ifnull(vm, 0) = ? ORDER BY id", vm, -1LL);

	while (row(r, s)) {
		struct json_object *o = row_object(s), *points = json_object_new_array();
		const char *labels = (const char *)sqlite3_column_text(s, 4);
		sqlite3_stmt *v = prepare(r, "SELECT sample, value FROM value WHERE series = ?"
					     " ORDER BY sample", sqlite3_column_int64(s, 0), -1LL);

		while (row(r, v)) {
			struct json_object *point = json_object_new_array();

			json_object_array_add(point, json_object_new_int64(sqlite3_column_int64(v, 0)));
			json_object_array_add(point, number(v, 1));
			json_object_array_add(points, point);
		}
		json_object_object_del(o, "id");
		json_object_object_add(o, "labels", labels ? json_tokener_parse(labels) : NULL);
		json_object_object_add(o, "points", points);
		json_object_array_add(list, o);
	}
	return list;
}

static struct json_object *read_vms(struct reader *r)
{
	struct json_object *list = rows(r, "SELECT id, name, uuid, pid, comm, dirty_mode, first, last, ended"
					   " FROM vm ORDER BY id"), *id;

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *vm = json_object_array_get_idx(list, i);

		if (json_object_object_get_ex(vm, "id", &id))
			json_object_object_add(vm, "series", read_series(r, json_object_get_int64(id)));
	}
	return list;
}

/* What a session's counters say: its last sample less the one before it. */
#define AT(series, sample) \
	"ifnull((SELECT v.value FROM value v WHERE v.series = " series " AND v.sample <= " sample \
	" ORDER BY v.sample DESC LIMIT 1), 0)"

static double delta(struct reader *r, const char *name, long long vm, long long first, long long last)
{
	char sql[600];

	snprintf(sql, sizeof(sql), "SELECT total(" AT("s.id", "?3") " - " AT("s.id", "?2") ")"
		 " FROM series s WHERE s.vm = ?1 AND s.name || ifnull(json_extract(s.labels, '$.op'), '') = '%s'",
		 name);
	return scalar(r, sql, vm, first, last);
}

static bool has(struct reader *r, const char *name, long long vm)
{
	char sql[200];

	snprintf(sql, sizeof(sql), "SELECT count(*) FROM series WHERE vm = ?1 AND"
		 " name || ifnull(json_extract(labels, '$.op'), '') = '%s' AND ?2 = ?3", name);
	return scalar(r, sql, vm, 0, 0) > 0;
}

static struct json_object *real(double value)
{
	char text[40];

	snprintf(text, sizeof(text), "%.9g", value);
	return json_object_new_double_s(value, text);
}

/* The bill's lines that are plain differences; what is not measured has none. */
static const struct {
	const char *key, *series;
} lines[] = {
	{ "resets", "ring_resets" },
	{ "reset_entries", "ring_reset_entries" },
	{ "reset_walk_seconds", "ring_reset_seconds_sum" },
	{ "flush_seconds", "ring_flush_seconds" },
	{ "reset_mmu_calls", "ring_reset_mmu_calls" },
	{ "rejected_entries", "ring_entries_rejected" },
	{ "full_exits", "ring_full_exits" },
	{ "stalls", "ring_full_stall_seconds_count" },
	{ "stall_seconds", "ring_full_stall_seconds_sum" },
	{ "stalls_unfinished", "ring_full_unfinished" },
	{ "get_calls", "dirty_log_sync_seconds_countget" },
	{ "get_seconds", "dirty_log_sync_seconds_sumget" },
	{ "get_bytes", "dirty_log_sync_bytesget" },
	{ "clear_calls", "dirty_log_sync_seconds_countclear" },
	{ "clear_seconds", "dirty_log_sync_seconds_sumclear" },
	{ "clear_bytes", "dirty_log_sync_bytesclear" },
	{ "switch_on_seconds", "dirty_logging_toggle_seconds_sumon" },
	{ "switch_off_seconds", "dirty_logging_toggle_seconds_sumoff" },
};

static double get(struct json_object *o, const char *key)
{
	struct json_object *value;

	return json_object_object_get_ex(o, key, &value) ? json_object_get_double(value) : 0;
}

/*
 * The highest fill of a ring is that of the last minute, and there only where it changes: one that
 * was as high before the session stands there unsaid.
 */
static double ring_used(struct reader *r, long long vm, long long first, long long last)
{
	return scalar(r, "WITH used AS (SELECT v.sample, v.value FROM value v, series s WHERE s.vm = ?1 AND"
			 " s.name = 'ring_used_entries_max' AND v.series = s.id) SELECT ifnull("
			 "(SELECT max(value) FROM used WHERE sample > ?2 AND sample <= ?3),"
			 "(SELECT value FROM used WHERE sample <= ?2 ORDER BY sample DESC LIMIT 1)) * 1.0 /"
			 " (SELECT max(v.value) FROM value v, series s WHERE s.vm = ?1 AND"
			 " s.name = 'ring_soft_limit_entries' AND v.series = s.id)", vm, first, last);
}

static struct json_object *read_bill(struct reader *r, long long vm, long long first, long long last,
				     double seconds)
{
	struct json_object *bill = json_object_new_object();
	double rounds, pages;

	if (has(r, "dirty_pages", vm)) {
		pages = delta(r, "dirty_pages", vm, first, last);
		json_object_object_add(bill, "pages", real(pages));
		json_object_object_add(bill, "pages_per_second", real(seconds > 0 ? pages / seconds : 0));
	}
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (has(r, lines[i].series, vm))
			json_object_object_add(bill, lines[i].key,
					       real(delta(r, lines[i].series, vm, first, last)));
	/* a reset is of all rings; GETs are of single slots */
	rounds = get(bill, "resets");
	if (rounds > 0 && json_object_object_get_ex(bill, "pages", NULL))
		json_object_object_add(bill, "pages_per_reset", real(get(bill, "pages") / rounds));
	if (has(r, "ring_soft_limit_entries", vm) && has(r, "ring_used_entries_max", vm))
		json_object_object_add(bill, "ring_used_max_ratio", real(ring_used(r, vm, first, last)));
	return bill;
}

static struct json_object *read_sessions(struct reader *r)
{
	struct json_object *list = rows(r, "SELECT s.id, s.vm, s.kind, s.outcome, s.recognised_by, s.slots,"
					   " s.pages, s.first, s.last, v.name AS name,"
					   " a.time AS begin, b.time AS end,"
					   " b.monotonic - a.monotonic AS seconds FROM session s, vm v, sample a, sample b"
					   " WHERE v.id = s.vm AND a.id = s.first AND b.id = s.last ORDER BY s.id");

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *s = json_object_array_get_idx(list, i), *bill;

		bill = read_bill(r, get(s, "vm"), get(s, "first"), get(s, "last"), get(s, "seconds"));
		json_object_object_add(s, "bill", bill);
	}
	return list;
}

/* A column of all samples. */
static struct json_object *read_samples(struct reader *r, const char *sql)
{
	struct json_object *list = json_object_new_array();
	sqlite3_stmt *s = prepare(r, sql, -1LL);

	while (row(r, s)) {
		char text[40];

		snprintf(text, sizeof(text), "%.6f", sqlite3_column_double(s, 0));
		json_object_array_add(list, json_object_new_double_s(sqlite3_column_double(s, 0), text));
	}
	return list;
}

/* Whoever wrote the file: what goes to a terminal, or into a page, is text. */
static void clean(struct json_object *o)
{
	const char *raw;
	char *text;

	if (json_object_is_type(o, json_type_object)) {
		json_object_object_foreach(o, key, value) {
			(void)key;
			clean(value);
		}
	} else if (json_object_is_type(o, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(o); i++)
			clean(json_object_array_get_idx(o, i));
	} else if (json_object_is_type(o, json_type_string)) {
		raw = json_object_get_string(o);
		text = malloc(strlen(raw) + 1);
		if (text) {
			vm_names_clean(text, strlen(raw) + 1, raw);
			if (strcmp(text, raw))
				json_object_set_string(o, text);
		}
		free(text);
	}
}

/* What is wrong with the file as a whole; NULL: nothing. */
static const char *check(struct reader *r)
{
	const char *problem = "this is no recording of migscope";
	sqlite3_stmt *s;
	bool sound = false;

	if (scalar(r, "SELECT count(*) FROM sqlite_master WHERE name IN ('meta', 'sample', 'value')", 0, 0, 0) != 3)
		return r->failed ? "damaged, or no recording of migscope" : problem;
	if (scalar(r, "SELECT value FROM meta WHERE key = 'schema'", 0, 0, 0) != RECORDING_SCHEMA)
		return "of another version of migscope";
	s = prepare(r, "PRAGMA quick_check(1)", -1LL);
	while (row(r, s))
		sound = !strcmp((const char *)sqlite3_column_text(s, 0), "ok");
	return sound && !r->failed ? NULL : "damaged: parts of it cannot be read";
}

struct json_object *report_read(const char *path, const struct report_options *o)
{
	struct reader r = { .path = path };
	struct json_object *report = NULL;
	const char *problem;

	if (access(path, R_OK)) {
		ms_error("%s: %s", path, strerror(errno));
		return NULL;
	}
	/* writable if it may be: what a crash left half written is taken back first */
	if (sqlite3_open_v2(path, &r.db, access(path, W_OK) ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE,
			    NULL) != SQLITE_OK) {
		ms_error("%s: %s", path, sqlite3_errmsg(r.db));
		goto out;
	}
	sqlite3_busy_timeout(r.db, 5000);
	problem = check(&r);
	if (problem) {
		ms_error("%s: %s", path, problem);
		goto out;
	}
	/* all of one moment, should somebody still record */
	sqlite3_exec(r.db, "BEGIN", NULL, NULL, NULL);
	report = json_object_new_object();
	json_object_object_add(report, "schema", json_object_new_int(RECORDING_SCHEMA));
	json_object_object_add(report, "recording", read_meta(&r));
	json_object_object_add(report, "not_measured",
			       rows(&r, "SELECT source, name AS probe, state, why, gives AS lost FROM probe"
					" WHERE state NOT IN ('attached', 'off', 'idle')"
					" AND gives IS NOT NULL ORDER BY source, why, gives"));
	json_object_object_add(report, "events",
			       rows(&r, "SELECT s.time AS time, e.sample, e.vm, e.kind, e.text"
					" FROM event e, sample s WHERE s.id = e.sample ORDER BY e.rowid"));
	json_object_object_add(report, "sessions", read_sessions(&r));
	json_object_object_add(report, "samples", read_samples(&r, "SELECT time FROM sample ORDER BY id"));
	json_object_object_add(report, "elapsed",
			       read_samples(&r, "SELECT elapsed FROM sample ORDER BY id"));
	json_object_object_add(report, "vms", read_vms(&r));
	json_object_object_add(report, "host", read_series(&r, 0));
	/* who still records waits for us */
	if (!r.failed)
		sqlite3_exec(r.db, "COMMIT", NULL, NULL, NULL);
	if (r.failed) {
		ms_error("%s: %s", path, sqlite3_errmsg(r.db));
		json_object_put(report);
		report = NULL;
	}
	clean(report);
	if (report)
		report_bills(report, o);
out:
	sqlite3_close(r.db);
	return report;
}
