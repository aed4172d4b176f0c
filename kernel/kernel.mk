##make modules		our kernel modules, for the archive's 6.12 (KVER=... for another)
# SPDX-License-Identifier: GPL-2.0

WB	:= kernel/workbench
# looked up when it is used: it may ask the network
KVER	?= $(eval KVER := $$(shell $(WB)/fetch kver))$(KVER)

modules: deps
	@$(WB)/modules $(KVER)
