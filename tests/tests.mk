# SPDX-License-Identifier: GPL-2.0
#
# make check TESTS="tests/unit/klog.t ..." runs only those; RUN="-k 6.12 -v" is for tests/run

MIGSCOPE_STARTED := $(shell date +%s)
TESTS ?=
RUN ?=

##make check-long	the tests of make check and those that take long
check: $(DEPS_STAMP) all modules
	@MIGSCOPE_STARTED=$(MIGSCOPE_STARTED) tests/run $(RUN) $(TESTS)

.PHONY: check-long
check-long:
	@$(MAKE) check RUN="-l $(RUN)"

-include $(wildcard tests/clients/*/*.mk tests/bench/*/*.mk)

# A migscope that counts wrong, for the test of what must notice: one line of a BPF
# program is another, as here; what it is must still stand there.
MISCOUNT_fill  := dirty_ring.bpf.c s/ms_fill_bucket(used, /ms_fill_bucket(dirty - reset, /
MISCOUNT_tail  := dirty_ring.iter.bpf.c s/now.dirty_index = .*;/now.dirty_index = r->last_dirty;/
MISCOUNT_stall := dirty_ring.bpf.c s/dirty - reset < r->soft_limit/dirty < reset/
MISCOUNTS      := $(patsubst %,$(BUILD)/tests/miscount/%/migscope,fill tail stall)

check: $(MISCOUNTS)

$(MISCOUNTS): $(BUILD)/tests/miscount/%/migscope: $(BUILD)/migscope $(wildcard bpf/*.[ch]) tests/tests.mk
	@rm -rf $(@D)
	@mkdir -p $(@D)
	@cp bpf/*.[ch] $(@D)
	@sed -i '$(wordlist 2,99,$(MISCOUNT_$*))' $(@D)/$(firstword $(MISCOUNT_$*))
	@! cmp -s $(@D)/$(firstword $(MISCOUNT_$*)) bpf/$(firstword $(MISCOUNT_$*)) || \
		{ echo "tests.mk: MISCOUNT_$* changes nothing any more" >&2; exit 1; }
	@printf '#include "%s"\n' $(notdir $(wildcard bpf/*.bpf.c)) >$(@D)/all.c
	$(CLANG) $(BPF_CFLAGS) -c $(@D)/all.c -o $(@D)/migscope.bpf.o
	@llvm-strip -g $(@D)/migscope.bpf.o
	$(CC) -c -DOBJECT='"$(@D)/migscope.bpf.o"' tools/migscope/programs.S -o $(@D)/programs.o
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter-out %/programs.o,$(MIGSCOPE_OBJS)) $(@D)/programs.o $(MIGSCOPE_LIBS)

check: $(BUILD)/tests/vm_names

$(BUILD)/tests/vm_names: tests/unit/vm_names.c tools/migscope/vm_names.c tools/migscope/vm_names.h
	@mkdir -p $(@D)
	$(CC) $(MS_CFLAGS) -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -o $@ $(filter %.c,$^)

# Debian 12's bpftool cannot autoattach.
check: $(BUILD)/bpftool/bpftool
$(BUILD)/bpftool/bpftool: tests/lib/bpftool | $(DEPS_STAMP)
	@tests/lib/bpftool $(@D) >/dev/null
