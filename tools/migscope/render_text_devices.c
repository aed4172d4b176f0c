// SPDX-License-Identifier: GPL-2.0
#include "render_text.h"

#include <migscope/errno.h>
#include <string.h>

static const struct model_dev nothing;

static const struct model_dev *find_dev(const struct model *m, __u64 id)
{
	for (size_t i = 0; i < m->devs; i++)
		if (m->dev[i].id == id)
			return &m->dev[i];
	return NULL;
}

static __u64 sum(const __u64 *n, int count)
{
	__u64 all = 0;

	while (count--)
		all += n[count];
	return all;
}

/* One device now, and at the sample before. */
struct dev_row {
	const struct model *m;
	const struct model_dev *d, *old;
};

static void put(FILE *out, __u64 n, const char *what)
{
	fprintf(out, ", %llu %s", n, what);
}

/* What a line of a device says of its table: only what is measured, only what is not 0. */
static void put_iotlb(FILE *out, const struct dev_row *r)
{
	const struct ms_iotlb_dev *v = &r->d->iotlb, *o = &r->old->iotlb;
	const struct {
		enum model_measure measure;
		__u64 now, old;
		const char *what;
	} part[] = {
		{ MEASURE_IOTLB_HIT, v->hits, o->hits, "hits" },
		{ MEASURE_IOTLB_HIT, v->denied, o->denied, "denied" },
		{ MEASURE_IOTLB_UPDATE, v->updates, o->updates, "updates" },
		{ MEASURE_IOTLB_INVALIDATE, v->invalidates, o->invalidates, "invalidates" },
		{ MEASURE_IOTLB_ERROR, sum(v->errors, MS_ERRNO_COUNT), sum(o->errors, MS_ERRNO_COUNT),
		  "refused" },
		{ MEASURE_IOTLB_EVICT, v->evictions, o->evictions, "evicted" },
	};
	__u64 waits = text_since(sum(v->service.bucket, MS_TIME_BUCKETS),
				 sum(o->service.bucket, MS_TIME_BUCKETS));
	char buf[32];

	if (r->m->measured[MEASURE_IOTLB_MISS])
		fprintf(out, " %llu misses", text_since(v->misses, o->misses));
	if (r->m->measured[MEASURE_IOTLB_WAIT] && waits)
		fprintf(out, ", answered in %s",
			text_duration(buf, sizeof(buf),
				      text_since(v->service.sum_ns, o->service.sum_ns) / waits));
	if (r->m->measured[MEASURE_IOTLB_WAIT] && r->d->pending)
		fprintf(out, ", %u waiting for %s", r->d->pending,
			text_duration(buf, sizeof(buf), r->d->oldest * 1e9));
	for (size_t i = 0; i < sizeof(part) / sizeof(part[0]); i++)
		if (r->m->measured[part[i].measure] && part[i].now > part[i].old)
			put(out, part[i].now - part[i].old, part[i].what);
	if (r->m->measured[MEASURE_IOTLB_TABLE] && v->limit)
		fprintf(out, ", %u of %u maps", v->entries, v->limit);
}

static bool iotlb_idle(const struct model_dev *d, const struct model_dev *old)
{
	const struct ms_iotlb_dev *v = &d->iotlb, *o = &old->iotlb;

	return !d->pending && v->misses == o->misses && v->hits == o->hits &&
	       v->denied == o->denied && v->updates == o->updates &&
	       v->invalidates == o->invalidates && v->entries == o->entries &&
	       !memcmp(v->errors, o->errors, sizeof(v->errors));
}

static const char *const vfio_op[MS_VFIO_OPS] = {
	[MS_VFIO_PIN] = "pins",
	[MS_VFIO_UNPIN] = "unpins",
	[MS_VFIO_MAP] = "maps",
	[MS_VFIO_UNMAP] = "unmaps",
	[MS_VFIO_START] = "times tracking on",
	[MS_VFIO_STOP] = "times tracking off",
	[MS_VFIO_GET] = "dirty bitmaps",
	[MS_VFIO_UNMAP_GET] = "dirty bitmaps of unmaps",
	[MS_VFIO_READ] = "reads",
	[MS_VFIO_WRITE] = "writes",
};

static bool vfio_idle(const struct model_dev *d, const struct model_dev *old)
{
	for (int i = 0; i < MS_VFIO_OPS; i++)
		if (d->vfio.op[i].calls != old->vfio.op[i].calls ||
		    d->vfio.op[i].errors != old->vfio.op[i].errors)
			return false;
	return true;
}

static void put_vfio(FILE *out, const struct dev_row *r)
{
	const struct ms_vfio *v = &r->d->vfio, *o = &r->old->vfio;
	const char *comma = "";
	char buf[32];

	for (int i = 0; i < MS_VFIO_OPS; i++) {
		__u64 calls = text_since(v->op[i].calls, o->op[i].calls);
		__u64 ns = text_since(v->op[i].time.sum_ns, o->op[i].time.sum_ns);

		if (!r->m->measured[model_vfio_measure(i)] || !calls)
			continue;
		fprintf(out, "%s %llu %s", comma, calls, vfio_op[i]);
		if (model_vfio_timed(r->m, i))
			fprintf(out, " in %s", text_duration(buf, sizeof(buf), ns));
		comma = ",";
	}
	if (r->m->measured[MEASURE_VFIO_PINNED] && (v->knows & MS_VFIO_KNOWS_PINNED))
		fprintf(out, "%s %lld pages pinned", comma, v->pinned);
	if (r->m->measured[MEASURE_VFIO_STATE] && (v->knows & MS_VFIO_KNOWS_SCOPE) && v->tracking)
		fputs(v->opaque ? ", everything counts as dirty" : ", tracking", out);
}

static const char *const mig_state[MS_VFIO_STATES] = { MS_VFIO_STATE_NAMES };

static const char *mig_state_name(const struct ms_vfio_mig *v)
{
	return v->state < MS_VFIO_STATES ? mig_state[v->state] : "a state that has no name";
}

static bool mig_idle(const struct model_dev *d, const struct model_dev *old)
{
	return d->mig.steps == old->mig.steps && d->mig.errors == old->mig.errors &&
	       d->mig.state == old->mig.state;
}

static const char *const vdpa_op[MS_VDPA_OPS] = {
#define MS_VDPA_NAME(name)	[MS_VDPA_##name] = #name,
	MS_VDPA_OPS_BUS(MS_VDPA_NAME)
	MS_VDPA_OPS_VHOST(MS_VDPA_NAME)
};

static __u64 vdpa_calls(const struct ms_vdpa *v, int first, int end)
{
	__u64 n = 0;

	for (int i = first; i < end; i++)
		n += v->op[i].calls + v->op[i].errors;
	return n;
}

static bool vdpa_idle(const struct model_dev *d, const struct model_dev *old)
{
	return d->vdpa.kicks == old->vdpa.kicks && d->vdpa.callbacks == old->vdpa.callbacks &&
	       vdpa_calls(&d->vdpa, 0, MS_VDPA_OPS) == vdpa_calls(&old->vdpa, 0, MS_VDPA_OPS) &&
	       !memcmp(d->vdpa.space, old->vdpa.space, sizeof(d->vdpa.space));
}

static void put_vdpa(FILE *out, const struct dev_row *r)
{
	const struct ms_vdpa *v = &r->d->vdpa, *o = &r->old->vdpa;
	const struct {
		enum model_measure measure;
		__u64 n;
		const char *what;
	} part[] = {
		{ MEASURE_VDPA_KICK, text_since(v->kicks, o->kicks), "kicks" },
		{ MEASURE_VDPA_CALLBACK, text_since(v->callbacks, o->callbacks), "callbacks" },
		{ MEASURE_VDPA_OP, text_since(vdpa_calls(v, 0, MS_VDPA_BUS_OPS),
					      vdpa_calls(o, 0, MS_VDPA_BUS_OPS)), "operations" },
		{ MEASURE_VDPA_MESSAGE, text_since(vdpa_calls(v, MS_VDPA_BUS_OPS, MS_VDPA_OPS),
						   vdpa_calls(o, MS_VDPA_BUS_OPS, MS_VDPA_OPS)), "messages" },
		{ MEASURE_VDPA_PINNED, v->pinned_pages, "pages pinned" },
	};
	const char *comma = "";

	for (size_t i = 0; i < sizeof(part) / sizeof(part[0]); i++) {
		if (!r->m->measured[part[i].measure] ||
		    (part[i].measure == MEASURE_VDPA_PINNED && !v->knows_pinned))
			continue;
		fprintf(out, "%s %llu %s", comma, part[i].n, part[i].what);
		comma = ",";
	}
}

/* Of all address spaces together, and only what is not 0. */
static void put_spaces(FILE *out, const struct dev_row *r)
{
	static const struct {
		enum model_measure measure;
		size_t at;
		const char *what;
	} part[] = {
		{ MEASURE_VDPA_MISS, offsetof(struct ms_vdpa_space, misses), "misses" },
		{ MEASURE_VDPA_MISS, offsetof(struct ms_vdpa_space, denied), "denied" },
		{ MEASURE_VDPA_HIT, offsetof(struct ms_vdpa_space, hits), "hits" },
	};
	const char *comma = r->d->has_vdpa ? "," : "";

	for (size_t k = 0; k < sizeof(part) / sizeof(part[0]); k++) {
		__u64 n = 0;

		for (int i = 0; i < MS_VDPA_SPACES; i++)
			n += *(__u64 *)((char *)&r->d->vdpa.space[i] + part[k].at) -
			     *(__u64 *)((char *)&r->old->vdpa.space[i] + part[k].at);
		if (!r->m->measured[part[k].measure] || !n)
			continue;
		fprintf(out, "%s %llu %s", comma, n, part[k].what);
		comma = ",";
	}
}

void text_devices(FILE *out, const struct model *m, const struct model *before)
{
	for (size_t i = 0; i < m->devs; i++) {
		const struct model_dev *d = &m->dev[i], *old = find_dev(before, d->id);
		struct dev_row r = { m, d, old ? old : &nothing };

		if (old && old->alive == d->alive && iotlb_idle(d, old) && vfio_idle(d, old) &&
		    mig_idle(d, old) && vdpa_idle(d, old))
			continue;
		fprintf(out, "  %s %s:", d->vm, d->dev);
		if (d->has_iotlb)
			put_iotlb(out, &r);
		if (d->has_vfio)
			put_vfio(out, &r);
		if (d->has_mig)
			fprintf(out, " %s", mig_state_name(&d->mig));
		if (d->has_vdpa)
			put_vdpa(out, &r);
		if (d->has_spaces)
			put_spaces(out, &r);
		fputs(d->alive ? "\n" : " (ended)\n", out);
	}
}

static void report_errors(FILE *out, const __u64 *errors, const char *what)
{
	static const char *const name[MS_ERRNO_COUNT] = {
#define MS_ERRNO_NAME(name, number)	#name,
		MS_ERRNOS(MS_ERRNO_NAME)
		[MS_EOTHER] = "another error",
	};

	for (int i = 0; i < MS_ERRNO_COUNT; i++)
		if (errors[i])
			fprintf(out, "  %s, %s: %llu\n", what, name[i], errors[i]);
}

static void report_iotlb(FILE *out, const struct model *m, const struct model_dev *d)
{
	const struct ms_iotlb_dev *v = &d->iotlb;

	/* 0: nobody has looked at the table yet, or the module's parameter sets no limit */
	if (m->measured[MEASURE_IOTLB_TABLE] && v->limit)
		fprintf(out, "  translations: %u of at most %u\n", v->entries, v->limit);
	else if (m->measured[MEASURE_IOTLB_TABLE] && v->entries)
		fprintf(out, "  translations: %u\n", v->entries);
	if (m->measured[MEASURE_IOTLB_MISS])
		fprintf(out, "  misses: %llu\n", v->misses);
	if (m->measured[MEASURE_IOTLB_WAIT]) {
		fprintf(out, "    of an address that was waited for already: %llu; waits unfinished: "
			"%llu, going on: %u\n", v->misses_again, v->waits_cut, d->pending);
		if (v->waits_full)
			fprintf(out, "    without a measured wait, too many at once: %llu\n", v->waits_full);
		text_time_hist(out, "from a miss to its answer", &v->service);
	}
	if (m->measured[MEASURE_IOTLB_HIT])
		fprintf(out, "  hits: %llu; denied: %llu\n", v->hits, v->denied);
	if (m->measured[MEASURE_IOTLB_UPDATE])
		fprintf(out, "  updates: %llu\n", v->updates);
	if (m->measured[MEASURE_IOTLB_INVALIDATE])
		fprintf(out, "  invalidates: %llu\n", v->invalidates);
	if (m->measured[MEASURE_IOTLB_ERROR])
		report_errors(out, v->errors, "messages refused");
	if (m->measured[MEASURE_IOTLB_EVICT])
		fprintf(out, "  maps evicted: %llu\n", v->evictions);
}

static void report_vfio(FILE *out, const struct model *m, const struct model_dev *d)
{
	const struct ms_vfio *v = &d->vfio;
	char buf[32];

	if (m->measured[MEASURE_VFIO_STATE] && (v->knows & MS_VFIO_KNOWS_MAPS))
		fprintf(out, "  mappings: %u, %u more can be made\n", v->maps, v->avail);
	else if (m->measured[MEASURE_VFIO_STATE] && (v->knows & MS_VFIO_KNOWS_AVAIL))
		fprintf(out, "  mappings that can still be made: %u\n", v->avail);
	if (m->measured[MEASURE_VFIO_PINNED] && (v->knows & MS_VFIO_KNOWS_PINNED))
		fprintf(out, "  pages that devices hold: %lld\n", v->pinned);
	if (m->measured[MEASURE_VFIO_STATE] && (v->knows & MS_VFIO_KNOWS_SCOPE))
		fprintf(out, "  dirty tracking is %s; %s\n", v->tracking ? "on" : "off",
			v->opaque ? "a device may write anywhere: all that is mapped counts as dirty" :
				    "devices write what they pin");
	for (int i = 0; i < MS_VFIO_OPS; i++) {
		const struct ms_vfio_stat *s = &v->op[i];

		if (!m->measured[model_vfio_measure(i)] || !(s->calls || s->errors))
			continue;
		if (model_vfio_timed(m, i))
			text_time_hist(out, vfio_op[i], &s->time);
		else
			fprintf(out, "  %s: %llu\n", vfio_op[i], s->calls);
		fprintf(out, "    %llu pages", s->pages);
		if (i >= MS_VFIO_GET)
			fprintf(out, ", %llu bytes", s->bytes);
		if ((i == MS_VFIO_GET || i == MS_VFIO_UNMAP_GET) && m->measured[MEASURE_VFIO_DIRTY]) {
			fprintf(out, ", %llu of them dirty", s->dirty);
			if (s->dirty)
				fprintf(out, ", %s for each", text_duration(buf, sizeof(buf),
									    s->time.sum_ns / s->dirty));
		}
		if (s->errors)
			fprintf(out, ", %llu calls failed", s->errors);
		fputc('\n', out);
	}
}

static void report_mig(FILE *out, const struct model_dev *d)
{
	static const int order[MS_VFIO_STATES] = { MS_VFIO_STATE_ORDER };
	const struct ms_vfio_mig *v = &d->mig;
	char buf[32];

	fprintf(out, "  migration state: %s\n", mig_state_name(v));
	for (int i = 0; i < MS_VFIO_STATES; i++)
		if (v->in_ns[order[i]])
			fprintf(out, "    in %s: %s\n", mig_state[order[i]],
				text_duration(buf, sizeof(buf), v->in_ns[order[i]]));
	if (v->steps)
		text_time_hist(out, "steps from state to state", &v->time);
	if (v->errors)
		fprintf(out, "    %llu steps failed\n", v->errors);
}

static void report_vdpa(FILE *out, const struct model *m, const struct model_dev *d)
{
	const struct ms_vdpa *v = &d->vdpa;

	if (m->measured[MEASURE_VDPA_KICK])
		fprintf(out, "  kicks: %llu\n", v->kicks);
	if (m->measured[MEASURE_VDPA_CALLBACK])
		fprintf(out, "  callbacks: %llu\n", v->callbacks);
	if (m->measured[MEASURE_VDPA_PINNED] && v->knows_pinned) {
		fprintf(out, "  pages pinned: %llu", v->pinned_pages);
		if (v->pinned_limit)
			fprintf(out, " of at most %llu", v->pinned_limit);
		fputc('\n', out);
	}
	if (m->measured[MEASURE_VDPA_MAP])
		fprintf(out, "  pages mapped: %llu, in %llu runs\n", v->mapped_pages, v->runs);
	for (int i = 0; i < MS_VDPA_OPS; i++) {
		if (!v->op[i].calls && !v->op[i].errors)
			continue;
		text_time_hist(out, vdpa_op[i], &v->op[i].time);
		if (v->op[i].errors)
			fprintf(out, "    %llu calls failed\n", v->op[i].errors);
	}
	if (m->measured[MEASURE_VDPA_MESSAGE])
		report_errors(out, v->errors, "messages refused");
}

static void report_spaces(FILE *out, const struct model *m, const struct model_dev *d)
{
	for (int i = 0; i < MS_VDPA_SPACES; i++) {
		const struct ms_vdpa_space *s = &d->vdpa.space[i];
		const char *sep = "";

		if (!s->table)
			continue;
		if (d->has_vdpa)
			fprintf(out, "  address space %d: ", i);
		else
			fputs("  tables of no device that is known: ", out);
		if (d->has_vdpa && m->measured[MEASURE_VDPA_SPACE]) {
			fprintf(out, "%u translations", s->entries);
			if (model_space_limited(s))
				fprintf(out, " of at most %u", s->limit);
			sep = "; ";
		}
		if (s->own && m->measured[MEASURE_VDPA_MISS]) {
			fprintf(out, "%smisses: %llu; denied: %llu", sep, s->misses, s->denied);
			sep = "; ";
		}
		if (s->own && m->measured[MEASURE_VDPA_HIT])
			fprintf(out, "%shits: %llu", sep, s->hits);
		fputc('\n', out);
	}
}

void text_devices_report(FILE *out, const struct model *m)
{
	for (size_t i = 0; i < m->devs; i++) {
		const struct model_dev *d = &m->dev[i];

		fprintf(out, "\n%s of %s (pid %u%s)\n", d->dev, d->vm, d->pid, d->alive ? "" : ", ended");
		if (d->has_iotlb)
			report_iotlb(out, m, d);
		if (d->has_vfio)
			report_vfio(out, m, d);
		if (d->has_mig)
			report_mig(out, d);
		if (d->has_vdpa)
			report_vdpa(out, m, d);
		if (d->has_spaces)
			report_spaces(out, m, d);
	}
}
