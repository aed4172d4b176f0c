// SPDX-License-Identifier: GPL-2.0
/* Source dirty_ring, exact mode: a ring that is freed gives its slot back. */
#include "dirty_ring_push.h"

SEC("fentry/kvm_dirty_ring_free")
int BPF_PROG(ms_push_free, struct kvm_dirty_ring *ring)
{
	struct ms_push *p = ms_push_search(ms_first_arg(ctx), false);

	if (!p)
		return 0;
	ms_push_fold(p);
	/* not 0: those behind it must still be found */
	p->ring = 1;
	return 0;
}
