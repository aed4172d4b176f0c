// SPDX-License-Identifier: GPL-2.0
#include "vm_names.h"
#include "clock.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CMDLINE_MAX	65536
#define BASE_MAX	64	/* bytes of a name before `#n` */
#define KEEP_S		1800	/* longer than a VM or a device is kept that ended */

struct known {
	__u64 id;			/* of the VM; 0: a process that holds devices, without a VM so far */
	__u32 tgid;
	__u64 start_boottime;
	/* CLOCK_MONOTONIC, s */
	double seen;			/* when the VM, or a device's owner, was asked for last */
	double used;			/* when a device's owner was; 0: never */
	double gone;			/* when it was found gone; 0: it is alive */
	char base[BASE_MAX];
	char uuid[MODEL_UUID_LEN];
	unsigned int nth;		/* 1: no suffix */
	bool alive;
	__u64 round;			/* in which its process was looked for last, for a device of it */
	bool runs;			/* and was found */
};

/* The number of a device among those of its kind in one process. */
struct number {
	__u64 dev;
	__u32 tgid;
	__u64 start_boottime;
	double seen;			/* CLOCK_MONOTONIC, s: when it was asked for last */
	unsigned int nth;
	char kind[MODEL_DEV_MAX];
};

struct vm_names {
	struct known *known;
	size_t n, room;
	struct number *number;
	size_t numbers, number_room;
	bool pids;			/* BPF's process ids are those that we see */
	__u64 round;
};

struct vm_names *vm_names_new(bool pids)
{
	struct vm_names *names = calloc(1, sizeof(*names));

	if (names)
		*names = (struct vm_names){ .pids = pids, .round = 1 };
	return names;
}

void vm_names_begin(struct vm_names *names)
{
	names->round++;
}

void vm_names_free(struct vm_names *names)
{
	if (names) {
		free(names->known);
		free(names->number);
	}
	free(names);
}

/* Length of the UTF-8 sequence at @s, 0 if it is not valid or a control character. */
static size_t utf8_len(const unsigned char *s)
{
	static const struct {
		unsigned char mask, lead;
		uint32_t least;
	} form[] = { { 0x80, 0x00, 0 }, { 0xe0, 0xc0, 0x80 }, { 0xf0, 0xe0, 0x800 }, { 0xf8, 0xf0, 0x10000 } };
	uint32_t c;

	for (size_t n = 0; n < 4; n++) {
		if ((s[0] & form[n].mask) != form[n].lead)
			continue;
		c = s[0] & ~form[n].mask;
		for (size_t i = 1; i <= n; i++) {
			if ((s[i] & 0xc0) != 0x80)
				return 0;
			c = c << 6 | (s[i] & 0x3f);
		}
		/* too long a form, surrogates, out of range; C0, DEL, C1 */
		if (c < form[n].least || (c >= 0xd800 && c < 0xe000) || c > 0x10ffff ||
		    c < 0x20 || (c >= 0x7f && c < 0xa0))
			return 0;
		/* marks that turn the direction of a line around, separators of lines */
		if ((c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) ||
		    c == 0x061c || c == 0x200e || c == 0x200f || c == 0x2028 || c == 0x2029)
			return 0;
		return n + 1;
	}
	return 0;
}

void vm_names_clean(char *dst, size_t size, const char *src)
{
	size_t out = 0, len;

	while (*src) {
		len = utf8_len((const unsigned char *)src);
		if (out + (len ? len : 1) >= size)
			break;
		if (len) {
			memcpy(dst + out, src, len);
			out += len;
			src += len;
		} else {
			dst[out++] = '?';
			src++;
		}
	}
	dst[out] = '\0';
}

void vm_names_comm(char *dst, size_t size, const char *untrusted_comm)
{
	char comm[MS_COMM_LEN + 1] = "";

	memcpy(comm, untrusted_comm, MS_COMM_LEN);
	vm_names_clean(dst, size, comm);
}

/*
 * The value of @key in QEMU's "a=b,c=d" form, in which a doubled comma stands
 * for one; with @key NULL the first element, if it has no key or is "guest=".
 */
static bool option_value(const char *opt, const char *key, char *dst, size_t size)
{
	char raw[512];
	size_t n = 0;

	while (*opt) {
		const char *val = opt;
		bool hit = false;

		if (!key) {
			size_t word = strcspn(opt, "=,");

			hit = opt[word] != '=';
			key = "guest";
		}
		if (!hit && !strncmp(opt, key, strlen(key)) && opt[strlen(key)] == '=') {
			hit = true;
			val = opt + strlen(key) + 1;
		}
		for (n = 0; *val; val++) {
			if (*val == ',' && *++val != ',')
				break;
			if (n < sizeof(raw) - 1)
				raw[n++] = *val;
		}
		raw[n] = '\0';
		if (hit) {
			vm_names_clean(dst, size, raw);
			return *dst;
		}
		opt = val;
	}
	return false;
}

static void copy_uuid(char *uuid, const char *src)
{
	for (size_t i = 0; i < MODEL_UUID_LEN - 1; i++)
		if (i == 8 || i == 13 || i == 18 || i == 23 ? src[i] != '-' :
							      !isxdigit((unsigned char)src[i]))
			return;
	/* what goes on is none */
	if (src[MODEL_UUID_LEN - 1])
		return;
	memcpy(uuid, src, MODEL_UUID_LEN - 1);
	uuid[MODEL_UUID_LEN - 1] = '\0';
}

/* Is @arg QEMU's option @name? It is spelled with one dash or two, its value comes next. */
static bool is_option(const char *arg, const char *name)
{
	if (*arg++ != '-')
		return false;
	return !strcmp(arg + (*arg == '-'), name);
}

/* Is @arg the option @name as the others spell it: with two dashes, its value next or behind a '='? */
static bool is_long_option(const char *arg, const char *name, const char **value)
{
	size_t len = strlen(name);

	if (strncmp(arg, "--", 2) || strncmp(arg + 2, name, len))
		return false;
	arg += 2 + len;
	if (*arg && *arg != '=')
		return false;
	*value = *arg ? arg + 1 : NULL;
	return true;
}

void vm_names_parse(const char *cmdline, size_t len, char *name, size_t name_size, char *uuid)
{
	const char *end = cmdline + len, *arg, *val;

	*name = *uuid = '\0';
	for (arg = cmdline; arg < end; arg += strlen(arg) + 1) {
		const char *next = arg + strlen(arg) + 1;
		enum { NAME, UUID, ID, PLATFORM } what;

		val = NULL;
		if (is_option(arg, "name"))
			what = NAME;
		else if (is_option(arg, "uuid"))
			what = UUID;
		else if (is_long_option(arg, "id", &val))
			what = ID;
		else if (is_long_option(arg, "platform", &val))
			what = PLATFORM;
		else
			continue;
		if (!val && next < end)
			val = next;
		if (!val)
			continue;
		if (what == NAME) {
			option_value(val, NULL, name, name_size);
		} else if (what == ID && !*name) {
			vm_names_clean(name, name_size, val);
		} else if (what == UUID) {
			copy_uuid(uuid, val);
		} else if (what == PLATFORM) {
			char text[64] = "";

			if (option_value(val, "uuid", text, sizeof(text)))
				copy_uuid(uuid, text);
		}
	}
}

/* The file @name of a process, with a NUL behind it; returns its length, 0: it cannot be read. */
static size_t read_proc(uint32_t pid, const char *name, char *buf, size_t size)
{
	char path[64];
	ssize_t n, len = 0;
	int fd;

	*buf = '\0';
	snprintf(path, sizeof(path), "/proc/%u/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	while ((size_t)len < size - 1 && (n = read(fd, buf + len, size - 1 - len)) > 0)
		len += n;
	close(fd);
	buf[len] = '\0';
	return len;
}

/*
 * Is the process of this pid still the one that owned the VM? If so, @guest_ticks is how
 * long its threads were in a guest, in ticks of the clock; NULL: not asked for.
 */
static bool owner_alive(__u32 tgid, __u64 start_boottime, __u64 *guest_ticks)
{
	unsigned long long ticks = 0, guest = 0, want;
	char stat[1024], *p;
	int fields;

	read_proc(tgid, "stat", stat, sizeof(stat));
	/* fields 22 and 43; the second, the name in brackets, may hold anything, a newline as well */
	p = strrchr(stat, ')');
	fields = p ? sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u"
				   " %*d %*d %*d %llu %*u %*d %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u"
				   " %*u %*u %*u %*d %*d %*u %*u %*u %llu", &ticks, &guest) : 0;
	if (fields < 1)
		return false;
	if (guest_ticks)
		*guest_ticks = guest;
	want = start_boottime / (1000000000ULL / sysconf(_SC_CLK_TCK));
	/* /proc rounds, and a time namespace may shift it: far apart is another process */
	return !want || (ticks > want ? ticks - want : want - ticks) <= (unsigned int)sysconf(_SC_CLK_TCK);
}

static struct known *find(struct vm_names *names, __u64 id)
{
	for (size_t i = 0; i < names->n; i++)
		if (names->known[i].id == id)
			return &names->known[i];
	return NULL;
}

/* The lowest number that no living VM of this name has. */
static unsigned int free_nth(const struct vm_names *names, const char *base)
{
	for (unsigned int nth = 1;; nth++) {
		bool taken = false;

		for (size_t i = 0; i < names->n && !taken; i++)
			taken = names->known[i].alive && names->known[i].nth == nth &&
				!strcmp(names->known[i].base, base);
		if (!taken)
			return nth;
	}
}

/* The process by which it is known, if it has no VM of that process yet. */
static struct known *find_owner(struct vm_names *names, __u32 tgid, __u64 start_boottime, bool any)
{
	for (size_t i = 0; i < names->n; i++) {
		struct known *k = &names->known[i];

		if (k->tgid == tgid && k->start_boottime == start_boottime && (any || !k->id))
			return k;
	}
	return NULL;
}

/*
 * Who is no longer among what is sampled: processes without a VM whose devices are forgotten,
 * and VMs that made room for others before their end was looked at.
 */
static void drop_unseen(struct vm_names *names)
{
	double now = clock_seconds(CLOCK_MONOTONIC);

	for (size_t i = 0; i < names->n;)
		if (now - names->known[i].seen > KEEP_S)
			names->known[i] = names->known[--names->n];
		else
			i++;
}

static struct known *add(struct vm_names *names, __u64 id, __u32 tgid, __u64 start_boottime,
			 const char *untrusted_comm)
{
	struct known *k;
	char *cmdline;

	drop_unseen(names);
	if (names->n == names->room) {
		size_t room = names->room ? 2 * names->room : 16;
		struct known *more = realloc(names->known, room * sizeof(*more));

		if (!more)
			return NULL;
		names->known = more;
		names->room = room;
	}
	k = &names->known[names->n];
	memset(k, 0, sizeof(*k));
	k->id = id;
	k->tgid = tgid;
	k->start_boottime = start_boottime;
	k->seen = clock_seconds(CLOCK_MONOTONIC);
	cmdline = malloc(CMDLINE_MAX);
	if (cmdline && names->pids && owner_alive(tgid, start_boottime, NULL))
		vm_names_parse(cmdline, read_proc(tgid, "cmdline", cmdline, CMDLINE_MAX),
			       k->base, sizeof(k->base), k->uuid);
	free(cmdline);
	if (!*k->base && *k->uuid)
		snprintf(k->base, sizeof(k->base), "%s", k->uuid);
	if (!*k->base) {
		vm_names_comm(k->base, 32, untrusted_comm);
		snprintf(k->base + strlen(k->base), sizeof(k->base) - strlen(k->base), "-%u", tgid);
	}
	/* our own mark of the second of a name */
	for (char *p = k->base; (p = strchr(p, '#'));)
		*p = '_';
	k->nth = free_nth(names, k->base);
	names->n++;
	return k;
}

static void put_name(const struct known *k, char *name)
{
	if (k->nth > 1)
		snprintf(name, MODEL_NAME_MAX, "%s#%u", k->base, k->nth);
	else
		snprintf(name, MODEL_NAME_MAX, "%s", k->base);
}

void vm_names_set(struct vm_names *names, struct model_vm *vm)
{
	struct known *k = find(names, vm->id);

	/* where pids mean something else, only its end tells that it ended */
	vm->alive = !vm->info.died_ns && (!names->pids ||
					  owner_alive(vm->info.tgid, vm->info.start_boottime, &vm->guest_ticks));
	/* its process may have been seen before it, by a device */
	if (!k) {
		k = find_owner(names, vm->info.tgid, vm->info.start_boottime, false);
		if (k)
			k->id = vm->id;
	}
	if (!k)
		k = add(names, vm->id, vm->info.tgid, vm->info.start_boottime, vm->info.comm);
	if (!k)
		return;
	k->alive = vm->alive;
	/* one that ended says nothing of its process */
	if (!vm->info.died_ns) {
		k->runs = vm->alive;
		k->round = names->round;
	}
	k->seen = clock_seconds(CLOCK_MONOTONIC);
	put_name(k, vm->name);
	memcpy(vm->uuid, k->uuid, sizeof(vm->uuid));
}

static bool process_runs(const struct vm_names *names, __u32 tgid, __u64 start_boottime)
{
	return !names->pids || owner_alive(tgid, start_boottime, NULL);
}

/* Does its process run? It may have a VM and several devices, and is looked for once in a round. */
static bool known_runs(const struct vm_names *names, struct known *k)
{
	if (k->round != names->round)
		k->runs = process_runs(names, k->tgid, k->start_boottime);
	k->round = names->round;
	return k->runs;
}

bool vm_names_owner(struct vm_names *names, const struct ms_owner *owner, char *name, char *uuid)
{
	struct known *k = find_owner(names, owner->tgid, owner->start_boottime, true);
	bool runs;

	if (!k)
		k = add(names, 0, owner->tgid, owner->start_boottime, owner->comm);
	if (!k) {
		snprintf(name, MODEL_NAME_MAX, "?");
		*uuid = '\0';
		return process_runs(names, owner->tgid, owner->start_boottime);
	}
	runs = known_runs(names, k);
	if (!k->id)
		k->alive = runs;
	if (runs)
		k->gone = 0;
	else if (!k->gone)
		k->gone = clock_seconds(CLOCK_MONOTONIC);
	k->used = k->seen = clock_seconds(CLOCK_MONOTONIC);
	put_name(k, name);
	memcpy(uuid, k->uuid, sizeof(k->uuid));
	return runs;
}

double vm_names_gone(struct vm_names *names, const struct ms_owner *owner)
{
	struct known *k = find_owner(names, owner->tgid, owner->start_boottime, true);

	return k && k->gone ? clock_seconds(CLOCK_MONOTONIC) - k->gone : 0;
}

/* BPF forgets those that ended, too, when it needs room. */
static void drop_unseen_numbers(struct vm_names *names, double now)
{
	for (size_t i = 0; i < names->numbers;)
		if (now - names->number[i].seen > KEEP_S)
			names->number[i] = names->number[--names->numbers];
		else
			i++;
}

unsigned int vm_names_number(struct vm_names *names, __u64 dev, const struct ms_owner *owner,
			     const char *kind)
{
	struct number *more, *n = names->number;
	double now = clock_seconds(CLOCK_MONOTONIC);
	unsigned int next = 0;

	for (size_t i = 0; i < names->numbers; i++)
		if (n[i].dev == dev) {
			n[i].seen = now;
			return n[i].nth;
		}
	drop_unseen_numbers(names, now);
	for (size_t i = 0; i < names->numbers; i++)
		if (n[i].tgid == owner->tgid && n[i].start_boottime == owner->start_boottime &&
		    !strcmp(n[i].kind, kind) && n[i].nth >= next)
			next = n[i].nth + 1;
	if (names->numbers == names->number_room) {
		size_t room = names->number_room ? 2 * names->number_room : 16;

		more = realloc(names->number, room * sizeof(*more));
		if (!more)
			return next;
		names->number = more;
		names->number_room = room;
	}
	n = &names->number[names->numbers++];
	*n = (struct number){ .dev = dev, .tgid = owner->tgid, .start_boottime = owner->start_boottime,
			      .seen = now, .nth = next };
	snprintf(n->kind, sizeof(n->kind), "%s", kind);
	return next;
}

void vm_names_forget_dev(struct vm_names *names, __u64 dev)
{
	for (size_t i = 0; i < names->numbers; i++)
		if (names->number[i].dev == dev) {
			names->number[i] = names->number[--names->numbers];
			return;
		}
}

void vm_names_forget(struct vm_names *names, __u64 id)
{
	struct known *k = find(names, id);

	/* devices of its process go by its name for as long as they are there */
	if (k && k->used && clock_seconds(CLOCK_MONOTONIC) - k->used <= KEEP_S)
		k->id = 0;
	else if (k)
		*k = names->known[--names->n];
}
