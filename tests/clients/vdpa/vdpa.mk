# SPDX-License-Identifier: GPL-2.0
# The guest whose network card is a vDPA device: as the guest that is migrated, with its
# entry points.

VDPA_GUEST	:= $(BUILD)/tests/clients/vdpa/guest.elf
VDPA_DRIVER	:= $(BUILD)/tests/clients/vdpa/guest/driver.o

$(VDPA_DRIVER): tests/clients/vdpa/guest/driver.c $(wildcard tests/clients/migrate/guest/*.h) tests/clients/vdpa/vdpa.mk | $(DEPS_STAMP)
	@mkdir -p $(@D)
	$(CC) $(filter-out -ffixed-ebx,$(MIGRATE_CFLAGS)) -Itests/clients/migrate/guest -c -o $@ $<

$(VDPA_GUEST): $(VDPA_DRIVER) $(BUILD)/tests/clients/migrate/guest/start.o tests/clients/migrate/guest/guest.lds
	$(LD) -m elf_i386 -nostdlib -z noexecstack -T tests/clients/migrate/guest/guest.lds -o $@ $(filter %.o,$^)

clients: $(VDPA_GUEST)
