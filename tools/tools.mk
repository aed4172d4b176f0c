# SPDX-License-Identifier: GPL-2.0
# User space: migscope, and kvmload which its selfcheck runs.

MIGSCOPE_LIBS	:= -lbpf -lelf -lz -ljson-c -lmicrohttpd -lsqlite3 -lncursesw -ltinfo -llzma -lm -pthread
MIGSCOPE_OBJS	:= $(patsubst tools/migscope/%.c,$(BUILD)/tools/migscope/%.o,$(wildcard tools/migscope/*.c)) \
		   $(BUILD)/tools/migscope/programs.o $(BUILD)/tools/migscope/web_files.o

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

# Nor for what it shows in a browser. A page has no source map to be looked for.
DYGRAPH := /usr/share/javascript/dygraphs/dygraph.min.js
$(BUILD)/tools/migscope/web_files.o: tools/migscope/web_files.S $(wildcard tools/migscope/web/*) | $(DEPS_STAMP)
	@mkdir -p $(@D)
	@sed '/^\/\/# sourceMappingURL=/d' $(DYGRAPH) >$(@D)/dygraph.js
	$(CC) -c -DDYGRAPH='"$(@D)/dygraph.js"' $< -o $@

-include $(MIGSCOPE_OBJS:.o=.d)
-include $(wildcard tools/*/*.mk)

# Man pages are made of what --help says.
MAN_STAMP := $(BUILD)/man/.made
all: $(MAN_STAMP)
$(MAN_STAMP): $(BUILD)/migscope $(wildcard tools/man/*)
	@rm -rf $(@D)
	@tools/man/generate $< $(@D)
	@touch $@

##make install	to $(DESTDIR)$(PREFIX): the tool, its workload, BPF objects, unit, man pages, dashboards
install: all
	install -D -m 755 $(BUILD)/migscope $(DESTDIR)$(PREFIX)/bin/migscope
	install -D -m 755 $(BUILD)/kvmload $(DESTDIR)$(PREFIX)/libexec/migscope/kvmload
	install -d $(DESTDIR)$(PREFIX)/lib/migscope/bpf
	install -m 644 $(BPF_OBJS) $(DESTDIR)$(PREFIX)/lib/migscope/bpf/
	install -D -m 644 tools/migscope/SCHEMA.md $(DESTDIR)$(PREFIX)/share/doc/migscope/SCHEMA.md
	install -d $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 $(BUILD)/man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1/
	install -D -m 644 tools/completion/migscope $(DESTDIR)$(PREFIX)/share/bash-completion/completions/migscope
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system $(DESTDIR)$(PREFIX)/lib/sysusers.d
	sed 's|@PREFIX@|$(PREFIX)|' tools/systemd/migscope.service.in >$(DESTDIR)$(PREFIX)/lib/systemd/system/migscope.service
	install -m 644 tools/systemd/migscope.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/migscope.conf
	install -d $(DESTDIR)$(PREFIX)/share/migscope
	cp -r dashboards $(DESTDIR)$(PREFIX)/share/migscope/
