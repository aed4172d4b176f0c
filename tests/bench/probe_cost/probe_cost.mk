# SPDX-License-Identifier: GPL-2.0
# What watching a push costs: see README.md beside this folder.

PROBE_COST	:= $(BUILD)/bench/probe_cost
PROBE_COST_LOAD	:= $(filter-out %/main.o %/options.o %/vcpu.o %/vm.o %/json.o %/barrier.o %/harvest_bitmap.o,$(KVMLOAD_OBJS))

.PHONY: bench_probe_cost
bench: bench_probe_cost
bench_probe_cost: $(PROBE_COST)/pushes $(PROBE_COST)/empty $(PROBE_COST)/empty.bpf.o $(BUILD)/migscope
	tests/bench/probe_cost/run

$(PROBE_COST)/pushes: $(addprefix tests/bench/probe_cost/,pushes.c guest.S guest.h) \
			$(PROBE_COST_LOAD) tools/kvmload/kvmload.h
	@mkdir -p $(@D)
	$(CC) $(MS_CFLAGS) $(CFLAGS) -pthread -o $@ $(filter %.c %.S %.o,$^)

$(PROBE_COST)/empty: tests/bench/probe_cost/empty.c | $(DEPS_STAMP)
	@mkdir -p $(@D)
	$(CC) $(MS_CFLAGS) $(CFLAGS) -o $@ $< -lbpf

$(PROBE_COST)/empty.bpf.o: tests/bench/probe_cost/empty.bpf.c bpf/bpf.mk | $(DEPS_STAMP)
	@mkdir -p $(@D)
	$(CLANG) $(BPF_CFLAGS) -c $< -o $@
	@llvm-strip -g $@

##make bench_probe_cost	what watching a push costs here, by tool, in ns
