# SPDX-License-Identifier: GPL-2.0
# User space: migscope, and kvmload which its selfcheck runs.

MIGSCOPE_LIBS	:= -lbpf -lelf -lz -ljson-c
MIGSCOPE_OBJS	:= $(patsubst tools/migscope/%.c,$(BUILD)/tools/migscope/%.o,$(wildcard tools/migscope/*.c)) \
		   $(BUILD)/tools/migscope/programs.o

all: $(BUILD)/migscope

$(BUILD)/migscope: $(MIGSCOPE_OBJS)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(MIGSCOPE_LIBS)

$(BUILD)/tools/%.o: tools/%.c | $(DEPS_STAMP) $(BUILD)/include/version.h
	@mkdir -p $(@D)
	$(CC) $(MS_CFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

# The BPF programs are part of the program: it never looks for them elsewhere.
$(BUILD)/tools/migscope/programs.o: tools/migscope/programs.S $(BUILD)/bpf/migscope.bpf.o
	@mkdir -p $(@D)
	$(CC) -c -DOBJECT='"$(BUILD)/bpf/migscope.bpf.o"' $< -o $@

-include $(MIGSCOPE_OBJS:.o=.d)
-include $(wildcard tools/*/*.mk)

##make install	to $(DESTDIR)$(PREFIX): the tool, its workload, the BPF objects
install: all
	install -D -m 755 $(BUILD)/migscope $(DESTDIR)$(PREFIX)/bin/migscope
	install -D -m 755 $(BUILD)/kvmload $(DESTDIR)$(PREFIX)/libexec/migscope/kvmload
	install -d $(DESTDIR)$(PREFIX)/lib/migscope/bpf
	install -m 644 $(BPF_OBJS) $(DESTDIR)$(PREFIX)/lib/migscope/bpf/
	install -D -m 644 tools/migscope/SCHEMA.md $(DESTDIR)$(PREFIX)/share/doc/migscope/SCHEMA.md
