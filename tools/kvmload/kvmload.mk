# SPDX-License-Identifier: GPL-2.0
# kvmload: the known workload. It needs json-c and the kernel's user headers.

KVMLOAD_OBJS := $(patsubst tools/%.c,$(BUILD)/tools/%.o,$(sort $(wildcard tools/kvmload/*.c)))

all: $(BUILD)/kvmload

$(BUILD)/kvmload: $(KVMLOAD_OBJS)
	$(CC) $(CFLAGS) $(LDFLAGS) -pthread -o $@ $^ -ljson-c

-include $(KVMLOAD_OBJS:.o=.d)
