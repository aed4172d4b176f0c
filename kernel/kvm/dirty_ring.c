// SPDX-License-Identifier: GPL-2.0
/*
 * KVM dirty ring: the guest pages that a vCPU wrote, in an array of entries
 * that it shares with user space.
 *
 * An entry goes round three states, told by its flags:
 *
 *	0		nobody's	-> the vCPU may fill it
 *	DIRTY		filled		-> user space may take it
 *	DIRTY | RESET	harvested	-> KVM_RESET_DIRTY_RINGS may empty it
 *
 * User space harvests in order and skips none.  KVM_RESET_DIRTY_RINGS takes
 * what was harvested and makes the MMU track these pages again.
 *
 * Who may do what
 *
 *   push	the vCPU that owns the ring, with its mutex held; often under
 *		mmu_lock, in either mode, so it neither sleeps nor locks.  The
 *		only writer of dirty_index.
 *   reset	anybody, under slots_lock.  The only writer of reset_index.
 *   harvest	user space, at any time, and it may write anything anywhere in
 *		the ring.  The indices are ours and bound what we look at: an
 *		entry that was not pushed is never reset, whatever its flags
 *		say.  slot and offset are read once and trusted never.
 *
 * The two indices run freely through all of u32; their difference is how many
 * entries are in use.  An entry changes hands complete: its flags are 0 before
 * reset_index lets the vCPU have it, and dirty_index covers it before its flags
 * let user space take it: what was harvested is always within what a reset looks
 * at, and an entry that is pushed at this moment has flags that say so.
 *
 * A ring lives from before its vCPU can be reached until nobody can reach it
 * any more (the VM's last reference is gone, and with it every mapping).
 * struct kvm_dirty_ring is part of struct kvm_vcpu and has to keep its layout
 * for everyone who knows it only by BTF.  So what else there is to keep about
 * a ring lies behind its entries, in the same allocation and out of what mmap
 * shows: struct ring_state.
 */
#include <linux/kvm_host.h>
#include <linux/kvm.h>
#include <linux/kvm_dirty_ring.h>
#include <linux/ktime.h>
#include <linux/log2.h>
#include <linux/sched/signal.h>
#include <linux/vmalloc.h>
#include <trace/events/kvm.h>
#include "kvm_mm.h"
#include "dirty_ring.h"

#define CREATE_TRACE_POINTS
#include <trace/events/kvm_dirty.h>

/*
 * Entries are collected in windows: 64 gfns, a bit of a mask for each.  The MMU is
 * called for what a page table holds of them, or for each where it cannot take more
 * at once.  To be aligned by gfn although it is an offset that an entry has, a page
 * number includes the misalignment of the slot.  With its slot and the epoch, which
 * is another one in the next reset, it fits into 54 bits, a window into 48:
 *
 *	53 .. 48   47      46 .. 32   31 .. 9   8 .. 6   5 .. 0
 *	epoch      as_id   slot id    table     window   page
 *
 * A window that was found has a number, by which its mask of pages is known; what
 * is ordered is its key, with the number in the lowest bits.
 */
#define PAGE_BITS		32
#define ID_BITS			15
#define SLOT_BITS		(ID_BITS + 1)
#define EPOCH_MAX		63
#define WINDOW_PAGES		BITS_PER_LONG
#define WINDOW_MASK		(WINDOW_PAGES - 1)
#define WINDOW_SHIFT		6
#define NUMBER_BITS		16
#define NUMBER_MASK		((1 << NUMBER_BITS) - 1)

#ifdef KVM_LOG_DIRTY_TABLE_PAGES
#define TABLE_PAGES		KVM_LOG_DIRTY_TABLE_PAGES
#else
#define TABLE_PAGES		WINDOW_PAGES
#endif
#define TABLE_SHIFT		ilog2(TABLE_PAGES)
#define TABLE_WINDOWS		(TABLE_PAGES / WINDOW_PAGES)
#define TABLE_OF_KEY_SHIFT	(NUMBER_BITS + TABLE_SHIFT - WINDOW_SHIFT)
#define SLOT_OF_TABLE_SHIFT	(PAGE_BITS - TABLE_SHIFT)

/* A digit of the radix sort: 8 KiB of counters order a 512 MiB guest at once. */
#define DIGIT_BITS_MAX		11
#define DIGIT_BITS_MIN		4

#define SLOT_CACHE		16

struct slot_ref {
	struct kvm_memory_slot *memslot;	/* NULL: there is none */
	u64 base;				/* what a page number counts from */
	u64 npages;				/* 0: there is no slot */
	u32 slot;				/* as user space names it */
	bool valid;
};

struct ring_state {
	/* The vCPU's */
	u64 nr_full_exits;
	u64 nr_lost;
	u64 stall_start;			/* 0: does not stall */

	/*
	 * Under slots_lock; statistics look at the numbers without it.
	 * nr_reset is reset_index with the upper half that it lacks.
	 */
	u64 nr_reset ____cacheline_aligned_in_smp;
	u64 nr_rejected;
	bool mmu_called;
	u32 epoch;				/* 1 to EPOCH_MAX, from the first reset on */

	struct slot_ref slots[SLOT_CACHE];
	u32 digit[1 << DIGIT_BITS_MAX];

	u64 scratch[];				/* see ring_scratch() */
};

/* A window that was seen, and its mask: where the next page of it goes. */
struct recent {
	u64 window;
	unsigned long *mask;
};

/*
 * Where the windows of a reset are collected.  Nothing of it outlasts the reset: a
 * window that lies in @recent is of an earlier epoch then.  Once all are collected
 * @recent is room to sort in; what that leaves there is taken for no window, as a
 * key is greater than any.
 */
struct ring_scratch {
	unsigned long *mask;			/* by number */
	u64 *key;				/* in order of appearance: by number */
	union {
		struct recent *recent;		/* by the window's lowest bits */
		u64 *other;			/* to sort the keys into */
	};
};

/* What one reset did, for the tracepoint. */
struct reset_report {
	u32 windows;
	u32 mmu_calls;
	u32 rejected;
	u32 rejected_slot;
	u64 hold_max;
	u64 hold_since;
	bool timed;
};

/* What a gather found. */
struct gathered {
	u32 entries;
	u32 windows;				/* a window may be among them twice */
	u64 varying;				/* bits that are not the same in all keys */
	bool ordered;
};

/* Flags and slot of an entry: read at once, as they are compared at once. */
union entry_head {
	struct {
		u32 flags;
		u32 slot;
	};
	u64 word;
};

static struct ring_state *ring_state(struct kvm_dirty_ring *ring)
{
	return (struct ring_state *)(ring->dirty_gfns + ring->size);
}

#define SCRATCH_ENTRY	(sizeof(unsigned long) + sizeof(u64) + sizeof(struct recent))

static struct ring_scratch ring_scratch(struct kvm_dirty_ring *ring)
{
	struct ring_scratch s;

	s.mask = (unsigned long *)ring_state(ring)->scratch;
	s.key = (u64 *)(s.mask + ring->size);
	s.recent = (struct recent *)(s.key + ring->size);
	return s;
}

u32 kvm_dirty_ring_get_rsvd_entries(void)
{
	return KVM_DIRTY_RING_RSVD_ENTRIES + kvm_cpu_dirty_log_size();
}

bool kvm_use_dirty_bitmap(struct kvm *kvm)
{
	lockdep_assert_held(&kvm->slots_lock);

	if (kvm->dirty_ring_with_bitmap)
		return true;
	return kvm->dirty_ring_size == 0;
}

#ifndef CONFIG_NEED_KVM_DIRTY_RING_WITH_BITMAP
bool kvm_arch_allow_write_without_running_vcpu(struct kvm *kvm)
{
	return false;
}
#endif

/* @size is in bytes, as KVM_ENABLE_CAP got it and checked it. */
int kvm_dirty_ring_alloc(struct kvm_dirty_ring *ring, int index, u32 size)
{
	struct kvm_vcpu *vcpu = container_of(ring, struct kvm_vcpu, dirty_ring);
	u32 entries = size / sizeof(struct kvm_dirty_gfn);
	size_t behind = sizeof(struct ring_state) + entries * SCRATCH_ENTRY;

	BUILD_BUG_ON(KVM_MAX_NR_ADDRESS_SPACES > 2);
	BUILD_BUG_ON(KVM_USER_MEM_SLOTS > 1 << ID_BITS);
	BUILD_BUG_ON(KVM_MEM_MAX_NR_PAGES + TABLE_PAGES > 1UL << PAGE_BITS);
	BUILD_BUG_ON(KVM_DIRTY_RING_MAX_ENTRIES > 1 << NUMBER_BITS);
	BUILD_BUG_ON(WINDOW_PAGES != 1 << WINDOW_SHIFT);
	BUILD_BUG_ON(offsetof(struct kvm_dirty_gfn, flags) ||
		     offsetof(struct kvm_dirty_gfn, slot) !=
		     offsetof(union entry_head, slot));

	/* Up to some MiB for each vCPU that user space asks for: its to pay. */
	ring->dirty_gfns = __vmalloc(size + behind, GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!ring->dirty_gfns)
		return -ENOMEM;

	ring->size = entries;
	ring->soft_limit = entries - kvm_dirty_ring_get_rsvd_entries();
	ring->dirty_index = 0;
	ring->reset_index = 0;
	ring->index = index;

	trace_kvm_dirty_ring_alloc(vcpu->kvm, ring);
	return 0;
}

void kvm_dirty_ring_free(struct kvm_dirty_ring *ring)
{
	struct kvm_vcpu *vcpu = container_of(ring, struct kvm_vcpu, dirty_ring);

	if (!ring->dirty_gfns)
		return;

	trace_kvm_dirty_ring_free(vcpu->kvm, ring);

	/*
	 * A vCPU may still be torn down after its ring (a creation that fails
	 * does it in this order) and write guest memory on the way: to a push,
	 * a ring of size 0 is a full one.
	 */
	ring->size = 0;
	ring->soft_limit = 0;
	vfree(ring->dirty_gfns);
	ring->dirty_gfns = NULL;
}

struct page *kvm_dirty_ring_get_page(struct kvm_dirty_ring *ring, u32 offset)
{
	return vmalloc_to_page((void *)ring->dirty_gfns +
			       (unsigned long)offset * PAGE_SIZE);
}

/*
 * Until user space has harvested and reset, nothing may be begun that takes an
 * entry.  Those above the limit are for what one entry to the guest can still
 * write.
 */
bool kvm_dirty_ring_is_soft_full(struct kvm_dirty_ring *ring)
{
	return ring->size && ring->dirty_index - READ_ONCE(ring->reset_index) >= ring->soft_limit;
}

/*
 * A push that finds no room.  The vCPU is not run once the soft limit is
 * reached, whoever maps guest memory in bulk looks at it, too, or maps it
 * read-only, and what the vCPU has emulated for it is left before it has
 * written twenty times more: a string instruction pushes a page as often as it
 * writes to it.  So this takes a user space that makes KVM write guest memory on
 * its behalf, over and over, and never harvests: it can, so it is nothing to
 * warn about, but it is counted.  To overwrite an entry would lose a page just
 * as well, and put the indices of user space and kernel out of step for good.
 */
static noinline void ring_push_lost(struct kvm_vcpu *vcpu)
{
	struct kvm_dirty_ring *ring = &vcpu->dirty_ring;
	struct ring_state *state;

	if (!ring->dirty_gfns)
		return;

	state = ring_state(ring);
	WRITE_ONCE(state->nr_lost, state->nr_lost + 1);
	kvm_make_request(KVM_REQ_DIRTY_RING_SOFT_FULL, vcpu);
}

void kvm_dirty_ring_push(struct kvm_vcpu *vcpu, u32 slot, u64 offset)
{
	struct kvm_dirty_ring *ring = &vcpu->dirty_ring;
	u32 index = ring->dirty_index;
	/* Pairs with the release in ring_gather(): the entry was emptied. */
	u32 used = index - smp_load_acquire(&ring->reset_index);
	struct kvm_dirty_gfn *entry;

	if (unlikely(used >= ring->size)) {
		ring_push_lost(vcpu);
		return;
	}

	entry = &ring->dirty_gfns[index & (ring->size - 1)];
	entry->slot = slot;
	entry->offset = offset;
	/* Pairs with the acquire in ring_gather(): it was emptied, or is filled. */
	smp_store_release(&ring->dirty_index, index + 1);
	/*
	 * Pairs with the acquire of user space, which sees flags alone.  Last:
	 * it may have the entry harvested and reset before this returns.
	 */
	smp_store_release(&entry->flags, KVM_DIRTY_GFN_F_DIRTY);

	if (used + 1 >= ring->soft_limit)
		kvm_make_request(KVM_REQ_DIRTY_RING_SOFT_FULL, vcpu);
	/* Last, so that nothing has to be kept for after it. */
	trace_kvm_dirty_ring_push(ring, slot, offset);
}

/*
 * On the vCPU's way into the guest, if it has any request.  While the ring
 * stays full the request is renewed, so the first entry after a stall comes
 * by here, too.
 */
bool kvm_dirty_ring_check_request(struct kvm_vcpu *vcpu)
{
	struct kvm_dirty_ring *ring = &vcpu->dirty_ring;
	struct ring_state *state;

	if (!kvm_check_request(KVM_REQ_DIRTY_RING_SOFT_FULL, vcpu))
		return false;

	state = ring_state(ring);
	if (kvm_dirty_ring_is_soft_full(ring)) {
		kvm_make_request(KVM_REQ_DIRTY_RING_SOFT_FULL, vcpu);
		vcpu->run->exit_reason = KVM_EXIT_DIRTY_RING_FULL;
		WRITE_ONCE(state->nr_full_exits, state->nr_full_exits + 1);
		if (!state->stall_start)
			state->stall_start = ktime_get_ns();
		trace_kvm_dirty_ring_exit(vcpu);
		return true;
	}

	if (state->stall_start) {
		if (trace_kvm_dirty_ring_stall_over_enabled()) {
			u64 duration = ktime_get_ns() - state->stall_start;

			trace_kvm_dirty_ring_stall_over(vcpu, duration);
		}
		state->stall_start = 0;
	}
	return false;
}

/*
 * The slot that an entry names, NULL if it cannot exist.  What is found stays
 * valid until slots_lock is released; a slot that is gone is remembered, too.
 */
static const struct slot_ref *find_slot(struct kvm *kvm,
					struct ring_state *state, u32 slot)
{
	u32 as_id = slot >> 16, id = (u16)slot;
	struct kvm_memory_slot *memslot;
	struct slot_ref *ref;

	if (as_id >= kvm_arch_nr_memslot_as_ids(kvm) || id >= KVM_USER_MEM_SLOTS)
		return NULL;

	ref = &state->slots[(id + as_id * (SLOT_CACHE / 2)) % SLOT_CACHE];
	if (ref->valid && ref->slot == slot)
		return ref;

	memslot = id_to_memslot(__kvm_memslots(kvm, as_id), id);
	ref->memslot = memslot;
	ref->slot = slot;
	ref->npages = memslot ? memslot->npages : 0;
	ref->base = (u64)(state->epoch << SLOT_BITS | as_id << ID_BITS | id) << PAGE_BITS;
	if (memslot)
		ref->base += memslot->base_gfn & (TABLE_PAGES - 1);
	ref->valid = true;
	return ref;
}

static const struct slot_ref *find_table_slot(struct kvm *kvm,
					      struct ring_state *state, u64 table)
{
	u32 slot = table >> SLOT_OF_TABLE_SHIFT;

	return find_slot(kvm, state, (slot >> ID_BITS & 1) << 16 |
			 (slot & ((1 << ID_BITS) - 1)));
}

/* What was noted in earlier resets is of no use; where epochs begin anew it has to go. */
static void begin_epoch(struct kvm_dirty_ring *ring)
{
	struct ring_state *state = ring_state(ring);
	u32 i;

	if (state->epoch == EPOCH_MAX) {
		memset(ring_scratch(ring).recent, 0, ring->size * sizeof(struct recent));
		state->epoch = 0;
	}
	state->epoch++;
	for (i = 0; i < SLOT_CACHE; i++)
		state->slots[i].valid = false;
}

/*
 * A number for a window that has none, or of which another one took the place in @recent.
 * Where two windows take turns there, they get new numbers, and the sort brings together
 * what belongs together; the work for an entry is the same whatever user space wrote into
 * it.
 */
static void new_window(const struct ring_scratch *s, struct gathered *g, u64 window,
		       struct recent *recent)
{
	u32 number = g->windows++;
	u64 key = window << NUMBER_BITS | number;

	if (number) {
		u64 last = s->key[number - 1];

		g->varying |= (key ^ last) >> NUMBER_BITS << NUMBER_BITS;
		if (key < last)
			g->ordered = false;
	}
	s->key[number] = key;
	s->mask[number] = 0;
	recent->window = window;
	recent->mask = &s->mask[number];
}

/*
 * Take what user space harvested of @count entries from @at on, which do not go
 * beyond the end of the array; returns how many that were.
 *
 * This loop is most of what a reset costs beyond the MMU.  As a rule an entry has
 * the head of the one before it, so that one comparison tells that it was
 * harvested and that its slot is known.
 */
static u32 gather_span(struct kvm *kvm, struct kvm_dirty_ring *ring,
		       u32 at, u32 count, struct gathered *g,
		       struct reset_report *report)
{
	const struct ring_scratch s = ring_scratch(ring);
	struct kvm_dirty_gfn *begin = &ring->dirty_gfns[at];
	struct kvm_dirty_gfn *end = begin + count, *entry;
	const u64 ring_mask = ring->size - 1;
	u64 cur_head = U64_MAX;			/* harvested, and of no slot */
	u64 base = 0, npages = 0;

	for (entry = begin; entry != end; entry++) {
		u64 offset, page, window;
		struct recent *recent;
		union entry_head head;

		/* Pairs with the release of user space. */
		head.word = smp_load_acquire((u64 *)entry);
		offset = READ_ONCE(entry->offset);

		if (unlikely(head.word != cur_head)) {
			const struct slot_ref *ref;

			if (!(head.flags & KVM_DIRTY_GFN_F_RESET))
				break;
			ref = find_slot(kvm, ring_state(ring), head.slot);
			npages = ref ? ref->npages : 0;
			base = ref ? ref->base : 0;
			cur_head = head.word;
		}
		/* The entry was read; who finds it empty may fill it. */
		smp_store_release(&entry->flags, 0);

		/* The offset may be anything: compare before adding to it. */
		if (unlikely(offset >= npages)) {
			report->rejected++;
			report->rejected_slot += !npages;
			continue;
		}

		page = base + offset;
		window = page >> WINDOW_SHIFT;
		recent = &s.recent[window & ring_mask];
		if (unlikely(recent->window != window))
			new_window(&s, g, window, recent);
		*recent->mask |= BIT(page & WINDOW_MASK);
	}
	return entry - begin;
}

/*
 * Take what user space harvested, as windows, and give the entries back to the
 * vCPU.  Never more than what was pushed when this began: a user who marks
 * entries as fast as they are reset gets a ring's worth for each call.
 *
 * From here on the pages are known to nobody else, so whoever gathers has to
 * see to it that the MMU gets them.
 */
static void ring_gather(struct kvm *kvm, struct kvm_dirty_ring *ring,
			struct gathered *g, struct reset_report *report)
{
	struct ring_state *state = ring_state(ring);
	u32 first = ring->reset_index, at = first & (ring->size - 1);
	/* Pairs with the release in push: no entry that was harvested is beyond it. */
	u32 limit = smp_load_acquire(&ring->dirty_index) - first;
	u32 span = min(limit, ring->size - at);
	u32 n;

	n = gather_span(kvm, ring, at, span, g, report);
	if (n == span)
		n += gather_span(kvm, ring, 0, limit - span, g, report);
	g->entries = n;

	/* Pairs with the acquire of the statistics: after what was pushed. */
	smp_store_release(&state->nr_reset, state->nr_reset + n);
	WRITE_ONCE(state->nr_rejected, state->nr_rejected + report->rejected);
	/* Pairs with the acquire in push: the entries are empty. */
	smp_store_release(&ring->reset_index, first + n);
}

/*
 * Order the windows: a radix sort from the lowest digit up, which passes over
 * all that is the same in every key (often the slot, and with it most of the
 * bits).  Linear whatever user space wrote into the ring.  Returns where the
 * ordered keys are.
 */
static const u64 *order_windows(struct kvm_dirty_ring *ring,
				const struct gathered *g)
{
	const struct ring_scratch s = ring_scratch(ring);
	u32 *digit = ring_state(ring)->digit;
	u64 *from = s.key, *to = s.other;
	u64 varying = g->varying;
	u32 n = g->windows;
	u32 width, i;

	if (g->ordered)
		return from;

	/* To count more digits than there are windows does not pay. */
	width = clamp_t(u32, ilog2(n) + 1, DIGIT_BITS_MIN, DIGIT_BITS_MAX);

	while (varying) {
		u32 shift = __ffs64(varying);
		u32 mask = (varying >> shift) & ((1U << width) - 1);
		u32 sum = 0;

		varying &= ~((u64)mask << shift);
		mask = (2U << __fls(mask)) - 1;

		memset(digit, 0, (mask + 1) * sizeof(*digit));
		for (i = 0; i < n; i++)
			digit[(from[i] >> shift) & mask]++;
		for (i = 0; i <= mask; i++) {
			u32 count = digit[i];

			digit[i] = sum;
			sum += count;
		}
		for (i = 0; i < n; i++)
			to[digit[(from[i] >> shift) & mask]++] = from[i];

		swap(from, to);
		cond_resched();
	}
	return from;
}

static void hold_begin(struct kvm *kvm, struct reset_report *report)
	__acquires(&kvm->mmu_lock)
{
	KVM_MMU_LOCK(kvm);
	if (report->timed)
		report->hold_since = ktime_get_ns();
}

static void hold_end(struct kvm *kvm, struct reset_report *report)
	__releases(&kvm->mmu_lock)
{
	if (report->timed)
		report->hold_max = max(report->hold_max,
				       ktime_get_ns() - report->hold_since);
	KVM_MMU_UNLOCK(kvm);
}

/*
 * mmu_lock is kept from call to call, but given up as soon as somebody waits for it
 * or the CPU is wanted.  (rwlock_needbreak() would not do: it says no unless the
 * kernel is fully preemptible, and the waiters are vCPUs.)
 */
static void mmu_called(struct kvm *kvm, struct reset_report *report)
{
	report->mmu_calls++;
	if (!need_resched() && !rwlock_is_contended(&kvm->mmu_lock))
		return;
	hold_end(kvm, report);
	cond_resched();
	hold_begin(kvm, report);
}

#ifndef KVM_LOG_DIRTY_TABLE_PAGES
static bool kvm_arch_mmu_enable_log_dirty_table(struct kvm *kvm,
						const struct kvm_memory_slot *memslot,
						gfn_t gfn, const unsigned long *mask)
{
	return false;
}
#endif

/* Make the MMU track pages again, from page number @page on: a bit of @mask for each. */
static void track_table(struct kvm *kvm, const struct slot_ref *ref, u64 page,
			const unsigned long *mask, struct reset_report *report)
{
	u64 pad = ref->base & (TABLE_PAGES - 1);
	u32 i;

	if (kvm_arch_mmu_enable_log_dirty_table(kvm, ref->memslot,
						ref->memslot->base_gfn - pad + page, mask)) {
		mmu_called(kvm, report);
		return;
	}
	for (i = 0; i < TABLE_WINDOWS; i++, page += WINDOW_PAGES) {
		/*
		 * A slot may begin within a window.  No entry has pages before it, but
		 * the MMU wants an offset.
		 */
		u64 from = max(page, pad);

		if (!mask[i])
			continue;
		kvm_arch_mmu_enable_log_dirty_pt_masked(kvm, ref->memslot, from - pad,
							mask[i] >> (from - page));
		mmu_called(kvm, report);
	}
}

/* Make the MMU track the pages of all windows again, those of a page table together. */
static void track_windows(struct kvm *kvm, struct kvm_dirty_ring *ring,
			  const u64 *key, u32 n, struct reset_report *report)
{
	const unsigned long *masks = ring_scratch(ring).mask;
	struct ring_state *state = ring_state(ring);
	const struct slot_ref *ref = NULL;
	u32 i = 0;

	hold_begin(kvm, report);
	while (i < n) {
		u64 table = key[i] >> TABLE_OF_KEY_SHIFT;
		unsigned long mask[TABLE_WINDOWS] = { };

		if (!ref || table >> SLOT_OF_TABLE_SHIFT != ref->base >> PAGE_BITS)
			ref = find_table_slot(kvm, state, table);

		do {
			unsigned long *of = &mask[(key[i] >> NUMBER_BITS) % TABLE_WINDOWS];

			report->windows += !*of;
			*of |= masks[key[i] & NUMBER_MASK];
		} while (++i < n && key[i] >> TABLE_OF_KEY_SHIFT == table);

		track_table(kvm, ref, (u32)(table << TABLE_SHIFT), mask, report);
	}
	hold_end(kvm, report);
	state->mmu_called = true;
}

/*
 * Reset what was harvested from one ring; returns how many entries that were,
 * rejected ones included.  The caller flushes the TLBs if the MMU was called.
 *
 * Nothing stops this half way, a signal neither: what was gathered must reach
 * the MMU, for the VM may outlive the caller.
 */
int kvm_dirty_ring_reset(struct kvm *kvm, struct kvm_dirty_ring *ring)
{
	struct gathered g = { .ordered = true };
	struct reset_report report = {
		.timed = trace_kvm_dirty_ring_reset_done_enabled(),
	};
	u64 begin = report.timed ? ktime_get_ns() : 0;

	lockdep_assert_held(&kvm->slots_lock);

	begin_epoch(ring);
	ring_gather(kvm, ring, &g, &report);
	cond_resched();
	if (g.windows)
		track_windows(kvm, ring, order_windows(ring, &g), g.windows,
			      &report);

	trace_kvm_dirty_ring_reset(ring);
	if (report.timed)
		trace_kvm_dirty_ring_reset_done(kvm, ring, g.entries,
						report.windows, report.mmu_calls,
						report.rejected,
						report.rejected_slot,
						ktime_get_ns() - begin,
						report.hold_max);
	return g.entries;
}

static void flush_tlbs(struct kvm *kvm)
{
	bool timed = trace_kvm_dirty_ring_flush_enabled();
	u64 begin = timed ? ktime_get_ns() : 0;

	kvm_flush_remote_tlbs(kvm);
	if (timed)
		trace_kvm_dirty_ring_flush(kvm, ktime_get_ns() - begin);
}

/*
 * KVM_RESET_DIRTY_RINGS.  Only a fatal signal ends it before every ring had its
 * turn: QEMU takes it for granted that as many entries are reset as it
 * harvested, and a mere signal is no reason to disappoint it.
 *
 * The TLBs are flushed before slots_lock is released, and whenever the MMU was
 * called, whether or not it found something to change.  Otherwise a second
 * caller, whose pages the first one has just reset, could return and read a
 * page while a vCPU goes on to write it through a stale translation.
 */
int kvm_dirty_ring_reset_all(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	bool flush = false;
	unsigned long i;
	int entries = 0;

	if (!kvm->dirty_ring_size)
		return -EINVAL;

	if (mutex_lock_killable(&kvm->slots_lock))
		return -EINTR;

	kvm_for_each_vcpu(i, vcpu, kvm) {
		struct ring_state *state = ring_state(&vcpu->dirty_ring);

		if (fatal_signal_pending(current))
			break;

		entries += kvm_dirty_ring_reset(kvm, &vcpu->dirty_ring);
		flush |= state->mmu_called;
		state->mmu_called = false;
		cond_resched();
	}

	if (flush)
		flush_tlbs(kvm);

	mutex_unlock(&kvm->slots_lock);
	return entries;
}

/* Without any lock.  nr_reset is read first: pushes never appear to go back. */
void kvm_dirty_ring_get_stats(struct kvm_dirty_ring *ring,
			      struct kvm_dirty_ring_stats *stats)
{
	struct ring_state *state = ring_state(ring);
	/* Pairs with the release in ring_gather(). */
	u64 reset = smp_load_acquire(&state->nr_reset);

	stats->pushes = reset + (u32)(READ_ONCE(ring->dirty_index) - (u32)reset);
	stats->full_exits = READ_ONCE(state->nr_full_exits);
	stats->entries_reset = reset;
	stats->entries_rejected = READ_ONCE(state->nr_rejected);
	stats->lost = READ_ONCE(state->nr_lost);
}
