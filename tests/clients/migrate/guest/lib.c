// SPDX-License-Identifier: GPL-2.0
#include "lib.h"

#define PIC1_DATA	0x21
#define PIC2_DATA	0xa1

struct idt_gate {
	u16 offset_low, selector, type, offset_high;
};

struct idt_gate idt[IDT_VECTORS];

static u32 console_lock;

void trap(void);

void add(struct line *l, const char *s)
{
	/* one byte is left for the newline */
	while (*s && l->len < sizeof(l->text) - 1)
		l->text[l->len++] = *s++;
}

/* There is no 64-bit division without libgcc: in two steps of 32. */
static u32 div_rem(u64 *n, u32 by)
{
	u32 high = *n >> 32, low = *n, rem;

	asm("divl %4" : "=a"(low), "=d"(rem) : "0"(low), "1"(high % by), "rm"(by));
	*n = (u64)(high / by) << 32 | low;
	return rem;
}

void add_u64(struct line *l, const char *key, u64 n)
{
	char digits[21];
	u32 at = sizeof(digits) - 1;

	digits[at] = '\0';
	do
		digits[--at] = '0' + div_rem(&n, 10);
	while (n);
	add(l, key);
	add(l, digits + at);
}

void add_msec(struct line *l, const char *key, u64 nsec)
{
	div_rem(&nsec, NSEC_PER_MSEC);
	add_u64(l, key, nsec);
}

void say(struct line *l)
{
	const char *from = l->text;
	u32 len = l->len;

	l->text[len++] = '\n';
	while (__atomic_exchange_n(&console_lock, 1, __ATOMIC_ACQUIRE))
		asm volatile("pause");
	asm volatile("rep outsb" : "+S"(from), "+c"(len) : "d"(DEBUGCON_PORT) : "memory");
	__atomic_store_n(&console_lock, 0, __ATOMIC_RELEASE);
	l->len = 0;
}

void die(const char *why)
{
	struct line l = { 0 };

	add(&l, "failed: ");
	add(&l, why);
	say(&l);
	for (;;)
		asm volatile("cli; hlt");
}

void set_gate(u32 vector, void (*handler)(void))
{
	idt[vector] = (struct idt_gate) {
		.offset_low = (u32)handler,
		.selector = 0x08,
		.type = 0x8e00,
		.offset_high = (u32)handler >> 16,
	};
}

void interrupts_begin(void)
{
	for (u32 i = 0; i < IDT_VECTORS; i++)
		set_gate(i, trap);
	outb(0xff, PIC1_DATA);
	outb(0xff, PIC2_DATA);
}

bool starts(const char *word, const char *key, const char **value)
{
	while (*key)
		if (*word++ != *key++)
			return false;
	*value = word;
	return true;
}

u32 number(const char *s)
{
	u32 n = 0;

	while (*s >= '0' && *s <= '9')
		n = n * 10 + (*s++ - '0');
	if (*s && *s != ' ')
		die("command line: not a number");
	return n;
}
