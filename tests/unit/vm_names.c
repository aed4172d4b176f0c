// SPDX-License-Identifier: GPL-2.0
/*
 * Names of VMs: command lines as VMMs have them, text that nobody should trust, and
 * bytes without any sense. Built with the sanitizers; prints TAP.
 */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "../../tools/migscope/vm_names.h"

#define ROUNDS	200000

static int nth, failed;

static void point(int good, const char *what, const char *got, const char *want)
{
	printf("%sok %d - %s\n", good ? "" : "not ", ++nth, what);
	if (good)
		return;
	failed++;
	fprintf(stderr, "# got: \"%s\", want: \"%s\"\n", got, want);
}

static void is(const char *what, const char *got, const char *want)
{
	point(!strcmp(got, want), what, got, want);
}

/* @...: arguments, up to a NULL */
static void parses(const char *what, const char *want_name, const char *want_uuid, ...)
{
	char line[4096], name[64], uuid[MODEL_UUID_LEN], label[200], *own;
	const char *arg;
	size_t len = 0;
	va_list ap;

	va_start(ap, want_uuid);
	while ((arg = va_arg(ap, const char *))) {
		memcpy(line + len, arg, strlen(arg) + 1);
		len += strlen(arg) + 1;
	}
	va_end(ap);
	/* of its exact size: what reads on is caught; one NUL behind it is read_proc()'s */
	own = malloc(len + 1);
	memcpy(own, line, len);
	own[len] = '\0';
	vm_names_parse(own, len, name, sizeof(name), uuid);
	free(own);
	is(what, name, want_name);
	snprintf(label, sizeof(label), "%s: uuid", what);
	is(label, uuid, want_uuid);
}

#define QEMU	"/usr/bin/qemu-system-x86_64"
#define UUID	"6d1f9f8c-30a1-4a53-9c6e-0123456789ab"

static void command_lines(void)
{
	parses("no arguments", "", "", NULL);
	parses("neither name nor uuid", "", "", QEMU, "-m", "1G", NULL);
	parses("-name NAME", "web", "", QEMU, "-name", "web", NULL);
	parses("--name NAME", "web", "", QEMU, "--name", "web", NULL);
	parses("-name NAME,options", "web", "", QEMU, "-name", "web,process=x,debug-threads=on", NULL);
	parses("guest=", "web", "", QEMU, "-name", "guest=web,debug-threads=on", NULL);
	parses("guest= comes second", "web", "", QEMU, "-name", "debug-threads=on,guest=web", NULL);
	parses("options and no guest", "", "", QEMU, "-name", "debug-threads=on,process=web", NULL);
	parses("a doubled comma is one", "a,b", "", QEMU, "-name", "a,,b", NULL);
	parses("and does not end guest=", "a,debug-threads=on", "",
	       QEMU, "-name", "guest=a,,debug-threads=on,process=p", NULL);
	parses("three commas: one, and the end", "a,", "", QEMU, "-name", "guest=a,,,process=p", NULL);
	parses("the last character is a comma", "a", "", QEMU, "-name", "guest=a,", NULL);
	parses("the key alone", "", "", QEMU, "-name", "guest=", NULL);
	parses("an equals sign in a name", "a=b", "", QEMU, "-name", "guest=a=b", NULL);
	parses("an empty name", "", "", QEMU, "-name", "", NULL);
	parses("-name is the last word", "", "", QEMU, "-name", NULL);
	parses("the last -name counts, as in QEMU", "b", "", QEMU, "-name", "a", "-name", "b", NULL);
	parses("-uuid", "", UUID, QEMU, "-uuid", UUID, NULL);
	parses("a uuid that is none", "", "", QEMU, "-uuid", "6d1f9f8c-30a1-4a53-9c6e", NULL);
	parses("a uuid with other letters", "", "", QEMU, "-uuid", "6d1f9f8c-30a1-4a53-9c6e-0123456789xy", NULL);
	parses("a uuid that goes on", "", "", QEMU, "-uuid", UUID "00", NULL);
	parses("-names is another option", "", "", QEMU, "-names", "a", NULL);
	parses("libvirt's", "prod db", UUID, QEMU, "-name", "guest=prod db,debug-threads=on", "-S",
	       "-object", "{\"qom-type\":\"secret\",\"id\":\"masterKey0\",\"format\":\"raw\"}",
	       "-machine", "pc-q35-7.2,usb=off,dump-guest-core=off", "-accel", "kvm,dirty-ring-size=4096",
	       "-uuid", UUID, "-no-user-config", "-device", "{\"driver\":\"virtio-net-pci\",\"id\":\"net0\"}", NULL);
	parses("-device id= is not the VM's", "", "", QEMU, "-device", "virtio-net,id=net0", NULL);
	parses("what a device's value looks like is not an option", "web", "",
	       QEMU, "-name", "web", "-append", "-name fake", NULL);
	parses("a value that looks like an option is none", "web", "",
	       QEMU, "-name", "web", "-append", "--name=fake", NULL);
	parses("cloud-hypervisor's", "", UUID, "cloud-hypervisor", "--cpus", "boot=2",
	       "--platform", "num_pci_segments=2,uuid=" UUID, "--api-socket", "/run/ch.sock", NULL);
	parses("with --platform=", "", UUID, "cloud-hypervisor", "--platform=uuid=" UUID, NULL);
	parses("Firecracker's", "anon-vm-7", "", "/usr/bin/firecracker", "--id", "anon-vm-7",
	       "--api-sock", "/run/fc.sock", NULL);
	parses("with --id=", "anon-vm-7", "", "firecracker", "--id=anon-vm-7", NULL);
	parses("its jailer's", "jailed", "", "firecracker", "--id=jailed", "--start-time-us=1", NULL);
}

static void cleans(const char *what, size_t size, const char *src, const char *want)
{
	char *dst = malloc(size);

	vm_names_clean(dst, size, src);
	is(what, dst, want);
	free(dst);
}

static void untrusted_text(void)
{
	cleans("plain text", 64, "web-01_a.b", "web-01_a.b");
	cleans("UTF-8 of each length", 64, "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
	cleans("control characters", 64, "a\nb\tc\x1b[31md\x7f", "a?b?c?[31md?");
	cleans("C1 control characters", 64, "a\xc2\x9b" "b", "a??b");
	cleans("a byte that begins nothing", 64, "a\x80\xff" "b", "a??b");
	cleans("cut short at the end", 64, "a\xe2\x82", "a??");
	cleans("too long a form of '/'", 64, "\xc0\xaf", "??");
	cleans("too long a form of NUL", 64, "\xe0\x80\x80", "???");
	cleans("a surrogate", 64, "\xed\xa0\x80", "???");
	cleans("above U+10FFFF", 64, "\xf4\x90\x80\x80", "????");
	cleans("the last code point", 64, "\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf");
	cleans("marks that turn a line around", 64, "a\xe2\x80\xae" "b\xe2\x81\xa6", "a???b???");
	cleans("marks of direction", 64, "a\xe2\x80\x8e\xe2\x80\x8f\xd8\x9c" "b", "a????????b");
	cleans("separators of lines", 64, "\xe2\x80\xa8\xe2\x80\xa9", "??????");
	cleans("nothing", 64, "", "");
	cleans("room for nothing", 1, "abc", "");
	cleans("cut to the room", 4, "abcdef", "abc");
	cleans("cut between characters", 4, "ab\xc3\xa9", "ab");
	cleans("a character that just fits", 5, "ab\xc3\xa9", "ab\xc3\xa9");
	cleans("four bytes do not fit in three", 4, "\xf0\x9f\x98\x80", "");
}

static void long_names(void)
{
	char arg[3000], name[64], uuid[MODEL_UUID_LEN], line[4096];
	size_t len = 0;

	memset(arg, 'x', sizeof(arg) - 1);
	arg[sizeof(arg) - 1] = '\0';
	len = 1 + sprintf(line, "qemu%c-name%c%s", 0, 0, arg);
	vm_names_parse(line, len, name, sizeof(name), uuid);
	point(strlen(name) == sizeof(name) - 1 && strspn(name, "x") == strlen(name),
	      "3000 bytes of name", name, "63 x");
	/* each is three bytes: 21 of them fit into 63 */
	for (size_t i = 0; i + 3 < sizeof(arg); i += 3)
		memcpy(arg + i, "\xe2\x82\xac", 3);
	len = 1 + sprintf(line, "qemu%c-name%c%.999s", 0, 0, arg);
	vm_names_parse(line, len, name, sizeof(name), uuid);
	point(strlen(name) == 63, "333 times three bytes: cut between two of them", name, "21 of them");
}

static int is_clean(const char *s, size_t size)
{
	char again[256];

	if (strnlen(s, size) == size)
		return 0;
	for (const unsigned char *p = (const void *)s; *p; p++)
		if (*p < 0x20 || *p == 0x7f)
			return 0;
	/* what is clean stays as it is */
	vm_names_clean(again, sizeof(again), s);
	return !strcmp(again, s);
}

/* Bytes from words that the parser knows and from noise. */
static void noise(unsigned int seed)
{
	static const char *const word[] = { "-name", "--name=", "guest=", "-uuid", UUID, "--platform", "uuid=",
					    ",", ",,", "=", "--id", "-", "--", "\xe2\x80\xae", "\xf0\x9f" };
	int clean = 1, named = 0;

	srand(seed);
	for (int round = 0; round < ROUNDS && clean; round++) {
		size_t len = rand() % 200, n = 0, size = 1 + rand() % 90;
		char *line = malloc(len + 1), *name = malloc(size), uuid[MODEL_UUID_LEN];

		while (n < len) {
			const char *w = word[rand() % (sizeof(word) / sizeof(word[0]))];
			size_t take = strlen(w);

			switch (rand() % 4) {
			case 0:
				line[n++] = rand();
				break;
			case 1:
				line[n++] = '\0';
				break;
			default:
				if (take > len - n)
					take = len - n;
				memcpy(line + n, w, take);
				n += take;
			}
		}
		line[len] = '\0';
		vm_names_parse(line, len, name, size, uuid);
		clean = is_clean(name, size) && is_clean(uuid, sizeof(uuid)) &&
			(!*uuid || strlen(uuid) == MODEL_UUID_LEN - 1);
		named += *name != '\0';
		free(line);
		free(name);
	}
	point(clean, "noise: whatever comes in, what goes out is clean", "", "");
	point(named > ROUNDS / 100, "noise: the parser was reached", "", "");
}

/* Two VMs of one process have one name, whatever it is. */
static struct model_vm same(struct vm_names *names, __u64 id, __u64 died)
{
	struct model_vm vm = { .id = id, .info = { .tgid = getpid(), .comm = "vmm", .died_ns = died } };

	vm_names_set(names, &vm);
	return vm;
}

static void numbers(void)
{
	struct vm_names *names = vm_names_new(true);
	char first[MODEL_NAME_MAX], second[MODEL_NAME_MAX], third[MODEL_NAME_MAX];

	snprintf(first, sizeof(first), "vmm-%d", getpid());
	snprintf(second, sizeof(second), "vmm-%d#2", getpid());
	snprintf(third, sizeof(third), "vmm-%d#3", getpid());
	is("the first has the name", same(names, 1, 0).name, first);
	is("the second gets #2", same(names, 2, 0).name, second);
	is("the third gets #3", same(names, 3, 0).name, third);
	is("the first keeps it", same(names, 1, 0).name, first);
	is("the second keeps it", same(names, 2, 0).name, second);
	is("after its end, too", same(names, 1, 5).name, first);
	is("the second does not move up", same(names, 2, 0).name, second);
	is("a new one takes the free name", same(names, 4, 0).name, first);
	is("the dead one still has it", same(names, 1, 5).name, first);
	vm_names_forget(names, 2);
	is("forgotten: its number is free", same(names, 5, 0).name, second);
	point(!same(names, 1, 5).alive && same(names, 4, 0).alive, "alive is who did not end", "", "");
	vm_names_free(names);
}

static time_t hours;

/* The clock of what is tested, too. */
int clock_gettime(clockid_t clock, struct timespec *ts)
{
	long err = syscall(SYS_clock_gettime, clock, ts);

	ts->tv_sec += 3600 * hours;
	return err;
}

/* BPF forgets who ended when it needs room: we never see the end. */
static void unseen(void)
{
	struct vm_names *names = vm_names_new(true);
	char first[MODEL_NAME_MAX], second[MODEL_NAME_MAX];

	snprintf(first, sizeof(first), "vmm-%d", getpid());
	snprintf(second, sizeof(second), "vmm-%d#2", getpid());
	same(names, 1, 0);
	is("unseen: there are two", same(names, 2, 0).name, second);
	hours++;
	is("unseen: one of them still is", same(names, 2, 0).name, second);
	is("unseen: the other's name is free", same(names, 3, 0).name, first);
	is("unseen: who was asked for keeps it", same(names, 2, 0).name, second);
	hours = 0;
	vm_names_free(names);
}

static void has_number(const char *what, struct vm_names *names, __u64 dev, const struct ms_owner *owner,
		       const char *kind, unsigned int want)
{
	char got[12], wanted[12];

	snprintf(got, sizeof(got), "%u", vm_names_number(names, dev, owner, kind));
	snprintf(wanted, sizeof(wanted), "%u", want);
	is(what, got, wanted);
}

/* Devices of a process are numbered, and forgotten as its VMs are. */
static void device_numbers(void)
{
	struct ms_owner first = { .tgid = 100, .start_boottime = 1 };
	struct ms_owner second = { .tgid = 100, .start_boottime = 2 };
	struct vm_names *names = vm_names_new(true);

	has_number("devices: the first of a process is 0", names, 1, &first, "vhost", 0);
	has_number("devices: the second is 1", names, 2, &first, "vhost", 1);
	has_number("devices: one of another kind is its first", names, 3, &first, "container", 0);
	has_number("devices: a process with the id of another has its own", names, 4, &second, "vhost", 0);
	hours++;
	has_number("devices: who was there all the time keeps it", names, 1, &first, "vhost", 0);
	has_number("devices: that of one that was not is free", names, 5, &first, "vhost", 1);
	hours++;
	has_number("devices: who was there keeps it again", names, 1, &first, "vhost", 0);
	has_number("devices: as often as it comes to that", names, 6, &first, "vhost", 1);
	hours = 0;
	vm_names_forget_dev(names, 6);
	has_number("devices: and that of one that ended is free", names, 7, &first, "vhost", 1);
	vm_names_free(names);
}

/* Of one process there may be many devices. */
static void rounds(void)
{
	struct vm_names *names = vm_names_new(true);
	pid_t pid = fork();
	struct ms_owner owner = { .tgid = pid, .comm = "vmm" };
	char name[MODEL_NAME_MAX], uuid[MODEL_UUID_LEN];

	while (!pid)
		pause();
	vm_names_begin(names);
	point(vm_names_owner(names, &owner, name, uuid), "rounds: a process runs", "", "");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	point(vm_names_owner(names, &owner, name, uuid), "rounds: it is looked for once in each", "", "");
	vm_names_begin(names);
	point(!vm_names_owner(names, &owner, name, uuid), "rounds: the next finds it gone", "", "");
	vm_names_free(names);
}

/* A process's name may hold anything, and stands in the middle of what is read of it. */
static void process_names(void)
{
	static const char *const comm[] = { "a\nb", "a)\nb", "a) b\n", "(a", ") R 1 1 1", "\n" };
	char was[16], name[MODEL_NAME_MAX], uuid[MODEL_UUID_LEN];

	prctl(PR_GET_NAME, was);
	for (size_t i = 0; i < sizeof(comm) / sizeof(comm[0]); i++) {
		struct vm_names *names = vm_names_new(true);
		struct ms_owner owner = { .tgid = getpid(), .comm = "vmm" };

		prctl(PR_SET_NAME, comm[i]);
		vm_names_begin(names);
		point(vm_names_owner(names, &owner, name, uuid), "a process runs, whatever its name", comm[i], "");
		vm_names_free(names);
	}
	prctl(PR_SET_NAME, was);
}

int main(int argc, char **argv)
{
	command_lines();
	untrusted_text();
	long_names();
	numbers();
	unseen();
	device_numbers();
	rounds();
	process_names();
	noise(argc > 1 ? atoi(argv[1]) : 1);
	printf("1..%d\n", nth);
	return failed != 0;
}
