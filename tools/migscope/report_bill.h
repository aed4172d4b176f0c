/* SPDX-License-Identifier: GPL-2.0 */
/* What a session cost beside its VM's own counters, and what to change. */
#ifndef MIGSCOPE_REPORT_BILL_H
#define MIGSCOPE_REPORT_BILL_H

#include "report.h"

/*
 * Adds to each session of what report_read() made so far: who waited, devices, rounds, QEMU's
 * figures, the forecast, and the advice that follows from all of it.
 */
void report_bills(struct json_object *report, const struct report_options *o);

#endif
