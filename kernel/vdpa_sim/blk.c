// SPDX-License-Identifier: GPL-2.0
/*
 * A simulated disk in memory: as many bytes as its sectors, gone with the device, or
 * (shared_backend) the same for all devices until the module goes.
 */
#include <linux/blk_types.h>
#include <linux/bottom_half.h>
#include <linux/device.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <uapi/linux/vdpa.h>
#include <uapi/linux/virtio_blk.h>

#include "vdpa_sim.h"

#define BLK_FEATURES	(VDPASIM_FEATURES | \
			 BIT_ULL(VIRTIO_BLK_F_FLUSH) | \
			 BIT_ULL(VIRTIO_BLK_F_SIZE_MAX) | \
			 BIT_ULL(VIRTIO_BLK_F_SEG_MAX) | \
			 BIT_ULL(VIRTIO_BLK_F_BLK_SIZE) | \
			 BIT_ULL(VIRTIO_BLK_F_TOPOLOGY) | \
			 BIT_ULL(VIRTIO_BLK_F_MQ) | \
			 BIT_ULL(VIRTIO_BLK_F_DISCARD) | \
			 BIT_ULL(VIRTIO_BLK_F_WRITE_ZEROES))

#define BLK_VQS		1
#define BLK_SECTORS	0x40000
#define BLK_BYTES	((size_t)BLK_SECTORS << SECTOR_SHIFT)
#define BLK_SIZE_MAX	0x1000
#define BLK_SEG_MAX	32

/* each may be as long as the above says, and its copy takes its time */
#define BLK_KICK_BATCH	4

static bool shared_backend;
module_param(shared_backend, bool, 0444);
MODULE_PARM_DESC(shared_backend, "Enable the shared backend between virtio-blk devices");

/* Between devices: a device's own requests are one after the other in any case. */
static DEFINE_MUTEX(shared_mutex);
static void *shared_disk;

struct vdpasim_blk {
	struct vdpasim sim;
	void *disk;
};

static struct vdpasim_blk *sim_to_blk(struct vdpasim *sim)
{
	return container_of(sim, struct vdpasim_blk, sim);
}

/* Whole sectors, all of them on the disk. */
static bool blk_is_on_disk(u64 sector, u64 sectors)
{
	return sector < BLK_SECTORS && sectors <= BLK_SECTORS - sector;
}

/* False: the worker is not to wait, for another device's either (vdpasim_lock()). */
static bool disk_lock(void)
{
	return !shared_backend || !mutex_lock_killable(&shared_mutex);
}

static void disk_unlock(void)
{
	if (shared_backend)
		mutex_unlock(&shared_mutex);
}

static u8 blk_transfer(struct vdpasim_blk *blk, struct vdpasim_virtqueue *vq, u64 sector,
		       size_t len, bool write)
{
	void *at = blk->disk + (sector << SECTOR_SHIFT);
	ssize_t moved;

	/* part of a sector would end behind the disk's end */
	if (len % SECTOR_SIZE || !blk_is_on_disk(sector, len >> SECTOR_SHIFT))
		return VIRTIO_BLK_S_IOERR;
	if (!disk_lock())
		return VIRTIO_BLK_S_IOERR;
	if (write)
		moved = vringh_iov_pull_iotlb(&vq->vring, &vq->riov, at, len);
	else
		moved = vdpasim_push(&blk->sim, vq, at, len);
	disk_unlock();
	return moved == len ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR;
}

static u8 blk_clear(struct vdpasim_blk *blk, struct vdpasim_virtqueue *vq, size_t len, bool zero)
{
	struct virtio_blk_discard_write_zeroes range;
	u64 sector;
	u32 sectors;

	/* one range at most was offered */
	if (len != sizeof(range) ||
	    vringh_iov_pull_iotlb(&vq->vring, &vq->riov, &range, len) != len)
		return VIRTIO_BLK_S_IOERR;
	if (le32_to_cpu(range.flags) & ~(zero ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0))
		return VIRTIO_BLK_S_UNSUPP;
	sector = le64_to_cpu(range.sector);
	sectors = le32_to_cpu(range.num_sectors);
	if (!blk_is_on_disk(sector, sectors))
		return VIRTIO_BLK_S_IOERR;
	if (!zero)
		return VIRTIO_BLK_S_OK;
	if (!disk_lock())
		return VIRTIO_BLK_S_IOERR;
	memset(blk->disk + (sector << SECTOR_SHIFT), 0, (size_t)sectors << SECTOR_SHIFT);
	disk_unlock();
	return VIRTIO_BLK_S_OK;
}

static u8 blk_get_id(struct vdpasim_blk *blk, struct vdpasim_virtqueue *vq, size_t room)
{
	static const char id[VIRTIO_BLK_ID_BYTES] = "vdpa_blk_sim";
	size_t len = min(room, sizeof(id));

	return vdpasim_push(&blk->sim, vq, id, len) == len ? VIRTIO_BLK_S_OK :
							     VIRTIO_BLK_S_IOERR;
}

/* @in and @out: how many bytes the request has for data, each way */
static u8 blk_request(struct vdpasim_blk *blk, struct vdpasim_virtqueue *vq,
		      const struct virtio_blk_outhdr *hdr, size_t out, size_t in)
{
	u32 type = __virtio32_to_cpu(true, hdr->type);
	u64 sector = __virtio64_to_cpu(true, hdr->sector);

	switch (type) {
	case VIRTIO_BLK_T_IN:
		return blk_transfer(blk, vq, sector, in, false);
	case VIRTIO_BLK_T_OUT:
		return blk_transfer(blk, vq, sector, out, true);
	}
	if (sector)
		return VIRTIO_BLK_S_IOERR;
	switch (type) {
	case VIRTIO_BLK_T_GET_ID:
		return blk_get_id(blk, vq, in);
	case VIRTIO_BLK_T_FLUSH:
		return VIRTIO_BLK_S_OK;
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return blk_clear(blk, vq, out, type == VIRTIO_BLK_T_WRITE_ZEROES);
	default:
		return VIRTIO_BLK_S_UNSUPP;
	}
}

/* All of the disk, maybe; or longer than we say that requests may be, to who listens to that. */
static bool blk_takes_long(const struct virtio_blk_outhdr *hdr, size_t len)
{
	return __virtio32_to_cpu(true, hdr->type) == VIRTIO_BLK_T_WRITE_ZEROES ||
	       len > BLK_SIZE_MAX * BLK_SEG_MAX + sizeof(*hdr);
}

/*
 * A request is a header to read, data either way, and last of all a byte for the status.
 * Returns how much was written to it; -EAGAIN if it is too much for who must not sleep.
 */
static ssize_t blk_handle(struct vdpasim_blk *blk, struct vdpasim_virtqueue *vq)
{
	size_t out = vringh_kiov_length(&vq->riov), in = vringh_kiov_length(&vq->wiov), left;
	struct virtio_blk_outhdr hdr;
	u8 status;

	/* a status that has no place can be told to nobody */
	if (!in)
		return 0;
	in--;
	status = VIRTIO_BLK_S_IOERR;
	if (vringh_iov_pull_iotlb(&vq->vring, &vq->riov, &hdr, sizeof(hdr)) == sizeof(hdr)) {
		if (blk->sim.atomic && blk_takes_long(&hdr, out + in))
			return -EAGAIN;
		status = blk_request(blk, vq, &hdr, out - sizeof(hdr), in);
	}

	/* what was not filled is skipped */
	left = vringh_kiov_length(&vq->wiov) - 1;
	vringh_kiov_advance(&vq->wiov, left);
	if (vdpasim_push(&blk->sim, vq, &status, 1) != 1)
		return 0;
	return in - left + 1;
}

static bool blk_work(struct vdpasim *sim, unsigned long *kicked, unsigned int *done)
{
	struct vdpasim_virtqueue *vq = &sim->vqs[0];
	unsigned int batch = vdpasim_batch(sim, *done), handled;
	bool look = *kicked, more = false;
	ssize_t ret;

	*kicked = 0;
	if (!look || !vq->ready)
		return false;
	for (handled = 0; handled < batch; handled++) {
		ret = vdpasim_getdesc(sim, vq, &vq->riov, &vq->wiov);
		if (!ret || ret == -EAGAIN)
			break;
		if (ret > 0) {
			ret = blk_handle(sim_to_blk(sim), vq);
			if (ret < 0) {
				vringh_abandon_iotlb(&vq->vring, 1);
				more = true;
				break;
			}
			vdpasim_complete(sim, vq, ret);
		}
		if (!sim->atomic)
			cond_resched();
	}
	if (handled)
		vdpasim_notify(vq);
	*done += handled;
	*kicked = more || (handled == batch && vdpasim_has_more(sim, vq, &vq->riov, &vq->wiov));
	return *kicked;
}

static void blk_queue_ready(struct vdpasim *sim, unsigned int idx)
{
	set_bit(idx, sim->kicked);
}

static void blk_setup(struct virtio_blk_config *config)
{
	*config = (struct virtio_blk_config) {
		.capacity			= __cpu_to_virtio64(true, BLK_SECTORS),
		.size_max			= __cpu_to_virtio32(true, BLK_SIZE_MAX),
		.seg_max			= __cpu_to_virtio32(true, BLK_SEG_MAX),
		.blk_size			= __cpu_to_virtio32(true, SECTOR_SIZE),
		.min_io_size			= __cpu_to_virtio16(true, 1),
		.opt_io_size			= __cpu_to_virtio32(true, 1),
		.num_queues			= __cpu_to_virtio16(true, BLK_VQS),
		.max_discard_sectors		= __cpu_to_virtio32(true, U32_MAX),
		.max_discard_seg		= __cpu_to_virtio32(true, 1),
		.discard_sector_alignment	= __cpu_to_virtio32(true, SECTOR_SIZE),
		.max_write_zeroes_sectors	= __cpu_to_virtio32(true, U32_MAX),
		.max_write_zeroes_seg		= __cpu_to_virtio32(true, 1),
	};
}

static void blk_free(struct vdpasim *sim)
{
	struct vdpasim_blk *blk = sim_to_blk(sim);

	if (blk->disk != shared_disk)
		kvfree(blk->disk);
}

static int blk_dev_add(struct vdpa_mgmt_dev *mdev, const char *name,
		       const struct vdpa_dev_set_config *config)
{
	struct vdpasim_dev_attr attr = {
		.mgmt_dev	= mdev,
		.name		= name,
		.supported	= BLK_FEATURES,
		.features	= BLK_FEATURES,
		.alloc_size	= sizeof(struct vdpasim_blk),
		.config_size	= sizeof(struct virtio_blk_config),
		.id		= VIRTIO_ID_BLOCK,
		.nvqs		= BLK_VQS,
		.ngroups	= 1,
		.nas		= 1,
		/* other devices' requests are waited for */
		.kick_batch	= shared_backend ? 0 : BLK_KICK_BATCH,
		.work		= blk_work,
		.queue_ready	= blk_queue_ready,
		.free		= blk_free,
	};
	struct vdpasim *sim = vdpasim_create(&attr, config);
	struct vdpasim_blk *blk;
	int err;

	if (IS_ERR(sim))
		return PTR_ERR(sim);
	blk = sim_to_blk(sim);
	blk_setup(sim->config);
	blk->disk = shared_disk ?: kvzalloc(BLK_BYTES, GFP_KERNEL | __GFP_NOWARN);
	/* from here on it can be used */
	err = blk->disk ? _vdpa_register_device(&sim->vdpa, BLK_VQS) : -ENOMEM;
	if (err)
		put_device(&sim->vdpa.dev);
	return err;
}

static void blk_dev_del(struct vdpa_mgmt_dev *mdev, struct vdpa_device *vdpa)
{
	vdpasim_retire(vdpa_to_sim(vdpa));
	_vdpa_unregister_device(vdpa);
}

static const struct vdpa_mgmtdev_ops blk_mgmtdev_ops = {
	.dev_add = blk_dev_add,
	.dev_del = blk_dev_del,
};

static struct virtio_device_id blk_ids[] = {
	{ VIRTIO_ID_BLOCK, VIRTIO_DEV_ANY_ID },
	{ 0 },
};

static struct vdpa_mgmt_dev blk_mgmtdev = {
	.ops			= &blk_mgmtdev_ops,
	.id_table		= blk_ids,
	.config_attr_mask	= BIT_ULL(VDPA_ATTR_DEV_FEATURES),
	.max_supported_vqs	= BLK_VQS,
	.supported_features	= BLK_FEATURES,
};

static int __init blk_init(void)
{
	int err;

	if (shared_backend) {
		shared_disk = kvzalloc(BLK_BYTES, GFP_KERNEL | __GFP_NOWARN);
		if (!shared_disk)
			return -ENOMEM;
	}
	blk_mgmtdev.device = root_device_register("vdpasim_blk");
	if (IS_ERR(blk_mgmtdev.device)) {
		err = PTR_ERR(blk_mgmtdev.device);
		goto free_disk;
	}
	err = vdpa_mgmtdev_register(&blk_mgmtdev);
	if (err)
		goto unregister;
	return 0;

unregister:
	root_device_unregister(blk_mgmtdev.device);
free_disk:
	kvfree(shared_disk);
	return err;
}

static void __exit blk_exit(void)
{
	vdpa_mgmtdev_unregister(&blk_mgmtdev);
	root_device_unregister(blk_mgmtdev.device);
	kvfree(shared_disk);
}

module_init(blk_init);
module_exit(blk_exit);
MODULE_VERSION("0.1");
MODULE_DESCRIPTION("vDPA Device Simulator for block device");
MODULE_AUTHOR("The migscope authors");
MODULE_LICENSE("GPL v2");
