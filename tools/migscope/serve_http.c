// SPDX-License-Identifier: GPL-2.0
#include "serve_http.h"
#include "accept.h"
#include "bpf_host.h"
#include "clock.h"
#include "kernel_info.h"
#include "migrations.h"
#include "outlook.h"
#include "render.h"
#include "vm_names.h"
#include "web.h"

#include <errno.h>
#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX		128
#define CONNECTION_MEMORY	(16 * 1024)	/* what a request may need: bounds its headers */
#define IDLE_S			10
#define ANSWER_S		30	/* who reads more slowly is cut off */
#define FRESH_S			0.2	/* a sample as old as this is good enough for the next scrape */
#define STALE_S			5	/* without scrapes we look as often: VMs come and go */
#define BUSY_S			0.9	/* and while a migration goes on: its duration is as exact */
#define BEHIND_MAX		(64 * 1024 * 1024)	/* bytes of answers that only slow readers still hold */

struct connection {
	int fd;			/* -1: free */
	double since;		/* when its last request came, or was answered */
	__u64 reads;		/* the number of the answer that is sent there; 0: none of a sample */
};

enum format { CLASSIC, OPENMETRICS, JSON, LIVE, FORMATS };

/* What was rendered: there until the last who reads it has it, or is cut off. */
struct text {
	atomic_size_t *held;	/* the server's sum of them, bytes */
	size_t len;
	char *data;
};

/* An answer that was rendered, and the number of the sample that it shows. */
struct answer {
	struct MHD_Response *response;
	size_t len;
	__u64 sample, number;
};

struct server {
	const struct serve_options *o;
	pthread_mutex_t lock;	/* of all below but the connections */
	struct bpf_host *host;	/* NULL: nothing is attached yet */
	struct vm_names *names;
	struct outlook *outlook;	/* NULL: no forecasts */
	struct migrations *migrations;
	struct model now;
	double sampled;		/* CLOCK_MONOTONIC, s; 0: never */
	int err;		/* of the last sample */
	__u64 samples;		/* taken so far */
	__u64 taken;		/* CLOCK_MONOTONIC, ns, of the last that could be taken */
	struct answer answer[FORMATS];
	__u64 answers;		/* rendered so far */
	atomic_size_t held;	/* bytes of all that are still there */
	struct metric_self self;
	double sample_seconds;

	pthread_mutex_t connections_lock;
	struct connection connection[CONNECTIONS_MAX];
};

/* --- samples */

static void forget_answers(struct server *s)
{
	for (int i = 0; i < FORMATS; i++) {
		if (s->answer[i].response)
			MHD_destroy_response(s->answer[i].response);
		s->answer[i].response = NULL;
	}
}

static int take_sample(struct server *s)
{
	struct model_filter filter = { .keep = s->o->keep };
	struct model next;
	int err = model_sample(s->host, s->names, &filter, &next);

	if (err)
		return err;
	if (s->outlook)
		outlook_feed(s->outlook, &next);
	err = migrations_feed(s->migrations, &next);
	if (err) {
		model_free(&next);
		return err;
	}
	next.interval = s->samples ? (next.now_ns - s->taken) / 1e9 : 0;
	model_free(&s->now);
	s->now = next;
	s->taken = next.now_ns;
	s->samples++;
	return 0;
}

/* With the lock held: takes a sample unless the one we have is as fresh as @age. */
static int sample(struct server *s, double age)
{
	double begin = clock_seconds(CLOCK_MONOTONIC);
	int before = s->err;

	if (!s->host)
		return -ENODEV;
	if (s->sampled && begin - s->sampled < age)
		return s->err;
	s->err = take_sample(s);
	s->sampled = begin;
	/* who asks is not told why; that there is none at the very beginning is said there */
	if (s->err && s->err != before && s->samples)
		ms_error("no sample could be taken: %s", strerror(-s->err));
	if (!s->err)
		s->sample_seconds = clock_seconds(CLOCK_MONOTONIC) - begin;
	return s->err;
}

static void measure_self(struct server *s)
{
	unsigned long long pages = 0;
	struct rusage ru;
	FILE *f;

	getrusage(RUSAGE_SELF, &ru);
	s->self.cpu_seconds = ru.ru_utime.tv_sec + ru.ru_stime.tv_sec +
			      (ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6;
	f = fopen("/proc/self/statm", "re");
	if (f && fscanf(f, "%*u %llu", &pages) == 1)
		s->self.resident_bytes = pages * sysconf(_SC_PAGESIZE);
	if (f)
		fclose(f);
}

static int render(struct server *s, enum format format, char **text, size_t *len)
{
	struct openmetrics_options o = { format == OPENMETRICS, s->o->most };
	struct openmetrics_stats stats;
	double begin = clock_seconds(CLOCK_MONOTONIC);
	FILE *f;
	int err;

	if (format == JSON || format == LIVE) {
		f = open_memstream(text, len);
		if (!f)
			return -errno;
		err = format == JSON ? render_json(f, &s->now, false) : render_live(f, &s->now, s->self.start_time);
		return fclose(f) ? -errno : err;
	}
	measure_self(s);
	err = render_openmetrics(&s->now, &s->self, &o, text, len, &stats);
	if (err)
		return err;
	s->self.series = stats.series;
	s->self.dropped += stats.dropped;
	s->self.scrape_seconds = s->sample_seconds + clock_seconds(CLOCK_MONOTONIC) - begin;
	return 0;
}

static void free_text(void *arg)
{
	struct text *t = arg;

	atomic_fetch_sub(t->held, t->len);
	munmap(t->data, t->len);
	free(t);
}

/*
 * Keeps @text, @len bytes, in a mapping of its own: what is between answers that some read for
 * long would be lost to the heap.
 */
static struct MHD_Response *response_of(struct server *s, const char *text, size_t len)
{
	struct text *t = malloc(sizeof(*t));
	struct MHD_Response *r;
	char *data;

	if (!t)
		return NULL;
	/* populated: a fault for each page would cost as much as all of the rest */
	data = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
		    -1, 0);
	if (data == MAP_FAILED) {
		free(t);
		return NULL;
	}
	memcpy(data, text, len);
	*t = (struct text){ &s->held, len, data };
	atomic_fetch_add(&s->held, len);
	r = MHD_create_response_from_buffer_with_free_callback_cls(len, data, free_text, t);
	if (!r)
		free_text(t);
	return r;
}

/* With the lock held: is it the number of an answer that others get, too? */
static bool is_current(const struct server *s, __u64 number)
{
	for (int i = 0; i < FORMATS; i++)
		if (s->answer[i].response && s->answer[i].number == number)
			return true;
	return false;
}

/*
 * With the lock held: who stopped to read keeps an answer that nobody else will get. Beyond
 * BEHIND_MAX the readers of the oldest of these are cut off. One answer at a time: with each
 * sample not more than one comes for each format.
 */
static void cut_off_oldest(struct server *s)
{
	size_t current = 0;
	__u64 oldest = 0;

	for (int i = 0; i < FORMATS; i++)
		current += s->answer[i].response ? s->answer[i].len : 0;
	if (atomic_load(&s->held) <= current + BEHIND_MAX)
		return;
	pthread_mutex_lock(&s->connections_lock);
	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		__u64 reads = s->connection[i].reads;

		if (reads && (!oldest || reads < oldest) && !is_current(s, reads))
			oldest = reads;
	}
	for (size_t i = 0; oldest && i < CONNECTIONS_MAX; i++)
		if (s->connection[i].reads == oldest)
			shutdown(s->connection[i].fd, SHUT_RDWR);
	pthread_mutex_unlock(&s->connections_lock);
}

/* With the lock held: the rendered sample; all who ask for the same share one. */
static const struct answer *answer(struct server *s, enum format format)
{
	static const char *const type[FORMATS] = {
		[CLASSIC] = "text/plain; version=0.0.4; charset=utf-8",
		[OPENMETRICS] = "application/openmetrics-text; version=1.0.0; charset=utf-8",
		[JSON] = "application/json",
		[LIVE] = "application/json",
	};
	struct answer *a = &s->answer[format];
	char *text = NULL;
	size_t len;

	if (a->response && a->sample == s->samples)
		return a;
	if (render(s, format, &text, &len)) {
		free(text);
		return NULL;
	}
	if (a->response)
		MHD_destroy_response(a->response);
	*a = (struct answer){ response_of(s, text, len), len, s->samples, ++s->answers };
	free(text);
	if (!a->response)
		return NULL;
	cut_off_oldest(s);
	MHD_add_response_header(a->response, MHD_HTTP_HEADER_CONTENT_TYPE, type[format]);
	MHD_add_response_header(a->response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	MHD_add_response_header(a->response, MHD_HTTP_HEADER_VARY, "Accept");
	return a;
}

/* --- HTTP */

static struct connection *connection_of(struct server *s, struct MHD_Connection *c)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);

	for (size_t i = 0; info && i < CONNECTIONS_MAX; i++)
		if (s->connection[i].fd == info->connect_fd)
			return &s->connection[i];
	return NULL;
}

/* A request came there, is being answered by @reads, or was answered. */
static void note_connection(struct server *s, struct MHD_Connection *c, __u64 reads)
{
	struct connection *known;

	pthread_mutex_lock(&s->connections_lock);
	known = connection_of(s, c);
	if (known) {
		known->since = clock_seconds(CLOCK_MONOTONIC);
		known->reads = reads;
	}
	pthread_mutex_unlock(&s->connections_lock);
}

static enum MHD_Result say(struct MHD_Connection *c, unsigned int status, const char *text)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(strlen(text), (void *)text,
								 MHD_RESPMEM_MUST_COPY);
	enum MHD_Result ret;

	if (!r)
		return MHD_NO;
	MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain; charset=utf-8");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	ret = MHD_queue_response(c, status, r);
	MHD_destroy_response(r);
	return ret;
}

static enum MHD_Result say_sample(struct server *s, struct MHD_Connection *c, enum format format)
{
	const struct answer *a = NULL;
	enum MHD_Result ret = MHD_NO;
	int err;

	pthread_mutex_lock(&s->lock);
	err = sample(s, FRESH_S);
	if (!err)
		a = answer(s, format);
	/* MHD counts who uses it: it may be replaced while it is sent */
	if (a) {
		ret = MHD_queue_response(c, MHD_HTTP_OK, a->response);
		note_connection(s, c, a->number);
	}
	pthread_mutex_unlock(&s->lock);
	if (!a)
		return say(c, MHD_HTTP_SERVICE_UNAVAILABLE, err == -ENODEV ?
			   "nothing is attached yet\n" : "no sample could be taken\n");
	return ret;
}

static enum MHD_Result say_ready(struct server *s, struct MHD_Connection *c)
{
	bool sees;
	int err;

	pthread_mutex_lock(&s->lock);
	err = sample(s, STALE_S);
	sees = s->host && bpf_host_sees(s->host);
	pthread_mutex_unlock(&s->lock);
	if (!err && sees)
		return say(c, MHD_HTTP_OK, "ready\n");
	return say(c, MHD_HTTP_SERVICE_UNAVAILABLE, err == -ENODEV ? "nothing is attached yet\n" :
		   err ? "no sample could be taken\n" : "no probe is attached: migscope doctor says why\n");
}

static enum MHD_Result say_file(struct MHD_Connection *c, const struct web_file *file)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(file->end - file->data,
								 (void *)file->data,
								 MHD_RESPMEM_PERSISTENT);
	enum MHD_Result ret;

	if (!r)
		return MHD_NO;
	MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, file->type);
	MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-cache");
	/* names of VMs are untrusted: nothing from elsewhere runs or is loaded */
	MHD_add_response_header(r, "Content-Security-Policy",
				"default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
				"frame-ancestors 'none'; base-uri 'none'; form-action 'none'");
	MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
	ret = MHD_queue_response(c, MHD_HTTP_OK, r);
	MHD_destroy_response(r);
	return ret;
}

static enum format wanted_format(struct MHD_Connection *c)
{
	const char *accept = MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT);

	return accept_openmetrics(accept) ? OPENMETRICS : CLASSIC;
}

/* Called by MHD's one thread. */
static enum MHD_Result handle(void *arg, struct MHD_Connection *c, const char *url,
			      const char *method, const char *version, const char *upload,
			      size_t *upload_size, void **context)
{
	const struct web_file *file;
	struct server *s = arg;

	(void)version;
	(void)upload;
	/* the first call is for the headers alone */
	if (!*context) {
		*context = s;
		note_connection(s, c, 0);
		return MHD_YES;
	}
	/* a body is nothing that we want: it is read away */
	if (*upload_size) {
		*upload_size = 0;
		return MHD_YES;
	}
	if (strcmp(method, MHD_HTTP_METHOD_GET) && strcmp(method, MHD_HTTP_METHOD_HEAD))
		return say(c, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD\n");
	if (!strcmp(url, "/metrics"))
		return say_sample(s, c, wanted_format(c));
	if (!strcmp(url, "/sample.json"))
		return say_sample(s, c, JSON);
	if (!strcmp(url, "/live.json"))
		return say_sample(s, c, LIVE);
	if (!strcmp(url, "/-/healthy"))
		return say(c, MHD_HTTP_OK, "healthy\n");
	if (!strcmp(url, "/-/ready"))
		return say_ready(s, c);
	/* the report's own are for recordings */
	file = strncmp(url, "/report.", 8) ? web_find(url) : NULL;
	return file ? say_file(c, file) : say(c, MHD_HTTP_NOT_FOUND, "not here; /metrics is\n");
}

static void answered(void *arg, struct MHD_Connection *c, void **context,
		     enum MHD_RequestTerminationCode why)
{
	(void)context;
	(void)why;
	/* the next request may dribble in as well; who asks for nothing is MHD's business */
	note_connection(arg, c, 0);
}

static void connected(void *arg, struct MHD_Connection *c, void **context,
		      enum MHD_ConnectionNotificationCode what)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
	bool begins = what == MHD_CONNECTION_NOTIFY_STARTED;
	struct server *s = arg;

	(void)context;
	pthread_mutex_lock(&s->connections_lock);
	for (size_t i = 0; info && i < CONNECTIONS_MAX; i++) {
		struct connection *known = &s->connection[i];

		if (known->fd != (begins ? -1 : info->connect_fd))
			continue;
		known->fd = begins ? info->connect_fd : -1;
		/* a header that dribbles in counts as well */
		known->since = begins ? clock_seconds(CLOCK_MONOTONIC) : 0;
		known->reads = 0;
		break;
	}
	pthread_mutex_unlock(&s->connections_lock);
}

/* MHD's own limit is for those who do nothing at all. */
static void cut_off_slow(struct server *s)
{
	double now = clock_seconds(CLOCK_MONOTONIC);

	pthread_mutex_lock(&s->connections_lock);
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		if (s->connection[i].fd >= 0 && s->connection[i].since &&
		    now - s->connection[i].since > ANSWER_S)
			shutdown(s->connection[i].fd, SHUT_RDWR);
	pthread_mutex_unlock(&s->connections_lock);
}

/* No path of ours has an escape in it: what came is what is looked for. */
static size_t as_it_came(void *arg, struct MHD_Connection *c, char *text)
{
	(void)arg;
	(void)c;
	return strlen(text);
}

static void quiet(void *arg, const char *fmt, va_list ap)
{
	(void)arg;
	(void)fmt;
	(void)ap;
}

static struct MHD_Daemon *start(struct server *s, int listener)
{
	/* not epoll: at the limit of connections it notices those that close only when they time out */
	return MHD_start_daemon(MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG, 0, NULL, NULL,
				handle, s,
				/* first, so that it is for all that follows */
				MHD_OPTION_EXTERNAL_LOGGER, quiet, NULL,
				MHD_OPTION_UNESCAPE_CALLBACK, as_it_came, NULL,
				MHD_OPTION_LISTEN_SOCKET, listener,
				MHD_OPTION_CONNECTION_LIMIT, (unsigned int)CONNECTIONS_MAX,
				MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
				MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)IDLE_S,
				MHD_OPTION_NOTIFY_COMPLETED, answered, s,
				MHD_OPTION_NOTIFY_CONNECTION, connected, s,
				MHD_OPTION_END);
}

/* --- the process */

/* A host came: at the beginning, and whenever a module came or went. */
static int take_host(struct server *s, int helper)
{
	struct bpf_host *host;
	int err = bpf_host_receive(helper, s->o->opts, s->o->sources, &host);

	if (err)
		return err;
	pthread_mutex_lock(&s->lock);
	/* the model shows the probes of the host that it is from */
	forget_answers(s);
	model_free(&s->now);
	bpf_host_close(s->host);
	s->host = host;
	s->sampled = 0;
	sample(s, 0);
	pthread_mutex_unlock(&s->lock);
	return 0;
}

static int run(struct server *s, int helper)
{
	struct pollfd p = { .fd = helper, .events = POLLIN };
	int err;

	for (;;) {
		if (poll(&p, 1, 1000) < 0 && errno != EINTR)
			return -errno;
		if (p.revents) {
			err = take_host(s, helper);
			/* the helper ended: so do we */
			if (err == -EPIPE || err == -ECONNRESET)
				return 0;
			if (err)
				return err;
		}
		cut_off_slow(s);
		pthread_mutex_lock(&s->lock);
		sample(s, s->migrations->running ? BUSY_S : STALE_S);
		pthread_mutex_unlock(&s->lock);
	}
}

/* This user may not be allowed to see others' processes: that is not to say that they ended. */
static struct vm_names *names_new(void)
{
	bool hidden = access("/proc/1/stat", R_OK);

	if (hidden)
		ms_warn("/proc hides processes from this user (hidepid): VMs are called by pid, and "
			"which ended is known only where ends are hooked; --user says who may see them");
	return vm_names_new(!hidden && !kernel_info_pid_namespace());
}

int serve_http(int listener, int helper, const struct serve_options *o)
{
	struct server s = {
		.o = o,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.connections_lock = PTHREAD_MUTEX_INITIALIZER,
		.self.start_time = clock_seconds(CLOCK_REALTIME),
	};
	struct MHD_Daemon *daemon = NULL;
	int err;

	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		s.connection[i].fd = -1;
	s.names = names_new();
	s.outlook = o->bandwidth > 0 ? outlook_new(o->bandwidth, o->downtime) : NULL;
	s.migrations = migrations_new();
	if (!s.names || !s.migrations || (o->bandwidth > 0 && !s.outlook)) {
		err = -ENOMEM;
		goto out;
	}
	/* who asks before there is anything is told so: to attach may take long */
	daemon = start(&s, listener);
	if (!daemon) {
		ms_error("the HTTP server does not start: %s", strerror(errno));
		err = -EIO;
		goto out;
	}
	err = take_host(&s, helper);
	if (err) {
		/* -EPIPE: the helper has said why */
		if (err != -EPIPE)
			ms_error("nothing came from the process that attaches: %s", strerror(-err));
		goto out;
	}
	/* what cannot be read at the very beginning will not be later */
	if (s.err) {
		err = s.err;
		ms_error("what was attached cannot be read: %s", strerror(-err));
		goto out;
	}
	err = send(helper, "", 1, MSG_NOSIGNAL) == 1 ? run(&s, helper) : -errno;
out:
	if (daemon)
		MHD_stop_daemon(daemon);
	forget_answers(&s);
	model_free(&s.now);
	bpf_host_close(s.host);
	vm_names_free(s.names);
	outlook_free(s.outlook);
	migrations_free(s.migrations);
	return err ? MS_EXIT_FAILURE : MS_EXIT_OK;
}
