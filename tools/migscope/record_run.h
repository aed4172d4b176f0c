/* SPDX-License-Identifier: GPL-2.0 */
/* Samples into a recording, one after the other. */
#ifndef MIGSCOPE_RECORD_RUN_H
#define MIGSCOPE_RECORD_RUN_H

#include "model.h"
#include "qmp.h"
#include "recording.h"

struct record_run {
	struct model_filter filter;
	double duration, interval;	/* s; duration 0: until something else ends it */
	char **command;			/* NULL: none; what to start once we watch */
	struct qmp *qmp;		/* NULL: nobody is asked; closed and NULL when it went away */
};

/*
 * Records until a signal, the end of the time or of the command, and finishes @r. 0 or
 * -errno, with the reason printed; *@status is that of the command, if there is one.
 */
int record_run(struct bpf_host *host, struct record_run *run, struct recording *r, int *status);

#endif
