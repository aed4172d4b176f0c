// SPDX-License-Identifier: GPL-2.0
/*
 * Rings that nobody who means well would write: one for each thing that can be wrong,
 * then what chance makes of it.
 */
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/vhost_iotlb.h>
#include <uapi/linux/virtio_ring.h>

#include "probe.h"

#define NEXT		VRING_DESC_F_NEXT
#define WRITABLE	VRING_DESC_F_WRITE
#define INDIRECT	VRING_DESC_F_INDIRECT

#define TABLE_OFF	(TABLE_PAGE * PAGE_SIZE)
#define DATA_OFF	(DATA_PAGE * PAGE_SIZE)
#define LONG_TABLE	(8 * PAGE_SIZE / sizeof(struct vring_desc))

static struct vring_desc *indirect_table(void)
{
	return (void *)memory + TABLE_OFF;
}

static void data_desc(struct ring *r, struct vring_desc *at, u16 flags, u16 next)
{
	put_desc(r, at, address(r, DATA_OFF), 16, flags, next);
}

/* The ring's own descriptor 1 leads to a table of @len bytes. */
static void lead_to_table(struct ring *r, u32 len, u16 flags, u16 next)
{
	put_desc(r, &r->desc[1], address(r, TABLE_OFF), len, INDIRECT | flags, next);
}

static void bad_head(struct ring *r) { r->avail->ring[0] = __cpu_to_virtio16(true, NUM); }

static void too_much_available(struct ring *r)
{
	r->avail->idx = __cpu_to_virtio16(true, NUM + 1);
}

static void next_outside(struct ring *r) { data_desc(r, &r->desc[1], NEXT, NUM); }
static void loop_of_one(struct ring *r) { data_desc(r, &r->desc[1], NEXT, 1); }

static void loop_of_three(struct ring *r)
{
	data_desc(r, &r->desc[1], NEXT, 2);
	data_desc(r, &r->desc[2], NEXT, 3);
	data_desc(r, &r->desc[3], NEXT, 1);
}

static void readable_last(struct ring *r)
{
	data_desc(r, &r->desc[1], WRITABLE | NEXT, 2);
	data_desc(r, &r->desc[2], 0, 0);
}

static void table_in_table(struct ring *r)
{
	lead_to_table(r, 32, 0, 0);
	put_desc(r, indirect_table(), address(r, TABLE_OFF), 32, INDIRECT, 0);
}

static void table_of_nothing(struct ring *r) { lead_to_table(r, 0, 0, 0); }
static void table_of_17_bytes(struct ring *r) { lead_to_table(r, 17, 0, 0); }

static void table_next_outside(struct ring *r)
{
	lead_to_table(r, 32, 0, 0);
	data_desc(r, indirect_table(), NEXT, 2);
}

static void table_loop(struct ring *r)
{
	lead_to_table(r, 32, 0, 0);
	data_desc(r, indirect_table(), NEXT, 1);
	data_desc(r, indirect_table() + 1, NEXT, 0);
}

/* Back to the ring, where the table is entered again. */
static void table_around(struct ring *r)
{
	lead_to_table(r, 16, NEXT, 1);
	data_desc(r, indirect_table(), 0, 0);
}

static void table_back_outside(struct ring *r)
{
	lead_to_table(r, 16, NEXT, NUM);
	data_desc(r, indirect_table(), 0, 0);
}

static void table_around_the_end(struct ring *r)
{
	put_desc(r, &r->desc[1], U64_MAX - 15, 32, INDIRECT, 0);
}

/* In order and without a loop, and longer than any iov may be. */
static void table_too_long(struct ring *r)
{
	unsigned int i;

	lead_to_table(r, LONG_TABLE * sizeof(struct vring_desc), 0, 0);
	for (i = 0; i < LONG_TABLE; i++)
		data_desc(r, indirect_table() + i, NEXT, i + 1);
}

static const struct bad_ring {
	const char *name;
	void (*make)(struct ring *r);
	int err;
	/* of the ring: the chain is still there; otherwise it is taken */
	bool of_ring;
	bool read_only;
} bad_rings[] = {
	{ "head outside the ring", bad_head, -EINVAL, true },
	{ "more available than there are descriptors", too_much_available, -EINVAL, true },
	{ "next outside the ring", next_outside, -EINVAL },
	{ "a descriptor that follows itself", loop_of_one, -ELOOP },
	{ "a loop of three", loop_of_three, -ELOOP },
	{ "readable after writable", readable_last, -EINVAL },
	{ "writable where nothing may be", readable_last, -EPROTO, .read_only = true },
	{ "a table in a table", table_in_table, -EINVAL },
	{ "a table of no bytes", table_of_nothing, -EINVAL },
	{ "a table of 17 bytes", table_of_17_bytes, -EINVAL },
	{ "next outside the table", table_next_outside, -EINVAL },
	{ "a loop in a table", table_loop, -ELOOP },
	{ "a loop through a table", table_around, -ELOOP },
	{ "from a table to outside the ring", table_back_outside, -EINVAL },
	{ "a table around the end of all addresses", table_around_the_end, -EINVAL },
	{ "a table longer than any iov", table_too_long, -ELOOP },
};

static bool is_refused(enum kind kind, const struct bad_ring *bad)
{
	struct ring r;
	/* where it was none of a chain */
	const u16 none = kind == USER ? NUM : 0xdead;
	u16 head = 0xdead;
	int ret;
	bool ok;

	if (ring_setup(&r, kind, false))
		return false;
	data_desc(&r, &r.desc[1], 0, 0);
	offer(&r, 1);
	bad->make(&r);
	ret = getdesc(&r, true, !bad->read_only, &head);
	ok = ret == bad->err && head == (bad->of_ring ? none : 1) &&
	     r.vrh.last_avail_idx == !bad->of_ring;
	/* and goes on: after a chain with the next one, after a ring with what is there */
	if (ok && !bad->of_ring) {
		ok = !complete_one(&r, head, 0);
		data_desc(&r, &r.desc[2], 0, 0);
		offer(&r, 2);
		ok = ok && getdesc(&r, true, true, &head) == 1 && head == 2;
	} else if (ok) {
		r.avail->ring[0] = __cpu_to_virtio16(true, 1);
		r.avail->idx = __cpu_to_virtio16(true, 1);
		ok = getdesc(&r, true, true, &head) == 1 && head == 1;
	}
	if (!ok)
		pr_info(TAP "# %s: %d, head %u, index %u\n", bad->name, ret, head,
			r.vrh.last_avail_idx);
	ring_cleanup(&r);
	return ok;
}

static void may_go_on_after_table(enum kind kind)
{
	struct ring r;
	u16 head;
	bool ok;

	ok = !ring_setup(&r, kind, false);
	lead_to_table(&r, 32, NEXT, 0);
	data_desc(&r, indirect_table(), NEXT, 1);
	data_desc(&r, indirect_table() + 1, 0, 0);
	data_desc(&r, &r.desc[0], WRITABLE, 0);
	offer(&r, 1);
	tap(ok && getdesc(&r, true, true, &head) == 1 && r.riov.used == 2 && r.wiov.used == 1,
	    "%s: a chain goes on in the ring after a table, at descriptor 0, too", kind_name[kind]);
	ring_cleanup(&r);
}

/* Data where there is none: said when it is looked for, user memory; or when it is copied. */
static void data_nowhere(enum kind kind)
{
	struct ring r;
	u8 byte[32];
	u16 head;
	int ret;

	if (kind == KERN)
		return;
	ring_setup(&r, kind, false);
	put_desc(&r, &r.desc[1], IOVA + BYTES - 8, 16, NEXT, 2);
	put_desc(&r, &r.desc[2], IOVA + BYTES, 16, WRITABLE, 0);
	offer(&r, 1);
	ret = getdesc(&r, true, true, &head);
	if (kind == USER) {
		tap(ret == -EINVAL && head == 1, "user: data outside of all ranges");
	} else {
		tap(ret == 1 && pull(&r, byte, 16) == -EINVAL && push(&r, byte, 16) == -EINVAL,
		    "%s: data that is not mapped, half and whole", kind_name[kind]);
		misses += 2;
	}
	put_desc(&r, &r.desc[3], U64_MAX - 7, 16, 0, 0);
	offer(&r, 3);
	ret = getdesc(&r, true, true, &head);
	if (kind == USER)
		tap(ret == -EINVAL && head == 3, "user: data around the end of all addresses");
	else
		tap(ret == 1 && pull(&r, byte, 16) == -EINVAL,
		    "%s: data around the end of all addresses", kind_name[kind]);
	ring_cleanup(&r);
}

/*
 * Every allocation of one call fails in turn, until one comes through: the chain is
 * still there afterwards. What fails in turn may be a copy from user memory, too, where
 * the kernel can do that: it is no question of memory, and is passed over.
 */
static void no_memory(enum kind kind)
{
	static const char name[] = "no memory for a longer iov: ENOMEM, and it can be tried again";
#ifdef CONFIG_FAILSLAB
	unsigned int nth, refused = 0, i;
	bool ok = true, reached = true;
	struct ring r;
	u16 head;
	int ret;

	for (nth = 1; ok && reached && nth < 100; nth++) {
		ok = !ring_setup(&r, kind, false);
		for (i = 0; i < NUM - 1; i++)
			data_desc(&r, &r.desc[i], i < NUM - 2 ? NEXT : 0, i + 1);
		offer(&r, 0);
		/* only those for user memory write it where there is no chain */
		head = NUM;
		current->fail_nth = nth;
		ret = getdesc(&r, true, true, &head);
		reached = !current->fail_nth;
		current->fail_nth = 0;
		if (ret == -ENOMEM) {
			refused++;
			ok = ok && head == NUM && !r.vrh.last_avail_idx;
			ret = getdesc(&r, true, true, &head);
		}
		if (kind != USER || ret != -EFAULT)
			ok = ok && ret == 1 && r.riov.used == NUM - 1;
		ring_cleanup(&r);
	}
	tap(ok && refused >= 2, "%s: %s", kind_name[kind], name);
#else
	tap_skip(name, "only a kernel with CONFIG_FAILSLAB can fail there");
#endif
}

void test_hostile(enum kind kind)
{
	unsigned int i;
	struct ring r;

	for (i = 0; i < ARRAY_SIZE(bad_rings); i++)
		tap(is_refused(kind, &bad_rings[i]), "%s: %s: refused", kind_name[kind],
		    bad_rings[i].name);
	may_go_on_after_table(kind);
	data_nowhere(kind);
	no_memory(kind);
	if (kind == KERN) {
		tap(vringh_init_kern(&r.vrh, 0, 0, true, NULL, NULL, NULL) == -EINVAL &&
		    vringh_init_kern(&r.vrh, 0, 24, true, NULL, NULL, NULL) == -EINVAL &&
		    vringh_init_kern(&r.vrh, 0, 65536, true, NULL, NULL, NULL) == -EINVAL,
		    "a ring of 0, 24 or 65536 descriptors is none");
	}
}

/* Numbers near those that matter are worth more than any others. */
static u64 likely_number(void)
{
	switch (below(6)) {
	case 0:	 return below(NUM + 2);
	case 1:	 return U64_MAX - below(40);
	case 2:	 return (u64)prandom_u32_state(&rnd) << below(33);
	case 3:	 return below(64) * sizeof(struct vring_desc);
	default: return below(PAGE_SIZE);
	}
}

static void random_desc(struct ring *r, struct vring_desc *at)
{
	u64 addr = address(r, below(4) ? DATA_OFF + below(DATA_BYTES) : TABLE_OFF + below(300));
	u32 len = below(3) ? below(300) : likely_number();
	u16 flags = below(5) ? below(4) : below(2) ? INDIRECT : likely_number();

	if (r->kind == KERN) {
		/* the other side is trusted with addresses, and with lengths */
		addr = address(r, flags & INDIRECT ? TABLE_OFF : DATA_OFF);
		len = below(2) ? below(20) * sizeof(*at) : below(1000);
	} else if (below(20) == 0) {
		addr = likely_number();
	}
	put_desc(r, at, addr, len, flags, below(8) ? below(NUM) : likely_number());
}

#define FUZZ_ROUNDS	4000

/*
 * What is said of each does not matter, but that it is said, that the iovs are within
 * their bounds, and that nothing is written where no descriptor led: the ring itself is
 * compared with what it was.
 */
void test_fuzz(enum kind kind)
{
	unsigned int round, i, taken = 0, refused = 0;
	u8 *buf = kmalloc(8192, GFP_KERNEL), *copy = kmalloc(DATA_OFF, GFP_KERNEL);
	bool ok = buf && copy;
	struct ring r;
	u16 head;
	int ret;

	ok = ok && !ring_setup(&r, kind, true);
	for (round = 0; round < FUZZ_ROUNDS && ok; round++) {
		for (i = 0; i < NUM; i++) {
			random_desc(&r, &r.desc[i]);
			random_desc(&r, indirect_table() + i);
		}
		r.vrh.last_avail_idx = below(2) ? 0 : likely_number();
		for (i = 0; i < NUM; i++)
			r.avail->ring[i] = __cpu_to_virtio16(true, below(16) ? below(NUM) :
							     likely_number());
		r.avail->idx = __cpu_to_virtio16(true, r.vrh.last_avail_idx +
						 (below(8) ? 1 : likely_number()));
		memcpy(copy, memory, DATA_OFF);
		ret = getdesc(&r, true, true, &head);
		ok = ret <= 1 && !memcmp(copy, memory, DATA_OFF);
		if (ret < 0)
			refused++;
		if (ret != 1)
			continue;
		taken++;
		ok = ok && head < NUM &&
		     r.riov.used <= (r.riov.max_num & ~VRINGH_IOV_ALLOCATED) &&
		     r.wiov.used <= (r.wiov.max_num & ~VRINGH_IOV_ALLOCATED);
		pull(&r, buf, below(8192));
		if (below(2))
			vringh_kiov_advance(&r.wiov, likely_number());
		push(&r, buf, below(8192));
		complete_one(&r, head, likely_number());
		need_notify(&r);
		cond_resched();
	}
	tap(ok, "%s: %u rings by chance do no harm", kind_name[kind], FUZZ_ROUNDS);
	tap(taken > FUZZ_ROUNDS / 20 && refused > FUZZ_ROUNDS / 20,
	    "%s: some of them were taken, some refused", kind_name[kind]);
	pr_info(TAP "# %s: taken %u, refused %u\n", kind_name[kind], taken, refused);
	ring_cleanup(&r);
	kfree(copy);
	kfree(buf);
}
