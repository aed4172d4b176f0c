// SPDX-License-Identifier: GPL-2.0
#include "qmp.h"
#include "clock.h"
#include "migscope.h"
#include "vm_names.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_S	5
#define LINE_MAX_BYTES	(4 << 20)	/* query-migrate of a large VM is a few KiB */

struct qmp {
	int fd;
	pid_t pid;
	char *buf;		/* what came, up to and with the next line's beginning */
	size_t len, room;
	char error[200];
};

__attribute__((format(printf, 3, 4)))
static int fail(struct qmp *q, int err, const char *fmt, ...)
{
	char words[sizeof(q->error)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(words, sizeof(words), fmt, ap);
	va_end(ap);
	/* QEMU's own, in one line */
	for (char *p = words; *p; p++)
		if (isspace((unsigned char)*p))
			*p = ' ';
	vm_names_clean(q->error, sizeof(q->error), words);
	return err;
}

const char *qmp_error(const struct qmp *q)
{
	return q->error;
}

pid_t qmp_pid(const struct qmp *q)
{
	return q->pid;
}

static int no_answer(struct qmp *q)
{
	return fail(q, -ETIMEDOUT, "it does not answer; a monitor takes one client at a time");
}

static int receive(struct qmp *q, double deadline)
{
	struct pollfd p = { .fd = q->fd, .events = POLLIN };
	double left = deadline - clock_seconds(CLOCK_MONOTONIC);
	ssize_t got;
	char *more;

	if (left <= 0 || !poll(&p, 1, left * 1e3 + 1))
		return no_answer(q);
	if (q->len + 65536 > q->room) {
		if (q->room > LINE_MAX_BYTES)
			return fail(q, -EMSGSIZE, "it talks without an end");
		more = realloc(q->buf, q->room + (1 << 18));
		if (!more)
			return fail(q, -ENOMEM, "no memory");
		q->buf = more;
		q->room += 1 << 18;
	}
	got = recv(q->fd, q->buf + q->len, q->room - q->len - 1, MSG_DONTWAIT);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (got <= 0)
		return fail(q, -EPIPE, "it closed the connection");
	q->len += got;
	return 0;
}

/* The next object that it says; *@out for json_object_put(). */
static int next_object(struct qmp *q, double deadline, struct json_object **out)
{
	char *end;
	int err;

	while (!q->len || !(end = memchr(q->buf, '\n', q->len))) {
		err = receive(q, deadline);
		if (err)
			return err;
	}
	*end = '\0';
	*out = json_tokener_parse(q->buf);
	q->len -= end + 1 - q->buf;
	memmove(q->buf, end + 1, q->len);
	return *out ? 0 : fail(q, -EPROTO, "what it says is no JSON");
}

/* Empty where it is not there, or null. */
static const char *get_text(struct json_object *o, const char *key)
{
	struct json_object *value = NULL;

	return o && json_object_object_get_ex(o, key, &value) && value ? json_object_get_string(value) : "";
}

int qmp_command(struct qmp *q, const char *name, struct json_object *arguments,
		struct json_object **answer)
{
	struct json_object *o = json_object_new_object(), *value;
	double deadline = clock_seconds(CLOCK_MONOTONIC) + ANSWER_S;
	const char *text, *why;
	bool sent;
	int err;

	*answer = NULL;
	json_object_object_add(o, "execute", json_object_new_string(name));
	if (arguments)
		json_object_object_add(o, "arguments", arguments);
	text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
	sent = send(q->fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text) &&
	       send(q->fd, "\n", 1, MSG_NOSIGNAL) == 1;
	err = errno;
	json_object_put(o);
	if (!sent)
		return err == EAGAIN ? no_answer(q) : fail(q, -EPIPE, "it closed the connection");
	/* events come in between */
	for (;;) {
		err = next_object(q, deadline, &o);
		if (err)
			return err;
		if (json_object_object_get_ex(o, "return", &value)) {
			*answer = json_object_get(value);
			json_object_put(o);
			return 0;
		}
		if (json_object_object_get_ex(o, "error", &value)) {
			why = get_text(value, "desc");
			err = fail(q, -EREMOTEIO, "%s: %s", name, *why ? why : "no reason given");
			json_object_put(o);
			return err;
		}
		json_object_put(o);
	}
}

static int greet(struct qmp *q)
{
	struct json_object *o, *value;
	bool qmp;
	int err = next_object(q, clock_seconds(CLOCK_MONOTONIC) + ANSWER_S, &o);

	if (err)
		return err;
	qmp = json_object_object_get_ex(o, "QMP", &value);
	json_object_put(o);
	if (!qmp)
		return fail(q, -EPROTO, "this is no QMP monitor");
	err = qmp_command(q, "qmp_capabilities", NULL, &o);
	json_object_put(o);
	return err;
}

int qmp_open(const char *path, struct qmp **out)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct timeval bound = { .tv_sec = ANSWER_S };
	struct qmp *q = calloc(1, sizeof(*q));
	struct ucred peer = { 0 };
	socklen_t len = sizeof(peer);
	int err = -ENOMEM;

	if (!q)
		return err;
	q->fd = -1;
	if (strlen(path) >= sizeof(addr.sun_path)) {
		err = fail(q, -ENAMETOOLONG, "a socket's path is shorter");
		goto fail;
	}
	strcpy(addr.sun_path, path);
	q->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* while others wait for a monitor that somebody has, to connect would block for as long */
	if (q->fd < 0 || setsockopt(q->fd, SOL_SOCKET, SO_SNDTIMEO, &bound, sizeof(bound)) ||
	    connect(q->fd, (struct sockaddr *)&addr, sizeof(addr))) {
		err = errno == EAGAIN ? no_answer(q) : fail(q, -errno, "%s", strerror(errno));
		goto fail;
	}
	if (!getsockopt(q->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len))
		q->pid = peer.pid;
	err = greet(q);
	if (err)
		goto fail;
	*out = q;
	return 0;
fail:
	ms_error("%s: %s", path, q->error);
	qmp_close(q);
	return err;
}

void qmp_close(struct qmp *q)
{
	if (!q)
		return;
	if (q->fd >= 0)
		close(q->fd);
	free(q->buf);
	free(q);
}

static double get(struct json_object *o, const char *key)
{
	struct json_object *value;

	return o && json_object_object_get_ex(o, key, &value) ? json_object_get_double(value) : 0;
}

int qmp_migration(struct qmp *q, struct model_qemu *m)
{
	struct json_object *o, *ram = NULL;
	int err = qmp_command(q, "query-migrate", NULL, &o);

	if (err)
		return err;
	memset(m, 0, sizeof(*m));
	/* before the first migration it says nothing at all */
	vm_names_clean(m->status, sizeof(m->status), get_text(o, "status"));
	json_object_object_get_ex(o, "ram", &ram);
	m->total_seconds = get(o, "total-time") / 1e3;
	m->setup_seconds = get(o, "setup-time") / 1e3;
	m->downtime_seconds = get(o, "downtime") / 1e3;
	m->expected_downtime_seconds = get(o, "expected-downtime") / 1e3;
	m->rounds = get(ram, "dirty-sync-count");
	m->transferred_bytes = get(ram, "transferred");
	m->remaining_bytes = get(ram, "remaining");
	m->total_bytes = get(ram, "total");
	m->normal_pages = get(ram, "normal");
	m->zero_pages = get(ram, "duplicate");
	m->bytes_per_second = get(ram, "mbps") * 1e6 / 8;
	m->dirty_pages_per_second = get(ram, "dirty-pages-rate");
	json_object_put(o);
	return 0;
}

int qmp_limits(struct qmp *q, double *bandwidth, double *downtime)
{
	struct json_object *o;
	int err = qmp_command(q, "query-migrate-parameters", NULL, &o);

	if (err)
		return err;
	*bandwidth = get(o, "max-bandwidth");
	*downtime = get(o, "downtime-limit") / 1e3;
	json_object_put(o);
	return 0;
}

int qmp_dirty_rate(struct qmp *q, int seconds, double *rate)
{
	struct json_object *o = json_object_new_object();
	double end = clock_seconds(CLOCK_MONOTONIC) + seconds + 30;
	bool measured = false;
	int err;

	json_object_object_add(o, "calc-time", json_object_new_int(seconds));
	err = qmp_command(q, "calc-dirty-rate", o, &o);
	json_object_put(o);
	while (!err && !measured) {
		if (clock_sleep_until(clock_seconds(CLOCK_MONOTONIC) + 0.2, -1) || ms_stop)
			return fail(q, -EINTR, "interrupted");
		err = qmp_command(q, "query-dirty-rate", NULL, &o);
		if (err)
			break;
		measured = !strcmp(get_text(o, "status"), "measured");
		*rate = get(o, "dirty-rate") * (1 << 20);
		json_object_put(o);
		if (!measured && clock_seconds(CLOCK_MONOTONIC) > end)
			err = fail(q, -ETIMEDOUT, "calc-dirty-rate does not end");
	}
	return err;
}
