// SPDX-License-Identifier: GPL-2.0
/* migscope record: samples into a file, until it is interrupted or a command ends. */
#include "bpf_host.h"
#include "clock.h"
#include "kernel_info.h"
#include "migscope.h"
#include "recording.h"
#include "render.h"
#include "vm_names.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct args {
	const char *output;
	const char *sources;
	struct model_filter filter;
	double duration, interval;
	char **command;			/* NULL: none */
};

static const struct argp_option options[] = {
	{ "output", 'o', "FILE", 0, "Write to FILE, which must not be there", 0 },
	{ "duration", 'd', "TIME", 0, "End after TIME: seconds, or with s, m, h, ms", 0 },
	{ "interval", 'i', "TIME", 0, "A sample as often (1s)", 0 },
	{ "source", 's', "NAME,..", 0, "Watch these sources only", 0 },
	{ "pid", 'p', "PID", 0, "Record the VMs of this process", 0 },
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
		a->duration = ms_parse_time(arg);
		if (a->duration < 0)
			argp_error(state, "%s: not a duration (10, 10s, 500ms, 2m, 1h)", arg);
		return 0;
	case 'i':
		a->interval = ms_parse_time(arg);
		if (a->interval < 0.01)
			argp_error(state, "%s: not an interval (0.01 s or more)", arg);
		return 0;
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
	case ARGP_KEY_ARG:
		/* the rest is the command */
		a->command = state->argv + state->next - 1;
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
	"Exit status: 0 done, 1 failure, 2 usage, 3 nothing of what was asked for can be measured; "
	"with COMMAND its own, 128 + N if signal N ended it.",
	NULL, NULL, NULL
};

static pid_t start(char **command, int *pidfd)
{
	sigset_t none;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		signal(SIGPIPE, SIG_DFL);
		execvp(command[0], command);
		fprintf(stderr, "migscope: %s: %s\n", command[0], strerror(errno));
		_exit(errno == ENOENT ? 127 : 126);
	}
	*pidfd = pid > 0 ? syscall(SYS_pidfd_open, pid, 0) : -1;
	if (pid < 0)
		ms_error("fork: %s", strerror(errno));
	return pid;
}

static int add_sample(struct bpf_host *host, struct vm_names *names, const struct args *a,
		      struct recording *r)
{
	struct model m;
	int err = model_sample(host, names, &a->filter, &m);

	if (err) {
		ms_error("the sample could not be taken: %s", strerror(-err));
		return err;
	}
	err = recording_add(r, &m);
	model_free(&m);
	return err;
}

/* Returns 0 or -errno; *@status is the command's, if there is one. */
static int record(struct bpf_host *host, const struct args *a, struct recording *r, int *status)
{
	struct vm_names *names = vm_names_new(!kernel_info_pid_namespace());
	double next = clock_seconds(CLOCK_MONOTONIC), end = a->duration ? next + a->duration : 0;
	int err = names ? 0 : -ENOMEM, pidfd = -1;
	const char *why = NULL;
	pid_t pid = 0;

	if (!err)
		err = add_sample(host, names, a, r);
	if (!err && a->command) {
		pid = start(a->command, &pidfd);
		err = pid < 0 || pidfd < 0 ? -errno : 0;
	}
	while (!err && !why) {
		next += a->interval;
		if (end && next > end)
			next = end;
		if (clock_sleep_until(next, pidfd))
			why = "the command ended";
		else if (ms_stop)
			why = "interrupted";
		else if (end && clock_seconds(CLOCK_MONOTONIC) >= end)
			why = "the time is over";
		if (bpf_host_stale(host))
			bpf_host_attach(host);
		err = add_sample(host, names, a, r);
		if (next < clock_seconds(CLOCK_MONOTONIC) - a->interval)
			next = clock_seconds(CLOCK_MONOTONIC);
	}
	if (!err)
		err = recording_finish(r, why);
	if (err && recording_samples(r))
		ms_error("%s: incomplete; %lu samples are kept", a->output, recording_samples(r));
	if (pid > 0) {
		/* what was started is not ours to end */
		waitpid(pid, status, 0);
		*status = WIFSIGNALED(*status) ? 128 + WTERMSIG(*status) : WEXITSTATUS(*status);
		close(pidfd);
	}
	vm_names_free(names);
	return err;
}

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
	struct args a = { .interval = 1 };
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
	if (!bpf_host_sees(host) && !bpf_host_waits(host)) {
		ms_error("nothing of what was asked for can be measured here; migscope doctor says why");
		ret = MS_EXIT_BLIND;
		goto out;
	}
	if (recording_new(a.output, command ? command : "", a.interval, &r))
		goto out;
	fprintf(stderr, "watching into %s\n", a.output);
	err = record(host, &a, r, &status);
	fprintf(stderr, "%lu samples in %s\n", recording_samples(r), a.output);
	ret = err ? MS_EXIT_FAILURE : status;
out:
	recording_free(r);
	free(command);
	bpf_host_close(host);
	return ret;
}
