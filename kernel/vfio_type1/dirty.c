// SPDX-License-Identifier: GPL-2.0
/*
 * Dirty pages: what devices wrote, marked, reported, forgotten.
 *
 * A page is dirty while a device has it pinned, and from when the device let go of it
 * or had it written by dma_rw, until that was reported. All pages are while a device
 * may write anywhere. So a report is the bits that are marked, or the bits of
 * what is pinned, which are kept anyway; a switch of tracking or of what counts
 * walks no page. Where nothing was ever pinned or written there is no bitmap at all.
 *
 * User space's bitmap is written in order, each word once. Nothing is forgotten before
 * all of it was.
 */
#include <linux/bitmap.h>
#include <linux/err.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <trace/events/vfio.h>

#include "type1.h"

static struct kmem_cache *chunk_cache;

/* Look up chunk @at in the tree; it is the recent one from now on. */
struct type1_chunk *type1_chunk_find(struct type1_map *map, unsigned long at)
{
	map->recent = xa_load(&map->chunks, at);
	map->recent_at = at;
	return map->recent;
}

static void chunk_free(struct type1_map *map, struct type1_chunk *chunk, unsigned long at)
{
	if (map->recent == chunk)
		map->recent = NULL;
	xa_erase(&map->chunks, at);
	kfree(chunk);
}

/* The chunk of page @index of a mapping. May sleep. */
struct type1_chunk *type1_chunk_make(struct type1_map *map, unsigned long index)
{
	unsigned long at = index / TYPE1_CHUNK_PAGES;
	struct type1_chunk *chunk = type1_chunk(map, index);
	unsigned int npages;

	if (chunk)
		return chunk;

	npages = min(map_npages(map) - at * TYPE1_CHUNK_PAGES, TYPE1_CHUNK_PAGES);
	if (npages == TYPE1_CHUNK_PAGES)
		chunk = kmem_cache_zalloc(chunk_cache, GFP_KERNEL_ACCOUNT);
	else
		chunk = kzalloc(struct_size(chunk, dirty, BITS_TO_LONGS(npages)),
				GFP_KERNEL_ACCOUNT);
	if (!chunk)
		return NULL;
	chunk->npages = npages;
	if (xa_err(xa_store(&map->chunks, at, chunk, GFP_KERNEL_ACCOUNT))) {
		kfree(chunk);
		return NULL;
	}
	return chunk;
}

/* So that marking these pages cannot fail. */
int type1_dirty_prepare(struct type1_map *map, unsigned long index, unsigned long n)
{
	unsigned long last = index + n - 1;

	for (index = round_down(index, TYPE1_CHUNK_PAGES); index <= last;
	     index += TYPE1_CHUNK_PAGES)
		if (!type1_chunk_make(map, index))
			return -ENOMEM;
	return 0;
}

/* Chunks that were made for these pages go again where nothing came of it. */
void type1_dirty_trim(struct type1_map *map, unsigned long index, unsigned long n)
{
	unsigned long at, last = (index + n - 1) / TYPE1_CHUNK_PAGES;
	struct type1_chunk *chunk;

	for (at = index / TYPE1_CHUNK_PAGES; at <= last; at++) {
		chunk = xa_load(&map->chunks, at);
		if (chunk && !chunk->npinned && !chunk->marked)
			chunk_free(map, chunk, at);
	}
}

void type1_dirty_mark(struct type1_map *map, unsigned long index, unsigned long n)
{
	struct type1_chunk *chunk;
	unsigned int at, some;

	for (; n; index += some, n -= some) {
		at = index % TYPE1_CHUNK_PAGES;
		some = min(n, TYPE1_CHUNK_PAGES - at);
		chunk = type1_chunk(map, index);
		bitmap_set(chunk->dirty, at, some);
		chunk->marked = true;
	}
}

/* What was marked was reported, or nobody asks for it any more. */
void type1_dirty_forget(struct type1_map *map)
{
	struct type1_chunk *chunk;
	unsigned long at;

	map->all_dirty = false;
	if (xa_empty(&map->chunks))
		return;
	xa_for_each(&map->chunks, at, chunk) {
		if (!chunk->npinned) {
			chunk_free(map, chunk, at);
		} else if (chunk->marked) {
			bitmap_zero(chunk->dirty, chunk->npages);
			chunk->marked = false;
		}
		cond_resched();
	}
}

/* A device that may have written anywhere is known by its promise, or is gone. */
void type1_dirty_all(struct type1_container *c)
{
	struct type1_map *map;

	if (c->tracking)
		for (map = type1_map_any(c); map; map = type1_map_after(map))
			map->all_dirty = true;
}

int type1_dirty_start(struct type1_container *c)
{
	/* of which no GET could ever report */
	if (c->nr_big || type1_page_size(c) != PAGE_SIZE)
		return -EINVAL;
	c->tracking = true;
	return 0;
}

void type1_dirty_stop(struct type1_container *c)
{
	struct type1_map *map;

	c->tracking = false;
	for (map = type1_map_any(c); map; map = type1_map_after(map))
		type1_dirty_forget(map);
}

/* A bitmap of user space's that is written from its begin to its end. */
struct writer {
	u64 __user	*words;
	u64		at;	/* the next bit */
	u64		part;	/* those before it of the same word */
};

static int writer_flush(struct writer *to)
{
	if (!(to->at % 64))
		return 0;
	return put_user(to->part, to->words + to->at / 64);
}

/*
 * Go on at a later bit. Words between are left alone. So are the bits below it, if
 * nothing of its word was written yet.
 */
static int writer_seek(struct writer *to, u64 bit)
{
	int err;

	if (to->at % 64 && to->at / 64 == bit / 64) {
		to->at = bit;
		return 0;
	}
	err = writer_flush(to);
	if (err)
		return err;
	to->at = bit;
	to->part = 0;
	if (bit % 64) {
		err = get_user(to->part, to->words + bit / 64);
		to->part &= BIT_ULL(bit % 64) - 1;
	}
	return err;
}

/* @n bits, at most a word; @bits has no others. */
static int write_bits(struct writer *to, u64 bits, unsigned int n)
{
	unsigned int shift = to->at % 64;
	int err;

	to->part |= bits << shift;
	if (shift + n >= 64) {
		err = put_user(to->part, to->words + to->at / 64);
		if (err)
			return err;
		to->part = shift ? bits >> (64 - shift) : 0;
	}
	to->at += n;
	return 0;
}

/* Whole words, that is what @a and @b have together, which may be the same. */
static int write_words(struct writer *to, const unsigned long *a, const unsigned long *b,
		       unsigned int n)
{
	u64 __user *word = to->words + to->at / 64;
	unsigned int shift = to->at % 64, i;
	u64 part = to->part, bits;

	if (!user_write_access_begin(word, n * sizeof(u64)))
		return -EFAULT;
	if (shift) {
		for (i = 0; i < n; i++) {
			bits = a[i] | b[i];
			unsafe_put_user(part | bits << shift, word + i, fault);
			part = bits >> (64 - shift);
		}
	} else {
		for (i = 0; i < n; i++)
			unsafe_put_user(a[i] | b[i], word + i, fault);
	}
	user_write_access_end();
	to->part = part;
	to->at += n * 64;
	return 0;

fault:
	user_write_access_end();
	return -EFAULT;
}

/* @n bits that are all the same. */
static int write_fill(struct writer *to, bool set, u64 n)
{
	u64 ones = set ? U64_MAX : 0, words;
	unsigned int head = -to->at % 64;
	u64 __user *word, *end;
	int err;

	head = min(head, n);
	if (head) {
		err = write_bits(to, ones >> (64 - head), head);
		if (err)
			return err;
		n -= head;
	}
	while (n >= 64) {
		words = min(n / 64, SZ_64K);
		word = to->words + to->at / 64;
		end = word + words;
		if (!set) {
			if (clear_user(word, words * sizeof(*word)))
				return -EFAULT;
		} else {
			if (!user_write_access_begin(word, words * sizeof(*word)))
				return -EFAULT;
			for (; word < end; word++)
				unsafe_put_user(ones, word, fault);
			user_write_access_end();
		}
		to->at += words * 64;
		n -= words * 64;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return n ? write_bits(to, ones >> (64 - n), n) : 0;

fault:
	user_write_access_end();
	return -EFAULT;
}

static int write_chunk(struct writer *to, const struct type1_chunk *chunk)
{
	const unsigned long *a = chunk->dirty, *b = chunk->dirty;
	unsigned int words = chunk->npages / 64, rest = chunk->npages % 64;
	int err = 0;

	if (chunk->npinned) {
		b = chunk->pinned;
		a = chunk->marked ? a : b;
	}
	if (words)
		err = write_words(to, a, b, words);
	if (!err && rest)
		err = write_bits(to, a[words] | b[words], rest);
	cond_resched();
	return err;
}

static int write_map(struct writer *to, struct type1_container *c, struct type1_map *map)
{
	unsigned long npages = map_npages(map), next = 0, at, begin;
	struct type1_chunk *chunk;
	int err;

	if (type1_dirty_full(c) || map->all_dirty)
		return write_fill(to, true, npages);

	xa_for_each(&map->chunks, at, chunk) {
		begin = at * TYPE1_CHUNK_PAGES;
		err = write_fill(to, false, begin - next) ?: write_chunk(to, chunk);
		if (err)
			return err;
		next = begin + chunk->npages;
	}
	return write_fill(to, false, npages - next);
}

/**
 * type1_dirty_report - write the bitmap of a range, which bisects no mapping
 * @c: the container
 * @map: the lowest mapping of the range, or NULL
 * @iova: first address
 * @last: last address, itself included
 * @to: user space's bitmap, large enough
 *
 * Every word of a mapping is written, no word where nothing is mapped. It is
 * for the caller to forget what was reported, when nothing can fail any more.
 */
int type1_dirty_report(struct type1_container *c, struct type1_map *map, u64 iova, u64 last,
		       u64 __user *to)
{
	struct writer writer = { .words = to };
	int err;

	for (; map; map = type1_map_next(map, last)) {
		err = writer_seek(&writer, (map->iova - iova) >> PAGE_SHIFT);
		err = err ?: write_map(&writer, c, map);
		if (err)
			return err;
		cond_resched();
	}
	return writer_flush(&writer);
}

static unsigned long chunk_count(const struct type1_chunk *chunk)
{
	unsigned int i, words = BITS_TO_LONGS(chunk->npages);
	unsigned long n = 0;

	for (i = 0; i < words; i++)
		n += hweight64(chunk->dirty[i] | (chunk->npinned ? chunk->pinned[i] : 0));
	return n;
}

/* How many pages a report would say are dirty, for who watches. */
u64 type1_dirty_count(struct type1_container *c, u64 iova, u64 last)
{
	struct type1_chunk *chunk;
	struct type1_map *map;
	unsigned long at;
	u64 n = 0;

	for (map = type1_map_first(c, iova, last); map; map = type1_map_next(map, last)) {
		if (type1_dirty_full(c) || map->all_dirty) {
			n += map_npages(map);
			continue;
		}
		xa_for_each(&map->chunks, at, chunk) {
			n += chunk_count(chunk);
			cond_resched();
		}
	}
	return n;
}

/* Can the bitmap hold @size bytes of memory? */
int type1_bitmap_check(const struct vfio_bitmap *bitmap, u64 size)
{
	if (bitmap->pgsize != PAGE_SIZE || size < PAGE_SIZE)
		return -EINVAL;
	if (bitmap->size < TYPE1_BITMAP_BYTES(size >> PAGE_SHIFT) ||
	    bitmap->size > TYPE1_DIRTY_BYTES_MAX)
		return -EINVAL;
	return access_ok(bitmap->data, bitmap->size) ? 0 : -EINVAL;
}

static int get_check(const struct vfio_iommu_type1_dirty_bitmap_get *get, u64 last)
{
	if ((get->iova | get->size) & ~PAGE_MASK || last < get->iova)
		return -EINVAL;
	return type1_bitmap_check(&get->bitmap, get->size);
}

int type1_dirty_get(struct type1_container *c, const struct vfio_iommu_type1_dirty_bitmap_get *get)
{
	u64 began = trace_vfio_dirty_get_enabled() ? ktime_get_ns() : 0, dirty = 0;
	u64 last = get->iova + get->size - 1;
	struct type1_map *first, *map;
	int err = get_check(get, last);

	if (err)
		goto out;
	err = -EINVAL;
	if (!c->tracking || type1_page_size(c) != PAGE_SIZE)
		goto out;
	first = type1_map_whole(c, get->iova, last);
	if (IS_ERR(first))
		goto out;
	err = type1_dirty_report(c, first, get->iova, last, get->bitmap.data);
	if (err)
		goto out;
	if (began)
		dirty = type1_dirty_count(c, get->iova, last);
	for (map = first; map; map = type1_map_next(map, last))
		type1_dirty_forget(map);
out:
	if (began)
		trace_vfio_dirty_get(c, get->iova, get->size >> PAGE_SHIFT,
				     TYPE1_BITMAP_BYTES(get->size >> PAGE_SHIFT), dirty, false,
				     type1_dirty_full(c), ktime_get_ns() - began, err);
	return err;
}

int __init type1_dirty_init(void)
{
	struct type1_chunk *chunk;

	chunk_cache = kmem_cache_create("vfio_type1_chunk",
					struct_size(chunk, dirty, TYPE1_CHUNK_WORDS), 0, 0, NULL);
	return chunk_cache ? 0 : -ENOMEM;
}

void type1_dirty_exit(void)
{
	kmem_cache_destroy(chunk_cache);
}
