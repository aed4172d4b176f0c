// SPDX-License-Identifier: GPL-2.0
#include "clock.h"
#include "migscope.h"

#include <poll.h>
#include <signal.h>

double clock_seconds(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

double clock_left(double when, struct timespec *ts)
{
	double left = when - clock_seconds(CLOCK_MONOTONIC);

	*ts = (struct timespec){ 0 };
	if (left <= 0)
		return 0;
	ts->tv_sec = left;
	ts->tv_nsec = (left - ts->tv_sec) * 1e9;
	return left;
}

bool clock_sleep_until(double when, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct timespec ts;
	sigset_t none;
	double left;

	sigemptyset(&none);
	for (;;) {
		left = clock_left(when, &ts);
		if (ppoll(&p, fd >= 0, &ts, &none) > 0)
			return true;
		if (ms_stop || left <= 0)
			return false;
	}
}
