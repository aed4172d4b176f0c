/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who may do what: the process that attaches keeps a few capabilities, the one that
 * parses what comes from the network has none.
 */
#ifndef MIGSCOPE_PRIVILEGES_H
#define MIGSCOPE_PRIVILEGES_H

#include <sys/types.h>

/*
 * Keeps, of what we have, only what attaching needs:
 *   CAP_BPF	   loads programs, makes maps
 *   CAP_PERFMON   for programs that trace, and so read kernel memory
 *   CAP_SYS_ADMIN a module's BTF is only to be had through its id, which asks for it
 * 0 or -errno.
 */
int privileges_keep_bpf(void);

/* Whom to become; @name is the caller's. */
struct privileges_user {
	const char *name;
	uid_t uid;
	gid_t gid;
};

/*
 * Looks for @user, or for `nobody` if that is NULL. -errno, with the reason printed: there is no
 * such user, or only root could become one.
 */
int privileges_find(const char *user, struct privileges_user *as);

/*
 * Gives up everything for good: root becomes @as; no capability, no way to get one. -errno, with
 * the reason printed.
 */
int privileges_drop(const struct privileges_user *as);

#endif
