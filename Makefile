# SPDX-License-Identifier: GPL-2.0
#
# The doors of migscope. What each does: make help
#
# Every folder brings its own fragment; everything built lies under build/.

SHELL		:= /bin/bash
.SHELLFLAGS	:= -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS	+= --no-builtin-rules
# Its jobs and variables are not meant for the makes of other trees, which our scripts run.
# So no recipe of ours calls make for this one: it would be asked without them.
unexport MAKEFLAGS MFLAGS

CC		:= gcc
CLANG		:= clang
BUILD		:= build
DESTDIR		?=
PREFIX		?= /usr/local
VERSION		:= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

CFLAGS		?= -O2 -g
MS_CFLAGS	:= -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Wno-missing-field-initializers -Werror -Iinclude -I$(BUILD)/include

.PHONY: all demo check modules install deps lint bench mutants help clean
all:

include deps.mk
include bpf/bpf.mk
include tools/tools.mk
include kernel/kernel.mk
include tests/tests.mk

# Rewritten only when it changes: what shows the version is built anew, and no more.
$(BUILD)/include/version.h: FORCE
	@mkdir -p $(@D)
	@echo '#define MIGSCOPE_VERSION "$(VERSION)"' | cmp -s - $@ || \
		echo '#define MIGSCOPE_VERSION "$(VERSION)"' > $@
FORCE:

help:
	@sed -n 's/^##//p' $(MAKEFILE_LIST)

clean:
	rm -rf $(BUILD)

##make demo		migrate a guest with the ring and with the bitmap, show what each cost;
##			KERNEL=stock: without our modules, and so without devices
##make check		every test but the long ones, which it names
##make			the tool and its BPF objects
##make deps		install the Debian packages that are missing (as root)
##make clean		remove build/ (downloads stay in the cache folder)
