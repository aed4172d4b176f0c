// SPDX-License-Identifier: GPL-2.0
/*
 * The device's state as a stream of records, whichever way it travels.
 *
 * Own memory goes first, as often as it changes while the device still runs; then,
 * once it is stopped, all the rest. A checksum runs through all records, so that one
 * that is lost, doubled or out of place is found as one that is damaged is. The
 * receiver trusts nothing: it collects all in an image aside, and what is wrong
 * ends the transfer with an error of its own:
 *
 *	-EINVAL			no record, or one that does not belong there; nonsense in it
 *	-EMSGSIZE, -EFBIG	a record, or all of them, longer than any can be
 *	-EPROTONOSUPPORT	a version that is not known
 *	-ENODEV			of another kind of device
 *	-EBADMSG		damaged
 *	-ENODATA		ended too early
 */
#include <linux/bitmap.h>
#include <linux/crc32.h>
#include <linux/slab.h>
#include <trace/events/vfio_sim.h>
#include "vfio_sim.h"

#define HEAD_BYTES	sizeof(struct vfio_sim_record)
#define CHECKED_BYTES	offsetof(struct vfio_sim_record, crc)
#define PINS_PER_RECORD	(VFIO_SIM_RECORD_MAX / sizeof(struct vfio_sim_pins))

static_assert(sizeof(struct vfio_sim_memory) <= VFIO_SIM_RECORD_MAX);
static_assert(sizeof(struct vfio_sim_state) <= VFIO_SIM_RECORD_MAX);

static void *body(struct sim_stream *stream)
{
	return stream->record + HEAD_BYTES;
}

static u32 checksum(struct sim_stream *stream, u32 length)
{
	u32 crc = crc32_le(stream->crc, stream->record, CHECKED_BYTES);

	return crc32_le(crc, body(stream), length);
}

static void trace(struct sim_stream *stream, bool saving, u16 type, u32 bytes, int result)
{
	trace_vfio_sim_data(sim_name(stream->sim), saving, type, bytes, stream->bytes, result);
}

/*
 * Saving
 */

static void command_to_wire(const struct sim_command *c, struct vfio_sim_command *wire)
{
	*wire = (struct vfio_sim_command) {
		.active	  = cpu_to_le32(c->active),
		.command  = cpu_to_le32(c->command),
		.source	  = cpu_to_le64(c->source),
		.target	  = cpu_to_le64(c->target),
		.length	  = cpu_to_le64(c->length),
		.seed	  = cpu_to_le64(c->seed),
		.stride	  = cpu_to_le64(c->stride),
		.passes	  = cpu_to_le64(c->passes),
		.blocks	  = cpu_to_le32(c->blocks),
		.interval = cpu_to_le32(c->interval),
		.pass	  = cpu_to_le64(c->pass),
		.offset	  = cpu_to_le64(c->offset),
		.block	  = cpu_to_le32(c->block),
	};
}

static void seal(struct sim_stream *stream, u16 type, u32 length)
{
	struct vfio_sim_record *head = (void *)stream->record;

	head->magic = cpu_to_le16(VFIO_SIM_RECORD_MAGIC);
	head->type = cpu_to_le16(type);
	head->length = cpu_to_le32(length);
	head->sequence = cpu_to_le32(stream->sequence++);
	stream->crc = checksum(stream, length);
	head->crc = cpu_to_le32(stream->crc);
	stream->have = HEAD_BYTES + length;
	stream->taken = 0;
	stream->bytes += stream->have;
	trace(stream, true, type, stream->have, 0);
}

static void say_hello(struct sim_stream *stream)
{
	*(struct vfio_sim_hello *)body(stream) = (struct vfio_sim_hello) {
		.magic	      = cpu_to_le64(VFIO_SIM_STREAM_MAGIC),
		.version      = cpu_to_le32(VFIO_SIM_STREAM_VERSION),
		.memory_bytes = cpu_to_le32(VFIO_SIM_MEMORY_BYTES),
		.vendor	      = cpu_to_le16(VFIO_SIM_PCI_VENDOR),
		.device	      = cpu_to_le16(VFIO_SIM_PCI_DEVICE),
	};
	stream->said_hello = true;
	seal(stream, VFIO_SIM_RECORD_HELLO, sizeof(struct vfio_sim_hello));
}

static void say_memory(struct sim_stream *stream, u32 page)
{
	struct vfio_sim_memory *memory = body(stream);

	memory->page = cpu_to_le32(page);
	memory->reserved = 0;
	memcpy(memory->data, stream->sim->image->memory + page * PAGE_SIZE, PAGE_SIZE);
	stream->again = !test_bit(page, stream->initial);
	__clear_bit(page, stream->initial);
	__clear_bit(page, stream->dirty);
	seal(stream, VFIO_SIM_RECORD_MEMORY, sizeof(*memory));
}

static void say_state(struct sim_stream *stream)
{
	const struct sim_image *image = stream->sim->image;
	struct vfio_sim_state *state = body(stream);
	u32 i;

	for (i = 0; i < ARRAY_SIZE(state->words); i++)
		state->words[i] = cpu_to_le32(image->words[i]);
	command_to_wire(&image->command, &state->command);
	memcpy(state->config, image->config, sizeof(state->config));
	stream->said_state = true;
	seal(stream, VFIO_SIM_RECORD_STATE, sizeof(*state));
}

static void add_run(struct sim_stream *stream, struct vfio_sim_pins *run, u64 page, u64 pages)
{
	run->page = cpu_to_le64(page);
	run->pages = cpu_to_le64(pages);
	stream->pinned += pages;
	stream->next_pin = page + pages;
}

/* The next runs of kept pages, if there are any. */
static bool say_pins(struct sim_stream *stream)
{
	struct vfio_sim_pins *runs = body(stream);
	u64 start = 0, pages = 0;
	unsigned long index;
	u32 n = 0;
	void *page;

	xa_for_each_start(stream->sim->pins, index, page, stream->next_pin) {
		if (pages && index == start + pages) {
			pages++;
			continue;
		}
		if (pages) {
			add_run(stream, &runs[n++], start, pages);
			pages = 0;
			if (n == PINS_PER_RECORD)
				break;
		}
		start = index;
		pages = 1;
	}
	if (pages)
		add_run(stream, &runs[n++], start, pages);
	if (n)
		seal(stream, VFIO_SIM_RECORD_PINS, n * sizeof(*runs));
	return n;
}

static void say_end(struct sim_stream *stream)
{
	*(struct vfio_sim_end *)body(stream) = (struct vfio_sim_end) {
		.records = cpu_to_le32(stream->sequence + 1),
		.pinned	 = cpu_to_le32(stream->pinned),
	};
	stream->said_end = true;
	seal(stream, VFIO_SIM_RECORD_END, sizeof(struct vfio_sim_end));
}

static u32 next_page(const struct sim_stream *stream)
{
	return min(find_first_bit(stream->initial, SIM_MEMORY_PAGES),
		   find_first_bit(stream->dirty, SIM_MEMORY_PAGES));
}

/*
 * A guest that never rests must not make a stream that nobody takes: half of what one may be
 * long is for before the device is stopped, when what is left is bounded by itself.
 */
static bool memory_may_come(const struct sim_stream *stream)
{
	return stream->sim->state == VFIO_DEVICE_STATE_STOP_COPY ||
	       stream->bytes < VFIO_SIM_STREAM_MAX_BYTES / 2;
}

/* Lay the next record there. False: there is none now, or, when it is stopped, ever. */
static bool next_record(struct sim_stream *stream)
{
	stream->again = false;
	if (!stream->said_hello)
		say_hello(stream);
	else if (memory_may_come(stream) && next_page(stream) < SIM_MEMORY_PAGES)
		say_memory(stream, next_page(stream));
	else if (stream->sim->state != VFIO_DEVICE_STATE_STOP_COPY || stream->said_end)
		return false;
	else if (!stream->said_state)
		say_state(stream);
	else if (!say_pins(stream))
		say_end(stream);
	return true;
}

/* Bytes that come next, at most @len; sim_stream_take() moves on. */
u32 sim_stream_peek(struct sim_stream *stream, void *buf, u32 len)
{
	lockdep_assert_held(&stream->sim->lock);
	if (stream->taken == stream->have && !next_record(stream))
		return 0;
	len = min(len, stream->have - stream->taken);
	memcpy(buf, stream->record + stream->taken, len);
	return len;
}

void sim_stream_take(struct sim_stream *stream, u32 len)
{
	stream->taken += len;
}

/* What is left to be read as things are; @initial is that part that was never sent. */
u64 sim_stream_pending(const struct sim_stream *stream, u64 *initial)
{
	u64 at_hand = stream->have - stream->taken;
	u64 again = stream->again ? at_hand : 0, first = at_hand - again;
	DECLARE_BITMAP(only_again, SIM_MEMORY_PAGES);
	const u32 page = HEAD_BYTES + sizeof(struct vfio_sim_memory);

	if (!stream->said_hello)
		first += HEAD_BYTES + sizeof(struct vfio_sim_hello);
	if (memory_may_come(stream)) {
		first += bitmap_weight(stream->initial, SIM_MEMORY_PAGES) * page;
		bitmap_andnot(only_again, stream->dirty, stream->initial, SIM_MEMORY_PAGES);
		again += bitmap_weight(only_again, SIM_MEMORY_PAGES) * page;
	}
	if (initial)
		*initial = first;
	if (stream->sim->state == VFIO_DEVICE_STATE_STOP_COPY && !stream->said_end) {
		again += HEAD_BYTES + sizeof(struct vfio_sim_end);
		if (!stream->said_state)
			again += HEAD_BYTES + sizeof(struct vfio_sim_state);
		/* as if none lay beside another; some of those that were said may be gone since */
		if (stream->sim->nr_pins > stream->pinned)
			again += (u64)(stream->sim->nr_pins - stream->pinned) *
				 sizeof(struct vfio_sim_pins);
	}
	return first + again;
}

/* At most that much will come once the device is stopped. */
u64 sim_stream_stop_bytes(const struct vfio_sim *sim)
{
	u32 records = 3 + SIM_MEMORY_PAGES + DIV_ROUND_UP(sim->nr_pins, PINS_PER_RECORD);

	return records * HEAD_BYTES + sizeof(struct vfio_sim_hello) +
	       SIM_MEMORY_PAGES * sizeof(struct vfio_sim_memory) + sizeof(struct vfio_sim_state) +
	       (u64)sim->nr_pins * sizeof(struct vfio_sim_pins) + sizeof(struct vfio_sim_end);
}

/*
 * Resuming
 */

static void command_from_wire(const struct vfio_sim_command *wire, struct sim_command *c)
{
	*c = (struct sim_command) {
		.active	  = wire->active,
		.command  = le32_to_cpu(wire->command),
		.source	  = le64_to_cpu(wire->source),
		.target	  = le64_to_cpu(wire->target),
		.length	  = le64_to_cpu(wire->length),
		.seed	  = le64_to_cpu(wire->seed),
		.stride	  = le64_to_cpu(wire->stride),
		.passes	  = le64_to_cpu(wire->passes),
		.blocks	  = le32_to_cpu(wire->blocks),
		.interval = le32_to_cpu(wire->interval),
		.pass	  = le64_to_cpu(wire->pass),
		.offset	  = le64_to_cpu(wire->offset),
		.block	  = le32_to_cpu(wire->block),
	};
}

static int take_hello(struct sim_stream *stream)
{
	const struct vfio_sim_hello *hello = body(stream);

	if (le64_to_cpu(hello->magic) != VFIO_SIM_STREAM_MAGIC || hello->reserved)
		return -EINVAL;
	if (le32_to_cpu(hello->version) != VFIO_SIM_STREAM_VERSION)
		return -EPROTONOSUPPORT;
	if (le16_to_cpu(hello->vendor) != VFIO_SIM_PCI_VENDOR ||
	    le16_to_cpu(hello->device) != VFIO_SIM_PCI_DEVICE ||
	    le32_to_cpu(hello->memory_bytes) != VFIO_SIM_MEMORY_BYTES)
		return -ENODEV;
	stream->got_hello = true;
	return 0;
}

static int take_memory(struct sim_stream *stream)
{
	const struct vfio_sim_memory *memory = body(stream);
	u32 page = le32_to_cpu(memory->page);

	if (page >= SIM_MEMORY_PAGES || memory->reserved)
		return -EINVAL;
	memcpy(stream->image->memory + page * PAGE_SIZE, memory->data, PAGE_SIZE);
	return 0;
}

static int take_state(struct sim_stream *stream)
{
	const struct vfio_sim_state *state = body(stream);
	struct sim_image *image = stream->image;
	u32 i;

	if (state->command.reserved || le32_to_cpu(state->command.active) > 1)
		return -EINVAL;
	for (i = 0; i < ARRAY_SIZE(state->words); i++)
		image->words[i] = le32_to_cpu(state->words[i]);
	command_from_wire(&state->command, &image->command);
	memcpy(image->config, state->config, sizeof(state->config));
	stream->got_state = true;
	return sim_image_check(image);
}

static int take_pins(struct sim_stream *stream, u32 length)
{
	const struct vfio_sim_pins *runs = body(stream);
	u64 page, pages;
	int err;
	u32 i;

	for (i = 0; i < length / sizeof(*runs); i++) {
		page = le64_to_cpu(runs[i].page);
		pages = le64_to_cpu(runs[i].pages);
		/* in order, so that none is there twice */
		if (!pages || pages > VFIO_SIM_MAX_PINNED - stream->pinned ||
		    page < stream->next_pin || page > (U64_MAX >> PAGE_SHIFT) - (pages - 1))
			return -EINVAL;
		stream->next_pin = page + pages;
		stream->pinned += pages;
		for (; pages; page++, pages--) {
			err = xa_err(xa_store(stream->pins, page, SIM_PIN_MEANT,
					      GFP_KERNEL_ACCOUNT));
			if (err)
				return err;
		}
	}
	return 0;
}

static int take_end(struct sim_stream *stream)
{
	const struct vfio_sim_end *end = body(stream);

	if (le32_to_cpu(end->records) != stream->sequence ||
	    le32_to_cpu(end->pinned) != stream->pinned)
		return -EINVAL;
	stream->got_end = true;
	return 0;
}

/* May a record of this type come now, and be as long? */
static int check_head(struct sim_stream *stream)
{
	const struct vfio_sim_record *head = (void *)stream->record;
	u32 length = le32_to_cpu(head->length);
	bool begun = stream->got_hello, filled = stream->got_state;
	bool ok;

	if (le16_to_cpu(head->magic) != VFIO_SIM_RECORD_MAGIC)
		return -EINVAL;
	if (length > VFIO_SIM_RECORD_MAX)
		return -EMSGSIZE;
	if (le32_to_cpu(head->sequence) != stream->sequence)
		return -EBADMSG;
	switch (le16_to_cpu(head->type)) {
	case VFIO_SIM_RECORD_HELLO:
		ok = !begun && length == sizeof(struct vfio_sim_hello);
		break;
	case VFIO_SIM_RECORD_MEMORY:
		ok = begun && !filled && length == sizeof(struct vfio_sim_memory);
		break;
	case VFIO_SIM_RECORD_STATE:
		ok = begun && !filled && length == sizeof(struct vfio_sim_state);
		break;
	case VFIO_SIM_RECORD_PINS:
		ok = filled && length && length % sizeof(struct vfio_sim_pins) == 0;
		break;
	case VFIO_SIM_RECORD_END:
		ok = filled && length == sizeof(struct vfio_sim_end);
		break;
	default:
		ok = false;
	}
	return ok ? 0 : -EINVAL;
}

static int take_record(struct sim_stream *stream)
{
	const struct vfio_sim_record *head = (void *)stream->record;
	u32 length = le32_to_cpu(head->length), crc = checksum(stream, length);

	if (crc != le32_to_cpu(head->crc))
		return -EBADMSG;
	stream->crc = crc;
	stream->sequence++;
	switch (le16_to_cpu(head->type)) {
	case VFIO_SIM_RECORD_HELLO:
		return take_hello(stream);
	case VFIO_SIM_RECORD_MEMORY:
		return take_memory(stream);
	case VFIO_SIM_RECORD_STATE:
		return take_state(stream);
	case VFIO_SIM_RECORD_PINS:
		return take_pins(stream, length);
	default:
		return take_end(stream);
	}
}

/* May so many bytes come now, whatever they are? */
static int check_more(const struct sim_stream *stream, u32 len)
{
	if (stream->got_end)
		return -EINVAL;
	return stream->bytes + len > VFIO_SIM_STREAM_MAX_BYTES ? -EFBIG : 0;
}

/* Bytes that arrived, cut anyhow. */
int sim_stream_feed(struct sim_stream *stream, const void *buf, u32 len)
{
	const struct vfio_sim_record *head = (void *)stream->record;
	u32 need, part;
	bool whole;

	lockdep_assert_held(&stream->sim->lock);
	while (len && !stream->err) {
		need = HEAD_BYTES;
		if (stream->have >= need)
			need += le32_to_cpu(head->length);
		part = min(len, need - stream->have);
		stream->err = check_more(stream, part);
		if (stream->err) {
			trace(stream, false, le16_to_cpu(head->type), stream->have, stream->err);
			break;
		}
		memcpy(stream->record + stream->have, buf, part);
		stream->have += part;
		stream->bytes += part;
		buf += part;
		len -= part;

		whole = stream->have == need && need > HEAD_BYTES;
		if (stream->have == HEAD_BYTES)
			stream->err = check_head(stream);
		else if (whole)
			stream->err = take_record(stream);
		if (whole || stream->err)
			trace(stream, false, le16_to_cpu(head->type), stream->have, stream->err);
		if (whole)
			stream->have = 0;
	}
	return stream->err;
}

/* Has all arrived, and was it good? */
int sim_stream_complete(struct sim_stream *stream)
{
	if (stream->err)
		return stream->err;
	return stream->got_end ? 0 : -ENODATA;
}

struct xarray *sim_pins_new(void)
{
	struct xarray *pins = kmalloc(sizeof(*pins), GFP_KERNEL_ACCOUNT);

	if (pins)
		xa_init(pins);
	return pins;
}

/* None of them is pinned any more. */
void sim_pins_free(struct xarray *pins)
{
	if (pins)
		xa_destroy(pins);
	kfree(pins);
}

struct sim_stream *sim_stream_new(struct vfio_sim *sim, bool saving, bool v1)
{
	struct sim_stream *stream = kvzalloc(sizeof(*stream), GFP_KERNEL_ACCOUNT);

	if (!stream)
		return NULL;
	if (!saving) {
		stream->image = kvzalloc(sizeof(*stream->image), GFP_KERNEL_ACCOUNT);
		stream->pins = sim_pins_new();
		if (!stream->image || !stream->pins)
			goto free;
		sim_image_init(stream->image);
	} else {
		bitmap_fill(stream->initial, SIM_MEMORY_PAGES);
	}
	kref_init(&stream->kref);
	mutex_init(&stream->io);
	init_waitqueue_head(&stream->wait);
	stream->v1 = v1;
	/* a file may be open after the device has gone */
	get_device(&sim->vdev.device);
	stream->sim = sim;
	return stream;

free:
	sim_pins_free(stream->pins);
	kvfree(stream->image);
	kvfree(stream);
	return NULL;
}

static void release(struct kref *kref)
{
	struct sim_stream *stream = container_of(kref, struct sim_stream, kref);
	struct vfio_sim *sim = stream->sim;

	/* what was pinned went to the device: these are only numbers, or what it gave up */
	sim_pins_free(stream->pins);
	mutex_destroy(&stream->io);
	kvfree(stream->image);
	kvfree(stream);
	put_device(&sim->vdev.device);
}

void sim_stream_put(struct sim_stream *stream)
{
	kref_put(&stream->kref, release);
}
