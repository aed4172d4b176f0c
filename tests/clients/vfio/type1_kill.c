// SPDX-License-Identifier: GPL-2.0
/*
 * type1_kill [-n TIMES] [-s SEED] [ADDRESS] - processes with a container are killed
 *
 * Each shares the memory of this one, but not its descriptors: what it is charged for is
 * seen here, and here it has to be gone. With ADDRESS, a PCI device that is given to
 * vfio-pci, every other one has a device with an IOMMU. Prints TAP.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "container.h"

#define MAPS	16
#define PAGES	256

static char *mem;
static const char *address;
static volatile u64 charged;	/* how often a victim had something to lose */

#define NAP_NS		40000000
#define POLL_NS		1000000
#define CHARGED_SECONDS	60

/* Runs on a stack of its own in our memory, until it is killed; keeps nothing there. */
static int victim(void *arg)
{
	const char *const pci[] = { address, NULL };
	static u64 bitmap[MAPS * PAGES / 64 + 64];
	struct container c;
	unsigned int i = 0;

	if (arg) {
		container_open(&c, VFIO_TYPE1v2_IOMMU, pci);
		container_open_device(&c, container_attach(&c, "vfio_probe.0"), "vfio_probe.0");
	} else {
		probe_container(&c, VFIO_TYPE1v2_IOMMU, 1);
	}
	for (;; i++) {
		u64 iova = i % MAPS * PAGES * PAGE;

		if (dma_map(&c, iova, mem + iova, PAGES * PAGE, RDWR))
			dma_unmap(&c, iova, PAGES * PAGE, 0, NULL);
		pin(&c, c.nr - 1, iova + 10 * PAGE, 200, RDWR);
		charged++;
		if (i % 7 == 0)
			dirty(&c, START);
		get(&c, 0, MAPS * PAGES * PAGE, bitmap);
		unpin(&c, c.nr - 1, iova + 50 * PAGE, 20);
		if (i % 5 == 4)
			dma_unmap_bitmap(&c, iova, PAGES * PAGE, bitmap, NULL);
	}
	return 0;
}

static void nap_of(unsigned long ns)
{
	struct timespec nap = { .tv_nsec = ns };

	nanosleep(&nap, NULL);
}

/* How long a victim takes until it holds pages is a matter of the machine: so it is seen. */
static void until_charged(void)
{
	time_t end = time(NULL) + CHARGED_SECONDS;

	while (!charged && time(NULL) < end)
		nap_of(POLL_NS);
}

int main(int argc, char **argv)
{
	const size_t stack_size = 256 << 10;
	int times = 200, opt, i, bad = 0, status, lived = 0;
	char *stack = memory(stack_size);
	unsigned int seed = 1;
	pid_t pid;

	while ((opt = getopt(argc, argv, "n:s:")) != -1) {
		switch (opt) {
		case 'n':
			times = atoi(optarg);
			break;
		case 's':
			seed = atoi(optarg);
			break;
		default:
			return 2;
		}
	}
	address = argv[optind];
	mem = memory(MAPS * PAGES * PAGE);
	for (i = 0; i < times; i++) {
		charged = 0;
		pid = clone(victim, stack + stack_size, CLONE_VM | SIGCHLD,
			    (void *)(uintptr_t)(address && i % 2));
		if (pid < 0)
			bail_out("clone");
		/* half of them as they may be, perhaps in the middle of opening */
		if (i / 2 % 2)
			until_charged();
		nap_of(rand_r(&seed) % NAP_NS);
		kill(pid, SIGKILL);
		if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status))
			bail_out("a victim ended by itself");
		lived += charged > 0;
		/* the descriptors of a process are closed before it can be waited for */
		if (locked_pages()) {
			fprintf(stderr, "# round %d: %ld pages stay locked\n", i, locked_pages());
			bad++;
		}
	}
	IS(bad, 0, "killed %d times, %d of them with pages: nothing stays charged", times, lived);
	OK(lived >= times / 2, "half of them at least were killed with pages");
	return done_testing();
}
