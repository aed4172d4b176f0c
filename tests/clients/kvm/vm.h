/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A VM for tests of dirty tracking: memory in as many slots as wanted, in both
 * address spaces, and vCPUs that write the pages they are told to.
 *
 * What is logged is only ever written by the guest program below, so the set of
 * pages that must be reported is known.
 */
#ifndef TESTS_KVM_VM_H
#define TESTS_KVM_VM_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint32_t u32;
typedef uint64_t u64;

#define PAGE		4096ULL
#define MAX_AREAS	16
#define MAX_VCPUS	64
#define PML_RESERVE	512
#define RSVD_ENTRIES	64
/* KVM's own limit; the uapi headers do not have it. */
#define MAX_RING	65536

/* A slot of logged memory. */
struct area {
	u32 slot;		/* address space << 16 | id */
	u64 gpa;
	u64 pages;
	char *mem;
	bool logged;
	u64 *want;		/* bitmaps, one bit a page */
	u64 *got;
};

struct vcpu {
	struct vm *vm;
	int fd;
	u32 id;
	u32 as_id;
	struct kvm_run *run;
	struct kvm_dirty_gfn *ring;
	u32 fetch;		/* next entry to harvest, runs freely */
	u64 full_exits;
	u64 value;		/* what the next write writes */
	struct mailbox *mailbox;
	bool (*serve)(struct vcpu *v);	/* other exits; false: not this one */
	pthread_t thread;
};

struct vm {
	int kvm, fd;
	u32 ring_size;		/* entries; 0: bitmap */
	u32 nr_vcpus, nr_areas;
	u64 list_max;		/* addresses that a mailbox takes */
	char *sys;
	u64 sys_pages;
	u64 tables;		/* page in there where they begin */
	struct vcpu vcpu[MAX_VCPUS];
	struct area area[MAX_AREAS];
};

struct vm_opts {
	u32 ring_size;
	u32 vcpus;
	u32 smm_vcpus;		/* the last so many run in address space 1 */
	u64 list_max;
	bool manual;		/* KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, bit 0 */
	bool irqchip;		/* in the kernel, and the local APICs */
	u64 gibs;		/* of guest addresses above 4 GiB, default 4 */
	u32 tables;		/* so many times 2 MiB from AREA_GPA on are mapped page by page */
};

#define AREA_GPA	0x100000000ULL

void vm_create(struct vm *vm, const struct vm_opts *o);
void vm_destroy(struct vm *vm);
struct area *vm_add_area(struct vm *vm, u32 slot, u64 gpa, u64 pages);
void vm_set_area(struct vm *vm, struct area *a, u64 pages, bool logged);

/* Where the entry that maps page @page of AREA_GPA is, and its value. */
u64 vm_entry(const struct vm *vm, u64 page);
u64 vm_entry_value(u64 page, bool writable);

/* The guest writes @reps times to each of @addr, then leaves. */
void vcpu_load(struct vcpu *v, const u64 *addr, u64 n, u64 reps);

/*
 * Instead, once: @n times 4 bytes, with a string instruction.  KVM has to emulate it if it is
 * no memory that they come from.
 */
void vcpu_load_copy(struct vcpu *v, u64 from, u64 to, u64 n);
void vcpu_load_input_down(struct vcpu *v, u64 port, u64 to, u64 n);

enum ran { RAN_DONE, RAN_FULL, RAN_INTR };
enum ran vcpu_run(struct vcpu *v);

/*
 * Take up to @max entries of one ring, in order. @cb may be NULL; it is called
 * before the entry is marked for reset.
 */
typedef void (*harvest_cb)(void *arg, struct vcpu *v, u32 slot, u64 offset);
u32 vcpu_harvest(struct vcpu *v, u32 max, harvest_cb cb, void *arg);
int vm_reset(struct vm *vm);

struct area *vm_find_area(struct vm *vm, u32 slot);
/* By its name; false if the file has none such. */
bool vcpu_stat(struct vcpu *v, const char *name, u64 *value);

static inline void bit_set(u64 *map, u64 i) { map[i / 64] |= 1ULL << (i % 64); }
static inline bool bit_test(const u64 *map, u64 i) { return map[i / 64] >> (i % 64) & 1; }

u64 rnd(u64 *state);
_Noreturn void die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int xioctl(int fd, unsigned long cmd, const char *name, void *arg);
#define XIOCTL(fd, cmd, arg) xioctl(fd, cmd, #cmd, (void *)(unsigned long)(arg))

#endif
