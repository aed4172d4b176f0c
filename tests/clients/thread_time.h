/* SPDX-License-Identifier: GPL-2.0 */
/* What a thread of the kernel's has run, by its name; and the time. */
#ifndef _CLIENTS_THREAD_TIME_H
#define _CLIENTS_THREAD_TIME_H

#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static inline uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static inline int thread_schedstat(const char *name)
{
	char path[300], comm[300];
	struct dirent *entry;
	DIR *proc = opendir("/proc");
	int fd, found = -1;
	ssize_t len;

	while (proc && found < 0 && (entry = readdir(proc))) {
		snprintf(path, sizeof(path), "/proc/%.20s/comm", entry->d_name);
		fd = open(path, O_RDONLY);
		if (fd < 0)
			continue;
		len = read(fd, comm, sizeof(comm) - 1);
		close(fd);
		comm[len > 0 ? len : 0] = 0;
		comm[strcspn(comm, "\n")] = 0;
		if (strcmp(comm, name))
			continue;
		snprintf(path, sizeof(path), "/proc/%.20s/schedstat", entry->d_name);
		found = open(path, O_RDONLY);
	}
	if (proc)
		closedir(proc);
	if (found < 0)
		errx(EXIT_FAILURE, "no thread '%s'", name);
	return found;
}

static inline uint64_t thread_time(const char *name)
{
	static int fd = -1;
	char text[100] = "";

	if (fd < 0)
		fd = thread_schedstat(name);
	if (pread(fd, text, sizeof(text) - 1, 0) <= 0)
		err(EXIT_FAILURE, "schedstat of '%s'", name);
	return strtoull(text, NULL, 10);
}

#endif
