# SPDX-License-Identifier: GPL-2.0
# Clients of /dev/vfio: each of these is one, over container.c.

VFIO_CLIENTS := $(addprefix $(BUILD)/clients/vfio/,type1_api type1_cost type1_dirty type1_dma type1_kill)

clients: $(VFIO_CLIENTS)

$(VFIO_CLIENTS): $(BUILD)/clients/vfio/%: tests/clients/vfio/%.c tests/clients/vfio/container.c \
		tests/clients/vfio/container.h tests/clients/median.h tests/vm/vfio_probe/vfio_probe.h | $(DEPS_STAMP)
	@mkdir -p $(@D)
	$(CC) $(MS_CFLAGS) $(CFLAGS) -pthread -o $@ $(filter %.c,$^)
