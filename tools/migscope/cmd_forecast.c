// SPDX-License-Identifier: GPL-2.0
/*
 * migscope forecast: does a migration converge? From a recording, or from one that is made
 * of what happens now and thrown away again.
 */
#include "bpf_host.h"
#include "clock.h"
#include "forecast_session.h"
#include "migscope.h"
#include "record_run.h"
#include "report.h"
#include "report_get.h"

#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SAMPLING_MAX 60	/* s: of calc-dirty-rate */

struct args {
	const char *file;	/* NULL: what happens now */
	const char *qmp;
	bool json;
	struct forecast_options plan;
	struct record_run run;
};

enum { OPT_QMP = 256, OPT_LAST, OPT_OVERHEAD, OPT_AT };

static const struct argp_option options[] = {
	{ "bandwidth", 'b', "MB/S", 0, "What the migration may send", 0 },
	{ "downtime", 'D', "TIME", 0, "What downtime it may cause (300ms)", 0 },
	{ "last-bandwidth", OPT_LAST, "MB/S", 0,
	  "Bandwidth of the last part, for which QEMU lifts the limit (that of -b)", 0 },
	{ "overhead", OPT_OVERHEAD, "TIME", 0, "What of a downtime is not memory: devices, the VMM (0)", 0 },
	{ "memory", 'm', "MB", 0, "What has to be sent at least once (all whose logging is on)", 0 },
	{ "at", OPT_AT, "TIME", 0, "As of TIME into the session: what came later is not looked at", 0 },
	{ "duration", 'd', "TIME", 0, "Without FILE: watch for TIME (10s)", 0 },
	{ "interval", 'i', "TIME", 0, "Without FILE: sample every TIME (200ms)", 0 },
	{ "pid", 'p', "PID", 0, "Without FILE: the VMs of this process", 0 },
	{ "vm", 'g', "VM", 0, "Without FILE: the VM of this name or UUID", 0 },
	{ "qmp", OPT_QMP, "SOCKET", 0,
	  "Without FILE: ask the QEMU behind this monitor for its limits and figures; if nothing is "
	  "migrated, have it sample with calc-dirty-rate", 0 },
	{ "json", 'j', NULL, 0, "One JSON object a VM and line", 0 },
	{ 0 }
};

/* A number of MB, or of MB/s, in bytes. */
static double megabytes(const char *arg, struct argp_state *state)
{
	double value = ms_parse_megabytes(arg);

	if (value < 0)
		argp_error(state, "%s: not a number of MB, or MB/s", arg);
	return value;
}

static double a_time(const char *arg, struct argp_state *state)
{
	double value = ms_parse_time(arg);

	if (value < 0)
		argp_error(state, "%s: not a duration (10, 10s, 500ms, 2m)", arg);
	return value;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;

	switch (key) {
	case 'b':
		a->plan.bandwidth = megabytes(arg, state);
		return 0;
	case OPT_LAST:
		a->plan.last_bandwidth = megabytes(arg, state);
		return 0;
	case 'm':
		a->plan.memory = megabytes(arg, state);
		return 0;
	case 'D':
		a->plan.downtime = a_time(arg, state);
		return 0;
	case OPT_OVERHEAD:
		a->plan.overhead = strcmp(arg, "0") ? a_time(arg, state) : 0;
		return 0;
	case OPT_AT:
		a->plan.at = a_time(arg, state);
		return 0;
	case 'd':
		a->run.duration = a_time(arg, state);
		return 0;
	case 'i':
		a->run.interval = a_time(arg, state);
		if (a->run.interval < 0.01)
			argp_error(state, "%s: not an interval (0.01 s or more)", arg);
		return 0;
	case 'p':
		a->run.filter.pid = ms_parse_pid(arg);
		if (a->run.filter.pid < 0)
			argp_error(state, "%s: not a process id", arg);
		return 0;
	case 'g':
		a->run.filter.name = arg;
		return 0;
	case OPT_QMP:
		a->qmp = arg;
		return 0;
	case 'j':
		a->json = true;
		return 0;
	case ARGP_KEY_ARG:
		if (a->file)
			argp_error(state, "%s: one argument too many", arg);
		a->file = arg;
		return 0;
	case ARGP_KEY_END:
		if (!a->plan.bandwidth && !a->qmp)
			argp_error(state, "what a migration may send is missing: -b MB/S");
		if (a->file && a->qmp)
			argp_error(state, "a recording has no monitor");
		if (a->file && (a->run.filter.name || a->run.filter.pid))
			argp_error(state, "of a recording each migration is shown: without -g, -p");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp argp = {
	options, parse, "[FILE]",
	"Says of each migration in FILE, or of those that go on now, whether it converges, in how many "
	"rounds, when and with what downtime; and which bandwidth, downtime limit or ring would do. "
	"With migscope -w it is told by the entries of the rings which pages are dirtied again; "
	"without, each counts anew.\v"
	"Exit status: 0 all of them converge, 1 failure, 2 usage, 3 nothing can be measured here, "
	"4 there is no data for a forecast, 6 one of them does not converge.",
	NULL, NULL, NULL
};

/* Shows one, which it takes; adds to what the exit status will be. */
static void show(const struct args *a, struct json_object *f, int *status)
{
	if (a->json)
		printf("%s\n", json_object_to_json_string_ext(f, JSON_C_TO_STRING_PLAIN |
							      JSON_C_TO_STRING_NOSLASHESCAPE));
	else
		forecast_text(stdout, f);
	if (!member(f, "why_not"))
		*status = json_object_get_boolean(member(f, "converges")) && *status != MS_EXIT_DIVERGES ?
			  MS_EXIT_OK : MS_EXIT_DIVERGES;
	json_object_put(f);
}

/* @running: only those that go on. @nothing: what is said where there is none at all. */
static int from_recording(const struct args *a, const char *path, bool running, const char *nothing)
{
	struct report_options none = { 0 };
	struct json_object *report = report_read(path, &none), *s;
	int status = MS_EXIT_PARTIAL;
	bool any = false;

	if (!report)
		return MS_EXIT_FAILURE;
	for (size_t i = 0; i < length(report, "sessions"); i++) {
		s = item(report, "sessions", i);
		if (!strcmp(text(s, "kind"), "display") || (running && strcmp(text(s, "outcome"), "running")))
			continue;
		show(a, forecast_session(report, i, &a->plan), &status);
		any = true;
	}
	if (!any && !a->json)
		printf("no data for a forecast: %s\n", nothing);
	json_object_put(report);
	return status;
}

/* Before a migration nothing is tracked: only QEMU can look, and it samples. */
static int from_sampling(struct args *a)
{
	int seconds = ceil(fmin(fmax(a->run.duration, 1), SAMPLING_MAX)), status = MS_EXIT_PARTIAL;
	struct json_object *o;
	char vm[64];
	double rate;

	if (a->run.duration > SAMPLING_MAX)
		fprintf(stderr, "QEMU samples for %d s, it can no longer\n", SAMPLING_MAX);
	if (qmp_dirty_rate(a->run.qmp, seconds, &rate)) {
		ms_error("QMP: %s", qmp_error(a->run.qmp));
		return MS_EXIT_FAILURE;
	}
	if (!a->plan.memory && !qmp_command(a->run.qmp, "query-memory-size-summary", NULL, &o)) {
		a->plan.memory = number(o, "base-memory") + number(o, "plugged-memory");
		json_object_put(o);
	}
	snprintf(vm, sizeof(vm), "pid %d", qmp_pid(a->run.qmp));
	show(a, forecast_sampled(vm, rate, seconds, &a->plan), &status);
	return status;
}

static int watch(const struct ms_opts *opts, struct args *a, const char *path)
{
	int ret = MS_EXIT_FAILURE, unused, err;
	struct recording *r = NULL;
	struct bpf_host *host;

	err = bpf_host_open(opts, NULL, &host);
	if (err)
		return err == -EINVAL ? MS_EXIT_USAGE : ret;
	bpf_host_attach(host);
	if (bpf_host_blind(host)) {
		ms_error("nothing can be measured here; migscope doctor says why");
		ret = MS_EXIT_BLIND;
	} else if (!recording_new(path, "migscope forecast", a->run.interval, &r)) {
		fprintf(stderr, "watching for %g s\n", a->run.duration);
		err = record_run(host, &a->run, r, &unused);
		ret = err ? MS_EXIT_FAILURE : MS_EXIT_OK;
	}
	recording_free(r);
	bpf_host_close(host);
	return ret;
}

static int from_now(const struct ms_opts *opts, struct args *a)
{
	const char *tmp = getenv("TMPDIR");
	char dir[PATH_MAX], path[PATH_MAX + 32];
	int ret;

	snprintf(dir, sizeof(dir), "%s/migscope.XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (!mkdtemp(dir)) {
		ms_error("%s: %s", dir, strerror(errno));
		return MS_EXIT_FAILURE;
	}
	snprintf(path, sizeof(path), "%s/recording", dir);
	ret = watch(opts, a, path);
	if (ret == MS_EXIT_OK)
		ret = from_recording(a, path, true, a->qmp ?
				     "what was migrated is over by now, or does not look like a migration here" :
				     "nothing is migrated now, and before a migration nothing is tracked; "
				     "--qmp SOCKET has QEMU sample it");
	unlink(path);
	/* what a recording that was not finished leaves */
	strcat(path, "-journal");
	unlink(path);
	rmdir(dir);
	return ret;
}

/* What QEMU itself would give the migration. */
static int ask_limits(struct args *a)
{
	double bandwidth, downtime;

	if (qmp_limits(a->run.qmp, &bandwidth, &downtime)) {
		ms_error("QMP: %s", qmp_error(a->run.qmp));
		return -EIO;
	}
	if (!a->plan.bandwidth)
		a->plan.bandwidth = bandwidth;
	if (!a->plan.downtime)
		a->plan.downtime = downtime;
	if (!a->run.filter.pid)
		a->run.filter.pid = qmp_pid(a->run.qmp);
	return 0;
}

int cmd_forecast(const struct ms_opts *opts, int argc, char **argv)
{
	struct args a = { .run = { .duration = 10, .interval = 0.2 } };
	struct model_qemu qemu = { 0 };
	int ret;

	if (argp_parse(&argp, argc, argv, 0, NULL, &a))
		return MS_EXIT_USAGE;
	if (a.file) {
		ret = from_recording(&a, a.file, false,
				     "record a migration, or watch one with migscope -w forecast");
		return ms_wrote_all() ? ret : MS_EXIT_FAILURE;
	}
	ms_catch_signals();
	if (a.qmp && (qmp_open(a.qmp, &a.run.qmp) || ask_limits(&a) || qmp_migration(a.run.qmp, &qemu))) {
		qmp_close(a.run.qmp);
		return MS_EXIT_FAILURE;
	}
	if (a.qmp && strcmp(qemu.status, "active"))
		ret = from_sampling(&a);
	else
		ret = from_now(opts, &a);
	qmp_close(a.run.qmp);
	return ms_wrote_all() ? ret : MS_EXIT_FAILURE;
}
