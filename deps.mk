# SPDX-License-Identifier: GPL-2.0
# What has to be installed to build, test and run the demo. No kernel image and
# no kernel headers are among them: kernel/workbench/fetch unpacks those aside.

DEPS := gcc make clang llvm libbpf-dev libelf-dev zlib1g-dev liblzma-dev libjson-c-dev libmicrohttpd-dev libsqlite3-dev libncurses-dev libjs-dygraphs \
	perl python3 jq xz-utils zstd kmod bc bison flex libssl-dev \
	qemu-system-x86 qemu-utils busybox-static cpio socat strace iproute2 e2fsprogs util-linux \
	linux-perf bpftool bpftrace sparse dwarves libdw-dev codespell shellcheck
# QEMU does not emulate VMX: tests/vm/bochs
DEPS += bochs-term bochsbios vgabios isolinux syslinux-common xorriso

# make deb
DEPS += dpkg-dev

# What only the tests of the exporter, of its dashboards, of its pages and of the packages
# need. Prometheus is not among them: tests/lib/prometheus unpacks it aside, since
# installed it starts a server.
DEPS_CHECK := curl python3-prometheus-client chromium tmux sqlite3 adduser dkms man-db patch ovmf sbsigntool
# the base's own KVM selftests: make headers_install
DEPS_CHECK += rsync
# process 1 of the machine that the unit is tried in
DEPS_CHECK += systemd
# testpmd, and its ports: a vDPA device, and files of frames
DEPS_CHECK += dpdk-dev librte-net-virtio23 librte-net-pcap23 librte-mempool-ring23

DEPS_STAMP := $(BUILD)/.deps
DEPS_CHECK_STAMP := $(BUILD)/.deps.check

deps: $(DEPS_STAMP) $(DEPS_CHECK_STAMP)

$(DEPS_STAMP): WANTED = $(DEPS)
$(DEPS_CHECK_STAMP): WANTED = $(DEPS_CHECK)

$(DEPS_STAMP) $(DEPS_CHECK_STAMP): deps.mk
	@mkdir -p $(@D)
	@missing=; for p in $(WANTED); do \
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
			apt-get -qq -y --no-install-recommends install $$missing >$@.log 2>&1 && break; \
			[ $$try -lt 3 ] || { tail -5 $@.log >&2; \
				echo "make: the packages could not be installed: is there a network?" >&2; exit 1; }; \
			sleep $$((try * 3)); \
		done; \
	fi
	@touch $@
