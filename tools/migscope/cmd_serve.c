// SPDX-License-Identifier: GPL-2.0
/*
 * migscope serve: two processes. This one attaches, keeps the capabilities for that,
 * looks for modules that come, and never reads a byte from the network. The other,
 * which has no privileges at all, gets descriptors of maps and answers HTTP.
 */
#include "bpf_host.h"
#include "kernel_info.h"
#include "migscope.h"
#include "notify.h"
#include "privileges.h"
#include "render.h"
#include "serve_http.h"

#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_MS		1000	/* how often for modules that came */
#define STOP_MS		5000	/* what the other process gets to end */

struct args {
	const char *listen;
	const char *user;
	const char *pin;
	struct serve_options serve;
};

enum { OPT_KEEP = 256, OPT_MOST, OPT_USER, OPT_PIN };

static const struct argp_option options[] = {
	{ "listen", 'l', "ADDRESS:PORT", 0, "Listen there (127.0.0.1:9788; [::1]:9788; PORT 0: any)", 0 },
	{ "source", 's', "NAME,..", 0, "Watch these sources only", 0 },
	{ "bandwidth", 'b', "MB/S", 0, "What a migration may send: then it is forecast whether one converges", 0 },
	{ "downtime", 'D', "TIME", 0, "What downtime it may cause (300ms)", 0 },
	{ "keep", OPT_KEEP, "TIME", 0, "Keep the series of a VM for TIME after its end (15m)", 0 },
	{ "max-series", OPT_MOST, "N", 0, "Export at most N series; what is over is left out first, and devices before VMs (100000)", 0 },
	{ "pin", OPT_PIN, "DIR", 0,
	  "Keep probes and counters below DIR on a bpf file system, and take over what is there", 0 },
	{ "user", OPT_USER, "NAME", 0, "The process that answers HTTP runs as NAME (nobody)", 0 },
	{ 0 }
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;

	switch (key) {
	case 'l':
		a->listen = arg;
		return 0;
	case 's':
		a->serve.sources = arg;
		return 0;
	case OPT_KEEP:
		a->serve.keep = ms_parse_time(arg);
		if (a->serve.keep < 0)
			argp_error(state, "%s: not a duration (10s, 2m, 1h)", arg);
		return 0;
	case OPT_MOST:
		a->serve.most = ms_parse_count(arg);
		if (!a->serve.most)
			argp_error(state, "%s: not a number of series", arg);
		return 0;
	case 'b':
		a->serve.bandwidth = ms_parse_megabytes(arg);
		if (a->serve.bandwidth < 0)
			argp_error(state, "%s: not a number of MB/s", arg);
		return 0;
	case 'D':
		a->serve.downtime = ms_parse_time(arg);
		if (a->serve.downtime < 0)
			argp_error(state, "%s: not a duration (300ms, 1s)", arg);
		return 0;
	case OPT_PIN:
		/* names below it must fit as well */
		if (strlen(arg) > PATH_MAX - 64)
			argp_error(state, "that path is too long");
		a->pin = arg;
		return 0;
	case OPT_USER:
		a->user = arg;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "%s: no argument is expected", arg);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp argp = {
	options, parse, NULL,
	"Serves /metrics for Prometheus (OpenMetrics 1.0, or the classic text format, as the "
	"scraper asks), a live page at /, /sample.json, /-/healthy and /-/ready. There is neither "
	"encryption nor authentication: for other hosts than this put a proxy before it.\v"
	"Exit status: 0 ended by a signal, 1 failure, 2 usage, 3 nothing can be measured here.",
	NULL, NULL, NULL
};

static bool is_port(const char *text)
{
	return strspn(text, "0123456789") == strlen(text) && strtoul(text, NULL, 10) <= UINT16_MAX;
}

/* Splits ADDRESS:PORT, [ADDRESS]:PORT; false if it is neither. */
static bool split(const char *listen, char *host, size_t host_size, char *port, size_t port_size)
{
	const char *colon = strrchr(listen, ':'), *begin = listen;
	size_t len;

	if (!colon || !colon[1] || strlen(colon + 1) >= port_size)
		return false;
	len = colon - begin;
	if (*begin == '[') {
		if (len < 2 || begin[len - 1] != ']')
			return false;
		begin++;
		len -= 2;
	} else if (memchr(begin, ':', len)) {
		return false;
	}
	if (!len || len >= host_size || !is_port(colon + 1))
		return false;
	memcpy(host, begin, len);
	host[len] = '\0';
	strcpy(port, colon + 1);
	return true;
}

/* A listening socket, or -EINVAL when the argument makes no sense, or -errno; said why. */
static int listen_on(const char *where)
{
	struct addrinfo hints = {
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
		.ai_socktype = SOCK_STREAM,
	}, *ai = NULL;
	char host[64], port[8];
	int fd = -1, one = 1, err;

	if (!split(where, host, sizeof(host), port, sizeof(port)) ||
	    getaddrinfo(host, port, &hints, &ai)) {
		ms_error("%s: not ADDRESS:PORT, with numbers", where);
		return -EINVAL;
	}
	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, ai->ai_addr, ai->ai_addrlen) || listen(fd, 128)) {
		err = -errno;
		ms_error("%s: %s", where, strerror(-err));
		if (fd >= 0)
			close(fd);
		fd = err == -EINVAL ? -EIO : err;
	}
	freeaddrinfo(ai);
	return fd;
}

/* ADDRESS:PORT of a socket, as a URL has it. */
static void name_of(int fd, char *buf, size_t size)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	char host[64] = "?", port[8] = "?";

	if (!getsockname(fd, (struct sockaddr *)&ss, &len))
		getnameinfo((struct sockaddr *)&ss, len, host, sizeof(host), port, sizeof(port),
			    NI_NUMERICHOST | NI_NUMERICSERV);
	snprintf(buf, size, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}

/* In the new process: keeps the two descriptors and nothing else of ours. */
__attribute__((noreturn))
static void become_http(const struct args *a, const struct privileges_user *as, int listener, int helper)
{
	int status = MS_EXIT_FAILURE;

	/* it ends when the helper does, not by what a terminal sends to both */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	prctl(PR_SET_NAME, "migscope-http");
	if (!privileges_drop(as))
		status = serve_http(listener, helper, &a->serve);
	fflush(stdout);
	_exit(status);
}

/* Waits until @sock can be read or @timeout has passed; signals are let in. */
static bool wait_for(int sock, int timeout)
{
	struct timespec ts = { timeout / 1000, timeout % 1000 * 1000000L };
	struct pollfd p = { .fd = sock, .events = POLLIN };
	sigset_t none;

	sigemptyset(&none);
	return ppoll(&p, 1, &ts, &none) > 0;
}

/* Passes on what comes and goes, until a signal, or the other process's end. */
static int look_after(struct bpf_host *host, int sock)
{
	int err;

	while (!ms_stop) {
		if (wait_for(sock, LOOK_MS)) {
			/* it never says anything but that it is there */
			ms_error("the process that answers HTTP is gone");
			return MS_EXIT_FAILURE;
		}
		bpf_host_count_missed(host);
		if (ms_stop || !bpf_host_stale(host))
			continue;
		bpf_host_attach(host);
		err = bpf_host_send(host, sock);
		if (err) {
			ms_error("probes cannot be passed on: %s", strerror(-err));
			return MS_EXIT_FAILURE;
		}
	}
	return MS_EXIT_OK;
}

static int attach(const struct ms_opts *opts, const struct args *a, struct bpf_host **host)
{
	int err = bpf_host_open(opts, a->serve.sources, host);

	if (err)
		return err == -EINVAL ? MS_EXIT_USAGE : MS_EXIT_FAILURE;
	if (a->pin && bpf_host_keep(*host, a->pin))
		return MS_EXIT_FAILURE;
	bpf_host_attach(*host);
	if (!bpf_host_blind(*host))
		return MS_EXIT_OK;
	ms_error("nothing of what was asked for can be measured here; migscope doctor says why");
	return MS_EXIT_BLIND;
}

static void say_ready(const struct bpf_host *host, int listener)
{
	const char *note = kernel_info_pid_namespace();
	char where[96], status[256];
	size_t n, attached, all;
	const struct probe *probe = bpf_host_probes(host, &n);

	all = probes_wanted(probe, n, &attached);
	name_of(listener, where, sizeof(where));
	if (note)
		ms_warn("%s", note);
	snprintf(status, sizeof(status), "READY=1\nSTATUS=http://%s/metrics, %zu of %zu probes attached",
		 where, attached, all);
	printf("serving http://%s/metrics, %zu of %zu probes attached%s\n", where, attached, all,
	       bpf_host_waits(host) ? "; waiting for modules to be loaded" : "");
	notify(status);
}

/* Gives the other process time to end; it does when its socket is closed. */
static int reap(pid_t pid)
{
	int status = 0;

	for (int i = 0; i < STOP_MS / 50; i++) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return WIFEXITED(status) ? WEXITSTATUS(status) : MS_EXIT_FAILURE;
		usleep(50000);
	}
	/* another user's, and the capability for that was given up with the others */
	if (kill(pid, SIGKILL)) {
		ms_error("the process that answers HTTP (pid %d) does not end, and cannot be killed: %s",
			 pid, strerror(errno));
		return MS_EXIT_FAILURE;
	}
	waitpid(pid, &status, 0);
	ms_error("the process that answers HTTP did not end: killed");
	return MS_EXIT_FAILURE;
}

int cmd_serve(const struct ms_opts *opts, int argc, char **argv)
{
	struct args a = { .listen = "127.0.0.1:9788", .serve = { .opts = opts, .most = 100000, .downtime = 0.3 } };
	int sock[2], listener, ret = MS_EXIT_FAILURE, err, status;
	struct bpf_host *host = NULL;
	struct privileges_user as;
	char there;
	pid_t pid;

	if (argp_parse(&argp, argc, argv, 0, NULL, &a))
		return MS_EXIT_USAGE;
	if (privileges_find(a.user, &as))
		return MS_EXIT_FAILURE;
	listener = listen_on(a.listen);
	if (listener < 0)
		return listener == -EINVAL ? MS_EXIT_USAGE : MS_EXIT_FAILURE;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock)) {
		ms_error("socketpair: %s", strerror(errno));
		return MS_EXIT_FAILURE;
	}
	ms_catch_signals();
	fflush(stdout);
	/* before anything is loaded: there is nothing to inherit */
	pid = fork();
	if (pid < 0) {
		ms_error("fork: %s", strerror(errno));
		return MS_EXIT_FAILURE;
	}
	if (!pid) {
		close(sock[0]);
		become_http(&a, &as, listener, sock[1]);
	}
	close(sock[1]);
	err = privileges_keep_bpf();
	if (err)
		ms_warn("capabilities that are not needed are kept: %s", strerror(-err));
	ret = attach(opts, &a, &host);
	if (ret)
		goto out;
	err = bpf_host_send(host, sock[0]);
	if (err)
		ms_error("probes cannot be passed on: %s", strerror(-err));
	if (err || recv(sock[0], &there, 1, 0) != 1) {
		ret = MS_EXIT_FAILURE;
		goto out;
	}
	say_ready(host, listener);
	close(listener);
	ret = look_after(host, sock[0]);
	notify("STOPPING=1");
out:
	close(sock[0]);
	/* whatever becomes of the other */
	bpf_host_close(host);
	status = reap(pid);
	return ret ? ret : status;
}
