/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A child that says when it is ready, and is killed then, or exits: is it gone soon? One that
 * the kernel keeps is not.
 */
#ifndef _CLIENTS_KILLED_H
#define _CLIENTS_KILLED_H

#include <err.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define KILLED_MS	20000

/* In the child, at the end: does not return. */
static inline void killed_ready(int tell, bool exits)
{
	if (write(tell, "", 1) != 1)
		err(EXIT_FAILURE, "pipe");
	if (exits)
		_exit(EXIT_SUCCESS);
	for (;;)
		pause();
}

/* @tell: where it says that it is ready; @lead_ms: how long it is left alone after that. */
static inline bool killed_is_gone(pid_t pid, int told, int lead_ms)
{
	char ready;

	if (read(told, &ready, 1) != 1)
		errx(EXIT_FAILURE, "it failed before it was ready");
	close(told);
	usleep(lead_ms * 1000);
	kill(pid, SIGKILL);
	for (int ms = 0; ms < KILLED_MS; ms += 10) {
		if (waitpid(pid, NULL, WNOHANG) == pid)
			return true;
		usleep(10000);
	}
	return false;
}

#endif
