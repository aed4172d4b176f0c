// SPDX-License-Identifier: GPL-2.0
/*
 * serve_load [VMS [VCPUS [SCRAPES [devices|stalled]]]] - what a scrape of a large host takes
 *
 * The process of migscope serve that answers HTTP, as it is, over the maps of programs that
 * are attached. As many VMs and rings as asked for are put into these, each with a process
 * of its own. With devices each VM has a vhost device that translates, and in turn a
 * container of VFIO or a vDPA device; where the modules of those are not loaded their maps are
 * made here, and their probes are said to be attached. Between two scrapes every counter
 * grows, and one VM in twenty ends, with its devices and its process, and another comes. One
 * line of JSON: the CPU time of a scrape is all that the process takes from the request to the
 * end of the answer, the walk over the maps, /proc, the exposition and HTTP; its memory is the
 * most that it ever had.
 *
 * stalled is devices, and each scrape has another beside it that asks and reads nothing.
 *
 * Exit status: 0; 1 if something failed, or if without devices half of the scrapes take more
 * than 20 ms of CPU, or the process more than 30 MiB: that is what is meant for VMs; or with
 * stalled more than 160 MiB: as much as with devices, 64 MiB for who does not read, and some.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <err.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "../../../tools/migscope/bpf_host_private.h"
#include "../../../tools/migscope/model.h"
#include "../../../tools/migscope/serve_http.h"
#include "../../clients/median.h"

#define TARGET_CPU_MS	20
#define TARGET_MIB	30
#define STALLED_MIB	160
#define KEEP_S		1		/* what ended stays visible; the next sample but a few forgets it */
#define BETWEEN_NS	300000000	/* what is as fresh as 0.2 s would be scraped again */
#define FIRST_ID	(1ULL << 40)	/* ids far from those that the programs give */

void ms_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

void ms_warn(const char *fmt, ...)
{
	(void)fmt;
}

static __u64 now_ns(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts))
		err(EXIT_FAILURE, "clock");
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/* --- what is there to be read */

enum device { IOTLB, VFIO, VDPA, DEVICES };

static const struct {
	const char *source, *map;
	size_t size;
	unsigned int max;
} device[DEVICES] = {
	[IOTLB] = { "vhost_iotlb", "ms_iotlb_devs", sizeof(struct ms_iotlb_dev), MS_MAX_IOTLB_DEVS },
	[VFIO] = { "vfio", "ms_vfios", sizeof(struct ms_vfio), MS_MAX_VFIOS },
	[VDPA] = { "vdpa", "ms_vdpas", sizeof(struct ms_vdpa), MS_MAX_VDPAS },
};

/* Devices are read as if their modules were there. */
static void play_device(struct bpf_host *host, enum device kind)
{
	struct host_map *map = &host->map[host->maps];

	for (size_t i = 0; i < host->probes; i++)
		if (!strcmp(host->probe[i].source, device[kind].source) && host->probe[i].how != PROBE_ITER)
			host->probe[i].state = PROBE_ATTACHED;
	if (bpf_host_map(host, device[kind].map) >= 0)
		return;
	if (host->maps == HOST_MAPS)
		errx(EXIT_FAILURE, "no room for another map");
	snprintf(map->name, sizeof(map->name), "%s", device[kind].map);
	map->fd = bpf_map_create(BPF_MAP_TYPE_HASH, device[kind].map, sizeof(__u64), device[kind].size,
				 device[kind].max, NULL);
	if (map->fd < 0)
		err(EXIT_FAILURE, "%s", device[kind].map);
	host->maps++;
}

static void put(struct bpf_host *host, const char *map, __u64 key, const void *value)
{
	if (bpf_map_update_elem(bpf_host_map(host, map), &key, value, BPF_ANY))
		err(EXIT_FAILURE, "%s", map);
}

static void fill(struct ms_time_hist *h, unsigned int round)
{
	for (int i = 0; i < MS_TIME_BUCKETS; i++)
		h->bucket[i] = round * (i + 1);
	h->sum_ns = 1000000ULL * round;
}

static struct ms_owner owner_of(pid_t pid, bool ended)
{
	__u64 now = now_ns(CLOCK_MONOTONIC);
	/* what is not older than a second is not looked for on the bus: these never are */
	struct ms_owner owner = { .tgid = pid, .seen_ns = 2 * now, .checked_ns = now, .comm = "load" };

	if (ended)
		owner.died_ns = now;
	return owner;
}

static void write_devices(struct bpf_host *host, __u64 id, pid_t pid, unsigned int round, bool ended)
{
	struct ms_iotlb_dev iotlb = { .owner = owner_of(pid, ended), .dev = id, .file = "vhost-net",
				      .misses = 10ULL * round, .updates = 10ULL * round, .invalidates = round,
				      .evictions = round, .entries = 1000, .limit = 2048 };
	struct ms_vfio vfio = { .owner = owner_of(pid, ended), .iommu = id, .pinned = 1000, .avail = 60000,
				.maps = 5000, .limit = 65535, .runs = round,
				.knows = MS_VFIO_KNOWS_AVAIL | MS_VFIO_KNOWS_MAPS | MS_VFIO_KNOWS_SCOPE |
					 MS_VFIO_KNOWS_PINNED };
	static struct ms_vdpa vdpa;

	fill(&iotlb.service, round);
	for (int op = 0; op < MS_VFIO_OPS; op++) {
		vfio.op[op] = (struct ms_vfio_stat){ .calls = round, .pages = round, .bytes = round };
		fill(&vfio.op[op].time, round);
	}
	vdpa = (struct ms_vdpa){ .owner = owner_of(pid, ended), .vdev = id, .kicks = 100ULL * round,
				 .callbacks = 100ULL * round, .mapped_pages = 1000, .runs = 10,
				 .pinned_pages = 1000, .knows_pinned = 1, .number = id % 100000 };
	snprintf(vdpa.name, sizeof(vdpa.name), "vdpa%llu", id % 100000);
	/* a driver asks for about half of what can be asked for */
	for (int op = 0; op < MS_VDPA_OPS; op += 2) {
		vdpa.op[op].calls = round;
		fill(&vdpa.op[op].time, round);
	}
	put(host, device[IOTLB].map, DEVICES * id + IOTLB, &iotlb);
	if (id % 2)
		put(host, device[VFIO].map, DEVICES * id + VFIO, &vfio);
	else
		put(host, device[VDPA].map, DEVICES * id + VDPA, &vdpa);
}

/* What all of them have. */
static struct {
	struct bpf_host *host;
	int vcpus;
	bool devices;
} load;

static void write_vm(__u64 id, pid_t pid, unsigned int round, bool ended)
{
	struct bpf_host *host = load.host;
	int vcpus = load.vcpus;
	struct ms_vm vm = { .kvm = id << 16, .tgid = pid, .ring_bytes = 65536, .comm = "load",
			    .checked_ns = now_ns(CLOCK_MONOTONIC) };
	struct ms_ring_vm sums = { .rings = vcpus, .size = 4096, .soft_limit = 4032, .resets = round,
				   .reset_events = (__u64)round * vcpus, .reset_entries = 1000ULL * round };
	struct ms_log_vm log = { 0 };

	if (ended)
		vm.died_ns = now_ns(CLOCK_MONOTONIC);
	fill(&sums.stall, round);
	fill(&sums.reset, round);
	fill(&log.op[MS_LOG_GET].time, round);
	put(host, "ms_vms", id, &vm);
	put(host, "ms_ring_vms", id, &sums);
	if (bpf_host_map(host, "ms_log_vms") >= 0)
		put(host, "ms_log_vms", id, &log);
	for (int v = 0; v < vcpus; v++) {
		/* no address of anything: whoever reads it reads zeros */
		__u64 key = (id << 16) + 64 * v;
		struct ms_ring ring = { .vm = id, .vcpu_id = v, .size = 4096, .soft_limit = 4032,
					.pushes = 1000ULL * round, .reset_events = round };

		if (ended)
			bpf_map_delete_elem(bpf_host_map(host, "ms_rings"), &key);
		else
			put(host, "ms_rings", key, &ring);
	}
	if (load.devices)
		write_devices(host, id, pid, round, ended);
}

/* --- whose VMs they are */

/* A process that ends with us. Returns 0 in it. */
static pid_t new_child(void)
{
	pid_t pid = fork();

	if (pid < 0)
		err(EXIT_FAILURE, "fork");
	if (!pid)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

static pid_t new_owner(void)
{
	pid_t pid = new_child();

	while (!pid)
		pause();
	return pid;
}

static void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* --- who reads it */

static int listen_here(struct sockaddr_in *at)
{
	socklen_t len = sizeof(*at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	*at = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	if (fd < 0 || bind(fd, (struct sockaddr *)at, len) || listen(fd, 16) ||
	    getsockname(fd, (struct sockaddr *)at, &len))
		err(EXIT_FAILURE, "no socket");
	return fd;
}

static pid_t start_server(const struct ms_opts *opts, int listener, int sock[2])
{
	struct serve_options o = { .opts = opts, .keep = KEEP_S, .most = 1000000 };
	pid_t pid = new_child();

	if (pid)
		return pid;
	close(sock[0]);
	_exit(serve_http(listener, sock[1], &o));
}

/* A connection on which metrics were asked for. */
static int ask(const struct sockaddr_in *at)
{
	static const char request[] =
		"GET /metrics HTTP/1.1\r\nHost: here\r\nConnection: close\r\n"
		"Accept: application/openmetrics-text; version=1.0.0\r\n\r\n";
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)at, sizeof(*at)) ||
	    write(fd, request, sizeof(request) - 1) != sizeof(request) - 1)
		err(EXIT_FAILURE, "no scrape");
	return fd;
}

/* The answer to a request for metrics, malloc'ed. */
static char *scrape(const struct sockaddr_in *at, size_t *len)
{
	size_t room = 1 << 20;
	char *text = malloc(room);
	int fd = ask(at);
	ssize_t got = 1;

	if (!text)
		err(EXIT_FAILURE, "no scrape");
	for (*len = 0; got > 0; *len += got) {
		if (room - *len < 65536)
			text = realloc(text, room *= 2);
		got = text ? read(fd, text + *len, room - *len - 1) : -1;
		if (got < 0)
			err(EXIT_FAILURE, "no answer");
	}
	text[*len] = '\0';
	close(fd);
	if (strncmp(text, "HTTP/1.1 200", 12) || !strstr(text, "# EOF\n"))
		errx(EXIT_FAILURE, "the answer is: %.80s", text);
	return text;
}

/* How many lines of @text begin with @prefix, and say something of a series. */
static unsigned long lines(const char *text, const char *prefix)
{
	unsigned long n = 0;

	for (const char *p = text; (p = strchr(p, '\n')); n += !strncmp(p, prefix, strlen(prefix)))
		p++;
	return n;
}

static double peak_mib(pid_t pid)
{
	unsigned long kib = 0;
	char path[40], line[128];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmHWM: %lu", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib / 1024.;
}

int main(int argc, char **argv)
{
	int vms = argc > 1 ? atoi(argv[1]) : 200, vcpus = argc > 2 ? atoi(argv[2]) : 16;
	int scrapes = argc > 3 ? atoi(argv[3]) : 50, churn = vms / 20, sock[2], listener;
	bool stalled = argc > 4 && !strcmp(argv[4], "stalled");
	bool with_devices = stalled || (argc > 4 && !strcmp(argv[4], "devices"));
	unsigned long series = 0, buckets = 0, devices = 0, live = 0;
	struct timespec between = { .tv_nsec = BETWEEN_NS };
	double *cpu = calloc(scrapes, sizeof(*cpu)), mid, mib;
	pid_t *owner = calloc(vms, sizeof(*owner)), server;
	struct ms_opts opts = { 0 };
	struct sockaddr_in at;
	struct bpf_host *host;
	__u64 next = FIRST_ID;
	clockid_t clock;
	size_t len = 0;
	char there, *text;

	if (vms < 1 || vcpus < 1 || scrapes < 1 || !cpu || !owner)
		errx(EXIT_FAILURE, "serve_load [VMS [VCPUS [SCRAPES [devices|stalled]]]]");
	listener = listen_here(&at);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock))
		err(EXIT_FAILURE, "socketpair");
	server = start_server(&opts, listener, sock);
	close(sock[1]);
	if (bpf_host_open(&opts, NULL, &host) || bpf_host_attach(host) <= 0)
		return EXIT_FAILURE;
	load.host = host;
	load.vcpus = vcpus;
	load.devices = with_devices;
	for (enum device d = 0; with_devices && d < DEVICES; d++)
		play_device(host, d);
	for (int i = 0; i < vms; i++) {
		owner[next % vms] = new_owner();
		write_vm(next, owner[next % vms], 1, false);
		next++;
	}
	if (bpf_host_send(host, sock[0]) || recv(sock[0], &there, 1, 0) != 1 ||
	    clock_getcpuclockid(server, &clock))
		errx(EXIT_FAILURE, "it does not serve");

	for (int s = 0; s < scrapes; s++) {
		__u64 before;

		for (int i = 0; i < churn; i++) {
			pid_t *pid = &owner[next % vms];

			write_vm(next - vms, *pid, s + 1, true);
			end_child(*pid);
			*pid = new_owner();
			next++;
		}
		for (__u64 id = next - vms; id < next; id++)
			write_vm(id, owner[id % vms], s + 2, false);
		nanosleep(&between, NULL);
		before = now_ns(clock);
		text = scrape(&at, &len);
		cpu[s] = (now_ns(clock) - before) / 1e6;
		/* it lasts as long as we do, and is never read */
		if (stalled)
			ask(&at);
		series = lines(text, "migscope_");
		for (const char *p = text; (p = strstr(p, "_bucket{")); p++)
			buckets++;
		live = lines(text, "migscope_vm_alive{");
		devices = lines(text, "migscope_iotlb_entries{") + lines(text, "migscope_vfio_pinned_pages{") +
			  lines(text, "migscope_vdpa_vq_kicks_total{");
		if (s < scrapes - 1)
			buckets = 0;
		free(text);
	}
	mid = median(cpu, scrapes);
	mib = peak_mib(server);
	end_child(server);
	/* one that reads nothing is quick */
	if (live < (unsigned long)vms || devices < (with_devices ? 2UL * vms : 0))
		errx(EXIT_FAILURE, "only %lu VMs and %lu devices in the answer", live, devices);
	printf("{\"vms\":%d,\"vcpus\":%d,\"devices\":%lu,\"series\":%lu,\"buckets\":%lu,\"bytes\":%zu,"
	       "\"scrape_cpu_ms\":%.2f,\"scrape_cpu_ms_most\":%.2f,\"resident_mib\":%.1f}\n", vms, vcpus, devices,
	       series, buckets, len, mid, cpu[scrapes - 1], mib);
	bpf_host_close(host);
	if (stalled && mib > STALLED_MIB)
		errx(EXIT_FAILURE, "meant were at most %d MiB with readers that stalled", STALLED_MIB);
	if (with_devices || (mid <= TARGET_CPU_MS && mib <= TARGET_MIB))
		return EXIT_SUCCESS;
	fprintf(stderr, "serve_load: meant were at most %d ms of CPU and %d MiB\n", TARGET_CPU_MS, TARGET_MIB);
	return EXIT_FAILURE;
}
