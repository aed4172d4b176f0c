// SPDX-License-Identifier: GPL-2.0
/* What all parts of the test use: see vfio.h. */
#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <time.h>

#include "vfio.h"

uint64_t rng_state = 1;

uint64_t rng(void)
{
	/* xorshift64* */
	rng_state ^= rng_state >> 12;
	rng_state ^= rng_state << 25;
	rng_state ^= rng_state >> 27;
	return rng_state * 0x2545f4914f6cdd1dULL;
}

void container_open(struct container *c)
{
	c->fd = must(open("/dev/vfio/vfio", O_RDWR));
	check(ioctl(c->fd, VFIO_GET_API_VERSION) == VFIO_API_VERSION, "another API");
}

void container_close(struct container *c)
{
	must(close(c->fd));
}

void device_open(struct container *c, struct device *d, const char *uuid)
{
	char path[PATH_MAX], link[PATH_MAX];
	struct vfio_group_status status = { .argsz = sizeof(status) };
	ssize_t len;

	snprintf(path, sizeof(path), "/sys/bus/mdev/devices/%s/iommu_group", uuid);
	len = must(readlink(path, link, sizeof(link) - 1));
	link[len] = '\0';
	snprintf(path, sizeof(path), "/dev/vfio%s", strrchr(link, '/'));
	d->group = must(open(path, O_RDWR));
	must(ioctl(d->group, VFIO_GROUP_GET_STATUS, &status));
	check(status.flags & VFIO_GROUP_FLAGS_VIABLE, "group of %s", uuid);
	must(ioctl(d->group, VFIO_GROUP_SET_CONTAINER, &c->fd));
	/* the first group of a container */
	if (ioctl(c->fd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) && errno != EBUSY && errno != EINVAL)
		err(EXIT_FAILURE, "VFIO_SET_IOMMU");
	d->fd = must(ioctl(d->group, VFIO_GROUP_GET_DEVICE_FD, uuid));
	config_write(d, 0x04, 0x0006, 2);	/* memory, bus master */
}

void device_close(struct device *d)
{
	must(close(d->fd));
	must(ioctl(d->group, VFIO_GROUP_UNSET_CONTAINER));
	must(close(d->group));
}

void open_all(struct container *c, struct device *d, unsigned int n)
{
	check(n <= nr_names, "needs %u devices", n);
	container_open(c);
	for (unsigned int i = 0; i < n; i++)
		device_open(c, &d[i], names[i]);
}

void close_all(struct container *c, struct device *d, unsigned int n)
{
	while (n--)
		device_close(&d[n]);
	container_close(c);
}

void *memory(size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		err(EXIT_FAILURE, "memory");
	return at;
}

void map(struct container *c, void *memory, uint64_t iova, uint64_t bytes)
{
	struct vfio_iommu_type1_dma_map m = {
		.argsz = sizeof(m),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)memory,
		.iova = iova,
		.size = bytes,
	};

	must(ioctl(c->fd, VFIO_IOMMU_MAP_DMA, &m));
}

int try_unmap(struct container *c, uint64_t iova, uint64_t bytes, uint64_t *bitmap)
{
	struct {
		struct vfio_iommu_type1_dma_unmap unmap;
		struct vfio_bitmap bitmap;
	} u = {
		.unmap = {
			.argsz = sizeof(u),
			.flags = bitmap ? VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP : 0,
			.iova = iova,
			.size = bytes,
		},
		.bitmap = {
			.pgsize = PAGE,
			.size = (bytes / PAGE + 63) / 64 * 8,
			.data = (void *)bitmap,
		},
	};

	return ioctl(c->fd, VFIO_IOMMU_UNMAP_DMA, &u);
}

void unmap(struct container *c, uint64_t iova, uint64_t bytes)
{
	must(try_unmap(c, iova, bytes, NULL));
}

void dirty(struct container *c, uint32_t flag)
{
	struct vfio_iommu_type1_dirty_bitmap b = { .argsz = sizeof(b), .flags = flag };

	must(ioctl(c->fd, VFIO_IOMMU_DIRTY_PAGES, &b));
}

int try_dirty_get(struct container *c, uint64_t iova, uint64_t bytes, void *bitmap)
{
	struct {
		struct vfio_iommu_type1_dirty_bitmap head;
		struct vfio_iommu_type1_dirty_bitmap_get get;
	} g = {
		.head = {
			.argsz = sizeof(g),
			.flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP,
		},
		.get = {
			.iova = iova,
			.size = bytes,
			.bitmap = {
				.pgsize = PAGE,
				.size = (bytes / PAGE + 63) / 64 * 8,
				.data = bitmap,
			},
		},
	};

	return ioctl(c->fd, VFIO_IOMMU_DIRTY_PAGES, &g);
}

void dirty_get(struct container *c, uint64_t iova, uint64_t bytes, void *bitmap)
{
	must(try_dirty_get(c, iova, bytes, bitmap));
}

static void get(struct device *d, uint64_t at, void *to, size_t bytes)
{
	ssize_t n = pread(d->fd, to, bytes, at);

	if (n != (ssize_t)bytes)
		err(EXIT_FAILURE, "reading %zu bytes at %#lx: %zd", bytes, at, n);
}

static void put(struct device *d, uint64_t at, const void *from, size_t bytes)
{
	ssize_t n = pwrite(d->fd, from, bytes, at);

	if (n != (ssize_t)bytes)
		err(EXIT_FAILURE, "writing %zu bytes at %#lx: %zd", bytes, at, n);
}

uint32_t config32(struct device *d, uint32_t offset)
{
	uint32_t value;

	get(d, OFFSET(VFIO_PCI_CONFIG_REGION_INDEX) + offset, &value, sizeof(value));
	return value;
}

void config_write(struct device *d, uint32_t offset, uint32_t value, unsigned int bytes)
{
	put(d, OFFSET(VFIO_PCI_CONFIG_REGION_INDEX) + offset, &value, bytes);
}

uint32_t reg32(struct device *d, uint32_t reg)
{
	uint32_t value;

	get(d, OFFSET(VFIO_PCI_BAR0_REGION_INDEX) + reg, &value, sizeof(value));
	return value;
}

uint64_t reg64(struct device *d, uint32_t reg)
{
	uint64_t value;

	get(d, OFFSET(VFIO_PCI_BAR0_REGION_INDEX) + reg, &value, sizeof(value));
	return value;
}

void set32(struct device *d, uint32_t reg, uint32_t value)
{
	put(d, OFFSET(VFIO_PCI_BAR0_REGION_INDEX) + reg, &value, sizeof(value));
}

void set64(struct device *d, uint32_t reg, uint64_t value)
{
	put(d, OFFSET(VFIO_PCI_BAR0_REGION_INDEX) + reg, &value, sizeof(value));
}

void own_read(struct device *d, uint32_t offset, void *to, size_t bytes)
{
	get(d, OFFSET(VFIO_PCI_BAR2_REGION_INDEX) + offset, to, bytes);
}

void own_write(struct device *d, uint32_t offset, const void *from, size_t bytes)
{
	put(d, OFFSET(VFIO_PCI_BAR2_REGION_INDEX) + offset, from, bytes);
}

struct command fill_command(uint64_t target, uint64_t length, uint64_t seed)
{
	return (struct command){
		.command = VFIO_SIM_OP_FILL,
		.target = target,
		.length = length,
		.seed = seed,
		.passes = 1,
		.blocks = 1,
	};
}

void start(struct device *d, const struct command *c)
{
	set32(d, VFIO_SIM_COMMAND, c->command);
	set64(d, VFIO_SIM_SOURCE, c->source);
	set64(d, VFIO_SIM_TARGET, c->target);
	set64(d, VFIO_SIM_LENGTH, c->length);
	set64(d, VFIO_SIM_SEED, c->seed);
	set64(d, VFIO_SIM_STRIDE, c->stride);
	set64(d, VFIO_SIM_PASSES, c->passes);
	set32(d, VFIO_SIM_BLOCKS, c->blocks);
	set32(d, VFIO_SIM_INTERVAL, c->interval);
	set32(d, VFIO_SIM_DOORBELL, VFIO_SIM_DOORBELL_START);
}

void wait_idle(struct device *d)
{
	const struct timespec moment = { .tv_nsec = 200000 };

	for (int i = 0; reg32(d, VFIO_SIM_STATUS) & VFIO_SIM_STATUS_BUSY; i++) {
		check(i < 150000, "the device is busy for ever");
		nanosleep(&moment, NULL);
	}
}

uint32_t run(struct device *d, const struct command *command)
{
	start(d, command);
	wait_idle(d);
	return reg32(d, VFIO_SIM_ERROR);
}

int set_irqs(struct device *d, uint32_t index, uint32_t flags, uint32_t count, const int32_t *fd)
{
	struct {
		struct vfio_irq_set set;
		int32_t fd;
	} s = {
		.set = {
			.argsz = sizeof(s),
			.flags = flags,
			.index = index,
			.count = count,
		},
	};

	if (fd)
		memcpy(s.set.data, fd, sizeof(*fd));
	return ioctl(d->fd, VFIO_DEVICE_SET_IRQS, &s);
}

struct state_feature {
	struct vfio_device_feature feature;
	struct vfio_device_feature_mig_state state;
};

int set_state(struct device *d, uint32_t state, int *data_fd)
{
	struct state_feature f = {
		.feature = {
			.argsz = sizeof(f),
			.flags = VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE,
		},
		.state.device_state = state,
	};
	int error = ioctl(d->fd, VFIO_DEVICE_FEATURE, &f);

	if (data_fd)
		*data_fd = error ? -1 : f.state.data_fd;
	else if (!error && f.state.data_fd >= 0)
		must(close(f.state.data_fd));
	return error;
}

uint32_t get_state(struct device *d)
{
	struct state_feature f = {
		.feature = {
			.argsz = sizeof(f),
			.flags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE,
		},
	};

	must(ioctl(d->fd, VFIO_DEVICE_FEATURE, &f));
	check(f.state.data_fd == -1, "GET brings a file");
	return f.state.device_state;
}

int v1_set(struct device *d, uint32_t bits)
{
	ssize_t n = pwrite(d->fd, &bits, sizeof(bits), OFFSET(MIGRATION));

	return n == sizeof(bits) ? 0 : -1;
}

uint32_t v1_get(struct device *d)
{
	uint32_t bits;

	get(d, OFFSET(MIGRATION), &bits, sizeof(bits));
	return bits;
}

uint64_t v1_read64(struct device *d, size_t field)
{
	uint64_t value;

	get(d, OFFSET(MIGRATION) + field, &value, sizeof(value));
	return value;
}

void take_picture(struct device *d, struct picture *p)
{
	for (unsigned int i = 0; i < VFIO_SIM_REGS_BYTES / 4; i++)
		p->words[i] = reg32(d, i * 4);
	get(d, OFFSET(VFIO_PCI_CONFIG_REGION_INDEX), p->config, sizeof(p->config));
	own_read(d, 0, p->memory, sizeof(p->memory));
}

void same_picture(const struct picture *a, const struct picture *b)
{
	for (unsigned int i = 0; i < VFIO_SIM_REGS_BYTES / 4; i++)
		check(a->words[i] == b->words[i], "register %#x: %#x and %#x", i * 4,
		      a->words[i], b->words[i]);
	for (unsigned int i = 0; i < sizeof(a->config); i++)
		check(a->config[i] == b->config[i], "configuration byte %#x: %#x and %#x", i,
		      a->config[i], b->config[i]);
	for (unsigned int i = 0; i < sizeof(a->memory); i++)
		check(a->memory[i] == b->memory[i], "memory byte %#x: %#x and %#x", i,
		      a->memory[i], b->memory[i]);
}

void blob_add(struct blob *b, const void *bytes, size_t len)
{
	b->bytes = realloc(b->bytes, b->len + len + 1);
	memcpy(b->bytes + b->len, bytes, len);
	b->len += len;
}

/* Stops the device, too. */
struct blob save_v2(struct device *d)
{
	struct blob b = { 0 };
	uint8_t part[3000];
	ssize_t n;
	int fd;

	must(set_state(d, S_STOP_COPY, &fd));
	check(fd >= 0, "no file to save to");
	while ((n = must(read(fd, part, sizeof(part)))) > 0)
		blob_add(&b, part, n);
	must(set_state(d, S_STOP, NULL));
	must(close(fd));
	return b;
}

int load_v2(struct device *d, const struct blob *b, size_t piece)
{
	size_t done = 0;
	int fd, error = 0;

	must(set_state(d, S_RESUMING, &fd));
	check(fd >= 0, "no file to load from");
	while (done < b->len && !error) {
		ssize_t n = write(fd, b->bytes + done, piece < b->len - done ? piece : b->len - done);

		if (n < 0)
			error = errno;
		else
			done += n;
	}
	if (!error && set_state(d, S_STOP, NULL))
		error = errno;
	must(close(fd));
	return error;
}

static uint8_t *map_window(struct device *d)
{
	void *at = mmap(NULL, VFIO_SIM_REGION_WINDOW, PROT_READ | PROT_WRITE, MAP_SHARED, d->fd,
			OFFSET(MIGRATION) + VFIO_SIM_REGION_DATA);

	if (at == MAP_FAILED)
		err(EXIT_FAILURE, "mapping the window");
	return at;
}

/* Stops the device, too. */
struct blob save_v1(struct device *d, bool mapped)
{
	uint8_t *window = mapped ? map_window(d) : malloc(VFIO_SIM_REGION_WINDOW);
	struct blob b = { 0 };
	uint64_t offset, size;

	must(v1_set(d, V1_STOP_COPY));
	while (v1_read64(d, offsetof(struct vfio_device_migration_info, pending_bytes))) {
		offset = v1_read64(d, offsetof(struct vfio_device_migration_info, data_offset));
		check(offset == VFIO_SIM_REGION_DATA, "data at %#lx", offset);
		size = v1_read64(d, offsetof(struct vfio_device_migration_info, data_size));
		check(size && size <= VFIO_SIM_REGION_WINDOW, "%#lx bytes", size);
		/* asked again, it is the same */
		check(v1_read64(d, offsetof(struct vfio_device_migration_info, data_offset)) ==
		      offset, "it moved");
		check(v1_read64(d, offsetof(struct vfio_device_migration_info, data_size)) == size,
		      "it grew");
		if (!mapped)
			get(d, OFFSET(MIGRATION) + offset, window, size);
		blob_add(&b, window, size);
	}
	must(v1_set(d, V1_STOP));
	if (mapped)
		must(munmap(window, VFIO_SIM_REGION_WINDOW));
	else
		free(window);
	return b;
}

int load_v1(struct device *d, const struct blob *b, bool mapped)
{
	uint8_t *window = mapped ? map_window(d) : NULL;
	size_t done = 0;
	int error = 0;

	must(v1_set(d, V1_RESUMING));
	while (done < b->len && !error) {
		uint64_t size = b->len - done;
		uint64_t at = v1_read64(d, offsetof(struct vfio_device_migration_info, data_offset));

		if (size > VFIO_SIM_REGION_WINDOW)
			size = VFIO_SIM_REGION_WINDOW;
		if (mapped)
			memcpy(window, b->bytes + done, size);
		else
			put(d, OFFSET(MIGRATION) + at, b->bytes + done, size);
		if (pwrite(d->fd, &size, sizeof(size), OFFSET(MIGRATION) +
			   offsetof(struct vfio_device_migration_info, data_size)) != sizeof(size))
			error = errno;
		done += size;
	}
	if (!error && v1_set(d, V1_STOP))
		error = errno;
	if (mapped)
		must(munmap(window, VFIO_SIM_REGION_WINDOW));
	return error;
}

uint32_t crc32_le(uint32_t crc, const void *bytes, size_t len)
{
	static uint32_t table[256];
	const uint8_t *at = bytes;

	for (uint32_t i = 0; !table[255]; i++) {
		uint32_t entry = i;

		for (int bit = 0; bit < 8; bit++)
			entry = entry >> 1 ^ (entry & 1 ? 0xedb88320 : 0);
		table[i] = entry;
	}
	while (len--)
		crc = crc >> 8 ^ table[(crc ^ *at++) & 0xff];
	return crc;
}
