// SPDX-License-Identifier: GPL-2.0
/*
 * Samples of maps that are filled here, by the sources themselves: what they make of VMs
 * and devices that come and go. Built with the sanitizers; prints TAP.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "../../tools/migscope/bpf_host.h"
#include "../../tools/migscope/vm_names.h"

#define GONE	0x7ffffff0	/* no process has this id */
#define ELEMENTS 64

static int nth, failed;

static void point(int good, const char *what)
{
	printf("%sok %d - %s\n", good ? "" : "not ", ++nth, what);
	failed += !good;
}

static void is(const char *what, const char *got, const char *want)
{
	point(!strcmp(got, want), what);
	if (strcmp(got, want))
		fprintf(stderr, "# got: \"%s\", want: \"%s\"\n", got, want);
}

/* A ring that ends while they are read. */
static __u64 self[MS_SELF_COUNT];
static int reads_until_gone;		/* 0: there are no rings at all */
static struct ms_ring_vm *its_vm;

/* --- a host whose maps are these; a map's descriptor is its place */

static struct map {
	const char *name;
	size_t size, n;
	__u64 key[ELEMENTS];
	void *value[ELEMENTS];
} map[] = {
	{ "ms_vms", sizeof(struct ms_vm) },
	{ "ms_threads", sizeof(struct ms_thread) },
	{ "ms_vdpas", sizeof(struct ms_vdpa) },
	{ "ms_vfio_migs", sizeof(struct ms_vfio_mig) },
	{ "ms_vfios", sizeof(struct ms_vfio) },
	{ "ms_vm_ids", sizeof(__u64) },
	{ "ms_ring_vms", sizeof(struct ms_ring_vm) },
};

static struct map *map_of(const char *name)
{
	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
		if (!strcmp(map[i].name, name))
			return &map[i];
	return NULL;
}

static void *find(int fd, const void *key)
{
	for (size_t i = 0; fd >= 0 && i < map[fd].n; i++)
		if (map[fd].value[i] && !memcmp(&map[fd].key[i], key, sizeof(__u64)))
			return map[fd].value[i];
	return NULL;
}

/* A new element, which is zero. */
static void *put(const char *name, __u64 key)
{
	struct map *m = map_of(name);

	m->key[m->n] = key;
	m->value[m->n] = calloc(1, m->size);
	return m->value[m->n++];
}

static void empty(void)
{
	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++) {
		while (map[i].n)
			free(map[i].value[--map[i].n]);
	}
}

int bpf_host_map(const struct bpf_host *host, const char *name)
{
	struct map *m = map_of(name);

	(void)host;
	if (!strcmp(name, "ms_ring_vms") && !reads_until_gone)
		return -ENOENT;
	return m ? m - map : -ENOENT;
}

int bpf_host_walk(const struct bpf_host *host, const char *name, size_t size,
		  int (*fn)(unsigned long long key, const void *value, void *arg), void *arg)
{
	struct map *m = map_of(name);
	int err = 0;

	(void)host;
	if (!m || m->size != size)
		return -ENOENT;
	for (size_t i = 0; i < m->n && !err; i++)
		if (m->value[i])
			err = fn(m->key[i], m->value[i], arg);
	return err;
}

int bpf_map_lookup_elem(int fd, const void *key, void *value)
{
	void *found = find(fd, key);

	if (found)
		memcpy(value, found, map[fd].size);
	errno = ENOENT;
	return found ? 0 : -ENOENT;
}

int bpf_map_update_elem(int fd, const void *key, const void *value, __u64 flags)
{
	void *found = find(fd, key);

	(void)flags;
	if (found)
		memcpy(found, value, map[fd].size);
	return found ? 0 : -ENOENT;
}

int bpf_map_delete_elem(int fd, const void *key)
{
	void *found = find(fd, key);

	for (size_t i = 0; found && i < map[fd].n; i++)
		if (map[fd].value[i] == found)
			map[fd].value[i] = NULL;
	free(found);
	return found ? 0 : -ENOENT;
}

bool bpf_host_has(const struct bpf_host *host, const char *probe)
{
	(void)host;
	return strcmp(probe, "ring_push");
}

bool bpf_host_has_itself(const struct bpf_host *host, const char *probe)
{
	return bpf_host_has(host, probe);
}

bool bpf_host_hooks_flush(const struct bpf_host *host)
{
	(void)host;
	return true;
}

bool bpf_host_asked(const struct bpf_host *host, const char *source)
{
	(void)host;
	(void)source;
	return true;
}

const struct probe *bpf_host_probes(const struct bpf_host *host, size_t *n)
{
	(void)host;
	*n = 0;
	return NULL;
}

double bpf_host_since(const struct bpf_host *host)
{
	(void)host;
	return 0;
}

unsigned int bpf_host_page_part(const struct bpf_host *host)
{
	(void)host;
	return 0;
}

int bpf_host_discover(struct bpf_host *host)
{
	(void)host;
	return 0;
}

long bpf_host_found(struct bpf_host *host, void **data, __u64 *changes)
{
	(void)host;
	(void)data;
	(void)changes;
	return -ENOENT;
}

/* --- rings */

static const struct ms_ring_now *now_there;	/* the only one */

/* What is read of rings: none is there, as a rule. */
long bpf_host_read(const struct bpf_host *host, const char *probe, void **data)
{
	(void)host;
	(void)probe;
	if (now_there) {
		*data = malloc(sizeof(*now_there));
		memcpy(*data, now_there, sizeof(*now_there));
		return sizeof(*now_there);
	}
	if (!reads_until_gone)
		return -ENOENT;
	*data = malloc(1);
	if (!--reads_until_gone) {
		its_vm->pushes += 1000;
		self[MS_SELF_RING_CHANGED]++;
		reads_until_gone = 100;
	}
	return 0;
}

__u64 bpf_host_self(const struct bpf_host *host, enum ms_self what)
{
	(void)host;
	return self[what];
}

__u64 bpf_host_ring_changes(const struct bpf_host *host)
{
	(void)host;
	return self[MS_SELF_RING_CHANGES] == self[MS_SELF_RING_CHANGED] ? self[MS_SELF_RING_CHANGES] : ~0ULL;
}

static __u64 ends;

__u64 bpf_host_ends(const struct bpf_host *host)
{
	(void)host;
	return ends;
}

void bpf_host_count_missed(struct bpf_host *host)
{
	(void)host;
}

/* --- samples */

static struct vm_names *names;
static struct model m;

static const char *asked;		/* for: a name, NULL: for all */

static bool sample(double keep)
{
	struct model_filter filter = { .keep = keep, .name = asked };

	model_free(&m);
	return !model_sample(NULL, names, &filter, &m);
}

static void begin(void)
{
	model_free(&m);
	vm_names_free(names);
	names = vm_names_new(true);
	ends = 0;
	empty();
}

static __u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static void owned_by(struct ms_owner *owner, __u32 tgid, const char *comm)
{
	owner->tgid = tgid;
	snprintf(owner->comm, sizeof(owner->comm), "%s", comm);
}

/* A VMM names its threads as it likes: there are so many kinds of them, and no more. */
static void kinds_of_threads(void)
{
	struct ms_vm *vm;
	__u64 calls = 0;
	int named = 0, others = 0;

	begin();
	vm = put("ms_vms", 1);
	vm->tgid = getpid();
	/* whoever was there first is found last */
	for (int i = 39; i >= 0; i--) {
		struct ms_thread *t = put("ms_threads", 100 + i);

		t->vm = 1;
		t->calls[MS_WAIT_STALL] = 1;
		snprintf(t->comm, sizeof(t->comm), "kind %c%c", 'a' + i % 26, 'a' + i / 26);
		if (i == 1)
			snprintf(t->comm, sizeof(t->comm), "others");
	}
	point(sample(0) && m.vms == 1, "threads: the VM is there");
	point(m.vms && m.vm[0].threads == MODEL_THREADS, "threads: so many kinds, and no more");
	for (size_t i = 0; m.vms && i < m.vm[0].threads; i++) {
		calls += m.vm[0].thread[i].calls[MS_WAIT_STALL];
		named += !strcmp(m.vm[0].thread[i].name, "kind aa") ||
			 !strcmp(m.vm[0].thread[i].name, "kind ha");
		others += !strcmp(m.vm[0].thread[i].name, "others");
	}
	point(named == 2, "threads: who was there first keeps his name");
	point(others == 1, "threads: but for who is called as the last of them is");
	point(calls == 40, "threads: none is lost");
}

/* Spans of the last minute in which there was no ring are no emptier ones. */
static void fullest(void)
{
	point(ms_ring_fuller(1, 64, 0, 0) && !ms_ring_fuller(0, 0, 1, 64), "rings: no limit at all is emptier than anything");
	point(ms_ring_fuller(64, 64, 127, 128) && !ms_ring_fuller(63, 64, 127, 128), "rings: the fuller is the nearer to its limit");
}

/* The kernel says when a VM ends, if that was hooked all the time since it was met. */
static void ends_unseen(void)
{
	__u64 *id;

	begin();
	for (int i = 1; i <= 2; i++) {
		struct ms_vm *vm = put("ms_vms", i);

		vm->kvm = 16 * i;
		vm->tgid = GONE;
		vm->checked_ns = 1000 * i;
		id = put("ms_vm_ids", vm->kvm);
		*id = i;
	}
	ends = 1500;
	point(sample(0) && m.vms == 2, "VMs whose process is gone: both are there");
	point(m.vms == 2 && m.vm[0].info.died_ns, "the one that was met before its end was hooked has ended");
	point(m.vms == 2 && !m.vm[1].info.died_ns, "of the other we would have been told");
	point(!find(map_of("ms_vm_ids") - map, &(__u64){ 16 }) && find(map_of("ms_vm_ids") - map, &(__u64){ 32 }),
	      "what comes at the address of the first is another VM");
}

/* A mediated device has a UUID for a name. */
static void migration_states(void)
{
	static const char uuid[] = "6d1f9f8c-30a1-4a53-9c6e-0123456789ab";
	struct ms_vfio_mig *mig;
	__u64 alive, ended;

	begin();
	mig = put("ms_vfio_migs", 1);
	owned_by(&mig->owner, getpid(), "vmm");
	memcpy(mig->name, uuid, sizeof(uuid));
	mig->state = 2;
	mig->in_ns[2] = 1000;
	mig->since_ns = 1;
	point(sample(0) && m.devs == 1 && m.dev[0].alive, "a device that migrates: it is there");
	is("a device that migrates: all of its name", m.devs ? m.dev[0].dev : "", uuid);
	alive = m.devs ? m.dev[0].mig.in_ns[2] : 0;
	mig->owner.tgid = GONE;
	point(sample(0) && m.devs == 1 && !m.dev[0].alive, "its process ends: it stays for a while");
	ended = m.devs ? m.dev[0].mig.in_ns[2] : 0;
	point(alive > 1000 && ended >= alive, "its process ends: the time in its state does not go back");
	point(sample(0) && m.devs == 1 && m.dev[0].mig.in_ns[2] == ended,
	      "its process ends: and does not go on");
}

/* Where an unpin was seen and its pin was not. */
static void container_pinned(void)
{
	struct ms_vfio *v;

	begin();
	v = put("ms_vfios", 1);
	owned_by(&v->owner, getpid(), "vmm");
	v->knows = MS_VFIO_KNOWS_PINNED;
	v->pinned = 3;
	point(sample(0) && m.devs == 1 && m.dev[0].vfio.pinned == 3,
	      "a container: the pages that devices hold");
	v->pinned = -3;
	point(sample(0) && m.devs == 1 && m.dev[0].vfio.pinned == 0,
	      "a container: they never hold less than none");
}

/* A vDPA device outlives who has it open. */
static void vdpa_owners(void)
{
	char name[MODEL_NAME_MAX];
	struct ms_vdpa *v;
	struct ms_vm *vm;

	begin();
	vm = put("ms_vms", 1);
	vm->tgid = getpid();
	strcpy(vm->comm, "vmm");
	v = put("ms_vdpas", 2);
	owned_by(&v->owner, getpid(), "vmm");
	strcpy(v->name, "vdpa0");
	v->vdev = 1;
	v->owner.seen_ns = now_ns() + 60000000000ULL;
	snprintf(name, sizeof(name), "vmm-%d", getpid());
	point(sample(0.2) && m.devs == 1, "vDPA: the device is there");
	is("vDPA: it is who has it open", m.devs ? m.dev[0].vm : "", name);
	v->owner.tgid = vm->tgid = GONE;
	snprintf(name, sizeof(name), "vmm-%u", GONE);
	sample(0.2);
	is("vDPA: its process ends: it is its for a while", m.devs ? m.dev[0].vm : "", name);
	vm->died_ns = 1;
	sample(0.2);
	point(!m.vms && m.devs == 1, "vDPA: the VM is forgotten, the device is there");
	is("vDPA: it is called as before", m.devs ? m.dev[0].vm : "", name);
	usleep(300000);
	sample(0.2);
	is("vDPA: then it is nobody's", m.devs ? m.dev[0].vm : "", "-");
	is("vDPA: and has its name", m.devs ? m.dev[0].dev : "", "vdpa0");
	point(m.devs && m.dev[0].alive, "vDPA: and is alive");
	owned_by(&v->owner, getpid(), "vmm");
	sample(0.2);
	snprintf(name, sizeof(name), "vmm-%d", getpid());
	is("vDPA: until somebody has it again", m.devs ? m.dev[0].vm : "", name);
	v->owner.seen_ns = 1;
	point(sample(60) && m.devs == 1 && !m.dev[0].alive, "vDPA: it has ended once it is not on the bus any more");
	point(v->owner.died_ns, "vDPA: and that is written down, to forget it in time");
}

/* What vringh translates for who is no device of the bus is shown, but is none. */
static void vdpa_nobodys(void)
{
	struct ms_vdpa *v;

	begin();
	v = put("ms_vdpas", 2);
	strcpy(v->name, "vringh");
	v->space[0].table = ~0ULL;
	v->space[0].own = 1;
	point(sample(0.2) && m.devs == 1 && m.dev[0].has_spaces && !m.dev[0].has_vdpa,
	      "vringh: tables of nobody's are there, a device is not");
	is("vringh: they have its name", m.devs ? m.dev[0].dev : "", "vringh");
	is("vringh: and are no VM's", m.devs ? m.dev[0].vm : "", "-");
}

/* A VM is asked for by its name or its UUID, and its devices are with it. */
static void asked_for(void)
{
	static const char uuid[] = "6d1f9f8c-30a1-4a53-9c6e-0123456789ab";
	static const char other[] = "6d1f9f8c-30a1-4a53-9c6e-000000000000";
	char *argv[] = { "sh", "-c", "kill -STOP $$", "-name", "web", "-uuid", (char *)uuid, NULL };
	const char *const by[] = { "web", uuid, other };
	struct ms_vdpa *v;
	struct ms_vm *vm;
	char label[100];
	pid_t pid;

	begin();
	if (posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ))
		abort();
	waitpid(pid, NULL, WUNTRACED);
	vm = put("ms_vms", 1);
	vm->tgid = pid;
	v = put("ms_vdpas", 2);
	owned_by(&v->owner, pid, "vmm");
	v->vdev = 1;
	for (int i = 0; i < 3; i++) {
		asked = by[i];
		snprintf(label, sizeof(label), "asked for %s: it is there, or not", asked);
		point(sample(0) && m.vms == (i < 2), label);
		snprintf(label, sizeof(label), "asked for %s: and so are its devices", asked);
		point(m.devs == m.vms, label);
	}
	asked = NULL;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* It is among the rings no more, and not yet in its VM's sum. */
static void ring_between(void)
{
	struct ms_vm *vm;

	begin();
	vm = put("ms_vms", 1);
	vm->tgid = getpid();
	its_vm = put("ms_ring_vms", 1);
	reads_until_gone = 2;
	self[MS_SELF_RING_CHANGES]++;
	point(sample(0) && m.vms == 1 && m.vm[0].has_ring, "a ring that ends: its VM is there");
	point(m.vms && m.vm[0].ring.pushes == 1000, "a ring that ends: what it counted is not missed while it moves");
	reads_until_gone = 0;
}

/* The indices are read one after the other, and a ring at a known address may be another one. */
static void ring_indices(void)
{
	static const struct {
		const char *what;
		__u32 last, reset, dirty;
		__u64 pushes, used;
	} row[] = {
		{ "indices of a ring", 100, 100, 150, 1050, 50 },
		{ "indices of a ring that was filled and reset between the two reads", 100, 100, 400, 1300, 256 },
		{ "indices of a ring, over 2^32", -20U, -10U, 20, 1040, 30 },
		{ "indices far ahead: another ring", 100, 100, 1000, 1000, 0 },
		{ "indices that went back: another ring", 100, 0, 50, 1000, 0 },
	};
	struct ms_ring_now now = { .ring = 1, .state = {
		.vm = 1, .size = 256, .soft_limit = 192, .pushes = 1000 } };

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		begin();
		((struct ms_vm *)put("ms_vms", 1))->tgid = getpid();
		its_vm = put("ms_ring_vms", 1);
		reads_until_gone = 100;
		now.state.last_dirty = now.state.last_reset = row[i].last;
		now.reset_index = row[i].reset;
		now.dirty_index = row[i].dirty;
		now_there = &now;
		point(sample(0) && m.vms == 1 && m.vm[0].vcpus == 1 && m.vm[0].ring.pushes == row[i].pushes &&
		      m.vm[0].vcpu[0].used == row[i].used, row[i].what);
		now_there = NULL;
	}
	reads_until_gone = 0;
}

int main(void)
{
	kinds_of_threads();
	ring_indices();
	ring_between();
	ends_unseen();
	fullest();
	migration_states();
	container_pinned();
	vdpa_owners();
	vdpa_nobodys();
	asked_for();
	begin();
	vm_names_free(names);
	printf("1..%d\n", nth);
	return failed != 0;
}
