/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The simulated VFIO device as its drivers see it: a guest, a test, the kernel module
 * that is the device. All registers are little endian.
 *
 * BAR 0: registers, accessed by aligned words of four or eight bytes.
 * BAR 2: the device's own memory, part of its state.
 *
 * A command is laid into the descriptor registers and started by the doorbell; the
 * device takes a copy and works by itself, so that it dirties memory while no CPU runs
 * in the guest. A command writes BLOCKS blocks of LENGTH bytes, STRIDE apart, and does
 * so PASSES times, INTERVAL microseconds between the end of one and the next.
 */
#ifndef MIGSCOPE_VFIO_SIM_H
#define MIGSCOPE_VFIO_SIM_H

#include <linux/types.h>

#define VFIO_SIM_PCI_VENDOR		0x1234
#define VFIO_SIM_PCI_DEVICE		0x5653

#define VFIO_SIM_BAR0_BYTES		0x1000
#define VFIO_SIM_MEMORY_BYTES		0x40000	/* BAR 2 */

/* read only */
#define VFIO_SIM_MAGIC			0x000	/* 32: VFIO_SIM_MAGIC_VALUE */
#define VFIO_SIM_STATUS			0x004	/* 32 */
#define   VFIO_SIM_STATUS_BUSY		0x1	/* a command has passes left */
#define VFIO_SIM_ERROR			0x008	/* 32: errno of the last command, 0: none */
#define VFIO_SIM_REJECTED		0x00c	/* 32: doorbells while busy */
#define VFIO_SIM_PASSES_DONE		0x010	/* 64: whole passes of the last command */
#define VFIO_SIM_BLOCKS_DONE		0x018	/* 32: whole blocks of the pass begun since */
#define VFIO_SIM_PINNED			0x01c	/* 32: pages kept pinned */
#define VFIO_SIM_BYTES			0x020	/* 64: written by DMA since reset */

/* read and write */
#define VFIO_SIM_IRQ_STATUS		0x040	/* 32: ones are cleared by writing ones */
#define   VFIO_SIM_IRQ_DONE		0x1
#define   VFIO_SIM_IRQ_FAILED		0x2
#define VFIO_SIM_IRQ_ENABLE		0x044	/* 32 */
#define VFIO_SIM_DOORBELL		0x048	/* 32: write only */
#define   VFIO_SIM_DOORBELL_START	1
#define   VFIO_SIM_DOORBELL_ABORT	2	/* once it was written, no DMA is left */
#define   VFIO_SIM_DOORBELL_RELEASE	3	/* let go of all kept pages */
#define VFIO_SIM_COMMAND		0x04c	/* 32 */
#define   VFIO_SIM_OP_MASK		0xff
#define   VFIO_SIM_OP_FILL		1	/* pattern of SEED -> iova TARGET */
#define   VFIO_SIM_OP_COPY		2	/* iova SOURCE -> iova TARGET */
#define   VFIO_SIM_OP_LOAD		3	/* iova SOURCE -> own memory at TARGET */
#define   VFIO_SIM_OP_STORE		4	/* own memory at SOURCE -> iova TARGET */
#define   VFIO_SIM_KEEP			0x100	/* pages of TARGET stay pinned */
#define   VFIO_SIM_BY_CPU		0x200	/* no pins: vfio_dma_rw() */
#define   VFIO_SIM_IRQ_EACH		0x400	/* DONE after each pass, not only the last */
#define VFIO_SIM_SOURCE			0x050	/* 64 */
#define VFIO_SIM_TARGET			0x058	/* 64 */
#define VFIO_SIM_LENGTH			0x060	/* 64 */
#define VFIO_SIM_SEED			0x068	/* 64 */
#define VFIO_SIM_STRIDE			0x070	/* 64 */
#define VFIO_SIM_PASSES			0x078	/* 64 */
#define VFIO_SIM_BLOCKS			0x080	/* 32 */
#define VFIO_SIM_INTERVAL		0x084	/* 32 */
#define VFIO_SIM_SCRATCH		0x0c0	/* 16 x 32: for whoever wants to find them again */
#define VFIO_SIM_REGS_BYTES		0x100

#define VFIO_SIM_MAGIC_VALUE		0x4d495356	/* "VSIM" */

#define VFIO_SIM_MAX_LENGTH		0x1000000
#define VFIO_SIM_MAX_BLOCKS		0x10000
#define VFIO_SIM_MAX_INTERVAL		10000000
#define VFIO_SIM_MAX_PINNED		0x4000

/*
 * What FILL writes: the 64-bit word at byte OFFSET of block BLOCK in pass PASS, all
 * from 0. Two words of one block, or the same word in two passes, are never equal.
 */
static inline __u64 vfio_sim_pattern(__u64 seed, __u64 pass, __u32 block, __u64 offset)
{
	return (seed + pass) * 0x9e3779b97f4a7c15ULL ^
	       ((__u64)block << 40 | offset >> 3) * 0xbf58476d1ce4e5b9ULL;
}

/*
 * The region of VFIO_REGION_TYPE_MIGRATION_DEPRECATED: struct
 * vfio_device_migration_info, and at data_offset a window that may be mapped.
 */
#define VFIO_SIM_REGION_DATA		0x1000
#define VFIO_SIM_REGION_WINDOW		0x10000

/*
 * VFIO_DEVICE_FEATURE number of our own: what
 * VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT does, with the same structure, on kernels
 * whose vfio core was built without the means to (it says -EOPNOTSUPP there).
 */
#define VFIO_SIM_FEATURE_DMA_LOGGING_REPORT	0xff08

/* The stream: records, one after the other, little endian. */
#define VFIO_SIM_STREAM_MAGIC		0x314d49534f494656ULL	/* "VFIOSIM1" */
#define VFIO_SIM_STREAM_VERSION		1
#define VFIO_SIM_STREAM_MAX_BYTES	(64ULL << 20)
#define VFIO_SIM_RECORD_MAGIC		0x4352	/* "RC" */
#define VFIO_SIM_RECORD_MAX		4104	/* bytes that may follow a head */

enum vfio_sim_record_type {
	VFIO_SIM_RECORD_HELLO = 1,	/* the first one, once */
	VFIO_SIM_RECORD_MEMORY,		/* a page of own memory; any number, the last one counts */
	VFIO_SIM_RECORD_STATE,		/* registers, command, configuration space: once */
	VFIO_SIM_RECORD_PINS,		/* runs of pages that are kept pinned */
	VFIO_SIM_RECORD_END,		/* the last one */
};

struct vfio_sim_record {
	__le16 magic;
	__le16 type;
	__le32 length;		/* of what follows */
	__le32 sequence;	/* from 0 */
	__le32 crc;		/* of all that came before, this record's head up to here, what follows */
};

struct vfio_sim_hello {
	__le64 magic;
	__le32 version;
	__le32 memory_bytes;
	__le16 vendor;
	__le16 device;
	__le32 reserved;
};

struct vfio_sim_memory {
	__le32 page;
	__le32 reserved;
	__u8 data[4096];
};

struct vfio_sim_command {
	__le32 active;
	__le32 command;
	__le64 source;
	__le64 target;
	__le64 length;
	__le64 seed;
	__le64 stride;
	__le64 passes;
	__le32 blocks;
	__le32 interval;
	__le64 pass;		/* how far it has come */
	__le64 offset;
	__le32 block;
	__le32 reserved;
};

struct vfio_sim_state {
	__le32 words[VFIO_SIM_REGS_BYTES / 4];
	struct vfio_sim_command command;
	__u8 config[256];
};

struct vfio_sim_pins {
	__le64 page;		/* iova / 4096 */
	__le64 pages;
};

struct vfio_sim_end {
	__le32 records;		/* this one is counted */
	__le32 pinned;		/* pages */
};

#endif
