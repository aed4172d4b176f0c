// SPDX-License-Identifier: GPL-2.0
/*
 * Devices without an IOMMU of their own: the pages that they pin, and what they read
 * and write through us.
 *
 * Pages are handled by the stretch that lies in one leaf, of 64 pages; and pinned by what
 * of it is pinned already, which is only counted, or is not.
 */
#include <linux/kthread.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <trace/events/vfio.h>

#include "type1.h"

#define BRING_MAX	10	/* times that a page may be taken away again at once */
#define LEAF_PINS	BITS_PER_LONG
#define LEAF_BYTES	(LEAF_PINS * sizeof(struct type1_run))
/* a bitmap, and a leaf for each of its words */
#define PINNED_BYTES	(TYPE1_CHUNK_WORDS * (sizeof(long) + sizeof(struct type1_run *)))

/* Where a stretch is. */
struct stretch {
	struct type1_map	*map;
	unsigned long		index;	/* of its first page in the map */
	unsigned int		n;
};

static struct page *pin_page(const struct type1_run *pin)
{
	return pfn_to_page(pin->pfn);
}

/* What is not ours was not charged for, and nobody holds it: it may have become another's. */
static bool pin_charged(const struct type1_run *pin)
{
	return pin->ours && type1_page_charged(pin_page(pin));
}

/* The mapping of an address: devices that pin go on where they did so last. */
static struct type1_map *map_at(struct type1_container *c, u64 iova)
{
	struct type1_map *map = c->recent;

	if (map && iova >= map->iova && iova <= map->last)
		return map;
	return c->recent = type1_map_at(c, iova);
}

/* The chunk of an address, if there is one, and @at, which of its pages. */
static struct type1_chunk *chunk_at(struct type1_map *map, u64 iova, unsigned int *at)
{
	unsigned long index = (iova - map->iova) >> PAGE_SHIFT;

	*at = index % TYPE1_CHUNK_PAGES;
	return type1_chunk(map, index);
}

bool type1_is_pinned(struct type1_map *map, unsigned long index)
{
	struct type1_chunk *chunk = type1_chunk(map, index);

	return chunk && chunk->npinned && test_bit(index % TYPE1_CHUNK_PAGES, chunk->pinned);
}

/*
 * Memory that was given back is all zero. One piece of each kind is kept, so that a
 * device that pins a page at a time does not allocate each time.
 */
static void *take_spare(void *spare, size_t size, size_t full)
{
	void **have = spare, *p = *have;

	if (!p || size != full)
		return kzalloc(size, GFP_KERNEL_ACCOUNT);
	*have = NULL;
	return p;
}

static void give_spare(void *spare, void *p, size_t size, size_t full)
{
	void **have = spare;

	if (*have || size != full)
		kfree(p);
	else
		*have = p;
}

static size_t leaf_bytes(const struct type1_chunk *chunk, unsigned int word)
{
	return min(chunk->npages - word * LEAF_PINS, LEAF_PINS) * sizeof(struct type1_run);
}

static size_t pinned_bytes(const struct type1_chunk *chunk)
{
	return BITS_TO_LONGS(chunk->npages) * (sizeof(long) + sizeof(struct type1_run *));
}

/* The leaf for a word of the chunk's bitmap, made if there is none. */
static struct type1_run *leaf_make(struct type1_container *c, struct type1_chunk *chunk,
				   unsigned int word)
{
	if (!chunk->pinned) {
		chunk->pinned = take_spare(&c->spare_pinned, pinned_bytes(chunk), PINNED_BYTES);
		if (!chunk->pinned)
			return NULL;
		chunk->leaf = (void *)(chunk->pinned + BITS_TO_LONGS(chunk->npages));
	}
	if (!chunk->leaf[word])
		chunk->leaf[word] = take_spare(&c->spare_leaf, leaf_bytes(chunk, word), LEAF_BYTES);
	return chunk->leaf[word];
}

/* Where nothing is pinned, who held it is not kept. */
static void leaf_trim(struct type1_container *c, struct type1_chunk *chunk, unsigned int word)
{
	if (!chunk->pinned || chunk->pinned[word])
		return;
	if (chunk->leaf[word])
		give_spare(&c->spare_leaf, chunk->leaf[word], leaf_bytes(chunk, word), LEAF_BYTES);
	chunk->leaf[word] = NULL;
	if (chunk->npinned)
		return;
	give_spare(&c->spare_pinned, chunk->pinned, pinned_bytes(chunk), PINNED_BYTES);
	chunk->pinned = NULL;
	chunk->leaf = NULL;
}

/* Pages that others hold, too. */
static int pin_again(struct type1_run *pin, unsigned int n, struct page **pages)
{
	unsigned int i;

	for (i = 0; i < n && pin[i].n < TYPE1_HELD_MAX; i++) {
		pin[i].n++;
		pages[i] = pin_page(&pin[i]);
	}
	return i ?: -EBUSY;
}

/* Pages that nobody holds. They are charged for, unless an IOMMU keeps them anyway. */
static int pin_first(struct type1_container *c, struct type1_map *map, unsigned long index,
		     struct type1_run *pin, unsigned int n, struct page **pages)
{
	unsigned long pfn, charge = 0;
	bool ours = true;
	int err = 0;
	long got, i;

	if (!mmget_not_zero(map->mm))
		return -ENODEV;
	got = type1_grab(map->mm, map->vaddr + index * PAGE_SIZE, n, map->prot, pages, &pfn);
	if (got < 0) {
		err = got;
		goto out;
	}
	if (!pages[0]) {
		/* none to pin, but at least there is a struct page to hand out */
		ours = false;
		for (i = 0; i < got && pfn_valid(pfn + i); i++)
			pages[i] = pfn_to_page(pfn + i);
		got = i;
		if (!got) {
			err = -EINVAL;
			goto out;
		}
	}
	for (i = 0; i < got; i++) {
		pin[i] = (struct type1_run) {
			.pfn	= page_to_pfn(pages[i]),
			.n	= 1,
			.ours	= ours,
		};
		charge += pin_charged(&pin[i]);
	}
	if (list_empty(&c->domains))
		err = type1_charge(map, charge);
	if (err) {
		for (i = 0; i < got; i++) {
			type1_release_run(&pin[i], 0);
			pin[i] = (struct type1_run) { };
		}
		goto out;
	}
	map->npinned_charged += charge;
out:
	mmput(map->mm);
	return err ?: got;
}

/*
 * Return: how many pages of the stretch are pinned now, from its begin; or an error.
 */
static int pin_some(struct type1_container *c, const struct stretch *s, struct page **pages)
{
	struct type1_chunk *chunk = type1_chunk_make(s->map, s->index);
	unsigned int at = s->index % TYPE1_CHUNK_PAGES;
	unsigned int word = at / LEAF_PINS, bit = at % LEAF_PINS;
	unsigned int n = min(s->n, LEAF_PINS - bit);
	struct type1_run *leaf;
	unsigned long pinned;
	int got;

	if (!chunk)
		return -ENOMEM;
	leaf = leaf_make(c, chunk, word);
	if (!leaf) {
		got = -ENOMEM;
		goto trim;
	}
	pinned = chunk->pinned[word] >> bit;
	if (pinned & 1) {
		if (~pinned)
			n = min(n, ffz(pinned));
		return pin_again(leaf + bit, n, pages);
	}
	if (pinned)
		n = min(n, __ffs(pinned));

	got = pin_first(c, s->map, s->index, leaf + bit, n, pages);
	if (got < 0)
		goto trim;
	chunk->pinned[word] |= GENMASK(bit + got - 1, bit);
	chunk->npinned += got;
	s->map->npinned += got;
	c->npinned += got;
	return got;

trim:
	leaf_trim(c, chunk, word);
	type1_dirty_trim(s->map, s->index, 1);
	return got;
}

/*
 * Let go of a page once. If nobody holds it any more, it is taken out, and with @seen
 * counts as written until that is reported; without, no device ever got to see it.
 *
 * Return: whether nobody holds it any more; @was then is a run that begins with it, of no
 * pages yet.
 */
static bool let_go(struct type1_container *c, struct type1_chunk *chunk, unsigned int at,
		   bool seen, struct type1_run *was)
{
	unsigned int word = at / LEAF_PINS;
	unsigned long bit = BIT(at % LEAF_PINS);
	struct type1_run *pin;

	if (!(chunk->pinned[word] & bit))
		return false;
	pin = &chunk->leaf[word][at % LEAF_PINS];
	if (--pin->n)
		return false;
	*was = *pin;
	*pin = (struct type1_run) { };
	chunk->pinned[word] &= ~bit;
	if (seen && c->tracking) {
		chunk->dirty[word] |= bit;
		chunk->marked = true;
	}
	return true;
}

/*
 * Nobody holds @gone pages of a chunk's word any more, of which @charged were paid for. All
 * are released but @run.
 */
static void all_gone(struct type1_container *c, struct type1_map *map, struct type1_chunk *chunk,
		     unsigned int word, unsigned int gone, unsigned int charged,
		     const struct type1_run *run)
{
	chunk->npinned -= gone;
	map->npinned -= gone;
	map->npinned_charged -= charged;
	c->npinned -= gone;
	leaf_trim(c, chunk, word);
	type1_release_run(run, map->prot);
	if (list_empty(&c->domains))
		type1_uncharge(map, charged);
}

/* Let go of the pages of a stretch; those that are not held are passed over. */
static void unpin_some(struct type1_container *c, const struct stretch *s, bool seen)
{
	struct type1_chunk *chunk = type1_chunk(s->map, s->index);
	unsigned int at = s->index % TYPE1_CHUNK_PAGES;
	unsigned int end = at + s->n, word = at / LEAF_PINS;
	unsigned int gone = 0, charged = 0;
	struct type1_run pin, run = { };

	if (!chunk || !chunk->npinned)
		return;
	for (; at < end; at++) {
		if (!let_go(c, chunk, at, seen, &pin))
			continue;
		charged += pin_charged(&pin);
		/* what lies one behind the other goes together */
		if (run.pfn + run.n != pin.pfn || run.ours != pin.ours) {
			type1_release_run(&run, s->map->prot);
			run = pin;
		}
		run.n++;
		gone++;
	}
	if (gone)
		all_gone(c, s->map, chunk, word, gone, charged, &run);
}

/* The stretch of at most @npage pages that begins at @iova; none where it is not mapped. */
static bool stretch_at(struct type1_container *c, struct stretch *s, u64 iova, int npage)
{
	unsigned long in_leaf, in_map;

	s->map = map_at(c, iova);
	if (!s->map)
		return false;
	s->index = (iova - s->map->iova) >> PAGE_SHIFT;
	in_leaf = LEAF_PINS - s->index % LEAF_PINS;
	in_map = map_npages(s->map) - s->index;
	s->n = min3((unsigned long)npage, in_leaf, in_map);
	return true;
}

/* Return: how many of the pages were mapped, from @iova on. */
static int unpin_range(struct type1_container *c, u64 iova, int npage, bool seen)
{
	struct stretch s;
	int n;

	for (n = 0; n < npage; n += s.n) {
		if (!stretch_at(c, &s, iova + (u64)n * PAGE_SIZE, npage - n))
			break;
		unpin_some(c, &s, seen);
	}
	return n;
}

/* A range of one page, which is what most devices ask for: no stretch to look for. */
static int unpin_one(struct type1_container *c, u64 iova)
{
	struct type1_map *map = map_at(c, iova);
	struct type1_chunk *chunk;
	struct type1_run pin;
	unsigned int at;

	if (!map)
		return 0;
	chunk = chunk_at(map, iova, &at);
	if (chunk && chunk->npinned && let_go(c, chunk, at, true, &pin)) {
		pin.n = 1;
		all_gone(c, map, chunk, at / LEAF_PINS, 1, pin_charged(&pin), &pin);
	}
	return 1;
}

/* A page that somebody holds already, which costs no more than to find it. */
static bool pin_held(struct type1_container *c, u64 iova, int prot, struct page **page)
{
	struct type1_map *map = map_at(c, iova);
	struct type1_chunk *chunk;
	unsigned int at;

	if (!map || !map->npinned || (map->prot & prot) != prot)
		return false;
	chunk = chunk_at(map, iova, &at);
	if (!chunk || !chunk->npinned || !test_bit(at, chunk->pinned))
		return false;
	return pin_again(&chunk->leaf[at / LEAF_PINS][at % LEAF_PINS], 1, page) == 1;
}

/* Not inlined: a page that is held already needs no stack frame for this. */
static noinline_for_stack int pin_range(struct type1_container *c, u64 iova, int npage, int prot,
					struct page **pages)
{
	struct stretch s;
	int done, n, err;

	for (done = 0; done < npage; done += n) {
		if (!stretch_at(c, &s, iova + (u64)done * PAGE_SIZE, npage - done)) {
			err = -EINVAL;
			goto undo;
		}
		if ((s.map->prot & prot) != prot) {
			err = -EPERM;
			goto undo;
		}
		n = pin_some(c, &s, pages + done);
		if (n < 0) {
			err = n;
			goto undo;
		}
	}
	return 0;

undo:
	unpin_range(c, iova, done, false);
	memset(pages, 0, npage * sizeof(*pages));
	return err;
}

/* Why nothing is pinned from @iova to @last, whatever is mapped there; 0 if it is. */
static int pin_refused(const struct type1_container *c, u64 iova, u64 last)
{
	if (!c->v2)
		return -EACCES;
	if (last < iova)
		return -EINVAL;
	if (c->nr_no_vaddr)
		return -EBUSY;
	/* somebody has to be told when what is pinned goes away */
	if (list_empty(&c->devices))
		return -EINVAL;
	/* as it will be in a moment */
	return iova <= c->going_last && last >= c->going_first ? -EINVAL : 0;
}

/* A device's driver wants pages, all of them or none. */
int type1_pin_pages(void *data, struct iommu_group *iommu_group, dma_addr_t iova, int npage,
		    int prot, struct page **pages)
{
	u64 began = trace_vfio_pin_enabled() ? ktime_get_ns() : 0;
	struct type1_container *c = data;
	struct type1_group *group;
	unsigned long before;
	int err;

	if (!pages || npage <= 0)
		return -EINVAL;
	iova &= PAGE_MASK;

	mutex_lock(&c->lock);
	before = c->npinned;
	err = pin_refused(c, iova, iova + ((u64)npage << PAGE_SHIFT) - 1);
	if (!err && !(npage == 1 && pin_held(c, iova, prot, pages)))
		err = pin_range(c, iova, npage, prot, pages);
	if (!err && c->nr_opaque) {
		group = type1_group_find(c, iommu_group, NULL);
		if (!group->pins)
			type1_group_promise(c, group);
	}
	if (began)
		trace_vfio_pin(c, iova, npage, c->npinned - before, c->npinned,
			       ktime_get_ns() - began, err);
	mutex_unlock(&c->lock);
	return err ?: npage;
}

void type1_unpin_pages(void *data, dma_addr_t iova, int npage)
{
	u64 began = trace_vfio_unpin_enabled() ? ktime_get_ns() : 0;
	struct type1_container *c = data;
	unsigned long before;
	int n;

	if (WARN_ON_ONCE(!c->v2))
		return;
	iova &= PAGE_MASK;

	mutex_lock(&c->lock);
	before = c->npinned;
	n = npage == 1 ? unpin_one(c, iova) : unpin_range(c, iova, npage, true);
	if (began)
		trace_vfio_unpin(c, iova, npage, before - c->npinned, c->npinned,
				 ktime_get_ns() - began);
	mutex_unlock(&c->lock);
	WARN_ON_ONCE(n != npage);
}

/* A mapping goes away. Its users should have let go; what they did not is taken. */
void type1_pins_drop(struct type1_container *c, struct type1_map *map)
{
	struct stretch s = { .map = map };
	struct type1_chunk *chunk;
	unsigned long at, i;

	xa_for_each(&map->chunks, at, chunk) {
		for (i = 0; chunk->npinned && i < chunk->npages; i++) {
			s.index = at * TYPE1_CHUNK_PAGES + i;
			s.n = 1;
			while (chunk->npinned && test_bit(i, chunk->pinned))
				unpin_some(c, &s, false);
		}
	}
}

/* Of one page, as far as it is there by now. Return: how many bytes are left. */
static size_t copy_present(unsigned long at, void *buf, size_t count, bool write)
{
	void __user *user = (void __user *)at;
	size_t left;

	pagefault_disable();
	left = write ? __copy_to_user_inatomic(user, buf, count) :
		       __copy_from_user_inatomic(buf, user, count);
	pagefault_enable();
	return left;
}

/* Without the means to wait for user space: a userfaultfd's page is an error. */
static int bring_page(struct mm_struct *mm, unsigned long at, bool write)
{
	int err;

	mmap_read_lock(mm);
	err = fixup_user_fault(mm, at, FAULT_FLAG_REMOTE | (write ? FAULT_FLAG_WRITE : 0), NULL);
	mmap_read_unlock(mm);
	return err;
}

/*
 * For a kernel thread, which borrows the address space. No signal would end its waiting for
 * a page that user space has to bring, and whoever needs the container meanwhile, a process
 * that is killed among them, would wait with it. What the kernel cannot bring by itself is
 * therefore not there, as for a pin.
 *
 * Return: how many bytes are left.
 */
static size_t copy_borrowed(struct mm_struct *mm, unsigned long at, void *buf, size_t count,
			    bool write)
{
	unsigned int tries = 0;
	size_t some, done;

	if (!access_ok((void __user *)at, count))
		return count;
	kthread_use_mm(mm);
	while (count) {
		/* so that it is known which page is not there */
		some = min(count, PAGE_SIZE - offset_in_page(at));
		done = some - copy_present(at, buf, some, write);
		at += done;
		buf += done;
		count -= done;
		if (done == some)
			tries = 0;
		else if (tries++ == BRING_MAX || bring_page(mm, at, write))
			break;
	}
	kthread_unuse_mm(mm);
	return count;
}

/*
 * Read or write memory of the user's, of one mapping. A kernel thread borrows the
 * address space; any other must be the one that mapped.
 *
 * Return: how many bytes, which are fewer than @count where the memory is not there;
 * or an error.
 */
static ssize_t rw_some(struct type1_container *c, struct type1_map *map, u64 offset, void *buf,
		       size_t count, bool write)
{
	unsigned long at = map->vaddr + offset;
	void __user *user = (void __user *)at;
	unsigned long first = offset >> PAGE_SHIFT;
	unsigned long npages = ((offset + count - 1) >> PAGE_SHIFT) - first + 1;
	bool borrow = (current->flags & PF_KTHREAD) && !current->mm;
	size_t left = count;
	ssize_t ret = -EPERM;
	int err;

	if (!(map->prot & IOMMU_READ) || (write && !(map->prot & IOMMU_WRITE)))
		return -EPERM;
	/* so that no written page can go without its mark */
	if (write && c->tracking) {
		err = type1_dirty_prepare(map, first, npages);
		if (err) {
			ret = err;
			goto trim;
		}
	}
	if (!mmget_not_zero(map->mm))
		goto trim;
	if (borrow)
		left = copy_borrowed(map->mm, at, buf, count, write);
	else if (current->mm == map->mm)
		left = write ? copy_to_user(user, buf, count) : copy_from_user(buf, user, count);
	mmput(map->mm);

	ret = count - left;
	if (write && c->tracking && ret)
		type1_dirty_mark(map, first, ((offset + ret - 1) >> PAGE_SHIFT) - first + 1);
trim:
	/* nothing is kept for what was not written */
	if (write && c->tracking && left)
		type1_dirty_trim(map, first, npages);
	return ret;
}

static int rw_range(struct type1_container *c, u64 iova, void *buf, size_t count, bool write)
{
	struct type1_map *map;
	ssize_t done = 0;
	size_t want;
	int err = 0;

	while (!err && count) {
		map = type1_map_at(c, iova);
		if (!map) {
			err = -EINVAL;
			break;
		}
		/* that may be all there is: then one more would be none */
		want = min_t(u64, count - 1, map->last - iova) + 1;
		done = rw_some(c, map, iova - map->iova, buf, want, write);
		if (done < 0) {
			err = done;
		} else if (done < want) {
			err = -EFAULT;
		} else {
			iova += done;
			buf += done;
			count -= done;
			if (count && !iova)
				err = -EINVAL;
		}
	}
	return err;
}

int type1_dma_rw(void *data, dma_addr_t iova, void *buf, size_t count, bool write)
{
	u64 began = trace_vfio_rw_enabled() ? ktime_get_ns() : 0;
	struct type1_container *c = data;
	int err;

	mutex_lock(&c->lock);
	err = c->nr_no_vaddr ? -EBUSY : rw_range(c, iova, buf, count, write);
	if (began)
		trace_vfio_rw(c, iova, count, write, ktime_get_ns() - began, err);
	mutex_unlock(&c->lock);
	return err;
}
