// SPDX-License-Identifier: GPL-2.0
/*
 * The part of the BPF host that loads and attaches: everything at once where that
 * works, without what is refused where it does not.
 */
#include "bpf_host_private.h"
#include "clock.h"
#include "kernel_info.h"
#include "release.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <migscope/dirty_log.h>
#include <migscope/dirty_pages.h>
#include <migscope/dirty_ring.h>
#include <migscope/threads.h>
#include <migscope/vdpa.h>
#include <migscope/vfio.h>
#include <migscope/vhost_iotlb.h>
#include <migscope/vm.h>

#define LOG_TAIL	4096

/* What libbpf said last, to be quoted when a load fails. One loader at a time. */
static char log_tail[LOG_TAIL];
static bool log_verbose;

static int log_keep(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	va_list copy;
	size_t len;

	if (log_verbose) {
		va_copy(copy, ap);
		vfprintf(stderr, fmt, copy);
		va_end(copy);
	}
	if (level == LIBBPF_DEBUG)
		return 0;
	len = strlen(log_tail);
	if (len > LOG_TAIL / 2) {
		memmove(log_tail, log_tail + len - LOG_TAIL / 4, LOG_TAIL / 4 + 1);
		len = LOG_TAIL / 4;
	}
	vsnprintf(log_tail + len, LOG_TAIL - len, fmt, ap);
	return 0;
}

/*
 * The name that a map is shared by; NULL: it stays the object's own (.rodata). A global
 * variable lies in a map that libbpf makes and names; we have one.
 */
static const char *shared_name(const struct bpf_map *map)
{
	const char *name = bpf_map__name(map), *section = strrchr(name, '.');

	if (!bpf_map__is_internal(map))
		return name;
	return section && !strcmp(section, ".bss") ? "ms_push" : NULL;
}

/* Maps that exist are used again. */
static int share_maps(struct bpf_host *host, struct bpf_object *obj)
{
	struct bpf_map *map;
	int fd, err;

	bpf_object__for_each_map(map, obj) {
		const char *name = shared_name(map);

		fd = name ? bpf_host_map(host, name) : -ENOENT;
		if (fd < 0)
			continue;
		err = bpf_map__reuse_fd(map, fd);
		if (err)
			return err;
	}
	return 0;
}

static int keep_maps(struct bpf_host *host, struct bpf_object *obj)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj) {
		struct host_map *m = &host->map[host->maps];
		const char *name = shared_name(map);

		/* an object's own, shared already, or left out */
		if (!name || bpf_host_map(host, name) >= 0 || bpf_map__fd(map) < 0)
			continue;
		if (host->maps == HOST_MAPS)
			return -ENOSPC;
		m->fd = dup(bpf_map__fd(map));
		if (m->fd < 0)
			return -errno;
		snprintf(m->name, sizeof(m->name), "%s", name);
		host->maps++;
	}
	return 0;
}

bool host_needs_map(const struct bpf_host *host, const char *name)
{
	if (!strcmp(name, "ms_push"))
		return host->opts->exact;
	if (!strcmp(name, "ms_pages") || !strcmp(name, "ms_page_vms"))
		return host->opts->pages;
	return true;
}

static void leave_out_maps(struct bpf_host *host, struct bpf_object *obj)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj) {
		const char *name = shared_name(map);

		if (name && !host_needs_map(host, name))
			bpf_map__set_autocreate(map, false);
	}
}

/*
 * Loads the programs that @want says into an object of their own. On failure
 * nothing of it stays, and log_tail tells what libbpf said.
 */
static int load_programs(struct bpf_host *host, const bool *want, struct bpf_object **out)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "migscope",
		    .btf_custom_path = host->opts->btf);
	struct bpf_program *prog;
	struct bpf_object *obj;
	int err;

	log_tail[0] = '\0';
	obj = bpf_object__open_mem(ms_programs, ms_programs_end - ms_programs, &opts);
	if (!obj)
		return -errno;

	bpf_object__for_each_program(prog, obj)
		bpf_program__set_autoload(prog, false);
	for (size_t i = 0; i < host->probes; i++) {
		struct probe *p = &host->probe[i];

		if (!want[i])
			continue;
		err = -ENOENT;
		prog = bpf_object__find_program_by_name(obj, p->program);
		if (!prog)
			goto fail;
		bpf_program__set_autoload(prog, true);
		/* the section names the usual target; --target names another */
		if (p->how != PROBE_ITER) {
			err = bpf_program__set_attach_target(prog, 0, p->target);
			if (err)
				goto fail;
		}
	}
	leave_out_maps(host, obj);
	err = share_maps(host, obj);
	if (err)
		goto fail;
	err = bpf_object__load(obj);
	if (err)
		goto fail;
	err = keep_maps(host, obj);
	if (err)
		goto fail;
	*out = obj;
	return 0;
fail:
	bpf_object__close(obj);
	return err;
}

void bpf_attach_log(bool verbose)
{
	log_verbose = verbose;
	libbpf_set_print(log_keep);
}

static void refuse(struct bpf_host *host, struct probe *p, int err)
{
	p->state = PROBE_REFUSED;
	p->err = -err;
	kernel_info_explain(host->kernel, p, -err, log_tail, p->why, sizeof(p->why));
	/* not this program but all of its kind: the next ones need not be tried */
	if (err == -EPERM)
		snprintf(host->refused[p->how], sizeof(host->refused[p->how]), "%s", p->why);
}

/* Takes those out of @want whose kind was refused. */
static void refuse_kinds(struct bpf_host *host, bool *want)
{
	for (size_t i = 0; i < host->probes; i++) {
		struct probe *p = &host->probe[i];

		if (!want[i] || !*host->refused[p->how])
			continue;
		want[i] = false;
		p->state = PROBE_REFUSED;
		p->err = EPERM;
		snprintf(p->why, sizeof(p->why), "%s", host->refused[p->how]);
	}
}

static void attach_probe(struct bpf_host *host, struct bpf_program *prog, size_t i)
{
	struct probe *p = &host->probe[i];
	union bpf_iter_link_info info = {};
	LIBBPF_OPTS(bpf_iter_attach_opts, opts);
	struct bpf_link *link;

	log_tail[0] = '\0';
	if (!strcmp(p->target, "bpf_map_elem")) {
		info.map.map_fd = bpf_host_map(host, "ms_rings");
		opts.link_info = &info;
		opts.link_info_len = sizeof(info);
	}
	link = p->how == PROBE_ITER ? bpf_program__attach_iter(prog, &opts) :
				      bpf_program__attach(prog);
	if (!link) {
		refuse(host, p, -errno);
		return;
	}
	host->link[i] = link;
	host->prog[i] = prog;
	p->state = PROBE_ATTACHED;
	p->err = 0;
	p->why[0] = '\0';
}

static struct bpf_program *program_of(struct bpf_object *obj, const struct probe *p)
{
	return bpf_object__find_program_by_name(obj, p->program);
}

/*
 * Which of @want libbpf spoke of last when it could not load them; host->probes: of none.
 * A hint, no more: its messages are no interface.
 */
static size_t last_named(const struct bpf_host *host, const bool *want)
{
	const char *name = NULL;

	for (const char *p = log_tail; (p = strstr(p, "prog '")); name = p)
		p += strlen("prog '");
	for (size_t i = 0; name && i < host->probes; i++) {
		size_t len = strlen(host->probe[i].program);

		if (want[i] && !strncmp(name, host->probe[i].program, len) && name[len] == '\'')
			return i;
	}
	return host->probes;
}

/*
 * Loads and attaches what @want says: together or, if that fails, the one that it seems
 * to fail for by itself, and then the others. If there is none, one half and then the other.
 */
static void load_and_attach(struct bpf_host *host, bool *want)
{
	size_t first = host->probes, n = 0, named, put = 0;
	struct bpf_object *obj = NULL;
	bool *part;
	int err;

	refuse_kinds(host, want);
	for (size_t i = 0; i < host->probes; i++)
		if (want[i])
			first = n++ ? first : i;
	if (!n)
		return;
	err = host->objects < HOST_OBJECTS ? load_programs(host, want, &obj) : -ENOSPC;
	if (!err) {
		host->object[host->objects++] = obj;
		for (size_t i = 0; i < host->probes; i++)
			if (want[i])
				attach_probe(host, program_of(obj, &host->probe[i]), i);
		return;
	}
	if (n == 1) {
		refuse(host, &host->probe[first], err);
		return;
	}
	part = calloc(2 * host->probes, sizeof(*part));
	if (!part)
		return;
	named = last_named(host, want);
	for (size_t i = 0; i < host->probes; i++) {
		bool alone = named < host->probes ? i == named : put < n / 2;

		part[i] = want[i] && alone;
		part[host->probes + i] = want[i] && !alone;
		put += part[i];
	}
	load_and_attach(host, part);
	load_and_attach(host, part + host->probes);
	free(part);
}

bool host_wants(const struct bpf_host *host, const struct probe *p, const char **why)
{
	*why = NULL;
	if (!bpf_host_asked(host, p->source))
		return false;
	if (p->exact && !host->opts->exact)
		*why = "--exact";
	else if (p->pages && !host->opts->pages)
		*why = "--working-set";
	return !*why;
}

/* What can be told before the kernel is asked: is the target there at all? */
static bool worth_trying(struct bpf_host *host, struct probe *p)
{
	const char *why;

	if (p->state == PROBE_ATTACHED)
		return false;
	p->let_go = false;
	if (!host_wants(host, p, &why)) {
		if (why)
			snprintf(p->why, sizeof(p->why), "only with %s", why);
		return false;
	}
	if (release_wanted(p->module)) {
		p->state = PROBE_WAITING;
		p->let_go = true;
		snprintf(p->why, sizeof(p->why), "%s was let go (migscope release)", p->module);
		return false;
	}
	p->state = kernel_info_target(host->kernel, p, p->why, sizeof(p->why));
	/* that a stock kernel lacks our own events is no fault of it */
	if (p->state == PROBE_MISSING && p->instead) {
		p->state = PROBE_OFF;
		snprintf(p->why, sizeof(p->why), "only with our kernel modules");
		return false;
	}
	return p->state == PROBE_OFF;
}

/* A hook whose work an event does is not needed; the event is used where it is. */
static void prefer_events(struct bpf_host *host, bool *want)
{
	for (size_t i = 0; i < host->probes; i++)
		for (size_t k = 0; k < host->probes; k++) {
			struct probe *p = &host->probe[i], *event = &host->probe[k];

			if (!host_in_list(event->instead, p->name) ||
			    !(want[k] || event->state == PROBE_ATTACHED))
				continue;
			/* what is in another module, and is there, knows nothing of ours */
			if (want[i] && strcmp(p->module, event->module))
				continue;
			want[i] = false;
			if (p->state != PROBE_ATTACHED) {
				p->state = PROBE_OFF;
				snprintf(p->why, sizeof(p->why), "%s is there", event->name);
			}
		}
}

void host_ends(const struct bpf_host *host, struct ms_config *config, __u64 now_ns)
{
	const struct {
		const char *probe;
		__u64 *since;
	} end[] = {
		{ "vm_destroy", &config->ends },
		{ "iotlb_dev_end", &config->iotlb_ends },
		{ "vfio_release", &config->vfio_ends },
	};

	for (size_t i = 0; i < sizeof(end) / sizeof(end[0]); i++)
		if (!bpf_host_has(host, end[i].probe))
			*end[i].since = 0;
		else if (!*end[i].since)
			*end[i].since = now_ns;
}

static void set_config(struct bpf_host *host, bool seeded)
{
	int fd = bpf_host_map(host, "ms_config");
	struct ms_config config;
	__u32 zero = 0;

	if (fd < 0 || bpf_map_lookup_elem(fd, &zero, &config))
		return;
	config.seeded = seeded;
	config.stall_by_run = bpf_host_has(host, "vcpu_run");
	config.ring_flush = bpf_host_hooks_flush(host);
	config.iotlb_wakes = bpf_host_has(host, "iotlb_wake_event");
	host_ends(host, &config, clock_seconds(CLOCK_MONOTONIC) * 1e9);
	config.build = host_build();
	config.since_ns = host->since * 1e9;
	config.page_part = host->opts->page_part;
	config.page_shift = __builtin_ctzl(sysconf(_SC_PAGESIZE));
	bpf_map_update_elem(fd, &zero, &config, BPF_ANY);
}

/* One round: try what looks possible. @again: an event was refused the round before. */
static void attach_round(struct bpf_host *host, bool *want, bool again)
{
	for (size_t i = 0; i < host->probes; i++) {
		struct probe *p = &host->probe[i];

		want[i] = !(again && p->state == PROBE_REFUSED) && worth_trying(host, p);
	}
	prefer_events(host, want);
	/* what was detached is still loaded */
	for (size_t i = 0; i < host->probes; i++)
		if (want[i] && host->prog[i]) {
			attach_probe(host, host->prog[i], i);
			want[i] = false;
		}
	load_and_attach(host, want);
}

static bool event_refused(const struct bpf_host *host)
{
	for (size_t i = 0; i < host->probes; i++)
		if (host->probe[i].instead && host->probe[i].state == PROBE_REFUSED)
			return true;
	return false;
}

/* Detaches @p, for the reason that @other is not attached. */
static void leave_with(struct bpf_host *host, struct probe *p, const struct probe *other)
{
	size_t i = p - host->probe;

	bpf_link__destroy(host->link[i]);
	host->link[i] = NULL;
	p->state = other->state;
	p->err = other->err;
	snprintf(p->why, sizeof(p->why), "%s", other->why);
}

/* A beginning without its end would only fill the map of calls. */
static void drop_widows(struct bpf_host *host)
{
	for (size_t i = 0; i < host->probes; i++) {
		struct probe *p = &host->probe[i], *end;
		const char *tail = strstr(p->name, "_begin");
		char name[64];

		if (!tail || p->state != PROBE_ATTACHED)
			continue;
		snprintf(name, sizeof(name), "%.*s_end", (int)(tail - p->name), p->name);
		end = host_probe(host, name);
		if (end && end->state != PROBE_ATTACHED)
			leave_with(host, p, end);
	}
	/* it waits for what the other two begin */
	if (bpf_host_has_itself(host, "ring_flush_end") && !bpf_host_hooks_flush(host))
		leave_with(host, host_probe(host, "ring_flush_end"),
			   host_probe(host, bpf_host_has_itself(host, "ring_reset_end") ? "ring_reset_begin" :
											  "ring_reset_end"));
}

/* A program holds its module for as long as it is loaded, attached or not. */
static void let_go(struct bpf_host *host)
{
	for (size_t i = 0; i < host->probes; i++) {
		if (!(host->prog[i] || host->link[i]) || !release_wanted(host->probe[i].module))
			continue;
		host_unpin_probe(host, &host->probe[i]);
		bpf_link__destroy(host->link[i]);
		host->link[i] = NULL;
		if (host->prog[i])
			bpf_program__unload(host->prog[i]);
		host->prog[i] = NULL;
		host->probe[i].state = PROBE_WAITING;
	}
}

static bool has_program(const struct bpf_host *host, struct bpf_object *obj)
{
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, obj)
		for (size_t i = 0; i < host->probes; i++)
			if (host->prog[i] == prog)
				return true;
	return false;
}

/* An object whose programs were let go, or could not be attached, holds maps for nobody. */
static void close_objects(struct bpf_host *host)
{
	for (size_t i = 0; i < host->objects;) {
		if (has_program(host, host->object[i])) {
			i++;
			continue;
		}
		bpf_object__close(host->object[i]);
		host->object[i] = host->object[--host->objects];
	}
}

static bool any_on_rings(const struct bpf_host *host)
{
	for (size_t i = 0; i < host->probes; i++)
		if (host->link[i] && host->probe[i].how != PROBE_ITER && !strcmp(host->probe[i].source, "dirty_ring"))
			return true;
	return false;
}

static int close_ring(unsigned long long key, const void *value, void *arg)
{
	const struct ms_ring *ring = value;
	const struct bpf_host *host = arg;
	int vms = bpf_host_map(host, "ms_ring_vms");
	struct ms_ring_vm v;

	if (bpf_map_delete_elem(bpf_host_map(host, "ms_rings"), &key))
		return 0;
	if (ring->stall_since)
		host_count_self(host, MS_SELF_STALLED, -1);
	if (bpf_map_lookup_elem(vms, &ring->vm, &v))
		return 0;
	v.pushes += ring->pushes + (ring->seen_dirty - ring->last_dirty);
	v.rings_freed++;
	v.stalls_unfinished += ring->stall_since != 0;
	ms_ring_vm_peak(&v, ring->used_max, ring->soft_limit);
	bpf_map_update_elem(vms, &ring->vm, &v, BPF_EXIST);
	return 0;
}

/*
 * While nothing is attached to them, nobody knows what is taken out of rings, who waits for
 * that, and which of them end: what was counted is their VM's, and those that are still there
 * begin anew, as what ran before us.
 */
static void close_rings(struct bpf_host *host)
{
	if (any_on_rings(host) || bpf_host_map(host, "ms_rings") < 0)
		return;
	host_count_self(host, MS_SELF_RING_CHANGES, 1);
	bpf_host_walk(host, "ms_rings", sizeof(struct ms_ring), close_ring, host);
	host_count_self(host, MS_SELF_RING_CHANGED, 1);
}

int bpf_host_attach(struct bpf_host *host)
{
	bool *want = calloc(host->probes, sizeof(*want));
	int attached = 0;

	if (!want)
		return -ENOMEM;
	let_go(host);
	close_objects(host);
	close_rings(host);
	kernel_info_refresh(host->kernel);
	memset(host->refused, 0, sizeof(host->refused));
	attach_round(host, want, false);
	/* the hooks that an event was to replace are needed after all */
	if (event_refused(host))
		attach_round(host, want, true);
	free(want);
	drop_widows(host);
	if (!host->since)
		host->since = clock_seconds(CLOCK_MONOTONIC);

	/* with the events on, look for what runs: what appears from here on is new */
	set_config(host, false);
	host->discovered = 0;
	if (!bpf_host_discover(host) && !kernel_info_pid_namespace())
		set_config(host, true);

	host_keep(host);
	for (size_t i = 0; i < host->probes; i++)
		attached += host->probe[i].state == PROBE_ATTACHED;
	return attached;
}

static int forget_key(unsigned long long key, const void *value, void *arg)
{
	(void)value;
	bpf_map_delete_elem(*(int *)arg, &key);
	return 0;
}

void bpf_host_detach(struct bpf_host *host)
{
	static const struct {
		const char *name;
		size_t value_size;
	} state[] = {
		{ "ms_vm_ids", sizeof(__u64) },
		{ "ms_vms", sizeof(struct ms_vm) },
		{ "ms_rings", sizeof(struct ms_ring) },
		{ "ms_ring_vms", sizeof(struct ms_ring_vm) },
		{ "ms_log_vms", sizeof(struct ms_log_vm) },
		{ "ms_threads", sizeof(struct ms_thread) },
		{ "ms_page_vms", sizeof(struct ms_page_vm) },
		{ "ms_pages", sizeof(struct ms_page) },
		{ "ms_iotlb_ids", sizeof(__u64) },
		{ "ms_iotlb_devs", sizeof(struct ms_iotlb_dev) },
		{ "ms_vdpa_ids", sizeof(__u64) },
		{ "ms_vdpas", sizeof(struct ms_vdpa) },
		{ "ms_vdpa_tables", sizeof(struct ms_vdpa_table) },
		{ "ms_vfio_ids", sizeof(__u64) },
		{ "ms_vfios", sizeof(struct ms_vfio) },
		{ "ms_vfio_migs", sizeof(struct ms_vfio_mig) },
	};
	static const struct ms_push none[MS_PUSH_SLOTS];
	const __u32 stalled = MS_SELF_STALLED, first = 0;
	const __u64 zero = 0;
	int fd;

	for (size_t i = 0; i < host->probes; i++) {
		if (!host->link[i])
			continue;
		bpf_link__destroy(host->link[i]);
		host->link[i] = NULL;
		host->probe[i].state = PROBE_OFF;
	}
	for (size_t i = 0; i < sizeof(state) / sizeof(state[0]); i++) {
		fd = bpf_host_map(host, state[i].name);
		bpf_host_walk(host, state[i].name, state[i].value_size, forget_key, &fd);
	}
	fd = bpf_host_map(host, "ms_self");
	if (fd >= 0)
		bpf_map_update_elem(fd, &stalled, &zero, BPF_ANY);
	fd = bpf_host_map(host, "ms_push");
	if (fd >= 0)
		bpf_map_update_elem(fd, &first, none, BPF_ANY);
	host->since = 0;
}
