// SPDX-License-Identifier: GPL-2.0
/*
 * Chains of all shapes, from a driver that means well: what the host is given, what it
 * reads and what it leaves behind is compared with a copy of the memory, on which the
 * same is done by other means.
 */
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include <uapi/linux/virtio_ring.h>

#include "probe.h"

#define ROUNDS		300
#define FIRST		0xffd0
#define SEGMENTS	12
#define SEGMENT_MAX	5000

struct segment {
	size_t off;
	u32 len;
};

/* What one chain says: first what is to be read, then what is to be written. */
struct chain {
	struct segment seg[SEGMENTS];
	unsigned int readable, segs;
	size_t to_read, to_write;
	u16 head;
};

/* What all of it must look like. */
static u8 *shadow;
static u8 *bytes;

/* Segments lie one after the other, somewhere, with nothing or something between. */
static void make_chain(struct chain *c)
{
	size_t off = DATA_PAGE * PAGE_SIZE + below(DATA_BYTES / 4);
	unsigned int i;

	c->segs = 1 + below(SEGMENTS);
	c->readable = below(c->segs + 1);
	c->to_read = 0;
	c->to_write = 0;
	for (i = 0; i < c->segs; i++) {
		struct segment *seg = &c->seg[i];

		seg->len = below(4) ? 1 + below(200) : 1 + below(SEGMENT_MAX);
		seg->off = off;
		off += seg->len + (below(2) ? 0 : below(300));
		if (i < c->readable)
			c->to_read += seg->len;
		else
			c->to_write += seg->len;
	}
}

static u16 seg_flags(const struct chain *c, unsigned int i)
{
	return (i >= c->readable ? VRING_DESC_F_WRITE : 0) |
	       (i + 1 < c->segs ? VRING_DESC_F_NEXT : 0);
}

/*
 * Lays it out in the ring from any descriptor on, linked in steps of any odd number; the
 * last segments may be in an indirect table, whose entries are linked backwards.
 */
static void lay_out(struct ring *r, struct chain *c)
{
	unsigned int direct = below(2) ? c->segs : below(c->segs), step = 1 + 2 * below(NUM / 2);
	u16 at = below(NUM), next;
	struct vring_desc *entry;
	unsigned int i, left;
	size_t where;

	c->head = at;
	for (i = 0; i < direct; i++) {
		next = (at + step) % NUM;
		put_desc(r, &r->desc[at], address(r, c->seg[i].off), c->seg[i].len,
			 seg_flags(c, i), next);
		at = next;
	}
	left = c->segs - direct;
	if (!left)
		return;
	where = TABLE_PAGE * PAGE_SIZE + below(2 * PAGE_SIZE);
	entry = (void *)memory + where;
	put_desc(r, &r->desc[at], address(r, where), left * sizeof(*entry),
		 VRING_DESC_F_INDIRECT, 0);
	/* the first entry begins the chain, the others follow from the last one down */
	for (i = 0; i < left; i++)
		put_desc(r, &entry[i ? left - i : 0], address(r, c->seg[direct + i].off),
			 c->seg[direct + i].len, seg_flags(c, direct + i), left - i - 1);
}

static bool iov_is(const struct ring *r, const struct vringh_kiov *iov, size_t want)
{
	size_t len = vringh_kiov_length((struct vringh_kiov *)iov);

	return !iov->i && !iov->consumed && len == want;
}

/* In pieces of any size; what was read is what the segments hold. */
static bool read_all(struct ring *r, const struct chain *c)
{
	size_t done = 0, part;
	unsigned int i;
	ssize_t got;

	while (done < c->to_read) {
		part = 1 + below(2 * SEGMENT_MAX);
		got = pull(r, bytes + done, part);
		if (got != min(part, c->to_read - done))
			return false;
		done += got;
	}
	if (pull(r, bytes + done, 10))
		return false;
	for (i = 0, done = 0; i < c->readable; done += c->seg[i++].len)
		if (memcmp(bytes + done, shadow + c->seg[i].off, c->seg[i].len))
			return false;
	return true;
}

/* Some of it, in pieces, with a gap that is skipped. */
static bool write_some(struct ring *r, const struct chain *c, size_t *written)
{
	size_t len = c->to_write ? below(c->to_write + 1) : 0, done = 0, part, skip = 0, at;
	unsigned int i;

	if (len > 20 && below(3) == 0)
		skip = 1 + below(10);
	prandom_bytes_state(&rnd, bytes, len);
	while (done < len) {
		part = 1 + below(2 * SEGMENT_MAX);
		part = min(part, len - done);
		if (done && skip) {
			vringh_kiov_advance(&r->wiov, skip);
			skip = min(skip, len - done);
			done += skip;
			skip = 0;
			continue;
		}
		if (push(r, bytes + done, part) != part)
			return false;
		/* what must be there now */
		for (i = c->readable, at = 0; i < c->segs; at += c->seg[i++].len) {
			size_t from = max(at, done), to = min(at + c->seg[i].len, done + part);

			if (from < to)
				memcpy(shadow + c->seg[i].off + from - at, bytes + from, to - from);
		}
		done += part;
	}
	*written = len;
	return true;
}

static bool same_memory(const struct ring *r)
{
	return !memcmp(memory, shadow, BYTES);
}

static bool give_back(struct ring *r, u16 head, u32 len)
{
	struct vring_used *used = (void *)shadow + ((u8 *)r->used - memory);

	used->ring[r->given % NUM].id = __cpu_to_virtio32(true, head);
	used->ring[r->given % NUM].len = __cpu_to_virtio32(true, len);
	used->idx = __cpu_to_virtio16(true, ++r->given);
	return !complete_one(r, head, len) && same_memory(r);
}

/* With flags or an event index, wherever the driver has put it: asked once after some. */
static bool notify_is_right(struct ring *r, u16 *told)
{
	bool want;
	u16 event;
	int says;

	if (r->events) {
		event = r->given - below(5) + below(3) - 1;
		r->avail->ring[NUM] = __cpu_to_virtio16(true, event);
		want = (u16)(r->given - event - 1) < (u16)(r->given - *told);
	} else {
		want = below(2);
		r->avail->flags = __cpu_to_virtio16(true, want ? 0 : VRING_AVAIL_F_NO_INTERRUPT);
	}
	memcpy(shadow + ((u8 *)r->avail - memory), r->avail, 6 + 2 * NUM);
	says = need_notify(r);
	if (r->events)
		*told = r->given;
	return says == want;
}

static bool arming_is_right(struct ring *r)
{
	struct vring_used *used = (void *)shadow + ((u8 *)r->used - memory);
	bool more = below(2);

	if (more) {
		r->avail->idx = __cpu_to_virtio16(true, r->offered + 1);
		memcpy(shadow + ((u8 *)r->avail - memory), r->avail, 6 + 2 * NUM);
	}
	if (notify_enable(r) == more)
		return false;
	if (r->events)
		*(__virtio16 *)&used->ring[NUM] = __cpu_to_virtio16(true, r->taken);
	else
		used->flags = 0;
	if (!same_memory(r))
		return false;
	notify_disable(r);
	if (!r->events)
		used->flags = __cpu_to_virtio16(true, VRING_USED_F_NO_NOTIFY);
	if (more)
		r->avail->idx = __cpu_to_virtio16(true, r->offered);
	memcpy(shadow + ((u8 *)r->avail - memory), r->avail, 6 + 2 * NUM);
	return same_memory(r);
}

static bool one_round(struct ring *r, struct chain *c, u16 *told, const char **what)
{
	bool again = below(8) == 0;
	size_t written;
	u16 head, untouched;

	make_chain(c);
	lay_out(r, c);
	offer(r, c->head);
	memcpy(shadow, memory, BYTES);

	*what = "a chain is taken";
	if (getdesc(r, c->to_read || below(2), c->to_write || !c->to_read || below(2), &head) != 1)
		return false;
	if (again) {
		*what = "a chain that was put back is taken again";
		abandon(r, 1);
		if (getdesc(r, true, true, &head) != 1)
			return false;
	}
	r->taken++;
	*what = "its head and its length are right";
	if (head != c->head || (c->to_read && !iov_is(r, &r->riov, c->to_read)) ||
	    (c->to_write && !iov_is(r, &r->wiov, c->to_write)))
		return false;
	*what = "what is read is what is there";
	if (c->to_read && !read_all(r, c))
		return false;
	*what = "what is written arrives";
	written = 0;
	if (c->to_write && !write_some(r, c, &written))
		return false;
	*what = "and nothing else is written";
	if (!same_memory(r))
		return false;
	*what = "it is given back";
	if (!give_back(r, head, written))
		return false;
	*what = "nothing more is there";
	/* who polls (caif_virtio) tells by it that he has none */
	untouched = below(U16_MAX);
	head = untouched;
	if (getdesc(r, true, true, &head) != 0 || head != (r->kind == USER ? NUM : untouched))
		return false;
	*what = "the other side is told when it wants to be";
	if (below(3) == 0 && !notify_is_right(r, told))
		return false;
	*what = "we are told when we want to be";
	return below(4) || arming_is_right(r);
}

static void several_at_once(struct ring *r)
{
	struct vring_used_elem used[NUM + 1];
	unsigned int i, num, round;
	bool ok = true;

	memcpy(shadow, memory, BYTES);
	for (round = 0; round < 40 && ok; round++) {
		num = 1 + below(NUM);
		for (i = 0; i < num; i++) {
			used[i].id = __cpu_to_virtio32(true, below(NUM));
			used[i].len = __cpu_to_virtio32(true, below(5000));
			((struct vring_used *)((void *)shadow + ((u8 *)r->used - memory)))->
				ring[(u16)(r->given + i) % NUM] = used[i];
		}
		r->given += num;
		((struct vring_used *)((void *)shadow + ((u8 *)r->used - memory)))->idx =
			__cpu_to_virtio16(true, r->given);
		ok = !vringh_complete_multi_user(&r->vrh, used, num) && same_memory(r);
	}
	tap(ok, "user: several are given back at once, across the ring's end, too");
	if (!base)
		tap(vringh_complete_multi_user(&r->vrh, used, NUM + 1) == -EINVAL && same_memory(r),
		    "user: more than the ring holds is not given back");
}

void test_traffic(enum kind kind)
{
	const char *what = "it is set up", *failed = NULL;
	unsigned int round = 0;
	struct chain *chain;
	struct ring r;
	int events;
	u16 told;

	shadow = vmalloc(BYTES);
	bytes = vmalloc(BYTES);
	chain = kmalloc(sizeof(*chain), GFP_KERNEL);
	if (!shadow || !bytes || !chain) {
		tap(false, "%s: memory for the test", kind_name[kind]);
		goto out;
	}
	for (events = 0; events < 2; events++) {
		failed = NULL;
		if (ring_setup(&r, kind, events))
			failed = what;
		/* where 16 bits end is among them */
		r.offered = FIRST;
		r.taken = FIRST;
		r.given = FIRST;
		r.vrh.last_avail_idx = FIRST;
		r.vrh.last_used_idx = FIRST;
		told = FIRST;
		prandom_bytes_state(&rnd, memory + DATA_PAGE * PAGE_SIZE, DATA_BYTES);
		for (round = 0; round < ROUNDS && !failed; round++)
			if (!one_round(&r, chain, &told, &what))
				failed = what;
		tap(!failed, "%s%s: %u chains, compared byte by byte%s%s", kind_name[kind],
		    events ? ", event indices" : "", ROUNDS, failed ? ": not so: " : "",
		    failed ?: "");
		if (kind == USER && !events && !failed)
			several_at_once(&r);
		ring_cleanup(&r);
	}
out:
	kfree(chain);
	vfree(bytes);
	vfree(shadow);
}
