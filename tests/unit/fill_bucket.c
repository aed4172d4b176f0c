// SPDX-License-Identifier: GPL-2.0
/*
 * Two ways to a fill bucket: kvmload's own, and the one that BPF and the tool
 * use. They must agree for every fill of every legal ring, or comparing their
 * histograms shows nothing.
 */
#include <migscope/hist.h>
#include <stdio.h>

#include "../../tools/kvmload/kvmload.h"

_Static_assert(KL_BUCKETS == MS_FILL_BUCKETS, "the contract says how many");

int main(void)
{
	for (u32 size = 256; size <= 65536; size *= 2) {
		for (int pml = 0; pml < 2; pml++) {
			u32 soft = size - 64 - (pml ? 512 : 0);

			if (pml && size < 1024)
				continue;
			for (u32 used = 0; used <= size; used++) {
				u32 a = kl_fill_bucket(used, soft), b = ms_fill_bucket(used, soft);

				if (a != b) {
					fprintf(stderr, "%u of soft limit %u: kvmload %u, migscope %u\n",
						used, soft, a, b);
					return 1;
				}
			}
		}
	}
	return 0;
}
