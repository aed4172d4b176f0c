// SPDX-License-Identifier: GPL-2.0
/*
 * Source vfio: the migration states of devices, from the events of a driver that has
 * some: vfio_sim's. The VFIO core has no hook for them on any kernel.
 */
#include "maps.h"
#include <linux/errno.h>
#include <migscope/vfio.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MS_MAX_VFIO_MIGS);
	__type(key, u64);
	__type(value, struct ms_vfio_mig);
} ms_vfio_migs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct ms_vfio_mig);
} ms_vfio_mig_zero SEC(".maps");

static __always_inline u64 ms_vfio_mig_mix(u64 id, u64 with)
{
	return (id ^ with) * 0x9e3779b97f4a7c15ULL;
}

static long ms_vfio_mig_sweep(struct bpf_map *map, u64 *id, struct ms_vfio_mig *v, void *unused)
{
	if (v->owner.died_ns)
		bpf_map_delete_elem(&ms_vfio_migs, id);
	return 0;
}

/*
 * A device that another process has now is another one: the id is made of both names. It is
 * exact in a double, and none of those that are counted.
 */
static __always_inline struct ms_vfio_mig *ms_vfio_mig_get(const char *device)
{
	struct task_struct *task = ms_current();
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	u64 name[MS_VFIO_NAME_LEN / 8] = {}, id;
	struct ms_vfio_mig *v;
	u32 k = 0;
	void *zero;

	if (!mm || bpf_probe_read_kernel_str(name, sizeof(name), device) < 0)
		return NULL;
	id = ms_vfio_mig_mix((u64)mm, BPF_CORE_READ(task, group_leader, start_boottime));
	for (int i = 0; i < MS_VFIO_NAME_LEN / 8; i++)
		id = ms_vfio_mig_mix(id ^ id >> 32, name[i]);
	id = id >> 13 | 1ULL << 51;
	v = bpf_map_lookup_elem(&ms_vfio_migs, &id);
	if (v)
		return v;

	zero = bpf_map_lookup_elem(&ms_vfio_mig_zero, &k);
	/* those that were given back are kept for as long as there is room */
	if (zero && bpf_map_update_elem(&ms_vfio_migs, &id, zero, BPF_NOEXIST) == -E2BIG) {
		bpf_for_each_map_elem(&ms_vfio_migs, ms_vfio_mig_sweep, NULL, 0);
		bpf_map_update_elem(&ms_vfio_migs, &id, zero, BPF_NOEXIST);
	}
	v = bpf_map_lookup_elem(&ms_vfio_migs, &id);
	if (!v) {
		ms_self_add(MS_SELF_DEVS_FULL, 1);
		return NULL;
	}
	ms_owner_set(&v->owner, mm, task);
	__builtin_memcpy(v->name, name, sizeof(name));
	return v;
}

SEC("tp_btf/vfio_sim_state")
int BPF_PROG(ms_vfio_mig_event, const char *device, u32 protocol, u32 from, u32 to, u64 duration,
	     u64 stayed, int result)
{
	struct ms_vfio_mig *v = ms_vfio_mig_get(device);

	if (!v)
		return 0;
	if (result < 0) {
		__sync_fetch_and_add(&v->errors, 1);
		/* it stays where it was, which nobody told us of before */
		if (!v->since_ns) {
			v->protocol = protocol;
			v->state = from;
			v->since_ns = bpf_ktime_get_ns();
		}
		return 0;
	}
	/* 0 is a reset, which is no step of a migration */
	if (protocol) {
		v->protocol = protocol;
		__sync_fetch_and_add(&v->steps, 1);
		ms_hist_add(&v->time, duration);
	}
	/* what it did before somebody had it open, or between two times, belongs to nobody */
	if (v->owner.died_ns) {
		v->owner.died_ns = 0;
	} else if (v->since_ns && from < MS_VFIO_STATES) {
		/* the verifier does not follow the comparison to what is added below */
		barrier_var(from);
		__sync_fetch_and_add(&v->in_ns[from & (MS_VFIO_STATES - 1)], stayed);
	}
	v->since_ns = bpf_ktime_get_ns();
	v->state = to;
	return 0;
}

static long ms_vfio_mig_ended(struct bpf_map *map, u64 *id, struct ms_vfio_mig *v, void *arg)
{
	const u64 *name = arg, *has = (const u64 *)v->name;

	if (v->owner.died_ns)
		return 0;
	for (int i = 0; i < MS_VFIO_NAME_LEN / 8; i++)
		if (has[i] != name[i])
			return 0;
	v->owner.died_ns = bpf_ktime_get_ns();
	return 0;
}

/*
 * Given back, while its process may go on, which may open it again. Who closes it need not be
 * that process: a child had its file, too, or a thread of the kernel does it. Nobody has it any more.
 */
SEC("tp_btf/vfio_sim_close")
int BPF_PROG(ms_vfio_mig_close_event, const char *device)
{
	u64 name[MS_VFIO_NAME_LEN / 8] = {};

	if (bpf_probe_read_kernel_str(name, sizeof(name), device) >= 0)
		bpf_for_each_map_elem(&ms_vfio_migs, ms_vfio_mig_ended, name, 0);
	return 0;
}
