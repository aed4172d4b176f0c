# SPDX-License-Identifier: GPL-2.0
# The process of a simulated vDPA device: a disk's and a card's over user.c.

VDPA_USER := $(BUILD)/clients/vdpa_user

clients: $(VDPA_USER)

$(VDPA_USER): $(wildcard tests/clients/vdpa_user/*.[ch]) $(addprefix tests/clients/,fail_nth.h fragments.h killed.h userfault.h) | $(DEPS_STAMP)
	@mkdir -p $(@D)
	$(CC) $(MS_CFLAGS) $(CFLAGS) -o $@ $(filter %.c,$^)
