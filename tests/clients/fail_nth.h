/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Allocations that fail where they are asked to, on a kernel with CONFIG_FAILSLAB. Those
 * that may sleep are among them after can_fail of tests/lib/failslab.sh.
 */
#ifndef FAIL_NTH_H
#define FAIL_NTH_H

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline int fail_nth_file(void)
{
	static int file = -1;

	if (file < 0)
		file = open("/proc/thread-self/fail-nth", O_RDWR);
	if (file < 0)
		err(EXIT_FAILURE, "fail-nth: is it a kernel for that?");
	return file;
}

/* The nth allocation that this thread makes in the kernel from now on fails, only that. */
static inline void fail_nth(unsigned int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", n), tries = 2;

	/* the copy of this text can be what fails: then none is left to */
	while (pwrite(fail_nth_file(), text, len, 0) != len)
		if (errno != EFAULT || !--tries)
			err(EXIT_FAILURE, "fail-nth");
}

/* Did it come to that? None fails any more. */
static inline bool fail_nth_end(void)
{
	int saved = errno;
	char text[16] = "";
	bool hit = false;

	/* that it is this copy which fails says that it had not come to it */
	if (pread(fail_nth_file(), text, sizeof(text) - 1, 0) >= 1)
		hit = strtoul(text, NULL, 0) == 0;
	else if (errno != EFAULT)
		err(EXIT_FAILURE, "fail-nth");
	fail_nth(0);
	errno = saved;
	return hit;
}

#endif
