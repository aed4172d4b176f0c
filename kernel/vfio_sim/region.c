// SPDX-License-Identifier: GPL-2.0
/*
 * The migration region: the protocol of 2020, which QEMU spoke until 8.0.
 *
 * struct vfio_device_migration_info lies at its start and is trapped. Data passes
 * through a window behind it, which may be mapped. What is mapped can change at any
 * time; each byte of it is read once, and judged in a copy.
 */
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/unaligned.h>
#include <linux/vmalloc.h>
#include "vfio_sim.h"

#define INFO(field)	offsetof(struct vfio_device_migration_info, field)

#define STOP		VFIO_DEVICE_STATE_V1_STOP
#define RUNNING		VFIO_DEVICE_STATE_V1_RUNNING
#define STOP_COPY	VFIO_DEVICE_STATE_V1_SAVING
#define PRE_COPY	(VFIO_DEVICE_STATE_V1_SAVING | VFIO_DEVICE_STATE_V1_RUNNING)
#define RESUMING	VFIO_DEVICE_STATE_V1_RESUMING

/* What the bits mean. All others mean nothing. */
static const enum vfio_device_mig_state state_of[] = {
	[STOP]	    = VFIO_DEVICE_STATE_STOP,
	[RUNNING]   = VFIO_DEVICE_STATE_RUNNING,
	[STOP_COPY] = VFIO_DEVICE_STATE_STOP_COPY,
	[PRE_COPY]  = VFIO_DEVICE_STATE_PRE_COPY,
	[RESUMING]  = VFIO_DEVICE_STATE_RESUMING,
};

/*
 * Where one may go from each. The protocol draws a normal shutdown, saving with and
 * without pre-copy, and resuming; a VMM that gives up goes back to RUNNING, one that
 * loads a snapshot is stopped already.
 */
static const u8 allowed[] = {
	[STOP]	    = BIT(RUNNING) | BIT(STOP_COPY) | BIT(RESUMING),
	[RUNNING]   = BIT(STOP) | BIT(PRE_COPY) | BIT(STOP_COPY) | BIT(RESUMING),
	[STOP_COPY] = BIT(STOP) | BIT(RUNNING),
	[PRE_COPY]  = BIT(STOP_COPY) | BIT(RUNNING),
	[RESUMING]  = BIT(STOP) | BIT(RUNNING),
};

static u32 bits_of(enum vfio_device_mig_state state)
{
	u32 bits;

	for (bits = 0; bits < ARRAY_SIZE(state_of); bits++)
		if (state_of[bits] == state)
			return bits;
	return VFIO_DEVICE_STATE_V1_SAVING | VFIO_DEVICE_STATE_V1_RESUMING;
}

static bool is_transfer(u32 bits)
{
	return bits & (VFIO_DEVICE_STATE_V1_SAVING | VFIO_DEVICE_STATE_V1_RESUMING);
}

static int set_bits(struct vfio_sim *sim, u32 bits)
{
	struct sim_stream *stream = NULL;
	u32 from = bits_of(sim->state);
	int err;

	if (bits >= ARRAY_SIZE(state_of))
		return -EINVAL;
	bits = array_index_nospec(bits, ARRAY_SIZE(state_of));
	/* QEMU says again what it has said */
	if (bits == from)
		return 0;
	if (from >= ARRAY_SIZE(allowed) || !(allowed[from] & BIT(bits)))
		return -EINVAL;
	if (is_transfer(bits) && from != PRE_COPY) {
		stream = sim_stream_new(sim, bits & VFIO_DEVICE_STATE_V1_SAVING, true);
		if (!stream)
			return -ENOMEM;
	}
	err = sim_set_state(sim, state_of[bits], true, &stream);
	if (stream)
		sim_stream_put(stream);
	return err;
}

/* The transfer that goes through this region, if there is one. */
static struct sim_stream *our_stream(struct vfio_sim *sim)
{
	return sim->stream && sim->stream->v1 ? sim->stream : NULL;
}

static bool saving(struct vfio_sim *sim)
{
	return our_stream(sim) && sim->state != VFIO_DEVICE_STATE_RESUMING;
}

static bool resuming(struct vfio_sim *sim)
{
	return our_stream(sim) && sim->state == VFIO_DEVICE_STATE_RESUMING;
}

/* Asking for data_offset lays data there, unless some is there already. */
static void fill_window(struct vfio_sim *sim)
{
	struct sim_stream *stream = our_stream(sim);
	u32 got;

	sim->window_given = true;
	if (sim->window_bytes)
		return;
	while (sim->window_bytes < VFIO_SIM_REGION_WINDOW) {
		got = sim_stream_peek(stream, sim->window + sim->window_bytes,
				      VFIO_SIM_REGION_WINDOW - sim->window_bytes);
		if (!got)
			break;
		sim_stream_take(stream, got);
		sim->window_bytes += got;
	}
}

/* Asking for pending_bytes says that what was there has been read. */
static u64 pending_bytes(struct vfio_sim *sim)
{
	if (!saving(sim))
		return 0;
	if (sim->window_given)
		sim->window_bytes = 0;
	sim->window_given = false;
	return sim->window_bytes + sim_stream_pending(our_stream(sim), NULL);
}

static int info_read(struct vfio_sim *sim, u32 offset, void *buf, u32 len)
{
	u64 value;

	switch (offset) {
	case INFO(device_state):
		value = bits_of(sim->state);
		break;
	case INFO(reserved):
		value = 0;
		break;
	case INFO(pending_bytes):
		if (len != sizeof(u64))
			return -EINVAL;
		value = pending_bytes(sim);
		break;
	case INFO(data_offset):
		if (len != sizeof(u64))
			return -EINVAL;
		if (saving(sim))
			fill_window(sim);
		value = VFIO_SIM_REGION_DATA;
		break;
	case INFO(data_size):
		value = sim->window_bytes;
		break;
	default:
		return -EINVAL;
	}
	/* the first two are of four bytes, the others of eight */
	if (len != (offset < INFO(pending_bytes) ? sizeof(u32) : sizeof(u64)))
		return -EINVAL;
	if (len == sizeof(u32))
		put_unaligned((u32)value, (u32 *)buf);
	else
		put_unaligned(value, (u64 *)buf);
	return 0;
}

static int info_write(struct vfio_sim *sim, u32 offset, void *buf, u32 len)
{
	u64 bytes;
	int err;

	switch (offset) {
	case INFO(device_state):
		if (len != sizeof(u32))
			return -EINVAL;
		return set_bits(sim, get_unaligned((u32 *)buf));
	case INFO(reserved):
		return len == sizeof(u32) ? 0 : -EINVAL;
	case INFO(data_size):
		if (len != sizeof(u64) || !resuming(sim))
			return -EINVAL;
		bytes = get_unaligned((u64 *)buf);
		if (bytes > VFIO_SIM_REGION_WINDOW)
			return -EINVAL;
		err = sim_stream_feed(our_stream(sim), sim->window, bytes);
		return err;
	default:
		return -EINVAL;
	}
}

/* The data window; written only to resume, so that what is being saved stays. */
static int window_access(struct vfio_sim *sim, u32 offset, void *buf, u32 len, bool write)
{
	if (len > VFIO_SIM_REGION_WINDOW - offset)
		return -EINVAL;
	if (!write)
		memcpy(buf, sim->window + offset, len);
	else if (resuming(sim))
		memcpy(sim->window + offset, buf, len);
	else
		return -EINVAL;
	return 0;
}

int sim_region_access(struct vfio_sim *sim, u32 offset, void *buf, u32 len, bool write)
{
	if (offset >= VFIO_SIM_REGION_DATA) {
		offset -= VFIO_SIM_REGION_DATA;
		if (offset >= VFIO_SIM_REGION_WINDOW)
			return -EINVAL;
		return window_access(sim, offset, buf, len, write);
	}
	return write ? info_write(sim, offset, buf, len) : info_read(sim, offset, buf, len);
}

int sim_region_mmap(struct vfio_sim *sim, struct vm_area_struct *vma, u64 offset)
{
	u64 len = vma->vm_end - vma->vm_start;

	if (!(vma->vm_flags & VM_SHARED) || vma->vm_flags & VM_EXEC)
		return -EINVAL;
	if (offset < VFIO_SIM_REGION_DATA ||
	    offset > VFIO_SIM_REGION_DATA + VFIO_SIM_REGION_WINDOW ||
	    len > VFIO_SIM_REGION_DATA + VFIO_SIM_REGION_WINDOW - offset)
		return -EINVAL;
	vm_flags_clear(vma, VM_MAYEXEC);
	return remap_vmalloc_range(vma, sim->window,
				   (offset - VFIO_SIM_REGION_DATA) >> PAGE_SHIFT);
}
