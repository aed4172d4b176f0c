/* SPDX-License-Identifier: GPL-2.0 */
/* Memory in pieces, as that of a machine that has been up for long. */
#ifndef _CLIENTS_FRAGMENTS_H
#define _CLIENTS_FRAGMENTS_H

#include <err.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define FRAGMENTS_PAGE	4096UL
#define FRAGMENTS_FILE	512UL	/* pages: so many are different */
#define FRAGMENTS_MARK	0x6d69677363000000ULL

/*
 * @pages of which no two are contiguous, though we have little: a file whose
 * pages were touched in disorder, mapped again and again. Each begins with
 * FRAGMENTS_MARK and its number in the file. @pages is a multiple of FRAGMENTS_FILE.
 */
static inline uint8_t *fragments(unsigned long pages)
{
	int fd = memfd_create("fragments", 0);
	uint8_t *p, *one;

	if (fd < 0 || ftruncate(fd, FRAGMENTS_FILE * FRAGMENTS_PAGE))
		err(EXIT_FAILURE, "memfd");
	p = mmap(NULL, pages * FRAGMENTS_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		err(EXIT_FAILURE, "memory");
	one = mmap(NULL, FRAGMENTS_FILE * FRAGMENTS_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (one == MAP_FAILED)
		err(EXIT_FAILURE, "memory");
	for (unsigned long i = 0; i < FRAGMENTS_FILE; i++) {
		unsigned long page = i * 211 % FRAGMENTS_FILE;	/* odd: every one once */

		*(uint64_t *)(one + page * FRAGMENTS_PAGE) = FRAGMENTS_MARK + page;
	}
	munmap(one, FRAGMENTS_FILE * FRAGMENTS_PAGE);
	for (unsigned long i = 0; i < pages; i += FRAGMENTS_FILE)
		if (mmap(p + i * FRAGMENTS_PAGE, FRAGMENTS_FILE * FRAGMENTS_PAGE,
			 PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd,
			 0) == MAP_FAILED)
			err(EXIT_FAILURE, "mmap");
	close(fd);
	return p;
}

#endif
