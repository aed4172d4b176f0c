// SPDX-License-Identifier: GPL-2.0
/* What the other files share: the ways out, the clock, memory. */
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include "kvmload.h"

static void complain(const char *fmt, va_list ap)
{
	flockfile(stderr);
	fputs("kvmload: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	funlockfile(stderr);
}

/* The VMs die with the process: there is nothing to undo. */
void kl_die(int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain(fmt, ap);
	va_end(ap);
	fflush(stdout);
	_Exit(status);
}

/* A broken count is told a few times, then only counted; the run goes on. */
void kl_wrong(struct kl_vm *vm, const char *fmt, ...)
{
	u32 nr = __atomic_fetch_add(&vm->wrong, 1, __ATOMIC_RELAXED);
	va_list ap;

	if (nr >= 10)
		return;
	va_start(ap, fmt);
	complain(fmt, ap);
	va_end(ap);
}

u64 kl_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

void kl_sleep_ns(u64 ns)
{
	struct timespec ts = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };

	nanosleep(&ts, NULL);
}

void *kl_alloc(size_t n, size_t size)
{
	void *p = calloc(n, size);

	if (!p)
		kl_die(KL_EXIT_FAIL, "no memory for %zu times %zu bytes", n, size);
	return p;
}
