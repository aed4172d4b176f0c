# SPDX-License-Identifier: GPL-2.0
# kvmload: the known workload. It needs json-c and the kernel's user headers.

KVMLOAD_OBJS := $(patsubst tools/%.c,$(BUILD)/tools/%.o,$(sort $(wildcard tools/kvmload/*.c)))

all: $(BUILD)/kvmload

$(BUILD)/kvmload: $(KVMLOAD_OBJS)
	$(CC) $(CFLAGS) $(LDFLAGS) -pthread -o $@ $^ -ljson-c

-include $(KVMLOAD_OBJS:.o=.d)

# What its tests need.
check-build: $(BUILD)/tests/kvmload_liar.so $(BUILD)/tests/fill_bucket

$(BUILD)/tests/kvmload_liar.so: tests/unit/kvmload_liar.c | $(DEPS_STAMP)
	@mkdir -p $(@D)
	$(CC) $(MS_CFLAGS) $(CFLAGS) -fPIC -shared -o $@ $<

$(BUILD)/tests/fill_bucket: tests/unit/fill_bucket.c $(BUILD)/tools/kvmload/truth.o $(BUILD)/tools/kvmload/util.o
	@mkdir -p $(@D)
	$(CC) $(MS_CFLAGS) $(CFLAGS) -o $@ $^
