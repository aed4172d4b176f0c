# SPDX-License-Identifier: GPL-2.0
#
# make check TESTS="tests/unit/klog.t ..." runs only those; RUN="-k 6.12 -v" is for tests/run

MIGSCOPE_STARTED := $(shell date +%s)
TESTS ?=
RUN ?=

check: $(DEPS_STAMP) all $(if $(wildcard kernel/*/Kbuild),modules)
	@MIGSCOPE_STARTED=$(MIGSCOPE_STARTED) tests/run $(RUN) $(TESTS)

-include $(wildcard tests/clients/*/*.mk)
