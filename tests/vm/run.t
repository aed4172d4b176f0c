#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: host needs=qemu
#
# What tests/vm/run passes through, one boot of each Debian kernel and one under icount.
. "${0%/*}/../tap.sh"
run=tests/vm/run

# in the guest: a first file of the repository is written to, and more
cat >"$TAP_TMP/guest" <<'GUEST'
echo "to stdout"
echo "to stderr" >/dev/stderr
echo "cwd $PWD"
echo "args $# <$1> <$2>"
echo "env $MIGSCOPE_TEST_WORD $MIGSCOPE_KERNEL"
echo "user $(id -u)"
echo "uname $(uname -r)"
echo changed >>Makefile && echo "wrote $(tail -1 Makefile)"
touch /usr/bin/migscope-was-here && echo "wrote usr"
echo "from inside" >"$MIGSCOPE_OUT/file"
for fs in proc:/proc sysfs:/sys devtmpfs:/dev tracefs:/sys/kernel/tracing debugfs:/sys/kernel/debug \
	  bpf:/sys/fs/bpf cgroup2:/sys/fs/cgroup tmpfs:/tmp tmpfs:/run; do
	[ "$(findmnt -n -o FSTYPE "${fs#*:}" | tail -1)" = "${fs%:*}" ] || echo "not mounted: $fs"
done
ping -c 1 127.0.0.1 >/dev/null 2>&1 || ip -br link show lo | grep -q UP && echo "lo up"
ls /sys/class/net | tr '\n' ' '
grep -c -w kvm /proc/modules
modprobe kvm_amd && [ -c /dev/kvm ] && echo "kvm there"
bpftool prog list >/dev/null && echo "bpf there"
exit 7
GUEST
cp "$TAP_TMP/guest" build/guest.sh

for kernel in 6.12 6.1; do
	out=$TAP_TMP/$kernel
	status=0
	before=$(git hash-object Makefile)
	MIGSCOPE_TEST_WORD='it'\''s "$here"' $run -k $kernel -o "$out" \
		-- bash "$PWD/build/guest.sh" 'two words' $'new\nline' >"$TAP_TMP/stdout" 2>"$TAP_TMP/stderr" || status=$?
	is "$kernel: exit status" $status 7
	is "$kernel: result file" "$(cat "$out/result")" "exit 7"
	is "$kernel: stderr, and nothing else in it" "$(cat "$TAP_TMP/stderr")" "to stderr"
	said=$(cat "$TAP_TMP/stdout")
	like "$kernel: stdout" "$said" "to stdout"
	unlike "$kernel: stderr is apart" "$said" "to stderr"
	like "$kernel: the caller's folder" "$said" "cwd $PWD"
	like "$kernel: arguments whole" "$said" $'args 2 <two words> <new\nline>'
	like "$kernel: MIGSCOPE_* passed" "$said" "env it's \"\\\$here\" $kernel"
	like "$kernel: as root" "$said" "user 0"
	like "$kernel: the right kernel" "$said" "uname $(kernel/workbench/fetch kver $kernel | sed "s/[+.]/\\\\&/g")"
	like "$kernel: the repository can be written" "$said" "wrote changed"
	is "$kernel: and is unchanged" "$(git hash-object Makefile)" "$before"
	like "$kernel: so can the rest" "$said" "wrote usr"
	nok "$kernel: and is unchanged" test -e /usr/bin/migscope-was-here
	is "$kernel: files are handed out" "$(cat "$out/file")" "from inside"
	# of a checkout below /tmp the machine leaves /tmp as it is
	[[ $PWD/ != /tmp/* ]] || said=${said/not mounted: tmpfs:\/tmp/}
	unlike "$kernel: file systems mounted" "$said" "not mounted"
	like "$kernel: loopback up, no other network" "$said" $'lo up\nlo '
	like "$kernel: KVM is not loaded until asked for" "$said" $'lo 0\n'
	like "$kernel: nested KVM" "$said" "kvm there"
	like "$kernel: BPF" "$said" "bpf there"
	ok "$kernel: kernel log kept" grep -q 'Linux version' "$out/console.log"
	is "$kernel: and nothing else left behind" "$(cd "$out" && echo *)" \
		"console.log file qemu.log result"
done
rm -f build/guest.sh

# a fresh kernel log, the host's own kernel
status=0
said=$($run -k host -P 9788 -o "$TAP_TMP/host" -- sh -c 'echo "$MIGSCOPE_KERNEL $PWD $(uname -r)"; exit 3') || status=$?
is "host: exit status" $status 3
is "host: right here" "$said" "host $PWD $(uname -r)"
is "host: so are the command's ports" "$(cat "$TAP_TMP/host/port")" 9788
status=0
$run -k host -t 1 -o "$TAP_TMP/host" -- sleep 100 2>/dev/null || status=$?
is "host: not in time" $status 122

status=0
said=$($run -i -- sh -c 'nproc; cat /sys/devices/system/clocksource/clocksource0/current_clocksource') || status=$?
is "icount: exit status 0" $status 0
is "icount: one CPU, and its time is the TSC" "$said" $'1\ntsc'

done_testing
