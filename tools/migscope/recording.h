/* SPDX-License-Identifier: GPL-2.0 */
/* A recording on disk: an SQLite database, described in SCHEMA.md. */
#ifndef MIGSCOPE_RECORDING_H
#define MIGSCOPE_RECORDING_H

#include "model.h"

#define RECORDING_SCHEMA 1

struct recording;

/*
 * Makes @path, which must not be there. @command: what is on record as the command line.
 * -errno, with the reason printed.
 */
int recording_new(const char *path, const char *command, double interval, struct recording **r);

/*
 * Adds a sample, in one transaction: what was added before stays whatever happens. While
 * somebody reads the file it is kept, to be written with one of the next.
 * -errno, with the reason printed.
 */
int recording_add(struct recording *r, const struct model *m);

/* Marks it complete, with why it ended. -errno, with the reason printed. */
int recording_finish(struct recording *r, const char *why);

/* Samples that are written. */
unsigned long recording_samples(const struct recording *r);
void recording_free(struct recording *r);

#endif
