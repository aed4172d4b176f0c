/* SPDX-License-Identifier: GPL-2.0 */
/* What is done with a device: see main.c. */
#ifndef WHATS_H
#define WHATS_H

/* disk.c */
void blocks(void);
void nothing(void);
void unmapped(void);
void meanwhile(void);
void killed(void);
void waits(void);
void stuck(void);
void waiting(void);
void hostile(void);
void reset(void);
void suspend(void);
void queue(void);
void faults(void);
void in_fragments(void);
void too_many(void);
void exact(void);

/* card.c */
void spaces(void);
void control(void);
void config(void);
void unused(void);
void loop(void);
void left(void);

#endif
