/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who may do what: the process that attaches keeps a few capabilities, the one that
 * parses what comes from the network has none.
 */
#ifndef MIGSCOPE_PRIVILEGES_H
#define MIGSCOPE_PRIVILEGES_H

/*
 * Keeps, of what we have, only what attaching needs:
 *   CAP_BPF	   loads programs, makes maps
 *   CAP_PERFMON   for programs that trace, and so read kernel memory
 *   CAP_SYS_ADMIN a module's BTF is only to be had through its id, which asks for it
 * 0 or -errno.
 */
int privileges_keep_bpf(void);

/*
 * Gives up everything for good: changes to @user, or to `nobody` if that is NULL and
 * we are root; no capability, no way to get one. -errno, with the reason printed.
 */
int privileges_drop(const char *user);

#endif
