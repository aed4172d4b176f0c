// SPDX-License-Identifier: GPL-2.0
/* migscope record: samples into a file, until it is interrupted or a command ends. */
#include "bpf_host.h"
#include "migscope.h"
#include "record_run.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct args {
	const char *output;
	const char *sources;
	const char *qmp;
	struct record_run run;
};

enum { OPT_QMP = 256 };

static const struct argp_option options[] = {
	{ "output", 'o', "FILE", 0, "Write to FILE, which must not be there", 0 },
	{ "duration", 'd', "TIME", 0, "End after TIME: seconds, or with s, m, h, ms", 0 },
	{ "interval", 'i', "TIME", 0, "Sample every TIME (1s)", 0 },
	{ "source", 's', "NAME,..", 0, "Watch these sources only", 0 },
	{ "pid", 'p', "PID", 0, "Record the VMs of this process", 0 },
	{ "qmp", OPT_QMP, "SOCKET", 0, "Ask the QEMU behind this monitor for its own figures, too", 0 },
	{ "vm", 'g', "VM", 0, "Record the VM of this name or UUID", 0 },
	{ 0 }
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;

	switch (key) {
	case 'o':
		a->output = arg;
		return 0;
	case 'd':
		a->run.duration = ms_parse_time(arg);
		if (a->run.duration < 0)
			argp_error(state, "%s: not a duration (10, 10s, 500ms, 2m, 1h)", arg);
		return 0;
	case 'i':
		a->run.interval = ms_parse_time(arg);
		if (a->run.interval < 0.01)
			argp_error(state, "%s: not an interval (0.01 s or more)", arg);
		return 0;
	case OPT_QMP:
		a->qmp = arg;
		return 0;
	case 's':
		a->sources = arg;
		return 0;
	case 'p':
		a->run.filter.pid = ms_parse_pid(arg);
		if (a->run.filter.pid < 0)
			argp_error(state, "%s: not a process id", arg);
		return 0;
	case 'g':
		a->run.filter.name = arg;
		return 0;
	case ARGP_KEY_ARG:
		/* the rest is the command */
		a->run.command = state->argv + state->next - 1;
		state->next = state->argc;
		return 0;
	case ARGP_KEY_END:
		if (!a->output)
			argp_error(state, "-o FILE is missing");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp argp = {
	options, parse, "[--] [COMMAND [ARGUMENT..]]",
	"Records what VMs do into an SQLite database, for migscope report: until it is "
	"interrupted, TIME has passed, or COMMAND, which is started once we watch, has ended. "
	"What was written stays whatever happens; a recording that was cut off says so.\v"
	"--qmp: a monitor takes one client at a time, and libvirt holds the first. Give the VM a second "
	"one: -qmp unix:PATH,server=on,wait=off, with libvirt by <qemu:commandline> in the domain's XML.\n\n"
	"Exit status: 0 done, 1 failure, 2 usage, 3 nothing of what was asked for can be measured; "
	"with COMMAND its own, 128 + N if signal N ended it, or us while we waited for its end.",
	NULL, NULL, NULL
};

/* What is on record as the command line. */
static char *join(int argc, char **argv)
{
	size_t len = 0;
	char *text = NULL;
	FILE *f = open_memstream(&text, &len);

	for (int i = 0; f && i < argc; i++)
		fprintf(f, "%s%s", i ? " " : "", argv[i]);
	if (f)
		fclose(f);
	return text;
}

int cmd_record(const struct ms_opts *opts, int argc, char **argv)
{
	struct args a = { .run.interval = 1 };
	int ret = MS_EXIT_FAILURE, status = 0, err;
	struct recording *r = NULL;
	struct bpf_host *host;
	char *command;

	if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &a))
		return MS_EXIT_USAGE;
	err = bpf_host_open(opts, a.sources, &host);
	if (err)
		return err == -EINVAL ? MS_EXIT_USAGE : MS_EXIT_FAILURE;
	command = join(argc, argv);
	ms_catch_signals();
	bpf_host_attach(host);
	if (bpf_host_blind(host)) {
		ms_error("nothing of what was asked for can be measured here; migscope doctor says why");
		ret = MS_EXIT_BLIND;
		goto out;
	}
	if (a.qmp && qmp_open(a.qmp, &a.run.qmp))
		goto out;
	if (recording_new(a.output, command ? command : "", a.run.interval, &r))
		goto out;
	fprintf(stderr, "watching into %s\n", a.output);
	err = record_run(host, &a.run, r, &status);
	if (err && recording_samples(r))
		ms_error("%s: incomplete; %lu samples are kept", a.output, recording_samples(r));
	fprintf(stderr, "%lu samples in %s\n", recording_samples(r), a.output);
	ret = err ? MS_EXIT_FAILURE : status;
out:
	recording_free(r);
	qmp_close(a.run.qmp);
	free(command);
	bpf_host_close(host);
	return ret;
}
