# SPDX-License-Identifier: GPL-2.0
# What has to be installed to build, test and run the demo. No kernel image and
# no kernel headers are among them: kernel/workbench/fetch unpacks those aside.

DEPS := gcc make clang llvm libbpf-dev libelf-dev zlib1g-dev libjson-c-dev \
	perl python3 jq xz-utils zstd kmod bc bison flex libssl-dev \
	qemu-system-x86 qemu-utils busybox-static cpio socat strace util-linux \
	linux-perf bpftool bpftrace sparse dwarves libdw-dev codespell shellcheck

DEPS_STAMP := $(BUILD)/.deps

deps: $(DEPS_STAMP)

$(DEPS_STAMP): deps.mk
	@mkdir -p $(@D)
	@missing=; for p in $(DEPS); do \
		dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing+=" $$p"; \
	done; \
	if [ -n "$$missing" ]; then \
		if [ $$(id -u) -ne 0 ]; then \
			echo "make: not installed:$$missing" >&2; \
			echo "make: run 'make deps' as root, or install them yourself" >&2; exit 1; \
		fi; \
		echo "installing:$$missing"; \
		for try in 1 2 3; do \
			apt-get -qq update && DEBIAN_FRONTEND=noninteractive \
			apt-get -qq -y --no-install-recommends install $$missing >$(BUILD)/deps.log 2>&1 && break; \
			[ $$try -lt 3 ] || { tail -5 $(BUILD)/deps.log >&2; \
				echo "make: the packages could not be installed: is there a network?" >&2; exit 1; }; \
			sleep $$((try * 3)); \
		done; \
	fi
	@touch $@
