// SPDX-License-Identifier: GPL-2.0
/*
 * What a descriptor costs on the host's side of a ring behind translations: to take it,
 * to read what it describes, to give it back. What is read is checked.
 *
 * Run where time is the count of instructions; the clock's are taken off.
 */
#include <linux/io.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/vhost_iotlb.h>
#include <linux/vringh.h>
#include <uapi/linux/virtio_config.h>

#define NUM	256U
#define ROUNDS	4
#define IOVA	0x10000000ULL
#define ORDER	7			/* the data: 512 KiB in one piece */
#define DATA	0x100000ULL		/* where it is, from IOVA on */

static u64 clock_cost;
static DEFINE_SPINLOCK(lock);

static void say(const char *what, unsigned int maps, u32 len, u64 total)
{
	u64 tenths = div_u64(total * 10, NUM * ROUNDS);

	pr_info("bench: %s_%u/%u %llu.%llu\n", what, len, maps, tenths / 10, tenths % 10);
}

/* @maps: how many the table holds; the ring has one, the data another, in the middle. */
static int fill_table(struct vhost_iotlb *t, unsigned int maps, struct page *ring,
		      struct page *data)
{
	unsigned int i;
	int err;

	if (maps == 1)
		return vhost_iotlb_add_range(t, 0, U64_MAX / 2, 0, VHOST_MAP_RW);
	err = vhost_iotlb_add_range(t, IOVA, IOVA + DATA - 1, page_to_phys(ring), VHOST_MAP_RW);
	if (!err)
		err = vhost_iotlb_add_range(t, IOVA + DATA, IOVA + 2 * DATA - 1,
					    page_to_phys(data), VHOST_MAP_RW);
	for (i = 0; i < maps - 2 && !err; i++) {
		u64 start = (i % 2 ? 2 * IOVA : 0x1000) + i * 0x2000ULL;

		err = vhost_iotlb_add_range(t, start, start + 0xfff, 0, VHOST_MAP_RW);
	}
	return err;
}

static int measure(unsigned int maps, u32 len, struct page *ring_page, struct page *data_page,
		   u8 *buf)
{
	struct vring_desc *desc = page_address(ring_page);
	struct vring_avail *avail = (void *)(desc + NUM);
	struct vring_used *used = (void *)desc + 2 * PAGE_SIZE;
	u64 ring_at = maps == 1 ? page_to_phys(ring_page) : IOVA;
	u64 data_at = maps == 1 ? page_to_phys(data_page) : IOVA + DATA;
	u64 getting = 0, moving = 0, giving = 0, at[4];
	struct vhost_iotlb *t = vhost_iotlb_alloc(maps + 1, 0);
	struct vringh_kiov riov = {};
	struct vringh vrh = {};
	unsigned int i, round;
	unsigned long flags;
	int err = -ENOMEM;
	u16 head;

	if (!t)
		return err;
	err = fill_table(t, maps, ring_page, data_page);
	if (err)
		goto out;
	memset(desc, 0, 4 * PAGE_SIZE);
	vringh_set_iotlb(&vrh, t, &lock);
	err = vringh_init_iotlb(&vrh, BIT_ULL(VIRTIO_F_VERSION_1), NUM, true,
				(void *)ring_at, (void *)ring_at + NUM * sizeof(*desc),
				(void *)ring_at + 2 * PAGE_SIZE);
	for (round = 0; round < ROUNDS && !err; round++) {
		for (i = 0; i < NUM; i++) {
			desc[i].addr = cpu_to_le64(data_at + (i * 0x340 & 0xfff0));
			desc[i].len = cpu_to_le32(len);
			avail->ring[i] = cpu_to_le16(i);
		}
		avail->idx = cpu_to_le16((round + 1) * NUM);
		for (i = 0; i < NUM && !err; i++) {
			int got, gave;
			ssize_t len_got;

			memset(buf, 0, len);
			local_irq_save(flags);
			at[0] = ktime_get_mono_fast_ns();
			got = vringh_getdesc_iotlb(&vrh, &riov, NULL, &head, GFP_ATOMIC);
			at[1] = ktime_get_mono_fast_ns();
			len_got = vringh_iov_pull_iotlb(&vrh, &riov, buf, len);
			at[2] = ktime_get_mono_fast_ns();
			gave = vringh_complete_iotlb(&vrh, head, 0);
			at[3] = ktime_get_mono_fast_ns();
			local_irq_restore(flags);
			if (got != 1 || head != i || len_got != len || gave ||
			    memcmp(buf, page_address(data_page) + (i * 0x340 & 0xfff0), len) ||
			    le16_to_cpu(used->idx) != (u16)(round * NUM + i + 1) ||
			    le32_to_cpu(used->ring[i].id) != i) {
				pr_err("bench: descriptor %u: %d %zd %d\n", i, got, len_got, gave);
				err = -EIO;
			}
			getting += at[1] - at[0] - clock_cost;
			moving += at[2] - at[1] - clock_cost;
			giving += at[3] - at[2] - clock_cost;
		}
	}
	vringh_kiov_cleanup(&riov);
	if (!err) {
		say("getdesc", maps, len, getting);
		say("transfer", maps, len, moving);
		say("complete", maps, len, giving);
		say("all", maps, len, getting + moving + giving);
	}
out:
	vhost_iotlb_free(t);
	return err;
}

static int __init bench_init(void)
{
	struct page *ring = alloc_pages(GFP_KERNEL, 2), *data = alloc_pages(GFP_KERNEL, ORDER);
	u8 *buf = kmalloc(SZ_64K, GFP_KERNEL);
	int err = -ENOMEM;
	u64 begin;
	u32 i;

	if (!ring || !data || !buf)
		goto out;
	for (i = 0; i < PAGE_SIZE << ORDER; i += sizeof(u32))
		*(u32 *)(page_address(data) + i) = i * 2654435761U;
	begin = ktime_get_mono_fast_ns();
	clock_cost = ktime_get_mono_fast_ns() - begin;
	err = measure(1, 64, ring, data, buf) ?:
	      measure(64, 64, ring, data, buf) ?:
	      measure(2048, 64, ring, data, buf) ?:
	      measure(1, SZ_64K, ring, data, buf);
	if (!err)
		pr_info("bench: done\n");
out:
	kfree(buf);
	if (data)
		__free_pages(data, ORDER);
	if (ring)
		__free_pages(ring, 2);
	return err;
}

static void __exit bench_exit(void)
{
}

module_init(bench_init);
module_exit(bench_exit);
MODULE_DESCRIPTION("What the host's side of a ring costs");
MODULE_AUTHOR("The migscope authors");
MODULE_LICENSE("GPL");
