// SPDX-License-Identifier: GPL-2.0
/* The command line. */
#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <version.h>

#include "kvmload.h"

const char *argp_program_version = "kvmload " MIGSCOPE_VERSION;

enum {
	OPT_STRIDE = 0x100, OPT_SEED, OPT_MEMORY, OPT_BATCH, OPT_INTERVAL, OPT_CONCURRENT,
	OPT_LEAVE_TAIL, OPT_HOLD, OPT_HOLD_VM, OPT_VMS, OPT_PARALLEL, OPT_TOGGLE, OPT_FORCE_FULL,
	OPT_FULL_DELAY, OPT_FULL_RETRIES, OPT_KILL_STALLED, OPT_ALWAYS_RESET,
	OPT_HARVEST_MAX, OPT_CLEAR_CHUNK, OPT_DEVICE, OPT_WAIT_START, OPT_NAME,
};

static const struct argp_option options[] = {
	{ NULL, 0, NULL, 0, "The guest:", 1 },
	{ "vcpus", 'c', "N", 0, "vCPUs, each a thread (1)", 1 },
	{ "pages", 'n', "N[,N...]", 0, "pages that each vCPU writes in one pass; one number for all"
	  " vCPUs or one for each (primes from 2003 on, another one for each vCPU)", 1 },
	{ "passes", 'P', "N", 0, "write the same pages N times over (1)", 1 },
	{ "pattern", 'p', "seq|stride|random", 0, "order of the pages (seq)", 1 },
	{ "stride", OPT_STRIDE, "N", 0, "pages from one to the next in the stride pattern (7)", 1 },
	{ "seed", OPT_SEED, "N", 0, "of the random pattern (1)", 1 },
	{ "rate", 'r', "N", 0, "pages per second and vCPU (as fast as it goes)", 1 },
	{ "batch", OPT_BATCH, "N", 0, "writes between exits, 1 to 64 (64)", 1 },
	{ "memory", OPT_MEMORY, "BYTES", 0, "size of the logged slot, with suffix K, M or G"
	  " (what the plan needs)", 1 },
	{ "name", OPT_NAME, "NAME", 0, "of the VM, in the JSON and as the process' comm", 1 },

	{ NULL, 0, NULL, 0, "Dirty tracking:", 2 },
	{ "mode", 'm', "ring|bitmap|bitmap-manual", 0, "bitmap-manual uses"
	  " KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 (ring)", 2 },
	{ "ring-size", 's', "N", 0, "entries (1024)", 2 },
	{ "reset-every", 'e', "N", 0, "harvest when a vCPU has written N pages since the last time"
	  " (three quarters of the soft limit, or 1021 with a bitmap)", 2 },
	{ "harvest-interval", 'i', "MS", 0, "harvest every MS milliseconds", 2 },
	{ "harvest-max", OPT_HARVEST_MAX, "N", 0, "take at most N entries of each ring at a time", 2 },
	{ "always-reset", OPT_ALWAYS_RESET, NULL, 0, "reset or clear even when there is nothing", 2 },
	{ "clear-chunk", OPT_CLEAR_CHUNK, "N", 0, "pages of one CLEAR, a multiple of 64 (all)", 2 },
	{ "concurrent", OPT_CONCURRENT, NULL, 0, "harvest while the vCPUs run, as QEMU does;"
	  " without it they are stopped and every number is exact", 2 },
	{ "toggle-logging", OPT_TOGGLE, "N", OPTION_ARG_OPTIONAL, "at the middle of the plan, switch"
	  " dirty logging off and on again N times (1)", 2 },
	{ "leave-tail", OPT_LEAVE_TAIL, NULL, 0, "do not harvest what is left at the end", 2 },

	{ NULL, 0, NULL, 0, "Full rings:", 3 },
	{ "force-full", OPT_FORCE_FULL, NULL, 0, "harvest only when a ring is full, and at the end", 3 },
	{ "full-retries", OPT_FULL_RETRIES, "N", 0, "a stalled vCPU tries N times more before"
	  " it waits for the harvest; each try is a full exit", 3 },
	{ "full-delay", OPT_FULL_DELAY, "MS", 0, "a stalled vCPU keeps trying, every millisecond,"
	  " for MS milliseconds", 3 },
	{ "kill-stalled", OPT_KILL_STALLED, NULL, 0, "end the VM at the first stall (after the"
	  " barrier, if there is one); implies --force-full", 3 },

	{ NULL, 0, NULL, 0, "Observers: each barrier prints {\"barrier\":true,...} and waits for a"
	  " line on standard input or for SIGUSR1", 4 },
	{ "wait-start", OPT_WAIT_START, NULL, 0, "a barrier before the first VM is created", 4 },
	{ "barrier", 'b', NULL, 0, "a barrier at the middle of the plan, all vCPUs stopped", 4 },
	{ "hold", OPT_HOLD, NULL, 0, "a barrier at the end, before the VM is destroyed", 4 },
	{ "hold-vm", OPT_HOLD_VM, NULL, 0, "a barrier when of the VM nothing is open any more but"
	  " its own file", 4 },

	{ NULL, 0, NULL, 0, "The run; SIGUSR2 ends the plan where it is, behind its middle"
	  " if there is a barrier:", 5 },
	{ "vms", OPT_VMS, "N", 0, "run N VMs, one after another (1)", 5 },
	{ "parallel", OPT_PARALLEL, NULL, 0, "run them at the same time", 5 },
	{ "device", OPT_DEVICE, "PATH", 0, "of KVM (/dev/kvm)", 5 },
	{ 0 },
};

static const char doc[] =
	"Run VMs whose dirty pages are known beforehand, harvest them as a VMM does, and print"
	" what happened as one line of JSON."
	"\vEvery vCPU has pages of its own. The guest's code, tables and lists lie in a slot that"
	" is not logged, so that the pages of the plan are the only ones that get dirty."
	"\n\nExit status: 0 done; 1 failed, or the counts contradict each other or the plan;"
	" 2 usage; 77 no usable KVM here.";

static const char *const modes[] = { "ring", "bitmap", "bitmap-manual", NULL };
static const char *const patterns[] = { "seq", "stride", "random", NULL };

static u64 number(struct argp_state *state, const char *what, const char *text, u64 min, u64 max)
{
	unsigned long long n;
	char *end;

	errno = 0;
	n = strtoull(text, &end, 0);
	if (errno || end == text || *end || *text == '-' || n < min || n > max)
		argp_error(state, "%s: '%s' is not a number from %llu to %llu", what, text,
			   (unsigned long long)min, (unsigned long long)max);
	return n;
}

static u64 bytes(struct argp_state *state, const char *text)
{
	unsigned long long n;
	char *end;
	int shift = 0;

	errno = 0;
	n = strtoull(text, &end, 0);
	switch (*end) {
	case 'G': shift += 10; /* fallthrough */
	case 'M': shift += 10; /* fallthrough */
	case 'K': shift += 10; end++; break;
	}
	if (errno || end == text || *end || *text == '-' || n << shift >> shift != n ||
	    n << shift < KL_PAGE_SIZE || n << shift > 1ULL << 40)
		argp_error(state, "--memory: '%s' is not a size", text);
	return n << shift & ~(KL_PAGE_SIZE - 1);
}

static int word(struct argp_state *state, const char *what, const char *text,
		const char *const *words)
{
	for (int i = 0; words[i]; i++)
		if (!strcmp(text, words[i]))
			return i;
	argp_error(state, "%s: '%s' is not known", what, text);
	return 0;
}

static void page_list(struct argp_state *state, struct kl_opts *o, char *text)
{
	char *save = NULL;

	o->n_pages = 0;
	for (char *t = strtok_r(text, ",", &save); t; t = strtok_r(NULL, ",", &save)) {
		if (o->n_pages == KL_MAX_VCPUS)
			argp_error(state, "--pages: more than %d numbers", KL_MAX_VCPUS);
		o->pages[o->n_pages++] = number(state, "--pages", t, 1, 1ULL << 26);
	}
	if (!o->n_pages)
		argp_error(state, "--pages: no number");
}

static void check(struct argp_state *state, const struct kl_opts *o)
{
	if (o->n_pages > 1 && o->n_pages != o->vcpus)
		argp_error(state, "--pages: %u numbers for %u vCPUs", o->n_pages, o->vcpus);
	if (o->mode == KL_RING && (o->ring_size & (o->ring_size - 1)))
		argp_error(state, "--ring-size: %u is not a power of two", o->ring_size);
	if (o->mode != KL_RING && (o->force_full || o->kill_stalled || o->full_retries ||
				   o->full_delay_ms || o->harvest_max))
		argp_error(state, "a bitmap is never full: --force-full, --full-retries,"
			   " --full-delay, --kill-stalled and --harvest-max need --mode=ring");
	if (o->mode != KL_BITMAP_MANUAL && o->clear_chunk)
		argp_error(state, "--clear-chunk needs --mode=bitmap-manual");
	if ((o->force_full || o->kill_stalled) && (o->reset_every_set || o->interval_ms))
		argp_error(state, "--force-full and --kill-stalled exclude --reset-every and"
			   " --harvest-interval");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct kl_opts *o = state->input;

	switch (key) {
	case 'c': o->vcpus = number(state, "--vcpus", arg, 1, KL_MAX_VCPUS); break;
	case 'n': page_list(state, o, arg); break;
	case 'P': o->passes = number(state, "--passes", arg, 1, 65535); break;
	case 'p': o->pattern = word(state, "--pattern", arg, patterns); break;
	case 'r': o->rate = number(state, "--rate", arg, 1, 1000000000); break;
	case 'm': o->mode = word(state, "--mode", arg, modes); break;
	case 's': o->ring_size = number(state, "--ring-size", arg, 1, 1U << 30); break;
	case 'e':
		o->reset_every = number(state, "--reset-every", arg, 1, 1ULL << 40);
		o->reset_every_set = true;
		break;
	case 'i': o->interval_ms = number(state, "--harvest-interval", arg, 1, 3600000); break;
	case 'b': o->barrier = true; break;
	case OPT_STRIDE: o->stride = number(state, "--stride", arg, 1, 1U << 20); break;
	case OPT_SEED: o->seed = number(state, "--seed", arg, 0, UINT64_MAX); break;
	case OPT_MEMORY: o->memory = bytes(state, arg); break;
	case OPT_BATCH: o->batch = number(state, "--batch", arg, 1, KL_MAX_BATCH); break;
	case OPT_NAME: o->name = arg; break;
	case OPT_HARVEST_MAX: o->harvest_max = number(state, "--harvest-max", arg, 1, 65536); break;
	case OPT_ALWAYS_RESET: o->always_reset = true; break;
	case OPT_CLEAR_CHUNK:
		o->clear_chunk = number(state, "--clear-chunk", arg, 64, 1U << 30);
		if (o->clear_chunk % 64)
			argp_error(state, "--clear-chunk: %s is not a multiple of 64", arg);
		break;
	case OPT_CONCURRENT: o->concurrent = true; break;
	case OPT_TOGGLE: o->toggles = arg ? number(state, "--toggle-logging", arg, 1, 1000) : 1; break;
	case OPT_LEAVE_TAIL: o->leave_tail = true; break;
	case OPT_FORCE_FULL: o->force_full = true; break;
	case OPT_FULL_RETRIES: o->full_retries = number(state, "--full-retries", arg, 0, 1000000); break;
	case OPT_FULL_DELAY: o->full_delay_ms = number(state, "--full-delay", arg, 1, 60000); break;
	case OPT_KILL_STALLED: o->kill_stalled = true; break;
	case OPT_WAIT_START: o->wait_start = true; break;
	case OPT_HOLD: o->hold = true; break;
	case OPT_HOLD_VM: o->hold_vm = true; break;
	case OPT_VMS: o->vms = number(state, "--vms", arg, 1, 100000); break;
	case OPT_PARALLEL: o->parallel = true; break;
	case OPT_DEVICE: o->device = arg; break;
	case ARGP_KEY_ARG: argp_error(state, "'%s': there are no arguments", arg); break;
	case ARGP_KEY_END: check(state, o); break;
	default: return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

void kl_parse(struct kl_opts *o, int argc, char **argv)
{
	static const struct argp argp = { .options = options, .parser = parse, .doc = doc };

	*o = (struct kl_opts) {
		.device = "/dev/kvm",
		.vcpus = 1,
		.ring_size = 1024,
		.stride = 7,
		.batch = KL_MAX_BATCH,
		.passes = 1,
		.vms = 1,
		.seed = 1,
	};
	argp_err_exit_status = KL_EXIT_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, o);
}
