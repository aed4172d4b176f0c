// SPDX-License-Identifier: GPL-2.0
/*
 * What was translated once is remembered; it must not be remembered for too long. After
 * each change of the table the same descriptor, or its neighbour, is translated as the
 * table says now. Permissions, too, and what may be written where.
 */
#include <linux/mm.h>
#include <linux/io.h>
#include <linux/mman.h>
#include <linux/slab.h>
#include <linux/tracepoint.h>
#include <linux/uaccess.h>
#include <linux/vhost_iotlb.h>
#include <trace/events/vhost_iotlb.h>
#include <uapi/linux/virtio_ring.h>

#include "probe.h"

#define PAGE(n)		(DATA_PAGE + (n))

/* Pages in a row, for maps of more than one: the memory's own are anywhere. */
#define ROW_ORDER	5
#define ROW_BYTES	(PAGE_SIZE << ROW_ORDER)
static struct page *row;

static u64 pair_of(enum kind kind, unsigned int page)
{
	unsigned int at = page == PAGE(1) ? 0 : 2;

	if (kind == IOTLB_VA)
		return user_memory + page * PAGE_SIZE;
	*(u64 *)(page_address(row) + at * PAGE_SIZE + 64) = page;
	*(u64 *)(page_address(row) + (at + 1) * PAGE_SIZE + 64) = page + 1;
	return page_to_phys(row) + at * PAGE_SIZE;
}

static u64 addr_of(enum kind kind, unsigned int page)
{
	return kind == IOTLB_VA ? user_memory + page * PAGE_SIZE : page_to_phys(pages[page]);
}

static void unmap(unsigned int page)
{
	u64 start = IOVA + page * PAGE_SIZE;

	spin_lock(&table_lock);
	vhost_iotlb_del_range(table, start, start + PAGE_SIZE - 1);
	spin_unlock(&table_lock);
}

/* @num pages of I/O addresses from @at on lead to @to. */
static void map(enum kind kind, unsigned int at, unsigned int num, unsigned int to, u32 perm)
{
	u64 start = IOVA + at * PAGE_SIZE;
	u64 addr = num == 1 ? addr_of(kind, to) : pair_of(kind, to);

	spin_lock(&table_lock);
	vhost_iotlb_add_range(table, start, start + num * PAGE_SIZE - 1, addr, perm);
	spin_unlock(&table_lock);
}

/* Takes a chain of 8 bytes in @page and reads them; each page holds its own number. */
static int read_page(struct ring *r, unsigned int page)
{
	u64 val = 0;
	u16 head;
	ssize_t ret;

	put_desc(r, &r->desc[1], IOVA + page * PAGE_SIZE + 64, 8, 0, 0);
	offer(r, 1);
	ret = getdesc(r, true, false, &head);
	if (ret != 1)
		return ret;
	ret = pull(r, &val, 8);
	return ret == 8 ? val : ret;
}

static int write_page(struct ring *r, unsigned int page)
{
	u64 val = page;
	u16 head;
	ssize_t ret;

	put_desc(r, &r->desc[1], IOVA + page * PAGE_SIZE + 64, 8, VRING_DESC_F_WRITE, 0);
	offer(r, 1);
	ret = getdesc(r, false, true, &head);
	if (ret != 1)
		return ret;
	ret = push(r, &val, 8);
	return ret == 8 ? 0 : ret;
}

static void number_pages(void)
{
	unsigned int page;

	for (page = DATA_PAGE; page < PAGES; page++)
		*(u64 *)(memory + page * PAGE_SIZE + 64) = page;
}

static unsigned int hits;

static void count_hit(void *data, const struct vhost_iotlb *of, u64 iova, u64 len,
		      unsigned int perm)
{
	hits += of == table;
}

/* Of the ring: index, entry, descriptor, used element, its index; and the data. */
static void test_hits(struct ring *r, const char *name)
{
	bool ok;

	/* once before: all of it is there then */
	ok = read_page(r, PAGE(0)) == PAGE(0) && !complete_one(r, 1, 0);
	hits = 0;
	ok &= !register_trace_vhost_iotlb_hit(count_hit, NULL);
	ok &= read_page(r, PAGE(0)) == PAGE(0) && !complete_one(r, 1, 0);
	unregister_trace_vhost_iotlb_hit(count_hit, NULL);
	tracepoint_synchronize_unregister();
	tap(ok && hits == 6, "%s: a descriptor of 8 bytes is translated six times: %u", name, hits);
}

static void test_stale(struct ring *r, const char *name)
{
	enum kind kind = r->kind;
	struct vhost_iotlb *other;
	unsigned int page;

	tap(read_page(r, PAGE(0)) == PAGE(0) && read_page(r, PAGE(0)) == PAGE(0),
	    "%s: the same page twice", name);
	unmap(PAGE(0));
	misses++;
	tap(read_page(r, PAGE(0)) == -EINVAL, "%s: unmapped between two descriptors", name);
	map(kind, PAGE(0), 1, PAGE(5), VHOST_MAP_RW);
	tap(read_page(r, PAGE(0)) == PAGE(5), "%s: mapped to another page", name);
	map(kind, PAGE(0), 1, PAGE(6), VHOST_MAP_RW);
	tap(read_page(r, PAGE(0)) == PAGE(5), "%s: a second map of the same page comes second",
	    name);
	unmap(PAGE(0));
	map(kind, PAGE(0), 1, PAGE(0), VHOST_MAP_RW);

	/* one from the left that reaches over: all it covers is its own */
	unmap(PAGE(1));
	unmap(PAGE(2));
	map(kind, PAGE(1), 2, PAGE(1), VHOST_MAP_RW);
	tap(read_page(r, PAGE(2)) == PAGE(2) && read_page(r, PAGE(1)) == PAGE(1),
	    "%s: a map of two pages, by either", name);
	map(kind, PAGE(0), 2, PAGE(7), VHOST_MAP_RW);
	tap(read_page(r, PAGE(1)) == PAGE(8), "%s: the leftmost of two that overlap", name);
	tap(read_page(r, PAGE(2)) == PAGE(2) && read_page(r, PAGE(1)) == PAGE(8),
	    "%s: also after the other one was found to the right of it", name);
	unmap(PAGE(0));
	unmap(PAGE(1));
	map(kind, PAGE(0), 1, PAGE(0), VHOST_MAP_RW);
	map(kind, PAGE(1), 1, PAGE(1), VHOST_MAP_RW);
	map(kind, PAGE(2), 1, PAGE(2), VHOST_MAP_RW);

	/* until what is read of the available ring next is in the page of its index */
	while (r->offered % NUM != 1)
		read_page(r, PAGE(3));
	tap(read_page(r, PAGE(3)) == PAGE(3), "%s: before the table is emptied", name);
	spin_lock(&table_lock);
	vhost_iotlb_reset(table);
	spin_unlock(&table_lock);
	misses++;
	tap(read_page(r, PAGE(3)) == -EINVAL && r->vrh.last_avail_idx != r->offered,
	    "%s: emptied: not even the ring is there, nothing is taken", name);
	map_all(kind);
	tap(read_page(r, PAGE(3)) == PAGE(3), "%s: and filled again", name);

	/* another table, which has the same but for one page */
	other = vhost_iotlb_alloc(PAGES, 0);
	if (!other) {
		tap(false, "%s: another table", name);
		return;
	}
	for (page = 0; page < PAGES; page++) {
		u64 start = IOVA + page * PAGE_SIZE;

		vhost_iotlb_add_range(other, start, start + PAGE_SIZE - 1,
				      addr_of(kind, page == PAGE(3) ? PAGE(9) : page),
				      VHOST_MAP_RW);
	}
	tap(read_page(r, PAGE(3)) == PAGE(3), "%s: before the table is another", name);
	vringh_set_iotlb(&r->vrh, other, &table_lock);
	tap(read_page(r, PAGE(3)) == PAGE(9), "%s: another table, which says otherwise", name);
	vringh_set_iotlb(&r->vrh, table, &table_lock);
	tap(read_page(r, PAGE(3)) == PAGE(3), "%s: and back", name);
	vhost_iotlb_free(other);
}

static void unmap_under_way(void *data, const struct vhost_iotlb *of, u64 iova, u64 len,
			    unsigned int perm)
{
	const u64 *start = data;

	/* who translates has the lock */
	if (of == table && iova == *start)
		vhost_iotlb_del_range(table, *start, *start);
}

/*
 * A copy that is so long that the lock is released on the way, to others: what was good before
 * may not be any more. No other is as sure to come at that moment as an unmap just before it.
 */
static void test_long(struct ring *r, const char *name)
{
	u64 start = IOVA + 2 * BYTES;
	u64 addr = r->kind == IOTLB_VA ? user_memory : page_to_phys(row);
	u8 *buf = kmalloc(ROW_BYTES, GFP_KERNEL);
	unsigned int round;
	ssize_t ret[2];
	u16 head;

	static_assert(ROW_BYTES <= BYTES);
	if (!buf) {
		tap(false, "%s: a long copy", name);
		return;
	}
	spin_lock(&table_lock);
	vhost_iotlb_add_range(table, start, start + ROW_BYTES - 1, addr, VHOST_MAP_RW);
	spin_unlock(&table_lock);
	put_desc(r, &r->desc[1], start, ROW_BYTES, 0, 0);
	for (round = 0; round < 2; round++) {
		offer(r, 1);
		ret[round] = getdesc(r, true, false, &head);
		if (ret[round] != 1)
			continue;
		if (round)
			register_trace_vhost_iotlb_hit(unmap_under_way, &start);
		ret[round] = pull(r, buf, ROW_BYTES);
	}
	unregister_trace_vhost_iotlb_hit(unmap_under_way, &start);
	tracepoint_synchronize_unregister();
	misses++;
	tap(ret[0] == ROW_BYTES, "%s: a long copy", name);
	tap(ret[1] == -EINVAL, "%s: unmapped while a long copy is on its way: %zd", name, ret[1]);
	kfree(buf);
	map_all(r->kind);
}

/* The same for descriptors: there is no room for what they say, and memory is not had locked. */
static void test_grown(struct ring *r, const char *name)
{
	u64 start = address(r, (u8 *)&r->desc[1] - memory);
	u16 head = NUM;
	int ret;

	put_desc(r, &r->desc[1], IOVA + PAGE(1) * PAGE_SIZE, 8, 0, 0);
	offer(r, 1);
	vringh_kiov_cleanup(&r->riov);
	register_trace_vhost_iotlb_hit(unmap_under_way, &start);
	ret = getdesc(r, true, false, &head);
	unregister_trace_vhost_iotlb_hit(unmap_under_way, &start);
	tracepoint_synchronize_unregister();
	misses++;
	tap(ret == -EINVAL && head == 1 && !complete_one(r, head, 0),
	    "%s: unmapped while there is no room for what it says: %d", name, ret);
	map_all(r->kind);
}

static void test_perm(struct ring *r, const char *name)
{
	unsigned int used_page = ((u8 *)r->used - memory) / PAGE_SIZE;
	enum kind kind = r->kind;
	u16 head;

	unmap(PAGE(0));
	map(kind, PAGE(0), 1, PAGE(0), VHOST_MAP_RO);
	denials++;
	tap(read_page(r, PAGE(0)) == PAGE(0) && write_page(r, PAGE(0)) == -EPERM,
	    "%s: read only: not to be written", name);
	unmap(PAGE(0));
	map(kind, PAGE(0), 1, PAGE(0), VHOST_MAP_WO);
	denials++;
	tap(write_page(r, PAGE(0)) == 0 && read_page(r, PAGE(0)) == -EPERM,
	    "%s: write only: not to be read", name);
	unmap(PAGE(0));
	map(kind, PAGE(0), 1, PAGE(0), VHOST_MAP_RW);

	unmap(used_page);
	unmap(used_page + 1);
	map(kind, used_page, 1, used_page, VHOST_MAP_RO);
	map(kind, used_page + 1, 1, used_page + 1, VHOST_MAP_RO);
	put_desc(r, &r->desc[1], IOVA + PAGE(1) * PAGE_SIZE, 8, 0, 0);
	offer(r, 1);
	tap(getdesc(r, true, false, &head) == 1, "%s: a used ring that is read only", name);
	denials++;
	tap(complete_one(r, head, 0) == -EPERM && !r->vrh.completed,
	    "%s: nothing is given back there", name);
	unmap(used_page);
	unmap(used_page + 1);
	map(kind, used_page, 1, used_page, VHOST_MAP_WO);
	map(kind, used_page + 1, 1, used_page + 1, VHOST_MAP_WO);
	tap(complete_one(r, head, 0) == 0 && r->vrh.completed == 1,
	    "%s: that it may be written is enough", name);
	map_all(kind);
}

/* A table's second descriptor ends with a map that is shorter than any; the third is nowhere. */
static void test_short(struct ring *r, const char *name)
{
	const unsigned int last = TABLE_PAGE + 1;
	const u64 end = IOVA + last * PAGE_SIZE;
	struct vring_desc *at = (void *)memory + last * PAGE_SIZE - 24;
	unsigned int i;
	u16 head = NUM;

	for (i = 0; i < 3; i++)
		put_desc(r, at + i, IOVA + PAGE(1) * PAGE_SIZE, 8,
			 i < 2 ? VRING_DESC_F_NEXT : 0, i + 1);
	put_desc(r, &r->desc[1], end - 24, 3 * sizeof(*at), VRING_DESC_F_INDIRECT, 0);
	unmap(last);
	spin_lock(&table_lock);
	vhost_iotlb_add_range(table, end, end + 7, addr_of(r->kind, last), VHOST_MAP_RW);
	spin_unlock(&table_lock);
	offer(r, 1);
	misses++;
	tap(getdesc(r, true, true, &head) == -EINVAL && head == 1 && !complete_one(r, head, 0),
	    "%s: behind a map shorter than a descriptor there is none", name);
	map_all(r->kind);
}

/* In user memory, what was never touched is not there yet: it comes when it is needed. */
static void test_absent(struct ring *r, const char *name)
{
	const size_t len = 40 * PAGE_SIZE;
	unsigned long area;
	u64 start = IOVA + 2 * BYTES;
	u8 *buf = kmalloc(3 * PAGE_SIZE, GFP_KERNEL);
	unsigned int i, ok = 0;
	u16 head;

	area = vm_mmap(NULL, 0, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, 0);
	if (IS_ERR_VALUE(area) || !buf) {
		tap(false, "%s: memory that is not there yet", name);
		goto out;
	}
	memset(buf, 0x5a, 3 * PAGE_SIZE);
	spin_lock(&table_lock);
	/* the last page but one is no memory at all */
	vhost_iotlb_add_range(table, start, start + len + PAGE_SIZE - 1, area, VHOST_MAP_RW);
	spin_unlock(&table_lock);
	for (i = 0; i < 10; i++) {
		put_desc(r, &r->desc[1], start + i * 4 * PAGE_SIZE + 100, 2 * PAGE_SIZE,
			 VRING_DESC_F_WRITE, 0);
		offer(r, 1);
		if (getdesc(r, false, true, &head) == 1 &&
		    push(r, buf, 3 * PAGE_SIZE) == 2 * PAGE_SIZE && !complete_one(r, head, 0))
			ok++;
	}
	tap(ok == 10, "%s: memory that is not there yet is fetched", name);
	ok = !copy_from_user(buf, (void __user *)(area + 36 * PAGE_SIZE), 3 * PAGE_SIZE) &&
	     !buf[99] && buf[100] == 0x5a && buf[99 + 2 * PAGE_SIZE] == 0x5a &&
	     !buf[100 + 2 * PAGE_SIZE];
	tap(ok, "%s: and has what was written to it", name);

	vm_munmap(area, len);
	put_desc(r, &r->desc[1], start + 100, 2 * PAGE_SIZE, VRING_DESC_F_WRITE, 0);
	offer(r, 1);
	tap(getdesc(r, false, true, &head) == 1 && push(r, buf, PAGE_SIZE) == -EFAULT,
	    "%s: memory that is mapped here, and not there any more", name);
	/* its chain's fault, as where nothing is mapped: the next one is none the worse for it */
	put_desc(r, &r->desc[1], start + 100, 2 * sizeof(struct vring_desc),
		 VRING_DESC_F_INDIRECT, 0);
	offer(r, 1);
	head = NUM;
	ok = getdesc(r, true, true, &head) == -EFAULT && head == 1 && !complete_one(r, head, 0);
	put_desc(r, &r->desc[1], IOVA + PAGE(1) * PAGE_SIZE, 8, 0, 0);
	offer(r, 1);
	tap(ok && getdesc(r, true, true, &head) == 1,
	    "%s: a table of descriptors that is not there any more", name);
	/* a kernel address is no user memory, whatever the table says */
	spin_lock(&table_lock);
	vhost_iotlb_del_range(table, start, start);
	vhost_iotlb_add_range(table, start, start + PAGE_SIZE - 1, (uintptr_t)buf, VHOST_MAP_RW);
	spin_unlock(&table_lock);
	put_desc(r, &r->desc[1], start, 8, VRING_DESC_F_WRITE, 0);
	offer(r, 1);
	tap(getdesc(r, false, true, &head) == 1 && push(r, "12345678", 8) == -EFAULT &&
	    buf[0] != '1', "%s: a kernel address", name);
out:
	map_all(r->kind);
	kfree(buf);
}

void test_cache(enum kind kind)
{
	const char *name = kind_name[kind];
	struct ring r;

	row = alloc_pages(GFP_KERNEL, ROW_ORDER);
	if (!row || ring_setup(&r, kind, false)) {
		tap(false, "%s: a ring", name);
		return;
	}
	number_pages();
	test_stale(&r, name);
	test_long(&r, name);
	test_perm(&r, name);
	test_short(&r, name);
	test_grown(&r, name);
	if (kind == IOTLB_VA)
		test_absent(&r, name);
	test_hits(&r, name);
	ring_cleanup(&r);
	__free_pages(row, ROW_ORDER);
}
