# SPDX-License-Identifier: GPL-2.0

##make deb		Debian packages in build/deb: the tool, and the modules' sources for DKMS
.PHONY: deb
deb: all modules
	@VERSION=$(VERSION) tools/packaging/build $(KVER) $(BUILD)/deb
