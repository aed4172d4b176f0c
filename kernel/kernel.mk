##make modules		our kernel modules, for the archive's 6.12 (KVER=... for another)
# SPDX-License-Identifier: GPL-2.0

WB	:= kernel/workbench
# looked up when it is used: it may ask the network
KVER	?= $(eval KVER := $$(shell $(WB)/fetch kver))$(KVER)
# empty where the debug kernel was not built: its tests are skipped, and say so
DEBUG_KVER = $(shell $(WB)/debug_kernel kver 2>/dev/null)

.PHONY: modules testmods clients debug-kernel

modules: $(DEPS_STAMP)
	@$(WB)/modules $(KVER)

##make debug-kernel	a kernel with KASAN, lockdep, kmemleak, fault injection; 15 min, once
debug-kernel: $(DEPS_STAMP)
	@$(WB)/debug_kernel

# modules that only tests load, for the kernels that tests boot
testmods: modules
	@for d in tests/vm/*/Kbuild tests/bench/*/Kbuild; do \
		[ ! -f $$d ] || $(WB)/testmod $(KVER) $${d%/*} >/dev/null; \
	done
	@debug=$(DEBUG_KVER); [ -n "$$debug" ] || exit 0; \
	$(WB)/modules $$debug; \
	for d in tests/vm/*/Kbuild; do $(WB)/testmod $$debug $${d%/*} >/dev/null; done

CLIENTS := $(patsubst tests/clients/%.c,$(BUILD)/clients/%,$(wildcard tests/clients/*.c))
clients: $(CLIENTS)
$(BUILD)/clients/%: tests/clients/%.c
	@mkdir -p $(@D)
	$(CC) $(MS_CFLAGS) $(CFLAGS) $< -o $@

check: testmods clients
