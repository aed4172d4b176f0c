/* SPDX-License-Identifier: GPL-2.0 */
/*
 * kvmload - a guest whose dirty pages are known beforehand
 *
 * One process, one or more VMs, N vCPU threads each. A vCPU is given a list of
 * pages (plan.c), writes them in batches (guest.c, vcpu.c) and the VM's own
 * thread harvests as a VMM does (vm.c, harvest_ring.c, harvest_bitmap.c). What
 * happened is counted in truth.c, in user space alone: from what KVM_RUN
 * returned, from the ring's entries and from the ioctls we made.
 */
#ifndef KVMLOAD_H
#define KVMLOAD_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;

#define KL_PAGE_SIZE	4096ULL
#define KL_MAX_VCPUS	64
#define KL_MAX_BATCH	64	/* what an emulating KVM may push past the soft limit */
#define KL_BUCKETS	12

enum { KL_EXIT_OK, KL_EXIT_FAIL, KL_EXIT_USAGE, KL_EXIT_NO_KVM = 77 };

enum kl_mode { KL_RING, KL_BITMAP, KL_BITMAP_MANUAL };
enum kl_pattern { KL_SEQ, KL_STRIDE, KL_RANDOM };

struct kl_opts {
	const char *device;
	const char *name;
	enum kl_mode mode;
	enum kl_pattern pattern;
	u32 vcpus;
	u32 ring_size;
	u32 stride;
	u32 batch;
	u32 passes;
	u32 vms;
	u32 toggles;
	u32 full_retries;
	u32 full_delay_ms;
	u32 interval_ms;
	u32 harvest_max;	/* entries per vCPU and round, 0: all */
	u32 clear_chunk;	/* pages per CLEAR, 0: the whole slot */
	u64 seed;
	u64 rate;		/* pages per second and vCPU, 0: as fast as it goes */
	u64 reset_every;	/* pages per vCPU */
	u64 memory;		/* bytes of the logged slot, 0: what the plan needs */
	u64 pages[KL_MAX_VCPUS];
	u32 n_pages;
	bool reset_every_set;
	bool parallel;
	bool concurrent;
	bool leave_tail;
	bool wait_start;
	bool barrier;
	bool hold, hold_vm;
	bool force_full;
	bool kill_stalled;
	bool always_reset;
};

/* Everything is counted twice: since the VM began, and since the barrier. */
enum { KL_TOTAL, KL_SINCE, KL_SPANS };

#define KL_ADD(obj, field, n)					\
	do {							\
		(obj)->count[KL_TOTAL].field += (n);		\
		(obj)->count[KL_SINCE].field += (n);		\
	} while (0)

#define KL_MAX(obj, field, n)					\
	do {							\
		for (int s_ = 0; s_ < KL_SPANS; s_++)		\
			if ((n) > (obj)->count[s_].field)	\
				(obj)->count[s_].field = (n);	\
	} while (0)

struct kl_calls {
	u64 calls;
	u64 bytes;	/* of bitmap */
	u64 pages;	/* bits set, ring entries, or the slot's pages */
	u64 max_pages;
	u64 empty;
	u64 ns;
	u64 max_ns;
};

struct kl_vcpu_count {
	u64 writes;
	u64 pushes;
	u64 unique;
	u64 repeats;
	u64 left;
	u64 reset_events;
	u64 reset_empty;
	u64 reset_entries;
	u64 raced;
	u64 full_exits;
	u64 stalls;
	u64 stalls_unfinished;
	u64 stall_ns;
	u64 stall_max_ns;
	u32 high_water;
	u32 full_min;	/* fewest entries a full exit was seen at, 0: none seen */
	u32 full_max;
	u64 occupancy[KL_BUCKETS];
};

struct kl_vm_count {
	struct kl_calls reset;
	struct kl_calls get;
	struct kl_calls clear;
	struct kl_calls log_on;
	struct kl_calls log_off;
	u64 unique;	/* bitmap mode; in ring mode the vCPUs count */
	u64 left;
};

enum kl_state {
	KL_RUNNING,
	KL_PARKED,	/* waits for a harvest */
	KL_MIDPOINT,	/* waits for the others at the middle of the plan */
	KL_STALLED,	/* its ring is full */
	KL_DONE,
};

/* What is known of a page of the slot. */
enum {
	KL_P_PLANNED	= 1,
	KL_P_DIRTY	= 2,	/* to be written or written, not reported yet */
	KL_P_SEEN	= 4,
	KL_P_SEEN_SINCE	= 8,
};

struct kl_vm;
struct kl_mailbox;

struct kl_vcpu {
	struct kl_vm *vm;
	u32 id;
	int fd;
	pthread_t thread;
	struct kvm_run *run;
	struct kl_mailbox *mailbox;

	/* plan */
	u32 *pages;
	u64 n_pages;
	u64 goal;		/* n_pages * passes */
	u64 middle;
	u64 written;
	u64 since_harvest;
	u64 pace_base_ns;
	u64 pace_base_written;

	/* ring */
	struct kvm_dirty_gfn *ring;
	u32 fetch;		/* free-running, as the kernel's indices are */
	u64 before_barrier;	/* entries still in the ring from before it */
	u32 used;		/* scratch of one harvest */
	u32 taken;

	/* under vm->lock */
	enum kl_state state;
	bool stalled;
	u64 stall_since_ns;

	struct kl_vcpu_count count[KL_SPANS];
};

struct kl_vm {
	const struct kl_opts *o;
	u32 index;
	int kvm_fd;
	int fd;
	size_t run_size;

	u8 *sys;		/* code, tables, mailboxes: never logged */
	size_t sys_bytes;
	u8 *mem;		/* the logged slot */
	u64 mem_pages;
	u64 region;		/* pages of the slot per vCPU */
	u8 *page;		/* KL_P_* of each */
	u64 *bitmap;

	u32 soft_limit;
	u32 pml_size;
	char soft_from[96];
	bool emulated;

	pthread_mutex_t lock;
	pthread_cond_t to_vm;
	pthread_cond_t to_vcpu;
	u64 resume_gen;
	bool stop;		/* vCPUs park at the end of their batch */
	bool want_harvest;
	bool past_middle;
	bool past_barrier;
	bool quit;
	bool killed;
	u64 reset_every;

	u32 wrong;		/* discrepancies found */
	struct kl_vcpu *vcpu;
	struct kl_vm_count count[KL_SPANS];
};

/* util.c */
void kl_die(int status, const char *fmt, ...) __attribute__((noreturn, format(printf, 2, 3)));
void kl_wrong(struct kl_vm *vm, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
u64 kl_now(void);
void kl_sleep_ns(u64 ns);
void *kl_alloc(size_t n, size_t size);

/* options.c */
void kl_parse(struct kl_opts *o, int argc, char **argv);

/* plan.c */
static inline bool kl_planned(const struct kl_vm *vm, u64 page)
{
	/* other flags of the byte may change while we look */
	return page < vm->mem_pages &&
	       __atomic_load_n(&vm->page[page], __ATOMIC_RELAXED) & KL_P_PLANNED;
}
void kl_plan_shape(struct kl_vm *vm);
void kl_plan_vcpu(struct kl_vcpu *v);
u64 kl_plan_value(const struct kl_vcpu *v, u64 pass);
void kl_plan_verify(struct kl_vm *vm);

/* guest.c */
void kl_guest_build(struct kl_vm *vm);
void kl_guest_start(struct kl_vcpu *v);
void kl_guest_load(struct kl_vcpu *v, const u32 *pages, u32 n, u64 value);
u64 kl_guest_gpa(u64 page);
u64 kl_guest_sys_gpa(void);
u64 kl_guest_sys_pages(const struct kl_vm *vm);
#define KL_DONE_PORT	0xb2

/* kvm.c */
#define KL_SLOT_SYS	0
#define KL_SLOT_DATA	1
int kl_kvm_open(const char *device);
void kl_kvm_create(struct kl_vm *vm);
void kl_kvm_vcpu(struct kl_vcpu *v);
void kl_kvm_logging(struct kl_vm *vm, bool on);
void kl_kvm_close_vcpus(struct kl_vm *vm);
void kl_kvm_destroy(struct kl_vm *vm);
int kl_ioctl(int fd, unsigned long req, const char *what, void *arg);

/* vcpu.c */
void *kl_vcpu_main(void *arg);

/* harvest_ring.c */
u32 kl_ring_pending(const struct kl_vcpu *v);
u32 kl_ring_harvest(struct kl_vm *vm);
void kl_ring_count_left(struct kl_vm *vm);
void kl_ring_at_barrier(struct kl_vm *vm);

/* harvest_bitmap.c */
void kl_bitmap_harvest(struct kl_vm *vm);
void kl_bitmap_count_left(struct kl_vm *vm);

/* truth.c */
u32 kl_fill_bucket(u32 used, u32 soft_limit);
void kl_truth_call(struct kl_calls *count, u64 bytes, u64 pages, u64 ns);
#define KL_CALL(vm, what, bytes, pages, ns)						\
	do {										\
		kl_truth_call(&(vm)->count[KL_TOTAL].what, bytes, pages, ns);		\
		kl_truth_call(&(vm)->count[KL_SINCE].what, bytes, pages, ns);		\
	} while (0)
void kl_truth_stall_ends(struct kl_vcpu *v, u64 now);
void kl_truth_at_barrier(struct kl_vm *vm);
void kl_truth_check(struct kl_vm *vm);

/* json.c */
struct json_object;
struct json_object *kl_json_vm(const struct kl_vm *vm);

/* vm.c */
struct json_object *kl_vm_run(const struct kl_opts *o, u32 index, u32 *wrong);

/* barrier.c */
void kl_barrier_init(const struct kl_opts *o);
void kl_barrier_wait(const char *at, u32 vm);
bool kl_told_to_end(void);

#endif /* KVMLOAD_H */
