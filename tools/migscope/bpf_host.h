/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The one place that touches BPF objects and maps: opens the objects that were
 * compiled in, loads what this kernel can load, attaches it, and knows of each
 * probe what became of it.
 *
 * All programs are loaded together where that works. Where it does not, they are
 * loaded file by file, and what is left of a file that fails one by one, over the
 * same maps: one that the kernel refuses does not take its neighbours along.
 */
#ifndef MIGSCOPE_BPF_HOST_H
#define MIGSCOPE_BPF_HOST_H

#include <migscope/vm.h>
#include "migscope.h"
#include "probes.h"

struct bpf_host;
struct kernel_info;

/*
 * @sources: names, comma separated; NULL for all. Returns 0 and *@host, which
 * bpf_host_close() takes, or -errno; the reason was printed.
 */
int bpf_host_open(const struct ms_opts *opts, const char *sources, struct bpf_host **host);

/*
 * Passes maps, iterators and the state of the probes through a SOCK_SEQPACKET or
 * SOCK_DGRAM socket, and takes them at its other end: what is received can be sampled, but
 * loads and attaches nothing; it stands for as long as the sender keeps what it
 * attached. @opts and @sources are the sender's. 0 or -errno, -EPIPE at the end.
 */
int bpf_host_send(const struct bpf_host *host, int sock);
int bpf_host_receive(int sock, const struct ms_opts *opts, const char *sources,
		     struct bpf_host **host);

/* Detaches and unloads everything that is not pinned. */
void bpf_host_close(struct bpf_host *host);

/*
 * Attaches what is asked for and not attached yet: call it again to pick up a
 * module that was loaded meanwhile, or to let go of one (migscope release). Returns the number of probes attached in all.
 */
int bpf_host_attach(struct bpf_host *host);

/*
 * Looks through all open files for VMs that no event has shown. Where births and
 * deaths are hooked, that is done now and then; where they are not, each time.
 * 0 or -errno.
 */
int bpf_host_discover(struct bpf_host *host);

/*
 * The records of rings (struct ms_ring_now) that the last bpf_host_discover() met, once;
 * *@data is the caller's, to be freed. *@changes is bpf_host_ring_changes() before that walk.
 * Their length in bytes; -ENOENT: it looked at no file, or somebody has asked already.
 */
long bpf_host_found(struct bpf_host *host, void **data, __u64 *changes);

/* One of our own counters; 0 where there are none. */
__u64 bpf_host_self(const struct bpf_host *host, enum ms_self what);

/*
 * MS_SELF_RING_CHANGES if no ring is about to come or go, else what it never is. What is read
 * between this and a look that says the same is of one moment.
 */
__u64 bpf_host_ring_changes(const struct bpf_host *host);

/*
 * Brings MS_SELF_MISSED up to date: the kernel counts for each program. By whoever attached them
 * only, now and then.
 */
void bpf_host_count_missed(struct bpf_host *host);

/* CLOCK_MONOTONIC, ns: since when the end of a VM is hooked without a gap; 0: it is not. */
__u64 bpf_host_ends(const struct bpf_host *host);

/* True when a module that a probe waits for is there now, or one has to be let go. */
bool bpf_host_stale(const struct bpf_host *host);

/* True when a probe waits for its module. */
bool bpf_host_waits(const struct bpf_host *host);

/* True when anything is counted at all; iterators and ends of VMs alone count nothing. */
bool bpf_host_sees(const struct bpf_host *host);

/* True when nothing is counted, and nothing will be when another module comes. */
bool bpf_host_blind(const struct bpf_host *host);

/*
 * Detaches everything and forgets all that was counted; the programs stay loaded,
 * and bpf_host_attach() begins anew.
 */
void bpf_host_detach(struct bpf_host *host);

/* CLOCK_MONOTONIC in seconds: since when. */
double bpf_host_since(const struct bpf_host *host);

const struct probe *bpf_host_probes(const struct bpf_host *host, size_t *n);
/* Attached, itself or an event that does its work. */
bool bpf_host_has(const struct bpf_host *host, const char *probe);
bool bpf_host_has_itself(const struct bpf_host *host, const char *probe);
/* The TLB flush behind a ring's reset is hooked, not told by an event: it needs the walks' hooks. */
bool bpf_host_hooks_flush(const struct bpf_host *host);
const struct kernel_info *bpf_host_kernel(const struct bpf_host *host);
/* Of dirty pages one in 2^this is followed, if any are. */
unsigned int bpf_host_page_part(const struct bpf_host *host);
bool bpf_host_asked(const struct bpf_host *host, const char *source);

/* Descriptor of a map, owned by the host; -ENOENT if no object with it was loaded. */
int bpf_host_map(const struct bpf_host *host, const char *name);

/*
 * Everything that the iterator @probe writes; *@data is malloc'ed. Returns its
 * length or -errno; -ENOENT: the iterator is not attached.
 */
long bpf_host_read(const struct bpf_host *host, const char *probe, void **data);

/*
 * Calls @fn for each element of a hash map, and may do so twice when others delete
 * elements; stops at its first non-zero return. @fn may delete what it is called for.
 */
int bpf_host_walk(const struct bpf_host *host, const char *map, size_t value_size,
		  int (*fn)(unsigned long long key, const void *value, void *arg), void *arg);

/*
 * Pins programs, links and maps below @dir, which it makes and which must not be
 * there. -errno, with the reason printed; what was made until then stays.
 */
int bpf_host_pin(struct bpf_host *host, const char *dir);

/*
 * To be called before bpf_host_attach(): from now on all that is attached is also pinned
 * below @dir, where it stays when we end. What a host of the same build left there is taken over,
 * with what it counted; what another left is taken away. Only one may have @dir at a
 * time. 0, or -errno with the reason printed.
 */
int bpf_host_keep(struct bpf_host *host, const char *dir);

/* Removes what is pinned below @dir, and @dir. -errno; what is not ours stays, and is named. */
int bpf_host_unpin(const char *dir);

/* Is @dir, which need not be there, on a bpf file system? */
bool bpf_host_on_bpffs(const char *dir);

#endif
