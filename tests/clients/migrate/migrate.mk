# SPDX-License-Identifier: GPL-2.0
# The guest that is migrated. 32 bit and freestanding: no 32-bit libc is needed.

MIGRATE		:= tests/clients/migrate
MIGRATE_GUEST	:= $(BUILD)/$(MIGRATE)/guest.elf
MIGRATE_CFLAGS	:= -m32 -march=i686 -O2 -std=gnu11 -Wall -Wextra -Werror -ffreestanding \
		   -fno-pic -fno-pie -fno-stack-protector -fcf-protection=none \
		   -fno-asynchronous-unwind-tables -mgeneral-regs-only -ffixed-ebx -Iinclude \
		   -idirafter /usr/include/$$($(CC) -print-multiarch)
MIGRATE_OBJS	:= $(addprefix $(BUILD)/$(MIGRATE)/guest/,start.o guest.o lib.o pci.o vfio_device.o net_device.o)

$(BUILD)/$(MIGRATE)/guest/%.o: $(MIGRATE)/guest/%.c $(wildcard $(MIGRATE)/guest/*.h) include/migscope/vfio_sim.h $(MIGRATE)/migrate.mk | $(DEPS_STAMP)
	@mkdir -p $(@D)
	$(CC) $(MIGRATE_CFLAGS) -c -o $@ $<

$(BUILD)/$(MIGRATE)/guest/%.o: $(MIGRATE)/guest/%.S $(MIGRATE)/guest/guest.h $(MIGRATE)/migrate.mk | $(DEPS_STAMP)
	@mkdir -p $(@D)
	$(CC) $(MIGRATE_CFLAGS) -c -o $@ $<

$(MIGRATE_GUEST): $(MIGRATE_OBJS) $(MIGRATE)/guest/guest.lds
	$(LD) -m elf_i386 -nostdlib -z noexecstack -T $(MIGRATE)/guest/guest.lds -o $@ $(MIGRATE_OBJS)

check-build: $(MIGRATE_GUEST)

# The kernel's own modules know no device that could be simulated.
KERNEL ?= ours
demo: all $(MIGRATE_GUEST) $(if $(filter stock,$(KERNEL)),,modules)
	@$(MIGRATE)/demo $(KERNEL)
