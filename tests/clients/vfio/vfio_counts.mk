# SPDX-License-Identifier: GPL-2.0
clients: $(BUILD)/clients/vfio/vfio_counts

$(BUILD)/clients/vfio/vfio_counts: tests/clients/vfio/vfio_counts.c tests/clients/vfio/container.c \
		tests/clients/vfio/container.h tests/vm/vfio_probe/vfio_probe.h | $(DEPS_STAMP)
	@mkdir -p $(@D)
	$(CC) $(MS_CFLAGS) $(CFLAGS) -o $@ $(filter %.c,$^)
