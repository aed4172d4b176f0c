/* SPDX-License-Identifier: GPL-2.0 */
/* Time in seconds, and waiting for it. */
#ifndef MIGSCOPE_CLOCK_H
#define MIGSCOPE_CLOCK_H

#include <stdbool.h>
#include <time.h>

/* What @clock says, in seconds. */
double clock_seconds(clockid_t clock);

/* How long until CLOCK_MONOTONIC says @when, nothing if it does already; in seconds, and as @ts. */
double clock_left(double when, struct timespec *ts);

/*
 * Sleeps until CLOCK_MONOTONIC says @when, a signal, or until @fd (-1: none) can be read,
 * which it returns. Signals are let in here and nowhere else.
 */
bool clock_sleep_until(double when, int fd);

#endif
