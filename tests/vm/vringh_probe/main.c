// SPDX-License-Identifier: GPL-2.0
/*
 * Drives what vringh exports, from the other side of the ring, and says what it saw in
 * TAP lines in the kernel log. The misses and denials that it must have caused are said
 * last, for whoever watched the tracepoints.
 */
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/module.h>
#include <linux/vhost_iotlb.h>
#include <linux/vmalloc.h>

#include "probe.h"

static unsigned int seed = 1;
module_param(seed, uint, 0444);
MODULE_PARM_DESC(seed, "where what is random starts");

bool base;
module_param(base, bool, 0444);
MODULE_PARM_DESC(base, "judge the base's module: only what it is to do in the same way");

static bool fuzz;
module_param(fuzz, bool, 0444);
MODULE_PARM_DESC(fuzz, "rings by chance, and nothing else");

const char * const kind_name[KINDS] = { "user", "kern", "iotlb", "iotlb_va" };

u8 *memory;
unsigned long user_memory;
struct page *pages[PAGES];
struct vhost_iotlb *table;
DEFINE_SPINLOCK(table_lock);
struct rnd_state rnd;
u64 misses, denials;

static unsigned int points, failed;

void tap(bool ok, const char *fmt, ...)
{
	struct va_format vaf;
	va_list args;

	va_start(args, fmt);
	vaf.fmt = fmt;
	vaf.va = &args;
	points++;
	failed += !ok;
	pr_info(TAP "%sok %u - %pV\n", ok ? "" : "not ", points, &vaf);
	va_end(args);
}

void tap_skip(const char *name, const char *why)
{
	pr_info(TAP "ok %u - %s # SKIP %s\n", ++points, name, why);
}

u32 below(u32 n)
{
	return prandom_u32_state(&rnd) % n;
}

static int get_memory(void)
{
	int pinned;

	user_memory = vm_mmap(NULL, 0, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			      0);
	if (IS_ERR_VALUE(user_memory))
		return user_memory;
	pinned = pin_user_pages_fast(user_memory, PAGES, FOLL_WRITE | FOLL_LONGTERM, pages);
	if (pinned != PAGES) {
		if (pinned > 0)
			unpin_user_pages(pages, pinned);
		return -ENOMEM;
	}
	memory = vmap(pages, PAGES, VM_MAP, PAGE_KERNEL);
	if (!memory) {
		unpin_user_pages(pages, PAGES);
		return -ENOMEM;
	}
	return 0;
}

static int __init probe_init(void)
{
	enum kind kind;
	int err;

	prandom_seed_state(&rnd, seed);
	err = get_memory();
	if (err)
		return err;
	table = vhost_iotlb_alloc(4096, 0);
	if (!table)
		goto out;

	for (kind = 0; kind < KINDS; kind++) {
		if (fuzz) {
			test_fuzz(kind);
			continue;
		}
		test_traffic(kind);
		if (base)
			continue;
		test_hostile(kind);
		if (kind == IOTLB || kind == IOTLB_VA)
			test_cache(kind);
	}
	pr_info(TAP "1..%u\n", points);
	pr_info(TAP "# seed %u, %u failed\n", seed, failed);
	pr_info(TAP "events miss %llu denied %llu\n", misses, denials);
	vhost_iotlb_free(table);
out:
	vunmap(memory);
	unpin_user_pages_dirty_lock(pages, PAGES, true);
	return table ? 0 : -ENOMEM;
}

static void __exit probe_exit(void)
{
}

module_init(probe_init);
module_exit(probe_exit);
MODULE_DESCRIPTION("Tests of vringh from the other side");
MODULE_AUTHOR("The migscope authors");
MODULE_LICENSE("GPL");
