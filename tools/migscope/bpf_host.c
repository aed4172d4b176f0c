// SPDX-License-Identifier: GPL-2.0
#include "bpf_host.h"
#include "kernel_info.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <migscope/dirty_log.h>
#include <migscope/dirty_ring.h>
#include <migscope/vm.h>

#define HOST_MAPS	32
#define HOST_OBJECTS	64
#define LOG_TAIL	4096
#define DISCOVER_EVERY_S 10

struct host_map {
	char name[32];
	int fd;
};

struct bpf_host {
	const struct ms_opts *opts;
	char *sources;			/* NULL: all */
	struct probe *probe;
	struct bpf_link **link;		/* one per probe, NULL when not attached */
	struct bpf_program **prog;
	size_t probes;
	struct bpf_object *object[HOST_OBJECTS];
	size_t objects;
	struct host_map map[HOST_MAPS];
	size_t maps;
	struct kernel_info *kernel;
	double since;			/* CLOCK_MONOTONIC, s: when the first probe was attached */
	time_t discovered;		/* when all files were looked through last */
};

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

/* Is @name an element of the comma separated @list? */
static bool in_list(const char *list, const char *name)
{
	size_t len = strlen(name);
	const char *p;

	for (p = list; (p = strstr(p, name)); p += len)
		if ((p == list || p[-1] == ',') && (!p[len] || p[len] == ','))
			return true;
	return false;
}

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static bool source_asked(const char *sources, const char *source)
{
	/* the registry of VMs belongs to every source */
	return !sources || !strcmp(source, "vm") || in_list(sources, source);
}

bool bpf_host_asked(const struct bpf_host *host, const char *source)
{
	return source_asked(host->sources, source);
}

static struct probe *find_probe(struct bpf_host *host, const char *name)
{
	for (size_t i = 0; i < host->probes; i++)
		if (!strcmp(host->probe[i].name, name))
			return &host->probe[i];
	return NULL;
}

/* --target PROBE=FUNCTION */
static int apply_targets(struct bpf_host *host)
{
	for (size_t i = 0; i < host->opts->targets; i++) {
		const char *arg = host->opts->target[i], *eq = strchr(arg, '=');
		struct probe *p;
		char name[64];

		snprintf(name, sizeof(name), "%.*s", eq ? (int)(eq - arg) : 0, arg);
		p = eq && eq[1] ? find_probe(host, name) : NULL;
		if (!p) {
			ms_error("--target %s: give PROBE=FUNCTION, with a PROBE that doctor lists", arg);
			return -EINVAL;
		}
		p->target = eq + 1;
	}
	return 0;
}

/* Every name in a list of sources must be one that the table knows. */
static int check_sources(struct bpf_host *host)
{
	char *copy, *name, *save = NULL;
	int err = 0;

	if (!host->sources)
		return 0;
	copy = strdup(host->sources);
	if (!copy)
		return -ENOMEM;
	if (!*copy) {
		ms_error("no source named");
		err = -EINVAL;
	}
	for (name = strtok_r(copy, ",", &save); name && !err; name = strtok_r(NULL, ",", &save)) {
		size_t i;

		for (i = 0; i < host->probes; i++)
			if (!strcmp(host->probe[i].source, name))
				break;
		if (i == host->probes) {
			ms_error("%s: no such source", name);
			err = -EINVAL;
		}
	}
	free(copy);
	return err;
}

int bpf_host_open(const struct ms_opts *opts, const char *sources, struct bpf_host **out)
{
	struct bpf_host *host = calloc(1, sizeof(*host));
	int err = -ENOMEM;

	if (!host)
		return err;
	host->opts = opts;
	log_verbose = opts->verbose;
	libbpf_set_print(log_keep);

	if (sources && !(host->sources = strdup(sources)))
		goto fail;
	host->probe = probes_new(&host->probes);
	host->link = calloc(host->probes, sizeof(*host->link));
	host->prog = calloc(host->probes, sizeof(*host->prog));
	if (!host->probe || !host->link || !host->prog)
		goto fail;
	err = check_sources(host);
	if (err)
		goto fail;
	err = apply_targets(host);
	if (err)
		goto fail;
	err = kernel_info_open(opts->btf, &host->kernel);
	if (err)
		goto fail;
	*out = host;
	return 0;
fail:
	bpf_host_close(host);
	return err;
}

void bpf_host_close(struct bpf_host *host)
{
	if (!host)
		return;
	for (size_t i = 0; host->link && i < host->probes; i++)
		bpf_link__destroy(host->link[i]);
	for (size_t i = 0; i < host->objects; i++)
		bpf_object__close(host->object[i]);
	for (size_t i = 0; i < host->maps; i++)
		close(host->map[i].fd);
	kernel_info_close(host->kernel);
	free(host->link);
	free(host->prog);
	free(host->probe);
	free(host->sources);
	free(host);
}

int bpf_host_map(const struct bpf_host *host, const char *name)
{
	for (size_t i = 0; i < host->maps; i++)
		if (!strcmp(host->map[i].name, name))
			return host->map[i].fd;
	return -ENOENT;
}

/* Maps that exist are used again; an object's own (.rodata) stay its own. */
static int share_maps(struct bpf_host *host, struct bpf_object *obj)
{
	struct bpf_map *map;
	int fd, err;

	bpf_object__for_each_map(map, obj) {
		fd = bpf_host_map(host, bpf_map__name(map));
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

		/* shared already, an object's own, or left out */
		if (bpf_host_map(host, bpf_map__name(map)) >= 0 || bpf_map__is_internal(map) ||
		    bpf_map__fd(map) < 0)
			continue;
		if (host->maps == HOST_MAPS)
			return -ENOSPC;
		m->fd = dup(bpf_map__fd(map));
		if (m->fd < 0)
			return -errno;
		snprintf(m->name, sizeof(m->name), "%s", bpf_map__name(map));
		host->maps++;
	}
	return 0;
}

/* Exact mode's table of pushes is not made where nothing fills it. */
static void leave_out_maps(struct bpf_host *host, struct bpf_object *obj)
{
	struct bpf_map *map = bpf_object__find_map_by_name(obj, "ms_push");

	if (map && !host->opts->exact)
		bpf_map__set_autocreate(map, false);
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

static void refuse(struct bpf_host *host, struct probe *p, int err)
{
	p->state = PROBE_REFUSED;
	p->err = -err;
	kernel_info_explain(host->kernel, -err, log_tail, p->why, sizeof(p->why));
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
 * Loads and attaches what @want says: together or, if that fails, file by file,
 * and what is left of a file that fails program by program.
 */
static void load_and_attach(struct bpf_host *host, const bool *want)
{
	size_t first = host->probes, n = 0;
	bool one_file = true, *part;
	struct bpf_object *obj = NULL;
	int err;

	for (size_t i = 0; i < host->probes; i++) {
		if (!want[i])
			continue;
		first = n++ ? first : i;
		one_file &= !strcmp(host->probe[i].object, host->probe[first].object);
	}
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
	/* the first program, or all of its file; then the rest */
	for (size_t i = 0; i < host->probes; i++) {
		bool with_first = one_file ? i == first :
				  !strcmp(host->probe[i].object, host->probe[first].object);

		part[i] = want[i] && with_first;
		part[host->probes + i] = want[i] && !with_first;
	}
	load_and_attach(host, part);
	load_and_attach(host, part + host->probes);
	free(part);
}

/* What can be told before the kernel is asked: is the target there at all? */
static bool worth_trying(struct bpf_host *host, struct probe *p)
{
	if (p->state == PROBE_ATTACHED || !source_asked(host->sources, p->source))
		return false;
	if (p->exact && !host->opts->exact) {
		snprintf(p->why, sizeof(p->why), "only with --exact");
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

static bool named_in(const char *list, const char *name)
{
	return list && in_list(list, name);
}

/* A hook whose work an event does is not needed; the event is used where it is. */
static void prefer_events(struct bpf_host *host, bool *want)
{
	for (size_t i = 0; i < host->probes; i++)
		for (size_t k = 0; k < host->probes; k++) {
			struct probe *p = &host->probe[i], *event = &host->probe[k];

			if (!named_in(event->instead, p->name) ||
			    !(want[k] || event->state == PROBE_ATTACHED))
				continue;
			want[i] = false;
			if (p->state != PROBE_ATTACHED) {
				p->state = PROBE_OFF;
				snprintf(p->why, sizeof(p->why), "%s is there", event->name);
			}
		}
}

static void set_config(struct bpf_host *host, bool seeded)
{
	struct ms_config config = {
		.seeded = seeded,
		.stall_by_run = bpf_host_has(host, "ring_stall_over") ||
				(bpf_host_has(host, "vcpu_entry") && bpf_host_has(host, "ring_stalled")),
		.ends = bpf_host_has(host, "vm_destroy"),
	};
	int fd = bpf_host_map(host, "ms_config");
	__u32 zero = 0;

	if (fd >= 0)
		bpf_map_update_elem(fd, &zero, &config, BPF_ANY);
}

int bpf_host_discover(struct bpf_host *host)
{
	time_t now = time(NULL);
	void *found = NULL;
	long len;

	if (bpf_host_has(host, "vm_destroy") && bpf_host_has(host, "ring_alloc") &&
	    now >= host->discovered && now - host->discovered < DISCOVER_EVERY_S)
		return 0;
	len = bpf_host_read(host, "vm_files", &found);
	free(found);
	if (len < 0)
		return len;
	host->discovered = now;
	return 0;
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
		end = find_probe(host, name);
		if (!end || end->state == PROBE_ATTACHED)
			continue;
		bpf_link__destroy(host->link[i]);
		host->link[i] = NULL;
		p->state = end->state;
		p->err = end->err;
		snprintf(p->why, sizeof(p->why), "%s", end->why);
	}
}

int bpf_host_attach(struct bpf_host *host)
{
	bool *want = calloc(host->probes, sizeof(*want));
	int attached = 0;

	if (!want)
		return -ENOMEM;
	kernel_info_refresh(host->kernel);
	attach_round(host, want, false);
	/* the hooks that an event was to replace are needed after all */
	if (event_refused(host))
		attach_round(host, want, true);
	free(want);
	drop_widows(host);
	if (!host->since)
		host->since = now_s();

	/* with the events on, look for what runs: what appears from here on is new */
	set_config(host, false);
	host->discovered = 0;
	if (!bpf_host_discover(host) && !kernel_info_pid_namespace())
		set_config(host, true);

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
	};
	static const struct ms_push none;
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
	fd = bpf_host_map(host, "ms_push");
	for (__u32 k = 0; fd >= 0 && k < MS_PUSH_SLOTS; k++)
		bpf_map_update_elem(fd, &k, &none, BPF_ANY);
	host->since = 0;
}

double bpf_host_since(const struct bpf_host *host)
{
	return host->since;
}

bool bpf_host_sees(const struct bpf_host *host)
{
	for (size_t i = 0; i < host->probes; i++) {
		const struct probe *p = &host->probe[i];

		if (p->state == PROBE_ATTACHED && p->how != PROBE_ITER && strcmp(p->source, "vm"))
			return true;
	}
	return false;
}

bool bpf_host_waits(const struct bpf_host *host)
{
	for (size_t i = 0; i < host->probes; i++)
		if (host->probe[i].state == PROBE_WAITING)
			return true;
	return false;
}

bool bpf_host_stale(const struct bpf_host *host)
{
	for (size_t i = 0; i < host->probes; i++)
		if (host->probe[i].state == PROBE_WAITING &&
		    kernel_info_module(host->probe[i].module))
			return true;
	return false;
}

const struct probe *bpf_host_probes(const struct bpf_host *host, size_t *n)
{
	*n = host->probes;
	return host->probe;
}

bool bpf_host_has(const struct bpf_host *host, const char *probe)
{
	for (size_t i = 0; i < host->probes; i++) {
		const struct probe *p = &host->probe[i];

		if (p->state == PROBE_ATTACHED &&
		    (!strcmp(p->name, probe) || named_in(p->instead, probe)))
			return true;
	}
	return false;
}

long bpf_host_read(const struct bpf_host *host, const char *probe, void **data)
{
	const struct probe *p = find_probe((struct bpf_host *)host, probe);
	size_t len = 0, room = 0;
	char *buf = NULL;
	long err;
	int fd;

	if (!p || p->state != PROBE_ATTACHED)
		return -ENOENT;
	fd = bpf_iter_create(bpf_link__fd(host->link[p - host->probe]));
	if (fd < 0)
		return -errno;
	for (;;) {
		ssize_t got;

		if (room - len < 65536) {
			char *more = realloc(buf, room + 262144);

			err = -ENOMEM;
			if (!more)
				goto fail;
			buf = more;
			room += 262144;
		}
		got = read(fd, buf + len, room - len);
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		err = -errno;
		if (got < 0)
			goto fail;
		if (!got)
			break;
		len += got;
	}
	close(fd);
	*data = buf;
	return len;
fail:
	close(fd);
	free(buf);
	return err;
}

int bpf_host_walk(const struct bpf_host *host, const char *map, size_t value_size,
		  int (*fn)(unsigned long long key, const void *value, void *arg), void *arg)
{
	int fd = bpf_host_map(host, map), err = 0;
	__u64 key, next;
	void *value;
	bool more;

	if (fd < 0)
		return fd;
	value = malloc(value_size);
	if (!value)
		return -ENOMEM;
	/* the next key is fetched before @fn runs, which may delete this one */
	for (more = !bpf_map_get_next_key(fd, NULL, &key); more && !err; key = next) {
		more = !bpf_map_get_next_key(fd, &key, &next);
		if (!bpf_map_lookup_elem(fd, &key, value))
			err = fn(key, value, arg);
	}
	free(value);
	return err;
}

static int make_dir(const char *path)
{
	if (mkdir(path, 0700)) {
		int err = -errno;

		ms_error("%s: %s%s", path, strerror(-err), err == -EPERM && strchr(path, '.') ?
			 " (a bpf file system takes no '.' in a name)" : "");
		return err;
	}
	return 0;
}

static int pin_error(const char *path, int err)
{
	ms_error("%s: cannot be pinned: %s%s", path, strerror(-err),
		 err == -EINVAL || err == -EPERM ? " (is it on a bpf file system?)" : "");
	return err;
}

int bpf_host_pin(struct bpf_host *host, const char *dir)
{
	static const char *const sub[] = { "", "/maps", "/progs", "/links" };
	char path[PATH_MAX];
	int err;

	for (size_t i = 0; i < sizeof(sub) / sizeof(sub[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", dir, sub[i]);
		err = make_dir(path);
		if (err)
			return err;
	}
	for (size_t i = 0; i < host->maps; i++) {
		snprintf(path, sizeof(path), "%s/maps/%s", dir, host->map[i].name);
		if (bpf_obj_pin(host->map[i].fd, path))
			return pin_error(path, -errno);
	}
	for (size_t i = 0; i < host->probes; i++) {
		if (!host->link[i])
			continue;
		snprintf(path, sizeof(path), "%s/progs/%s", dir, host->probe[i].program);
		if (bpf_obj_pin(bpf_program__fd(host->prog[i]), path))
			return pin_error(path, -errno);
		snprintf(path, sizeof(path), "%s/links/%s", dir, host->probe[i].program);
		err = bpf_link__pin(host->link[i], path);
		if (err)
			return pin_error(path, err);
	}
	return 0;
}
