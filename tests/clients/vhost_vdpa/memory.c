// SPDX-License-Identifier: GPL-2.0
/* Messages: maps, batches, errors, accounting. */
#include "device.h"
#include "suites.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../fail_nth.h"
#include "../fragments.h"

/* Accounting: what is charged, and that an error takes back what it charged. */
static void memory_limits(uint8_t *p)
{
	uint8_t *hole = memory(16);

	limit(16);
	equal("as much as may be locked", map(IOVA, 16 * PAGE, p), 0);
	equal("all of it is charged", charged(), 16);
	equal("a page more", map(IOVA + 16 * PAGE, PAGE, p), -ENOMEM);
	equal("is not charged", charged(), 16);
	equal("all goes", unmap(IOVA, 16 * PAGE), 0);
	equal("nothing is charged", charged(), 0);
	limit(8);
	equal("more than may ever be locked", map(IOVA, 9 * PAGE, p), -ENOMEM);
	equal("nothing was charged", charged(), 0);
	limit(64);

	munmap(hole + 12 * PAGE, PAGE);
	equal("memory with a hole", map(IOVA, 16 * PAGE, hole), -EFAULT);
	equal("nothing of it is charged", charged(), 0);
	equal("and nothing mapped", look(0, IOVA), 0);
	equal("no memory at all", map(IOVA, PAGE, (void *)(PAGE * 3)), -EFAULT);
	mprotect(hole, PAGE, PROT_READ);
	equal("written by the device, but not by us", map(IOVA, PAGE, hole), -EFAULT);
	equal("read only by the device", message(VHOST_IOTLB_UPDATE, IOVA, PAGE, hole, VHOST_ACCESS_RO), 0);
	unmap(IOVA, PAGE);
	equal("it goes, too", charged(), 0);
	unmap(IOVA, 64 * PAGE);
	equal("the end of all addresses", map(IOVA, 2 * PAGE, (void *)-PAGE), -EFAULT);
}

static void memory_messages(uint8_t *p)
{
	struct vhost_msg_v2 msg = { .type = VHOST_IOTLB_MSG_V2, .iotlb.type = 77 };
	struct vhost_msg old = {
		.type = VHOST_IOTLB_MSG,
		.iotlb = {
			.iova = IOVA, .size = PAGE, .uaddr = (uintptr_t)p,
			.perm = VHOST_ACCESS_RW, .type = VHOST_IOTLB_UPDATE,
		},
	};

	equal("a map", map(IOVA, 4 * PAGE, p), 0);
	ok(device_sees(IOVA, 0, 4), "the device finds it all");
	equal("the same again", map(IOVA, 4 * PAGE, p), -EEXIST);
	equal("the last page of it", map(IOVA + 3 * PAGE, 8 * PAGE, p), -EEXIST);
	equal("the page before is free", map(IOVA - PAGE, PAGE, p + 9 * PAGE), 0);
	equal("that behind, too", map(IOVA + 4 * PAGE, PAGE, p + 4 * PAGE), 0);
	ok(device_sees(IOVA, 0, 5), "all is still right");
	equal("what is larger than what is mapped goes", unmap(IOVA - 64 * PAGE, 256 * PAGE), 0);
	equal("with all that it touches", look(0, IOVA), 0);
	equal("nothing is charged", charged(), 0);
	equal("what is not there goes, too", unmap(IOVA, PAGE), 0);

	equal("without a size", map(IOVA, 0, p), -EINVAL);
	equal("without a size, away", unmap(IOVA, 0), -EINVAL);
	equal("beyond all addresses", map(-PAGE, 2 * PAGE, p), -EINVAL);
	equal("beyond all addresses, away", unmap(-PAGE, 2 * PAGE), -EINVAL);
	equal("the last page of all", map(-PAGE, PAGE, p), 0);
	equal("goes", unmap(-PAGE, PAGE), 0);
	equal("neither read nor written", message(VHOST_IOTLB_UPDATE, IOVA, PAGE, p, 0), -EINVAL);
	equal("what else?", message(VHOST_IOTLB_UPDATE, IOVA, PAGE, p, 7), -EINVAL);
	equal("of another alignment than we", map(IOVA + 8, PAGE, p), -EINVAL);
	equal("half a page is a page", map(IOVA + 8, 16, p + 8), 0);
	ok(look(0, IOVA) == MARK, "from its beginning");
	equal("which is taken", map(IOVA + 2048, 16, p + 2048), -EEXIST);
	unmap(IOVA, PAGE);

	equal("a message that is too short", got(write(dev, &msg, 16)), -EINVAL);
	equal("of a type that nobody knows", got(write(dev, &msg, sizeof(msg))), -EINVAL);
	equal("a miss, which only devices have", message(VHOST_IOTLB_MISS, IOVA, PAGE, p, 3), -EINVAL);
	msg.type = 3;
	equal("of a version to come", got(write(dev, &msg, sizeof(msg))), -EINVAL);
	equal("from nowhere", got(write(dev, (void *)PAGE, sizeof(msg))), -EFAULT);
	equal("of the first version", write(dev, &old, sizeof(old)), sizeof(old));
	ok(device_sees(IOVA, 0, 1), "is as good");
	unmap(IOVA, PAGE);
}

/* How often does the next page not follow in memory? As the process's page table has it. */
static int64_t runs_of(const uint8_t *p, unsigned long pages)
{
	int fd = must(open("/proc/self/pagemap", O_RDONLY));
	uint64_t entry, last = 0;
	int64_t runs = 0;

	for (unsigned long i = 0; i < pages; i++, last = entry) {
		must(pread(fd, &entry, sizeof(entry), ((uintptr_t)p / PAGE + i) * sizeof(entry)));
		entry &= (1ULL << 55) - 1;
		runs += entry != last + 1;
	}
	close(fd);
	return runs;
}

static void memory_runs(void)
{
	uint8_t *p = mmap(NULL, 2048 * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int64_t runs;

	madvise(p, 2048 * PAGE, MADV_HUGEPAGE);
	for (unsigned long i = 0; i < 2048; i++)
		*(uint64_t *)(p + i * PAGE) = MARK + i;
	/* in the midst of a huge page, so that none ends where a batch of pinning does */
	runs = runs_of(p + 100 * PAGE, 1900);
	limit(2048);
	equal("memory in large pieces", map(IOVA, 1900 * PAGE, p + 100 * PAGE), 0);
	equal("as many maps as there are pieces", parameter("entries"), runs);
	ok(runs < 950, "which are fewer than pages");
	ok(look(0, IOVA) == MARK + 100 && look(0, IOVA + 1899 * PAGE) == MARK + 1999,
	   "from end to end");
	unmap(IOVA, 1900 * PAGE);
	munmap(p, 2048 * PAGE);
	limit(64);
}

static void memory_spaces(uint8_t *p)
{
	equal("another space", map(IOVA, PAGE, p), 0);
	asid = 1;
	equal("the same address there", map(IOVA, PAGE, p + PAGE), 0);
	ok(look(0, IOVA) == MARK && look(1, IOVA) == MARK + 1, "each has its own");
	equal("one goes", unmap(IOVA, PAGE), 0);
	ok(look(0, IOVA) == MARK && look(1, IOVA) == 0, "the other stays");
	asid = 3;
	equal("a space that it has not", map(IOVA, PAGE, p), -EINVAL);
	asid = 0;
	unmap(IOVA, PAGE);
}

static void memory_batches(uint8_t *p)
{
	int64_t calls = parameter("set_maps");

	equal("a batch begins", begin(), 0);
	for (int i = 0; i < 8; i++)
		if (map(IOVA + 2 * i * PAGE, PAGE, p + i * PAGE))
			ok(false, "in a batch");
	equal("one goes within", unmap(IOVA, PAGE), 0);
	if (tables)
		equal("the device hears nothing", parameter("set_maps") - calls, 0);
	asid = 1;
	equal("another space within", map(IOVA, PAGE, p), -EINVAL);
	equal("nor does its end end it", end(), -EINVAL);
	asid = 0;
	equal("what went is still charged, or not", charged(), tables ? 8 : 7);
	equal("it ends", end(), 0);
	if (tables)
		equal("the device hears it once", parameter("set_maps") - calls, 1);
	equal("7 maps", parameter("entries"), 7);
	equal("what went is let go", charged(), 7);
	ok(look(0, IOVA) == 0 && look(0, IOVA + 14 * PAGE) == MARK + 7, "and they are right");

	/* within a limit that holds the memory only once */
	limit(7);
	equal("a batch that moves all", begin(), 0);
	equal("away", unmap(IOVA, 64 * PAGE), 0);
	equal("to another place", map(IOVA + PAGE, 7 * PAGE, p), 0);
	equal("ends", end(), 0);
	ok(device_sees(IOVA + PAGE, 0, 7), "all is there");
	limit(64);
	unmap(IOVA, 64 * PAGE);
	equal("an end without a beginning", end(), 0);
}

static void memory_refused(uint8_t *p)
{
	const char *how = tables ? "fail_set_map" : "fail_dma_map";

	equal("a map that stays", map(IOVA, 4 * PAGE, p), 0);
	parameter_set(how, -ENOSPC);
	equal("the device has no room", map(IOVA + 8 * PAGE, 4 * PAGE, p + 4 * PAGE), -ENOSPC);
	parameter_set(how, -ENOMEM);
	equal("the device has no memory", map(IOVA + 8 * PAGE, 4 * PAGE, p + 4 * PAGE), -ENOMEM);
	equal("it is not charged", charged(), 4);
	ok(device_sees(IOVA, 0, 4) && look(0, IOVA + 8 * PAGE) == 0, "what was there is there");
	equal("the next one is right", map(IOVA + 8 * PAGE, 4 * PAGE, p + 4 * PAGE), 0);
	ok(device_sees(IOVA + 8 * PAGE, 4, 4), "at the device, too");
	if (tables) {
		begin();
		unmap(IOVA, 4 * PAGE);
		parameter_set(how, -ENOSPC);
		equal("the end of a batch that is refused", end(), -ENOSPC);
		equal("what it may still use is not let go", charged(), 8);
		equal("the next table is right", map(IOVA + 32 * PAGE, PAGE, p), 0);
		equal("then it is", charged(), 5);
	}
	unmap(IOVA, 64 * PAGE);
}

static void memory_reset(uint8_t *p)
{
	map(IOVA, 4 * PAGE, p);
	run();
	status(0);
	ok(device_sees(IOVA, 0, 4), "a reset keeps the maps");
	equal("ours, too", map(IOVA, PAGE, p), -EEXIST);
	equal("charged", charged(), 4);
	/* the rest is for our end to undo, within a batch even */
	begin();
	unmap(IOVA, PAGE);
}

void suite_memory(void)
{
	uint8_t *p = memory(64);

	ok(!reaches_everything(0) && !reaches_everything(1) && !reaches_everything(2),
	   "before anything is mapped the device reaches nothing");
	start();
	limit(64);
	memory_messages(p);
	memory_limits(p);
	memory_runs();
	memory_spaces(p);
	memory_batches(p);
	memory_refused(p);
	memory_reset(p);
	equal("no page was let go before the device forgot it", parameter("unpinned"), 0);
}

/* Devices that take virtual addresses: shared files, and nothing is pinned. */
void suite_files(void)
{
	int fd = must(memfd_create("guest", 0));
	uint8_t *p, *holes = memory(8), *many;
	unsigned int wrong = 0;
	int64_t calls;

	must(ftruncate(fd, 16 * PAGE));
	p = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	start();
	equal("the device is bound to us", parameter("binds"), 1);
	limit(1);
	equal("a shared file, beyond what may be locked", map(IOVA, 16 * PAGE, p), 0);
	equal("is one map", parameter("entries"), 1);
	equal("of all pages", parameter("mapped"), 16 * PAGE);
	equal("nothing is charged", charged(), 0);
	unmap(IOVA, 16 * PAGE);
	equal("memory that is no file is left out", map(IOVA, 8 * PAGE, holes), 0);
	equal("no map", parameter("entries"), 0);
	mmap(holes + 2 * PAGE, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, PAGE);
	equal("a part of it is one", map(IOVA, 8 * PAGE, holes), 0);
	equal("its map", parameter("entries"), 1);
	equal("of that part", parameter("mapped"), 3 * PAGE);
	unmap(IOVA, 8 * PAGE);
	munmap(holes + 6 * PAGE, PAGE);
	equal("a hole", map(IOVA, 8 * PAGE, holes), -EFAULT);
	equal("leaves nothing", parameter("entries"), 0);

	/* every page a mapping of its own */
	many = mmap(NULL, 4096 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < 2049; i++)
		if (mmap(many + i * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			 fd, (i % 2) * 2 * PAGE) == MAP_FAILED)
			err(EXIT_FAILURE, "mmap");
	equal("2049 maps are too many", map(IOVA, 2049 * PAGE, many), -ENOSPC);
	equal("none is there", parameter("entries"), 0);
	equal("2048 are not", map(IOVA, 2048 * PAGE, many), 0);
	equal("all are there", parameter("entries"), 2048);
	equal("one more is", map(IOVA + 4096 * PAGE, PAGE, many), -ENOSPC);

	/* what was unmapped holds its file until the device has a table without it */
	calls = parameter("set_maps");
	equal("a batch that does not end", begin(), 0);
	for (int i = 0; i < 3; i++)
		wrong += unmap(IOVA, 2048 * PAGE) || map(IOVA, 2048 * PAGE, many);
	equal("2048 maps, moved thrice", wrong, 0);
	equal("the device is told each time", parameter("set_maps") - calls, 3);
	parameter_set("fail_set_map", -ENOSPC);
	unmap(IOVA, PAGE);
	equal("if it does not take the table", map(IOVA, PAGE, many), -ENOSPC);
	equal("it does at the end", end(), 0);
	equal("then there is room", map(IOVA, PAGE, many), 0);
}

void suite_runs(unsigned long pages)
{
	uint8_t *p = fragments(pages);
	unsigned long wrong = 0;
	int64_t runs;

	start();
	limit(pages);
	equal("all is mapped, with default parameters", map(IOVA, pages * PAGE, p), 0);
	equal("and charged", charged(), pages);
	runs = parameter("entries");
	equal("all its pages", parameter("mapped"), pages * PAGE);
	ok(runs > (int64_t)pages / 10 * 9, "hardly two pages are contiguous");
	printf("# %" PRId64 " runs of %lu pages\n", runs, pages);
	for (unsigned long i = 0; i < pages; i += 4099)
		wrong += look(0, IOVA + i * PAGE) != FRAGMENTS_MARK + i % FRAGMENTS_FILE;
	equal("the device finds all that it is asked for", wrong, 0);
	equal("one more page does not fit", map(IOVA + pages * PAGE, PAGE, p), -ENOMEM);
	equal("all goes", unmap(IOVA, pages * PAGE), 0);
	equal("and is let go", charged(), 0);
	equal("not before the device forgot it", parameter("unpinned"), 0);
	equal("again, for our end to undo", map(IOVA, pages * PAGE, p), 0);
}

static bool failing, hit;

/* From here on nothing fails; did something? */
static void fails_no_more(void)
{
	if (failing)
		hit = fail_nth_end();
	failing = false;
}

/*
 * A message in which the nth allocation fails, with n as long as there is one: what comes of
 * it is ENOMEM, or as if it had not failed. Copies from our memory fail among them: EFAULT.
 * Returns how many there were; @left counts what was not as before after an error.
 */
static unsigned int each_fails(int (*send)(uint8_t *), bool (*is_as_before)(void), int (*undo)(uint8_t *),
			       uint8_t *p, unsigned int *left)
{
	unsigned int n;
	int result;

	for (n = 1; ; n++) {
		failing = true;
		fail_nth(n);
		result = send(p);
		fails_no_more();
		if (!hit && result)
			++*left;
		if (result && ((result != -ENOMEM && result != -EFAULT) || !is_as_before()))
			++*left;
		if (!result && undo(p))
			++*left;
		if (!hit)
			return n - 1;
	}
}

#define FAULT_PAGES	64

static int map_all(uint8_t *p) { return map(IOVA, FAULT_PAGES * PAGE, p); }
static int unmap_all(uint8_t *p) { (void)p; return unmap(IOVA, FAULT_PAGES * PAGE); }
static bool nothing_is_left(void) { return !charged() && !parameter("entries"); }
static bool nothing_is_charged(void) { return !charged(); }

static int batch_map(uint8_t *p)
{
	int result = begin() ?: map_all(p);

	/* what failed is not to end the batch with it */
	fails_no_more();
	return end() ?: result;
}

static int batch_end(uint8_t *p)
{
	unsigned int n = 0;
	int result;

	fail_nth(0);
	result = begin() ?: map_all(p);
	if (result)
		return result;
	/* until it was read */
	do {
		fail_nth(++n);
		result = end();
	} while (result == -EFAULT);
	fail_nth_end();
	return result;
}

/* After an unmap that failed the pages are still ours, or gone: asked again, they go. */
static int unmap_twice(uint8_t *p)
{
	int result = unmap_all(p);

	fails_no_more();
	if (result && result != -ENOMEM && result != -EFAULT)
		return result;
	result = unmap_all(p) ?: charged();
	return result ?: map_all(p);
}

void suite_faults(void)
{
	uint8_t *p = fragments(512);
	unsigned int n, left = 0;

	start();
	limit(1024);
	n = each_fails(map_all, nothing_is_left, unmap_all, p, &left);
	printf("# mapped: %u allocations\n", n);
	ok(n >= (by_file ? 2 : FAULT_PAGES), "mapped: every allocation failed once");
	equal("mapped: an error left nothing", left, 0);

	n = each_fails(batch_map, nothing_is_charged, unmap_all, p, &left);
	ok(n >= 2, "in a batch: every allocation failed once");
	equal("in a batch: an error left nothing", left, 0);

	equal("a batch whose end fails", batch_end(p), tables || by_file ? -ENOMEM : 0);
	equal("is repeated", end(), 0);
	equal("and then the device has it", parameter("mapped"), FAULT_PAGES * PAGE);
	equal("and what it mapped goes", unmap_all(p), 0);
	equal("all of it", charged(), 0);

	map_all(p);
	n = each_fails(unmap_twice, nothing_is_charged, unmap_twice, p, &left);
	printf("# unmapped: %u allocations\n", n);
	equal("unmapped: it goes, if not at once", left, 0);
	unmap_all(p);
	ok(nothing_is_left(), "nothing is left in the end");
	equal("nothing was let go before the device forgot it", parameter("unpinned"), 0);
}
