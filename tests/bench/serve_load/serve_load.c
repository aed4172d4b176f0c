// SPDX-License-Identifier: GPL-2.0
/*
 * serve_load [VMS [VCPUS [SCRAPES]]] - what a scrape of a large host takes
 *
 * Puts as many VMs and rings into the maps of programs that are attached, and takes
 * samples of them by the way that serve takes: the walk over the maps, the iterators,
 * /proc, the exposition. Between two scrapes every VM's counters grow, and one VM in
 * twenty ends and another comes. One line of JSON.
 */
#include <bpf/bpf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include "../../../tools/migscope/bpf_host.h"
#include "../../../tools/migscope/kernel_info.h"
#include "../../../tools/migscope/render.h"
#include "../../../tools/migscope/vm_names.h"

volatile sig_atomic_t ms_stop;

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

static double cpu_seconds(void)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	return ru.ru_utime.tv_sec + ru.ru_stime.tv_sec + (ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6;
}

static int by_value(const void *a, const void *b)
{
	double d = *(const double *)a - *(const double *)b;

	return d < 0 ? -1 : d > 0;
}

/* Ids far from those that the programs give. */
#define FIRST_ID (1ULL << 40)

static void write_vm(struct bpf_host *host, __u64 id, int vcpus, unsigned int round, bool ended)
{
	struct ms_vm vm = { .kvm = id << 16, .tgid = getpid(), .ring_bytes = 65536, .comm = "load", .seen_ns = 1 };
	struct ms_ring_vm sums = { .rings = vcpus, .size = 4096, .soft_limit = 4032, .resets = round,
				   .reset_events = (__u64)round * vcpus, .reset_entries = 1000ULL * round };
	struct ms_log_vm log = { 0 };
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (ended)
		vm.died_ns = now.tv_sec * 1000000000ULL + now.tv_nsec;
	for (int i = 0; i < MS_TIME_BUCKETS; i++)
		sums.stall.bucket[i] = sums.reset.bucket[i] = log.op[MS_LOG_GET].time.bucket[i] = round * (i + 1);
	bpf_map_update_elem(bpf_host_map(host, "ms_vms"), &id, &vm, BPF_ANY);
	bpf_map_update_elem(bpf_host_map(host, "ms_ring_vms"), &id, &sums, BPF_ANY);
	if (bpf_host_map(host, "ms_log_vms") >= 0)
		bpf_map_update_elem(bpf_host_map(host, "ms_log_vms"), &id, &log, BPF_ANY);
	for (int v = 0; v < vcpus; v++) {
		/* no address of anything: whoever reads it reads zeros */
		__u64 key = (id << 16) + 64 * v;
		struct ms_ring ring = { .vm = id, .vcpu_id = v, .size = 4096, .soft_limit = 4032,
					.pushes = 1000ULL * round, .reset_events = round };

		if (ended)
			bpf_map_delete_elem(bpf_host_map(host, "ms_rings"), &key);
		else
			bpf_map_update_elem(bpf_host_map(host, "ms_rings"), &key, &ring, BPF_ANY);
	}
}

int main(int argc, char **argv)
{
	int vms = argc > 1 ? atoi(argv[1]) : 200, vcpus = argc > 2 ? atoi(argv[2]) : 16;
	int scrapes = argc > 3 ? atoi(argv[3]) : 50, churn = vms / 20;
	struct openmetrics_options o = { .openmetrics = true, .most = 1000000 };
	double *sample = calloc(scrapes, sizeof(double)), *render = calloc(scrapes, sizeof(double));
	struct model_filter filter = { .keep = 1 };
	struct ms_opts opts = { 0 };
	struct openmetrics_stats stats;
	struct vm_names *names = vm_names_new(!kernel_info_pid_namespace());
	unsigned long long pages = 0;
	struct bpf_host *host;
	struct model m;
	size_t len = 0;
	__u64 next = FIRST_ID;
	char *text;
	FILE *f;

	if (!sample || !render || !names || bpf_host_open(&opts, NULL, &host) || bpf_host_attach(host) <= 0)
		return 1;
	for (int i = 0; i < vms; i++)
		write_vm(host, next++, vcpus, 1, false);
	for (int s = 0; s < scrapes; s++) {
		double begin, middle;

		for (int i = 0; i < churn; i++) {
			write_vm(host, next - vms, vcpus, s + 1, true);
			write_vm(host, next++, vcpus, 1, false);
		}
		for (__u64 id = next - vms; id < next; id++)
			write_vm(host, id, vcpus, s + 2, false);
		begin = cpu_seconds();
		if (model_sample(host, names, &filter, &m))
			return 1;
		middle = cpu_seconds();
		if (render_openmetrics(&m, NULL, &o, &text, &len, &stats))
			return 1;
		render[s] = cpu_seconds() - middle;
		sample[s] = middle - begin;
		free(text);
		model_free(&m);
	}
	qsort(sample, scrapes, sizeof(double), by_value);
	qsort(render, scrapes, sizeof(double), by_value);
	f = fopen("/proc/self/statm", "r");
	if (!f || fscanf(f, "%*u %llu", &pages) != 1)
		return 1;
	fclose(f);
	printf("{\"vms\":%d,\"vcpus\":%d,\"series\":%zu,\"bytes\":%zu,\"sample_cpu_ms\":%.2f,\"render_cpu_ms\":%.2f,"
	       "\"resident_mib\":%.1f}\n", vms, vcpus, stats.series, len, 1e3 * sample[scrapes / 2],
	       1e3 * render[scrapes / 2], pages * sysconf(_SC_PAGESIZE) / 1048576.0);
	bpf_host_close(host);
	return 0;
}
