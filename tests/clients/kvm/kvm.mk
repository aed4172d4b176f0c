# SPDX-License-Identifier: GPL-2.0
# Clients of /dev/kvm: each of these is one, over vm.c; ring_api has two files.

KVM_CLIENTS := $(addprefix $(BUILD)/clients/kvm/,ring_api ring_cost ring_exact ring_hostile ring_live storm)

clients: $(KVM_CLIENTS)

$(BUILD)/clients/kvm/ring_api: tests/clients/kvm/ring_pages.c tests/clients/kvm/ring_api.h

$(KVM_CLIENTS): $(BUILD)/clients/kvm/%: tests/clients/kvm/%.c tests/clients/kvm/vm.c tests/clients/kvm/vm.h \
		tests/clients/median.h | $(DEPS_STAMP)
	@mkdir -p $(@D)
	$(CC) $(MS_CFLAGS) $(CFLAGS) -pthread -o $@ $(filter %.c,$^)

# The base's own tests, as it ships them.
KVM_SELFTESTS	:= dirty_log_test dirty_log_perf_test memslot_modification_stress_test memslot_perf_test \
		   kvm_page_table_test kvm_binary_stats_test set_memory_region_test

.PHONY: kvm-selftests
kvm-selftests: $(DEPS_STAMP)
	@tests/lib/kvm_selftests $(BUILD)/kvm/selftests $(KVM_SELFTESTS)
check-long: kvm-selftests
