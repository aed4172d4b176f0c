# SPDX-License-Identifier: GPL-2.0
# The process of a vDPA device: its suites over device.c.

VHOST_VDPA_CLIENT := $(BUILD)/clients/vhost_vdpa

clients: $(VHOST_VDPA_CLIENT)

$(VHOST_VDPA_CLIENT): $(wildcard tests/clients/vhost_vdpa/*.[ch]) $(addprefix tests/clients/,fail_nth.h fragments.h) | $(DEPS_STAMP)
	@mkdir -p $(@D)
	$(CC) $(MS_CFLAGS) $(CFLAGS) -o $@ $(filter %.c,$^)
