##make modules		our kernel modules, for the archive's 6.12 (KVER=... for another)
# SPDX-License-Identifier: GPL-2.0

WB	:= kernel/workbench
# FOLDERS=... builds only these folders of kernel/
FOLDERS	?=
# looked up when it is used: it may ask the network
KVER	?= $(eval KVER := $$(shell $(WB)/fetch kver))$(KVER)
# empty where the debug kernel was not built: its tests are skipped, and say so
DEBUG_KVER = $(shell $(WB)/debug_kernel kver 2>/dev/null)

.PHONY: modules testmods testmods-debug clients debug-kernel

modules: $(DEPS_STAMP)
	@$(WB)/modules $(KVER) $(FOLDERS)

##make debug-kernel	a kernel with KASAN, lockdep, kmemleak, fault injection; 23 min, once
debug-kernel: $(DEPS_STAMP)
	@$(WB)/debug_kernel

# modules that only tests load, for the kernels that tests boot
TESTMODS ?= $(patsubst %/Kbuild,%,$(wildcard tests/vm/*/Kbuild))
testmods: modules
	@for d in $(TESTMODS); do $(WB)/testmod $(KVER) $$d >/dev/null; done

# the same for the debug kernel, where it was built
testmods-debug: testmods
	@debug=$(DEBUG_KVER); [ -n "$$debug" ] || exit 0; \
	$(WB)/modules $$debug $(FOLDERS); \
	for d in $(TESTMODS); do $(WB)/testmod $$debug $$d >/dev/null; done

CLIENTS := $(patsubst tests/clients/%.c,$(BUILD)/clients/%,$(wildcard tests/clients/*.c))
clients: $(CLIENTS)
$(BUILD)/clients/%: tests/clients/%.c $(wildcard tests/clients/*.h) | $(DEPS_STAMP)
	@mkdir -p $(@D)
	$(CC) $(MS_CFLAGS) $(CFLAGS) $< -o $@

# what make check boots is built before
check-build: testmods clients

##make mutants		break our code in every way we know: is it noticed?
mutants: $(DEPS_STAMP)
	@tests/mutants/run

##make bench		every bench: our modules against the base's, in instructions (tests/bench/run ROW
##			runs a part); what watching, serving, forecasting cost
bench: $(DEPS_STAMP)
	@tests/bench/run $(ROWS)

# there is nothing to build for before it is there
ifneq ($(filter check-debug,$(MAKECMDGOALS)),)
testmods-debug: debug-kernel
endif

.PHONY: lint-kernel modules_install modules_uninstall check-debug
lint: lint-kernel
lint-kernel: modules
	@$(WB)/lint $(KVER)

##make check-debug	the tests that run on the debug kernel, which is built if need be
check-debug: debug-kernel testmods-debug check-build
	@tests/run -l -k debug
	@tests/run -l -k host tests/unit/debug_reports.t

##make modules_install	ours before the kernel's own, signed if there is a key (DESTDIR=...)
modules_install:
	@DESTDIR=$(DESTDIR) $(WB)/install $(KVER)

##make modules_uninstall	and back
modules_uninstall:
	@DESTDIR=$(DESTDIR) $(WB)/install -u
