/* SPDX-License-Identifier: GPL-2.0 */
/* What a process does to the device: see main.c. */
#ifndef SUITES_H
#define SUITES_H

/* ioctls.c */
void suite_ioctls(void);
void suite_unsuspended(void);

/* memory.c */
void suite_memory(void);
void suite_files(void);
void suite_runs(unsigned long pages);
void suite_faults(void);

/* life.c */
void suite_removed(void);
void suite_busy(unsigned long seed);
void suite_exact(bool hold);

#endif
