// SPDX-License-Identifier: GPL-2.0
/*
 * Harvesting the bitmap: GET, and with manual protection CLEAR for what GET
 * returned, in chunks as VMMs do. Called with vm->lock held.
 */
#include "kvmload.h"

#define BITS	64

static u64 bitmap_bytes(u64 pages)
{
	return (pages + BITS - 1) / BITS * sizeof(u64);
}

static void take_page(struct kl_vm *vm, u64 page)
{
	u8 was;

	if (!kl_planned(vm, page)) {
		kl_wrong(vm, "page %llu is dirty, but nobody was told to write it",
			 (unsigned long long)page);
		return;
	}
	was = __atomic_fetch_and(&vm->page[page], (u8)~KL_P_DIRTY, __ATOMIC_RELAXED);
	if (!(was & KL_P_DIRTY) && !vm->o->concurrent)
		kl_wrong(vm, "page %llu is dirty again, but was not written",
			 (unsigned long long)page);
	if (!(was & KL_P_SEEN))
		vm->count[KL_TOTAL].unique++;
	if (!(was & KL_P_SEEN_SINCE))
		vm->count[KL_SINCE].unique++;
	__atomic_fetch_or(&vm->page[page], KL_P_SEEN | KL_P_SEEN_SINCE, __ATOMIC_RELAXED);
}

static u64 take_bitmap(struct kl_vm *vm)
{
	u64 n = 0;

	for (u64 w = 0; w < (vm->mem_pages + BITS - 1) / BITS; w++) {
		u64 bits = vm->bitmap[w];

		for (; bits; bits &= bits - 1, n++)
			take_page(vm, w * BITS + __builtin_ctzll(bits));
	}
	return n;
}

static void clear_chunk(struct kl_vm *vm, u64 first, u64 pages)
{
	struct kvm_clear_dirty_log log = {
		.slot = KL_SLOT_DATA,
		.first_page = first,
		.num_pages = pages,
		.dirty_bitmap = vm->bitmap + first / BITS,
	};
	u64 dirty = 0, start, end;

	for (u64 w = first / BITS; w < (first + pages + BITS - 1) / BITS; w++)
		dirty += __builtin_popcountll(vm->bitmap[w]);
	/* a VMM clears only what it is about to send */
	if (!dirty && !vm->o->always_reset)
		return;
	start = kl_now();
	kl_ioctl(vm->fd, KVM_CLEAR_DIRTY_LOG, "KVM_CLEAR_DIRTY_LOG", &log);
	end = kl_now();
	KL_CALL(vm, clear, bitmap_bytes(pages), dirty, end - start);
}

static u64 outstanding(const struct kl_vm *vm)
{
	u64 n = 0;

	for (u64 p = 0; p < vm->mem_pages; p++)
		n += !!(vm->page[p] & KL_P_DIRTY);
	return n;
}

void kl_bitmap_harvest(struct kl_vm *vm)
{
	struct kvm_dirty_log log = {
		.slot = KL_SLOT_DATA,
		.dirty_bitmap = vm->bitmap,
	};
	u64 chunk = vm->o->clear_chunk ? vm->o->clear_chunk : vm->mem_pages;
	u64 start, end, dirty, missing;

	start = kl_now();
	kl_ioctl(vm->fd, KVM_GET_DIRTY_LOG, "KVM_GET_DIRTY_LOG", &log);
	end = kl_now();

	dirty = take_bitmap(vm);
	KL_CALL(vm, get, bitmap_bytes(vm->mem_pages), dirty, end - start);

	missing = vm->o->concurrent ? 0 : outstanding(vm);
	if (missing)
		kl_wrong(vm, "%llu pages were written and are not in the bitmap",
			 (unsigned long long)missing);

	if (vm->o->mode != KL_BITMAP_MANUAL)
		return;
	for (u64 first = 0; first < vm->mem_pages; first += chunk)
		clear_chunk(vm, first, first + chunk > vm->mem_pages ? vm->mem_pages - first : chunk);
}

void kl_bitmap_count_left(struct kl_vm *vm)
{
	u64 n = outstanding(vm);

	KL_ADD(vm, left, n);
}
