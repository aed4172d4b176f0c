// SPDX-License-Identifier: GPL-2.0
/*
 * What looking up, adding and deleting a map costs in tables of some sizes.
 *
 * Run where time is the count of instructions: what is printed is instructions for
 * one call, the call included, the clock and the loop taken off. All that is found is
 * checked.
 *
 * A stream are addresses in one map, by a window where the module has such.
 */
#include <linux/irqflags.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/prandom.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/vhost_iotlb.h>
#include <vhost_iotlb/window.h>

#define CALLS		1000
#define MAPS_MAX	2048

static u32 order[MAPS_MAX], pick[CALLS];
static u64 clock_cost;

/* maps of a page, with a page free before the next */
static u64 map_start(u32 n) { return (u64)n * 0x2000; }
static u64 map_addr(u32 n) { return ((u64)n << 20) | 0x5a000; }

static void say(const char *what, unsigned int maps, u64 total)
{
	u64 tenths = div_u64(total * 10, CALLS);

	pr_info("bench: %s/%u %llu.%llu\n", what, maps, tenths / 10, tenths % 10);
}

static int lookups(struct vhost_iotlb *t, unsigned int maps, const char *what)
{
	u64 begin, empty, took, sum = 0, want = 0;
	unsigned long flags;
	unsigned int i;

	local_irq_save(flags);
	begin = ktime_get_mono_fast_ns();
	for (i = 0; i < CALLS; i++) {
		u32 n = READ_ONCE(pick[i]);

		want += map_addr(n) + map_start(n);
	}
	empty = ktime_get_mono_fast_ns() - begin;

	begin = ktime_get_mono_fast_ns();
	for (i = 0; i < CALLS; i++) {
		u64 at = map_start(READ_ONCE(pick[i])) + 0x123;
		struct vhost_iotlb_map *map = vhost_iotlb_itree_first(t, at, at + 7);

		if (!map)
			break;
		sum += map->addr + map->start;
	}
	took = ktime_get_mono_fast_ns() - begin;
	local_irq_restore(flags);

	if (sum != want) {
		pr_err("bench: %s/%u: wrong maps were found\n", what, maps);
		return -EIO;
	}
	say(what, maps, took - empty);
	return 0;
}

static __always_inline int stream(struct vhost_iotlb *t, unsigned int maps,
				  typeof(vhost_iotlb_window_load) *load)
{
	u64 begin, empty, took, sum = 0, want = 0, base = map_start(maps / 2);
	struct vhost_iotlb_window w = {};
	unsigned long flags;
	unsigned int i;

	for (i = 0; i < CALLS; i++)
		pick[i] = i * 4 % 0xff0;
	local_irq_save(flags);
	begin = ktime_get_mono_fast_ns();
	for (i = 0; i < CALLS; i++)
		want += map_addr(maps / 2) + READ_ONCE(pick[i]);
	empty = ktime_get_mono_fast_ns() - begin;

	begin = ktime_get_mono_fast_ns();
	for (i = 0; i < CALLS; i++) {
		u64 at = base + READ_ONCE(pick[i]);

		if (load) {
			if (!vhost_iotlb_window_has(&w, t, at, 7, VHOST_MAP_RO) &&
			    load(&w, t, at, VHOST_MAP_RO))
				break;
			sum += w.addr + (at - w.start);
		} else {
			struct vhost_iotlb_map *map = vhost_iotlb_itree_first(t, at, at + 7);

			if (!map || !(map->perm & VHOST_MAP_RO))
				break;
			sum += map->addr + (at - map->start);
		}
	}
	took = ktime_get_mono_fast_ns() - begin;
	local_irq_restore(flags);

	if (sum != want) {
		pr_err("bench: stream/%u: wrong addresses\n", maps);
		return -EIO;
	}
	say("stream", maps, took - empty);
	return 0;
}

static int streams(struct vhost_iotlb *t, unsigned int maps)
{
	typeof(vhost_iotlb_window_load) *load = symbol_get(vhost_iotlb_window_load);
	int err;

	if (!load)
		return stream(t, maps, NULL);
	err = stream(t, maps, load);
	symbol_put(vhost_iotlb_window_load);
	return err;
}

static int changes(struct vhost_iotlb *t, unsigned int maps)
{
	u64 adding = 0, deleting = 0;
	unsigned long flags;
	unsigned int i;
	int err = 0;

	for (i = 0; i < CALLS && !err; i++) {
		u64 start = map_start(pick[i]) + 0x1000, begin, added, deleted;

		local_irq_save(flags);
		begin = ktime_get_mono_fast_ns();
		err = vhost_iotlb_add_range(t, start, start + 0xfff, start, VHOST_MAP_RW);
		added = ktime_get_mono_fast_ns();
		local_irq_restore(flags);
		if (!vhost_iotlb_itree_first(t, start, start) || t->nmaps != maps + 1)
			err = -EIO;
		local_irq_save(flags);
		deleted = ktime_get_mono_fast_ns();
		vhost_iotlb_del_range(t, start, start + 0xfff);
		deleting += ktime_get_mono_fast_ns() - deleted - clock_cost;
		local_irq_restore(flags);
		adding += added - begin - clock_cost;
		if (vhost_iotlb_itree_first(t, start, start) || t->nmaps != maps)
			err = -EIO;
	}
	if (err) {
		pr_err("bench: add and delete at %u maps: %d\n", maps, err);
		return err;
	}
	say("add", maps, adding);
	say("delete", maps, deleting);
	return 0;
}

static int measure(unsigned int maps, struct rnd_state *rnd)
{
	struct vhost_iotlb *t = vhost_iotlb_alloc(maps + 1, 0);
	unsigned long flags;
	unsigned int i, j;
	u64 begin, took;
	int err = -ENOMEM;

	if (!t)
		return -ENOMEM;
	for (i = 0; i < maps; i++) {
		j = prandom_u32_state(rnd) % (i + 1);
		order[i] = order[j];
		order[j] = i;
	}
	for (i = 0; i < maps; i++) {
		u64 start = map_start(order[i]);

		err = vhost_iotlb_add_range(t, start, start + 0xfff, map_addr(order[i]),
					    VHOST_MAP_RW);
		if (err)
			goto out;
	}

	for (i = 0; i < CALLS; i++)
		pick[i] = maps / 2;
	err = lookups(t, maps, "lookup_same");
	for (i = 0; i < CALLS; i++)
		pick[i] = prandom_u32_state(rnd) % maps;
	if (!err)
		err = lookups(t, maps, "lookup_random");
	if (!err)
		err = changes(t, maps);
	if (!err)
		err = streams(t, maps);

	local_irq_save(flags);
	begin = ktime_get_mono_fast_ns();
	vhost_iotlb_reset(t);
	took = ktime_get_mono_fast_ns() - begin - clock_cost;
	local_irq_restore(flags);
	if (!err && t->nmaps)
		err = -EIO;
	/* of a single map */
	if (!err)
		say("reset_map", maps, div_u64(took * CALLS, maps));
out:
	vhost_iotlb_free(t);
	return err;
}

static int __init bench_init(void)
{
	static const unsigned int sizes[] = { 1, 64, MAPS_MAX };
	struct rnd_state rnd;
	u64 begin;
	int err, i;

	prandom_seed_state(&rnd, 42);
	begin = ktime_get_mono_fast_ns();
	clock_cost = ktime_get_mono_fast_ns() - begin;
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		err = measure(sizes[i], &rnd);
		if (err)
			return err;
	}
	pr_info("bench: done\n");
	return 0;
}

static void __exit bench_exit(void)
{
}

module_init(bench_init);
module_exit(bench_exit);
MODULE_DESCRIPTION("What a table of translations costs");
MODULE_AUTHOR("The migscope authors");
MODULE_LICENSE("GPL");
