/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A child that says when it is ready, and is killed then, or exits: is it gone soon? One that
 * the kernel keeps is not. Whatever else it does ends with us.
 */
#ifndef _CLIENTS_KILLED_H
#define _CLIENTS_KILLED_H

#include <err.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define KILLED_MS	20000

/* As fork(): @fd is what the child tells by, and where we are told. */
static inline pid_t killed_fork(int *fd)
{
	int ends[2];
	pid_t pid;

	if (pipe(ends))
		err(EXIT_FAILURE, "pipe");
	pid = fork();
	if (pid < 0)
		err(EXIT_FAILURE, "fork");
	*fd = ends[!pid];
	close(ends[!!pid]);
	return pid;
}

/* In the child, by what it says that it is ready, and that a call it is to be kept in is over. */
static inline void killed_tell(int tell)
{
	if (write(tell, "", 1) != 1)
		err(EXIT_FAILURE, "pipe");
}

/* In the child, at its end. */
static inline void killed_ready(int tell, bool exits)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	killed_tell(tell);
	if (exits)
		_exit(EXIT_SUCCESS);
	for (;;)
		pause();
}

/* Has it ended within @ms, and how? */
static inline bool killed_gone_within(pid_t pid, int ms, int *status)
{
	for (; ms > 0; ms -= 10) {
		if (waitpid(pid, status, WNOHANG) == pid)
			return true;
		usleep(10000);
	}
	return false;
}

/*
 * @told: the other end. Where it is not to exit by itself, it must not have told anything else
 * for @lead_ms, or it was not kept.
 */
static inline bool killed_is_gone(pid_t pid, int told, bool exits, int lead_ms)
{
	struct pollfd more = { .fd = told, .events = POLLIN };
	int status;
	char ready;

	if (read(told, &ready, 1) != 1)
		errx(EXIT_FAILURE, "it failed before it was ready");
	if (!exits) {
		if (poll(&more, 1, lead_ms))
			errx(EXIT_FAILURE, "nothing kept it");
		kill(pid, SIGKILL);
	}
	close(told);
	return killed_gone_within(pid, KILLED_MS, &status) &&
	       (exits ? WIFEXITED(status) : WIFSIGNALED(status));
}

#endif
