// SPDX-License-Identifier: GPL-2.0
/*
 * type1_dirty [-s SEED] [-n STEPS] [-t TEST] - whether a container reports the pages that
 * are dirty, and no others
 *
 * Devices of vfio_probe pin, unpin, read and write; beside it runs a model of what must be
 * reported, bit by bit. First cases that are known to be difficult, then STEPS at random. TEST
 * is the only one to run: pins, faults, edges, neighbours, random. Prints TAP, and at last
 * what the container's events must say.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "container.h"

#define MAPS	24
#define DEVICES	3
#define PATTERN	0xa5a5a5a5a5a5a5a5ULL

/* What is known of a mapping: of each page how often each device has it, and whether it
 * was written since the last report.
 */
struct map {
	u64		iova;
	u64		pages;		/* 0: there is none */
	char		*memory;
	unsigned char	(*held)[DEVICES];
	bool		*dirty;
};

struct model {
	struct container c;
	struct map	map[MAPS];
	bool		tracking;
	u64		pinned;		/* pages that somebody holds */
};

/* What happened, for who watches. */
static struct {
	u64 maps, mapped, unmaps, unmapped, pins, pinned, gets, unmap_gets, dirty, bytes;
	u64 starts, stops;
} truth;

static bool is_held(const struct map *m, u64 page)
{
	int d;

	for (d = 0; d < DEVICES; d++)
		if (m->held[page][d])
			return true;
	return false;
}

static int model_map(struct model *model, int i, u64 iova, u64 pages)
{
	struct map *m = &model->map[i];
	int err;

	*m = (struct map) { .iova = iova, .pages = pages, .memory = memory(pages * PAGE) };
	m->held = calloc(pages, sizeof(*m->held));
	m->dirty = calloc(pages, sizeof(*m->dirty));
	if (!m->held || !m->dirty)
		bail_out("memory of the model");
	err = dma_map(&model->c, iova, m->memory, pages * PAGE, RDWR);
	if (err) {
		m->pages = 0;
	} else {
		truth.maps++;
		truth.mapped += pages;
	}
	return err;
}

static void model_gone(struct model *model, int i)
{
	struct map *m = &model->map[i];
	u64 p;

	truth.unmaps++;
	truth.unmapped += m->pages;
	for (p = 0; p < m->pages; p++)
		model->pinned -= is_held(m, p);
	munmap(m->memory, m->pages * PAGE);
	free(m->held);
	free(m->dirty);
	*m = (struct map) { };
}

static int model_pin(struct model *model, int i, int device, u64 page, int n)
{
	struct map *m = &model->map[i];
	int got = pin(&model->c, device, m->iova + page * PAGE, n, RDWR), j;

	truth.pins += got > 0;
	for (j = 0; j < got; j++) {
		model->pinned += !is_held(m, page + j);
		truth.pinned += !is_held(m, page + j);
		m->held[page + j][device]++;
	}
	return got;
}

/* Only what the device has: the probe passes over all else */
static int model_unpin(struct model *model, int i, int device, u64 page, int n)
{
	struct map *m = &model->map[i];
	int err = unpin(&model->c, device, m->iova + page * PAGE, n), j;

	for (j = 0; j < n; j++) {
		if (!m->held[page + j][device])
			continue;
		m->held[page + j][device]--;
		if (is_held(m, page + j))
			continue;
		model->pinned--;
		m->dirty[page + j] = model->tracking;
	}
	return err;
}

static int model_write(struct model *model, int i, int device, u64 offset, u64 len, u32 how)
{
	static char junk[1 << 20];
	struct map *m = &model->map[i];
	int err = dma_rw(&model->c, device, m->iova + offset, junk, len, how);
	u64 p;

	for (p = offset / PAGE; !err && how & RW_WRITE && p <= (offset + len - 1) / PAGE; p++)
		m->dirty[p] |= model->tracking;
	return err;
}

static u64 word_count(u64 pages)
{
	return (pages + 63) / 64;
}

/*
 * What must stand in the bitmap of a range: of a word that a mapping begins in, the bits
 * below are what was there; those above its end are zero. Where nothing is mapped nothing
 * is written.
 */
static void expect(const struct model *model, u64 iova, u64 pages, u64 *want)
{
	u64 at[MAPS], n = 0, i, j, p, bit, end;

	for (i = 0; i < MAPS; i++) {
		const struct map *m = &model->map[i];

		if (!m->pages || m->iova < iova || m->iova - iova >= pages * PAGE)
			continue;
		for (j = n++; j && model->map[at[j - 1]].iova > m->iova; j--)
			at[j] = at[j - 1];
		at[j] = i;
	}
	for (i = 0; i < n; i++) {
		const struct map *m = &model->map[at[i]];

		bit = (m->iova - iova) / PAGE;
		end = bit + m->pages;
		want[bit / 64] &= bit % 64 ? (1ULL << bit % 64) - 1 : 0;
		for (j = bit / 64 + 1; j < word_count(end); j++)
			want[j] = 0;
		for (p = 0; p < m->pages; p++)
			if (m->dirty[p] || is_held(m, p)) {
				want[(bit + p) / 64] |= 1ULL << (bit + p) % 64;
				truth.dirty++;
			}
	}
}

static void reported(struct model *model, u64 iova, u64 pages)
{
	int i;

	for (i = 0; i < MAPS; i++) {
		struct map *m = &model->map[i];

		if (m->pages && m->iova >= iova && m->iova - iova < pages * PAGE)
			memset(m->dirty, 0, m->pages * sizeof(*m->dirty));
	}
}

static u64 *pattern(u64 words)
{
	/* and one word more, that nobody may write */
	u64 *bitmap = malloc((words + 1) * sizeof(*bitmap)), i;

	if (!bitmap)
		bail_out("a bitmap");
	for (i = 0; i <= words; i++)
		bitmap[i] = PATTERN;
	return bitmap;
}

static bool same(const u64 *got, const u64 *want, u64 words)
{
	u64 i;

	for (i = 0; i <= words; i++) {
		if (got[i] == want[i])
			continue;
		fprintf(stderr, "# word %llu of %llu: got %016llx, want %016llx\n",
			(unsigned long long)i, (unsigned long long)words,
			(unsigned long long)got[i], (unsigned long long)want[i]);
		return false;
	}
	return true;
}

/* GET of a range: whether every bit is right, and nothing else was written. */
static bool get_is_right(struct model *model, u64 iova, u64 pages)
{
	u64 words = word_count(pages), *got = pattern(words), *want = pattern(words);
	int err = get(&model->c, iova, pages * PAGE, got);
	bool right = false;

	if (err) {
		fprintf(stderr, "# GET: %s\n", strerror(-err));
	} else {
		truth.gets++;
		truth.bytes += words * 8;
		expect(model, iova, pages, want);
		right = same(got, want, words);
		reported(model, iova, pages);
	}
	free(got);
	free(want);
	return right;
}

/* Unmapping one mapping with its bitmap: what is pinned is let go of, and dirty. */
static bool unmap_is_right(struct model *model, int i)
{
	struct map *m = &model->map[i];
	u64 words = word_count(m->pages), *got = pattern(words), *want = pattern(words), size;
	int err = dma_unmap_bitmap(&model->c, m->iova, m->pages * PAGE, got, &size);
	bool right = false;

	if (err) {
		fprintf(stderr, "# UNMAP: %s\n", strerror(-err));
	} else {
		truth.unmap_gets++;
		truth.bytes += words * 8;
		expect(model, m->iova, m->pages, want);
		right = same(got, want, words) && size == m->pages * PAGE;
		model_gone(model, i);
	}
	free(got);
	free(want);
	return right;
}

static void model_open(struct model *model)
{
	memset(model, 0, sizeof(*model));
	probe_container(&model->c, VFIO_TYPE1v2_IOMMU, DEVICES);
}

static void model_track(struct model *model, bool on)
{
	int i;

	if (dirty(&model->c, on ? START : STOP))
		bail_out("tracking cannot be switched");
	truth.starts += on && !model->tracking;
	truth.stops += !on && model->tracking;
	model->tracking = on;
	for (i = 0; i < MAPS; i++)
		if (model->map[i].pages && !on)
			memset(model->map[i].dirty, 0, model->map[i].pages);
}

static void model_close(struct model *model)
{
	int i;

	container_close(&model->c);
	for (i = 0; i < MAPS; i++) {
		if (!model->map[i].pages)
			continue;
		/* nobody asked for that */
		truth.unmaps--;
		truth.unmapped -= model->map[i].pages;
		model_gone(model, i);
	}
}

static void test_pins(void)
{
	struct model m;

	model_open(&m);
	model_map(&m, 0, 0x100000, 200);
	OK(model_pin(&m, 0, 0, 3, 1) == 1, "a page is pinned before tracking begins");
	model_track(&m, true);
	OK(get_is_right(&m, 0x100000, 200), "it is dirty in the first report");
	OK(get_is_right(&m, 0x100000, 200), "and in the next, while it is pinned");
	model_pin(&m, 0, 0, 60, 10);
	OK(get_is_right(&m, 0x100000, 200), "pages that are pinned meanwhile are, too");
	model_unpin(&m, 0, 0, 62, 4);
	OK(get_is_right(&m, 0x100000, 200), "what was let go of is reported");
	OK(get_is_right(&m, 0x100000, 200), "once");
	model_pin(&m, 0, 1, 60, 3);
	model_pin(&m, 0, 2, 61, 1);
	model_unpin(&m, 0, 0, 60, 10);
	get_is_right(&m, 0x100000, 200);
	OK(get_is_right(&m, 0x100000, 200), "what another device holds stays dirty");
	model_unpin(&m, 0, 1, 60, 3);
	get_is_right(&m, 0x100000, 200);
	model_unpin(&m, 0, 2, 61, 1);
	OK(get_is_right(&m, 0x100000, 200), "until the last of them lets go");
	OK(get_is_right(&m, 0x100000, 200), "and then once");

	OK(!model_write(&m, 0, 0, 5 * PAGE + 100, 8, RW_WRITE), "a device writes eight bytes");
	OK(get_is_right(&m, 0x100000, 200), "one page is reported");
	OK(get_is_right(&m, 0x100000, 200), "once");
	model_write(&m, 0, 0, 7 * PAGE - 1, PAGE + 2, RW_WRITE);
	OK(get_is_right(&m, 0x100000, 200), "a write of a page and two bytes dirties three");
	model_write(&m, 0, 0, 7 * PAGE, 3 * PAGE, 0);
	OK(get_is_right(&m, 0x100000, 200), "reading dirties none");
	OK(!model_write(&m, 0, 1, 9 * PAGE, PAGE, RW_WRITE | RW_THREAD), "a kernel thread writes");
	OK(get_is_right(&m, 0x100000, 200), "its page is reported");

	model_write(&m, 0, 0, 11 * PAGE, PAGE, RW_WRITE);
	model_pin(&m, 0, 0, 20, 2);
	model_unpin(&m, 0, 0, 20, 1);
	model_track(&m, false);
	model_track(&m, true);
	OK(get_is_right(&m, 0x100000, 200), "a stop forgets all but what is pinned");
	model_unpin(&m, 0, 0, 0, 200);
	get_is_right(&m, 0x100000, 200);
	OK(get_is_right(&m, 0x100000, 200), "nothing is dirty when nobody does anything");
	model_close(&m);
}

/* More pages than are looked after together. */
static void test_far(void)
{
	const u64 begin = 0x100000, pages = 10000;
	struct model m;

	model_open(&m);
	model_map(&m, 0, begin, pages);
	model_track(&m, true);
	model_pin(&m, 0, 0, 5, 1);
	model_pin(&m, 0, 1, 5, 1);
	OK(model_pin(&m, 0, 0, 9000, 1) == 1, "pages far from each other are pinned one by one");
	OK(get_is_right(&m, begin, pages), "they are reported");
	model_unpin(&m, 0, 0, 9000, 1);
	model_unpin(&m, 0, 0, 5, 1);
	OK(get_is_right(&m, begin, pages), "when one was let go of");
	OK(get_is_right(&m, begin, pages), "and then the other");
	model_unpin(&m, 0, 1, 5, 1);
	model_write(&m, 0, 0, 4096 * PAGE - 4, 8, RW_WRITE);
	OK(get_is_right(&m, begin, pages), "and what was written between them");
	model_write(&m, 0, 0, 9000 * PAGE, 8, RW_WRITE);
	OK(get_is_right(&m, begin, pages), "and far from there");
	OK(get_is_right(&m, begin, pages), "once");
	IS(locked_pages(), 0, "none stays charged");
	model_close(&m);
}

/* Neighbours whose bits share words, in every way that three of them can. */
static void test_neighbours(void)
{
	static const u64 sizes[] = { 1, 63, 64, 65, 130, 4096, 8201 };
	const int n = sizeof(sizes) / sizeof(*sizes);
	int i, j, g, right = 0, all = 0;
	struct model m;
	u64 first, gap, p;

	model_open(&m);
	model_track(&m, true);
	for (i = 0; i < n; i++) {
		for (j = 0; j < n; j++) {
			for (g = 0; g < 3; g++) {
				gap = (u64[]) { 0, 1, 200 }[g];
				first = 0x1000 * (1 + j % 3);
				model_map(&m, 0, first, sizes[i]);
				model_map(&m, 1, first + (sizes[i] + gap) * PAGE, sizes[j]);
				model_map(&m, 2, first + (sizes[i] + sizes[j] + 2 * gap) * PAGE, 70);
				for (p = 0; p < sizes[i]; p += 1 + p / 3)
					model_pin(&m, 0, 0, p, 1);
				for (p = 0; p < sizes[j]; p += 2 + p / 2)
					model_write(&m, 1, 1, p * PAGE, 1, RW_WRITE);
				model_pin(&m, 1, 0, sizes[j] - 1, 1);
				model_pin(&m, 0, 0, sizes[i] - 1, 1);
				model_pin(&m, 2, 0, 0, 70);
				model_unpin(&m, 2, 0, 10, 50);
				p = sizes[i] + sizes[j] + 2 * gap + 70;
				right += get_is_right(&m, first, p) + get_is_right(&m, 0, p + 3) +
					 get_is_right(&m, first, p + 64);
				right += unmap_is_right(&m, 0) + unmap_is_right(&m, 1) +
					 unmap_is_right(&m, 2);
				all += 6;
			}
		}
	}
	model_close(&m);
	IS(right, all, "neighbours of all sizes keep their bits, %d reports", all);
}

/* The bitmap is not all there. */
static void test_faults(void)
{
	const u64 pages = 3 * PAGE * 8, begin = 0x40000000;
	char *bitmap = memory(5 * PAGE);
	struct model m;
	u64 p, size;
	int err;

	model_open(&m);
	model_map(&m, 0, begin, PAGE * 8 - 5);
	model_map(&m, 1, begin + (PAGE * 8 - 5) * PAGE, PAGE * 8 + 70);
	model_map(&m, 2, begin + (2 * PAGE * 8 + 65) * PAGE, PAGE * 8 - 65);
	model_track(&m, true);
	for (p = 0; p < PAGE * 8 - 65; p += 1023) {
		model_write(&m, 0, 0, p * PAGE, 4, RW_WRITE);
		model_write(&m, 1, 0, p * PAGE, 4, RW_WRITE);
		model_write(&m, 2, 0, p * PAGE, 4, RW_WRITE);
	}
	model_pin(&m, 1, 1, 77, 5);
	model_unpin(&m, 1, 1, 78, 2);
	mprotect(bitmap + PAGE, PAGE, PROT_NONE);
	mprotect(bitmap + 4 * PAGE, PAGE, PROT_NONE);
	IS(get(&m.c, begin, pages * PAGE, bitmap), -EFAULT, "a bitmap with a hole: EFAULT");
	IS(get(&m.c, begin, pages * PAGE, bitmap + 2 * PAGE - 16), -EFAULT, "at its begin");
	IS(get(&m.c, begin, pages * PAGE, bitmap + 2 * PAGE), -EFAULT, "at its end");
	OK(get_is_right(&m, begin, pages), "no bit was lost by it");

	for (p = 0; p < PAGE * 8 - 65; p += 511) {
		model_write(&m, 0, 0, p * PAGE, 4, RW_WRITE);
		model_write(&m, 1, 0, p * PAGE, 4, RW_WRITE);
		model_write(&m, 2, 0, p * PAGE, 4, RW_WRITE);
	}
	IS(dma_unmap_bitmap(&m.c, begin, pages * PAGE, bitmap, &size), -EFAULT,
	   "unmapping with such a bitmap: EFAULT");
	IS(dma_avail(&m.c), 65535 - 3, "nothing was unmapped");
	/* those that were asked let go, nevertheless */
	model_unpin(&m, 1, 1, 77, 5);
	OK(get_is_right(&m, begin, pages), "no bit was lost by that");

	/* memory that is only half there */
	mprotect(m.map[0].memory + 4 * PAGE, PAGE, PROT_NONE);
	err = model_write(&m, 0, 0, 2 * PAGE, 4 * PAGE, RW_WRITE);
	IS(err, -EFAULT, "a write into a hole: EFAULT");
	m.map[0].dirty[2] = true;
	m.map[0].dirty[3] = true;
	OK(get_is_right(&m, begin, pages), "what was written before the hole is dirty");
	model_close(&m);
	munmap(bitmap, 5 * PAGE);
}

static void test_edges(void)
{
	const u64 top = -(100 * PAGE);
	struct model m;
	u64 *got, size;
	int err;

	model_open(&m);
	model_map(&m, 1, 0, 5);
	IS(model_map(&m, 0, top, 100), 0, "a mapping at the top of all addresses");
	model_track(&m, true);
	model_pin(&m, 0, 0, 97, 3);
	model_write(&m, 0, 0, 99 * PAGE, PAGE, RW_WRITE);
	OK(get_is_right(&m, top, 100), "its bitmap");
	model_unpin(&m, 0, 0, 97, 3);
	model_write(&m, 0, 0, 10, 10, RW_WRITE);
	IS(pin(&m.c, 0, top + 98 * PAGE, 4, RDWR), -EINVAL, "a pin does not go on at address 0");
	IS(dma_rw(&m.c, 0, top + 99 * PAGE, &size, 2 * PAGE, 0), -EINVAL, "nor does a read");
	OK(unmap_is_right(&m, 0), "its bitmap when it is unmapped");
	IS(dma_avail(&m.c), 65535 - 1, "it is gone, the one at 0 is not");
	model_map(&m, 0, top, 100);
	err = dma_unmap(&m.c, top, 100 * PAGE, 0, &size);
	OK(!err && size == 100 * PAGE, "it is unmapped without, too");
	model_close(&m);

	/* As many pages as a bitmap may have, and one more. */
	model_open(&m);
	IS(dma_map(&m.c, 0, reserve(0x7fffffff * PAGE), 0x7fffffff * PAGE, RDWR), 0,
	   "a mapping of INT_MAX pages");
	IS(dirty(&m.c, START), 0, "can be tracked");
	got = reserve(1ULL << 28);
	mprotect(got, 1ULL << 28, PROT_READ | PROT_WRITE);
	got[0] = got[(1ULL << 25) - 1] = PATTERN;
	IS(pin(&m.c, 0, 0x7ffffff0 * PAGE, 1, READ), -EFAULT, "there is no memory behind it");
	IS(get(&m.c, 0, 0x7fffffff * PAGE, got), 0, "its bitmap is had");
	OK(!got[0] && !got[(1ULL << 25) - 1], "from its first to its last word");
	IS(dirty_get(&m.c, 0, 0x7fffffff * PAGE, PAGE, 1ULL << 29, got), -EINVAL,
	   "a bitmap of more than there can be: EINVAL");
	munmap(got, 1ULL << 28);
	IS(dma_map(&m.c, 1ULL << 44, reserve(0x80000000 * PAGE), 0x80000000 * PAGE, RDWR), -EINVAL,
	   "one page more, while tracked: EINVAL");
	dirty(&m.c, STOP);
	IS(dma_map(&m.c, 1ULL << 44, reserve(0x80000000 * PAGE), 0x80000000 * PAGE, RDWR), 0,
	   "it can be mapped");
	IS(dirty(&m.c, START), -EINVAL, "but not tracked: EINVAL");
	IS(dma_unmap(&m.c, 1ULL << 44, 0x80000000 * PAGE, 0, &size), 0, "it is unmapped");
	IS(dirty(&m.c, START), 0, "then all others can");
	model_close(&m);
}

static u64 seed = 1;

static u64 rnd(u64 below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % below;
}

/* Somewhere in a range that is small enough for neighbours to be many. */
static void random_map(struct model *m, int i)
{
	u64 iova = rnd(40000) * PAGE;
	u64 pages = 1 + rnd((u64[]) { 8, 100, 5000, 10000 }[rnd(4)]);
	bool clash = false;
	int j;

	/* right behind another one, often */
	j = rnd(MAPS);
	if (m->map[j].pages && rnd(2))
		iova = m->map[j].iova + m->map[j].pages * PAGE;
	for (j = 0; j < MAPS; j++)
		clash |= m->map[j].pages && iova < m->map[j].iova + m->map[j].pages * PAGE &&
			 m->map[j].iova < iova + pages * PAGE;
	if (model_map(m, i, iova, pages) != (clash ? -EEXIST : 0))
		bail_out("a mapping that %s was not as expected", clash ? "overlaps" : "is free");
}

/* A range that bisects nothing. */
static bool random_get(struct model *m)
{
	u64 first = rnd(40000), last = first + rnd(30000);
	int i;

	for (i = 0; i < MAPS; i++) {
		u64 begin = m->map[i].iova / PAGE, end = begin + m->map[i].pages;

		if (!m->map[i].pages)
			continue;
		if (first > begin && first < end)
			first = begin;
	}
	for (i = 0; i < MAPS; i++) {
		u64 begin = m->map[i].iova / PAGE, end = begin + m->map[i].pages;

		if (m->map[i].pages && last > begin && last < end)
			last = end;
	}
	return last == first || get_is_right(m, first * PAGE, last - first);
}

static void test_random(long steps)
{
	long gets = 0, right = 0, locked = 0;
	struct model m;
	u64 page, n;
	long i;
	int at, device;

	model_open(&m);
	model_track(&m, true);
	for (i = 0; i < steps; i++) {
		at = rnd(MAPS);
		device = rnd(DEVICES);
		if (!m.map[at].pages) {
			random_map(&m, at);
			continue;
		}
		page = rnd(m.map[at].pages);
		n = m.map[at].pages - page;
		n = 1 + rnd(n < 300 ? n : 300);
		switch (rnd(12)) {
		case 0 ... 3:
			if (model_pin(&m, at, device, page, n) != (int)n)
				bail_out("a pin failed");
			break;
		case 4 ... 6:
			model_unpin(&m, at, device, page, n);
			break;
		case 7 ... 8:
			if (n > 200)
				n = 200;
			if (model_write(&m, at, device, page * PAGE + rnd(PAGE), n * PAGE - PAGE + 1,
					rnd(4)))
				bail_out("a read or a write failed");
			break;
		case 9:
			if (rnd(8))
				break;
			gets++;
			if (m.tracking) {
				right += unmap_is_right(&m, at);
			} else {
				right += !dma_unmap(&m.c, m.map[at].iova, m.map[at].pages * PAGE, 0, &n);
				model_gone(&m, at);
			}
			break;
		case 10:
			if (!rnd(20))
				model_track(&m, !m.tracking);
			break;
		default:
			if (!m.tracking)
				break;
			gets++;
			right += random_get(&m);
			break;
		}
		locked += locked_pages() != (long)m.pinned;
	}
	model_track(&m, true);
	OK(get_is_right(&m, 0, 60000), "the last report of all is right");
	IS(right, gets, "%ld steps at random, seed given: all reports are right", steps);
	OK(gets > steps / 30, "and there were some");
	IS(locked, 0, "after each step as many pages are locked as are pinned");
	model_close(&m);
	IS(locked_pages(), 0, "after all of them none is locked");
}

int main(int argc, char **argv)
{
	const char *only = NULL;
	long steps = 4000;
	int opt;

	while ((opt = getopt(argc, argv, "s:n:t:")) != -1) {
		switch (opt) {
		case 's':
			seed = strtoull(optarg, NULL, 0) ?: 1;
			break;
		case 'n':
			steps = atol(optarg);
			break;
		case 't':
			only = optarg;
			break;
		default:
			return 2;
		}
	}
	if (!only || !strcmp(only, "pins"))
		test_pins();
	if (!only || !strcmp(only, "far"))
		test_far();
	if (!only || !strcmp(only, "faults"))
		test_faults();
	if (!only || !strcmp(only, "edges"))
		test_edges();
	if (!only || !strcmp(only, "neighbours"))
		test_neighbours();
	if (!only || !strcmp(only, "random"))
		test_random(steps);
	printf("# truth maps %llu mapped %llu unmaps %llu unmapped %llu pins %llu pinned %llu gets %llu unmap_gets %llu dirty %llu bytes %llu starts %llu stops %llu\n",
	       (unsigned long long)truth.maps, (unsigned long long)truth.mapped,
	       (unsigned long long)truth.unmaps, (unsigned long long)truth.unmapped,
	       (unsigned long long)truth.pins, (unsigned long long)truth.pinned,
	       (unsigned long long)truth.gets, (unsigned long long)truth.unmap_gets,
	       (unsigned long long)truth.dirty, (unsigned long long)truth.bytes,
	       (unsigned long long)truth.starts, (unsigned long long)truth.stops);
	return done_testing();
}
