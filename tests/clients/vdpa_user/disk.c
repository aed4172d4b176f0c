// SPDX-License-Identifier: GPL-2.0
/* A disk. */
#include "user.h"
#include "whats.h"

#include <errno.h>
#include <linux/virtio_blk.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../fail_nth.h"
#include "../fragments.h"
#include "../killed.h"
#include "../userfault.h"

#define SECTOR		512
#define CAPACITY	0x40000

static void start_disk(void)
{
	open_device();
	must(ioctl(user.fd, VHOST_SET_OWNER));
	/* what is unmapped later goes by whole maps */
	map(0, 0, DATA + 1);
	map(0, DATA + 1, PAGES - DATA - 1);
	negotiate(MODERN | 1ULL << VIRTIO_BLK_F_WRITE_ZEROES | 1ULL << VIRTIO_BLK_F_DISCARD);
	set_up(0, false);
	set_fds(0);
	enable(0);
	driver_ok();
}

/* Lays a request out; the data is page DATA + 1 and so on, the status in DATA. */
static volatile uint8_t *ask(uint32_t type, uint64_t sector, uint32_t len)
{
	struct virtio_blk_outhdr *hdr = (void *)page(DATA);
	uint8_t *answer = page(DATA) + 100;
	bool in = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;

	*hdr = (struct virtio_blk_outhdr) { .type = type, .sector = sector };
	*answer = 0xaa;
	put(0, 0, hdr, sizeof(*hdr), VRING_DESC_F_NEXT);
	if (len)
		put(0, 1, page(DATA + 1), len, VRING_DESC_F_NEXT | (in ? VRING_DESC_F_WRITE : 0));
	put(0, len ? 2 : 1, answer, 1, VRING_DESC_F_WRITE);
	offer(0, 0);
	return answer;
}

static uint8_t request(uint32_t type, uint64_t sector, uint32_t len)
{
	volatile uint8_t *answer = ask(type, sector, len);

	kick(0);
	check(done_within(0, PATIENCE_MS));
	return *answer;
}

static void fill(uint8_t seed)
{
	for (unsigned int i = 0; i < 8 * PAGE; i++)
		page(DATA + 1)[i] = seed + i * 7 + i / 251;
}

static void check_fill(uint8_t seed, size_t len)
{
	for (size_t i = 0; i < len; i++)
		check(page(DATA + 1)[i] == (uint8_t)(seed + i * 7 + i / 251));
}

void blocks(void)
{
	struct virtio_blk_discard_write_zeroes zeroes = { .sector = 102, .num_sectors = 4 };

	start_disk();
	for (uint8_t n = 0; n < 20; n++) {
		fill(n);
		check(request(VIRTIO_BLK_T_OUT, 100 + n * 64, 8 * PAGE) == VIRTIO_BLK_S_OK);
	}
	for (uint8_t n = 0; n < 20; n++) {
		memset(page(DATA + 1), 0, 8 * PAGE);
		check(request(VIRTIO_BLK_T_IN, 100 + n * 64, 8 * PAGE) == VIRTIO_BLK_S_OK);
		check_fill(n, 8 * PAGE);
		check(user.queue[0].vring.used->ring[(used(0) - 1) % ENTRIES].len == 8 * PAGE + 1);
	}
	check(request(VIRTIO_BLK_T_GET_ID, 0, VIRTIO_BLK_ID_BYTES) == VIRTIO_BLK_S_OK);
	check(!strcmp((char *)page(DATA + 1), "vdpa_blk_sim"));
	check(request(VIRTIO_BLK_T_FLUSH, 0, 0) == VIRTIO_BLK_S_OK);
	memcpy(page(DATA + 1), &zeroes, sizeof(zeroes));
	check(request(VIRTIO_BLK_T_WRITE_ZEROES, 0, sizeof(zeroes)) == VIRTIO_BLK_S_OK);
	check(request(VIRTIO_BLK_T_IN, 100, 8 * PAGE) == VIRTIO_BLK_S_OK);
	for (unsigned int i = 0; i < 4 * SECTOR; i++)
		check(page(DATA + 1)[2 * SECTOR + i] == 0);
	check(page(DATA + 1)[1] == 7 && page(DATA + 1)[6 * SECTOR] == (uint8_t)
	      (6 * SECTOR * 7 + 6 * SECTOR / 251));
	close_device();
}

/*
 * The rings lie where a device that reached all memory would find them. It must not: the
 * request in them stays undone.
 */
void nothing(void)
{
	const uint8_t *data = page(DATA + 1);
	struct vring_desc *desc;

	open_device();
	must(ioctl(user.fd, VHOST_SET_OWNER));
	negotiate(MODERN);
	set_up(0, user.physical);
	set_fds(0);
	enable(0);
	driver_ok();

	memset(page(DATA + 1), 0x33, PAGE);
	ask(VIRTIO_BLK_T_IN, 0, SECTOR);
	desc = user.queue[0].vring.desc;
	for (int i = 0; i < 3 && user.physical; i++)
		desc[i].addr = physical(user.memory + desc[i].addr - IOVA);
	kick(0);
	check(breaks());
	check(used(0) == 0);
	for (unsigned int i = 0; i < PAGE; i++)
		check(data[i] == 0x33);
	/* and it is good again after a reset, with maps */
	close_device();
	blocks();
}

void unmapped(void)
{
	start_disk();
	for (int round = 0; round < 20; round++) {
		fill(round);
		check(request(VIRTIO_BLK_T_OUT, 0, PAGE) == VIRTIO_BLK_S_OK);
		unmap(0, DATA + 1, PAGES - DATA - 1);
		check(request(VIRTIO_BLK_T_IN, 0, PAGE) == VIRTIO_BLK_S_IOERR);
		map(0, DATA + 1, PAGES - DATA - 1);
		memset(page(DATA + 1), 0, PAGE);
		check(request(VIRTIO_BLK_T_IN, 0, PAGE) == VIRTIO_BLK_S_OK);
		check_fill(round, PAGE);
	}
	unmap(0, 0, DATA + 1);
	ask(VIRTIO_BLK_T_FLUSH, 0, 0);
	kick(0);
	check(breaks());
	close_device();
}

/* The disk waits for a page to read to, until @faults bring it. */
static volatile uint8_t *read_waits(int faults)
{
	volatile uint8_t *answer;

	must(madvise(page(DATA + 1), PAGE, MADV_REMOVE));
	userfault_watch(faults, page(DATA + 1), PAGE);
	answer = ask(VIRTIO_BLK_T_IN, 0, PAGE);
	kick(0);
	userfault_wait(faults, PATIENCE_MS);
	return answer;
}

void meanwhile(void)
{
	static uint8_t ours[PAGE] __attribute__((aligned(4096)));
	struct uffdio_copy copy = {
		.dst = (uintptr_t)page(DATA + 1), .src = (uintptr_t)ours, .len = PAGE,
	};
	volatile uint8_t *answer;
	int faults = userfault_open();

	start_disk();
	fill(1);
	check(request(VIRTIO_BLK_T_OUT, 0, PAGE) == VIRTIO_BLK_S_OK);

	answer = read_waits(faults);
	unmap(0, DATA + 1, PAGES - DATA - 1);
	memset(ours, 0x55, PAGE);
	must(ioctl(faults, UFFDIO_COPY, &copy));
	check(done_within(0, PATIENCE_MS));
	check(*answer == VIRTIO_BLK_S_IOERR);
	check(!memcmp(page(DATA + 1), ours, PAGE));
	close(faults);
	close_device();
}

static void *ask_base(void *arg)
{
	struct vhost_vring_state base = { .index = 0 };

	ioctl(user.fd, VHOST_GET_VRING_BASE, &base);
	killed_tell(*(int *)arg);
	return arg;
}

/* @calls: another thread is in the device's hands, too; @exits: on its own account */
static void kept(bool calls, bool exits)
{
	pthread_t thread;
	int ready;
	pid_t pid = killed_fork(&ready);

	if (!pid) {
		/* before the device, which is closed first */
		int faults = userfault_open();

		start_disk();
		check(request(VIRTIO_BLK_T_FLUSH, 0, 0) == VIRTIO_BLK_S_OK);
		read_waits(faults);
		if (calls)
			check(!pthread_create(&thread, NULL, ask_base, &ready));
		killed_ready(ready, exits);
	}
	check(killed_is_gone(pid, ready, exits, SHORTLY_MS));
	/* and who comes next has a disk that works */
	start_disk();
	fill(1);
	check(request(VIRTIO_BLK_T_OUT, 0, PAGE) == VIRTIO_BLK_S_OK);
	memset(page(DATA + 1), 0, PAGE);
	check(request(VIRTIO_BLK_T_IN, 0, PAGE) == VIRTIO_BLK_S_OK);
	check_fill(1, PAGE);
	close_device();
}

void killed(void)
{
	kept(false, false);
	kept(false, true);
	kept(true, false);
}

void waits(void)
{
	start_disk();
	read_waits(userfault_open());
	/* who only looks at it need not wait */
	check(!(status() & VIRTIO_CONFIG_S_NEEDS_RESET));
	printf("waits\n");
	fflush(stdout);
	for (;;)
		pause();
}

static void *say_again(void *arg)
{
	set_status(status());
	return arg;
}

/* The same, and a thread that sets the device's state waits for it as well. */
void stuck(void)
{
	pthread_t thread;

	start_disk();
	read_waits(userfault_open());
	check(!pthread_create(&thread, NULL, say_again, NULL));
	/* were anybody to wait for us, then not for ever */
	alarm(60);
	usleep(300000);
	printf("stuck\n");
	fflush(stdout);
	for (;;)
		pause();
}

void waiting(void)
{
	for (int late = 0; late < 2; late++) {
		volatile uint8_t *answer;

		open_device();
		must(ioctl(user.fd, VHOST_SET_OWNER));
		map(0, 0, PAGES);
		negotiate(MODERN);
		set_up(0, false);
		set_fds(0);
		answer = ask(VIRTIO_BLK_T_FLUSH, 0, 0);
		if (!late) {
			enable(0);
			/* so that it is looked at by a device that does not run yet */
			usleep(SHORTLY_MS * 1000);
		}
		driver_ok();
		if (late)
			enable(0);
		check(done_within(0, PATIENCE_MS));
		check(*answer == VIRTIO_BLK_S_OK);
		close_device();
	}
}

void faults(void)
{
	unsigned int n;
	bool hit;

	start_disk();
	fill(1);
	check(request(VIRTIO_BLK_T_OUT, 0, PAGE) == VIRTIO_BLK_S_OK);
	for (n = 1, hit = true; hit; n++) {
		int ret;

		fail_nth(n);
		ret = message(0, VHOST_IOTLB_INVALIDATE, DATA + 1, PAGES - DATA - 1);
		hit = fail_nth_end();
		check(!ret || (hit && (errno == ENOMEM || errno == EFAULT)));
		/* copies from our memory fail as well: it was not read */
		if (ret && errno == EFAULT)
			unmap(0, DATA + 1, PAGES - DATA - 1);
		check(request(VIRTIO_BLK_T_IN, 0, PAGE) == VIRTIO_BLK_S_IOERR);
		fail_nth(n);
		ret = message(0, VHOST_IOTLB_UPDATE, DATA + 1, PAGES - DATA - 1);
		hit |= fail_nth_end();
		check(!ret || errno == ENOMEM || errno == EFAULT);
		if (ret)
			map(0, DATA + 1, PAGES - DATA - 1);
		memset(page(DATA + 1), 0, PAGE);
		check(request(VIRTIO_BLK_T_IN, 0, PAGE) == VIRTIO_BLK_S_OK);
		check_fill(1, PAGE);
	}
	check(n > 2);
	close_device();
}

/* Where no other memory of ours is mapped. */
#define FAR	(IOVA + (1ULL << 32))

static const uint8_t *far_memory(void)
{
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };

	must(setrlimit(RLIMIT_MEMLOCK, &all));
	return fragments(user.fragments);
}

/* A sector of the disk's comes to be at @at. */
static uint8_t read_to(uint64_t at)
{
	volatile uint8_t *answer = ask(VIRTIO_BLK_T_IN, 0, SECTOR);

	user.queue[0].vring.desc[1].addr = at;
	kick(0);
	check(done_within(0, PATIENCE_MS));
	return *answer;
}

void in_fragments(void)
{
	const uint8_t *far = far_memory();
	const unsigned long at[] = { 0, user.fragments / 2 + 1, user.fragments - 1 };

	start_disk();
	must(message_at(0, VHOST_IOTLB_UPDATE, FAR, far, user.fragments));
	for (unsigned int i = 0; i < 3; i++) {
		memset(page(DATA + 1), 0x11 * (i + 1), SECTOR);
		check(request(VIRTIO_BLK_T_OUT, 0, SECTOR) == VIRTIO_BLK_S_OK);
		check(read_to(FAR + at[i] * PAGE) == VIRTIO_BLK_S_OK);
		check(!memcmp(far + at[i] * PAGE, page(DATA + 1), SECTOR));
	}
	check(read_to(FAR + user.fragments * PAGE) == VIRTIO_BLK_S_IOERR);
	must(message_at(0, VHOST_IOTLB_INVALIDATE, FAR, NULL, user.fragments));
	check(read_to(FAR) == VIRTIO_BLK_S_IOERR);
	close_device();
}

void too_many(void)
{
	const uint8_t *far = far_memory();

	start_disk();
	fill(3);
	check(message_at(0, VHOST_IOTLB_UPDATE, FAR, far, user.fragments) && errno == ENOSPC);
	check(read_to(FAR) == VIRTIO_BLK_S_IOERR);
	check(request(VIRTIO_BLK_T_OUT, 0, 8 * PAGE) == VIRTIO_BLK_S_OK);
	/* as much as there is room for still is */
	must(message_at(0, VHOST_IOTLB_UPDATE, FAR, far, FRAGMENTS_FILE));
	check(read_to(FAR + (FRAGMENTS_FILE - 1) * PAGE) == VIRTIO_BLK_S_OK);
	check(!memcmp(far + (FRAGMENTS_FILE - 1) * PAGE, page(DATA + 1), SECTOR));
	close_device();
}

void hostile(void)
{
	struct virtio_blk_discard_write_zeroes zeroes = { .sector = CAPACITY - 1, .num_sectors = 2 };

	start_disk();
	fill(9);
	check(request(VIRTIO_BLK_T_OUT, CAPACITY - 1, SECTOR) == VIRTIO_BLK_S_OK);
	/* rounded down to whole sectors it would fit */
	check(request(VIRTIO_BLK_T_OUT, CAPACITY - 1, 2 * SECTOR - 1) == VIRTIO_BLK_S_IOERR);
	check(request(VIRTIO_BLK_T_IN, CAPACITY - 1, 2 * SECTOR - 1) == VIRTIO_BLK_S_IOERR);
	check(request(VIRTIO_BLK_T_IN, CAPACITY - 1, 2 * SECTOR) == VIRTIO_BLK_S_IOERR);
	check(request(VIRTIO_BLK_T_IN, CAPACITY, SECTOR) == VIRTIO_BLK_S_IOERR);
	check(request(VIRTIO_BLK_T_OUT, UINT64_MAX, SECTOR) == VIRTIO_BLK_S_IOERR);
	check(request(VIRTIO_BLK_T_OUT, 1ULL << 55, SECTOR) == VIRTIO_BLK_S_IOERR);
	check(request(VIRTIO_BLK_T_FLUSH, 1, 0) == VIRTIO_BLK_S_IOERR);
	check(request(77, 0, 0) == VIRTIO_BLK_S_UNSUPP);
	memcpy(page(DATA + 1), &zeroes, sizeof(zeroes));
	check(request(VIRTIO_BLK_T_WRITE_ZEROES, 0, sizeof(zeroes)) == VIRTIO_BLK_S_IOERR);
	check(request(VIRTIO_BLK_T_WRITE_ZEROES, 0, sizeof(zeroes) + 1) == VIRTIO_BLK_S_IOERR);
	zeroes.sector = 0;
	zeroes.flags = 2;
	memcpy(page(DATA + 1), &zeroes, sizeof(zeroes));
	check(request(VIRTIO_BLK_T_WRITE_ZEROES, 0, sizeof(zeroes)) == VIRTIO_BLK_S_UNSUPP);
	/* a header that is too short; and a request without a place for its status */
	put(0, 0, page(DATA), 8, VRING_DESC_F_NEXT);
	put(0, 1, page(DATA) + 100, 1, VRING_DESC_F_WRITE);
	offer(0, 0);
	kick(0);
	check(done_within(0, PATIENCE_MS) && page(DATA)[100] == VIRTIO_BLK_S_IOERR);
	put(0, 0, page(DATA), 16, 0);
	offer(0, 0);
	kick(0);
	check(done_within(0, PATIENCE_MS));
	check(user.queue[0].vring.used->ring[(used(0) - 1) % ENTRIES].len == 0);
	/* a chain that is none is given back, and the next one is served */
	put(0, 0, page(DATA), 16, VRING_DESC_F_NEXT);
	user.queue[0].vring.desc[0].next = 0;
	offer(0, 0);
	kick(0);
	check(done_within(0, PATIENCE_MS));
	check(request(VIRTIO_BLK_T_IN, CAPACITY - 1, SECTOR) == VIRTIO_BLK_S_OK);
	check_fill(9, SECTOR);
	/* a ring that is none ends it */
	user.queue[0].vring.avail->idx = user.queue[0].avail + ENTRIES + 1;
	kick(0);
	check(breaks());
	close_device();
}

void reset(void)
{
	uint16_t before;

	for (unsigned int round = 0; round < 100; round++) {
		start_disk();
		for (unsigned int i = 0; i < 20; i++)
			ask(VIRTIO_BLK_T_FLUSH, 0, 0);
		kick(0);
		if (round % 3)
			usleep(round * 10);
		set_status(0);
		before = used(0);
		usleep(round % 2 ? 2000 : 0);
		kick(0);
		usleep(2000);
		check(used(0) == before);
		check(status() == 0);
		close_device();
	}
	/* a reset keeps what was mapped, agreed or not */
	start_disk();
	set_status(0);
	negotiate(MODERN);
	set_up(0, false);
	set_fds(0);
	enable(0);
	driver_ok();
	check(request(VIRTIO_BLK_T_FLUSH, 0, 0) == VIRTIO_BLK_S_OK);
	close_device();
}

void suspend(void)
{
	struct vhost_vring_state base = { .index = 0 };
	uint16_t before;

	start_disk();
	check(request(VIRTIO_BLK_T_FLUSH, 0, 0) == VIRTIO_BLK_S_OK);
	must(ioctl(user.fd, VHOST_VDPA_SUSPEND));
	before = used(0);
	ask(VIRTIO_BLK_T_FLUSH, 0, 0);
	kick(0);
	check(!done_within(0, SHORTLY_MS) && used(0) == before);
	must(ioctl(user.fd, VHOST_GET_VRING_BASE, &base));
	check(base.num == before);
	must(ioctl(user.fd, VHOST_VDPA_RESUME));
	check(done_within(0, PATIENCE_MS));
	close_device();
}

/* The data's pages are all that it goes without: rings, headers and answers are mapped. */
static void without(unsigned int rounds, uint8_t perm, uint32_t type)
{
	unmap(0, DATA + 1, PAGES - DATA - 1);
	if (perm)
		map_for(0, DATA + 1, PAGES - DATA - 1, perm);
	while (rounds--)
		check(request(type, 0, PAGE) == VIRTIO_BLK_S_IOERR);
	if (perm)
		unmap(0, DATA + 1, PAGES - DATA - 1);
	map(0, DATA + 1, PAGES - DATA - 1);
}

void exact(void)
{
	const unsigned int missed_in = 3, missed_out = 4, unwritable = 5, unreadable = 6;
	char byte;

	start_disk();
	fill(3);
	for (int n = 0; n < 10; n++)
		check(request(VIRTIO_BLK_T_OUT, n, PAGE) == VIRTIO_BLK_S_OK);
	without(missed_in, 0, VIRTIO_BLK_T_IN);
	without(missed_out, 0, VIRTIO_BLK_T_OUT);
	without(unwritable, VHOST_ACCESS_RO, VIRTIO_BLK_T_IN);
	without(unreadable, VHOST_ACCESS_WO, VIRTIO_BLK_T_OUT);
	check(request(VIRTIO_BLK_T_IN, 0, PAGE) == VIRTIO_BLK_S_OK);
	for (int n = 0; n < 2; n++) {
		must(ioctl(user.fd, VHOST_VDPA_SUSPEND));
		must(ioctl(user.fd, VHOST_VDPA_RESUME));
	}
	check(request(VIRTIO_BLK_T_IN, 0, PAGE) == VIRTIO_BLK_S_OK);
	/* each by one address of the one page that its data is in; maps: two, of start_disk() */
	printf("misses %u\ndenied %u\nsuspends 2\nresumes 2\nmaps 2\n", missed_in + missed_out,
	       unwritable + unreadable);
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	close_device();
	printf("end\n");
}

void queue(void)
{
	struct vhost_vring_state state = { 0, 512 };
	struct vhost_vring_state on = { 0, 1 };
	uint16_t max;

	open_device();
	must(ioctl(user.fd, VHOST_SET_OWNER));
	map(0, 0, PAGES);
	negotiate(MODERN);
	must(ioctl(user.fd, VHOST_VDPA_GET_VRING_NUM, &max));
	check(max == 256);
	set_up(0, false);
	set_fds(0);
	/* more than it has, however it is refused: it does not start with that */
	if (!ioctl(user.fd, VHOST_SET_VRING_NUM, &state)) {
		enable(0);
		driver_ok();
		ask(VIRTIO_BLK_T_FLUSH, 0, 0);
		kick(0);
		check(!done_within(0, SHORTLY_MS));
	}
	on.index = 1;
	check(ioctl(user.fd, VHOST_VDPA_SET_VRING_ENABLE, &on) && errno == ENOBUFS);
	on.index = UINT32_MAX;
	check(ioctl(user.fd, VHOST_VDPA_SET_VRING_ENABLE, &on));
	close_device();
}
