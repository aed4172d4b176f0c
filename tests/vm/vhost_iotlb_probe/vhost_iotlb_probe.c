// SPDX-License-Identifier: GPL-2.0
/*
 * Drives what vhost_iotlb exports, from the outside, and says what it saw in TAP
 * lines in the kernel log. The events that it must have caused are
 * counted apart and said last, for whoever watched the tracepoints.
 */
#include <linux/limits.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/prandom.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/vhost_iotlb.h>

#define TAP	"iotlb_probe: "

static bool base;
module_param(base, bool, 0444);
MODULE_PARM_DESC(base, "judge the base's module: skip what ours does on purpose in another way");

static unsigned int seed = 1;
module_param(seed, uint, 0444);
MODULE_PARM_DESC(seed, "where the random walk starts");

static unsigned int points, failed;
static u64 adds, deletes, retires, rejects;

static void tap(bool ok, const char *name)
{
	points++;
	failed += !ok;
	pr_info(TAP "%sok %u - %s\n", ok ? "" : "not ", points, name);
}

static void tap_skip(const char *name, const char *why)
{
	pr_info(TAP "ok %u - %s # SKIP %s\n", ++points, name, why);
}

/*
 * A second opinion: the same table as an array in order of insertion, searched
 * from end to end.
 */
#define MODEL_MAX	64

struct model_map {
	u64 start, last, addr;
	u32 perm;
	void *opaque;
};

struct model {
	struct model_map map[MODEL_MAX];
	unsigned int nmaps, limit;
	bool retire;
};

static void model_drop(struct model *m, unsigned int i)
{
	m->nmaps--;
	memmove(&m->map[i], &m->map[i + 1], (m->nmaps - i) * sizeof(m->map[0]));
}

static int model_add(struct model *m, u64 start, u64 last, u64 addr, u32 perm,
		     void *opaque)
{
	struct model_map pieces[2] = {
		{ start, last, addr, perm, opaque },
	};
	unsigned int n = 1, i;
	int err = 0;

	if (!start && last == U64_MAX) {
		pieces[0].last = S64_MAX;
		pieces[1] = pieces[0];
		pieces[1].start = 1ULL << 63;
		pieces[1].last = U64_MAX;
		pieces[1].addr += 1ULL << 63;
		n = 2;
	}
	if (last < start || !m->limit)
		err = -EINVAL;
	else if (n > m->limit || (!m->retire && m->nmaps + n > m->limit))
		err = -ENOSPC;
	if (err) {
		rejects++;
		return err;
	}
	while (m->nmaps + n > m->limit) {
		model_drop(m, 0);
		retires++;
	}
	for (i = 0; i < n; i++)
		m->map[m->nmaps++] = pieces[i];
	adds += n;
	return 0;
}

static void model_del(struct model *m, u64 start, u64 last)
{
	unsigned int i = 0;

	while (start <= last && i < m->nmaps) {
		if (m->map[i].start <= last && start <= m->map[i].last) {
			model_drop(m, i);
			deletes++;
		} else {
			i++;
		}
	}
}

static bool same(const struct vhost_iotlb_map *map, const struct model_map *want)
{
	return map->start == want->start && map->last == want->last &&
	       map->size == want->last - want->start + 1 &&
	       map->addr == want->addr && map->perm == want->perm &&
	       map->opaque == want->opaque;
}

/* The list in order of insertion, the tree in order of address, each whole. */
static bool agree(struct vhost_iotlb *t, struct model *m)
{
	struct vhost_iotlb_map *map, *prev = NULL;
	unsigned int i = 0;

	if (t->nmaps != m->nmaps || t->limit != m->limit)
		return false;
	list_for_each_entry(map, &t->list, link)
		if (i >= m->nmaps || !same(map, &m->map[i++]))
			return false;
	if (i != m->nmaps)
		return false;

	for (map = vhost_iotlb_itree_first(t, 0, U64_MAX); map;
	     prev = map, map = vhost_iotlb_itree_next(map, 0, U64_MAX)) {
		if (prev && prev->start > map->start)
			return false;
		i--;
	}
	return i == 0;
}

/* Every lookup finds the leftmost of what overlaps, and then all others. */
static bool lookup_agrees(struct vhost_iotlb *t, struct model *m, u64 start,
			  u64 last)
{
	struct vhost_iotlb_map *map = vhost_iotlb_itree_first(t, start, last);
	unsigned int i, want = 0, have = 0;
	u64 leftmost = U64_MAX;

	for (i = 0; i < m->nmaps; i++) {
		if (m->map[i].start > last || start > m->map[i].last)
			continue;
		leftmost = min(leftmost, m->map[i].start);
		want++;
	}
	if (!map != !want || (map && map->start != leftmost))
		return false;
	for (; map; map = vhost_iotlb_itree_next(map, start, last)) {
		if (map->start > last || start > map->last || ++have > want)
			return false;
	}
	return have == want;
}

static struct vhost_iotlb *begin(struct model *m, unsigned int limit,
				 unsigned int flags)
{
	memset(m, 0, sizeof(*m));
	m->limit = limit;
	m->retire = flags & VHOST_IOTLB_FLAG_RETIRE;
	return vhost_iotlb_alloc(limit, flags);
}

static void end(struct vhost_iotlb *t, struct model *m)
{
	deletes += m->nmaps;
	vhost_iotlb_free(t);
}

/* Adds to both; true where both say the same and then hold the same. */
static bool add(struct vhost_iotlb *t, struct model *m, u64 start, u64 last)
{
	static u64 addr;
	void *opaque = (void *)(unsigned long)(addr + 1);
	int want;

	addr += 0x1000;
	want = model_add(m, start, last, addr, VHOST_MAP_RO, opaque);
	return vhost_iotlb_add_range_ctx(t, start, last, addr, VHOST_MAP_RO,
					 opaque) == want && agree(t, m);
}

static void full_range(struct model *m)
{
	struct vhost_iotlb *t = begin(m, 2, 0);

	tap(add(t, m, 0, U64_MAX) && t->nmaps == 2,
	    "all addresses are kept as two maps, each with its size");
	tap(lookup_agrees(t, m, 0, 0) && lookup_agrees(t, m, S64_MAX, S64_MAX) &&
	    lookup_agrees(t, m, 1ULL << 63, 1ULL << 63) &&
	    lookup_agrees(t, m, U64_MAX, U64_MAX),
	    "and found at both ends and on both sides of the middle");
	end(t, m);

	t = begin(m, 1, 0);
	tap(add(t, m, 0, U64_MAX), "all addresses with limit 1: ENOSPC");
	end(t, m);
	t = begin(m, 1, VHOST_IOTLB_FLAG_RETIRE);
	tap(add(t, m, 5, 6) && add(t, m, 0, U64_MAX),
	    "the same in a table that retires: ENOSPC, and nothing is retired");
	end(t, m);
	t = begin(m, 3, 0);
	tap(add(t, m, 1, 1) && add(t, m, 2, 2) && add(t, m, 0, U64_MAX),
	    "all addresses with room for one map only: ENOSPC, nothing is added");
	end(t, m);
	t = begin(m, 3, VHOST_IOTLB_FLAG_RETIRE);
	tap(add(t, m, 1, 1) && add(t, m, 2, 2) && add(t, m, 0, U64_MAX) &&
	    t->nmaps == 3,
	    "all addresses in a table that retires: as many go as are needed");
	end(t, m);
}

/*
 * Every allocation on the way fails once, the first, the second and so on, until one
 * comes through. Not all of them are the table's: kmemleak allocates, too, and
 * does without.
 */
static void no_memory(struct model *m)
{
	static const char * const name[] = {
		"no memory for a half of all addresses: ENOMEM, nothing is added",
		"either half was tried",
	};
#ifdef CONFIG_FAILSLAB
	unsigned int nth, refused = 0;
	bool ok = true, reached = true;

	for (nth = 1; reached && nth < 100; nth++) {
		struct vhost_iotlb *t = begin(m, 4, VHOST_IOTLB_FLAG_RETIRE);
		int err;

		add(t, m, 7, 8);
		current->fail_nth = nth;
		err = vhost_iotlb_add_range(t, 0, U64_MAX, 0, VHOST_MAP_RW);
		reached = !current->fail_nth;
		current->fail_nth = 0;
		if (err) {
			rejects++;
			refused++;
			ok &= err == -ENOMEM;
		} else {
			model_add(m, 0, U64_MAX, 0, VHOST_MAP_RW, NULL);
		}
		ok &= agree(t, m);
		end(t, m);
	}
	tap(ok && !reached, name[0]);
	tap(refused == 2, name[1]);
#else
	tap_skip(name[0], "this kernel cannot inject it");
	tap_skip(name[1], "this kernel cannot inject it");
#endif
}

static void empty_ranges(struct model *m)
{
	struct vhost_iotlb *t = begin(m, 8, 0);

	if (base) {
		tap_skip("a range that ends before it starts: EINVAL", "the base says EFAULT");
		tap_skip("deleting such a range deletes nothing", "the base does");
	} else {
		tap(add(t, m, 0x2000, 0x1fff) && add(t, m, U64_MAX, 0) &&
		    add(t, m, 1, 0), "a range that ends before it starts: EINVAL");
		add(t, m, 0x1000, 0x2fff);
		vhost_iotlb_del_range(t, 0x2000, 0x1fff);
		model_del(m, 0x2000, 0x1fff);
		tap(agree(t, m), "deleting such a range deletes nothing");
	}
	end(t, m);
}

static void limits(struct model *m)
{
	struct vhost_iotlb *t = begin(m, 0, 0);
	unsigned int i;
	bool ok;

	tap(add(t, m, 1, 1) && add(t, m, 0, U64_MAX), "limit 0: EINVAL");
	end(t, m);
	t = begin(m, 0, VHOST_IOTLB_FLAG_RETIRE);
	tap(add(t, m, 1, 1), "limit 0 in a table that retires: EINVAL");
	end(t, m);

	t = begin(m, 4, 0);
	for (ok = true, i = 0; i < 8; i++)
		ok &= add(t, m, i * 2, i * 2);
	tap(ok && t->nmaps == 4, "a full table that does not retire: ENOSPC, as it was");
	end(t, m);

	t = begin(m, 4, VHOST_IOTLB_FLAG_RETIRE);
	for (ok = true, i = 0; i < 1000; i++)
		ok &= add(t, m, i * 2, i * 2) && t->nmaps <= 4;
	tap(ok, "a full table that retires: never above its limit");

	/* what was found last is not what was added last */
	for (ok = true, i = 0; i < 8; i++) {
		ok &= !!vhost_iotlb_itree_first(t, m->map[0].start, m->map[0].last);
		ok &= add(t, m, 5000 - i * 2, 5000 - i * 2);
	}
	tap(ok, "the oldest goes first, however often it is found");
	end(t, m);
}

static void ranges(struct model *m)
{
	struct vhost_iotlb *t = begin(m, 16, 0);
	struct vhost_iotlb_map *map;

	add(t, m, 0x1000, 0x1fff);
	add(t, m, 0x2000, 0x2fff);
	add(t, m, 0x3000, 0x3fff);
	add(t, m, 5, 5);
	add(t, m, U64_MAX, U64_MAX);
	tap(lookup_agrees(t, m, 0x1fff, 0x1fff) && lookup_agrees(t, m, 0xfff, 0xfff) &&
	    lookup_agrees(t, m, 0x4000, 0x4000) && lookup_agrees(t, m, 5, 5) &&
	    lookup_agrees(t, m, 4, 4) && lookup_agrees(t, m, 6, 6) &&
	    lookup_agrees(t, m, U64_MAX, U64_MAX),
	    "the last address belongs to a range, the next one does not");

	vhost_iotlb_del_range(t, 0x1fff, 0x2000);
	model_del(m, 0x1fff, 0x2000);
	tap(agree(t, m) && t->nmaps == 3,
	    "deleting drops each map that it touches, whole, and no other");
	vhost_iotlb_del_range(t, 0x2fff, 0x2fff);
	model_del(m, 0x2fff, 0x2fff);
	tap(agree(t, m), "deleting what is not mapped drops nothing");

	add(t, m, 0x3800, 0x47ff);
	add(t, m, 0x3000, 0x3fff);
	add(t, m, 0x2800, 0x5000);
	tap(t->nmaps == 6 && lookup_agrees(t, m, 0x3900, 0x3900) &&
	    lookup_agrees(t, m, 0x4800, 0x4800),
	    "maps may overlap; the leftmost is found first");

	map = vhost_iotlb_itree_first(t, 5, 5);
	vhost_iotlb_map_free(t, map);
	model_del(m, 5, 5);
	tap(agree(t, m), "one map is taken out and freed");

	vhost_iotlb_reset(t);
	model_del(m, 0, U64_MAX);
	tap(agree(t, m) && !vhost_iotlb_itree_first(t, 0, U64_MAX), "a reset table is empty");
	tap(add(t, m, 1, 2) && add(t, m, 3, 4), "and can be filled again");
	end(t, m);

	vhost_iotlb_free(NULL);
	tap(true, "freeing no table is no mistake");
}

static void random_walk(struct model *m, unsigned int limit, unsigned int flags,
			const char *name)
{
	struct vhost_iotlb *t = begin(m, limit, flags);
	struct rnd_state rnd;
	unsigned int step;
	bool ok = true;

	prandom_seed_state(&rnd, seed);
	for (step = 0; ok && step < 4000; step++) {
		u64 start = prandom_u32_state(&rnd) % 256;
		u64 last = start + prandom_u32_state(&rnd) % 16;

		switch (prandom_u32_state(&rnd) % 8) {
		case 0:
			vhost_iotlb_del_range(t, start, last);
			model_del(m, start, last);
			break;
		case 1:
			/* over the top of the address space and the whole of it */
			start = U64_MAX - start;
			ok = step % 97 ? add(t, m, start, U64_MAX) : add(t, m, 0, U64_MAX);
			break;
		case 2:
		case 3:
		case 4:
			ok = add(t, m, start, last);
			break;
		default:
			ok = lookup_agrees(t, m, start, last);
		}
		ok = ok && agree(t, m);
	}
	if (!ok)
		pr_info(TAP "# seed %u, step %u\n", seed, step);
	tap(ok, name);
	end(t, m);
}

static int __init probe_init(void)
{
	struct model *m = kzalloc(sizeof(*m), GFP_KERNEL);

	if (!m)
		return -ENOMEM;
	full_range(m);
	no_memory(m);
	empty_ranges(m);
	limits(m);
	ranges(m);
	random_walk(m, 40, 0, "4000 random steps as an array does them");
	random_walk(m, 24, VHOST_IOTLB_FLAG_RETIRE, "the same in a table that retires");
	kfree(m);
	pr_info(TAP "1..%u\n", points);
	pr_info(TAP "events add %llu delete %llu retire %llu reject %llu\n",
		adds, deletes, retires, rejects);
	return 0;
}

static void __exit probe_exit(void)
{
}

module_init(probe_init);
module_exit(probe_exit);
MODULE_DESCRIPTION("Test of vhost_iotlb through what it exports");
MODULE_AUTHOR("The migscope authors");
MODULE_LICENSE("GPL");
