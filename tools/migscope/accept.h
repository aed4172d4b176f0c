/* SPDX-License-Identifier: GPL-2.0 */
#ifndef MIGSCOPE_ACCEPT_H
#define MIGSCOPE_ACCEPT_H

#include <stdbool.h>

/*
 * Does an Accept header (NULL: there was none) want OpenMetrics 1.0 rather than the
 * classic text format? Of two that are wanted alike it is the one that was named.
 */
bool accept_openmetrics(const char *accept);

#endif
