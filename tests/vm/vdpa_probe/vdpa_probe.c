// SPDX-License-Identifier: GPL-2.0
/*
 * A vDPA device that does nothing but look at how it is treated.
 *
 * It is made with `vdpa dev add mgmtdev vdpa_probe`. What it saw stands in
 * /sys/module/vdpa_probe/parameters, where it is also told what to do: what to
 * refuse, which word of memory to look at through the tables that it was given, when
 * to call back.
 *
 * It keeps every map that it was told of until it is told to forget it, and then
 * looks whether the pages are still pinned: whoever lets go of them earlier lets a
 * device write to memory that is somebody else's.
 */
#include <linux/atomic.h>
#include <linux/eventfd.h>
#include <linux/irqbypass.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/vdpa.h>
#include <linux/vhost_iotlb.h>
#include <linux/virtio_ids.h>
#include <net/netlink.h>
#include <uapi/linux/vdpa.h>
#include <uapi/linux/vhost_types.h>
#include <uapi/linux/virtio_config.h>

#define QUEUES		4
#define GROUPS		2
#define SPACES		3
#define QUEUE_SIZE	256
#define LAST_SIZE	64	/* of the last queue, as a control queue's is */
#define IRQ		1000	/* of the first queue; nothing ever raises it */

#define FEATURES	(BIT_ULL(VIRTIO_F_VERSION_1) | BIT_ULL(VIRTIO_F_ACCESS_PLATFORM) | \
			 BIT_ULL(VIRTIO_F_RING_PACKED) | BIT_ULL(VIRTIO_NET_F_MAC) | \
			 BIT_ULL(VIRTIO_NET_F_MTU) | BIT_ULL(VIRTIO_NET_F_MQ) | \
			 BIT_ULL(VIRTIO_NET_F_STATUS))

static char *mode = "tables";
module_param(mode, charp, 0444);
MODULE_PARM_DESC(mode, "tables: set_map; maps: dma_map, and no suspend; va: set_map with virtual addresses");

/* counted since the module was loaded, of all devices */
static unsigned int set_maps, dma_maps, dma_unmaps, reset_maps, resets, suspends, binds;
static unsigned int entries, unpinned, frees;
static ulong mapped;
module_param(set_maps, uint, 0444);
module_param(dma_maps, uint, 0444);
module_param(dma_unmaps, uint, 0444);
module_param(reset_maps, uint, 0444);
module_param(resets, uint, 0444);
module_param(suspends, uint, 0444);
module_param(binds, uint, 0444);
module_param(frees, uint, 0444);
module_param(entries, uint, 0444);	/* in the table that was changed last */
module_param(mapped, ulong, 0444);	/* bytes in it */
module_param(unpinned, uint, 0444);	/* pages that were let go too early */

/* -errno for the call after the next @fail_after */
static int fail_set_map, fail_dma_map;
static unsigned int fail_after;
module_param(fail_set_map, int, 0644);
module_param(fail_dma_map, int, 0644);
module_param(fail_after, uint, 0644);

static bool has_irq, has_config_cb;
module_param(has_irq, bool, 0644);
module_param(has_config_cb, bool, 0444);

struct probe_queue {
	struct vdpa_callback cb;
	struct vdpa_vq_state state;
	u64 desc, avail, used;
	u32 num;
	bool ready;
	atomic_t kicks;
	void *doorbell;
};

struct probe {
	struct vdpa_device vdpa;
	spinlock_t lock;	/* callbacks */
	struct vdpa_callback config_cb;
	struct probe_queue queue[QUEUES];
	struct vhost_iotlb *space[SPACES];
	u32 group_space[GROUPS];
	u64 features, supported;
	u8 status;
	struct virtio_net_config config;
};

/* the device made last: what is asked through parameters is asked of it */
static struct probe *probe;
static DEFINE_MUTEX(probe_lock);

static struct probe *to_probe(struct vdpa_device *vdpa)
{
	return container_of(vdpa, struct probe, vdpa);
}

static int refused(int *how)
{
	int err = *how;

	if (!err)
		return 0;
	if (fail_after) {
		fail_after--;
		return 0;
	}
	*how = 0;
	return err;
}

/*
 * Memory
 *
 * As long as nobody told it of any, it reaches all there is, as a simulator does that
 * serves the kernel: who gives it to a process must not leave that so.
 */

#define EVERYTHING	((void *)1)

static void forgotten(struct vdpa_device *vdpa, struct vhost_iotlb_map *map)
{
	u64 at;

	if (vdpa->use_va || map->opaque == EVERYTHING)
		return;
	for (at = map->addr; at < map->addr + map->size; at += PAGE_SIZE)
		unpinned += !folio_maybe_dma_pinned(page_folio(pfn_to_page(PHYS_PFN(at))));
}

static void table_forget(struct vdpa_device *vdpa, struct vhost_iotlb *table, u64 first, u64 last)
{
	struct vhost_iotlb_map *map;

	while ((map = vhost_iotlb_itree_first(table, first, last))) {
		forgotten(vdpa, map);
		vhost_iotlb_map_free(table, map);
		cond_resched();
	}
}

static void table_count(struct vhost_iotlb *table)
{
	struct vhost_iotlb_map *map;

	entries = table->nmaps;
	mapped = 0;
	list_for_each_entry(map, &table->list, link)
		mapped += map->size;
}

static int probe_set_map(struct vdpa_device *vdpa, unsigned int asid, struct vhost_iotlb *iotlb)
{
	struct probe *p = to_probe(vdpa);
	struct vhost_iotlb_map *map;
	struct vhost_iotlb *table;
	int err;

	set_maps++;
	err = refused(&fail_set_map);
	if (err)
		return err;
	if (asid >= SPACES)
		return -EINVAL;
	table = vhost_iotlb_alloc(UINT_MAX, 0);
	if (!table)
		return -ENOMEM;
	for (map = vhost_iotlb_itree_first(iotlb, 0, U64_MAX); map;
	     map = vhost_iotlb_itree_next(map, 0, U64_MAX)) {
		err = vhost_iotlb_add_range_ctx(table, map->start, map->last, map->addr,
						map->perm, map->opaque);
		if (err) {
			vhost_iotlb_free(table);
			return err;
		}
		cond_resched();
	}
	table_forget(vdpa, p->space[asid], 0, U64_MAX);
	vhost_iotlb_free(p->space[asid]);
	p->space[asid] = table;
	table_count(table);
	return 0;
}

static int probe_dma_map(struct vdpa_device *vdpa, unsigned int asid, u64 iova, u64 size,
			 u64 pa, u32 perm, void *opaque)
{
	int err = refused(&fail_dma_map);

	dma_maps++;
	if (!err)
		err = asid < SPACES ? 0 : -EINVAL;
	if (!err)
		err = vhost_iotlb_add_range_ctx(to_probe(vdpa)->space[asid], iova, iova + size - 1,
						pa, perm, opaque);
	if (!err) {
		entries = to_probe(vdpa)->space[asid]->nmaps;
		mapped += size;
	}
	return err;
}

static int probe_dma_unmap(struct vdpa_device *vdpa, unsigned int asid, u64 iova, u64 size)
{
	struct probe *p = to_probe(vdpa);

	dma_unmaps++;
	if (asid >= SPACES)
		return -EINVAL;
	table_forget(vdpa, p->space[asid], iova, iova + size - 1);
	table_count(p->space[asid]);
	return 0;
}

static int probe_reset_map(struct vdpa_device *vdpa, unsigned int asid)
{
	struct probe *p = to_probe(vdpa);

	reset_maps++;
	if (asid >= SPACES)
		return -EINVAL;
	table_forget(vdpa, p->space[asid], 0, U64_MAX);
	return vhost_iotlb_add_range_ctx(p->space[asid], 0, U64_MAX, 0, VHOST_MAP_RW, EVERYTHING);
}

static int probe_set_group_asid(struct vdpa_device *vdpa, unsigned int group, unsigned int asid)
{
	if (group >= GROUPS || asid >= SPACES)
		return -EINVAL;
	to_probe(vdpa)->group_space[group] = asid;
	return 0;
}

static int probe_bind_mm(struct vdpa_device *vdpa, struct mm_struct *mm)
{
	binds++;
	return 0;
}

static void probe_unbind_mm(struct vdpa_device *vdpa)
{
	binds--;
}

/* look: "ASID IOVA", then read: the word there, or "miss" */
static char looked[32] = "miss";

static int look_set(const char *val, const struct kernel_param *kp)
{
	struct vhost_iotlb_map *map = NULL;
	unsigned int asid;
	u64 iova;
	u64 *at;

	if (sscanf(val, "%u %llx", &asid, &iova) != 2 || asid >= SPACES)
		return -EINVAL;
	mutex_lock(&probe_lock);
	if (probe)
		map = vhost_iotlb_itree_first(probe->space[asid], iova, iova + sizeof(u64) - 1);
	strscpy(looked, "miss");
	if (map && map->opaque == EVERYTHING) {
		strscpy(looked, "everything");
	} else if (map && !probe->vdpa.use_va) {
		at = phys_to_virt(map->addr + (iova - map->start));
		snprintf(looked, sizeof(looked), "0x%llx", READ_ONCE(*at));
	}
	mutex_unlock(&probe_lock);
	return 0;
}

static int look_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%s\n", looked);
}

static const struct kernel_param_ops look_ops = { .set = look_set, .get = look_get };
module_param_cb(look, &look_ops, NULL, 0644);

/*
 * Queues
 */

static int probe_set_vq_address(struct vdpa_device *vdpa, u16 idx, u64 desc, u64 avail, u64 used)
{
	struct probe_queue *q = &to_probe(vdpa)->queue[idx];

	q->desc = desc;
	q->avail = avail;
	q->used = used;
	return 0;
}

static void probe_set_vq_num(struct vdpa_device *vdpa, u16 idx, u32 num)
{
	to_probe(vdpa)->queue[idx].num = num;
}

/* may be called with interrupts off: each kick is a buffer, done at once */
static void probe_kick_vq(struct vdpa_device *vdpa, u16 idx)
{
	struct probe_queue *q = &to_probe(vdpa)->queue[idx];

	atomic_inc(&q->kicks);
	q->state.split.avail_index++;
}

static void probe_set_vq_cb(struct vdpa_device *vdpa, u16 idx, struct vdpa_callback *cb)
{
	struct probe *p = to_probe(vdpa);

	spin_lock_irq(&p->lock);
	p->queue[idx].cb = *cb;
	spin_unlock_irq(&p->lock);
}

static void probe_set_vq_ready(struct vdpa_device *vdpa, u16 idx, bool ready)
{
	to_probe(vdpa)->queue[idx].ready = ready;
}

static bool probe_get_vq_ready(struct vdpa_device *vdpa, u16 idx)
{
	return to_probe(vdpa)->queue[idx].ready;
}

static int probe_set_vq_state(struct vdpa_device *vdpa, u16 idx, const struct vdpa_vq_state *state)
{
	to_probe(vdpa)->queue[idx].state = *state;
	return 0;
}

static int probe_get_vq_state(struct vdpa_device *vdpa, u16 idx, struct vdpa_vq_state *state)
{
	*state = to_probe(vdpa)->queue[idx].state;
	return 0;
}

static int probe_get_vendor_vq_stats(struct vdpa_device *vdpa, u16 idx, struct sk_buff *msg,
				     struct netlink_ext_ack *extack)
{
	if (nla_put_string(msg, VDPA_ATTR_DEV_VENDOR_ATTR_NAME, "kicks") ||
	    nla_put_u64_64bit(msg, VDPA_ATTR_DEV_VENDOR_ATTR_VALUE,
			      atomic_read(&to_probe(vdpa)->queue[idx].kicks), VDPA_ATTR_PAD))
		return -EMSGSIZE;
	return 0;
}

static struct vdpa_notification_area probe_get_vq_notification(struct vdpa_device *vdpa, u16 idx)
{
	return (struct vdpa_notification_area) {
		.addr = virt_to_phys(to_probe(vdpa)->queue[idx].doorbell),
		/* the last one is shared with something else: not to be mapped */
		.size = idx == QUEUES - 1 ? PAGE_SIZE / 2 : PAGE_SIZE,
	};
}

static int probe_get_vq_irq(struct vdpa_device *vdpa, u16 idx)
{
	return has_irq ? IRQ + idx : -EINVAL;
}

static u16 probe_get_vq_size(struct vdpa_device *vdpa, u16 idx)
{
	return to_probe(vdpa)->queue[idx].num ?: idx == QUEUES - 1 ? LAST_SIZE : QUEUE_SIZE;
}

static u32 probe_get_vq_align(struct vdpa_device *vdpa)
{
	return PAGE_SIZE;
}

static u32 probe_get_vq_group(struct vdpa_device *vdpa, u16 idx)
{
	return idx / 2;
}

/* call: a queue's callback, or -1 for the configuration's; as from an interrupt */
static int call_set(const char *val, const struct kernel_param *kp)
{
	struct vdpa_callback *cb;
	unsigned long flags;
	int idx, err;

	err = kstrtoint(val, 0, &idx);
	if (err || idx < -1 || idx >= QUEUES)
		return -EINVAL;
	mutex_lock(&probe_lock);
	if (probe) {
		spin_lock_irqsave(&probe->lock, flags);
		cb = idx < 0 ? &probe->config_cb : &probe->queue[idx].cb;
		if (cb->callback)
			cb->callback(cb->private);
		spin_unlock_irqrestore(&probe->lock, flags);
	}
	mutex_unlock(&probe_lock);
	return 0;
}

static const struct kernel_param_ops call_ops = { .set = call_set };
module_param_cb(call, &call_ops, NULL, 0200);

/* seen: a line with what is known of each queue */
static int seen_get(char *buffer, const struct kernel_param *kp)
{
	int i, len = 0;

	mutex_lock(&probe_lock);
	for (i = 0; probe && i < QUEUES; i++) {
		struct probe_queue *q = &probe->queue[i];

		len += sysfs_emit_at(buffer, len,
				     "kicks %u rung %u ready %d num %u state 0x%08x desc 0x%llx avail 0x%llx used 0x%llx space %u\n",
				     atomic_read(&q->kicks), READ_ONCE(*(u32 *)q->doorbell),
				     q->ready, q->num, *(u32 *)&q->state, q->desc, q->avail,
				     q->used, probe->group_space[i / 2]);
	}
	mutex_unlock(&probe_lock);
	return len;
}

static const struct kernel_param_ops seen_ops = { .get = seen_get };
module_param_cb(seen, &seen_ops, NULL, 0444);

/*
 * A consumer of direct interrupts, as KVM is one: for an eventfd of the writer's
 */

static int bypassed_irq = -1;
module_param(bypassed_irq, int, 0444);
static struct irq_bypass_consumer consumer;
static struct eventfd_ctx *consumer_ctx;

static int consumer_add(struct irq_bypass_consumer *cons, struct irq_bypass_producer *prod)
{
	bypassed_irq = prod->irq;
	return 0;
}

static void consumer_del(struct irq_bypass_consumer *cons, struct irq_bypass_producer *prod)
{
	bypassed_irq = -1;
}

static void consumer_end(void)
{
	if (!consumer_ctx)
		return;
	irq_bypass_unregister_consumer(&consumer);
	eventfd_ctx_put(consumer_ctx);
	consumer_ctx = NULL;
}

static int consumer_set(const char *val, const struct kernel_param *kp)
{
	struct eventfd_ctx *ctx;
	int fd, err;

	err = kstrtoint(val, 0, &fd);
	if (err)
		return err;
	consumer_end();
	if (fd < 0)
		return 0;
	ctx = eventfd_ctx_fdget(fd);
	if (IS_ERR(ctx))
		return PTR_ERR(ctx);
	memset(&consumer, 0, sizeof(consumer));
	consumer.token = ctx;
	consumer.add_producer = consumer_add;
	consumer.del_producer = consumer_del;
	err = irq_bypass_register_consumer(&consumer);
	if (err)
		eventfd_ctx_put(ctx);
	else
		consumer_ctx = ctx;
	return err;
}

static const struct kernel_param_ops consumer_ops = { .set = consumer_set };
module_param_cb(consumer, &consumer_ops, NULL, 0200);

/*
 * The device
 */

static u64 probe_get_device_features(struct vdpa_device *vdpa)
{
	return to_probe(vdpa)->supported;
}

static int probe_set_driver_features(struct vdpa_device *vdpa, u64 features)
{
	if (features & ~to_probe(vdpa)->supported)
		return -EINVAL;
	to_probe(vdpa)->features = features;
	return 0;
}

static u64 probe_get_driver_features(struct vdpa_device *vdpa)
{
	return to_probe(vdpa)->features;
}

static void probe_set_config_cb(struct vdpa_device *vdpa, struct vdpa_callback *cb)
{
	struct probe *p = to_probe(vdpa);

	spin_lock_irq(&p->lock);
	p->config_cb = *cb;
	has_config_cb = cb->callback;
	spin_unlock_irq(&p->lock);
}

static u16 probe_get_vq_num_max(struct vdpa_device *vdpa)
{
	return QUEUE_SIZE;
}

static u32 probe_get_device_id(struct vdpa_device *vdpa)
{
	return VIRTIO_ID_NET;
}

static u32 probe_get_vendor_id(struct vdpa_device *vdpa)
{
	return 0x1af4;
}

static u8 probe_get_status(struct vdpa_device *vdpa)
{
	return to_probe(vdpa)->status;
}

static void probe_set_status(struct vdpa_device *vdpa, u8 status)
{
	to_probe(vdpa)->status = status;
}

static int probe_reset(struct vdpa_device *vdpa)
{
	struct probe *p = to_probe(vdpa);
	int i;

	resets++;
	p->status = 0;
	p->features = 0;
	for (i = 0; i < QUEUES; i++) {
		p->queue[i].state = (struct vdpa_vq_state) {};
		p->queue[i].ready = false;
		p->queue[i].num = 0;
	}
	return 0;
}

static int probe_suspend(struct vdpa_device *vdpa)
{
	suspends++;
	return 0;
}

static int probe_resume(struct vdpa_device *vdpa)
{
	return 0;
}

static size_t probe_get_config_size(struct vdpa_device *vdpa)
{
	return sizeof(struct virtio_net_config);
}

/* who asks for more than there is, is told so in the log, and loudly */
static void probe_get_config(struct vdpa_device *vdpa, unsigned int offset, void *buf,
			     unsigned int len)
{
	if (!WARN_ON(offset + (u64)len > sizeof(struct virtio_net_config)))
		memcpy(buf, (void *)&to_probe(vdpa)->config + offset, len);
}

static void probe_set_config(struct vdpa_device *vdpa, unsigned int offset, const void *buf,
			     unsigned int len)
{
	if (!WARN_ON(offset + (u64)len > sizeof(struct virtio_net_config)))
		memcpy((void *)&to_probe(vdpa)->config + offset, buf, len);
}

static void probe_free(struct vdpa_device *vdpa)
{
	struct probe *p = to_probe(vdpa);
	int i;

	frees++;
	for (i = 0; i < SPACES; i++)
		vhost_iotlb_free(p->space[i]);
	for (i = 0; i < QUEUES; i++)
		free_page((unsigned long)p->queue[i].doorbell);
}

static struct vdpa_config_ops probe_ops = {
	.set_vq_address		= probe_set_vq_address,
	.set_vq_num		= probe_set_vq_num,
	.kick_vq		= probe_kick_vq,
	.set_vq_cb		= probe_set_vq_cb,
	.set_vq_ready		= probe_set_vq_ready,
	.get_vq_ready		= probe_get_vq_ready,
	.set_vq_state		= probe_set_vq_state,
	.get_vq_state		= probe_get_vq_state,
	.get_vendor_vq_stats	= probe_get_vendor_vq_stats,
	.get_vq_notification	= probe_get_vq_notification,
	.get_vq_irq		= probe_get_vq_irq,
	.get_vq_size		= probe_get_vq_size,
	.get_vq_align		= probe_get_vq_align,
	.get_vq_group		= probe_get_vq_group,
	.get_device_features	= probe_get_device_features,
	.set_driver_features	= probe_set_driver_features,
	.get_driver_features	= probe_get_driver_features,
	.set_config_cb		= probe_set_config_cb,
	.get_vq_num_max		= probe_get_vq_num_max,
	.get_device_id		= probe_get_device_id,
	.get_vendor_id		= probe_get_vendor_id,
	.get_status		= probe_get_status,
	.set_status		= probe_set_status,
	.reset			= probe_reset,
	.suspend		= probe_suspend,
	.resume			= probe_resume,
	.get_config_size	= probe_get_config_size,
	.get_config		= probe_get_config,
	.set_config		= probe_set_config,
	.set_group_asid		= probe_set_group_asid,
	.reset_map		= probe_reset_map,
	.bind_mm		= probe_bind_mm,
	.unbind_mm		= probe_unbind_mm,
	.free			= probe_free,
};

static int probe_fill(struct probe *p, const struct vdpa_dev_set_config *config)
{
	int i;

	for (i = 0; i < SPACES; i++) {
		p->space[i] = vhost_iotlb_alloc(UINT_MAX, 0);
		if (!p->space[i] ||
		    vhost_iotlb_add_range_ctx(p->space[i], 0, U64_MAX, 0, VHOST_MAP_RW,
					      EVERYTHING))
			return -ENOMEM;
	}
	for (i = 0; i < QUEUES; i++) {
		p->queue[i].doorbell = (void *)get_zeroed_page(GFP_KERNEL);
		if (!p->queue[i].doorbell)
			return -ENOMEM;
	}
	memcpy(p->config.mac, config->net.mac, ETH_ALEN);
	p->config.mtu = cpu_to_le16(config->net.mtu ?: 1500);
	p->config.max_virtqueue_pairs = cpu_to_le16(config->net.max_vq_pairs ?: 1);
	p->config.status = cpu_to_le16(VIRTIO_NET_S_LINK_UP);
	p->supported = config->mask & BIT_ULL(VDPA_ATTR_DEV_FEATURES) ?
		       config->device_features : FEATURES;
	return 0;
}

static int probe_add(struct vdpa_mgmt_dev *mdev, const char *name,
		     const struct vdpa_dev_set_config *config)
{
	struct probe *p;
	int err;

	p = vdpa_alloc_device(struct probe, vdpa, NULL, &probe_ops, GROUPS, SPACES, name,
			      !strcmp(mode, "va"));
	if (IS_ERR(p))
		return PTR_ERR(p);
	spin_lock_init(&p->lock);
	p->vdpa.dma_dev = &p->vdpa.dev;
	p->vdpa.mdev = mdev;
	err = probe_fill(p, config);
	if (!err)
		err = _vdpa_register_device(&p->vdpa, QUEUES);
	if (err) {
		put_device(&p->vdpa.dev);
		return err;
	}
	mutex_lock(&probe_lock);
	probe = p;
	mutex_unlock(&probe_lock);
	return 0;
}

static void probe_del(struct vdpa_mgmt_dev *mdev, struct vdpa_device *vdpa)
{
	mutex_lock(&probe_lock);
	if (probe == to_probe(vdpa))
		probe = NULL;
	mutex_unlock(&probe_lock);
	_vdpa_unregister_device(vdpa);
}

static int probe_set_attr(struct vdpa_mgmt_dev *mdev, struct vdpa_device *vdpa,
			  const struct vdpa_dev_set_config *config)
{
	memcpy(to_probe(vdpa)->config.mac, config->net.mac, ETH_ALEN);
	return 0;
}

static const struct vdpa_mgmtdev_ops manager_ops = {
	.dev_add	= probe_add,
	.dev_del	= probe_del,
	.dev_set_attr	= probe_set_attr,
};

static void manager_release(struct device *dev)
{
}

static struct device manager_device = { .init_name = "vdpa_probe", .release = manager_release };
static struct virtio_device_id manager_ids[] = {
	{ VIRTIO_ID_NET, VIRTIO_DEV_ANY_ID },
	{ 0 },
};

static struct vdpa_mgmt_dev manager = {
	.device			= &manager_device,
	.ops			= &manager_ops,
	.id_table		= manager_ids,
	.config_attr_mask	= BIT_ULL(VDPA_ATTR_DEV_NET_CFG_MACADDR) |
				  BIT_ULL(VDPA_ATTR_DEV_NET_CFG_MTU) |
				  BIT_ULL(VDPA_ATTR_DEV_NET_CFG_MAX_VQP) |
				  BIT_ULL(VDPA_ATTR_DEV_FEATURES),
	.max_supported_vqs	= QUEUES,
	.supported_features	= FEATURES,
};

static int __init vdpa_probe_init(void)
{
	int err;

	if (!strcmp(mode, "maps")) {
		probe_ops.dma_map = probe_dma_map;
		probe_ops.dma_unmap = probe_dma_unmap;
		probe_ops.suspend = NULL;
		probe_ops.resume = NULL;
	} else {
		probe_ops.set_map = probe_set_map;
	}
	err = device_register(&manager_device);
	if (err) {
		put_device(&manager_device);
		return err;
	}
	err = vdpa_mgmtdev_register(&manager);
	if (err)
		device_unregister(&manager_device);
	return err;
}

static void __exit vdpa_probe_exit(void)
{
	consumer_end();
	vdpa_mgmtdev_unregister(&manager);
	device_unregister(&manager_device);
}

module_init(vdpa_probe_init);
module_exit(vdpa_probe_exit);

MODULE_DESCRIPTION("vDPA device for tests");
MODULE_AUTHOR("The migscope authors");
MODULE_LICENSE("GPL v2");
