// SPDX-License-Identifier: GPL-2.0
#include "record_run.h"
#include "bpf_host.h"
#include "clock.h"
#include "kernel_info.h"
#include "migscope.h"
#include "vm_names.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t start(char **command, int *pidfd)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		ms_give_back_signals();
		execvp(command[0], command);
		fprintf(stderr, "migscope: %s: %s\n", command[0], strerror(errno));
		_exit(errno == ENOENT ? 127 : 126);
	}
	*pidfd = pid > 0 ? syscall(SYS_pidfd_open, pid, 0) : -1;
	if (pid < 0)
		ms_error("fork: %s", strerror(errno));
	return pid;
}

/*
 * What was started is not ours to end; who tells us to, again, does not want to wait for it. As a
 * shell has it.
 */
static int wait_for(pid_t pid, int pidfd)
{
	int status;

	ms_stop = 0;
	while (waitpid(pid, &status, WNOHANG) != pid) {
		clock_sleep_until(clock_seconds(CLOCK_MONOTONIC) + 3600, pidfd);
		if (ms_stop)
			return 128 + ms_stop;
	}
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* QEMU's own figures; when it is gone, or refuses, that is said once. */
static void ask_qemu(struct record_run *run, struct model *m)
{
	struct model_qemu qemu;
	int err;

	if (!run->qmp)
		return;
	err = qmp_migration(run->qmp, &qemu);
	for (size_t i = 0; !err && i < m->vms; i++) {
		struct model_vm *vm = &m->vm[i];

		/* a process whose VM ended may have another one now */
		if (vm->info.tgid != (__u32)qmp_pid(run->qmp) || !vm->alive)
			continue;
		vm->has_qemu = true;
		vm->qemu = qemu;
	}
	if (!err)
		return;
	ms_warn("QMP: %s; its figures end here", qmp_error(run->qmp));
	qmp_close(run->qmp);
	run->qmp = NULL;
}

static int add_sample(struct bpf_host *host, struct vm_names *names, struct record_run *run,
		      struct recording *r)
{
	struct model m;
	int err = model_sample(host, names, &run->filter, &m);

	if (err) {
		ms_error("the sample could not be taken: %s", strerror(-err));
		return err;
	}
	ask_qemu(run, &m);
	err = recording_add(r, &m);
	model_free(&m);
	return err;
}

int record_run(struct bpf_host *host, struct record_run *run, struct recording *r, int *status)
{
	struct vm_names *names = vm_names_new(!kernel_info_pid_namespace());
	double next = clock_seconds(CLOCK_MONOTONIC), end = run->duration ? next + run->duration : 0;
	int err = names ? 0 : -ENOMEM, pidfd = -1;
	const char *why = NULL;
	pid_t pid = 0;

	if (!err)
		err = add_sample(host, names, run, r);
	if (!err && run->command) {
		pid = start(run->command, &pidfd);
		err = pid < 0 || pidfd < 0 ? -errno : 0;
	}
	while (!err && !why) {
		next += run->interval;
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
		err = add_sample(host, names, run, r);
		if (next < clock_seconds(CLOCK_MONOTONIC) - run->interval)
			next = clock_seconds(CLOCK_MONOTONIC);
	}
	if (!err)
		err = recording_finish(r, why);
	if (pid > 0) {
		*status = wait_for(pid, pidfd);
		close(pidfd);
	}
	vm_names_free(names);
	return err;
}
