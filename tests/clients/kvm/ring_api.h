/* SPDX-License-Identifier: GPL-2.0 */
/* What the tests of ring_api share. */
#ifndef TESTS_KVM_RING_API_H
#define TESTS_KVM_RING_API_H

#include "vm.h"

#include <errno.h>
#include <stdbool.h>

#define OK(cond, ...) ok(cond, __FILE__, __LINE__, __VA_ARGS__)
bool __attribute__((format(printf, 4, 5))) ok(bool passed, const char *file, int line, const char *fmt, ...);

/* Errno of a call that fails, 0 of one that does not. */
static inline int error_of(long r)
{
	return r < 0 ? errno : 0;
}

/* What @v writes when it runs next: pages of @a, each once. */
void write_pages(struct vcpu *v, struct area *a, u64 from, u64 n);

/* ring_pages.c */
void test_protect(void);
void test_pre_fault(void);
void test_strings(void);
void test_flush(void);
void test_tables(void);
void test_epochs(void);

#endif
