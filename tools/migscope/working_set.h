/* SPDX-License-Identifier: GPL-2.0 */
/* How many different pages a VM dirties within a time: what has to be sent once more. */
#ifndef MIGSCOPE_WORKING_SET_H
#define MIGSCOPE_WORKING_SET_H

#include <migscope/dirty_pages.h>
#include "model.h"

/* The times that the curve is exported for, s. */
#define WORKING_SET_TIMES \
	"0.1", "0.2", "0.5", "1", "2", "5", "10", "20", "50", "100", "200", "500"

/*
 * Pages that are dirtied within @seconds, on average over all such times since the VM's rings
 * were first reset. @part: one page in 2^@part was followed. Negative: we have not looked for
 * as long.
 */
double working_set_pages(const struct ms_page_vm *p, unsigned int part, double seconds);

#endif
