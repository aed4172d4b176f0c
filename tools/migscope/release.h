/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A module that is watched is held. To have it unloaded, every migscope is told to let go
 * of it by a file below /run/migscope/release, until it is loaded anew.
 */
#ifndef MIGSCOPE_RELEASE_H
#define MIGSCOPE_RELEASE_H

#include <stdbool.h>

/* Is @module (NULL: none) to be let go, as it is loaded now? */
bool release_wanted(const char *module);

/* Says so, or takes it back. 0 or -errno. */
int release_ask(const char *module);
int release_take_back(const char *module);

#endif
