# SPDX-License-Identifier: GPL-2.0

SERVE_LOAD := $(BUILD)/bench/serve_load
SERVE_LOAD_OBJS := $(filter-out %/main.o $(patsubst tools/%.c,$(BUILD)/tools/%.o,$(wildcard tools/migscope/cmd_*.c)),$(MIGSCOPE_OBJS))

##make bench_serve_load	what a scrape of 200 VMs with 16 vCPUs takes here, CPU time and memory
.PHONY: bench_serve_load
bench: bench_serve_load
# it is made of the tool's parts, and has to follow them
check-build: $(SERVE_LOAD)
bench_serve_load: $(SERVE_LOAD)
	@$(SERVE_LOAD) 200 16 50; plain=$$?; \
		$(SERVE_LOAD) 200 16 50 devices && $(SERVE_LOAD) 200 16 50 stalled && exit $$plain

$(SERVE_LOAD): tests/bench/serve_load/serve_load.c $(BUILD)/migscope
	@mkdir -p $(@D)
	$(CC) $(MS_CFLAGS) -Itools/migscope $(CFLAGS) -o $@ $< $(SERVE_LOAD_OBJS) $(MIGSCOPE_LIBS)
