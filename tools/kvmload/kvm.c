// SPDX-License-Identifier: GPL-2.0
/* The plumbing: /dev/kvm, the VM, its two slots, its vCPUs, dirty logging. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kvmload.h"

#define RING_RESERVED	64	/* KVM_DIRTY_RING_RSVD_ENTRIES */
#define MAX_CPUID	256
#define HUGE_SIZE	(2ULL << 20)

static int try_ioctl(int fd, unsigned long req, void *arg)
{
	int ret;

	do {
		ret = ioctl(fd, req, arg);
	} while (ret < 0 && errno == EINTR);
	return ret;
}

int kl_ioctl(int fd, unsigned long req, const char *what, void *arg)
{
	int ret = try_ioctl(fd, req, arg);

	if (ret < 0)
		kl_die(KL_EXIT_FAIL, "%s: %s", what, strerror(errno));
	return ret;
}

int kl_kvm_open(const char *device)
{
	int fd = open(device, O_RDWR | O_CLOEXEC);
	int version;

	if (fd < 0) {
		const char *hint = "";

		if (errno == EACCES || errno == EPERM)
			hint = " (run as root, or as a member of the group kvm)";
		else if (errno == ENOENT)
			hint = " (is a KVM module loaded, has this machine virtualization?)";
		else if (errno == ENODEV || errno == ENXIO)
			hint = " (the module is there, the processor's virtualization is not)";
		kl_die(KL_EXIT_NO_KVM, "%s: %s%s", device, strerror(errno), hint);
	}
	version = ioctl(fd, KVM_GET_API_VERSION, 0);
	if (version != KVM_API_VERSION)
		kl_die(KL_EXIT_NO_KVM, "%s: not KVM%s", device,
		       version < 0 ? "" : " of an interface that we know");
	return fd;
}

static bool read_param(const char *path, char *value)
{
	FILE *f = fopen(path, "re");
	bool ok;

	if (!f)
		return false;
	ok = fread(value, 1, 1, f) == 1;
	fclose(f);
	return ok;
}

/*
 * KVM tells nobody its soft limit. It is the size less 64 reserved entries less
 * what the processor may log at one exit: 512 with Intel's PML, nothing else
 * has such a log. That it is right shows at the first full exit, see
 * kl_truth_check().
 */
static void find_soft_limit(struct kl_vm *vm)
{
	char pml = 'N';
	bool intel = read_param("/sys/module/kvm_intel/parameters/pml", &pml);

	vm->pml_size = intel && (pml == 'Y' || pml == '1') ? 512 : 0;
	vm->soft_limit = vm->o->ring_size - RING_RESERVED - vm->pml_size;
	snprintf(vm->soft_from, sizeof(vm->soft_from), "size - %d reserved - %u PML (%s)",
		 RING_RESERVED, vm->pml_size,
		 !intel ? "kvm_intel is not loaded" :
		 vm->pml_size ? "kvm_intel has pml=Y" : "kvm_intel has pml=N");
}

static int check_extension(const struct kl_vm *vm, int cap)
{
	int ret = ioctl(vm->fd, KVM_CHECK_EXTENSION, cap);

	return ret < 0 ? 0 : ret;
}

static void enable_cap(const struct kl_vm *vm, u32 cap, u64 arg, const char *what)
{
	struct kvm_enable_cap enable = { .cap = cap, .args = { arg } };

	if (try_ioctl(vm->fd, KVM_ENABLE_CAP, &enable) < 0)
		kl_die(KL_EXIT_FAIL, "%s: %s", what, strerror(errno));
}

static void enable_ring(struct kl_vm *vm)
{
	u64 bytes = (u64)vm->o->ring_size * sizeof(struct kvm_dirty_gfn);
	u32 cap = KVM_CAP_DIRTY_LOG_RING_ACQ_REL;
	int max = check_extension(vm, cap);
	u64 least, most;

	if (!max) {
		cap = KVM_CAP_DIRTY_LOG_RING;
		max = check_extension(vm, cap);
	}
	if (!max)
		kl_die(KL_EXIT_NO_KVM, "this KVM has no dirty ring (KVM_CAP_DIRTY_LOG_RING, Linux 5.11)");

	find_soft_limit(vm);
	least = KL_PAGE_SIZE / sizeof(struct kvm_dirty_gfn);
	while (least < RING_RESERVED + vm->pml_size)
		least *= 2;
	most = max / sizeof(struct kvm_dirty_gfn);
	if (vm->o->ring_size < least || vm->o->ring_size > most)
		kl_die(KL_EXIT_USAGE, "--ring-size: %u is not legal here: a power of two from %llu to %llu",
		       vm->o->ring_size, (unsigned long long)least, (unsigned long long)most);
	enable_cap(vm, cap, bytes, "KVM_CAP_DIRTY_LOG_RING");
}

static void set_slot(const struct kl_vm *vm, u32 slot, u64 gpa, u64 bytes, void *mem, u32 flags)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = bytes,
		.userspace_addr = (uintptr_t)mem,
	};

	kl_ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, "KVM_SET_USER_MEMORY_REGION", &region);
}

static u64 area_of(u64 bytes)
{
	return (bytes + HUGE_SIZE - 1) / HUGE_SIZE * HUGE_SIZE;
}

/*
 * A page that was pushed and not yet stored to is pushed again when the host
 * unmaps it in between. Two things would do that behind our back, so:
 * Small pages only - khugepaged leaves them where they are, and a scattered
 * plan costs only what it writes. And 2 MiB areas with nobody else in them -
 * to split a mapping the kernel tells KVM to unmap all of the 2 MiB around the
 * place, and with several VMs in a process the neighbour may just be ending.
 */
static void *map_guest_memory(u64 bytes)
{
	u64 area = area_of(bytes);
	u8 *p = mmap(NULL, area + HUGE_SIZE, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	u64 skip;

	if (p == MAP_FAILED)
		goto failed;
	skip = -(uintptr_t)p % HUGE_SIZE;
	if (skip)
		munmap(p, skip);
	munmap(p + skip + area, HUGE_SIZE - skip);
	p += skip;
	if (mprotect(p, bytes, PROT_READ | PROT_WRITE))
		goto failed;
	madvise(p, bytes, MADV_NOHUGEPAGE);
	return p;
failed:
	kl_die(KL_EXIT_FAIL, "%llu bytes of guest memory: %s", (unsigned long long)bytes,
	       strerror(errno));
}

static bool vendor_module(const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/module/%s/parameters", name);
	return access(path, F_OK) == 0;
}

void kl_kvm_create(struct kl_vm *vm)
{
	int size;

	vm->kvm_fd = kl_kvm_open(vm->o->device);
	/* Without SVM or VMX under it KVM runs a kernel's code in its emulator. */
	vm->emulated = !vendor_module("kvm_intel") && !vendor_module("kvm_amd");

	vm->fd = ioctl(vm->kvm_fd, KVM_CREATE_VM, 0);
	if (vm->fd < 0)
		kl_die(KL_EXIT_NO_KVM, "KVM_CREATE_VM: %s", strerror(errno));
	size = kl_ioctl(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, "KVM_GET_VCPU_MMAP_SIZE", NULL);
	vm->run_size = size;

	if (vm->o->mode == KL_RING) {
		enable_ring(vm);
	} else if (vm->o->mode == KL_BITMAP_MANUAL) {
		if (!check_extension(vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2))
			kl_die(KL_EXIT_NO_KVM, "this KVM has no KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 (Linux 5.2)");
		enable_cap(vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
			   KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE, "manual dirty log protection");
	}

	vm->sys_bytes = kl_guest_sys_pages(vm) * KL_PAGE_SIZE;
	vm->sys = map_guest_memory(vm->sys_bytes);
	vm->mem = map_guest_memory(vm->mem_pages * KL_PAGE_SIZE);
	kl_guest_build(vm);
	set_slot(vm, KL_SLOT_SYS, kl_guest_sys_gpa(), vm->sys_bytes, vm->sys, 0);
	set_slot(vm, KL_SLOT_DATA, kl_guest_gpa(0), vm->mem_pages * KL_PAGE_SIZE, vm->mem, 0);
	if (vm->o->mode != KL_RING)
		vm->bitmap = kl_alloc((vm->mem_pages + 63) / 64, sizeof(u64));
}

/* A VMM creates its slots unlogged and switches logging on when a migration begins. */
void kl_kvm_logging(struct kl_vm *vm, bool on)
{
	u64 start = kl_now(), ns;

	set_slot(vm, KL_SLOT_DATA, kl_guest_gpa(0), vm->mem_pages * KL_PAGE_SIZE, vm->mem,
		 on ? KVM_MEM_LOG_DIRTY_PAGES : 0);
	ns = kl_now() - start;
	if (on)
		KL_CALL(vm, log_on, 0, vm->mem_pages, ns);
	else
		KL_CALL(vm, log_off, 0, vm->mem_pages, ns);
}

/* Long mode must be something that the vCPU is said to have. */
static void set_cpuid(const struct kl_vcpu *v)
{
	struct kvm_cpuid2 *cpuid;

	cpuid = kl_alloc(1, sizeof(*cpuid) + MAX_CPUID * sizeof(cpuid->entries[0]));
	cpuid->nent = MAX_CPUID;
	kl_ioctl(v->vm->kvm_fd, KVM_GET_SUPPORTED_CPUID, "KVM_GET_SUPPORTED_CPUID", cpuid);
	kl_ioctl(v->fd, KVM_SET_CPUID2, "KVM_SET_CPUID2", cpuid);
	free(cpuid);
}

void kl_kvm_vcpu(struct kl_vcpu *v)
{
	struct kl_vm *vm = v->vm;

	v->fd = ioctl(vm->fd, KVM_CREATE_VCPU, (unsigned long)v->id);
	if (v->fd < 0)
		kl_die(KL_EXIT_FAIL, "KVM_CREATE_VCPU %u: %s", v->id, strerror(errno));
	v->run = mmap(NULL, vm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	if (v->run == MAP_FAILED)
		kl_die(KL_EXIT_FAIL, "mapping vCPU %u: %s", v->id, strerror(errno));
	if (vm->o->mode == KL_RING) {
		v->ring = mmap(NULL, vm->o->ring_size * sizeof(*v->ring),
			       PROT_READ | PROT_WRITE, MAP_SHARED, v->fd,
			       KVM_DIRTY_LOG_PAGE_OFFSET * KL_PAGE_SIZE);
		if (v->ring == MAP_FAILED)
			kl_die(KL_EXIT_FAIL, "mapping the ring of vCPU %u: %s", v->id,
			       strerror(errno));
	}
	set_cpuid(v);
	kl_guest_start(v);
}

void kl_kvm_close_vcpus(struct kl_vm *vm)
{
	for (u32 i = 0; i < vm->o->vcpus; i++) {
		struct kl_vcpu *v = &vm->vcpu[i];

		if (v->ring)
			munmap(v->ring, vm->o->ring_size * sizeof(*v->ring));
		munmap(v->run, vm->run_size);
		close(v->fd);
	}
}

void kl_kvm_destroy(struct kl_vm *vm)
{
	close(vm->fd);
	close(vm->kvm_fd);
	munmap(vm->sys, area_of(vm->sys_bytes));
	munmap(vm->mem, area_of(vm->mem_pages * KL_PAGE_SIZE));
}
