// SPDX-License-Identifier: GPL-2.0
/*
 * Source dirty_ring, on request: which pages are dirtied again, and after how long.
 *
 * A reset clears the flags of the entries that it takes and leaves the rest of them as
 * it was. They are written over when the ring has gone round, for which vCPUs would have to
 * push all but the reserved entries between the reset and its tracepoint. Entries are
 * user space's to write: they are hashed, and nothing is computed from them.
 */
#include "dirty_ring.h"
#include <migscope/dirty_pages.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MS_MAX_PAGES);
	__type(key, u64);
	__type(value, struct ms_page);
} ms_pages SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MS_MAX_VMS);
	__type(key, u64);
	__type(value, struct ms_page_vm);
} ms_page_vms SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct ms_page_vm);
} ms_page_vm_zero SEC(".maps");

#define MS_ENTRIES	8	/* read at a time */
#define MS_RING_MAX	65536	/* KVM_DIRTY_RING_MAX_ENTRIES */

/* include/uapi/linux/kvm.h */
struct ms_entry {
	u32 flags;
	u32 slot;
	u64 offset;
};

struct ms_walk {
	struct ms_page_vm *v;
	void *entries;
	u64 vm, now, mask;
	u32 at, end, size;
};

static __always_inline u64 ms_page_key(u64 vm, u32 slot, u64 offset)
{
	u64 x = (vm << 40 ^ (u64)slot << 32) + offset;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

static __always_inline void ms_page_seen(struct ms_walk *w, struct ms_entry *entry)
{
	u64 key = ms_page_key(w->vm, entry->slot, entry->offset);
	struct ms_page_vm *v = w->v;
	struct ms_page new = { .vm = w->vm, .last_ns = w->now, .before = v->last };
	struct ms_page *page;
	bool first;
	u32 b;

	/* the map hashes the key as well: any bits of it will do */
	if (key & w->mask)
		return;
	/* what the first reset shows was dirtied before we looked: known, but not counted */
	first = v->resets <= 1;
	v->seen += !first;
	page = bpf_map_lookup_elem(&ms_pages, &key);
	if (page) {
		b = ms_gap_bucket(w->now - page->last_ns);
		if (b < MS_GAP_BUCKETS && !first)
			v->gap[b]++;
		page->last_ns = w->now;
		return;
	}
	if (v->kept >= MS_VM_PAGES || bpf_map_update_elem(&ms_pages, &key, &new, BPF_NOEXIST)) {
		v->overflow++;
		return;
	}
	v->last = key;
	v->kept++;
	b = ms_gap_bucket(w->now - v->since_ns);
	if (b < MS_GAP_BUCKETS && !first)
		v->first[b]++;
}

/* A few entries more; they lie beside each other but where the ring begins anew. */
static long ms_entries_seen(u64 i, struct ms_walk *w)
{
	/* before 6.3 a helper must not be given what was not written (6715df8d5d24) */
	struct ms_entry entry[MS_ENTRIES] = {};
	u32 n = w->end - w->at, from = w->at & (w->size - 1);

	if (n > MS_ENTRIES)
		n = MS_ENTRIES;
	if (n > w->size - from)
		n = w->size - from;
	/* the compiler knows the bound; the verifier has to see it */
	barrier_var(n);
	if (!n || n > MS_ENTRIES)
		return 1;
	w->at += n;
	if (bpf_probe_read_kernel(entry, n * sizeof(entry[0]), w->entries + (u64)from * sizeof(entry[0]))) {
		w->v->unread += n;
		return 0;
	}
	for (u32 k = 0; k < MS_ENTRIES; k++)
		if (k < n)
			ms_page_seen(w, &entry[k]);
	return 0;
}

static long ms_page_drop(u64 i, u64 *key)
{
	struct ms_page *page = bpf_map_lookup_elem(&ms_pages, key);
	u64 before = page ? page->before : 0;

	bpf_map_delete_elem(&ms_pages, key);
	*key = before;
	return !before;
}

static long ms_page_vm_sweep(struct bpf_map *map, u64 *id, struct ms_page_vm *v, void *unused)
{
	struct ms_vm *vm = bpf_map_lookup_elem(&ms_vms, id);
	u64 last;

	if (vm && !vm->died_ns)
		return 0;
	/* of two who find it the first takes them */
	last = __sync_lock_test_and_set(&v->last, 0);
	if (last)
		bpf_loop(MS_VM_PAGES, ms_page_drop, &last, 0);
	if (!vm)
		bpf_map_delete_elem(&ms_page_vms, id);
	return 0;
}

/*
 * Of this VM, made on first use. The next one makes room, whether or not somebody reads: pages of
 * a VM that ended are not dirtied again, and how its own were is kept while the VM is.
 */
static __noinline struct ms_page_vm *ms_page_vm(u64 vm)
{
	struct ms_page_vm *v = bpf_map_lookup_elem(&ms_page_vms, &vm);

	if (v)
		return v;
	bpf_for_each_map_elem(&ms_page_vms, ms_page_vm_sweep, NULL, 0);
	return ms_state_of(&ms_page_vms, vm, &ms_page_vm_zero);
}

/*
 * The ring's state; NULL when it is not known since when it runs. A function of its own: the
 * stack has no room for what it needs beside the walk.
 */
static __noinline struct ms_ring *ms_pages_ring(struct kvm_dirty_ring *ring)
{
	bool old;
	struct ms_ring *r = ms_ring_get(ring, &old);

	return old ? NULL : r;
}

SEC("tp_btf/kvm_dirty_ring_reset")
int BPF_PROG(ms_ring_pages, struct kvm_dirty_ring *ring)
{
	struct ms_config *config = ms_config_get();
	u64 begun = bpf_ktime_get_ns(), ns;
	struct ms_walk w = {};
	struct ms_ring *r;

	if (!ring || !config)
		return 0;
	r = ms_pages_ring(ring);
	if (!r)
		return 0;
	w.v = ms_page_vm(r->vm);
	if (!w.v)
		return 0;
	w.entries = BPF_CORE_READ(ring, dirty_gfns);
	w.vm = r->vm;
	w.now = bpf_ktime_get_ns();
	w.mask = (1ULL << (config->page_part & 31)) - 1;
	w.at = r->pages_reset;
	w.end = BPF_CORE_READ(ring, reset_index);
	w.size = r->size;
	r->pages_reset = w.end;
	/* resets of one VM exclude each other by slots_lock */
	w.v->resets += !BPF_CORE_READ(ms_ring_vcpu(ring), vcpu_idx);
	if (!w.v->since_ns)
		w.v->since_ns = w.now;
	w.v->last_ns = w.now;
	if (!w.size || w.size > MS_RING_MAX || w.end - w.at > w.size)
		return 0;
	bpf_loop(w.size / MS_ENTRIES + 2, ms_entries_seen, &w, 0);
	/* this is within the reset, and none of it */
	ns = bpf_ktime_get_ns() - begun;
	r->pages_ns = ns < ~0U ? ns : ~0U;
	return 0;
}
