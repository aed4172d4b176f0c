// SPDX-License-Identifier: GPL-2.0
#include "recording.h"
#include "lost.h"
#include "metrics.h"
#include "migscope.h"
#include "sessions.h"
#include "vm_names.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <version.h>

#define CLOCK_STEP_S	0.25	/* the two clocks drift apart less than this between two samples */
#define GAP		2.5	/* times the interval: then a sample is missing */
#define BUSY_S		2	/* what a reader is waited for at most, when there is a next sample */
#define BUSY_END_S	30	/* and when there is none */

static const char schema[] =
	"PRAGMA application_id = 0x6d696773;"
	"CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
	"CREATE TABLE probe (source TEXT, name TEXT, how TEXT, target TEXT, state TEXT, why TEXT,"
	"  gives TEXT, PRIMARY KEY (source, name)) WITHOUT ROWID;"
	"CREATE TABLE sample (id INTEGER PRIMARY KEY, time REAL, monotonic REAL, elapsed REAL);"
	"CREATE TABLE vm (id INTEGER PRIMARY KEY, name TEXT, uuid TEXT, pid INTEGER, comm TEXT,"
	"  dirty_mode TEXT, first INTEGER, last INTEGER, ended INTEGER);"
	"CREATE TABLE series (id INTEGER PRIMARY KEY, vm INTEGER, name TEXT, type TEXT, unit TEXT,"
	"  labels TEXT);"
	"CREATE TABLE value (sample INTEGER, series INTEGER, value NUMERIC,"
	"  PRIMARY KEY (series, sample)) WITHOUT ROWID;"
	"CREATE TABLE event (sample INTEGER, vm INTEGER, kind TEXT, text TEXT);"
	"CREATE TABLE session (id INTEGER PRIMARY KEY, vm INTEGER, kind TEXT, outcome TEXT,"
	"  recognised_by TEXT, slots INTEGER, pages INTEGER, first INTEGER, last INTEGER);";

enum statement {
	META, PROBE, SAMPLE, VM, SERIES, VALUE, EVENT, SESSION, STATEMENTS
};

static const char *const text_of[STATEMENTS] = {
	[META] = "INSERT OR REPLACE INTO meta VALUES (?, ?)",
	[PROBE] = "INSERT OR REPLACE INTO probe VALUES (?, ?, ?, ?, ?, ?, ?)",
	[SAMPLE] = "INSERT INTO sample VALUES (?, ?, ?, ?)",
	[VM] = "INSERT INTO vm VALUES (?, ?, ?, ?, ?, ?, ?8, ?8, ?7)"
	       " ON CONFLICT (id) DO UPDATE SET last = ?8, ended = coalesce(ended, ?7)",
	[SERIES] = "INSERT INTO series VALUES (?, ?, ?, ?, ?, ?)",
	[VALUE] = "INSERT INTO value VALUES (?, ?, ?)",
	[EVENT] = "INSERT INTO event VALUES (?, ?, ?, ?)",
	[SESSION] = "INSERT OR REPLACE INTO session VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
};

/* A series, and what was written of it last: only what changes is written. */
struct series {
	char *key;		/* VM, name and labels; NULL: free */
	int id;
	__u64 u64;
	double number;
};

struct recording {
	struct metric_sink sink;
	sqlite3 *db;
	sqlite3_stmt *statement[STATEMENTS];
	char path[4096];
	unsigned long samples;
	unsigned long written;		/* of them; a reader may keep us from writing the others yet */
	double interval;
	double time, monotonic;		/* of the last sample */
	struct sessions *sessions;
	struct series *series;		/* hashed */
	size_t room, used;
	__u64 vm;			/* whose series are put; 0: the host's, or a device's */
	const struct model_dev *dev;	/* NULL: no device's */
	const struct model *m;
	struct probe *probe;		/* as they were written last */
	size_t probes;
	struct { __u64 id; bool alive; char qemu[24]; } *vms;
	size_t n_vms;
	__u64 lost;
	int err;
};

static int fail(struct recording *r)
{
	int code = sqlite3_errcode(r->db);

	if (code == SQLITE_FULL)
		ms_error("%s: the disk is full", r->path);
	else
		ms_error("%s: %s", r->path, sqlite3_errmsg(r->db));
	return code == SQLITE_FULL ? -ENOSPC : -EIO;
}

static int execute(struct recording *r, const char *sql)
{
	return sqlite3_exec(r->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(r);
}

/* Runs a statement whose parameters are bound; NULL for all of them afterwards. */
static int step(struct recording *r, enum statement s)
{
	int ret = sqlite3_step(r->statement[s]);

	if (ret != SQLITE_DONE)
		return fail(r);
	sqlite3_reset(r->statement[s]);
	sqlite3_clear_bindings(r->statement[s]);
	return 0;
}

static void text(struct recording *r, enum statement s, int at, const char *value)
{
	if (value)
		sqlite3_bind_text(r->statement[s], at, value, -1, SQLITE_TRANSIENT);
}

static void integer(struct recording *r, enum statement s, int at, long long value)
{
	sqlite3_bind_int64(r->statement[s], at, value);
}

static void real(struct recording *r, enum statement s, int at, double value)
{
	sqlite3_bind_double(r->statement[s], at, value);
}

static int meta_text(struct recording *r, const char *key, const char *value)
{
	text(r, META, 1, key);
	text(r, META, 2, value);
	return step(r, META);
}

static int meta_number(struct recording *r, const char *key, double value)
{
	text(r, META, 1, key);
	if (value == floor(value))
		integer(r, META, 2, value);
	else
		real(r, META, 2, value);
	return step(r, META);
}

static int event(struct recording *r, __u64 vm, const char *kind, const char *what)
{
	integer(r, EVENT, 1, r->samples);
	if (vm)
		integer(r, EVENT, 2, vm);
	text(r, EVENT, 3, kind);
	text(r, EVENT, 4, what);
	return step(r, EVENT);
}

/* --- values */

static __u64 hash(const char *key)
{
	__u64 h = 14695981039346656037ULL;

	while (*key)
		h = (h ^ (unsigned char)*key++) * 1099511628211ULL;
	return h;
}

static struct series *slot(struct series *table, size_t room, const char *key)
{
	size_t i = hash(key) & (room - 1);

	while (table[i].key && strcmp(table[i].key, key))
		i = (i + 1) & (room - 1);
	return &table[i];
}

static int grow(struct recording *r)
{
	size_t room = r->room ? 2 * r->room : 1024;
	struct series *table = calloc(room, sizeof(*table));

	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < r->room; i++)
		if (r->series[i].key)
			*slot(table, room, r->series[i].key) = r->series[i];
	free(r->series);
	r->series = table;
	r->room = room;
	return 0;
}

static char *labels_json(const struct model_dev *dev, const struct metric *m,
			 const char *const *label, const char *le)
{
	struct json_object *o = json_object_new_object();
	char *out;

	if (dev) {
		json_object_object_add(o, "vm", json_object_new_string(dev->vm));
		json_object_object_add(o, "dev", json_object_new_string(dev->dev));
	}

	for (int i = 0; i < METRIC_LABELS && m->label[i]; i++)
		json_object_object_add(o, m->label[i], json_object_new_string(label[i] ? label[i] : ""));
	if (le)
		json_object_object_add(o, "le", json_object_new_string(le));
	out = strdup(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
						    JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
	return out;
}

static int new_series(struct recording *r, struct series *s, const char *key, const struct metric *m,
		      const char *suffix, const char *const *label, const char *le)
{
	static const char *const type[] = { "gauge", "counter", "histogram" };
	char name[96], *labels = labels_json(r->dev, m, label, le);
	int err = -ENOMEM;

	s->key = strdup(key);
	if (!s->key || !labels)
		goto out;
	s->id = ++r->used;
	snprintf(name, sizeof(name), "%s%s", m->name, suffix);
	integer(r, SERIES, 1, s->id);
	if (r->vm)
		integer(r, SERIES, 2, r->vm);
	text(r, SERIES, 3, name);
	text(r, SERIES, 4, type[m->type]);
	text(r, SERIES, 5, m->unit);
	text(r, SERIES, 6, labels);
	err = step(r, SERIES);
out:
	free(labels);
	return err;
}

/* One number: @number is its value if @is_real, else @u64. */
static int put_value(struct recording *r, const struct metric *m, const char *suffix,
		     const char *const *label, const char *le, bool is_real, double number, __u64 u64)
{
	struct series *s;
	char key[512];
	bool new;
	int err;

	snprintf(key, sizeof(key), "%llu\x1f%llu\x1f%s%s\x1f%s\x1f%s\x1f%s\x1f%s", r->vm,
		 r->dev ? r->dev->id + 1 : 0, m->name, suffix,
		 label[0] ? label[0] : "", label[0] && label[1] ? label[1] : "",
		 label[0] && label[1] && label[2] ? label[2] : "", le ? le : "");
	if (2 * (r->used + 1) > r->room && grow(r))
		return -ENOMEM;
	s = slot(r->series, r->room, key);
	new = !s->key;
	if (new) {
		err = new_series(r, s, key, m, suffix, label, le);
		if (err)
			return err;
	} else if (is_real ? s->number == number : s->u64 == u64) {
		return 0;
	}
	s->number = number;
	s->u64 = u64;
	integer(r, VALUE, 1, r->samples);
	integer(r, VALUE, 2, s->id);
	if (is_real)
		real(r, VALUE, 3, number);
	else
		integer(r, VALUE, 3, u64);
	return step(r, VALUE);
}

static void put(struct metric_sink *sink, const struct metric *m, const char *const *label,
		const struct metric_value *v)
{
	struct recording *r = (struct recording *)sink;
	const struct metric_hist *h = v->hist;
	char le[32];

	if (r->err)
		return;
	if (v->kind != METRIC_HIST) {
		r->err = put_value(r, m, "", label, NULL, v->kind == METRIC_DOUBLE, v->number, v->u64);
		return;
	}
	for (size_t i = 0; i <= h->buckets && !r->err; i++) {
		if (i < h->buckets)
			snprintf(le, sizeof(le), "%.15g", h->le[i]);
		else
			strcpy(le, "+Inf");
		r->err = put_value(r, m, "_bucket", label, le, false, 0,
				   i < h->buckets ? h->count[i] : h->all);
	}
	if (!r->err && h->has_sum)
		r->err = put_value(r, m, "_count", label, NULL, false, 0, h->all);
	if (!r->err && h->has_sum)
		r->err = put_value(r, m, "_sum", label, NULL, true, h->sum, 0);
}

static int put_values(struct recording *r, const struct model *m)
{
	struct metric_at at = { .m = m, .sink = &r->sink };

	r->err = 0;
	for (enum metric_scope scope = 0; scope < METRIC_SCOPES; scope++)
		for (size_t i = 0; i < metrics_objects(m, scope); i++) {
			metrics_object(&at, scope, i);
			r->vm = at.vm ? at.vm->id : 0;
			r->dev = at.dev;
			for (size_t k = 0; k < metrics_count && !r->err; k++)
				if (metrics[k].scope == scope)
					metrics_points(&at, &metrics[k]);
		}
	return r->err;
}

/* --- what is rare */

static int put_vm(struct recording *r, const struct model_vm *vm)
{
	char comm[MS_COMM_LEN + 1], what[MODEL_NAME_MAX + 32];
	size_t i;
	int err;

	vm_names_comm(comm, sizeof(comm), vm->info.comm);
	for (i = 0; i < r->n_vms && r->vms[i].id != vm->id; i++)
		;
	if (i == r->n_vms) {
		void *more = realloc(r->vms, (r->n_vms + 1) * sizeof(*r->vms));

		if (!more)
			return -ENOMEM;
		r->vms = more;
		r->vms[r->n_vms].id = vm->id;
		r->vms[r->n_vms].qemu[0] = '\0';
		r->vms[r->n_vms++].alive = true;
		snprintf(what, sizeof(what), "%s: %s", vm->name, r->samples > 1 ? "appeared" : "was there");
		err = event(r, vm->id, "vm_seen", what);
		if (err)
			return err;
	}
	if (r->vms[i].alive && !vm->alive) {
		r->vms[i].alive = false;
		snprintf(what, sizeof(what), "%s: ended", vm->name);
		err = event(r, vm->id, "vm_ended", what);
		if (err)
			return err;
	}
	if (vm->has_qemu && strcmp(r->vms[i].qemu, vm->qemu.status)) {
		snprintf(r->vms[i].qemu, sizeof(r->vms[i].qemu), "%s", vm->qemu.status);
		err = event(r, vm->id, "qemu", vm->qemu.status);
		if (err)
			return err;
	}
	integer(r, VM, 1, vm->id);
	text(r, VM, 2, vm->name);
	text(r, VM, 3, vm->uuid);
	integer(r, VM, 4, vm->info.tgid);
	text(r, VM, 5, comm);
	text(r, VM, 6, vm->info.ring_bytes ? "ring" : "bitmap");
	if (!vm->alive)
		integer(r, VM, 7, r->samples);
	integer(r, VM, 8, r->samples);
	return step(r, VM);
}

/* Not to measure what nobody uses here is no loss: a report is not to list it. */
static const char *state_name(const struct probe *p)
{
	return probe_is_idle(p) ? "idle" : probe_state_name(p->state);
}

static int put_probes(struct recording *r, const struct model *m)
{
	char what[160];
	int err = 0;

	for (size_t i = 0; i < m->probes && !err; i++) {
		const struct probe *p = &m->probe[i];
		bool known = r->probe && i < r->probes;

		if (known && r->probe[i].state == p->state)
			continue;
		if (known) {
			snprintf(what, sizeof(what), "%s: %s, was %s", p->name, state_name(p),
				 state_name(&r->probe[i]));
			err = event(r, 0, "probe", what);
			if (err)
				return err;
		}
		text(r, PROBE, 1, p->source);
		text(r, PROBE, 2, p->name);
		text(r, PROBE, 3, probe_how_name(p->how));
		text(r, PROBE, 4, p->target);
		text(r, PROBE, 5, state_name(p));
		text(r, PROBE, 6, p->why);
		text(r, PROBE, 7, p->gives);
		err = step(r, PROBE);
	}
	if (err || !m->probes)
		return err;
	if (!r->probe)
		r->probe = calloc(m->probes, sizeof(*r->probe));
	if (!r->probe)
		return -ENOMEM;
	r->probes = m->probes;
	memcpy(r->probe, m->probe, m->probes * sizeof(*r->probe));
	return 0;
}

static int put_clocks(struct recording *r, const struct model *m)
{
	double monotonic = m->now_ns / 1e9, passed = monotonic - r->monotonic;
	double apart = m->time - r->time - passed;
	char what[96];
	int err = 0;

	if (r->samples > 1 && fabs(apart) > CLOCK_STEP_S) {
		snprintf(what, sizeof(what), "the clock was set by %+.3f s", apart);
		err = event(r, 0, "clock_step", what);
	}
	if (!err && r->samples > 1 && passed > GAP * r->interval && passed > r->interval + 0.5) {
		snprintf(what, sizeof(what), "no sample for %.3f s", passed);
		err = event(r, 0, "gap", what);
	}
	r->time = m->time;
	r->monotonic = monotonic;
	return err;
}

static int put_lost(struct recording *r, const struct model *m)
{
	__u64 sum = 0;
	char what[64];

	for (size_t i = 0; i < lost_count; i++)
		sum += lost[i].text ? m->self[lost[i].what] : 0;
	if (sum == r->lost)
		return 0;
	snprintf(what, sizeof(what), "%llu events could not be counted", sum - r->lost);
	r->lost = sum;
	return event(r, 0, "lost", what);
}

static int put_session(const struct session *s, void *arg)
{
	struct recording *r = arg;

	integer(r, SESSION, 1, s->nth);
	integer(r, SESSION, 2, s->vm);
	text(r, SESSION, 3, session_kind_name(s->kind));
	text(r, SESSION, 4, session_outcome_name(s->outcome));
	text(r, SESSION, 5, session_by_name(s->by));
	integer(r, SESSION, 6, s->slots);
	integer(r, SESSION, 7, s->pages);
	integer(r, SESSION, 8, s->begin ? s->begin : 1);
	integer(r, SESSION, 9, s->end);
	return step(r, SESSION);
}

static int put_sample(struct recording *r, const struct model *m)
{
	int err;

	integer(r, SAMPLE, 1, r->samples);
	real(r, SAMPLE, 2, m->time);
	real(r, SAMPLE, 3, m->now_ns / 1e9);
	real(r, SAMPLE, 4, m->elapsed);
	err = step(r, SAMPLE);
	if (!err)
		err = put_clocks(r, m);
	if (!err)
		err = put_probes(r, m);
	for (size_t i = 0; i < m->vms && !err; i++)
		err = put_vm(r, &m->vm[i]);
	if (!err)
		err = put_values(r, m);
	if (!err)
		err = put_lost(r, m);
	return err ? err : sessions_feed(r->sessions, m, r->samples, put_session, r);
}

/* Begins a transaction, unless a reader has kept the one before from its end. */
static int begin(struct recording *r)
{
	return sqlite3_get_autocommit(r->db) ? execute(r, "BEGIN") : 0;
}

/* -EBUSY: somebody reads; the transaction stays open, and nobody else begins to read. */
static int commit(struct recording *r)
{
	int ret = sqlite3_exec(r->db, "COMMIT", NULL, NULL, NULL);

	if (ret == SQLITE_BUSY && !sqlite3_get_autocommit(r->db))
		return -EBUSY;
	if (ret != SQLITE_OK)
		return fail(r);
	r->written = r->samples;
	return 0;
}

int recording_add(struct recording *r, const struct model *m)
{
	int err = begin(r);

	if (err)
		return err;
	r->samples++;
	err = put_sample(r, m);
	if (!err)
		err = commit(r);
	/* it is written with the next one */
	if (err == -EBUSY)
		return 0;
	if (err) {
		r->samples = r->written;
		/* SQLite may have rolled back by itself */
		sqlite3_exec(r->db, "ROLLBACK", NULL, NULL, NULL);
	}
	return err;
}

static int write_head(struct recording *r, const char *command)
{
	char kernel[300], boot[40] = "";
	struct utsname u;
	int err, fd;

	uname(&u);
	snprintf(kernel, sizeof(kernel), "%s %s %s", u.release, u.version, u.machine);
	fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		ssize_t n = read(fd, boot, 36);

		boot[n > 0 ? n : 0] = '\0';
		close(fd);
	}
	err = meta_number(r, "schema", RECORDING_SCHEMA);
	if (!err)
		err = meta_text(r, "version", MIGSCOPE_VERSION);
	if (!err)
		err = meta_text(r, "command", command);
	if (!err)
		err = meta_text(r, "kernel", kernel);
	if (!err)
		err = meta_text(r, "host", u.nodename);
	if (!err)
		err = meta_text(r, "boot_id", boot);
	if (!err)
		err = meta_number(r, "interval", r->interval);
	if (!err)
		err = meta_number(r, "page_size", 4096);
	return err ? err : meta_number(r, "complete", 0);
}

static int prepare(struct recording *r)
{
	for (int i = 0; i < STATEMENTS; i++)
		if (sqlite3_prepare_v2(r->db, text_of[i], -1, &r->statement[i], NULL) != SQLITE_OK)
			return fail(r);
	return 0;
}

int recording_new(const char *path, const char *command, double interval, struct recording **out)
{
	struct recording *r = calloc(1, sizeof(*r));
	int err = -ENOMEM, fd;

	if (!r)
		return err;
	r->sink.put = put;
	r->interval = interval;
	snprintf(r->path, sizeof(r->path), "%s", path);
	r->sessions = sessions_new();
	if (!r->sessions)
		goto fail;
	/* somebody's recording is never written over */
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0) {
		err = -errno;
		ms_error("%s: %s", path, err == -EEXIST ? "is there already" : strerror(-err));
		goto fail;
	}
	close(fd);
	err = -EIO;
	if (sqlite3_open_v2(path, &r->db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK) {
		err = fail(r);
		goto fail;
	}
	/* one file whenever nothing is being written; a reader may look while we record */
	err = execute(r, "PRAGMA journal_mode = TRUNCATE; PRAGMA synchronous = NORMAL;"
			 "PRAGMA temp_store = MEMORY");
	/* no page is written before the end: each would wait for a reader */
	if (!err)
		err = execute(r, "PRAGMA cache_spill = OFF");
	/* the next sample is not to be missed for a reader */
	sqlite3_busy_timeout(r->db, interval < 2 * BUSY_S ? interval * 500 : BUSY_S * 1000);
	if (!err)
		err = execute(r, schema);
	if (!err)
		err = prepare(r);
	if (!err)
		err = execute(r, "BEGIN");
	if (!err)
		err = write_head(r, command);
	if (!err)
		err = execute(r, "COMMIT");
	if (err)
		goto fail;
	*out = r;
	return 0;
fail:
	recording_free(r);
	return err;
}

int recording_finish(struct recording *r, const char *why)
{
	int err = begin(r);

	if (!err)
		err = meta_text(r, "ended", why);
	if (!err)
		err = meta_number(r, "complete", 1);
	sqlite3_busy_timeout(r->db, BUSY_END_S * 1000);
	if (!err)
		err = commit(r);
	if (err == -EBUSY)
		ms_error("%s: somebody reads it, and does not end", r->path);
	/* takes the empty journal away */
	return err ? err : execute(r, "PRAGMA journal_mode = DELETE");
}

unsigned long recording_samples(const struct recording *r)
{
	return r->written;
}

void recording_free(struct recording *r)
{
	if (!r)
		return;
	for (int i = 0; i < STATEMENTS; i++)
		sqlite3_finalize(r->statement[i]);
	sqlite3_close(r->db);
	for (size_t i = 0; i < r->room; i++)
		free(r->series[i].key);
	free(r->series);
	free(r->probe);
	free(r->vms);
	sessions_free(r->sessions);
	free(r);
}
