/* SPDX-License-Identifier: GPL-2.0 */
/* A VFIO container with simulated devices in it, for the tests beside this file. */
#ifndef CLIENTS_VFIO_SIM_H
#define CLIENTS_VFIO_SIM_H

#include <err.h>
#include <errno.h>
#include <linux/vfio.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <migscope/vfio_sim.h>

/* Newer than the user's headers may be. */
#ifndef VFIO_MIGRATION_PRE_COPY
#define VFIO_MIGRATION_PRE_COPY		(1 << 2)
#endif
#ifndef VFIO_DEVICE_FEATURE_MIG_DATA_SIZE
#define VFIO_DEVICE_FEATURE_MIG_DATA_SIZE 9
#endif
#ifndef VFIO_MIG_GET_PRECOPY_INFO
struct vfio_precopy_info {
	__u32 argsz;
	__u32 flags;
	__aligned_u64 initial_bytes;
	__aligned_u64 dirty_bytes;
};
#define VFIO_MIG_GET_PRECOPY_INFO	_IO(VFIO_TYPE, VFIO_BASE + 21)
#endif

#define PAGE		4096UL
#define OFFSET(index)	((uint64_t)(index) << 40)
#define MIGRATION	VFIO_PCI_NUM_REGIONS	/* index of the region */

/* The states of today's protocol; two of them the user's headers may not have. */
enum { S_ERROR, S_STOP, S_RUNNING, S_STOP_COPY, S_RESUMING, S_RUNNING_P2P, S_PRE_COPY,
       S_PRE_COPY_P2P, S_STATES };

/* and of the region's, by bits */
enum { V1_STOP = 0, V1_RUNNING = 1, V1_STOP_COPY = 2, V1_PRE_COPY = 3, V1_RESUMING = 4 };

#define must(call) ({						\
	__typeof__(call) must_result = (call);			\
	if (must_result < 0)					\
		err(EXIT_FAILURE, "%s:%d: %s", __func__, __LINE__, #call); \
	must_result;						\
})

#define check(condition, ...) do {				\
	if (!(condition)) {					\
		fprintf(stderr, "%s:%d: %s: ", __func__, __LINE__, #condition); \
		errx(EXIT_FAILURE, __VA_ARGS__);		\
	}							\
} while (0)

/* The call has to fail, with this error. */
#define refused(wanted, call) do {				\
	errno = 0;						\
	long refused_result = (call);				\
	check(refused_result == -1 && errno == (wanted), "%s: %ld, %s; want %s", #call, \
	      refused_result, strerror(errno), strerror(wanted)); \
} while (0)

struct container {
	int fd;
};

struct device {
	int group;
	int fd;
};

struct command {
	uint32_t command;
	uint64_t source, target, length, seed, stride, passes;
	uint32_t blocks, interval;
};

/* how many devices there are to use, by name, and their order */
extern const char *names[];
extern unsigned int nr_names;

void container_open(struct container *c);
void container_close(struct container *c);
void device_open(struct container *c, struct device *d, const char *uuid);
void device_close(struct device *d);
/* a container with so many devices in it */
void open_all(struct container *c, struct device *d, unsigned int n);
void close_all(struct container *c, struct device *d, unsigned int n);

void *memory(size_t bytes);
void map(struct container *c, void *memory, uint64_t iova, uint64_t bytes);
int try_unmap(struct container *c, uint64_t iova, uint64_t bytes, uint64_t *bitmap);
void unmap(struct container *c, uint64_t iova, uint64_t bytes);
void dirty(struct container *c, uint32_t flag);
int try_dirty_get(struct container *c, uint64_t iova, uint64_t bytes, void *bitmap);
void dirty_get(struct container *c, uint64_t iova, uint64_t bytes, void *bitmap);

uint32_t config32(struct device *d, uint32_t offset);
void config_write(struct device *d, uint32_t offset, uint32_t value, unsigned int bytes);
uint32_t reg32(struct device *d, uint32_t reg);
uint64_t reg64(struct device *d, uint32_t reg);
void set32(struct device *d, uint32_t reg, uint32_t value);
void set64(struct device *d, uint32_t reg, uint64_t value);
void own_read(struct device *d, uint32_t offset, void *to, size_t bytes);
void own_write(struct device *d, uint32_t offset, const void *from, size_t bytes);

struct command fill_command(uint64_t target, uint64_t length, uint64_t seed);
void start(struct device *d, const struct command *command);
void wait_idle(struct device *d);
/* do it, and return the device's error */
uint32_t run(struct device *d, const struct command *command);

int set_irqs(struct device *d, uint32_t index, uint32_t flags, uint32_t count, const int32_t *fd);

int set_state(struct device *d, uint32_t state, int *data_fd);
uint32_t get_state(struct device *d);
int v1_set(struct device *d, uint32_t bits);
uint32_t v1_get(struct device *d);
uint64_t v1_read64(struct device *d, size_t field);

/* All that a driver can see of a device. */
struct picture {
	uint32_t words[VFIO_SIM_REGS_BYTES / 4];
	uint8_t config[256];
	uint8_t memory[VFIO_SIM_MEMORY_BYTES];
};

void take_picture(struct device *d, struct picture *p);
void same_picture(const struct picture *a, const struct picture *b);

/* A device's state as it travels. */
struct blob {
	uint8_t *bytes;
	size_t len;
};

struct blob save_v2(struct device *d);
struct blob save_v1(struct device *d, bool mapped);
/* as far as it goes: 0, or the error number */
int load_v2(struct device *d, const struct blob *b, size_t piece);
int load_v1(struct device *d, const struct blob *b, bool mapped);
void blob_add(struct blob *b, const void *bytes, size_t len);
uint32_t crc32_le(uint32_t crc, const void *bytes, size_t len);

/* The parts of the test, by file. */
struct test {
	const char *name;
	void (*function)(void);
};

extern const struct test device_tests[], dirty_tests[], state_tests[], transfer_tests[],
	hostile_tests[];

extern uint64_t rng_state;
uint64_t rng(void);

#endif
