// SPDX-License-Identifier: GPL-2.0
/*
 * A simulated network card on a cable that leads back to it: what is sent on a pair of
 * queues is received on the same pair, if it is for everybody or for the card's own
 * address. A frame for which no buffer is there is lost, as on any card.
 */
#include <linux/bottom_half.h>
#include <linux/device.h>
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <net/netlink.h>
#include <trace/events/vdpa_sim.h>
#include <uapi/linux/vdpa.h>
#include <uapi/linux/virtio_net.h>

#include "vdpa_sim.h"

/* what a card offers that was added without a wish */
#define NET_FEATURES	(VDPASIM_FEATURES | \
			 BIT_ULL(VIRTIO_NET_F_MAC) | \
			 BIT_ULL(VIRTIO_NET_F_STATUS) | \
			 BIT_ULL(VIRTIO_NET_F_MTU) | \
			 BIT_ULL(VIRTIO_NET_F_CTRL_VQ) | \
			 BIT_ULL(VIRTIO_NET_F_CTRL_MAC_ADDR))
#define NET_SUPPORTED	(NET_FEATURES | \
			 BIT_ULL(VIRTIO_NET_F_MQ) | \
			 BIT_ULL(VIRTIO_NET_F_GUEST_ANNOUNCE))

#define NET_PAIRS_MAX	8
#define NET_VQS(pairs)	(2 * (pairs) + 1)
#define NET_MTU		1500

/*
 * What is done in a kick, with a lock of the driver's held: as many frames as it hands over at
 * once, roughly, but no more than so many bytes.
 */
#define NET_KICK_BATCH	32U
#define NET_KICK_BYTES	SZ_128K

static_assert(NET_VQS(NET_PAIRS_MAX) <= VDPASIM_VQS_MAX);

struct net_stats {
	u64 packets;
	u64 bytes;
	u64 drops;
	u64 errors;
	u64 overruns;
};

struct net_ctrl_stats {
	u64 requests;
	u64 successes;
	u64 errors;
};

/*
 * One queue each way, and the control queue's numbers; under the device's lock, but for
 * who looks at the numbers.
 */
struct vdpasim_net {
	struct vdpasim sim;
	struct net_stats rx[NET_PAIRS_MAX];
	struct net_stats tx[NET_PAIRS_MAX];
	struct net_ctrl_stats ctrl;
	/* what it is again after a reset; under the configuration's lock */
	u8 mac[ETH_ALEN];
	unsigned int max_pairs;
	unsigned int pairs;
	/* pairs in which there may be frames left from before the device was stopped */
	unsigned long left;
	/* a frame on its way, with its header */
	void *frame;
	size_t frame_size;
};

static struct vdpasim_net *sim_to_net(struct vdpasim *sim)
{
	return container_of(sim, struct vdpasim_net, sim);
}

static size_t net_hdr_len(const struct vdpasim *sim)
{
	return vdpasim_has(sim, VIRTIO_F_VERSION_1) ? sizeof(struct virtio_net_hdr_v1) :
						      sizeof(struct virtio_net_hdr);
}

/*
 * Is the frame for us? What is too short to tell is for nobody. While the address is being
 * changed it may be taken for the one or the other.
 */
static bool net_is_ours(const struct vdpasim *sim, const void *frame, size_t len)
{
	const struct virtio_net_config *config = sim->config;
	const u8 *to = frame + net_hdr_len(sim);

	if (len < net_hdr_len(sim) + ETH_HLEN)
		return false;
	return is_multicast_ether_addr(to) || !memcmp(to, config->mac, ETH_ALEN);
}

/* Returns whether a buffer was used up. */
static bool net_receive(struct vdpasim_net *net, unsigned int pair, size_t len)
{
	struct vdpasim_virtqueue *vq = &net->sim.vqs[2 * pair];
	struct net_stats *stats = &net->rx[pair];
	struct virtio_net_hdr_v1 *hdr = net->frame;
	ssize_t pushed;
	int ret;

	ret = vdpasim_getdesc(&net->sim, vq, NULL, &vq->wiov);
	if (!ret || ret == -EAGAIN) {
		stats->overruns++;
		return false;
	}
	if (ret < 0) {
		stats->errors++;
		return true;
	}
	if (vringh_kiov_length(&vq->wiov) < len) {
		/* it may do for the next one */
		vringh_abandon_iotlb(&vq->vring, 1);
		stats->errors++;
		return false;
	}
	/* the sender's header asks for nothing that we offer */
	memset(hdr, 0, net_hdr_len(&net->sim));
	if (vdpasim_has(&net->sim, VIRTIO_F_VERSION_1))
		hdr->num_buffers = __cpu_to_virtio16(true, 1);
	pushed = vdpasim_push(&net->sim, vq, net->frame, len);
	if (pushed != len) {
		stats->errors++;
		pushed = 0;
	} else {
		stats->packets++;
		stats->bytes += len;
	}
	vdpasim_complete(&net->sim, vq, pushed);
	return true;
}

/* Takes the frame out of the chain; 0 if there is none that is worth it. */
static size_t net_transmit(struct vdpasim_net *net, unsigned int pair)
{
	struct vdpasim_virtqueue *vq = &net->sim.vqs[2 * pair + 1];
	struct net_stats *stats = &net->tx[pair];
	size_t len = vringh_kiov_length(&vq->riov);

	if (!len || len > net->frame_size ||
	    vringh_iov_pull_iotlb(&vq->vring, &vq->riov, net->frame, len) != len) {
		stats->errors++;
		return 0;
	}
	stats->packets++;
	stats->bytes += len;
	if (!net_is_ours(&net->sim, net->frame, len)) {
		net->rx[pair].drops++;
		return 0;
	}
	return len;
}

/* Chains that are no good are given back, which the driver is to be told of, too. */
static bool net_has_room(struct vdpasim_net *net, unsigned int pair, unsigned int *given_back)
{
	struct vdpasim_virtqueue *vq = &net->sim.vqs[2 * pair];
	int ret;

	do {
		ret = vdpasim_getdesc(&net->sim, vq, NULL, &vq->wiov);
		if (ret > 0)
			vringh_abandon_iotlb(&vq->vring, 1);
		if (ret >= 0 || ret == -EAGAIN)
			return ret > 0;
	} while (++*given_back < vq->vring.vring.num);
	return false;
}

/* Frames that are left wait for buffers to be received into, others are dropped. */
static bool net_work_pair(struct vdpasim_net *net, unsigned int pair, unsigned int *done)
{
	struct vdpasim_virtqueue *rxq = &net->sim.vqs[2 * pair], *txq = rxq + 1;
	unsigned int batch = vdpasim_batch(&net->sim, *done), sent, received = 0;
	size_t len;
	int ret;

	if (!rxq->ready || !txq->ready)
		return false;
	for (sent = 0; sent < batch; sent++) {
		if (test_bit(pair, &net->left) && !net_has_room(net, pair, &received))
			break;
		ret = vdpasim_getdesc(&net->sim, txq, &txq->riov, NULL);
		if (!ret) {
			__clear_bit(pair, &net->left);
			break;
		}
		if (ret == -EAGAIN)
			break;
		if (ret < 0) {
			net->tx[pair].errors++;
			continue;
		}
		len = net_transmit(net, pair);
		vdpasim_complete(&net->sim, txq, 0);
		if (len)
			received += net_receive(net, pair, len);
	}
	if (received)
		vdpasim_notify(rxq);
	if (sent)
		vdpasim_notify(txq);
	*done += sent;
	return sent == batch && vdpasim_has_more(&net->sim, txq, &txq->riov, NULL);
}

/*
 * The control queue
 */
static bool net_set_mac(struct vdpasim *sim, struct vdpasim_virtqueue *vq)
{
	struct virtio_net_config *config = sim->config;
	u8 mac[ETH_ALEN];

	if (!vdpasim_has(sim, VIRTIO_NET_F_CTRL_MAC_ADDR) ||
	    vringh_iov_pull_iotlb(&vq->vring, &vq->riov, mac, sizeof(mac)) != sizeof(mac) ||
	    !is_valid_ether_addr(mac))
		return false;
	spin_lock_bh(&sim->config_lock);
	ether_addr_copy(config->mac, mac);
	spin_unlock_bh(&sim->config_lock);
	return true;
}

static bool net_set_pairs(struct vdpasim *sim, struct vdpasim_virtqueue *vq)
{
	struct vdpasim_net *net = sim_to_net(sim);
	struct virtio_net_ctrl_mq mq;
	u16 pairs, i;

	if (!vdpasim_has(sim, VIRTIO_NET_F_MQ) ||
	    vringh_iov_pull_iotlb(&vq->vring, &vq->riov, &mq, sizeof(mq)) != sizeof(mq))
		return false;
	pairs = __virtio16_to_cpu(true, mq.virtqueue_pairs);
	if (!pairs || pairs > net->max_pairs)
		return false;
	net->pairs = pairs;
	/* some may not have been in use when their queues became ready */
	for (i = 0; i < pairs; i++)
		set_bit(2 * i, sim->kicked);
	vdpasim_schedule_work(sim);
	return true;
}

static bool net_announced(struct vdpasim *sim)
{
	struct virtio_net_config *config = sim->config;

	if (!vdpasim_has(sim, VIRTIO_NET_F_GUEST_ANNOUNCE))
		return false;
	spin_lock_bh(&sim->config_lock);
	config->status &= ~__cpu_to_virtio16(true, VIRTIO_NET_S_ANNOUNCE);
	spin_unlock_bh(&sim->config_lock);
	return true;
}

static bool net_command(struct vdpasim *sim, struct vdpasim_virtqueue *vq,
			const struct virtio_net_ctrl_hdr *hdr)
{
	if (hdr->class == VIRTIO_NET_CTRL_MAC && hdr->cmd == VIRTIO_NET_CTRL_MAC_ADDR_SET)
		return net_set_mac(sim, vq);
	if (hdr->class == VIRTIO_NET_CTRL_MQ && hdr->cmd == VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET)
		return net_set_pairs(sim, vq);
	if (hdr->class == VIRTIO_NET_CTRL_ANNOUNCE && hdr->cmd == VIRTIO_NET_CTRL_ANNOUNCE_ACK)
		return net_announced(sim);
	return false;
}

static unsigned int net_ctrl_vq(const struct vdpasim *sim)
{
	/* without MQ the driver knows of one pair, however many there are */
	return vdpasim_has(sim, VIRTIO_NET_F_MQ) ? sim->attr.nvqs - 1 : 2;
}

static bool net_work_ctrl(struct vdpasim_net *net, unsigned int *done)
{
	struct vdpasim *sim = &net->sim;
	struct vdpasim_virtqueue *vq = &sim->vqs[net_ctrl_vq(sim)];
	struct virtio_net_ctrl_hdr hdr = {};
	virtio_net_ctrl_ack ack;
	unsigned int batch = vdpasim_batch(sim, *done), handled;
	ssize_t written;
	int ret;

	if (!vq->ready || !vdpasim_has(sim, VIRTIO_NET_F_CTRL_VQ))
		return false;
	for (handled = 0; handled < batch; handled++) {
		ret = vdpasim_getdesc(sim, vq, &vq->riov, &vq->wiov);
		if (!ret || ret == -EAGAIN)
			break;
		net->ctrl.requests++;
		if (ret < 0) {
			net->ctrl.errors++;
			continue;
		}
		ack = VIRTIO_NET_ERR;
		if (vringh_iov_pull_iotlb(&vq->vring, &vq->riov, &hdr, sizeof(hdr)) ==
		    sizeof(hdr) && net_command(sim, vq, &hdr))
			ack = VIRTIO_NET_OK;
		if (ack == VIRTIO_NET_OK)
			net->ctrl.successes++;
		else
			net->ctrl.errors++;
		trace_vdpa_sim_ctrl(sim->vdpa.index, hdr.class, hdr.cmd, ack);
		written = vdpasim_push(sim, vq, &ack, sizeof(ack));
		vdpasim_complete(sim, vq, max_t(ssize_t, written, 0));
	}
	if (handled)
		vdpasim_notify(vq);
	*done += handled;
	return handled == batch && vdpasim_has_more(sim, vq, &vq->riov, &vq->wiov);
}

static bool net_work(struct vdpasim *sim, unsigned long *kicked, unsigned int *done)
{
	struct vdpasim_net *net = sim_to_net(sim);
	unsigned int pair, idx, rx, tx, ctrl = net_ctrl_vq(sim);
	bool refilled;

	/* a command before the frames that were sent after it */
	if (test_bit(ctrl, kicked) && !net_work_ctrl(net, done))
		__clear_bit(ctrl, kicked);
	for (pair = 0; pair < net->pairs; pair++) {
		rx = 2 * pair;
		tx = rx + 1;
		/* buffers to receive into are taken when there is something to receive */
		refilled = __test_and_clear_bit(rx, kicked);
		if (test_bit(tx, kicked)) {
			__clear_bit(pair, &net->left);
			__assign_bit(tx, kicked, net_work_pair(net, pair, done));
		} else if (refilled && test_bit(pair, &net->left)) {
			__assign_bit(rx, kicked, net_work_pair(net, pair, done));
		}
	}
	/* the other queues are not in use */
	for (idx = 2 * pair; idx < sim->attr.nvqs; idx++)
		if (idx != ctrl)
			__clear_bit(idx, kicked);
	return *kicked;
}

static void net_queue_ready(struct vdpasim *sim, unsigned int idx)
{
	struct vdpasim_net *net = sim_to_net(sim);

	if (idx == net_ctrl_vq(sim)) {
		set_bit(idx, sim->kicked);
	} else {
		__set_bit(idx / 2, &net->left);
		set_bit(idx & ~1, sim->kicked);
	}
}

static int net_put_stat(struct sk_buff *msg, const char *name, u64 value)
{
	if (nla_put_string(msg, VDPA_ATTR_DEV_VENDOR_ATTR_NAME, name))
		return -EMSGSIZE;
	return nla_put_u64_64bit(msg, VDPA_ATTR_DEV_VENDOR_ATTR_VALUE, value, VDPA_ATTR_PAD);
}

static int net_get_stats(struct vdpasim *sim, u16 idx, struct sk_buff *msg,
			 struct netlink_ext_ack *extack)
{
	const struct vdpasim_net *net = sim_to_net(sim);
	const struct net_stats *rx = &net->rx[min(idx / 2, NET_PAIRS_MAX - 1)];
	const struct net_stats *tx = &net->tx[min(idx / 2, NET_PAIRS_MAX - 1)];
	const struct {
		const char *name;
		u64 value;
	} stat[3][5] = {
		{
			{ "rx packets",		rx->packets },
			{ "rx bytes",		rx->bytes },
			{ "rx errors",		rx->errors },
			{ "rx overruns",	rx->overruns },
			{ "rx drops",		rx->drops },
		}, {
			{ "tx packets",		tx->packets },
			{ "tx bytes",		tx->bytes },
			{ "tx errors",		tx->errors },
			{ "tx drops",		tx->drops },
		}, {
			{ "cvq requests",	net->ctrl.requests },
			{ "cvq successes",	net->ctrl.successes },
			{ "cvq errors",		net->ctrl.errors },
		},
	};
	unsigned int kind, i;
	int err = 0;

	if (idx >= sim->attr.nvqs)
		return -EINVAL;
	kind = idx == net_ctrl_vq(sim) ? 2 : idx % 2;
	for (i = 0; i < ARRAY_SIZE(stat[0]) && stat[kind][i].name && !err; i++)
		err = net_put_stat(msg, stat[kind][i].name, stat[kind][i].value);
	return err;
}

/*
 * Configuration
 */
static void net_reset(struct vdpasim *sim)
{
	struct vdpasim_net *net = sim_to_net(sim);
	struct virtio_net_config *config = sim->config;

	net->pairs = 1;
	ether_addr_copy(config->mac, net->mac);
	config->status = __cpu_to_virtio16(true, VIRTIO_NET_S_LINK_UP);
}

/* It may be elsewhere now: the network is to learn where. */
static void net_resumed(struct vdpasim *sim)
{
	struct virtio_net_config *config = sim->config;

	if (!vdpasim_has(sim, VIRTIO_NET_F_GUEST_ANNOUNCE))
		return;
	spin_lock_bh(&sim->config_lock);
	config->status |= __cpu_to_virtio16(true, VIRTIO_NET_S_ANNOUNCE);
	spin_unlock_bh(&sim->config_lock);
	vdpasim_config_changed(sim);
}

/* The address is all that a driver may write, and only where it has no other way. */
static void net_set_config(struct vdpasim *sim, unsigned int offset, const void *buf,
			   unsigned int len)
{
	if (offset + len <= sizeof_field(struct virtio_net_config, mac) &&
	    !vdpasim_has(sim, VIRTIO_NET_F_CTRL_MAC_ADDR))
		memcpy(sim->config + offset, buf, len);
}

static void net_free(struct vdpasim *sim)
{
	kvfree(sim_to_net(sim)->frame);
}

static int net_setup(struct vdpasim_net *net, const struct vdpa_dev_set_config *wish)
{
	struct virtio_net_config *config = net->sim.config;
	u16 mtu = NET_MTU;

	if (wish->mask & BIT_ULL(VDPA_ATTR_DEV_NET_CFG_MACADDR))
		ether_addr_copy(net->mac, wish->net.mac);
	if (wish->mask & BIT_ULL(VDPA_ATTR_DEV_NET_CFG_MTU))
		mtu = wish->net.mtu;
	config->mtu = __cpu_to_virtio16(true, mtu);
	config->max_virtqueue_pairs = __cpu_to_virtio16(true, net->max_pairs);
	net_reset(&net->sim);

	net->frame_size = sizeof(struct virtio_net_hdr_v1) + VLAN_ETH_HLEN + mtu;
	net->frame_size = max(net->frame_size, PAGE_SIZE);
	net->sim.attr.kick_batch = clamp(NET_KICK_BYTES / net->frame_size, 1, NET_KICK_BATCH);
	net->frame = kvmalloc(net->frame_size, GFP_KERNEL);
	return net->frame ? 0 : -ENOMEM;
}

static int net_dev_add(struct vdpa_mgmt_dev *mdev, const char *name,
		       const struct vdpa_dev_set_config *config)
{
	struct vdpasim_dev_attr attr = {
		.mgmt_dev	= mdev,
		.name		= name,
		.supported	= NET_SUPPORTED,
		.features	= NET_FEATURES,
		.alloc_size	= sizeof(struct vdpasim_net),
		.config_size	= sizeof(struct virtio_net_config),
		.id		= VIRTIO_ID_NET,
		.ngroups	= 2,
		.nas		= 2,
		.work		= net_work,
		.queue_ready	= net_queue_ready,
		.set_config	= net_set_config,
		.reset		= net_reset,
		.resumed	= net_resumed,
		.get_stats	= net_get_stats,
		.free		= net_free,
	};
	unsigned int pairs = 1;
	struct vdpasim *sim;
	int err;

	if (config->mask & BIT_ULL(VDPA_ATTR_DEV_NET_CFG_MAX_VQP))
		pairs = config->net.max_vq_pairs;
	if (!pairs || pairs > NET_PAIRS_MAX)
		return -EINVAL;
	if (pairs > 1) {
		attr.features |= BIT_ULL(VIRTIO_NET_F_MQ);
		if ((config->mask & BIT_ULL(VDPA_ATTR_DEV_FEATURES)) &&
		    !(config->device_features & BIT_ULL(VIRTIO_NET_F_MQ)))
			return -EINVAL;
	}
	attr.nvqs = NET_VQS(pairs);

	sim = vdpasim_create(&attr, config);
	if (IS_ERR(sim))
		return PTR_ERR(sim);
	sim_to_net(sim)->max_pairs = pairs;
	err = net_setup(sim_to_net(sim), config);
	/* from here on it can be used */
	if (!err)
		err = _vdpa_register_device(&sim->vdpa, attr.nvqs);
	if (err)
		put_device(&sim->vdpa.dev);
	return err;
}

static void net_dev_del(struct vdpa_mgmt_dev *mdev, struct vdpa_device *vdpa)
{
	vdpasim_retire(vdpa_to_sim(vdpa));
	_vdpa_unregister_device(vdpa);
}

static int net_dev_set_attr(struct vdpa_mgmt_dev *mdev, struct vdpa_device *vdpa,
			    const struct vdpa_dev_set_config *config)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);
	struct virtio_net_config *net_config = sim->config;

	if (!(config->mask & BIT_ULL(VDPA_ATTR_DEV_NET_CFG_MACADDR)))
		return -EOPNOTSUPP;
	spin_lock_bh(&sim->config_lock);
	ether_addr_copy(sim_to_net(sim)->mac, config->net.mac);
	ether_addr_copy(net_config->mac, config->net.mac);
	spin_unlock_bh(&sim->config_lock);
	vdpasim_config_changed(sim);
	return 0;
}

static const struct vdpa_mgmtdev_ops net_mgmtdev_ops = {
	.dev_add	= net_dev_add,
	.dev_del	= net_dev_del,
	.dev_set_attr	= net_dev_set_attr,
};

static struct virtio_device_id net_ids[] = {
	{ VIRTIO_ID_NET, VIRTIO_DEV_ANY_ID },
	{ 0 },
};

static struct vdpa_mgmt_dev net_mgmtdev = {
	.ops			= &net_mgmtdev_ops,
	.id_table		= net_ids,
	.config_attr_mask	= BIT_ULL(VDPA_ATTR_DEV_NET_CFG_MACADDR) |
				  BIT_ULL(VDPA_ATTR_DEV_NET_CFG_MTU) |
				  BIT_ULL(VDPA_ATTR_DEV_NET_CFG_MAX_VQP) |
				  BIT_ULL(VDPA_ATTR_DEV_FEATURES),
	.max_supported_vqs	= NET_VQS(NET_PAIRS_MAX),
	.supported_features	= NET_SUPPORTED,
};

static int __init net_init(void)
{
	int err;

	net_mgmtdev.device = root_device_register("vdpasim_net");
	if (IS_ERR(net_mgmtdev.device))
		return PTR_ERR(net_mgmtdev.device);
	err = vdpa_mgmtdev_register(&net_mgmtdev);
	if (err)
		root_device_unregister(net_mgmtdev.device);
	return err;
}

static void __exit net_exit(void)
{
	vdpa_mgmtdev_unregister(&net_mgmtdev);
	root_device_unregister(net_mgmtdev.device);
}

module_init(net_init);
module_exit(net_exit);
MODULE_VERSION("0.1");
MODULE_DESCRIPTION("vDPA Device Simulator for networking device");
MODULE_AUTHOR("The migscope authors");
MODULE_LICENSE("GPL v2");
