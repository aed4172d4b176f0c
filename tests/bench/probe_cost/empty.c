// SPDX-License-Identifier: GPL-2.0
/*
 * Holds the empty program attached until standard input ends. A line read before
 * that has the kernel count its runs from then on; the count is the proof that it
 * was attached. Counting costs, so nothing is measured meanwhile.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdio.h>
#include <unistd.h>

static int fail(const char *what)
{
	perror(what);
	return 1;
}

int main(int argc, char **argv)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);
	struct bpf_program *prog;
	struct bpf_object *obj;
	struct bpf_link *link;
	char line[8];
	int stats;

	if (argc != 2) {
		fprintf(stderr, "usage: empty OBJECT\n");
		return 2;
	}
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	obj = bpf_object__open_file(argv[1], NULL);
	if (!obj || bpf_object__load(obj))
		return fail(argv[1]);
	prog = bpf_object__next_program(obj, NULL);
	link = bpf_program__attach(prog);
	if (!link)
		return fail("attaching");
	puts("attached");
	fflush(stdout);

	if (!fgets(line, sizeof(line), stdin))
		return 0;
	stats = bpf_enable_stats(BPF_STATS_RUN_TIME);
	if (stats < 0)
		return fail("counting runs");
	puts("counting");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin))
		;
	if (bpf_obj_get_info_by_fd(bpf_program__fd(prog), &info, &len))
		return fail("the program's count");
	printf("%llu\n", info.run_cnt);
	bpf_link__destroy(link);
	bpf_object__close(obj);
	close(stats);
	return 0;
}
