# SPDX-License-Identifier: GPL-2.0
# User space: migscope, and kvmload which its selfcheck runs.

MIGSCOPE_LIBS	:= -lbpf -lelf -lz -ljson-c -lm
MIGSCOPE_OBJS	:= $(patsubst tools/migscope/%.c,$(BUILD)/tools/migscope/%.o,$(wildcard tools/migscope/*.c)) \
		   $(BUILD)/tools/migscope/objects.o

all: $(BUILD)/migscope

$(BUILD)/migscope: $(MIGSCOPE_OBJS)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(MIGSCOPE_LIBS)

$(BUILD)/tools/%.o: tools/%.c | $(DEPS_STAMP)
	@mkdir -p $(@D)
	$(CC) $(MS_CFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

# The BPF objects are part of the program: it never looks for them elsewhere.
$(BUILD)/tools/migscope/objects.c: $(BPF_OBJS) tools/migscope/embed
	@mkdir -p $(@D)
	tools/migscope/embed $(BPF_OBJS) > $@

$(BUILD)/tools/migscope/objects.o: $(BUILD)/tools/migscope/objects.c
	$(CC) $(MS_CFLAGS) $(CFLAGS) -Itools/migscope -c $< -o $@

-include $(MIGSCOPE_OBJS:.o=.d)
-include $(wildcard tools/*/*.mk)
