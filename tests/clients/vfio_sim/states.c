// SPDX-License-Identifier: GPL-2.0
/* The states of both protocols: every way from each to each, and what is no state. */
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "vfio.h"

static struct container c;
static struct device d;

/* From a fresh device to each state by steps that are known to be good. */
static void bring_v2(uint32_t state)
{
	must(ioctl(d.fd, VFIO_DEVICE_RESET));
	check(get_state(&d) == S_RUNNING, "reset leads elsewhere");
	if (state != S_RUNNING)
		must(set_state(&d, state, NULL));
	check(get_state(&d) == state, "it is in state %u", get_state(&d));
}

static void test_v2(void)
{
	/* rows from, columns to; RESUMING without data is left only by a reset */
	static const bool good[S_STATES][S_STATES] = {
		[S_STOP]      = { [S_STOP] = 1, [S_RUNNING] = 1, [S_STOP_COPY] = 1, [S_RESUMING] = 1,
				  [S_PRE_COPY] = 1 },
		[S_RUNNING]   = { [S_STOP] = 1, [S_RUNNING] = 1, [S_STOP_COPY] = 1, [S_RESUMING] = 1,
				  [S_PRE_COPY] = 1 },
		[S_STOP_COPY] = { [S_STOP] = 1, [S_RUNNING] = 1, [S_STOP_COPY] = 1, [S_RESUMING] = 1 },
		[S_RESUMING]  = { [S_RESUMING] = 1 },
		[S_PRE_COPY]  = { [S_STOP] = 1, [S_RUNNING] = 1, [S_STOP_COPY] = 1, [S_RESUMING] = 1,
				  [S_PRE_COPY] = 1 },
	};
	static const uint32_t froms[] = { S_STOP, S_RUNNING, S_STOP_COPY, S_RESUMING, S_PRE_COPY };
	struct {
		struct vfio_device_feature feature;
		struct vfio_device_feature_migration migration;
	} f = {
		.feature = {
			.argsz = sizeof(f),
			.flags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_MIGRATION,
		},
	};
	struct {
		struct vfio_device_feature feature;
		uint64_t bytes;
	} size = {
		.feature = {
			.argsz = sizeof(size),
			.flags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_MIG_DATA_SIZE,
		},
	};
	int fd;

	open_all(&c, &d, 1);
	must(ioctl(d.fd, VFIO_DEVICE_FEATURE, &f));
	check(f.migration.flags == (VFIO_MIGRATION_STOP_COPY | VFIO_MIGRATION_PRE_COPY), "%#llx",
	      f.migration.flags);

	must(ioctl(d.fd, VFIO_DEVICE_FEATURE, &size));
	check(size.bytes > VFIO_SIM_MEMORY_BYTES && size.bytes < 2 * VFIO_SIM_MEMORY_BYTES,
	      "%lu bytes once it is stopped", size.bytes);

	for (unsigned int i = 0; i < sizeof(froms) / sizeof(*froms); i++) {
		uint32_t from = froms[i];

		for (uint32_t to = 0; to <= S_STATES; to++) {
			bool begins = to == S_RESUMING || to == S_PRE_COPY || to == S_STOP_COPY;

			bring_v2(from);
			if (to == S_STATES || !good[from][to]) {
				refused(from == S_RESUMING && to < S_STATES && to &&
					to != S_RUNNING_P2P && to != S_PRE_COPY_P2P ? ENODATA : EINVAL,
					set_state(&d, to, NULL));
				check(get_state(&d) == from, "%u -> %u led to %u", from, to, get_state(&d));
				continue;
			}
			if (set_state(&d, to, &fd))
				err(EXIT_FAILURE, "%u -> %u", from, to);
			check(get_state(&d) == to, "%u -> %u led to %u", from, to, get_state(&d));
			/* a file comes where a transfer begins, not where one goes on */
			if (from == to || (from == S_PRE_COPY && to == S_STOP_COPY))
				begins = false;
			check((fd >= 0) == begins, "%u -> %u: file %d", from, to, fd);
			if (fd >= 0)
				must(close(fd));
		}
	}
	refused(EINVAL, set_state(&d, 0xffffffff, NULL));
	refused(EINVAL, set_state(&d, 0x80000002, NULL));
	close_all(&c, &d, 1);
}

static void bring_v1(uint32_t bits)
{
	must(ioctl(d.fd, VFIO_DEVICE_RESET));
	check(v1_get(&d) == V1_RUNNING, "reset leads elsewhere");
	must(v1_set(&d, bits));
	check(v1_get(&d) == bits, "it is in state %u", v1_get(&d));
}

static void test_v1(void)
{
	/* by bits: a stop, saving after pre-copy or without, resuming, and giving up */
	static const bool good[8][8] = {
		[V1_STOP]      = { [V1_STOP] = 1, [V1_RUNNING] = 1, [V1_STOP_COPY] = 1,
				   [V1_RESUMING] = 1 },
		[V1_RUNNING]   = { [V1_STOP] = 1, [V1_RUNNING] = 1, [V1_STOP_COPY] = 1,
				   [V1_PRE_COPY] = 1, [V1_RESUMING] = 1 },
		[V1_STOP_COPY] = { [V1_STOP] = 1, [V1_RUNNING] = 1, [V1_STOP_COPY] = 1 },
		[V1_PRE_COPY]  = { [V1_RUNNING] = 1, [V1_STOP_COPY] = 1, [V1_PRE_COPY] = 1 },
		[V1_RESUMING]  = { [V1_RESUMING] = 1 },
	};
	static const uint32_t nonsense[] = { 5, 6, 7, 8, 9, 16, 0x80000000, 0x80000001, ~0U };
	uint64_t value = 0;

	open_all(&c, &d, 1);
	for (uint32_t from = 0; from <= V1_RESUMING; from++) {
		for (uint32_t to = 0; to < 8; to++) {
			bring_v1(from);
			if (good[from][to]) {
				if (v1_set(&d, to))
					err(EXIT_FAILURE, "%u -> %u", from, to);
				check(v1_get(&d) == to, "%u -> %u led to %u", from, to, v1_get(&d));
			} else {
				/* of what it was to resume, nothing came */
				refused(from == V1_RESUMING && to < 2 ? ENODATA : EINVAL,
					v1_set(&d, to));
				check(v1_get(&d) == from, "%u -> %u led to %u", from, to, v1_get(&d));
			}
		}
		for (unsigned int i = 0; i < sizeof(nonsense) / sizeof(*nonsense); i++) {
			bring_v1(from);
			refused(EINVAL, v1_set(&d, nonsense[i]));
			check(v1_get(&d) == from, "%u -> %#x led to %u", from, nonsense[i], v1_get(&d));
		}
	}

#define FIELD(name)	(OFFSET(MIGRATION) + offsetof(struct vfio_device_migration_info, name))
	/* the fields: who may write them, and how wide they are */
	bring_v1(V1_RUNNING);
	check(v1_read64(&d, 8) == 0 && v1_read64(&d, 16) == VFIO_SIM_REGION_DATA &&
	      v1_read64(&d, 24) == 0, "there is something to transfer");
	refused(EINVAL, pwrite(d.fd, &value, 8, FIELD(pending_bytes)));
	refused(EINVAL, pwrite(d.fd, &value, 8, FIELD(data_offset)));
	refused(EINVAL, pwrite(d.fd, &value, 8, FIELD(data_size)));
	refused(EINVAL, pwrite(d.fd, &value, 8, FIELD(device_state)));
	refused(EINVAL, pwrite(d.fd, &value, 2, FIELD(device_state)));
	refused(EINVAL, pread(d.fd, &value, 4, FIELD(pending_bytes)));
	refused(EINVAL, pread(d.fd, &value, 8, FIELD(device_state)));
	refused(EINVAL, pread(d.fd, &value, 4, FIELD(pending_bytes) + 4));
	refused(EINVAL, pread(d.fd, &value, 8, OFFSET(MIGRATION) + 32));
	refused(EINVAL, pwrite(d.fd, &value, 8, OFFSET(MIGRATION) + VFIO_SIM_REGION_DATA));
	must(pwrite(d.fd, &value, 4, FIELD(reserved)));
	bring_v1(V1_STOP_COPY);
	value = 1;
	refused(EINVAL, pwrite(d.fd, &value, 8, FIELD(data_size)));
	refused(EINVAL, pwrite(d.fd, &value, 8, OFFSET(MIGRATION) + VFIO_SIM_REGION_DATA));
	bring_v1(V1_RESUMING);
	value = VFIO_SIM_REGION_WINDOW + 1;
	refused(EINVAL, pwrite(d.fd, &value, 8, FIELD(data_size)));
	value = ~0ULL;
	refused(EINVAL, pwrite(d.fd, &value, 8, FIELD(data_size)));
	close_all(&c, &d, 1);
}

/* Who began a transfer goes on with it; the other protocol sees it, and has to wait. */
static void test_both(void)
{
	int fd;

	open_all(&c, &d, 1);
	must(set_state(&d, S_PRE_COPY, &fd));
	check(v1_get(&d) == V1_PRE_COPY, "%u", v1_get(&d));
	check(v1_read64(&d, 8) == 0, "the region has data of another transfer");
	refused(EBUSY, v1_set(&d, V1_RUNNING));
	refused(EBUSY, v1_set(&d, V1_STOP_COPY));
	must(set_state(&d, S_STOP, NULL));
	must(close(fd));
	must(v1_set(&d, V1_RUNNING));
	must(v1_set(&d, V1_PRE_COPY));
	check(get_state(&d) == S_PRE_COPY, "%u", get_state(&d));
	refused(EBUSY, set_state(&d, S_STOP_COPY, NULL));
	refused(EBUSY, set_state(&d, S_RUNNING, NULL));
	must(v1_set(&d, V1_STOP_COPY));
	refused(EBUSY, set_state(&d, S_RESUMING, NULL));
	must(v1_set(&d, V1_STOP));
	must(set_state(&d, S_RUNNING, NULL));
	close_all(&c, &d, 1);
}

/* Stopped is stopped: no DMA, no writes by a driver; and it goes on where it was. */
static void test_stopped(void)
{
	uint8_t *mem = memory(64 * PAGE), *copy = memory(64 * PAGE);
	struct command k = fill_command(0x1000000, 64 * PAGE, 5);
	struct picture before, after;
	uint64_t passes;

	open_all(&c, &d, 1);
	map(&c, mem, 0x1000000, 64 * PAGE);
	k.passes = ~0ULL;
	start(&d, &k);
	for (int i = 0; i < 20; i++) {
		passes = reg64(&d, VFIO_SIM_PASSES_DONE);
		while (reg64(&d, VFIO_SIM_PASSES_DONE) < passes + 2)
			;
		must(set_state(&d, S_STOP, NULL));
		take_picture(&d, &before);
		memcpy(copy, mem, 64 * PAGE);
		set32(&d, VFIO_SIM_SCRATCH, i + 1);
		set32(&d, VFIO_SIM_DOORBELL, VFIO_SIM_DOORBELL_ABORT);
		own_write(&d, 100, &k, sizeof(k));
		usleep(3000);
		take_picture(&d, &after);
		same_picture(&before, &after);
		check(!memcmp(copy, mem, 64 * PAGE), "a stopped device wrote");
		must(set_state(&d, S_RUNNING, NULL));
	}
	close_all(&c, &d, 1);
}

/* Whatever is going on: the fd is closed, and the next one who opens it sees nothing of it. */
static void test_close(void)
{
	static const uint32_t states[] = { S_RUNNING, S_STOP, S_PRE_COPY, S_STOP_COPY, S_RESUMING };
	uint8_t *mem = memory(64 * PAGE), part[100] = { 0 };
	struct command k = fill_command(0x1000000, 64 * PAGE, 5);
	static struct picture fresh, p;
	struct pollfd pfd;
	int fd;

	open_all(&c, &d, 1);
	config_write(&d, 0x04, 0x0006, 2);
	take_picture(&d, &fresh);
	close_all(&c, &d, 1);
	k.passes = ~0ULL;
	k.command |= VFIO_SIM_KEEP;
	for (unsigned int i = 0; i < 10; i++) {
		open_all(&c, &d, 1);
		map(&c, mem, 0x1000000, 64 * PAGE);
		start(&d, &k);
		own_write(&d, 0, "left behind", 11);
		fd = -1;
		if (i < 5) {
			if (states[i] != S_RUNNING)
				must(set_state(&d, states[i], &fd));
			if (states[i] == S_PRE_COPY || states[i] == S_STOP_COPY)
				must(read(fd, part, sizeof(part)));
		} else if (i > 5) {
			static const uint32_t bits[] = { V1_STOP, V1_PRE_COPY, V1_STOP_COPY, V1_RESUMING };

			must(v1_set(&d, bits[i - 6]));
			v1_read64(&d, offsetof(struct vfio_device_migration_info, data_offset));
		}
		close_all(&c, &d, 1);
		if (fd >= 0) {
			pfd = (struct pollfd){ .fd = fd, .events = POLLIN };
			if (states[i] == S_RESUMING) {
				refused(ENODEV, write(fd, part, sizeof(part)));
			} else {
				check(must(poll(&pfd, 1, 5000)) == 1, "poll waits for nothing");
				refused(ENODEV, read(fd, part, sizeof(part)));
			}
			must(close(fd));
		}
		open_all(&c, &d, 1);
		check(get_state(&d) == S_RUNNING, "state %u", get_state(&d));
		take_picture(&d, &p);
		same_picture(&fresh, &p);
		close_all(&c, &d, 1);
	}
}

/* Stands at each of these points until it is told to go on by a line on stdin. */
static void stand(const char *at)
{
	char line[16];

	printf("{\"barrier\":true,\"at\":\"%s\"}\n", at);
	fflush(stdout);
	check(fgets(line, sizeof(line), stdin), "nobody says go on");
}

/* Given back by a process that goes on, and taken again. */
static void test_given_back(void)
{
	for (unsigned int i = 0; i < 2; i++) {
		open_all(&c, &d, 1);
		must(set_state(&d, S_STOP, NULL));
		must(set_state(&d, S_RUNNING, NULL));
		stand("open");
		close_all(&c, &d, 1);
		stand("closed");
	}
}

/* Let go of by its process, which goes on, and closed by a child at its end. */
static void test_given_away(void)
{
	int ends[2];
	char byte;
	pid_t pid;

	open_all(&c, &d, 1);
	must(set_state(&d, S_STOP, NULL));
	must(set_state(&d, S_RUNNING, NULL));
	must(pipe(ends));
	pid = must(fork());
	if (!pid) {
		close(ends[1]);
		_exit(read(ends[0], &byte, 1) ? EXIT_FAILURE : EXIT_SUCCESS);
	}
	must(close(ends[0]));
	must(close(d.fd));
	must(close(d.group));
	must(close(c.fd));
	stand("kept");
	must(close(ends[1]));
	must(waitpid(pid, NULL, 0));
	stand("closed");
}

/* A step that fails, after those that led there. */
static void test_failed_step(void)
{
	int fd;

	open_all(&c, &d, 1);
	must(set_state(&d, S_RESUMING, &fd));
	stand("resuming");
	refused(ENODATA, set_state(&d, S_STOP, NULL));
	stand("failed");
	must(close(fd));
	close_all(&c, &d, 1);
}

const struct test state_tests[] = {
	{ "states_v1", test_v1 },
	{ "states_v2", test_v2 },
	{ "states_both", test_both },
	{ "stopped", test_stopped },
	{ "close", test_close },
	{ "given_back", test_given_back },
	{ "given_away", test_given_away },
	{ "failed_step", test_failed_step },
	{ 0 }
};
