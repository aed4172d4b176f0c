# SPDX-License-Identifier: GPL-2.0
#
# make check TESTS="tests/unit/klog.t ..." runs only those; RUN="-k 6.12 -v" is for tests/run

MIGSCOPE_STARTED := $(shell date +%s)
TESTS ?=
RUN ?=

##make check-long	the tests of make check and those that take long
check: check-build
	@MIGSCOPE_STARTED=$(MIGSCOPE_STARTED) tests/run $(RUN) $(TESTS)

##make check-build	all that tests/run needs
.PHONY: check-long check-build
check-build: $(DEPS_STAMP) $(DEPS_CHECK_STAMP) all modules
check-long: override RUN := -l $(RUN)
check-long: check

-include $(wildcard tests/clients/*/*.mk tests/bench/*/*.mk tests/fuzz/*.mk)

.PHONY: lint-shell lint-c
##make lint		checkpatch, sparse, whose code it is, shellcheck
lint: lint-shell lint-c
lint-shell: $(DEPS_STAMP)
	@tests/lib/lint_shell
lint-c: $(DEPS_STAMP)
	@tests/lib/lint_c

# A migscope that counts wrong, for the test of what must notice: one line of a BPF
# program is another, as here; what it is must still stand there.
MISCOUNT_fill  := dirty_ring.bpf.c s/ms_fill_bucket(used, /ms_fill_bucket(dirty - reset, /
MISCOUNT_tail  := dirty_ring.iter.bpf.c s/now.dirty_index = .*;/now.dirty_index = r->last_dirty;/
MISCOUNT_stall := dirty_ring.bpf.c s/dirty - reset >= r->soft_limit/dirty >= reset/
MISCOUNT_run   := dirty_ring.exact.fentry.bpf.c s/if (!any || !\*any)/if (any)/
MISCOUNT_push  := dirty_ring_push.h s/p->run = used - 1/p->run = used/
comma := ,
# several lines of several files: each is a number of its own
MISCOUNT_iotlb := vhost_iotlb.h,vhost_iotlb.fentry.bpf.c,vhost_iotlb.exact.bpf.c \
	s/w->iova > last/0/; \
	s/> 1 \&\& v->wait\[i\].iova == iova/> 1 \&\& 0/; \
	s/msg->before + maps > after/msg->before > after/; \
	s/msg->err < 0 ? msg->err : ret/-12/; \
	s/call.op == MS_CALL_IOTLB_ACCESS/1/
MISCOUNT_vfio  := vfio.fentry.bpf.c \
	s/flags \& VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP) ||/flags \& 0) ||/; \
	s/(pages + 63) \/ 64 \* 8/pages \/ 64 * 8/
MISCOUNT_vdpa  := vdpa.h,vhost_vdpa.fentry.bpf.c,vringh.events.bpf.c \
	s/MS_VDPA_invalidate\], err/MS_VDPA_update], err/; \
	s/\&v->kicks, 1/\&v->kicks, 2/; \
	s/\[space\].denied, 1/[space].misses, 1/; \
	s/whose->space : 0/0 : 0/
# no miscount: one that follows few pages, whose bound is reached by a small guest
MISCOUNT_few   := dirty_ring.pages.bpf.c s/kept >= MS_VM_PAGES/kept >= 1000/
# nor is this: one whose maps are full after a few VMs
MISCOUNT_small := threads.h,vm.fentry.bpf.c,dirty_ring.pages.bpf.c,vfio_sim.events.bpf.c \
	s/max_entries, MS_MAX_THREADS/max_entries, 32/; \
	s/> MS_MAX_THREADS/> 32/; \
	s/MS_MAX_DEAD/4/; \
	s/max_entries, MS_MAX_PAGES/max_entries, 2000/; \
	s/max_entries, MS_MAX_VFIO_MIGS/max_entries, 4/; \
	s/define MS_SWEEP.*/define MS_SWEEP 1/
MISCOUNTS      := $(patsubst %,$(BUILD)/tests/miscount/%/migscope,few small fill tail stall run push iotlb vfio vdpa)

check-build: $(MISCOUNTS)

$(MISCOUNTS): $(BUILD)/tests/miscount/%/migscope: $(BUILD)/migscope $(wildcard bpf/*.[ch]) tests/tests.mk
	@rm -rf $(@D)
	@mkdir -p $(@D)
	@cp bpf/*.[ch] $(@D)
	@for f in $(subst $(comma), ,$(firstword $(MISCOUNT_$*))); do \
		sed -i '$(wordlist 2,99,$(MISCOUNT_$*))' $(@D)/$$f; \
		! cmp -s $(@D)/$$f bpf/$$f || \
			{ echo "tests.mk: MISCOUNT_$* changes nothing of $$f any more" >&2; exit 1; }; \
	done
	@printf '#include "%s"\n' $(notdir $(wildcard bpf/*.bpf.c)) >$(@D)/all.c
	$(CLANG) $(BPF_CFLAGS) -c $(@D)/all.c -o $(@D)/migscope.bpf.o
	@llvm-strip -g $(@D)/migscope.bpf.o
	$(CC) -c -DOBJECT='"$(@D)/migscope.bpf.o"' tools/migscope/programs.S -o $(@D)/programs.o
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter-out %/programs.o,$(MIGSCOPE_OBJS)) $(@D)/programs.o $(MIGSCOPE_LIBS)

check-build: $(BUILD)/tests/vm_names

$(BUILD)/tests/vm_names: tests/unit/vm_names.c $(addprefix tools/migscope/,vm_names.c clock.c signals.c vm_names.h clock.h)
	@mkdir -p $(@D)
	$(CC) $(MS_CFLAGS) -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -o $@ $(filter %.c,$^)

# Debian 12's bpftool cannot autoattach.
check-build: $(BUILD)/bpftool/bpftool
$(BUILD)/bpftool/bpftool: tests/lib/bpftool | $(DEPS_STAMP)
	@tests/lib/bpftool $(@D) >/dev/null

# What production needs beyond the tool itself: not for make, nor for the demo.
check-build: $(BUILD)/tests/render_openmetrics

$(BUILD)/tests/render_openmetrics: tests/unit/render_openmetrics.c $(addprefix tools/migscope/,render_openmetrics.c lost.c metrics.c metrics_devices.c migrations.c sessions.c working_set.c accept.c probes.c lost.h metrics.h migrations.h sessions.h render.h model.h) $(wildcard include/migscope/*.h)
	@mkdir -p $(@D)
	$(CC) $(MS_CFLAGS) -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -o $@ $(filter %.c,$^) -lm

check-build: $(BUILD)/tests/recording

$(BUILD)/tests/recording: tests/unit/recording.c $(addprefix tools/migscope/,recording.c lost.c vm_names.c clock.c signals.c migrations.c sessions.c metrics.c metrics_devices.c working_set.c probes.c recording.h lost.h vm_names.h clock.h migrations.h sessions.h metrics.h model.h) $(wildcard include/migscope/*.h)
	@mkdir -p $(@D)
	$(CC) $(MS_CFLAGS) -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -o $@ $(filter %.c,$^) -lsqlite3 -ljson-c -lm

check-build: $(BUILD)/tests/sources

$(BUILD)/tests/sources: tests/unit/sources.c $(addprefix tools/migscope/,model.c threads.c vm_names.c clock.c signals.c working_set.c source_dirty_ring.c source_dirty_log.c source_vhost_iotlb.c source_vfio.c source_vdpa.c bpf_host.h clock.h model.h threads.h vm_names.h) $(wildcard include/migscope/*.h)
	@mkdir -p $(@D)
	$(CC) $(MS_CFLAGS) -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -o $@ $(filter %.c,$^) -lm

check-build: $(BUILD)/tests/forecast

$(BUILD)/tests/forecast: tests/unit/forecast.c tests/unit/tap.h $(addprefix tools/migscope/,forecast.c working_set.c forecast.h working_set.h) include/migscope/dirty_pages.h
	@mkdir -p $(@D)
	$(CC) $(MS_CFLAGS) -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -o $@ $(filter %.c,$^) -lm

check-build: $(BUILD)/tests/outlook

$(BUILD)/tests/outlook: tests/unit/outlook.c tests/unit/tap.h $(addprefix tools/migscope/,forecast.c outlook.c sessions.c working_set.c forecast.h outlook.h sessions.h working_set.h model.h)
	@mkdir -p $(@D)
	$(CC) $(MS_CFLAGS) -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -o $@ $(filter %.c,$^) -lm

check-build: $(BUILD)/tests/sessions

$(BUILD)/tests/sessions: tests/unit/sessions.c $(addprefix tools/migscope/,migrations.c sessions.c migrations.h sessions.h model.h)
	@mkdir -p $(@D)
	$(CC) $(MS_CFLAGS) -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -o $@ $(filter %.c,$^)
