// SPDX-License-Identifier: GPL-2.0
/*
 * A KVM that lies, to see whether kvmload notices: preloaded, it stands between
 * kvmload and the kernel. LIE says how.
 *
 *   reset-short	RESET returns one less than it reset
 *   reset-nothing	RESET resets nothing and says it did
 *   foreign		an entry names a page that nobody was told to write
 *   twice		an entry names the page of the entry before it
 *   bit-more		GET reports a page that was not written
 *   bit-less		GET withholds one
 *   content		guest memory changes behind the guest's back
 *   full		KVM_RUN says once that the ring is full, though it is not
 */
#include <dlfcn.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

static struct kvm_dirty_gfn *ring;
static struct kvm_run *run;
static unsigned char *memory;
static int told;

static int lie_is(const char *what)
{
	const char *lie = getenv("LIE");

	return lie && !strcmp(lie, what);
}

void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	void *(*real)(void *, size_t, int, int, int, off_t) = dlsym(RTLD_NEXT, "mmap");
	void *p = real(addr, len, prot, flags, fd, off);

	if (fd >= 0 && off == KVM_DIRTY_LOG_PAGE_OFFSET * 4096L)
		ring = p;
	else if (fd >= 0 && off == 0 && (flags & MAP_SHARED))
		run = p;
	return p;
}

static void after_run(void)
{
	/* the run ended in our port write: a list is done, its entries are there */
	if (told || run->exit_reason != KVM_EXIT_IO)
		return;
	if (lie_is("foreign") && ring) {
		ring[3].offset += 1 << 20;
		told = 1;
	} else if (lie_is("twice") && ring) {
		ring[3].offset = ring[2].offset;
		told = 1;
	} else if (lie_is("content")) {
		memory[0] ^= 1;
		told = 1;
	} else if (lie_is("full")) {
		run->exit_reason = KVM_EXIT_DIRTY_RING_FULL;
		told = 1;
	}
}

int ioctl(int fd, unsigned long req, ...)
{
	int (*real)(int, unsigned long, ...) = dlsym(RTLD_NEXT, "ioctl");
	va_list ap;
	void *arg;
	int ret;

	va_start(ap, req);
	arg = va_arg(ap, void *);
	va_end(ap);

	if (req == KVM_RESET_DIRTY_RINGS && lie_is("reset-nothing")) {
		/* what was harvested is flagged; let nothing be lost from sight */
		for (ret = 0; ring[ret].flags & KVM_DIRTY_GFN_F_RESET; ret++)
			;
		return ret;
	}
	ret = real(fd, req, arg);
	if (ret < 0)
		return ret;
	switch (req) {
	case KVM_SET_USER_MEMORY_REGION: {
		struct kvm_userspace_memory_region *r = arg;

		if (r->slot == 1)
			memory = (unsigned char *)r->userspace_addr;
		break;
	}
	case KVM_RUN:
		after_run();
		break;
	case KVM_RESET_DIRTY_RINGS:
		if (lie_is("reset-short"))
			ret--;
		break;
	case KVM_GET_DIRTY_LOG: {
		unsigned char *bits = ((struct kvm_dirty_log *)arg)->dirty_bitmap;

		/* the stride pattern: page 0 is in the plan, page 1 is not */
		if (lie_is("bit-more"))
			bits[0] |= 2;
		if (lie_is("bit-less"))
			bits[0] &= ~1;
		break;
	}
	}
	return ret;
}
