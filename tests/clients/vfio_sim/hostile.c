// SPDX-License-Identifier: GPL-2.0
/*
 * Streams that were made up: each way of being wrong has its error, and none of them
 * changes the device.
 */
#include <sys/mman.h>

#include "vfio.h"

#define IOVA	0x400000000ULL
#define PAGES	64

static struct container c;
static struct device d[2];
static uint8_t *mem;
static struct blob good;
static struct picture before;

/* A good stream of the first device, and a second one that nothing may change. */
static void begin(void)
{
	struct command k = fill_command(IOVA, 100, 7);

	open_all(&c, d, 2);
	mem = memory(PAGES * PAGE);
	map(&c, mem, IOVA, PAGES * PAGE);
	own_write(&d[0], 5000, "to be saved", 11);
	k.command |= VFIO_SIM_KEEP;
	k.blocks = 10;
	k.stride = 2 * PAGE;
	check(run(&d[0], &k) == 0, "pins");
	k.command &= ~VFIO_SIM_KEEP;
	k.passes = 1000;
	k.interval = VFIO_SIM_MAX_INTERVAL;
	start(&d[0], &k);
	while (!reg64(&d[0], VFIO_SIM_PASSES_DONE))
		;
	good = save_v2(&d[0]);

	own_write(&d[1], 0, "nobody's business", 17);
	set32(&d[1], VFIO_SIM_SCRATCH, 0x12345678);
	must(set_state(&d[1], S_STOP, NULL));
	take_picture(&d[1], &before);
}

static void end(void)
{
	static struct picture after;

	/* after all that, a good one is still welcome */
	check(load_v2(&d[1], &good, 10000) == 0, "the good one is refused");
	take_picture(&d[1], &after);
	check(!memcmp(after.memory + 5000, "to be saved", 11), "it did not arrive");
	free(good.bytes);
	close_all(&c, d, 2);
	must(munmap(mem, PAGES * PAGE));
}

/* Nothing of it stays; then as at the beginning. */
static void unchanged(void)
{
	static struct picture after;

	take_picture(&d[1], &after);
	same_picture(&before, &after);
	check(get_state(&d[1]) == S_RESUMING, "state %u", get_state(&d[1]));
	must(ioctl(d[1].fd, VFIO_DEVICE_RESET));
	config_write(&d[1], 0x04, 0x0006, 2);
	own_write(&d[1], 0, "nobody's business", 17);
	set32(&d[1], VFIO_SIM_SCRATCH, 0x12345678);
	must(set_state(&d[1], S_STOP, NULL));
}

/* The nth record of a type, and where it begins. */
static struct vfio_sim_record *record(struct blob *b, uint16_t type, unsigned int n)
{
	struct vfio_sim_record *r;

	for (size_t at = 0; at < b->len; at += sizeof(*r) + r->length) {
		r = (void *)(b->bytes + at);
		if (r->type == type && !n--)
			return r;
	}
	errx(EXIT_FAILURE, "no record of type %u", type);
}

/* Checksums and numbers as they should be for what stands there. */
static void reseal(struct blob *b)
{
	struct vfio_sim_record *r;
	uint32_t crc = 0, sequence = 0;

	for (size_t at = 0; at + sizeof(*r) <= b->len; at += sizeof(*r) + r->length) {
		r = (void *)(b->bytes + at);
		if (r->length > b->len - at - sizeof(*r))
			return;
		r->sequence = sequence++;
		crc = crc32_le(crc, r, offsetof(struct vfio_sim_record, crc));
		crc = crc32_le(crc, r + 1, r->length);
		r->crc = crc;
	}
}

static struct blob copy(void)
{
	struct blob b = { 0 };

	blob_add(&b, good.bytes, good.len);
	return b;
}

static void cut(struct blob *b, void *from, size_t len)
{
	size_t at = (uint8_t *)from - b->bytes;

	memmove(from, (uint8_t *)from + len, b->len - at - len);
	b->len -= len;
}

static void refuse(struct blob *b, int wanted, bool v1, const char *what)
{
	int error = v1 ? load_v1(&d[1], b, rng() & 1) : load_v2(&d[1], b, rng() % 9000 + 1);

	check(error == wanted, "%s: %s, want %s", what, strerror(error), strerror(wanted));
	unchanged();
}

#define WRONG(wanted, ...) do {						\
	for (int v1 = 0; v1 < 2; v1++) {				\
		struct blob b = copy();					\
		struct vfio_sim_hello *hello = (void *)(record(&b, VFIO_SIM_RECORD_HELLO, 0) + 1); \
		struct vfio_sim_memory *own = (void *)(record(&b, VFIO_SIM_RECORD_MEMORY, 1) + 1); \
		struct vfio_sim_state *state = (void *)(record(&b, VFIO_SIM_RECORD_STATE, 0) + 1); \
		struct vfio_sim_pins *pins = (void *)(record(&b, VFIO_SIM_RECORD_PINS, 0) + 1);	\
		struct vfio_sim_end *last = (void *)(record(&b, VFIO_SIM_RECORD_END, 0) + 1); \
									\
		(void)hello; (void)own; (void)state; (void)pins; (void)last; \
		__VA_ARGS__;						\
		refuse(&b, wanted, v1, #__VA_ARGS__);			\
		free(b.bytes);						\
	}								\
} while (0)

#define HEAD(of)	(((struct vfio_sim_record *)(of))[-1])

static void test_streams(void)
{
	begin();
	/* ended early: between records, in one, at once */
	WRONG(ENODATA, b.len = 0);
	WRONG(ENODATA, b.len = 3);
	WRONG(ENODATA, b.len -= 1);
	WRONG(ENODATA, b.len -= sizeof(*last) + sizeof(struct vfio_sim_record));
	WRONG(ENODATA, b.len = (uint8_t *)&HEAD(state) - b.bytes);
	/* something behind the end */
	WRONG(EINVAL, blob_add(&b, "x", 1));
	WRONG(EINVAL, blob_add(&b, good.bytes, good.len));
	/* damaged, lost, doubled, out of order */
	WRONG(EBADMSG, own->data[4095] ^= 1);
	WRONG(EBADMSG, hello->version ^= 2);
	WRONG(EBADMSG, HEAD(last).crc ^= 1);
	WRONG(EBADMSG, HEAD(own).sequence += 1);
	WRONG(EBADMSG, cut(&b, &HEAD(own), sizeof(*own) + sizeof(struct vfio_sim_record)));
	WRONG(EBADMSG, own->page = 5);
	/* somebody else's, of another time, no stream at all */
	WRONG(EINVAL, memset(b.bytes, 0, b.len));
	WRONG(EINVAL, memset(b.bytes, 0xff, b.len));
	WRONG(EINVAL, hello->magic++; reseal(&b));
	WRONG(EINVAL, hello->reserved++; reseal(&b));
	WRONG(EPROTONOSUPPORT, hello->version++; reseal(&b));
	WRONG(ENODEV, hello->vendor++; reseal(&b));
	WRONG(ENODEV, hello->device++; reseal(&b));
	WRONG(ENODEV, hello->memory_bytes *= 2; reseal(&b));
	/* records too long, too short, of no type, where they do not belong */
	WRONG(EMSGSIZE, HEAD(own).length = VFIO_SIM_RECORD_MAX + 1);
	WRONG(EMSGSIZE, HEAD(own).length = ~0U);
	WRONG(EINVAL, HEAD(own).length = 0);
	WRONG(EINVAL, HEAD(own).length -= 1);
	WRONG(EINVAL, HEAD(own).type = 0; reseal(&b));
	WRONG(EINVAL, HEAD(own).type = 99; reseal(&b));
	WRONG(EINVAL, cut(&b, b.bytes, sizeof(*hello) + sizeof(struct vfio_sim_record)); reseal(&b));
	WRONG(EINVAL, cut(&b, &HEAD(state), sizeof(*state) + sizeof(struct vfio_sim_record));
	      reseal(&b));
	WRONG(EINVAL, HEAD(pins).length = 8; reseal(&b));
	/* contents that cannot be */
	WRONG(EINVAL, own->page = VFIO_SIM_MEMORY_BYTES / 4096; reseal(&b));
	WRONG(EINVAL, own->page = ~0U; reseal(&b));
	WRONG(EINVAL, own->reserved = 1; reseal(&b));
	WRONG(EINVAL, state->words[VFIO_SIM_MAGIC / 4] = 0; reseal(&b));
	WRONG(EINVAL, state->words[0x28 / 4] = 1; reseal(&b));
	WRONG(EINVAL, state->words[VFIO_SIM_STATUS / 4] = 0; reseal(&b));
	WRONG(EINVAL, state->words[VFIO_SIM_DOORBELL / 4] = 1; reseal(&b));
	WRONG(EINVAL, state->words[VFIO_SIM_IRQ_STATUS / 4] = 4; reseal(&b));
	WRONG(EINVAL, state->config[0] ^= 1; reseal(&b));
	WRONG(EINVAL, state->config[0x42] ^= 0x10; reseal(&b));
	WRONG(EINVAL, state->command.active = 2; reseal(&b));
	WRONG(EINVAL, state->command.active = 0; reseal(&b));
	WRONG(EINVAL, state->command.reserved = 1; reseal(&b));
	WRONG(EINVAL, state->command.command = 77; reseal(&b));
	WRONG(EINVAL, state->command.pass = state->command.passes; reseal(&b));
	WRONG(EINVAL, state->command.block = state->command.blocks; reseal(&b));
	WRONG(EINVAL, state->command.offset = state->command.length; reseal(&b));
	WRONG(EINVAL, state->command.offset = 1; reseal(&b));
	WRONG(EINVAL, state->command.length = 1ULL << 40; reseal(&b));
	WRONG(EINVAL, state->command.target = ~0ULL; reseal(&b));
	WRONG(EINVAL, state->command.command = VFIO_SIM_OP_LOAD; reseal(&b));
	WRONG(EINVAL, state->command.command = VFIO_SIM_OP_STORE;
	      state->command.source = VFIO_SIM_MEMORY_BYTES; reseal(&b));
	WRONG(EINVAL, pins[0].pages = 0; reseal(&b));
	WRONG(EINVAL, pins[0].pages = ~0ULL; reseal(&b));
	WRONG(EINVAL, pins[0].pages = VFIO_SIM_MAX_PINNED + 1; reseal(&b));
	WRONG(EINVAL, pins[1].page = pins[0].page; reseal(&b));
	WRONG(EINVAL, pins[0].page = ~0ULL; reseal(&b));
	WRONG(EINVAL, pins[0].page = 1ULL << 52; reseal(&b));
	WRONG(EINVAL, last->records++; reseal(&b));
	WRONG(EINVAL, last->pinned++; reseal(&b));
	/* a page that this device cannot pin: nothing is left pinned */
	WRONG(EINVAL, pins[9].page += PAGES; reseal(&b));
	end();
}

/* More than a device can ever have to say, all of it good. */
static void test_endless(void)
{
	struct vfio_sim_record *head;
	struct blob b = { 0 };
	uint64_t sent = 0;
	uint32_t crc;
	size_t len;
	int fd;

	begin();
	b = copy();
	head = record(&b, VFIO_SIM_RECORD_MEMORY, 0);
	len = sizeof(*head) + head->length;
	must(set_state(&d[1], S_RESUMING, &fd));
	sent = must(write(fd, b.bytes, (uint8_t *)head - b.bytes));
	/* the record before is HELLO */
	crc = ((struct vfio_sim_record *)b.bytes)->crc;
	for (;;) {
		uint32_t tail;

		/* only the head changes: what follows is always the same */
		crc = crc32_le(crc, head, offsetof(struct vfio_sim_record, crc));
		tail = crc32_le(crc, head + 1, head->length);
		head->crc = crc = tail;
		if (write(fd, head, len) < 0)
			break;
		head->sequence++;
		sent += len;
		check(sent <= VFIO_SIM_STREAM_MAX_BYTES, "it takes %lu bytes", sent);
	}
	check(errno == EFBIG, "%s after %lu bytes", strerror(errno), sent);
	check(sent > VFIO_SIM_STREAM_MAX_BYTES - len, "after %lu bytes already", sent);
	refused(EFBIG, write(fd, "x", 1));
	must(close(fd));
	unchanged();
	free(b.bytes);
	end();
}

/* Anything, with checksums that are right and not: refused or taken, never half of it. */
static void test_fuzz(void)
{
	unsigned int taken = 0, refusals = 0;

	begin();
	for (int round = 0; round < 300; round++) {
		struct blob b = copy();
		bool late = rng() & 1;
		int error;

		/* what is interesting lies behind the memory */
		for (int n = rng() % 4 + 1; n; n--) {
			size_t from = late ? (uint8_t *)record(&good, VFIO_SIM_RECORD_STATE, 0) -
					     good.bytes : 0;
			size_t at = from + rng() % (good.len - from);

			if (at >= b.len)
				continue;
			switch (rng() % 5) {
			case 0:
				b.bytes[at] ^= 1 << rng() % 8;
				break;
			case 1:
				b.bytes[at] = rng();
				break;
			case 2:
				memset(b.bytes + at, rng() & 1 ? 0xff : 0,
				       rng() % (b.len - at < 8 ? b.len - at : 8) + 1);
				break;
			case 3:
				cut(&b, b.bytes + at, rng() % (b.len - at) + 1);
				break;
			case 4:
				if (rng() % 8 == 0)
					b.len = at;
				break;
			}
		}
		if (rng() % 4)
			reseal(&b);
		error = round & 1 ? load_v1(&d[1], &b, rng() & 1) : load_v2(&d[1], &b, rng() % 9000 + 1);
		if (error) {
			refusals++;
			unchanged();
		} else {
			/* a device in a state like any other: it runs, and can be reset */
			taken++;
			must(set_state(&d[1], S_RUNNING, NULL));
			must(ioctl(d[1].fd, VFIO_DEVICE_RESET));
			must(set_state(&d[1], S_RESUMING, NULL));
			must(ioctl(d[1].fd, VFIO_DEVICE_RESET));
			config_write(&d[1], 0x04, 0x0006, 2);
			own_write(&d[1], 0, "nobody's business", 17);
			set32(&d[1], VFIO_SIM_SCRATCH, 0x12345678);
			must(set_state(&d[1], S_STOP, NULL));
		}
		free(b.bytes);
	}
	printf("# fuzz: %u streams refused, %u taken\n", refusals, taken);
	check(refusals > 80 && taken > 8, "it does not find its way");
	end();
}

const struct test hostile_tests[] = {
	{ "streams", test_streams },
	{ "endless", test_endless },
	{ "fuzz", test_fuzz },
	{ 0 }
};
