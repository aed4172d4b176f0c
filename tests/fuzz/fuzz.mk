# SPDX-License-Identifier: GPL-2.0
# Fuzzers: each of these is one, over the clients' library of its source.

FUZZERS := $(BUILD)/fuzz/vfio_type1

clients: $(FUZZERS)

$(BUILD)/fuzz/vfio_type1: tests/fuzz/vfio_type1.c tests/clients/vfio/container.c \
		tests/clients/vfio/container.h tests/vm/vfio_probe/vfio_probe.h | $(DEPS_STAMP)
	@mkdir -p $(@D)
	$(CC) $(MS_CFLAGS) $(CFLAGS) -pthread -o $@ $(filter %.c,$^)
