/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Errors that BPF counts and user space shows by name. A closed set: what is not in
 * it is counted as "other". The numbers are those of asm-generic/errno-base.h, which
 * every architecture has.
 */
#ifndef MIGSCOPE_ERRNO_H
#define MIGSCOPE_ERRNO_H

#define MS_ERRNOS(e)							\
	e(EPERM, 1) e(ENOENT, 2) e(EINTR, 4) e(EAGAIN, 11) e(ENOMEM, 12)	\
	e(EFAULT, 14) e(EBUSY, 16) e(EEXIST, 17) e(EINVAL, 22)		\
	e(ENOTTY, 25) e(ENOSPC, 28)

#define MS_ERRNO_ENUM(name, number)	MS_##name,
enum ms_errno { MS_ERRNOS(MS_ERRNO_ENUM) MS_EOTHER, MS_ERRNO_COUNT };

/* The place of -@err; @err is what a function of the kernel returned, below 0. */
static inline enum ms_errno ms_errno(long err)
{
	switch (-err) {
#define MS_ERRNO_CASE(name, number)	case number: return MS_##name;
	MS_ERRNOS(MS_ERRNO_CASE)
	}
	return MS_EOTHER;
}

#endif
