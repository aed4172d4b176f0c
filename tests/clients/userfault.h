/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Memory that is not there until somebody brings it (userfaultfd(2)). What goes wrong ends
 * the process.
 */
#ifndef _CLIENTS_USERFAULT_H
#define _CLIENTS_USERFAULT_H

#include <err.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Returns who is told of faults; closed, whoever waits goes on. */
static inline int userfault_open(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	int faults = syscall(SYS_userfaultfd, O_CLOEXEC);

	if (faults < 0 || ioctl(faults, UFFDIO_API, &api))
		err(EXIT_FAILURE, "userfaultfd");
	return faults;
}

/* Whole pages; those that are there already stay. */
static inline void userfault_watch(int faults, const volatile void *at, size_t len)
{
	struct uffdio_register range = {
		.range = { (uintptr_t)at, len },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	if (ioctl(faults, UFFDIO_REGISTER, &range))
		err(EXIT_FAILURE, "UFFDIO_REGISTER");
}

/* Until somebody waits for such a page. */
static inline void userfault_wait(int faults, int ms)
{
	struct pollfd fault = { .fd = faults, .events = POLLIN };
	struct uffd_msg msg;

	if (poll(&fault, 1, ms) != 1 || read(faults, &msg, sizeof(msg)) != sizeof(msg) ||
	    msg.event != UFFD_EVENT_PAGEFAULT)
		errx(EXIT_FAILURE, "nobody waits for a page");
}

#endif
