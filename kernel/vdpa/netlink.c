// SPDX-License-Identifier: GPL-2.0
/*
 * The vdpa netlink family: management devices, and the devices that are made
 * and deleted through them.
 */
#include <linux/delay.h>
#include <linux/etherdevice.h>
#include <linux/module.h>
#include <linux/unaligned.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <net/genetlink.h>
#include <uapi/linux/vdpa.h>

#include "bus.h"
#include "ops.h"

#define NAME_BYTES	256

static struct genl_family family;

/* A simulated management device is on no bus: it has only a name. */
static struct vdpa_mgmt_dev *manager_find(struct genl_info *info)
{
	const struct nlattr *bus = info->attrs[VDPA_ATTR_MGMTDEV_BUS_NAME];
	const struct nlattr *name = info->attrs[VDPA_ATTR_MGMTDEV_DEV_NAME];
	struct vdpa_mgmt_dev *mdev;

	if (GENL_REQ_ATTR_CHECK(info, VDPA_ATTR_MGMTDEV_DEV_NAME))
		return ERR_PTR(-EINVAL);
	list_for_each_entry(mdev, &vdpa_managers, list) {
		if (!bus != !mdev->device->bus)
			continue;
		if (bus && nla_strcmp(bus, mdev->device->bus->name))
			continue;
		if (!nla_strcmp(name, dev_name(mdev->device)))
			return mdev;
	}
	NL_SET_ERR_MSG_MOD(info->extack, "no such management device");
	return ERR_PTR(-ENODEV);
}

/* Of which kinds are the devices that it makes? A bit each, for as many as fit. */
static u64 manager_classes(const struct vdpa_mgmt_dev *mdev)
{
	const struct virtio_device_id *id;
	u64 classes = 0;

	for (id = mdev->id_table; id && id->device; id++)
		if (id->device < BITS_PER_TYPE(classes))
			classes |= BIT_ULL(id->device);
	return classes;
}

/*
 * Answers
 */

struct answer {
	struct sk_buff *skb;
	struct netlink_ext_ack *extack;
	u32 portid;
	u32 seq;
	int flags;
	struct netlink_callback *dump;	/* one of many */
	u32 queue;			/* whose statistics */
	unsigned int tries;		/* to have a device, of all devices together */
};

typedef int (*fill_fn)(struct answer *answer, void *what);

static int answer_put(struct answer *answer, u8 cmd, fill_fn fill, void *what)
{
	void *header;
	int err;

	header = genlmsg_put(answer->skb, answer->portid, answer->seq, &family,
			     answer->flags, cmd);
	if (!header)
		return -EMSGSIZE;
	err = fill(answer, what);
	if (err) {
		genlmsg_cancel(answer->skb, header);
		return err;
	}
	if (answer->dump)
		genl_dump_check_consistent(answer->dump, header);
	genlmsg_end(answer->skb, header);
	return 0;
}

/* vdpa_lock is held for @what, not longer than it takes to look at it. */
static int answer_make(struct genl_info *info, u8 cmd, fill_fn fill, void *what,
		       struct sk_buff **skb)
{
	struct answer answer = {
		.extack	= info->extack,
		.portid	= info->snd_portid,
		.seq	= info->snd_seq,
	};
	int err;

	if (info->attrs[VDPA_ATTR_DEV_QUEUE_INDEX])
		answer.queue = nla_get_u32(info->attrs[VDPA_ATTR_DEV_QUEUE_INDEX]);
	answer.skb = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!answer.skb)
		return -ENOMEM;
	err = answer_put(&answer, cmd, fill, what);
	if (err) {
		nlmsg_free(answer.skb);
		return err;
	}
	*skb = answer.skb;
	return 0;
}

static void answer_begin_dump(struct answer *answer, struct sk_buff *skb,
			      struct netlink_callback *cb)
{
	*answer = (struct answer) {
		.skb	= skb,
		.extack	= cb->extack,
		.portid	= NETLINK_CB(cb->skb).portid,
		.seq	= cb->nlh->nlmsg_seq,
		.flags	= NLM_F_MULTI,
		.dump	= cb,
	};
	cb->seq = vdpa_changes;
}

static int manager_put_name(struct answer *answer, const struct vdpa_mgmt_dev *mdev)
{
	const struct bus_type *bus = mdev->device->bus;

	if (bus && nla_put_string(answer->skb, VDPA_ATTR_MGMTDEV_BUS_NAME, bus->name))
		return -EMSGSIZE;
	return nla_put_string(answer->skb, VDPA_ATTR_MGMTDEV_DEV_NAME, dev_name(mdev->device));
}

static int manager_fill(struct answer *answer, void *what)
{
	const struct vdpa_mgmt_dev *mdev = what;

	if (manager_put_name(answer, mdev) ||
	    nla_put_u64_64bit(answer->skb, VDPA_ATTR_MGMTDEV_SUPPORTED_CLASSES,
			      manager_classes(mdev), VDPA_ATTR_PAD) ||
	    nla_put_u32(answer->skb, VDPA_ATTR_DEV_MGMTDEV_MAX_VQS,
			mdev->max_supported_vqs) ||
	    nla_put_u64_64bit(answer->skb, VDPA_ATTR_DEV_SUPPORTED_FEATURES,
			      mdev->supported_features, VDPA_ATTR_PAD))
		return -EMSGSIZE;
	return 0;
}

static int manager_get(struct sk_buff *request, struct genl_info *info)
{
	struct vdpa_mgmt_dev *mdev;
	struct sk_buff *skb;
	int err;

	down_read(&vdpa_lock);
	mdev = manager_find(info);
	err = PTR_ERR_OR_ZERO(mdev);
	if (!err)
		err = answer_make(info, VDPA_CMD_MGMTDEV_NEW, manager_fill, mdev, &skb);
	up_read(&vdpa_lock);
	return err ?: genlmsg_reply(skb, info);
}

static int manager_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct vdpa_mgmt_dev *mdev;
	struct answer answer;
	long skip = cb->args[0];
	int err = 0;

	down_read(&vdpa_lock);
	answer_begin_dump(&answer, skb, cb);
	list_for_each_entry(mdev, &vdpa_managers, list) {
		if (skip-- > 0)
			continue;
		err = answer_put(&answer, VDPA_CMD_MGMTDEV_NEW, manager_fill, mdev);
		if (err)
			break;
		cb->args[0]++;
	}
	up_read(&vdpa_lock);
	/* what did not fit comes next time */
	return skb->len ?: err;
}

/*
 * Devices: what they are
 */

static int device_fill(struct answer *answer, void *what)
{
	struct vdpa_device *vdev = what;

	if (manager_put_name(answer, vdev->mdev) ||
	    nla_put_string(answer->skb, VDPA_ATTR_DEV_NAME, dev_name(&vdev->dev)) ||
	    nla_put_u32(answer->skb, VDPA_ATTR_DEV_ID, vdpa_ask(vdev, get_device_id)) ||
	    nla_put_u32(answer->skb, VDPA_ATTR_DEV_VENDOR_ID,
			vdpa_ask(vdev, get_vendor_id)) ||
	    nla_put_u32(answer->skb, VDPA_ATTR_DEV_MAX_VQS, vdev->nvqs) ||
	    nla_put_u16(answer->skb, VDPA_ATTR_DEV_MAX_VQ_SIZE,
			vdpa_ask(vdev, get_vq_num_max)) ||
	    nla_put_u16(answer->skb, VDPA_ATTR_DEV_MIN_VQ_SIZE,
			vdpa_least_queue_size(vdev)))
		return -EMSGSIZE;
	return 0;
}

/* A field of a configuration space: shown when the device has one of these features. */
struct config_field {
	u64 features;
	u16 attr;
	u8 offset;
	u8 size;
};

#define ALWAYS			U64_MAX
#define NET_F(feature)	BIT_ULL(VIRTIO_NET_F_##feature)
#define BLK_F(feature)	BIT_ULL(VIRTIO_BLK_F_##feature)
#define NET(field)	offsetof(struct virtio_net_config, field)
#define BLK(field)	offsetof(struct virtio_blk_config, field)

static const struct config_field net_fields[] = {
	{ NET_F(MTU), VDPA_ATTR_DEV_NET_CFG_MTU, NET(mtu), 2 },
	{ NET_F(MAC), VDPA_ATTR_DEV_NET_CFG_MACADDR, NET(mac), ETH_ALEN },
	{ NET_F(STATUS), VDPA_ATTR_DEV_NET_STATUS, NET(status), 2 },
	{ NET_F(MQ) | NET_F(RSS), VDPA_ATTR_DEV_NET_CFG_MAX_VQP, NET(max_virtqueue_pairs), 2 },
};

static const struct config_field blk_fields[] = {
	{ ALWAYS, VDPA_ATTR_DEV_BLK_CFG_CAPACITY, BLK(capacity), 8 },
	{ BLK_F(SIZE_MAX), VDPA_ATTR_DEV_BLK_CFG_SIZE_MAX, BLK(size_max), 4 },
	{ BLK_F(BLK_SIZE), VDPA_ATTR_DEV_BLK_CFG_BLK_SIZE, BLK(blk_size), 4 },
	{ BLK_F(SEG_MAX), VDPA_ATTR_DEV_BLK_CFG_SEG_MAX, BLK(seg_max), 4 },
	{ BLK_F(MQ), VDPA_ATTR_DEV_BLK_CFG_NUM_QUEUES, BLK(num_queues), 2 },
	{ BLK_F(TOPOLOGY), VDPA_ATTR_DEV_BLK_CFG_PHY_BLK_EXP, BLK(physical_block_exp), 1 },
	{ BLK_F(TOPOLOGY), VDPA_ATTR_DEV_BLK_CFG_ALIGN_OFFSET, BLK(alignment_offset), 1 },
	{ BLK_F(TOPOLOGY), VDPA_ATTR_DEV_BLK_CFG_MIN_IO_SIZE, BLK(min_io_size), 2 },
	{ BLK_F(TOPOLOGY), VDPA_ATTR_DEV_BLK_CFG_OPT_IO_SIZE, BLK(opt_io_size), 4 },
	{ BLK_F(DISCARD), VDPA_ATTR_DEV_BLK_CFG_MAX_DISCARD_SEC, BLK(max_discard_sectors), 4 },
	{ BLK_F(DISCARD), VDPA_ATTR_DEV_BLK_CFG_MAX_DISCARD_SEG, BLK(max_discard_seg), 4 },
	{ BLK_F(DISCARD), VDPA_ATTR_DEV_BLK_CFG_DISCARD_SEC_ALIGN,
	  BLK(discard_sector_alignment), 4 },
	{ BLK_F(WRITE_ZEROES), VDPA_ATTR_DEV_BLK_CFG_MAX_WRITE_ZEROES_SEC,
	  BLK(max_write_zeroes_sectors), 4 },
	{ BLK_F(WRITE_ZEROES), VDPA_ATTR_DEV_BLK_CFG_MAX_WRITE_ZEROES_SEG,
	  BLK(max_write_zeroes_seg), 4 },
};

/* vDPA devices are modern ones: little endian. Some fields are not aligned. */
static int field_put(struct sk_buff *skb, const struct config_field *field,
		     const void *value)
{
	switch (field->size) {
	case sizeof(u8):
		return nla_put_u8(skb, field->attr, *(const u8 *)value);
	case sizeof(u16):
		return nla_put_u16(skb, field->attr, get_unaligned_le16(value));
	case sizeof(u32):
		return nla_put_u32(skb, field->attr, get_unaligned_le32(value));
	case sizeof(u64):
		return nla_put_u64_64bit(skb, field->attr, get_unaligned_le64(value),
					 VDPA_ATTR_PAD);
	default:
		return nla_put(skb, field->attr, field->size, value);
	}
}

static int fields_put(struct sk_buff *skb, const struct config_field *field, size_t n,
		      const void *config, u64 features)
{
	for (; n--; field++) {
		if (field->features != ALWAYS && !(field->features & features))
			continue;
		if (field_put(skb, field, config + field->offset))
			return -EMSGSIZE;
	}
	return 0;
}

static int net_config_put(struct sk_buff *skb, struct vdpa_device *vdev, u64 features)
{
	struct virtio_net_config config;

	vdpa_config_read(vdev, 0, &config, sizeof(config));
	return fields_put(skb, net_fields, ARRAY_SIZE(net_fields), &config, features);
}

static int blk_config_put(struct sk_buff *skb, struct vdpa_device *vdev, u64 features)
{
	struct virtio_blk_config config;

	vdpa_config_read(vdev, 0, &config, sizeof(config));
	if (fields_put(skb, blk_fields, ARRAY_SIZE(blk_fields), &config, features) ||
	    nla_put_u8(skb, VDPA_ATTR_DEV_BLK_READ_ONLY,
		       !!(features & BIT_ULL(VIRTIO_BLK_F_RO))) ||
	    nla_put_u8(skb, VDPA_ATTR_DEV_BLK_FLUSH,
		       !!(features & BIT_ULL(VIRTIO_BLK_F_FLUSH))))
		return -EMSGSIZE;
	return 0;
}

/* What the driver accepted is settled with FEATURES_OK, not earlier. */
static int negotiated_put(struct sk_buff *skb, struct vdpa_device *vdev)
{
	if (!(vdpa_ask(vdev, get_status) & VIRTIO_CONFIG_S_FEATURES_OK))
		return -EAGAIN;
	return nla_put_u64_64bit(skb, VDPA_ATTR_DEV_NEGOTIATED_FEATURES,
				 vdpa_ask(vdev, get_driver_features), VDPA_ATTR_PAD);
}

static int device_put_id(struct sk_buff *skb, struct vdpa_device *vdev, u32 id)
{
	return nla_put_string(skb, VDPA_ATTR_DEV_NAME, dev_name(&vdev->dev)) ?:
	       nla_put_u32(skb, VDPA_ATTR_DEV_ID, id);
}

static int config_fill_locked(struct answer *answer, struct vdpa_device *vdev)
{
	u32 id = vdpa_ask(vdev, get_device_id);
	u64 features;
	int err;

	err = device_put_id(answer->skb, vdev, id);
	if (err)
		return err;
	err = negotiated_put(answer->skb, vdev);
	if (err && err != -EAGAIN)
		return err;
	if (id != VIRTIO_ID_NET && id != VIRTIO_ID_BLOCK) {
		NL_SET_ERR_MSG_MOD(answer->extack, "neither a network device nor a disk");
		return -EOPNOTSUPP;
	}
	features = vdpa_ask(vdev, get_device_features);
	err = nla_put_u64_64bit(answer->skb, VDPA_ATTR_DEV_FEATURES, features,
				VDPA_ATTR_PAD);
	if (err)
		return err;
	return id == VIRTIO_ID_NET ? net_config_put(answer->skb, vdev, features) :
				     blk_config_put(answer->skb, vdev, features);
}

/*
 * Who changes a device's state has cf_lock for as long as the device takes, and one that is
 * at a process's memory takes as long as that process likes. Here vdpa_lock is held, and
 * genetlink's own: to wait would be for all, also for who takes the device away.
 */
#define CONFIG_TRIES	100
#define CONFIG_WAIT_MS	10

static int config_hold(struct vdpa_device *vdev, int (*trylock)(struct rw_semaphore *sem),
		       unsigned int *tries, struct netlink_ext_ack *extack)
{
	for (; !trylock(&vdev->cf_lock); ++*tries) {
		if (*tries == CONFIG_TRIES || fatal_signal_pending(current)) {
			NL_SET_ERR_MSG_MOD(extack, "the device is being set up or reset");
			return -EBUSY;
		}
		msleep(CONFIG_WAIT_MS);
	}
	return 0;
}

static int fill_held(struct answer *answer, struct vdpa_device *vdev,
		     int (*fill)(struct answer *answer, struct vdpa_device *vdev))
{
	int err = config_hold(vdev, down_read_trylock, &answer->tries, answer->extack);

	if (!err) {
		err = fill(answer, vdev);
		up_read(&vdev->cf_lock);
	}
	return err;
}

static int config_fill(struct answer *answer, void *what)
{
	return fill_held(answer, what, config_fill_locked);
}

static int stats_fill_locked(struct answer *answer, struct vdpa_device *vdev)
{
	struct virtio_net_config config;
	u64 features;
	int err;

	err = negotiated_put(answer->skb, vdev);
	if (err == -EAGAIN)
		NL_SET_ERR_MSG_MOD(answer->extack, "features are not negotiated");
	if (err)
		return err;
	features = vdpa_ask(vdev, get_driver_features);
	vdpa_config_read(vdev, 0, &config, sizeof(config));
	/* how many queues there are tells which of them is the control queue */
	err = fields_put(answer->skb, &net_fields[ARRAY_SIZE(net_fields) - 1], 1,
			 &config, features);
	if (!err)
		err = nla_put_u32(answer->skb, VDPA_ATTR_DEV_QUEUE_INDEX, answer->queue);
	if (!err)
		err = vdpa_ask(vdev, get_vendor_vq_stats, answer->queue, answer->skb,
			       answer->extack);
	return err;
}

static int stats_fill(struct answer *answer, void *what)
{
	struct vdpa_device *vdev = what;
	u32 id = vdpa_ask(vdev, get_device_id);
	int err;

	if (id != VIRTIO_ID_NET || !vdev->config->get_vendor_vq_stats)
		return -EOPNOTSUPP;
	/* and devices take it for granted that it is one of theirs */
	if (answer->queue >= vdev->nvqs) {
		NL_SET_ERR_MSG_MOD(answer->extack, "the device has no such queue");
		return -ERANGE;
	}
	err = device_put_id(answer->skb, vdev, id);
	if (err)
		return err;
	return fill_held(answer, vdev, stats_fill_locked);
}

/*
 * Devices: looked up, dumped
 */

static int match_name(struct device *dev, const void *name)
{
	return !nla_strcmp(name, dev_name(dev));
}

/* Those without a management device have been made by other means: not ours to show. */
static struct vdpa_device *device_find(struct genl_info *info)
{
	struct vdpa_device *vdev;
	struct device *dev;

	if (GENL_REQ_ATTR_CHECK(info, VDPA_ATTR_DEV_NAME))
		return ERR_PTR(-EINVAL);
	dev = bus_find_device(&vdpa_bus_type, NULL, info->attrs[VDPA_ATTR_DEV_NAME],
			      match_name);
	if (!dev) {
		NL_SET_ERR_MSG_MOD(info->extack, "no such device");
		return ERR_PTR(-ENODEV);
	}
	vdev = dev_to_vdpa(dev);
	if (!vdev->mdev) {
		NL_SET_ERR_MSG_MOD(info->extack, "the device has no management device");
		put_device(dev);
		return ERR_PTR(-EINVAL);
	}
	return vdev;
}

static int device_answer(struct genl_info *info, u8 cmd, fill_fn fill)
{
	struct vdpa_device *vdev;
	struct sk_buff *skb;
	int err;

	down_read(&vdpa_lock);
	vdev = device_find(info);
	err = PTR_ERR_OR_ZERO(vdev);
	if (!err) {
		err = answer_make(info, cmd, fill, vdev, &skb);
		put_device(&vdev->dev);
	}
	up_read(&vdpa_lock);
	return err ?: genlmsg_reply(skb, info);
}

struct device_walk {
	struct answer answer;
	fill_fn fill;
	u8 cmd;
	long skip;
	long done;
};

static int device_dump_one(struct device *dev, void *data)
{
	struct vdpa_device *vdev = dev_to_vdpa(dev);
	struct device_walk *walk = data;
	int err;

	if (!vdev->mdev || walk->skip-- > 0)
		return 0;
	err = answer_put(&walk->answer, walk->cmd, walk->fill, vdev);
	if (err == -EMSGSIZE)
		return err;
	/* one that cannot be shown is no reason not to show the others */
	walk->done++;
	return 0;
}

static int device_walk(struct sk_buff *skb, struct netlink_callback *cb, u8 cmd, fill_fn fill)
{
	struct device_walk walk = { .cmd = cmd, .fill = fill, .skip = cb->args[0] };
	int err;

	down_read(&vdpa_lock);
	answer_begin_dump(&walk.answer, skb, cb);
	walk.answer.extack = NULL;
	err = bus_for_each_dev(&vdpa_bus_type, NULL, &walk, device_dump_one);
	up_read(&vdpa_lock);
	cb->args[0] += walk.done;
	return skb->len ?: err;
}

static int device_get(struct sk_buff *request, struct genl_info *info)
{
	return device_answer(info, VDPA_CMD_DEV_NEW, device_fill);
}

static int device_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	return device_walk(skb, cb, VDPA_CMD_DEV_NEW, device_fill);
}

static int config_get(struct sk_buff *request, struct genl_info *info)
{
	return device_answer(info, VDPA_CMD_DEV_CONFIG_GET, config_fill);
}

static int config_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	return device_walk(skb, cb, VDPA_CMD_DEV_CONFIG_GET, config_fill);
}

static int stats_get(struct sk_buff *request, struct genl_info *info)
{
	if (GENL_REQ_ATTR_CHECK(info, VDPA_ATTR_DEV_QUEUE_INDEX))
		return -EINVAL;
	return device_answer(info, VDPA_CMD_DEV_VSTATS_GET, stats_fill);
}

/*
 * Devices: made, changed, deleted
 */

#define GIVEN_NET_ATTRS	(BIT_ULL(VDPA_ATTR_DEV_NET_CFG_MACADDR) |	\
			 BIT_ULL(VDPA_ATTR_DEV_NET_CFG_MTU) |		\
			 BIT_ULL(VDPA_ATTR_DEV_NET_CFG_MAX_VQP))

/* features that belong to the kind of device, not to the transport */
#define KIND_FEATURES	(~GENMASK_ULL(VIRTIO_TRANSPORT_F_END, VIRTIO_TRANSPORT_F_START))

/* Who asks for an attribute and lists the features must list that one's, too. */
static u64 features_implied(const struct vdpa_dev_set_config *config)
{
	u64 implied = 0;

	if (config->mask & BIT_ULL(VDPA_ATTR_DEV_NET_CFG_MACADDR))
		implied |= BIT_ULL(VIRTIO_NET_F_MAC);
	if (config->mask & BIT_ULL(VDPA_ATTR_DEV_NET_CFG_MTU))
		implied |= BIT_ULL(VIRTIO_NET_F_MTU);
	if (config->net.max_vq_pairs > 1)
		implied |= BIT_ULL(VIRTIO_NET_F_MQ);
	return implied;
}

static int wishes_read(struct genl_info *info, struct vdpa_dev_set_config *config)
{
	const struct nlattr *mac = info->attrs[VDPA_ATTR_DEV_NET_CFG_MACADDR];
	const struct nlattr *mtu = info->attrs[VDPA_ATTR_DEV_NET_CFG_MTU];
	const struct nlattr *pairs = info->attrs[VDPA_ATTR_DEV_NET_CFG_MAX_VQP];
	const struct nlattr *features = info->attrs[VDPA_ATTR_DEV_FEATURES];
	u64 missing;

	if (mac) {
		nla_memcpy(config->net.mac, mac, ETH_ALEN);
		config->mask |= BIT_ULL(VDPA_ATTR_DEV_NET_CFG_MACADDR);
	}
	if (mtu) {
		config->net.mtu = nla_get_u16(mtu);
		config->mask |= BIT_ULL(VDPA_ATTR_DEV_NET_CFG_MTU);
	}
	if (pairs) {
		config->net.max_vq_pairs = nla_get_u16(pairs);
		config->mask |= BIT_ULL(VDPA_ATTR_DEV_NET_CFG_MAX_VQP);
	}
	if (!features)
		return 0;
	config->device_features = nla_get_u64(features);
	missing = features_implied(config) & ~config->device_features;
	config->mask |= BIT_ULL(VDPA_ATTR_DEV_FEATURES);
	if (!missing)
		return 0;
	NL_SET_ERR_MSG_FMT_MOD(info->extack, "attributes ask for features 0x%llx, not given",
			       missing);
	return -EINVAL;
}

static int wishes_check(struct genl_info *info, const struct vdpa_mgmt_dev *mdev,
			const struct vdpa_dev_set_config *config)
{
	u64 unknown = config->mask & ~mdev->config_attr_mask;
	u64 lacking = config->device_features & ~mdev->supported_features;
	u64 classes = manager_classes(mdev);

	if (unknown) {
		NL_SET_ERR_MSG_FMT_MOD(info->extack, "attributes 0x%llx are not supported",
				       unknown);
		return -EOPNOTSUPP;
	}
	if (lacking) {
		NL_SET_ERR_MSG_FMT_MOD(info->extack, "features 0x%llx are not supported", lacking);
		return -EINVAL;
	}
	if (config->mask & GIVEN_NET_ATTRS) {
		if (classes & BIT_ULL(VIRTIO_ID_NET))
			return 0;
		NL_SET_ERR_MSG_MOD(info->extack, "it makes no network devices");
		return -EINVAL;
	}
	/* a bit means one thing for a network device and another for a disk */
	if (classes & BIT_ULL(VIRTIO_ID_NET) && hweight64(classes) > 1 &&
	    config->device_features & KIND_FEATURES) {
		NL_SET_ERR_MSG_MOD(info->extack, "features of which kind of device?");
		return -EINVAL;
	}
	return 0;
}

static int device_add_request(struct sk_buff *request, struct genl_info *info)
{
	struct vdpa_dev_set_config config = {};
	struct vdpa_mgmt_dev *mdev;
	char name[NAME_BYTES];
	int err;

	if (GENL_REQ_ATTR_CHECK(info, VDPA_ATTR_DEV_NAME))
		return -EINVAL;
	err = nla_strscpy(name, info->attrs[VDPA_ATTR_DEV_NAME], sizeof(name));
	if (err <= 0) {
		NL_SET_ERR_MSG_MOD(info->extack, "not a name");
		return -EINVAL;
	}
	err = wishes_read(info, &config);
	if (err)
		return err;

	down_write(&vdpa_lock);
	mdev = manager_find(info);
	err = PTR_ERR_OR_ZERO(mdev);
	if (!err)
		err = wishes_check(info, mdev, &config);
	if (!err)
		err = mdev->ops->dev_add(mdev, name, &config);
	up_write(&vdpa_lock);
	return err;
}

static int device_delete(struct sk_buff *request, struct genl_info *info)
{
	struct vdpa_device *vdev;
	int err;

	down_write(&vdpa_lock);
	vdev = device_find(info);
	err = PTR_ERR_OR_ZERO(vdev);
	if (!err) {
		vdev->mdev->ops->dev_del(vdev->mdev, vdev);
		put_device(&vdev->dev);
	}
	up_write(&vdpa_lock);
	return err;
}

static int mac_change(struct genl_info *info, struct vdpa_device *vdev)
{
	const struct nlattr *mac = info->attrs[VDPA_ATTR_DEV_NET_CFG_MACADDR];
	struct vdpa_dev_set_config config = {
		.mask = BIT_ULL(VDPA_ATTR_DEV_NET_CFG_MACADDR),
	};
	unsigned int tries = 0;
	int err;

	if (!mac || !(manager_classes(vdev->mdev) & BIT_ULL(VIRTIO_ID_NET)) ||
	    !vdev->mdev->ops->dev_set_attr) {
		NL_SET_ERR_MSG_MOD(info->extack, "only a network device's MAC can be changed");
		return -EOPNOTSUPP;
	}
	nla_memcpy(config.net.mac, mac, ETH_ALEN);
	if (!is_valid_ether_addr(config.net.mac)) {
		NL_SET_ERR_MSG_ATTR(info->extack, mac, "not an address of a station");
		return -EINVAL;
	}
	err = config_hold(vdev, down_write_trylock, &tries, info->extack);
	if (err)
		return err;
	err = vdev->mdev->ops->dev_set_attr(vdev->mdev, vdev, &config);
	up_write(&vdev->cf_lock);
	return err;
}

static int device_change(struct sk_buff *request, struct genl_info *info)
{
	struct vdpa_device *vdev;
	int err;

	down_write(&vdpa_lock);
	vdev = device_find(info);
	err = PTR_ERR_OR_ZERO(vdev);
	if (!err) {
		err = mac_change(info, vdev);
		put_device(&vdev->dev);
	}
	up_write(&vdpa_lock);
	return err;
}

/*
 * The family
 */

static const struct nla_policy policy[VDPA_ATTR_MAX + 1] = {
	[VDPA_ATTR_MGMTDEV_BUS_NAME]	= { .type = NLA_NUL_STRING },
	[VDPA_ATTR_MGMTDEV_DEV_NAME]	= { .type = NLA_STRING },
	[VDPA_ATTR_DEV_NAME]		= { .type = NLA_STRING },
	[VDPA_ATTR_DEV_NET_CFG_MACADDR]	= NLA_POLICY_ETH_ADDR,
	[VDPA_ATTR_DEV_NET_CFG_MAX_VQP]	= NLA_POLICY_MIN(NLA_U16, 1),
	[VDPA_ATTR_DEV_NET_CFG_MTU]	= NLA_POLICY_MIN(NLA_U16, ETH_MIN_MTU),
	[VDPA_ATTR_DEV_QUEUE_INDEX]	= { .type = NLA_U32 },
	[VDPA_ATTR_DEV_FEATURES]	= { .type = NLA_U64 },
};

static const struct genl_small_ops ops[] = {
	{ .cmd = VDPA_CMD_MGMTDEV_GET, .doit = manager_get, .dumpit = manager_dump },
	{ .cmd = VDPA_CMD_DEV_GET, .doit = device_get, .dumpit = device_dump },
	{ .cmd = VDPA_CMD_DEV_CONFIG_GET, .doit = config_get, .dumpit = config_dump },
	{ .cmd = VDPA_CMD_DEV_NEW, .doit = device_add_request, .flags = GENL_ADMIN_PERM },
	{ .cmd = VDPA_CMD_DEV_DEL, .doit = device_delete, .flags = GENL_ADMIN_PERM },
	{ .cmd = VDPA_CMD_DEV_ATTR_SET, .doit = device_change, .flags = GENL_ADMIN_PERM },
	{ .cmd = VDPA_CMD_DEV_VSTATS_GET, .doit = stats_get, .flags = GENL_ADMIN_PERM },
};

static struct genl_family family __ro_after_init = {
	.name		= VDPA_GENL_NAME,
	.version	= VDPA_GENL_VERSION,
	.module		= THIS_MODULE,
	.maxattr	= VDPA_ATTR_MAX,
	.policy		= policy,
	.small_ops	= ops,
	.n_small_ops	= ARRAY_SIZE(ops),
	/* those before it have always been called with attributes that nobody checked */
	.resv_start_op	= VDPA_CMD_DEV_VSTATS_GET + 1,
};

int __init vdpa_netlink_init(void)
{
	return genl_register_family(&family);
}

void vdpa_netlink_exit(void)
{
	genl_unregister_family(&family);
}
