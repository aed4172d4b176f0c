// SPDX-License-Identifier: GPL-2.0
/*
 * storm - signals to every thread of a process, until it ends
 *
 * storm PID: SIGUSR1, which QEMU uses to get a vCPU out of KVM_RUN and handles in any
 * of its threads, to each of them every millisecond. Goes into the background
 * after the first round.
 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vm.h"

/* How many got one. */
static int round_of(pid_t pid)
{
	char path[64];
	struct dirent *e;
	int sent = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	d = opendir(path);
	if (!d)
		return 0;
	while ((e = readdir(d)))
		if (e->d_name[0] != '.')
			sent += !syscall(SYS_tgkill, pid, atoi(e->d_name), SIGUSR1);
	closedir(d);
	return sent;
}

int main(int argc, char **argv)
{
	pid_t pid = argc == 2 ? atoi(argv[1]) : 0;

	if (pid < 2) {
		fputs("storm PID\n", stderr);
		return 2;
	}
	if (!round_of(pid))
		die("no process %d", pid);
	if (daemon(1, 0))
		die("daemon");
	while (round_of(pid))
		usleep(1000);
	return 0;
}
