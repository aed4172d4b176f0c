/* SPDX-License-Identifier: GPL-2.0 */
/* What kvmload says of itself, against what we counted. */
#ifndef MIGSCOPE_TRUTH_H
#define MIGSCOPE_TRUTH_H

#include "model.h"

/*
 * @text is kvmload's JSON; @since_barrier: we came in at its barrier. Prints a
 * TAP comment for each count that differs, and for each that was not measured
 * and so not compared. Returns how many differ, or -errno.
 */
int truth_compare(const char *text, bool since_barrier, const struct model *m);

#endif
