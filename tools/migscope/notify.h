/* SPDX-License-Identifier: GPL-2.0 */
/* Tells a service manager how we are: sd_notify(3)'s protocol, which is one datagram. */
#ifndef MIGSCOPE_NOTIFY_H
#define MIGSCOPE_NOTIFY_H

/* Nothing happens when nobody asked to be told. */
void notify(const char *state);

#endif
