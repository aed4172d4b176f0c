// SPDX-License-Identifier: GPL-2.0
/* migscope stat: a table, or NDJSON, one sample an interval. */
#include "bpf_host.h"
#include "clock.h"
#include "kernel_info.h"
#include "migscope.h"
#include "render.h"
#include "vm_names.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_EVERY 20

struct args {
	const char *sources;
	struct model_filter filter;
	double duration;		/* s; 0: no end */
	double interval;		/* s */
	unsigned long count;		/* samples; 0: no end */
	bool json, stamps;
	int positional;
};

static const struct argp_option options[] = {
	{ "source", 's', "NAME,..", 0, "Watch these sources only", 0 },
	{ "pid", 'p', "PID", 0, "Show the VMs of this process", 0 },
	{ "vm", 'g', "VM", 0, "Show the VM of this name or UUID", 0 },
	{ "duration", 'd', "TIME", 0, "End after TIME: seconds, or with s, m, h, ms", 0 },
	{ "json", 'j', NULL, 0, "NDJSON: one object a sample", 0 },
	{ "timestamps", 'T', NULL, 0, "Begin each line with the time", 0 },
	{ 0 }
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;

	switch (key) {
	case 's':
		a->sources = arg;
		return 0;
	case 'p':
		a->filter.pid = ms_parse_pid(arg);
		if (a->filter.pid < 0)
			argp_error(state, "%s: not a process id", arg);
		return 0;
	case 'g':
		a->filter.name = arg;
		return 0;
	case 'd':
		a->duration = ms_parse_time(arg);
		if (a->duration < 0)
			argp_error(state, "%s: not a duration (10, 10s, 500ms, 2m, 1h)", arg);
		return 0;
	case 'j':
		a->json = true;
		return 0;
	case 'T':
		a->stamps = true;
		return 0;
	case ARGP_KEY_ARG:
		if (a->positional == 0) {
			a->interval = ms_parse_time(arg);
			if (a->interval < 0.01)
				argp_error(state, "%s: not an interval (0.01 s or more)", arg);
		} else if (a->positional == 1) {
			a->count = ms_parse_count(arg);
			if (!a->count)
				argp_error(state, "%s: not a count", arg);
		} else {
			argp_error(state, "%s: one argument too many", arg);
		}
		a->positional++;
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp argp = {
	options, parse, "[INTERVAL [COUNT]]",
	"Watches the VMs of this host until it is interrupted, INTERVAL (1 s) apart, and ends "
	"with a report. What cannot be measured has no column.\v"
	"Exit status: 0 done, 1 failure, 2 usage, 3 nothing of what was asked for can be measured.",
	NULL, NULL, NULL
};

static int render(const struct args *a, const struct model *now, const struct model *before,
		  bool head, bool last)
{
	int err = 0;

	/* while we write, a signal may end a write that nobody reads */
	ms_let_signals_in(true);
	if (a->json) {
		err = render_json(stdout, now, last);
	} else {
		if (head)
			render_table_head(stdout, now, a->stamps);
		render_table(stdout, now, before, a->stamps);
		if (last)
			render_report(stdout, now);
	}
	ms_let_signals_in(false);
	return ferror(stdout) ? -EPIPE : err;
}

static int watch(struct bpf_host *host, const struct args *a)
{
	struct model now = { 0 }, before = { 0 };
	bool outside = kernel_info_pid_namespace();
	struct vm_names *names = vm_names_new(!outside);
	double next = clock_seconds(CLOCK_MONOTONIC), end = a->duration ? next + a->duration : 0;
	int err = names ? 0 : -ENOMEM;
	bool last = false;

	for (unsigned long i = 0; !err && !last; i++) {
		next += a->interval;
		if (end && next > end)
			next = end;
		clock_sleep_until(next, -1);
		if (bpf_host_stale(host))
			bpf_host_attach(host);
		last = ms_stop || (a->count && i + 1 >= a->count) || (end && clock_seconds(CLOCK_MONOTONIC) >= end);
		err = model_sample(host, names, &a->filter, &now);
		if (err) {
			ms_error("the sample could not be taken: %s", strerror(-err));
			break;
		}
		now.interval = now.elapsed - before.elapsed;
		now.at_first_event = outside;
		err = render(a, &now, &before, !(i % HEAD_EVERY), last);
		/* after a pause there is nothing to catch up with */
		if (next < clock_seconds(CLOCK_MONOTONIC) - a->interval)
			next = clock_seconds(CLOCK_MONOTONIC);
		model_free(&before);
		before = now;
	}
	model_free(&before);
	vm_names_free(names);
	return err;
}

/*
 * What is waited for, on a line of its own: of each source the module that comes first.
 * All of them have no room in a line; doctor names them.
 */
static void say_modules(FILE *out, const struct probe *probe, size_t n)
{
	bool any = false;

	for (size_t i = 0; i < n; i++) {
		bool said = probe[i].state != PROBE_WAITING;

		for (size_t k = 0; k < i && !said; k++)
			said = probe[k].state == PROBE_WAITING &&
			       (!strcmp(probe[k].module, probe[i].module) ||
				!strcmp(probe[k].source, probe[i].source));
		if (said)
			continue;
		fprintf(out, "%s%s", any ? ", " : "waiting for ", probe[i].module);
		any = true;
	}
	if (any)
		fputs(" to be loaded\n", out);
}

/* The first line says that we are attached: whoever waits for it may begin. */
static void say_what(FILE *out, const struct ms_opts *opts, const struct args *a,
		     const struct bpf_host *host)
{
	size_t n, seen, all;
	const struct probe *probe = bpf_host_probes(host, &n);

	all = probes_wanted(probe, n, &seen);
	fprintf(out, "watching %s, %s mode, %zu of %zu probes attached\n",
		a->sources ? a->sources : "everything",
		opts->exact ? "exact" : "default", seen, all);
	say_modules(out, probe, n);
	fflush(out);
}

int cmd_stat(const struct ms_opts *opts, int argc, char **argv)
{
	struct args a = { .interval = 1 };
	int ret = MS_EXIT_FAILURE;
	struct bpf_host *host;
	const char *note;
	int err;

	if (argp_parse(&argp, argc, argv, 0, NULL, &a))
		return MS_EXIT_USAGE;
	err = bpf_host_open(opts, a.sources, &host);
	if (err)
		return err == -EINVAL ? MS_EXIT_USAGE : MS_EXIT_FAILURE;
	ms_catch_signals();
	bpf_host_attach(host);
	if (bpf_host_blind(host)) {
		struct model nothing_seen = { 0 };

		nothing_seen.probe = bpf_host_probes(host, &nothing_seen.probes);
		render_not_measured(stderr, &nothing_seen);
		ms_error("nothing of what was asked for can be measured here");
		ret = MS_EXIT_BLIND;
		goto out;
	}
	note = kernel_info_pid_namespace();
	if (note)
		ms_warn("%s", note);
	say_what(a.json ? stderr : stdout, opts, &a, host);
	ret = watch(host, &a) ? MS_EXIT_FAILURE : MS_EXIT_OK;
out:
	bpf_host_close(host);
	return ret;
}
