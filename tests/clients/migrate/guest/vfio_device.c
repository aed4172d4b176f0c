// SPDX-License-Identifier: GPL-2.0
/*
 * The device writes all of its pages again in each pass, so that one whose write was
 * lost is right again a pass later. That nothing is lost is shown by the migrations of
 * tests/clients/vfio_sim; here the device has to have gone on from where it was.
 */
#include "devices.h"
#include "vfio_sim_regs.h"

static u32 device_pages, device_interval, round;

static u64 seed(void)
{
	return (0x1234567ULL << 32 | 0x89abcdef) * (round + 1);
}

/* Each page is a block of its own, pinned while it is written. */
static void start(void)
{
	set(VFIO_SIM_COMMAND, VFIO_SIM_OP_FILL);
	set_wide(VFIO_SIM_TARGET, DEVICE_AREA);
	set_wide(VFIO_SIM_LENGTH, PAGE_SIZE);
	set_wide(VFIO_SIM_STRIDE, PAGE_SIZE);
	set_wide(VFIO_SIM_SEED, seed());
	set_wide(VFIO_SIM_PASSES, 1ULL << 32);
	set(VFIO_SIM_BLOCKS, device_pages);
	set(VFIO_SIM_INTERVAL, device_interval);
	set(VFIO_SIM_DOORBELL, VFIO_SIM_DOORBELL_START);
}

void vfio_begin(u32 pages, u32 interval)
{
	if (!pages || pages > DEVICE_PAGES)
		die("vfio= is out of range");
	device_pages = pages;
	device_interval = interval;
	registers_begin();
	start();
}

void vfio_report(void)
{
	struct line l = { 0 };

	if (get(VFIO_SIM_ERROR))
		die("the VFIO device failed");
	add_u64(&l, "vfio round=", round);
	add_u64(&l, " passes=", get(VFIO_SIM_PASSES_DONE));
	say(&l);
}

static bool page_holds(u32 block, u64 pass)
{
	volatile u64 *words = (volatile u64 *)(DEVICE_AREA + block * PAGE_SIZE);

	for (u32 i = 0; i < PAGE_SIZE / 8; i++)
		if (words[i] != vfio_sim_pattern(seed(), pass, block, i * 8))
			return false;
	return true;
}

void vfio_check(void)
{
	u32 passes, blocks, bad = 0;
	struct line l = { 0 };

	set(VFIO_SIM_DOORBELL, VFIO_SIM_DOORBELL_ABORT);
	passes = get(VFIO_SIM_PASSES_DONE);
	blocks = get(VFIO_SIM_BLOCKS_DONE);
	if (!passes)
		die("the VFIO device was not waited for");
	for (u32 block = 0; block < device_pages; block++)
		bad += !page_holds(block, passes - (block >= blocks));
	add_u64(&l, "vfio-checked pages=", device_pages);
	add_u64(&l, " bad=", bad);
	add_u64(&l, " passes=", passes);
	say(&l);
	round++;
	start();
}
