// SPDX-License-Identifier: GPL-2.0
/*
 * A vDPA device that takes whole tables of translations and looks at none of them: what
 * a message about memory costs with it is vhost_vdpa's own.
 */
#include <linux/module.h>
#include <linux/vdpa.h>
#include <uapi/linux/virtio_config.h>
#include <uapi/linux/virtio_ids.h>

struct bench {
	struct vdpa_device vdpa;
};

static u8 status;
static struct bench *bench;

static int bench_set_vq_address(struct vdpa_device *vdpa, u16 idx, u64 desc, u64 driver, u64 device)
{
	return 0;
}

static void bench_set_vq_num(struct vdpa_device *vdpa, u16 idx, u32 num)
{
}

static void bench_kick_vq(struct vdpa_device *vdpa, u16 idx)
{
}

static void bench_set_cb(struct vdpa_device *vdpa, struct vdpa_callback *cb)
{
}

static void bench_set_vq_cb(struct vdpa_device *vdpa, u16 idx, struct vdpa_callback *cb)
{
}

static void bench_set_vq_ready(struct vdpa_device *vdpa, u16 idx, bool ready)
{
}

static bool bench_get_vq_ready(struct vdpa_device *vdpa, u16 idx)
{
	return false;
}

static int bench_set_vq_state(struct vdpa_device *vdpa, u16 idx, const struct vdpa_vq_state *state)
{
	return 0;
}

static int bench_get_vq_state(struct vdpa_device *vdpa, u16 idx, struct vdpa_vq_state *state)
{
	return 0;
}

static u32 bench_get_vq_align(struct vdpa_device *vdpa)
{
	return PAGE_SIZE;
}

static u64 bench_get_device_features(struct vdpa_device *vdpa)
{
	return BIT_ULL(VIRTIO_F_VERSION_1) | BIT_ULL(VIRTIO_F_ACCESS_PLATFORM);
}

static int bench_set_driver_features(struct vdpa_device *vdpa, u64 features)
{
	return 0;
}

static u64 bench_get_driver_features(struct vdpa_device *vdpa)
{
	return 0;
}

static u16 bench_get_vq_num_max(struct vdpa_device *vdpa)
{
	return 256;
}

static u32 bench_get_device_id(struct vdpa_device *vdpa)
{
	return VIRTIO_ID_NET;
}

static u32 bench_get_vendor_id(struct vdpa_device *vdpa)
{
	return 0;
}

static u8 bench_get_status(struct vdpa_device *vdpa)
{
	return status;
}

static void bench_set_status(struct vdpa_device *vdpa, u8 new)
{
	status = new;
}

static int bench_reset(struct vdpa_device *vdpa)
{
	status = 0;
	return 0;
}

static size_t bench_get_config_size(struct vdpa_device *vdpa)
{
	return 0;
}

static void bench_get_config(struct vdpa_device *vdpa, unsigned int offset, void *buf,
			     unsigned int len)
{
	memset(buf, 0, len);
}

static void bench_set_config(struct vdpa_device *vdpa, unsigned int offset, const void *buf,
			     unsigned int len)
{
}

static int bench_set_map(struct vdpa_device *vdpa, unsigned int asid, struct vhost_iotlb *iotlb)
{
	return 0;
}

static const struct vdpa_config_ops bench_ops = {
	.set_vq_address		= bench_set_vq_address,
	.set_vq_num		= bench_set_vq_num,
	.kick_vq		= bench_kick_vq,
	.set_vq_cb		= bench_set_vq_cb,
	.set_vq_ready		= bench_set_vq_ready,
	.get_vq_ready		= bench_get_vq_ready,
	.set_vq_state		= bench_set_vq_state,
	.get_vq_state		= bench_get_vq_state,
	.get_vq_align		= bench_get_vq_align,
	.get_device_features	= bench_get_device_features,
	.set_driver_features	= bench_set_driver_features,
	.get_driver_features	= bench_get_driver_features,
	.set_config_cb		= bench_set_cb,
	.get_vq_num_max		= bench_get_vq_num_max,
	.get_device_id		= bench_get_device_id,
	.get_vendor_id		= bench_get_vendor_id,
	.get_status		= bench_get_status,
	.set_status		= bench_set_status,
	.reset			= bench_reset,
	.get_config_size	= bench_get_config_size,
	.get_config		= bench_get_config,
	.set_config		= bench_set_config,
	.set_map		= bench_set_map,
};

static int __init bench_init(void)
{
	int err;

	bench = vdpa_alloc_device(struct bench, vdpa, NULL, &bench_ops, 1, 1, "bench", false);
	if (IS_ERR(bench))
		return PTR_ERR(bench);
	err = vdpa_register_device(&bench->vdpa, 2);
	if (err)
		put_device(&bench->vdpa.dev);
	return err;
}
module_init(bench_init);

static void __exit bench_exit(void)
{
	vdpa_unregister_device(&bench->vdpa);
}
module_exit(bench_exit);

MODULE_DESCRIPTION("A vDPA device for the bench of vhost_vdpa");
MODULE_LICENSE("GPL");
