// SPDX-License-Identifier: GPL-2.0
/*
 * Rings whose addresses, and those in their descriptors, go through a table of
 * translations: to physical addresses of memory that the table's owner keeps in place,
 * or (use_va) to addresses of the process that we run for.
 *
 * What the table says counts until its lock is released: memory is read and written
 * with the lock held, so that nothing is touched any more once an unmap has returned. Where
 * the caller says that nobody changes the table meanwhile, there is no lock.
 * User memory may be paged out; then the lock is released, the page is faulted in and
 * all is looked up again.
 *
 * What was found last is remembered in windows: for each CPU some sets, for
 * each set a window for what is read of a ring, what is written, and so on. A ring
 * has its set by its address; another ring that has the same makes it forget, no more,
 * since a window knows which table it is of and whether that has changed. Meanwhile
 * there is no preemption; a ring that is used by an interrupt uses other sets.
 */
#include <linux/export.h>
#include <linux/hash.h>
#include <linux/init.h>
#include <linux/io.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/pagemap.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/sched/signal.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <trace/events/vhost_iotlb.h>
#include <vhost_iotlb/window.h>
#include <vringh/table.h>

#include "ring.h"

/* all memory has an address in the kernel */
static_assert(!IS_ENABLED(CONFIG_HIGHMEM));

/* What is copied before the lock is released, for others. */
#define COPY_AT_ONCE	SZ_64K

/*
 * How often user memory is faulted in while nothing is copied. Each time is progress unless
 * the page went away again; a chain can be all over the place.
 */
#define FAULTS_MAX	(4 * RING_INDIRECT_MAX)

enum role { ROLE_AVAIL, ROLE_USED, ROLE_DESC, ROLE_READ, ROLE_WRITE, ROLES };

#define SET_BITS	4

struct window_set {
	struct vhost_iotlb_window role[ROLES];
};

struct window_sets {
	struct window_set set[1 << SET_BITS];
	/* one for each kind of interrupt: soft, hard, not maskable */
	struct window_set interrupt[3];
};

static struct window_sets __percpu *window_sets;

/* One hold of the lock, and what it ended with. */
struct pass {
	struct vringh *vrh;
	struct window_set *windows;
	/* after RING_ABSENT: what is to be fetched */
	char __user *fault;
	size_t fault_len;
	unsigned int faults;
	bool fault_write;
};

/*
 * One that walks over descriptors, and where they are known to be until the lock is released, in
 * the kernel's memory: they begin at one of so many addresses. A chain of one needs none of it.
 */
struct desc_pass {
	struct pass pass;
	u64 start;
	u64 begin;
	void *descs;
	/* the window of descriptors is where the last one was, all of it */
	bool found;
};

static __always_inline void pass_init(struct pass *pass, struct vringh *vrh)
{
	pass->vrh = vrh;
	pass->faults = 0;
}

static __always_inline void pass_begin(struct pass *pass)
{
	struct vringh *vrh = pass->vrh;
	struct window_sets *sets;
	unsigned int level;

	if (vrh->iotlb_lock)
		spin_lock(vrh->iotlb_lock);
	else
		__acquire(vrh->iotlb_lock);
	/* where no lock does that */
	if (IS_ENABLED(CONFIG_PREEMPT_RT) || !vrh->iotlb_lock)
		preempt_disable();
	sets = this_cpu_ptr(window_sets);
	level = interrupt_context_level();
	if (likely(!level))
		pass->windows = &sets->set[hash_ptr(vrh, SET_BITS)];
	else
		pass->windows = &sets->interrupt[level - 1];
	if (vrh->use_va)
		pagefault_disable();
}

static __always_inline void pass_end(struct pass *pass)
{
	if (pass->vrh->use_va)
		pagefault_enable();
	if (IS_ENABLED(CONFIG_PREEMPT_RT) || !pass->vrh->iotlb_lock)
		preempt_enable();
	if (pass->vrh->iotlb_lock)
		spin_unlock(pass->vrh->iotlb_lock);
	else
		__release(pass->vrh->iotlb_lock);
}

/* The lock is released. Is the user memory there now that was not? */
static noinline bool pass_fault_in(struct pass *pass, ssize_t *ret)
{
	size_t left = pass->fault_len;

	*ret = -EFAULT;
	if (pass->faults++ == FAULTS_MAX)
		goto gone;
	/*
	 * What is there may be somebody else's by now, or be read by the other side at
	 * this moment: nothing is written to fault it in, as fault_in_writeable() does.
	 */
	if (pass->fault_write)
		left = fault_in_safe_writeable(pass->fault, pass->fault_len);
	else
		left = fault_in_readable(pass->fault, pass->fault_len);
	cond_resched();
	if (left < pass->fault_len)
		return true;
gone:
	/* unless it is only that nobody waits for it any more */
	if (!fatal_signal_pending(current))
		ring_bad(pass->vrh, "memory that is not there, at", (uintptr_t)pass->fault,
			 -EFAULT);
	return false;
}

/* What is to be done again may succeed then; otherwise *@ret is final. */
static __always_inline bool pass_again(struct pass *pass, ssize_t *ret)
{
	return unlikely(*ret == RING_ABSENT) && pass_fault_in(pass, ret);
}

static noinline int pass_fault(struct pass *pass, void *addr, size_t len, bool write)
{
	pass->fault = (char __force __user *)addr;
	/* a page is enough to go on */
	pass->fault_len = min_t(size_t, len, PAGE_SIZE);
	pass->fault_write = write;
	return RING_ABSENT;
}

static noinline int window_miss(struct pass *pass, struct vhost_iotlb_window *window, u64 iova,
				u64 len, u32 perm)
{
	struct vhost_iotlb *table = pass->vrh->iotlb;
	int err;

	/* nothing wraps around the end of all addresses, and so does no window */
	if (iova + len - 1 < iova)
		return -EINVAL;
	err = vhost_iotlb_window_load(window, table, iova, perm);
	if (err == -EINVAL)
		trace_vhost_iotlb_miss(table, iova, len, perm);
	else if (err)
		trace_vhost_iotlb_denied(table, iova, len, perm);
	return err;
}

/*
 * Where @iova is: at *@base, and @len bytes of it or as many as *@len then says. @len
 * is not 0. The address is one of the kernel's, or (@va) of the user's. @again: this pass
 * has already been where the role leads to, and nobody else has.
 */
static __always_inline int reach_as(struct pass *pass, enum role role, u64 iova, size_t *len,
				    void **base, bool va, bool again)
{
	const u32 perm = role == ROLE_USED || role == ROLE_WRITE ? VHOST_MAP_WO : VHOST_MAP_RO;
	struct vhost_iotlb_window *window = &pass->windows->role[role];
	struct vhost_iotlb *table = pass->vrh->iotlb;
	u64 off, room;
	int err;

	if (again ? unlikely(!vhost_iotlb_window_spans(window, iova, *len - 1)) :
		    unlikely(!vhost_iotlb_window_has(window, table, iova, *len - 1, perm))) {
		err = window_miss(pass, window, iova, *len, perm);
		if (err)
			return err;
	}
	/* where it lies is the other side's word, and the check may be guessed past */
	off = iova - window->start;
	off &= array_index_mask_nospec(off, window->span + 1);
	room = window->span - off;
	if (unlikely(*len - 1 > room))
		*len = room + 1;
	trace_vhost_iotlb_hit(table, iova, *len, perm);
	if (va)
		*base = (void *)(uintptr_t)(window->addr + off);
	else
		*base = phys_to_virt(window->addr + off);
	return 0;
}

static __always_inline int reach(struct pass *pass, enum role role, u64 iova, size_t *len,
				 void **base)
{
	return reach_as(pass, role, iova, len, base, pass->vrh->use_va, false);
}

/* How much of it could not be read, or written. */
static __always_inline size_t copy_in(void *to, const void *from, size_t len, bool va)
{
	const void __user *user = (const void __force __user *)from;

	if (!va) {
		memcpy(to, from, len);
		return 0;
	}
	return access_ok(user, len) ? __copy_from_user_inatomic(to, user, len) : len;
}

static __always_inline size_t copy_out(void *to, const void *from, size_t len, bool va)
{
	void __user *user = (void __force __user *)to;

	if (!va) {
		memcpy(to, from, len);
		return 0;
	}
	return access_ok(user, len) ? __copy_to_user_inatomic(user, from, len) : len;
}

/* Something small that may lie across maps. */
static noinline int copy_pieces(struct pass *pass, enum role role, u64 iova, void *buf, size_t len,
				bool write)
{
	while (len) {
		size_t part = len, left;
		void *base;
		int err;

		/* roles are constants to reach() */
		if (role == ROLE_USED)
			err = reach(pass, ROLE_USED, iova, &part, &base);
		else
			err = reach(pass, ROLE_DESC, iova, &part, &base);
		if (err)
			return err;
		left = write ? copy_out(base, buf, part, pass->vrh->use_va) :
			       copy_in(buf, base, part, pass->vrh->use_va);
		if (left)
			return pass_fault(pass, base + part - left, left, write);
		iova += part;
		buf += part;
		len -= part;
	}
	return 0;
}

static noinline int get16_user(struct pass *pass, __virtio16 *from, __virtio16 *val)
{
	__virtio16 __user *user = (__virtio16 __force __user *)from;

	if (!user_read_access_begin(user, sizeof(*user)))
		return -EFAULT;
	unsafe_get_user(*val, user, fault);
	user_read_access_end();
	return 0;
fault:
	user_read_access_end();
	return pass_fault(pass, from, sizeof(*from), false);
}

static noinline int put16_user(struct pass *pass, __virtio16 *to, __virtio16 val)
{
	__virtio16 __user *user = (__virtio16 __force __user *)to;

	if (!user_write_access_begin(user, sizeof(*user)))
		return -EFAULT;
	unsafe_put_user(val, user, fault);
	user_write_access_end();
	return 0;
fault:
	user_write_access_end();
	return pass_fault(pass, to, sizeof(*to), true);
}

/* An index is read and written in one go: it must not lie across maps. */
static __always_inline int iotlb_get16(void *ctx, const __virtio16 *from, __virtio16 *val)
{
	size_t len = sizeof(*from);
	struct pass *pass = ctx;
	void *base;
	int err = reach(pass, ROLE_AVAIL, (uintptr_t)from, &len, &base);

	if (unlikely(err))
		return err;
	if (unlikely(len != sizeof(*from)))
		return -EINVAL;
	if (pass->vrh->use_va)
		return get16_user(pass, base, val);
	*val = READ_ONCE(*(__virtio16 *)base);
	return 0;
}

static __always_inline int iotlb_put16(void *ctx, __virtio16 *to, __virtio16 val)
{
	size_t len = sizeof(*to);
	struct pass *pass = ctx;
	void *base;
	int err = reach(pass, ROLE_USED, (uintptr_t)to, &len, &base);

	if (unlikely(err))
		return err;
	if (unlikely(len != sizeof(*to)))
		return -EINVAL;
	if (pass->vrh->use_va)
		return put16_user(pass, base, val);
	WRITE_ONCE(*(__virtio16 *)base, val);
	return 0;
}

static __always_inline void desc_pass_begin(struct desc_pass *dp)
{
	pass_begin(&dp->pass);
	dp->start = 0;
	dp->begin = 0;
	/* nor where a check is guessed past */
	dp->descs = NULL;
	dp->found = false;
}

static __always_inline void know_descs(struct desc_pass *dp)
{
	const struct vhost_iotlb_window *window = &dp->pass.windows->role[ROLE_DESC];

	dp->found = false;
	dp->start = window->start;
	dp->begin = window->span - (sizeof(struct vring_desc) - 2);
	dp->descs = phys_to_virt(window->addr);
}

static __always_inline int iotlb_get_desc(void *ctx, const struct vring_desc *from,
					  struct vring_desc *desc, bool indirect)
{
	size_t len = sizeof(*desc);
	struct pass *pass = ctx;
	struct desc_pass *dp = container_of(pass, struct desc_pass, pass);
	u64 off = (uintptr_t)from - dp->start;
	void *base;
	int err;

	/* the others of a chain are close to its first */
	if (off >= dp->begin && dp->found) {
		know_descs(dp);
		off = (uintptr_t)from - dp->start;
	}
	if (off < dp->begin) {
		trace_vhost_iotlb_hit(pass->vrh->iotlb, (uintptr_t)from, len, VHOST_MAP_RO);
		off &= array_index_mask_nospec(off, dp->begin);
		base = dp->descs + off;
	} else {
		/* whatever comes of it may be less than a descriptor */
		dp->found = false;
		if (pass->vrh->use_va)
			return copy_pieces(pass, ROLE_DESC, (uintptr_t)from, desc, sizeof(*desc),
					   false);
		err = reach(pass, ROLE_DESC, (uintptr_t)from, &len, &base);
		if (unlikely(err))
			return err;
		if (unlikely(len != sizeof(*desc)))
			return copy_pieces(pass, ROLE_DESC, (uintptr_t)from, desc, sizeof(*desc),
					   false);
		dp->found = true;
	}
	memcpy(desc, base, sizeof(*desc));
	/* no second look at what can change meanwhile */
	barrier();
	return 0;
}

static __always_inline int iotlb_put_used(void *ctx, struct vring_used_elem *to,
					  const struct vring_used_elem *used, unsigned int num)
{
	size_t len = num * sizeof(*to);
	struct pass *pass = ctx;
	void *base;
	int err;

	if (pass->vrh->use_va)
		return copy_pieces(pass, ROLE_USED, (uintptr_t)to, (void *)used,
				   num * sizeof(*to), true);
	err = reach(pass, ROLE_USED, (uintptr_t)to, &len, &base);
	if (unlikely(err))
		return err;
	if (unlikely(len != num * sizeof(*to)))
		return copy_pieces(pass, ROLE_USED, (uintptr_t)to, (void *)used,
				   num * sizeof(*to), true);
	memcpy(base, used, num * sizeof(*to));
	return 0;
}

/* What descriptors describe is translated when it is copied, not before. */
static __always_inline int iotlb_reach(void *ctx, u64 addr, size_t *len, void **base)
{
	*base = (void *)(uintptr_t)addr;
	return 0;
}

static const struct ring_access iotlb_access = {
	.get16		= iotlb_get16,
	.put16		= iotlb_put16,
	.get_desc	= iotlb_get_desc,
	.put_used	= iotlb_put_used,
	.reach		= iotlb_reach,
};

/**
 * vringh_init_iotlb - set up the host side of a ring behind translations to memory
 * @vrh: what is set up
 * @features: those that were negotiated
 * @num: how many descriptors the ring has
 * @weak_barriers: barriers between CPUs will do, the other side is no device
 * @desc: the descriptors
 * @avail: what the other side offers
 * @used: what we give back
 *
 * All addresses are those that the other side uses. vringh_set_iotlb() says what
 * translates them.
 *
 * Return: 0; -EINVAL if @num is no power of two or too large.
 */
int vringh_init_iotlb(struct vringh *vrh, u64 features, unsigned int num, bool weak_barriers,
		      struct vring_desc *desc, struct vring_avail *avail, struct vring_used *used)
{
	vrh->use_va = false;
	return ring_init(vrh, features, num, weak_barriers, desc, avail, used);
}
EXPORT_SYMBOL(vringh_init_iotlb);

/**
 * vringh_init_iotlb_va - set up the host side of a ring behind translations to user addresses
 * @vrh: what is set up
 * @features: those that were negotiated
 * @num: how many descriptors the ring has
 * @weak_barriers: barriers between CPUs will do, the other side is no device
 * @desc: the descriptors
 * @avail: what the other side offers
 * @used: what we give back
 *
 * As vringh_init_iotlb(), but all calls are made in the user's address space, and may
 * sleep.
 *
 * Return: 0; -EINVAL if @num is no power of two or too large.
 */
int vringh_init_iotlb_va(struct vringh *vrh, u64 features, unsigned int num, bool weak_barriers,
			 struct vring_desc *desc, struct vring_avail *avail,
			 struct vring_used *used)
{
	vrh->use_va = true;
	return ring_init(vrh, features, num, weak_barriers, desc, avail, used);
}
EXPORT_SYMBOL(vringh_init_iotlb_va);

/**
 * vringh_set_iotlb - say what translates a ring's addresses
 * @vrh: the ring, of which nothing is used meanwhile
 * @iotlb: the table
 * @iotlb_lock: under which it is changed
 */
void vringh_set_iotlb(struct vringh *vrh, struct vhost_iotlb *iotlb, spinlock_t *iotlb_lock)
{
	vrh->iotlb = iotlb;
	vrh->iotlb_lock = iotlb_lock;
}
EXPORT_SYMBOL(vringh_set_iotlb);

/**
 * vringh_set_table - say what translates a ring's addresses, where nobody may change it, too
 * @vrh: the ring, of which nothing is used meanwhile
 * @iotlb: the table
 * @iotlb_lock: under which it is changed; NULL if it is not, while anything of the ring is used
 */
void vringh_set_table(struct vringh *vrh, struct vhost_iotlb *iotlb, spinlock_t *iotlb_lock)
{
	vringh_set_iotlb(vrh, iotlb, iotlb_lock);
}
EXPORT_SYMBOL_GPL(vringh_set_table);

/**
 * vringh_getdesc_iotlb - take the next descriptor chain that is offered
 * @vrh: the ring
 * @riov: where its readable part is put, or NULL: it must have none
 * @wiov: where its writable part is put, or NULL: it must have none
 * @head: what to give back to vringh_complete_iotlb()
 * @gfp: for longer iovs
 *
 * What is in the iovs are addresses before translation.
 *
 * Return: as vringh_getdesc_kern(). -EINVAL stands for an address, too, that nothing is
 * mapped at, -EPERM for one that is mapped for something else.
 */
int vringh_getdesc_iotlb(struct vringh *vrh, struct vringh_kiov *riov, struct vringh_kiov *wiov,
			 u16 *head, gfp_t gfp)
{
	struct vringh_kiov *full;
	/* all that is read of it is set before; it is large to be zeroed for each chain */
	struct desc_pass dp __uninitialized;
	struct pass *pass = &dp.pass;
	bool offered;
	u16 taken = 0;
	ssize_t ret;

	if (WARN_ON_ONCE(!riov && !wiov))
		return -EINVAL;
	pass_init(pass, vrh);
again:
	desc_pass_begin(&dp);
	ret = ring_next_head(pass, vrh, &iotlb_access, &taken);
	offered = ret > 0;
	if (likely(offered)) {
		ret = ring_walk(pass, vrh, &iotlb_access, taken, riov, wiov, &full);
		/* this one is not offered again */
		if (likely(ret != RING_FULL && ret != RING_ABSENT)) {
			vrh->last_avail_idx++;
			*head = taken;
		}
		ret = ret ?: 1;
	}
	pass_end(pass);

	if (unlikely(ret == RING_FULL)) {
		if (ring_iov_grow(full, gfp))
			return -ENOMEM;
		goto again;
	}
	if (unlikely(ret == RING_ABSENT)) {
		if (pass_fault_in(pass, &ret))
			goto again;
		/* what is not there is the chain's, unless it is only that nobody waits for it */
		if (offered && !fatal_signal_pending(current)) {
			vrh->last_avail_idx++;
			*head = taken;
		}
	}
	if (likely(ret > 0))
		trace_vringh_getdesc(vrh, taken, riov, wiov);
	return ret;
}
EXPORT_SYMBOL(vringh_getdesc_iotlb);

static __always_inline size_t copy_part(void *base, void *buf, size_t len, bool write, bool va)
{
	return len - (write ? copy_out(base, buf, len, va) : copy_in(buf, base, len, va));
}

static noinline size_t copy_pages(void *base, void *buf, size_t len, bool write, bool va)
{
	size_t done, part, copied;

	for (done = 0; done < len; done += part) {
		part = min_t(size_t, len - done, PAGE_SIZE);
		copied = copy_part(base + done, buf + done, part, write, va);
		if (unlikely(copied < part))
			return done + copied;
	}
	return done;
}

/* sparse does not know it */
#ifdef __CHECKER__
#define __builtin_assume_aligned(p, align)	((void)(align), (p))
#endif

/* All of a page, where nothing has to be done about its beginning and its end. */
static __always_inline size_t copy_page_of(void *base, void *buf, bool write)
{
	base = __builtin_assume_aligned(base, sizeof(u64));
	buf = __builtin_assume_aligned(buf, sizeof(u64));
	return copy_part(base, buf, PAGE_SIZE, write, false);
}

/* A page, mostly: what is no longer than that, the compiler copies in place. */
static __always_inline size_t copy_run(void *base, void *buf, size_t len, bool write, bool va)
{
	size_t copied;

	if (!va && len == PAGE_SIZE && IS_ALIGNED((uintptr_t)base | (uintptr_t)buf, sizeof(u64)))
		return copy_page_of(base, buf, write);
	copied = copy_part(base, buf, min_t(size_t, len, PAGE_SIZE), write, va);
	if (unlikely(len > PAGE_SIZE) && likely(copied == PAGE_SIZE))
		copied += copy_pages(base + PAGE_SIZE, buf + PAGE_SIZE, len - PAGE_SIZE, write, va);
	return copied;
}

static __always_inline ssize_t iotlb_copy_as(struct vringh *vrh, struct vringh_kiov *iov,
					     void *buf, size_t len, bool write, bool va)
{
	size_t done = 0, left, part, copied;
	struct pass pass;
	bool again;
	ssize_t err;
	void *base;

	pass_init(&pass, vrh);
	do {
		err = 0;
		left = min_t(size_t, len - done, COPY_AT_ONCE);
		again = false;
		pass_begin(&pass);
		while (left && iov->i < iov->used) {
			u64 iova = (uintptr_t)iov->iov[iov->i].iov_base;

			part = min(left, iov->iov[iov->i].iov_len);
			if (unlikely(!part)) {
				ring_iov_consume(iov, 0);
				continue;
			}
			err = reach_as(&pass, write ? ROLE_WRITE : ROLE_READ, iova, &part, &base,
				       va, again);
			if (unlikely(err))
				break;
			again = true;
			copied = copy_run(base, buf + done, part, write, va);
			if (likely(copied)) {
				ring_iov_consume(iov, copied);
				pass.faults = 0;
			}
			done += copied;
			left -= copied;
			if (unlikely(copied < part)) {
				err = pass_fault(&pass, base + copied, part - copied, write);
				break;
			}
		}
		pass_end(&pass);
	} while (pass_again(&pass, &err) || (!err && done < len && iov->i < iov->used));
	return err ?: (ssize_t)done;
}

static __always_inline ssize_t iotlb_copy(struct vringh *vrh, struct vringh_kiov *iov, void *buf,
					  size_t len, bool write)
{
	if (vrh->use_va)
		return iotlb_copy_as(vrh, iov, buf, len, write, true);
	return iotlb_copy_as(vrh, iov, buf, len, write, false);
}

/**
 * vringh_iov_pull_iotlb - copy out of a chain
 * @vrh: the ring
 * @riov: its readable part, moved on by what is copied
 * @dst: where to
 * @len: how much at most
 *
 * Return: how much was copied; -EINVAL, -EPERM or -EFAULT.
 */
ssize_t vringh_iov_pull_iotlb(struct vringh *vrh, struct vringh_kiov *riov, void *dst, size_t len)
{
	return iotlb_copy(vrh, riov, dst, len, false);
}
EXPORT_SYMBOL(vringh_iov_pull_iotlb);

/**
 * vringh_iov_push_iotlb - copy into a chain
 * @vrh: the ring
 * @wiov: its writable part, moved on by what is copied
 * @src: where from
 * @len: how much at most
 *
 * Return: how much was copied; -EINVAL, -EPERM or -EFAULT.
 */
ssize_t vringh_iov_push_iotlb(struct vringh *vrh, struct vringh_kiov *wiov, const void *src,
			      size_t len)
{
	return iotlb_copy(vrh, wiov, (void *)src, len, true);
}
EXPORT_SYMBOL(vringh_iov_push_iotlb);

/**
 * vringh_abandon_iotlb - put the last descriptors back, to be taken again
 * @vrh: the ring
 * @num: how many
 */
void vringh_abandon_iotlb(struct vringh *vrh, unsigned int num)
{
	vrh->last_avail_idx -= num;
}
EXPORT_SYMBOL(vringh_abandon_iotlb);

/**
 * vringh_complete_iotlb - give a descriptor chain back
 * @vrh: the ring
 * @head: which, as vringh_getdesc_iotlb() said
 * @len: how much was written to it
 *
 * Afterwards, or after several, ask vringh_need_notify_iotlb().
 *
 * Return: 0; -EINVAL, -EPERM or -EFAULT.
 */
int vringh_complete_iotlb(struct vringh *vrh, u16 head, u32 len)
{
	struct vring_used_elem used = {
		.id	= cpu_to_vringh32(vrh, head),
		.len	= cpu_to_vringh32(vrh, len),
	};
	struct pass pass;
	ssize_t ret;

	pass_init(&pass, vrh);
	do {
		pass_begin(&pass);
		ret = ring_put_used(&pass, vrh, &iotlb_access, &used, 1);
		pass_end(&pass);
	} while (pass_again(&pass, &ret));
	if (likely(!ret))
		ring_count_used(vrh, 1);
	return ret;
}
EXPORT_SYMBOL(vringh_complete_iotlb);

/**
 * vringh_notify_enable_iotlb - ask to be told of new descriptors
 * @vrh: the ring
 *
 * Return: true if there are none, or the ring cannot be reached; false if some came
 * meanwhile, of which we may not be told.
 */
bool vringh_notify_enable_iotlb(struct vringh *vrh)
{
	struct pass pass;
	ssize_t ret;

	pass_init(&pass, vrh);
	do {
		pass_begin(&pass);
		ret = ring_arm(&pass, vrh, &iotlb_access);
		pass_end(&pass);
	} while (pass_again(&pass, &ret));
	return ret != 0;
}
EXPORT_SYMBOL(vringh_notify_enable_iotlb);

/**
 * vringh_notify_disable_iotlb - ask not to be told of new descriptors
 * @vrh: the ring
 */
void vringh_notify_disable_iotlb(struct vringh *vrh)
{
	struct pass pass;
	ssize_t ret;

	pass_init(&pass, vrh);
	do {
		pass_begin(&pass);
		ret = ring_disarm(&pass, vrh, &iotlb_access);
		pass_end(&pass);
	} while (pass_again(&pass, &ret));
}
EXPORT_SYMBOL(vringh_notify_disable_iotlb);

/**
 * vringh_need_notify_iotlb - does the other side want to be told of what was given back?
 * @vrh: the ring
 *
 * Return: 1, 0; -EINVAL, -EPERM or -EFAULT.
 */
int vringh_need_notify_iotlb(struct vringh *vrh)
{
	struct pass pass;
	ssize_t ret;

	pass_init(&pass, vrh);
	do {
		pass_begin(&pass);
		ret = ring_wants_event(&pass, vrh, &iotlb_access);
		pass_end(&pass);
	} while (pass_again(&pass, &ret));
	if (likely(ret >= 0))
		ring_count_told(vrh);
	return ret;
}
EXPORT_SYMBOL(vringh_need_notify_iotlb);

static int __init vringh_init(void)
{
	window_sets = alloc_percpu(struct window_sets);
	return window_sets ? 0 : -ENOMEM;
}

static void __exit vringh_exit(void)
{
	free_percpu(window_sets);
}

module_init(vringh_init);
module_exit(vringh_exit);
