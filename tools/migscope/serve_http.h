/* SPDX-License-Identifier: GPL-2.0 */
/* The process that answers HTTP: it has no privileges, and reads what was passed to it. */
#ifndef MIGSCOPE_SERVE_HTTP_H
#define MIGSCOPE_SERVE_HTTP_H

#include "migscope.h"

struct serve_options {
	const struct ms_opts *opts;
	const char *sources;
	double keep;		/* s that what ended stays visible */
	size_t most;		/* series of an exposition */
	double bandwidth;	/* bytes/s that a migration may use; 0: no forecasts */
	double downtime;	/* s that it may stop a VM for */
};

/*
 * Serves on @listener until @helper, from where BPF hosts come, is closed; says
 * through it that it is there, one byte. Returns an enum ms_exit.
 */
int serve_http(int listener, int helper, const struct serve_options *o);

#endif
