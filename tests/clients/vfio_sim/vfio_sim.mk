# SPDX-License-Identifier: GPL-2.0
# The client of the simulated VFIO device.

VFIO_SIM	:= tests/clients/vfio_sim

clients: $(BUILD)/clients/vfio_sim

$(BUILD)/clients/vfio_sim: $(wildcard $(VFIO_SIM)/*.[ch]) $(addprefix tests/clients/,killed.h userfault.h) include/migscope/vfio_sim.h | $(DEPS_STAMP)
	@mkdir -p $(@D)
	$(CC) $(MS_CFLAGS) $(CFLAGS) -o $@ $(filter %.c,$^)

# The guest that drives one: as the guest that is migrated, with its entry points.
VFIO_SIM_GUEST	:= $(BUILD)/$(VFIO_SIM)/guest.elf
VFIO_SIM_DRIVER	:= $(BUILD)/$(VFIO_SIM)/guest/driver.o
VFIO_SIM_SHARED	:= $(addprefix $(BUILD)/tests/clients/migrate/guest/,start.o lib.o pci.o)

$(VFIO_SIM_DRIVER): $(VFIO_SIM)/guest/driver.c include/migscope/vfio_sim.h $(wildcard tests/clients/migrate/guest/*.h) $(VFIO_SIM)/vfio_sim.mk | $(DEPS_STAMP)
	@mkdir -p $(@D)
	$(CC) $(filter-out -ffixed-ebx,$(MIGRATE_CFLAGS)) -Itests/clients/migrate/guest -c -o $@ $<

$(VFIO_SIM_GUEST): $(VFIO_SIM_DRIVER) $(VFIO_SIM_SHARED) tests/clients/migrate/guest/guest.lds
	$(LD) -m elf_i386 -nostdlib -z noexecstack -T tests/clients/migrate/guest/guest.lds -o $@ $(filter %.o,$^)

clients: $(VFIO_SIM_GUEST)
