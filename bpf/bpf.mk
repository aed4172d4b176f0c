# SPDX-License-Identifier: GPL-2.0
# One object per source and hook set; bpftool can load each by itself.

BPF_OBJS	:= $(patsubst bpf/%.bpf.c,$(BUILD)/bpf/%.bpf.o,$(wildcard bpf/*.bpf.c))
BPF_ARCH	:= $(subst x86_64,x86,$(subst aarch64,arm64,$(shell uname -m)))
# expanded when it is used: gcc may have to be installed first
# -idirafter: asm/ headers of the multiarch folder, which clang -target bpf does not look at
BPF_CFLAGS	= -target bpf -mcpu=v3 -O2 -g -ffile-compilation-dir=. -Wall -Wextra -Werror -Wno-unused-parameter \
		   -Wno-missing-declarations -D__TARGET_ARCH_$(BPF_ARCH) -Iinclude \
		   -idirafter /usr/include/$(shell $(CC) -print-multiarch)

all: $(BPF_OBJS)

# What migscope carries: the same programs as one object, so that the kernel's
# BTF is read once and not once an object. It loads of it what the kernel allows.
$(BUILD)/bpf/migscope.bpf.c: $(wildcard bpf/*.bpf.c) bpf/bpf.mk
	@mkdir -p $(@D)
	@printf '#include "%s"\n' $(wildcard bpf/*.bpf.c) > $@

$(BUILD)/bpf/migscope.bpf.o: $(BUILD)/bpf/migscope.bpf.c $(wildcard bpf/*.h include/migscope/*.h) | $(DEPS_STAMP)
	$(CLANG) $(BPF_CFLAGS) -I. -c $< -o $@
	@llvm-strip -g $@

$(BUILD)/bpf/%.bpf.o: bpf/%.bpf.c $(wildcard bpf/*.h include/migscope/*.h) bpf/bpf.mk | $(DEPS_STAMP)
	@mkdir -p $(@D)
	$(CLANG) $(BPF_CFLAGS) -c $< -o $@
	@llvm-strip -g $@ # DWARF; BTF stays
