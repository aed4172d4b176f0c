/* SPDX-License-Identifier: GPL-2.0 */
/* What kvmload says of itself, against what we counted. */
#ifndef MIGSCOPE_TRUTH_H
#define MIGSCOPE_TRUTH_H

#include "model.h"

/*
 * @text is kvmload's JSON; @since_barrier: we came in at its barrier. Prints a
 * TAP comment for each count that differs. What is not measured is not compared.
 * Returns how many differ, or -errno; -ENODATA: nothing of it is measured.
 */
int truth_compare(const char *text, bool since_barrier, const struct model *m);

#endif
