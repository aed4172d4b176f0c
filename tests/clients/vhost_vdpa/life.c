// SPDX-License-Identifier: GPL-2.0
/* A process that is watched, killed, or outlives the device. */
#include "device.h"
#include "suites.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

void suite_removed(void)
{
	volatile uint32_t *bell;
	uint8_t *p = memory(16);
	uint64_t features;
	char line[16];
	int fd, sig;

	start();
	limit(64);
	equal("mapped", map(IOVA, 16 * PAGE, p), 0);
	run();
	fd = kick_fd(0);
	kick(fd);
	equal("kicked", seen(0, "kicks "), 1);
	bell = doorbell(0, PROT_WRITE, MAP_SHARED, PAGE);
	ok(bell, "a doorbell");
	*bell = 1;
	signal(SIGBUS, faulted);
	printf("# ready\n");
	if (!fgets(line, sizeof(line), stdin))
		errx(EXIT_FAILURE, "nobody told us that it is gone");

	equal("gone: nothing is charged any more", charged(), 0);
	kick(fd);
	ioctl_is("gone: an ioctl", VHOST_GET_FEATURES, &features, -ENODEV);
	equal("gone: a message", map(IOVA, PAGE, p), -ENODEV);
	ok(!doorbell(0, PROT_WRITE, MAP_SHARED, PAGE), "gone: another doorbell");
	sig = sigsetjmp(fault, 1);
	if (!sig)
		*bell = 2;
	equal("gone: the doorbell that was mapped", sig, SIGBUS);
}

/* Ends only when it is killed. */
void suite_busy(unsigned long seed)
{
	uint8_t *p = memory(512);
	int fd;

	start();
	limit(RLIM_INFINITY);
	run();
	fd = kick_fd(0);
	srand(seed);
	printf("# busy\n");
	for (;;) {
		uint64_t page = rand() % 256, n = 1 + rand() % 256;

		asid = rand() % 3;
		switch (rand() % 6) {
		case 0:
			begin();
			break;
		case 1:
			end();
			break;
		case 2:
			unmap(IOVA + page * PAGE, n * PAGE);
			break;
		case 3:
			kick(fd);
			break;
		default:
			map(IOVA + page * PAGE, n * PAGE, p + page * PAGE);
		}
	}
}

static void need(int result)
{
	if (result)
		errx(EXIT_FAILURE, "message: %s", strerror(-result));
}

/* The base's vhost tells its user EFAULT whatever it was; who watches sees what it was. */
static bool refused(int result, int error)
{
	static char taint[16] = "?";

	if (taint[0] == '?') {
		FILE *file = fopen("/sys/module/vhost_vdpa/taint", "r");

		if (!file || !fgets(taint, sizeof(taint), file))
			err(EXIT_FAILURE, "whose vhost_vdpa is it?");
		fclose(file);
	}
	return result == (strchr(taint, 'O') ? -error : -EFAULT);
}

/* What is printed here is what must be seen by whoever watches. */
void suite_exact(bool hold)
{
	struct vhost_vring_state enabled = { .index = 1, .num = 1 };
	uint8_t *p = memory(64);
	unsigned int kicks = 33;
	char line[16];
	int fd;

	start();
	limit(40);
	run();
	must(ioctl(dev, VHOST_VDPA_SET_VRING_ENABLE, &enabled));
	fd = kick_fd(1);
	for (int i = 0; i < 10; i++)
		need(map(IOVA + 8 * i * PAGE, 4 * PAGE, p + 4 * i * PAGE));
	if (!refused(map(IOVA + 256 * PAGE, PAGE, p), ENOMEM))
		errx(EXIT_FAILURE, "the 41st page");
	if (!refused(map(IOVA, PAGE, p), EEXIST))
		errx(EXIT_FAILURE, "a page twice");
	need(begin());
	for (int i = 0; i < 5; i++)
		need(unmap(IOVA + 8 * i * PAGE, 4 * PAGE));
	need(map(IOVA + 512 * PAGE, 20 * PAGE, p));
	need(end());
	for (unsigned int i = 0; i < kicks; i++)
		kick(fd);
	printf("update 13\ninvalidate 5\nbatch_begin 1\nbatch_end 1\nfailed 2\n"
	       "pinned 60\nready 1\nkicks %u\n", kicks);
	while (hold && fgets(line, sizeof(line), stdin)) {
		for (unsigned int i = 0; i < kicks; i++)
			kick(fd);
		printf("kicks %u\n", kicks);
	}
}
