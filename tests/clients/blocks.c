// SPDX-License-Identifier: GPL-2.0
/*
 * blocks [-s SIZE] [-n REQUESTS] [-t THREAD] DEVICE - requests to a disk
 *
 * Writes REQUESTS blocks of SIZE bytes past the cache, then reads them back in another
 * order and compares. The last line: blocks N bytes N
 *
 *   -s  default 4096
 *   -n  default 200
 *   -t  says before how long a request took, in ns, and how much of that the kernel's
 *       thread of that name ran
 */
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "thread_time.h"

static void fill(uint64_t *block, size_t size, uint64_t n)
{
	for (size_t i = 0; i < size / sizeof(*block); i++)
		block[i] = (n * 1000003 + i) * 0x9e3779b97f4a7c15ULL;
}

int main(int argc, char **argv)
{
	size_t size = 4096, n = 200, i;
	const char *thread = NULL;
	uint64_t *block, *want, begin, ran, write_ns = 0, read_ns = 0, write_ran = 0, read_ran = 0;
	int opt, fd;

	while ((opt = getopt(argc, argv, "s:n:t:")) != -1) {
		switch (opt) {
		case 's': size = strtoul(optarg, NULL, 0); break;
		case 'n': n = strtoul(optarg, NULL, 0); break;
		case 't': thread = optarg; break;
		default: return 2;
		}
	}
	if (optind + 1 != argc || !size || size % 4096 || !n)
		errx(2, "usage: blocks [-s SIZE] [-n REQUESTS] [-t THREAD] DEVICE");
	fd = open(argv[optind], O_RDWR | O_DIRECT);
	if (fd < 0)
		err(EXIT_FAILURE, "%s", argv[optind]);
	want = malloc(size);
	if (!want || posix_memalign((void **)&block, 4096, size))
		errx(EXIT_FAILURE, "no memory");

	for (i = 0; i < n; i++) {
		fill(block, size, i);
		ran = thread ? thread_time(thread) : 0;
		begin = now_ns();
		if (pwrite(fd, block, size, i * size) != (ssize_t)size)
			err(EXIT_FAILURE, "writing block %zu", i);
		write_ns += now_ns() - begin;
		write_ran += thread ? thread_time(thread) - ran : 0;
	}
	for (i = 0; i < n; i++) {
		/* any order that gets to all of them, once */
		size_t at = n % 7 ? i * 7 % n : i;

		memset(block, 0, size);
		ran = thread ? thread_time(thread) : 0;
		begin = now_ns();
		if (pread(fd, block, size, at * size) != (ssize_t)size)
			err(EXIT_FAILURE, "reading block %zu", at);
		read_ns += now_ns() - begin;
		read_ran += thread ? thread_time(thread) - ran : 0;
		fill(want, size, at);
		if (memcmp(block, want, size))
			errx(EXIT_FAILURE, "block %zu is not what was written", at);
	}
	if (thread)
		printf("write %.1f\nwrite_worker %.1f\nread %.1f\nread_worker %.1f\n",
		       (double)write_ns / n, (double)write_ran / n, (double)read_ns / n,
		       (double)read_ran / n);
	printf("blocks %zu bytes %zu\n", n, n * size);
	return 0;
}
