/* SPDX-License-Identifier: GPL-2.0 */
/* Whose the kernel modules are that the probes are in: this kernel's own, or ours. */
#ifndef MIGSCOPE_OUR_MODULES_H
#define MIGSCOPE_OUR_MODULES_H

#include "probes.h"

enum module_state {
	MODULE_BUILT_IN,	/* part of the kernel, or not there at all */
	MODULE_ABSENT,		/* a module, not loaded */
	MODULE_STOCK,		/* the kernel's own is loaded */
	MODULE_OURS,
	MODULE_OTHER,		/* neither: built outside of the kernel, but not what is installed */
};

struct module_info {
	const char *name;
	enum module_state state;
	char why[200];		/* why it is not ours; empty where there is nothing to say */
};

/*
 * Looks at each module that one of the @n probes names. *@info is malloc'ed; returns
 * how many it holds, or -ENOMEM.
 */
long our_modules_look(const struct probe *probe, size_t n, struct module_info **info);

const char *module_state_name(enum module_state state);

#endif
