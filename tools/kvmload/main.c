// SPDX-License-Identifier: GPL-2.0
/* Run the VMs, print the truth. */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <version.h>

#include "kvmload.h"

struct job {
	pthread_t thread;
	const struct kl_opts *o;
	u32 index;
	u32 wrong;
	struct json_object *truth;
};

static void *run_job(void *arg)
{
	struct job *job = arg;

	job->truth = kl_vm_run(job->o, job->index, &job->wrong);
	return NULL;
}

static const char *const mode_names[] = {
	[KL_RING] = "ring", [KL_BITMAP] = "bitmap", [KL_BITMAP_MANUAL] = "bitmap-manual",
};
static const char *const pattern_names[] = {
	[KL_SEQ] = "seq", [KL_STRIDE] = "stride", [KL_RANDOM] = "random",
};

static struct json_object *describe(const struct kl_opts *o)
{
	struct json_object *top = json_object_new_object();

	json_object_object_add(top, "kvmload", json_object_new_string(MIGSCOPE_VERSION));
	json_object_object_add(top, "schema", json_object_new_int(1));
	json_object_object_add(top, "pid", json_object_new_int(getpid()));
	json_object_object_add(top, "name", o->name ? json_object_new_string(o->name) : NULL);
	json_object_object_add(top, "mode", json_object_new_string(mode_names[o->mode]));
	json_object_object_add(top, "pattern", json_object_new_string(pattern_names[o->pattern]));
	json_object_object_add(top, "passes", json_object_new_uint64(o->passes));
	json_object_object_add(top, "batch", json_object_new_uint64(o->batch));
	json_object_object_add(top, "rate", json_object_new_uint64(o->rate));
	return top;
}

int main(int argc, char **argv)
{
	struct kl_opts o;
	struct json_object *top, *vms;
	struct job *jobs;
	u32 wrong = 0;

	kl_parse(&o, argc, argv);
	if (o.name)
		prctl(PR_SET_NAME, o.name);
	kl_barrier_init(&o);
	close(kl_kvm_open(o.device));
	if (o.wait_start)
		kl_barrier_wait("start", 0);

	jobs = kl_alloc(o.vms, sizeof(*jobs));
	for (u32 i = 0; i < o.vms; i++) {
		jobs[i].o = &o;
		jobs[i].index = i;
		if (!o.parallel)
			run_job(&jobs[i]);
		else if (pthread_create(&jobs[i].thread, NULL, run_job, &jobs[i]))
			kl_die(KL_EXIT_FAIL, "cannot start the thread of VM %u", i);
	}

	top = describe(&o);
	vms = json_object_new_array();
	for (u32 i = 0; i < o.vms; i++) {
		if (o.parallel)
			pthread_join(jobs[i].thread, NULL);
		wrong += jobs[i].wrong;
		json_object_array_add(vms, jobs[i].truth);
	}
	json_object_object_add(top, "vms", vms);
	puts(json_object_to_json_string_ext(top, JSON_C_TO_STRING_PLAIN));
	json_object_put(top);
	free(jobs);
	if (fflush(stdout))
		kl_die(KL_EXIT_FAIL, "standard output: write error");
	if (wrong)
		kl_die(KL_EXIT_FAIL, "%u discrepancies", wrong);
	return KL_EXIT_OK;
}
