/* SPDX-License-Identifier: GPL-2.0 */
/* What the files of the text renderer share. */
#ifndef MIGSCOPE_RENDER_TEXT_H
#define MIGSCOPE_RENDER_TEXT_H

#include "render.h"

/* A duration for people: three digits and a unit. */
const char *text_duration(char *buf, size_t size, __u64 ns);

/* Counts that would break a column of seven are shortened. */
const char *text_count(char *buf, size_t size, double n);

/* A counter never goes back; should it seem to, nothing happened. */
__u64 text_since(__u64 now, __u64 old);

/* With mean, longest, sum, and a bar a bucket. */
void text_time_hist(FILE *out, const char *what, const struct ms_time_hist *h);

/* A line for each device with which something happened since @before. */
void text_devices(FILE *out, const struct model *m, const struct model *before);

/* Everything about each device. */
void text_devices_report(FILE *out, const struct model *m);

#endif
