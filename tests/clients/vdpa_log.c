// SPDX-License-Identifier: GPL-2.0
/*
 * vdpa_log DEVICE SUITE [THREAD] - the dirty log of a simulated device, against what it wrote
 *
 * DEVICE is a /dev/vhost-vdpa-N. Prints TAP lines, and "end" when it came to its end.
 * Suites, for a disk:
 *
 *	rules	who may ask for it, when, and what is refused
 *	exact	the set of pages in the log is the set of pages that were written
 *	taken	the same, while the log is taken out by another thread
 *	broken	a log that cannot be written stops the device
 *	file	the log is a file in this folder, whose pages may not be pinned for long
 *	stays	logs for ever, and waits to be killed
 *	kept	a process that is killed while its device waits for the log's memory, which the
 *		process would bring, is gone
 *	left	its owner ends and another process keeps the file: the owner's memory is freed,
 *		and the device, which works in that, does no more
 *	left_pinned	the same where the memory is pinned: it goes on until it has to log
 *	plain, logged	what its worker, THREAD, runs for a request of 1 and of 64 pages
 * for a card:
 *	spaces	the log is of address space 0, whatever is written in another
 * for a device that cannot log:
 *	without	it is not offered, nor taken
 */
#include <linux/virtio_blk.h>
#include <linux/virtio_net.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "killed.h"
#include "median.h"
#include "thread_time.h"
#include "userfault.h"
#include "vdpa_driver.h"

#define PAGES		512UL
#define IOVA		0x47f00000ULL	/* half of its bits are in one page of the log, half in the next */
#define RING		0UL		/* the first page of the ring */
#define HEADER		8UL
#define STATUS		9UL
#define DATA		16UL
#define USED_AS		500UL		/* the page as which used rings are logged */
#define SECTOR		512UL
#define IDLE_MS		500		/* a device that has nothing to do but its work has done it */
#define F_LOG		(1ULL << VHOST_F_LOG_ALL)
#define LOG_SIZE	((IOVA / PAGE + PAGES) / 8)

#define COST_REQUESTS	101

static const char *worker;
static uint64_t *log_bits;		/* LOG_SIZE, and as much again that nobody may touch */
static bool want[PAGES], seen[PAGES];
static unsigned long strays;

/* Takes out what is marked, as whoever migrates does. */
static void log_take(void)
{
	for (size_t word = 0; word < 2 * LOG_SIZE / 8; word++) {
		uint64_t bits;

		if (!__atomic_load_n(&log_bits[word], __ATOMIC_RELAXED))
			continue;
		bits = __atomic_exchange_n(&log_bits[word], 0, __ATOMIC_ACQ_REL);
		for (; bits; bits &= bits - 1) {
			uint64_t n = word * 64 + __builtin_ctzll(bits) - IOVA / PAGE;

			if (n < PAGES)
				seen[n] = true;
			else
				strays++;
		}
	}
}

static void log_clear(void)
{
	log_take();
	memset(seen, 0, sizeof(seen));
	memset(want, 0, sizeof(want));
	strays = 0;
}

/* What was marked since log_clear() is what was wanted, to the page. */
static void log_is(const char *name)
{
	unsigned long lost, invented, n;

	/* a used ring is marked after it was written: we may have read it in between */
	for (int ms = 0; ms < IDLE_MS; ms++) {
		log_take();
		lost = invented = n = 0;
		for (unsigned long i = 0; i < PAGES; i++) {
			lost += want[i] && !seen[i];
			invented += !want[i] && seen[i];
			n += want[i];
		}
		if (!lost)
			break;
		usleep(1000);
	}
	ok(!lost && !invented && !strays, name);
	printf("# %lu pages wanted; lost %lu, invented %lu, elsewhere %lu\n", n, lost, invented,
	       strays);
	log_clear();
}

static void want_range(const void *at, size_t len)
{
	unsigned long first = ((const uint8_t *)at - user.memory) / PAGE;
	unsigned long last = ((const uint8_t *)at + len - 1 - user.memory) / PAGE;

	for (; first <= last; first++)
		want[first] = true;
}

static int set_base(const void *base)
{
	uint64_t at = (uintptr_t)base;

	return got(ioctl(user.fd, VHOST_SET_LOG_BASE, &at));
}

static int set_features(uint64_t features)
{
	return got(ioctl(user.fd, VHOST_SET_FEATURES, &features));
}

static int log_ring(unsigned int index, bool on, uint64_t as)
{
	struct vhost_vring_addr addr;

	ring_address(index, &addr);
	addr.flags = on << VHOST_VRING_F_LOG;
	addr.log_guest_addr = as;
	return got(ioctl(user.fd, VHOST_SET_VRING_ADDR, &addr));
}

static uint64_t used_as(unsigned int offset) { return iova(page(USED_AS)) + offset; }

/*
 * A disk
 */

static void disk_open(const char *path)
{
	user_open(path);
	must(ioctl(user.fd, VHOST_SET_OWNER));
	must(map_pages(0, PAGES, VHOST_ACCESS_RW));
}

static void disk_start(uint64_t features)
{
	negotiate(features);
	ring_set_up(0, RING);
	ring_enable(0);
	driver_ok();
}

struct segment {
	uint8_t *at;
	uint32_t len;
};

static volatile uint8_t *answer;

/* A request of these segments; what it writes, it is wanted to mark if @marked. */
static bool request_within(int ms, uint32_t type, const struct segment *segment, unsigned int n,
			   bool marked)
{
	struct virtio_blk_outhdr *header = (void *)page(HEADER);
	bool in = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;
	unsigned int slot = 0;

	*header = (struct virtio_blk_outhdr) { .type = type };
	answer = page(STATUS) + 100;
	*answer = 0xaa;
	put(0, slot++, iova(header), sizeof(*header), VRING_DESC_F_NEXT);
	for (unsigned int i = 0; i < n; i++) {
		put(0, slot++, iova(segment[i].at), segment[i].len,
		    VRING_DESC_F_NEXT | (in ? VRING_DESC_F_WRITE : 0));
		if (in && marked)
			want_range(segment[i].at, segment[i].len);
	}
	put(0, slot, iova((const void *)answer), 1, VRING_DESC_F_WRITE);
	if (marked)
		want_range((const void *)answer, 1);
	offer(0, 0);
	kick(0);
	return used_within(0, user.queue[0].avail, ms) && *answer == VIRTIO_BLK_S_OK;
}

static bool request(uint32_t type, const struct segment *segment, unsigned int n, bool marked)
{
	return request_within(PATIENCE_MS, type, segment, n, marked);
}

static bool read_pages(unsigned long first, unsigned long n, bool marked)
{
	struct segment one = { page(first), n * PAGE };

	return request(VIRTIO_BLK_T_IN, &one, 1, marked);
}

static bool breaks(void)
{
	for (int ms = 0; ms < PATIENCE_MS; ms += 10) {
		if (status() & VIRTIO_CONFIG_S_NEEDS_RESET)
			return true;
		usleep(10000);
	}
	return false;
}

static void suite_rules(const char *path)
{
	struct vhost_vring_state base = { 0, 0 };
	struct vhost_vring_addr addr;
	uint64_t offered;
	int fd = -1;

	user_open(path);
	must(ioctl(user.fd, VHOST_GET_FEATURES, &offered));
	ok(offered & F_LOG, "it is offered");
	equal("whose memory would it be", set_base(log_bits), -EPERM);
	must(ioctl(user.fd, VHOST_SET_OWNER));
	equal("an address of the kernel's", set_base((void *)(1UL << 63)), -EFAULT);
	ioctl_is("no address", VHOST_SET_LOG_BASE, (void *)1UL, -EFAULT);
	ioctl_is("nobody waits for a log", VHOST_SET_LOG_FD, &fd, -ENOTTY);
	must(map_pages(0, PAGES, VHOST_ACCESS_RW));

	negotiate(MODERN | F_LOG);
	must(ioctl(user.fd, VHOST_GET_FEATURES, &offered));
	ok(offered & F_LOG, "it is still offered");
	ring_set_up(0, RING);
	ring_enable(0);
	fd = got(ioctl(user.fd, VHOST_VDPA_SET_STATUS, &(uint8_t){ STARTED }));
	equal("started to log, but nowhere", fd, -EINVAL);
	equal("now somewhere", set_base(log_bits), 0);
	driver_ok();
	log_clear();
	ok(read_pages(DATA, 3, true), "it runs");
	log_is("and logs, with a ring that it was not told to log");

	/* what may change while it runs, and what may not */
	equal("logging ends", set_features(MODERN), 0);
	ok(read_pages(DATA, 3, false), "it runs");
	log_is("and logs nothing");
	equal("it begins", set_features(MODERN | F_LOG), 0);
	equal("again", set_features(MODERN | F_LOG), 0);
	equal("no other feature comes", set_features(MODERN | F_LOG | 1ULL << VIRTIO_BLK_F_FLUSH),
	      -EBUSY);
	equal("nor goes", set_features((MODERN | F_LOG) & ~(1ULL << VIRTIO_F_VERSION_1)), -EBUSY);
	set_status(STARTED);
	set_status(STARTED);
	ok(status() == STARTED, "FEATURES_OK once more changes nothing");
	ok(read_pages(DATA, 3, true), "it runs");
	log_is("and logs");

	equal("the ring is logged", log_ring(0, true, used_as(0)), 0);
	want[USED_AS] = true;
	ok(read_pages(DATA, 1, true), "it runs");
	log_is("and logs its ring, too");
	equal("not aligned", log_ring(0, true, used_as(2)), -EINVAL);
	ring_address(0, &addr);
	addr.flags = 1 << VHOST_VRING_F_LOG;
	addr.used_user_addr += PAGE;
	ioctl_is("the ring itself stays where it is", VHOST_SET_VRING_ADDR, &addr, -EINVAL);
	ring_address(0, &addr);
	addr.desc_user_addr += PAGE;
	ioctl_is("its descriptors, too", VHOST_SET_VRING_ADDR, &addr, -EINVAL);
	ring_address(0, &addr);
	addr.avail_user_addr += PAGE;
	ioctl_is("and what is available", VHOST_SET_VRING_ADDR, &addr, -EINVAL);
	ring_address(0, &addr);
	addr.flags = 2;
	ioctl_is("no flag but this", VHOST_SET_VRING_ADDR, &addr, -EOPNOTSUPP);
	want[USED_AS] = true;
	ok(read_pages(DATA, 1, true), "it runs");
	log_is("as before");
	equal("the ring is not logged any more", log_ring(0, false, 0), 0);
	ok(read_pages(DATA, 1, true), "it runs");
	log_is("and logs the rest");

	/* as QEMU 7.2 stops: first the reset, then the question */
	set_status(0);
	ioctl_is("how far it came", VHOST_GET_VRING_BASE, &base, 0);
	equal("is known after the reset", base.num, user.queue[0].avail);
	base.num = 0;
	ioctl_is("until it is said anew", VHOST_SET_VRING_BASE, &base, 0);
	base.num = 99;
	ioctl_is("how far it is", VHOST_GET_VRING_BASE, &base, 0);
	equal("as was said", base.num, 0);
	negotiate(MODERN);
	ring_set_up(0, RING);
	ring_enable(0);
	driver_ok();
	equal("the log is forgotten with the reset", set_features(MODERN | F_LOG), -EINVAL);
	ok(read_pages(DATA, 1, false), "it runs");
	log_is("and logs nothing");
	user_close();

	user_open(path);
	must(ioctl(user.fd, VHOST_SET_OWNER));
	base.num = 99;
	ioctl_is("how far another one is", VHOST_GET_VRING_BASE, &base, 0);
	equal("it begins at 0", base.num, 0);
	user_close();
}

static void disk_start_logging(const char *path)
{
	disk_open(path);
	must(set_base(log_bits));
	disk_start(MODERN | F_LOG);
	must(log_ring(0, true, used_as(0)));
	log_clear();
}

static unsigned int some(unsigned int *seed, unsigned int n)
{
	*seed = *seed * 1103515245 + 12345;
	return (*seed >> 8) % n;
}

/* Segments anywhere, of any length that sectors allow in the sum. */
static bool request_some(unsigned int *seed)
{
	struct segment segment[8];
	unsigned int n = 1 + some(seed, 7), sum = 0;

	for (unsigned int i = 0; i < n; i++) {
		segment[i].len = 1 + some(seed, i % 2 ? 3 * PAGE : 60);
		segment[i].at = page(DATA) + some(seed, (USED_AS - DATA - 4) * PAGE);
		sum += segment[i].len;
	}
	segment[n++] = (struct segment) { page(DATA), SECTOR - sum % SECTOR };
	want[USED_AS] = true;
	return request(VIRTIO_BLK_T_IN, segment, n, true);
}

static void suite_exact(const char *path)
{
	struct segment edge[2] = { { page(40) - 1, 2 }, { page(60) + 10, SECTOR - 2 } };
	struct segment whole = { page(DATA), 384 * PAGE };
	struct segment id = { page(70) + 4090, VIRTIO_BLK_ID_BYTES };
	unsigned int seed = 1, i, done = 0;
	uint64_t *other;

	disk_start_logging(path);
	want[USED_AS] = true;
	ok(request(VIRTIO_BLK_T_OUT, &whole, 1, true), "a request that writes nothing but its status");
	log_is("marks that");
	want[USED_AS] = true;
	ok(request(VIRTIO_BLK_T_IN, edge, 2, true), "a segment across two pages");
	log_is("marks both");
	want[USED_AS] = true;
	ok(request(VIRTIO_BLK_T_GET_ID, &id, 1, true), "a string across two pages");
	log_is("marks both");
	want[USED_AS] = true;
	ok(request(VIRTIO_BLK_T_IN, &whole, 1, true), "as many as end in the log's next page");
	log_is("marks them all");
	for (i = 0; i < 60; i++) {
		done += request_some(&seed);
		if (i % 20 == 19)
			log_is("segments anywhere");
	}
	equal("all were done", done, 60);
	/* the ring's index and its last element, in different pages of what is logged */
	must(log_ring(0, true, used_as(PAGE - 4 - 8 * (user.queue[0].avail % ENTRIES))));
	want[USED_AS] = true;
	want[USED_AS + 1] = true;
	ok(read_pages(DATA, 1, true), "a ring across two pages");
	log_is("marks its element and its index");

	other = mmap(NULL, 2 * LOG_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	equal("another log", set_base(other), 0);
	ok(read_pages(DATA, 8, false), "it runs");
	log_is("marks nothing in the first");
	equal("but in the other", other[(IOVA / PAGE + DATA) / 64] >> (DATA % 64) & 0xff, 0xff);
	equal("back to the first", set_base(log_bits), 0);
	must(munmap(other, 2 * LOG_SIZE));
	must(log_ring(0, false, 0));
	ok(read_pages(DATA, 8, true), "it runs");
	log_is("marks there again");
	/* mapped elsewhere by two names: the log is by address */
	must(message(VHOST_IOTLB_UPDATE, IOVA + 0x10000000, PAGE, page(80), VHOST_ACCESS_RW));
	user_close();
}

static bool stop_taking;

static void *taker(void *arg)
{
	while (!__atomic_load_n(&stop_taking, __ATOMIC_RELAXED))
		log_take();
	return arg;
}

static void suite_taken(const char *path)
{
	unsigned int seed = 7, done = 0;
	pthread_t thread;

	disk_start_logging(path);
	stop_taking = false;
	if (pthread_create(&thread, NULL, taker, NULL))
		errx(EXIT_FAILURE, "no thread");
	for (int i = 0; i < 200; i++)
		done += request_some(&seed);
	__atomic_store_n(&stop_taking, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	equal("all were done", done, 200);
	log_is("nothing was lost between the two");
	user_close();
}

static void broken(const char *path, const void *base, uint64_t used_at, const char *name)
{
	disk_open(path);
	equal("an address that could be one", set_base(base), 0);
	disk_start(MODERN | F_LOG);
	if (used_at)
		must(log_ring(0, true, used_at));
	log_clear();
	read_pages(DATA, 1, false);
	ok(breaks(), name);
	user_close();
}

static void suite_broken(const char *path)
{
	uint8_t *readonly = mmap(NULL, 2 * LOG_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *gone = mmap(NULL, 2 * LOG_SIZE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(munmap(gone, 2 * LOG_SIZE));
	broken(path, gone, 0, "a log that is not mapped stops it");
	broken(path, readonly, 0, "one that is only read, too");
	broken(path, (void *)(0x7fffffffe000UL - LOG_SIZE / 2), 0,
	       "one that ends behind all addresses");
	broken(path, log_bits, UINT64_MAX - 3, "a ring that ends behind all addresses");
	broken(path, log_bits, 1ULL << 60, "a ring whose bit is behind all addresses");
	disk_start_logging(path);
	want[USED_AS] = true;
	ok(read_pages(DATA, 1, true), "and the next one is as good as ever");
	log_is("and logs");
	user_close();
}

static void suite_file(const char *path)
{
	int fd = open("log", O_RDWR | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || ftruncate(fd, 2 * LOG_SIZE))
		err(EXIT_FAILURE, "log");
	log_bits = mmap(NULL, 2 * LOG_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (log_bits == MAP_FAILED)
		err(EXIT_FAILURE, "log");
	disk_start_logging(path);
	for (unsigned int i = 0; i < 3; i++) {
		want[USED_AS] = true;
		ok(read_pages(DATA, 384, true), "as many as end in the log's next page");
		must(fsync(fd));
		log_is("marks them all");
	}
	user_close();
}

static void suite_stays(const char *path)
{
	disk_start_logging(path);
	ok(read_pages(DATA, 4, true), "it runs");
	printf("ready\n");
	fflush(stdout);
	for (;;)
		read_pages(DATA, 64, true);
}

/*
 * A process that ends before its device does
 */

/* Memory for the log that no child has mapped. Returns what can be told of it elsewhere. */
static int log_of_owner(void)
{
	int fd = must(memfd_create("log", MFD_ALLOW_SEALING));

	must(ftruncate(fd, 2 * LOG_SIZE));
	log_bits = mmap(NULL, 2 * LOG_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (log_bits == MAP_FAILED)
		err(EXIT_FAILURE, "log");
	must(madvise(log_bits, 2 * LOG_SIZE, MADV_DONTFORK));
	return fd;
}

/* Only what nobody has mapped any more can be sealed. */
static int seal(int fd) { return got(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE)); }

static bool is_freed(int fd)
{
	for (int ms = 0; ms < PATIENCE_MS; ms += 10) {
		if (!seal(fd))
			return true;
		usleep(10000);
	}
	return false;
}

static void heir_idle(void)
{
	struct segment one = { page(DATA), PAGE };

	memset(page(DATA), 0xcc, PAGE);
	ok(!request_within(IDLE_MS, VIRTIO_BLK_T_IN, &one, 1, false), "a kick leads to nothing");
	equal("nothing is used", used(0), user.queue[0].avail - 1);
	equal("nothing is answered", *answer, 0xaa);
	equal("nothing is written", page(DATA)[0], 0xcc);
	equal("the device is as it was", status(), STARTED);
}

static void heir_pinned(void)
{
	struct segment one = { page(DATA), PAGE };

	equal("it need not log", set_features(MODERN), 0);
	ok(read_pages(DATA, 1, false), "and goes on in memory that is pinned");
	equal("the device is as it was", status(), STARTED);
	equal("it has to log", set_features(MODERN | F_LOG), 0);
	request_within(0, VIRTIO_BLK_T_IN, &one, 1, false);
	ok(breaks(), "and stops, for nobody has a log any more");
}

/* The child of a process that set all up and then ends, which the caller waits for. */
static void suite_left(const char *path, bool pinned)
{
	int log, gone[2], result;
	char none;
	pid_t pid;

	must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	if (must(fork())) {
		must(wait(&result));
		if (!WIFEXITED(result) || WEXITSTATUS(result))
			errx(EXIT_FAILURE, "the owner failed: 0x%x", result);
		must(wait(&result));
		if (!WIFEXITED(result) || WEXITSTATUS(result))
			errx(EXIT_FAILURE, "who has the device after it failed: 0x%x", result);
		return;
	}
	log = log_of_owner();
	disk_start_logging(path);
	want[USED_AS] = true;
	ok(read_pages(DATA, 4, true), "it runs");
	log_is("and logs");
	equal("the owner's memory is in use", seal(log), -EBUSY);
	must(pipe(gone));
	pid = must(fork());
	if (pid)
		_exit(EXIT_SUCCESS);
	close(gone[1]);
	equal("the owner ends", must(read(gone[0], &none, 1)), 0);
	ok(is_freed(log), "its memory is freed, though its device is there");
	if (pinned)
		heir_pinned();
	else
		heir_idle();
	user_close();
	exit(EXIT_SUCCESS);
}

static void suite_left_idle(const char *path) { suite_left(path, false); }

static void suite_left_pinned(const char *path) { suite_left(path, true); }

static void *set_base_again(void *arg)
{
	set_base(log_bits);
	killed_tell(*(int *)arg);
	return arg;
}

/* @calls: another thread is about to change the log */
static void kept(const char *path, bool calls, const char *name)
{
	struct segment one = { page(DATA), PAGE };
	pthread_t thread;
	int ready;
	bool gone;
	pid_t pid = killed_fork(&ready);

	if (!pid) {
		/* before the device, which is closed first */
		int faults = userfault_open();

		disk_start_logging(path);
		must(madvise(log_bits, 2 * LOG_SIZE, MADV_DONTNEED));
		userfault_watch(faults, log_bits, LOG_SIZE / PAGE * PAGE + PAGE);
		request_within(0, VIRTIO_BLK_T_IN, &one, 1, false);
		userfault_wait(faults, PATIENCE_MS);
		if (calls && pthread_create(&thread, NULL, set_base_again, &ready))
			errx(EXIT_FAILURE, "no thread");
		killed_ready(ready, false);
	}
	gone = killed_is_gone(pid, ready, false, IDLE_MS);
	ok(gone, name);
	/* who would take the device now would have to wait, too */
	if (!gone)
		exit(EXIT_FAILURE);
}

static void suite_kept(const char *path)
{
	kept(path, false, "killed while its device waits for the log: it is gone");
	kept(path, true, "and where a thread of it waits for the device");
	disk_start_logging(path);
	want[USED_AS] = true;
	ok(read_pages(DATA, 1, true), "the next one has a device that works");
	log_is("and logs");
	user_close();
}

/* What a worker has run is known when it sleeps again. */
static double worker_at_rest(void)
{
	double before, now = -1;

	do {
		before = now;
		usleep(2000);
		now = thread_time(worker);
	} while (now != before);
	return now;
}

static void cost(const char *path, bool logged)
{
	static const unsigned long sizes[] = { 1, 64 };
	double each[COST_REQUESTS], before, after;

	if (logged) {
		disk_start_logging(path);
	} else {
		disk_open(path);
		disk_start(MODERN);
	}
	for (unsigned int i = 0; i < 2; i++) {
		before = worker_at_rest();
		for (unsigned int n = 0; n < COST_REQUESTS; n++) {
			if (!read_pages(DATA, sizes[i], true))
				errx(EXIT_FAILURE, "no answer");
			after = worker_at_rest();
			each[n] = after - before;
			before = after;
			/* as whoever migrates does, again and again */
			if (logged)
				log_take();
		}
		printf("read_%lu %.0f\n", sizes[i], median(each, COST_REQUESTS));
	}
	want[USED_AS] = true;
	for (unsigned int n = 0; logged && n < PAGES; n++)
		if (want[n] != seen[n])
			errx(EXIT_FAILURE, "page %u: written %d, marked %d", n, want[n], seen[n]);
	user_close();
}

static void suite_plain(const char *path) { cost(path, false); }
static void suite_logged(const char *path) { cost(path, true); }

/*
 * A card, whose control queue can be in an address space of its own
 */

static void suite_spaces(const char *path)
{
	struct vhost_vring_state group = { 1, 1 };
	uint64_t backend = 1ULL << VHOST_BACKEND_F_IOTLB_MSG_V2 | 1ULL << VHOST_BACKEND_F_IOTLB_ASID;
	struct vhost_msg_v2 second = {
		.type = VHOST_IOTLB_MSG_V2,
		.asid = 1,
		.iotlb = {
			.iova = IOVA, .size = PAGES * PAGE, .uaddr = (uintptr_t)user.memory,
			.perm = VHOST_ACCESS_RW, .type = VHOST_IOTLB_UPDATE,
		},
	};
	struct virtio_net_ctrl_hdr *command = (void *)page(100);
	volatile uint8_t *ack = page(101);

	for (int apart = 0; apart < 2; apart++) {
		user_open(path);
		must(ioctl(user.fd, VHOST_SET_OWNER));
		must(ioctl(user.fd, VHOST_SET_BACKEND_FEATURES, &backend));
		must(map_pages(0, PAGES, VHOST_ACCESS_RW));
		must(write(user.fd, &second, sizeof(second)));
		must(set_base(log_bits));
		negotiate(MODERN | F_LOG | 1ULL << VIRTIO_NET_F_CTRL_VQ);
		if (apart)
			must(ioctl(user.fd, VHOST_VDPA_SET_GROUP_ASID, &group));
		for (unsigned int i = 0; i < 3; i++) {
			ring_set_up(i, 3 * i);
			ring_enable(i);
			must(log_ring(i, true, used_as(i * PAGE)));
		}
		driver_ok();
		log_clear();
		*command = (struct virtio_net_ctrl_hdr) { 99, 0 };
		put(2, 0, iova(command), sizeof(*command), VRING_DESC_F_NEXT);
		put(2, 1, iova((const void *)ack), 1, VRING_DESC_F_WRITE);
		*ack = 0xaa;
		offer(2, 0);
		kick(2);
		ok(used_within(2, 1, PATIENCE_MS) && *ack == VIRTIO_NET_ERR, "a command is answered");
		if (!apart) {
			want_range((const void *)ack, 1);
			want[USED_AS + 2] = true;
		}
		log_is(apart ? "in another space it is not logged" : "in space 0 it is logged");
		user_close();
	}
}

static void suite_without(const char *path)
{
	struct vhost_vring_addr addr = { .flags = 1 << VHOST_VRING_F_LOG };
	uint64_t offered;

	user_open(path);
	must(ioctl(user.fd, VHOST_SET_OWNER));
	must(ioctl(user.fd, VHOST_GET_FEATURES, &offered));
	ok(!(offered & F_LOG), "it is not offered");
	equal("nor taken", set_features(MODERN | F_LOG), -EINVAL);
	equal("nor where to", set_base(log_bits), -ENOTTY);
	negotiate(MODERN);
	equal("nor later", set_features(MODERN | F_LOG), -EINVAL);
	equal("nothing else is said twice, either", set_features(MODERN), -EBUSY);
	driver_ok();
	ioctl_is("a ring's address stays", VHOST_SET_VRING_ADDR, &addr, -EINVAL);
	user_close();
}

static const struct {
	const char *name;
	void (*run)(const char *path);
} suites[] = {
	{ "rules", suite_rules }, { "exact", suite_exact }, { "taken", suite_taken },
	{ "broken", suite_broken }, { "file", suite_file }, { "stays", suite_stays }, { "kept", suite_kept },
	 { "left", suite_left_idle },
	{ "left_pinned", suite_left_pinned }, { "spaces", suite_spaces },
	{ "without", suite_without }, { "plain", suite_plain }, { "logged", suite_logged },
};

int main(int argc, char **argv)
{
	if (argc != 3 && argc != 4)
		errx(2, "usage: vdpa_log DEVICE SUITE [THREAD]");
	worker = argv[3];
	user_memory(PAGES, IOVA);
	log_bits = mmap(NULL, 2 * LOG_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);
	if (log_bits == MAP_FAILED)
		err(EXIT_FAILURE, "log");
	for (unsigned int i = 0; i < sizeof(suites) / sizeof(suites[0]); i++) {
		if (strcmp(argv[2], suites[i].name))
			continue;
		suites[i].run(argv[1]);
		printf("end\n");
		return 0;
	}
	errx(2, "%s: no such suite", argv[2]);
}
