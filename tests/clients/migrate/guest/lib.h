/* SPDX-License-Identifier: GPL-2.0 */
/* What guests need: ports, interrupts, lines for the host, words of the command line. */
#ifndef LIB_H
#define LIB_H

#include "guest.h"
#include "ports.h"

#define PAGE_SHIFT	12
#define PAGE_SIZE	(1u << PAGE_SHIFT)
#define NSEC_PER_MSEC	1000000u

static inline volatile u32 *lapic(u32 reg)
{
	return (volatile u32 *)(LAPIC_BASE + reg);
}

/* A line of key=value on QEMU's debug console; what does not fit is cut off. */
struct line {
	u32 len;
	char text[200];
};

void add(struct line *l, const char *s);
void add_u64(struct line *l, const char *key, u64 n);
void add_msec(struct line *l, const char *key, u64 nsec);
void say(struct line *l);	/* and empties it */
void die(const char *why) __attribute__((noreturn));

/* All interrupts of the PICs are off, all vectors lead to trap(). */
void interrupts_begin(void);
void set_gate(u32 vector, void (*handler)(void));

/* If WORD begins with KEY, what follows. */
bool starts(const char *word, const char *key, const char **value);
u32 number(const char *s);

#endif
