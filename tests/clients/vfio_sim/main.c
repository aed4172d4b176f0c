// SPDX-License-Identifier: GPL-2.0
/*
 * vfio_sim [-s SEED] TEST UUID... - drive simulated VFIO devices through a container
 *
 * TEST is one of those that `vfio_sim -l` lists; the devices must be there already.
 * Exit status: 0, or what was wrong stands on stderr.
 */
#include "vfio.h"

const char *names[16];
unsigned int nr_names;

int main(int argc, char **argv)
{
	static const struct test *const parts[] = {
		device_tests, dirty_tests, state_tests, transfer_tests, hostile_tests
	};
	int opt;

	while ((opt = getopt(argc, argv, "ls:")) != -1) {
		switch (opt) {
		case 'l':
			for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
				for (const struct test *t = parts[i]; t->name; t++)
					puts(t->name);
			return 0;
		case 's':
			rng_state = strtoull(optarg, NULL, 0) ?: 1;
			break;
		default:
			return 2;
		}
	}
	if (argc - optind < 2 || argc - optind > 16) {
		fprintf(stderr, "usage: vfio_sim [-s SEED] TEST UUID...\n");
		return 2;
	}
	for (int i = optind + 1; i < argc; i++)
		names[nr_names++] = argv[i];
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		for (const struct test *t = parts[i]; t->name; t++) {
			if (strcmp(t->name, argv[optind]))
				continue;
			t->function();
			return 0;
		}
	}
	errx(2, "no test %s", argv[optind]);
}
