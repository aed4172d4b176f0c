// SPDX-License-Identifier: GPL-2.0
/* The least that a BPF program at every push can cost. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("tp_btf/kvm_dirty_ring_push")
int empty(void *ctx)
{
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
