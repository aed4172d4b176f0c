#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: host needs=qemu
#
# Every way in which a machine can end has its own status.
. "${0%/*}/../tap.sh"
run=tests/vm/run

# try STATUS DESC ARGUMENTS...: leaves stderr in $said and DIR in $out
try() {
	local status=0
	out=$TAP_TMP/out
	rm -rf "$out"
	"$run" -o "$out" "${@:3}" >"$TAP_TMP/stdout" 2>"$TAP_TMP/stderr" || status=$?
	said=$(cat "$TAP_TMP/stderr")
	is "$2: status" $status "$1" || diag "$said"
	nok "$2: no QEMU is left" pgrep -f "path=$out"
}

# What was written passes a pipe before it leaves the machine: the panic waits until it is seen.
{
	until grep -qs begun "$TAP_TMP/stdout"; do
		sleep 0.1
	done
	touch "$TAP_TMP/out/seen"
} &
# shellcheck disable=SC2016 # for the machine's shell
try 121 "panic" -- sh -c 'echo begun; until [ -e "$MIGSCOPE_OUT/seen" ]; do sleep 0.1; done
	echo c >/proc/sysrq-trigger; sleep 60'
kill $! 2>/dev/null || :
is "panic: what was said before came through" "$(cat "$TAP_TMP/stdout")" begun
like "panic: shown" "$said" "Kernel panic - not syncing: sysrq triggered crash"
is "panic: not tried again" "$(find "$out" -name 'console.boot*')" ""

try 121 "machine gone" -- sh -c 'echo b >/proc/sysrq-trigger; sleep 60'
is "machine gone: result" "$(cat "$out/result")" "machine ended"

try 122 "hang" -t 2 -- sh -c 'sleep 12345'
ok "hang: the kernel was asked what it did" grep -q 'sysrq: Show Blocked State' "$out/console.log"

# As the kernel writes them; whoever writes, the log is what counts.
warning='WARNING: CPU: 1 PID: 7 at virt/kvm/dirty_ring.c:1 kvm_dirty_ring_push+0x1/0x2 [kvm]'
try 123 "warning" -- sh -c 'echo "$1" >/dev/kmsg' sh "$warning"
like "warning: shown" "$said" "dirty_ring.c:1"
is "warning: result" "$(cat "$out/result")" "warning, exit 0"

printf 'dirty_ring\\.c:1 kvm_dirty_ring_push\tmade by this test\n' >"$TAP_TMP/known"
try 0 "listed warning" -w "$TAP_TMP/known" -- sh -c 'echo "$1" >/dev/kmsg' sh "$warning"
ok "listed warning: was there" grep -q 'dirty_ring.c:1' "$out/console.log"

# The kernel comes up as far as a panic: nothing of ours ran, so it is tried again.
cat >"$TAP_TMP/qemu" <<'QEMU'
#!/bin/bash
count=$(($(cat "$0.count" 2>/dev/null) + 1))
echo $count >"$0.count"
[ $count -gt "$PANICS" ] || set -- "$@" -append 'console=ttyS0 panic=-1 rdinit=/none root=/dev/none'
exec qemu-system-x86_64 "$@"
QEMU
chmod +x "$TAP_TMP/qemu"
PANICS=1 MIGSCOPE_QEMU=$TAP_TMP/qemu try 5 "panic while booting" -- sh -c 'exit 5'
like "panic while booting: told" "$said" "try 1 of 3.*Kernel panic - not syncing: VFS"
is "panic while booting: second boot was good" "$(cat "$TAP_TMP/qemu.count")" 2

# So it is after a report, which might have turned checks off that the command needs.
cat >"$TAP_TMP/qemu" <<'QEMU'
#!/bin/bash
count=$(($(cat "$0.count" 2>/dev/null) + 1))
echo $count >"$0.count"
for arg; do
	# the kernel repeats its command line in its log
	[[ $count -gt 1 || $arg != console=* ]] || arg+=" $REPORT"
	args+=("$arg")
done
exec qemu-system-x86_64 "${args[@]}"
QEMU
rm -f "$TAP_TMP/qemu.count"
REPORT='planted="KASAN: by this test"' MIGSCOPE_QEMU=$TAP_TMP/qemu try 5 "report while booting" -- sh -c 'exit 5'
like "report while booting: told" "$said" "try 1 of 3.*the kernel complained"
is "report while booting: second boot was good" "$(cat "$TAP_TMP/qemu.count")" 2

# No kernel at all, and one that never gets anywhere.
mkdir -p "$TAP_TMP/bogus/boot"
echo "not a kernel" >"$TAP_TMP/bogus/boot/vmlinuz-0.0.0"
try 120 "bogus kernel" -k "$TAP_TMP/bogus" -- true
is "bogus kernel: three tries" "$(grep -c 'did not come up' <<<"$said")" 3
MIGSCOPE_VM_BOOT_SECONDS=1 try 120 "boot that hangs" -q -S -- true
like "boot that hangs: told" "$said" "took longer than 1 s"
try 125 "no such kernel" -k /nowhere -- true
try 125 "no command" -t 5

# Ended from outside, by the two usual ways and by none that can be caught.
for signal in TERM INT KILL; do
	rm -rf "$TAP_TMP/out" "$TAP_TMP/stdout"
	# env: a background job of a script would ignore SIGINT
	env --default-signal=INT "$run" -v -o "$TAP_TMP/out" -- sh -c 'echo up; sleep 12345' \
		>"$TAP_TMP/stdout" 2>"$TAP_TMP/stderr" &
	pid=$!
	# it has its own idea of what is too late
	while kill -0 $pid && ! grep -qs up "$TAP_TMP/stdout"; do
		sleep 0.2
	done 2>/dev/null
	is "SIG$signal: it ran, and its output came at once" "$(cat "$TAP_TMP/stdout")" up ||
		diag "$(cat "$TAP_TMP/stderr")"
	ok "SIG$signal: QEMU can be seen" pgrep -f "path=$TAP_TMP/out"
	kill -$signal $pid
	status=0
	wait $pid 2>/dev/null || status=$?
	is "SIG$signal: status" $status $((128 + $(kill -l $signal)))
	sleep 0.5
	nok "SIG$signal: no QEMU is left" pgrep -f "path=$TAP_TMP/out"
done

done_testing
