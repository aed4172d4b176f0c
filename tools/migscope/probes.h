/* SPDX-License-Identifier: GPL-2.0 */
/* The table of everything that can be hooked: one line a probe. */
#ifndef MIGSCOPE_PROBES_H
#define MIGSCOPE_PROBES_H

#include <stdbool.h>
#include <stddef.h>

enum probe_how {
	PROBE_TRACEPOINT,
	PROBE_FENTRY,		/* fexit as well */
	PROBE_ITER,
};

enum probe_state {
	PROBE_OFF,		/* not asked for (exact mode) */
	PROBE_ATTACHED,
	PROBE_WAITING,		/* its module is not loaded */
	PROBE_MISSING,		/* this kernel has no such target */
	PROBE_REFUSED,		/* the kernel said no: see err and why */
};

/*
 * A probe is one BPF program. @object is the file that it is in, for those who
 * load with bpftool; @gives what cannot be measured without it (NULL: nothing, another
 * does it). A probe with @instead is on an event of our own kernel modules: where it is,
 * the hooks that it names are not needed, and where it is not, they do what they can. A
 * hook in another module than the event is used where its target is: that module is not
 * ours then, and has nobody tell the event.
 */
struct probe {
	const char *source;
	const char *name;	/* what --target and doctor call it */
	const char *object;
	const char *program;
	enum probe_how how;
	const char *target;	/* function, tracepoint or iterator */
	const char *module;	/* where the target lives when it is not built in; NULL: always built in */
	unsigned int min_args;	/* a target with fewer is another function */
	bool exact;
	const char *gives;
	const char *instead;	/* probes that this event takes the place of; NULL: no event of ours */
	bool pages;		/* only when it is asked which pages are dirtied again */

	/* filled by bpf_host */
	enum probe_state state;
	int err;		/* errno when refused */
	bool let_go;		/* it waits because it was asked to (migscope release) */
	char why[200];		/* in words; empty when attached */
};

/* A fresh copy of the table; *@n is its length. The caller frees it. */
struct probe *probes_new(size_t *n);

/*
 * Waits for a module that nobody has loaded, so that there is nothing it could miss:
 * there are hosts without vhost. KVM is another matter: without it there is no VM; and so is
 * one that was let go, and is there.
 */
bool probe_is_idle(const struct probe *p);

/* Was it asked for, and is there something that it could see? Else it is neither here nor missing. */
bool probe_is_wanted(const struct probe *p);
/* How many of @n are; *@attached: how many of those are attached. */
size_t probes_wanted(const struct probe *p, size_t n, size_t *attached);

const char *probe_how_name(enum probe_how how);
const char *probe_state_name(enum probe_state state);

/* The object that holds all programs, compiled in. */
extern const char ms_programs[], ms_programs_end[];

#endif
