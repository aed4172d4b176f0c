# SPDX-License-Identifier: GPL-2.0
# Clients of /dev/kvm: each of these is one, over vm.c.

KVM_CLIENTS := $(addprefix $(BUILD)/clients/kvm/,hold ring_api ring_cost ring_exact ring_hostile ring_live)

clients: $(KVM_CLIENTS)

$(KVM_CLIENTS): $(BUILD)/clients/kvm/%: tests/clients/kvm/%.c tests/clients/kvm/vm.c tests/clients/kvm/vm.h | $(DEPS_STAMP)
	@mkdir -p $(@D)
	$(CC) $(MS_CFLAGS) $(CFLAGS) -pthread -o $@ $(filter %.c,$^)
