/* SPDX-License-Identifier: GPL-2.0 */
/* A forecast for each VM that is tracked now, kept up from sample to sample. */
#ifndef MIGSCOPE_OUTLOOK_H
#define MIGSCOPE_OUTLOOK_H

#include "model.h"

struct outlook;

/* For migrations that may use @bandwidth bytes a second and stop a VM for @downtime s. NULL: no memory. */
struct outlook *outlook_new(double bandwidth, double downtime);
void outlook_free(struct outlook *o);

/* Fills the VMs' outlook in; what it is from are the last half minute's samples. 0 or -ENOMEM. */
int outlook_feed(struct outlook *o, struct model *m);

#endif
