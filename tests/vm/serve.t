#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: host needs=root,kvm,bpf else=6.12,long timeout=900
#
# migscope serve: the numbers of a known workload, what it stands, who it is, how it ends.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/watch.sh"
. "${0%/*}/../lib/serve.sh"
load_kvm

# --- a known workload, whose end is waited at
# larger than the memory of a display, whose logging is no migration
load ring --mode ring --vcpus 2 --ring-size 1024 --pages 3000 --passes 2 --memory 96M --force-full --name "ring$$" --wait-start --hold
load_to ring start
# longer than a scrape takes, which without hardware's help is seconds
keep=10s
[ "$MIGSCOPE_KERNEL" = host ] || keep=60s
serve --keep $keep
for path in -/healthy -/ready; do
	is "/$path" "$(curl -s -o /dev/null -w '%{http_code}' "$serve_url/$path")" 200
done
# migrations that are over, of all VMs
over() { jq -s 'map(select(.name == "migscope_migrations_total") | .value) | add' "$TAP_TMP/scrape.json"; }
scrape_all
before=$(over)
load_go ring
load_to ring end
# others may run VMs on this host, too
vm=$(scrape_all && jq -sr --arg name "ring$$" 'map(select(.name == "migscope_vm_info" and .labels.dirty_mode == "ring") | .labels.vm | select(startswith($name))) | .[0]' "$TAP_TMP/scrape.json")
isnt "the VM is there" "$vm" null

# of the VM: NAME [LABEL VALUE]
value() { jq -sr --arg vm "$vm" --arg n "migscope_$1" --arg l "${2:-vm}" --arg v "${3:-$vm}" \
	'map(select(.name == $n and .labels.vm == $vm and .labels[$l] == $v)) | if length == 1 then .[0].value else "\(length) of them" end' "$TAP_TMP/scrape.json"; }

max=$(value ring_used_entries_max)
declare -A got
for format in classic openmetrics; do
	scrape_all $format
	for name in dirty_pages_total ring_full_exits_total ring_reset_entries_total ring_resets_total ring_size_entries ring_soft_limit_entries ring_full_stall_seconds_count; do
		got[$format.$name]=$(value $name)
	done
	got[$format.fill_all]=$(value ring_fill_at_reset_ratio_bucket le +Inf)
	got[$format.fill_0]=$(value ring_fill_at_reset_ratio_bucket le 0.0)
	got[$format.fill_5]=$(value ring_fill_at_reset_ratio_bucket le 0.5)
done
alive=$(value vm_alive)
load_end ring
declare -A want=(
	[dirty_pages_total]='[.vms[0].total.vcpus[].pushes] | add'
	[ring_full_exits_total]='[.vms[0].total.vcpus[].full_exits] | add'
	[ring_full_stall_seconds_count]='[.vms[0].total.vcpus[].stalls.ended] | add'
	[ring_reset_entries_total]='[.vms[0].total.vcpus[].reset_entries] | add'
	[ring_resets_total]='.vms[0].total.resets.calls'
	[ring_size_entries]='.vms[0].ring.size'
	[ring_soft_limit_entries]='.vms[0].ring.soft_limit'
	[fill_all]='[.vms[0].total.vcpus[].reset_events] | add'
	[fill_0]='[.vms[0].total.vcpus[].occupancy[0]] | add'
	[fill_5]='[.vms[0].total.vcpus[].occupancy[0:6][]] | add'
)
for name in "${!want[@]}"; do
	for format in classic openmetrics; do
		is "$format: $name is what the workload did" "${got[$format.$name]}" "$(truth ring "${want[$name]}")"
	done
done
is "it was alive" "$alive" 1
is "the highest fill of the last minute" "$max" "$(truth ring '[.vms[0].total.vcpus[].high_water] | max')"

# --- its end: it stays for a while, then its series end
scrape_all
for ((i = 0; i < 60; i++)); do
	scrape_all
	[ "$(value vm_alive)" != 0 ] || break
	sleep 0.2
done
is "when it has ended its series stay" "$(value vm_alive):$(value dirty_pages_total)" "0:$(truth ring "${want[dirty_pages_total]}")"
for ((i = 0; i < 400; i++)); do
	scrape_all
	[ "$(value vm_alive)" != '0 of them' ] || break
	sleep 0.2
done
is "and are gone after --keep" "$(jq -sr --arg vm "$vm" 'map(select(.labels.vm == $vm)) | length' "$TAP_TMP/scrape.json")" 0
num "but it was a migration, which stays counted" "$(over)" -gt "$before"
is "each of them has a duration" "$(jq -s 'map(select(.name == "migscope_migration_duration_seconds_count") | .value) | add' "$TAP_TMP/scrape.json")" "$(over)"
# with others on this host one may be over in between
for ((i = 0; i < 10; i++)); do
	scrape_all
	curl -sf "$serve_url/sample.json" >"$TAP_TMP/sample.json"
	[ "$(jq '[.migrations.ended[].count] | add' "$TAP_TMP/sample.json")" != "$(over)" ] || break
done
is "/sample.json says the same" "$(jq -c '.migrations.ended | map_values(.count) | to_entries | map([.key, .value]) | sort' "$TAP_TMP/sample.json")" \
	"$(jq -sc 'map(select(.name == "migscope_migrations_total") | [.labels.outcome, .value]) | sort' "$TAP_TMP/scrape.json")"
ok "/sample.json is as SCHEMA.md says" tests/lib/schema.py tools/migscope/SCHEMA.md "$TAP_TMP/sample.json"

# --- who it is
for cap in CapPrm CapEff CapBnd CapInh CapAmb; do
	is "the process that answers HTTP: $cap" "$(status "$http_pid" $cap)" 0000000000000000
done
is "it is nobody" "$(status "$http_pid" Uid)" "65534 65534 65534 65534"
is "it has no other groups" "$(status "$http_pid" Groups)" ""
is "it can get no privilege" "$(status "$http_pid" NoNewPrivs)" 1
is "it holds no program and no link but iterators" \
	"$(grep -h '^link_type' /proc/"$http_pid"/fdinfo/* 2>/dev/null | grep -vc iter):$(grep -lh '^prog_type' /proc/"$http_pid"/fdinfo/* 2>/dev/null | xargs -r grep -L '^link_type' | wc -l)" 0:0
for info in /proc/"$http_pid"/fdinfo/*; do
	if grep -qs '^map_id' "$info" && grep -q '^flags:.*2$' "$info"; then
		bpftool -j map show id "$(sed -n 's/^map_id:\s*//p' "$info")" | jq -r .name
	fi
done | sort | xargs >"$TAP_TMP/written"
# rings are its own to forget where nothing tells of their end
rings=$("$migscope" doctor -j | jq -r 'if any(.probes[]; .state == "attached" and (.probe | IN("ring_free", "ring_free_event"))) then "" else " ms_rings" end')
is "it can write to maps that it forgets from, and no others" "$(cat "$TAP_TMP/written")" \
	"ms_iotlb_devs ms_log_vms ms_ring_vms$rings ms_threads ms_vdpas ms_vfio_migs ms_vfios ms_vm_ids ms_vms"
is "the other keeps CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN" "$(status "$serve_pid" CapEff)" 000000c000200000
is "it listens on loopback alone" "$(ss -Hltn "sport = :$serve_port" | awk '{print $4}')" "127.0.0.1:$serve_port"

# --- what it stands: the same on every kernel, and slow in a machine
if [ "$MIGSCOPE_KERNEL" = host ]; then
	tests/clients/http_abuse "$serve_port" slowly >"$TAP_TMP/abuse" 2>&1
	is "http_abuse: status" "$?" 0
	is "http_abuse: what failed" "$(grep -v '^ok\|^1\.\.' "$TAP_TMP/abuse")" ''
	num "http_abuse: all of it ran" "$(grep -c '^ok' "$TAP_TMP/abuse")" -gt 42
fi
num "it stays small (KiB)" "$(status "$http_pid" VmHWM | tr -dc 0-9)" -lt 30720

# --- how it ends
serve_end TERM
is "SIGTERM: status" "$serve_status" 0
ok "SIGTERM: nobody is left" gone "$http_pid"
for signal in INT HUP; do
	serve
	serve_end $signal
	is "SIG$signal: status" "$serve_status" 0
done
serve
kill -KILL "$serve_pid"
wait "$serve_pid" 2>/dev/null
ok "the helper is killed: the other ends as well" gone "$http_pid"
serve
kill -KILL "$http_pid"
serve_wait
is "the other is killed: the helper says so, and ends" "$serve_status:$(grep -c 'is gone' "$TAP_TMP/serve.err")" 1:1

serve
kill -STOP "$http_pid"
serve_end TERM
is "the other is stuck: the helper says so, and ends" "$serve_status:$(grep -c 'does not end' "$TAP_TMP/serve.err")" 1:1
kill -CONT "$http_pid"
ok "the other is stuck: once it goes on it ends as well" gone "$http_pid"

# --- where nobody may see others' processes
load hidden --mode ring --vcpus 1 --ring-size 1024 --pages 100 --name "hidden$$" --hold
load_to hidden end
hidden() {	# LEVEL: what it says of the VM: its name, whether it is alive
	rm "$TAP_TMP/serve.out"
	unshare -m sh -c 'mount --make-rprivate / && mount -t proc -o hidepid='"$1"' proc /proc && exec "$@"' sh \
		"$migscope" serve -l 127.0.0.1:0 >"$TAP_TMP/serve.out" 2>"$TAP_TMP/serve.err" &
	serve_pid=$!
	for ((i = 0; i < 300; i++)); do ! grep -qs '^serving ' "$TAP_TMP/serve.out" || break; sleep 0.1; done
	serve_url=$(sed -n 's|^serving \(http://[^ ]*\)/metrics.*|\1|p' "$TAP_TMP/serve.out")
	scrape_all
	jq -sr --arg vm "-${load_pid[hidden]}" 'map(select(.name == "migscope_vm_alive" and (.labels.vm | endswith($vm))) | .value) | join(" ")' "$TAP_TMP/scrape.json"
	serve_end TERM
}
for level in 1 2; do
	hidden $level >"$TAP_TMP/alive"
	is "hidepid=$level: a VM is not taken for one that ended" "$(cat "$TAP_TMP/alive")" 1
	like "hidepid=$level: it says what that means" "$(cat "$TAP_TMP/serve.err")" 'hides processes'
done
load_end hidden

# --- what is attached cannot be read: at first, for a while
cat >"$TAP_TMP/refuse.c" <<-'C'
	#include <errno.h>
	#include <stdarg.h>
	#include <stdlib.h>
	#include <sys/syscall.h>
	#include <unistd.h>
	/*
	 * bpf() is refused to who is not root, with REFUSE only while there is such a file; with HOLD
	 * root waits in it while there is one
	 */
	long syscall(long nr, ...)
	{
		long a[6], ret;
		va_list ap;

		va_start(ap, nr);
		for (int i = 0; i < 6; i++)
			a[i] = va_arg(ap, long);
		va_end(ap);
		while (nr == SYS_bpf && !geteuid() && getenv("HOLD") && !access(getenv("HOLD"), F_OK))
			usleep(10000);
		if (nr == SYS_bpf && geteuid() && (!getenv("REFUSE") || !access(getenv("REFUSE"), F_OK))) {
			errno = EPERM;
			return -1;
		}
		register long r10 asm("r10") = a[3], r8 asm("r8") = a[4], r9 asm("r9") = a[5];
		asm volatile("syscall" : "=a"(ret) : "a"(nr), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
			     : "rcx", "r11", "memory");
		if (ret < 0 && ret > -4096) {
			errno = -ret;
			return -1;
		}
		return ret;
	}
C
gcc -shared -fPIC -O1 -o "$TAP_TMP/refuse.so" "$TAP_TMP/refuse.c"
LD_PRELOAD=$TAP_TMP/refuse.so timeout 60 "$migscope" serve -l 127.0.0.1:0 >"$TAP_TMP/out" 2>"$TAP_TMP/err"
is "nothing can be read: status" "$?" 1
like "nothing can be read: says why" "$(cat "$TAP_TMP/err")" 'cannot be read: Operation not permitted'
is "nothing can be read: it does not say that it serves" "$(cat "$TAP_TMP/out")" ''

# --- ready is who has a sample
# ready PATH: status, and what it says
ready() { curl -s -m 60 -w '%{http_code} ' -o "$TAP_TMP/said" "$serve_url$1" | cat - "$TAP_TMP/said"; }
# becomes PATH WANT: what it says once that is WANT, or has not become it for long
becomes() {
	local i said=''
	for ((i = 0; i < 300; i++)); do
		said=$(ready "$1")
		[ "$said" != "$2" ] || break
		sleep 0.1
	done
	echo "$said"
}
# nobody has to see the files
chmod 711 "$TAP_TMP"
touch "$TAP_TMP/hold"
rm -f "$TAP_TMP/serve.out"
HOLD=$TAP_TMP/hold REFUSE=$TAP_TMP/refuse LD_PRELOAD=$TAP_TMP/refuse.so "$migscope" serve -l 127.0.0.1:0 \
	>"$TAP_TMP/serve.out" 2>"$TAP_TMP/serve.err" &
serve_pid=$!
serve_port=''
for ((i = 0; i < 300 && ${#serve_port} == 0; i++)); do
	serve_port=$(ss -Hltnp | sed -n "s/.* 127\.0\.0\.1:\([0-9]*\) .*[,(]pid=$serve_pid,.*/\1/p")
	sleep 0.1
done
serve_url=http://127.0.0.1:$serve_port
is "nothing is attached yet: it is healthy" "$(ready /-/healthy)" '200 healthy'
for path in /-/ready /metrics /sample.json; do
	is "nothing is attached yet: $path" "$(ready $path)" '503 nothing is attached yet'
done
is "nothing is attached yet: it does not say that it serves" "$(cat "$TAP_TMP/serve.out")" ''
rm "$TAP_TMP/hold"
is "once it is: ready" "$(becomes /-/ready '200 ready')" '200 ready'
touch "$TAP_TMP/refuse"
is "sampling fails: not ready" "$(becomes /-/ready '503 no sample could be taken')" '503 no sample could be taken'
is "sampling fails: no old numbers" "$(ready /metrics)" '503 no sample could be taken'
is "sampling fails: it is healthy all the same" "$(ready /-/healthy)" '200 healthy'
rm "$TAP_TMP/refuse"
is "it works again: ready" "$(becomes /-/ready '200 ready')" '200 ready'
is "sampling fails: said once, and why" "$(grep 'no sample' "$TAP_TMP/serve.err")" 'migscope: no sample could be taken: Operation not permitted'
serve_end TERM

# --- a module that is let go and comes back, again and again: here kvm need not be one
cat >"$TAP_TMP/cycles" <<-'SH'
	mount --make-rprivate / && mount -t tmpfs none /run || exit
	mkdir -p /run/module/kvm /run/migscope/release
	echo live >/run/module/kvm/initstate
	mount --bind /run/module /sys/module || exit
	"$1" serve -l 127.0.0.1:0 >/run/out &
	pid=$!
	holds() { grep -ls "^$1" /proc/$pid/fdinfo/* | wc -l; }
	settled() { local n; until n=$(holds map_id); sleep 1; [ "$n" = "$(holds map_id)" ]; do :; done; echo "$n"; }
	until grep -qs '^serving' /run/out || ! kill -0 $pid; do sleep 0.1; done
	url=$(sed -n 's|^serving \(http://[^ ]*\)/metrics.*|\1|p' /run/out)
	# is WANT: what it says to /-/ready, once that is WANT
	is() { for ((i = 0; i < 100; i++)); do said=$(curl -s -m 60 "$url/-/ready"); [ "$said" != "$1" ] || break; sleep 0.1; done; echo "$said" >>"$2"; }
	while kill -0 $pid 2>/dev/null; do curl -s -m 60 "$url/sample.json"; sleep 0.05; done >"$3" &
	before=$(holds link_type)
	for ((cycle = 0; cycle < 4; cycle++)); do
		stat -c %i /sys/module/kvm >/run/migscope/release/kvm
		for ((i = 0; i < 100; i++)); do [ "$(holds link_type)" = "$before" ] || break; sleep 0.1; done
		is 'no probe is attached: migscope doctor says why' "$2"
		rm /run/migscope/release/kvm
		for ((i = 0; i < 100; i++)); do [ "$(holds link_type)" != "$before" ] || break; sleep 0.1; done
		is ready "$2"
		settled
	done | uniq -c | awk '{ print $1 }'
	kill $pid
	wait $pid
SH
if [ "$MIGSCOPE_KERNEL" = host ]; then
	is "let go and taken back, four times: as many descriptors each time" \
		"$(unshare -m bash "$TAP_TMP/cycles" "$PWD/$migscope" "$TAP_TMP/ready" "$TAP_TMP/samples")" 4
	is "let go and taken back: no sample is from farther than the one before it" \
		"$(jq -c 'select(.interval > 3 and .interval > .elapsed / 2) | [.interval, .elapsed]' "$TAP_TMP/samples")" ''
	num "let go and taken back: samples were looked at" "$(wc -l <"$TAP_TMP/samples")" -ge 20
	is "let go, it is not ready; taken back, it is" "$(sort "$TAP_TMP/ready" | uniq -c | xargs)" \
		'4 no probe is attached: migscope doctor says why 4 ready'
fi

# --- told to a service manager
socat -u "UNIX-RECV:$TAP_TMP/notify" "CREATE:$TAP_TMP/told" &
socat_pid=$!
for ((i = 0; i < 50; i++)); do [ -S "$TAP_TMP/notify" ] && break; sleep 0.1; done
NOTIFY_SOCKET=$TAP_TMP/notify serve
serve_end TERM
for ((i = 0; i < 100; i++)); do ! grep -q STOPPING "$TAP_TMP/told" || break; sleep 0.1; done
kill "$socat_pid" 2>/dev/null
wait "$socat_pid" 2>/dev/null
like "notify: ready" "$(tr '\0' ' ' <"$TAP_TMP/told")" 'READY=1'
like "notify: the end" "$(tr '\0' ' ' <"$TAP_TMP/told")" 'STOPPING=1'

# --- arguments
serve
"$migscope" serve -l "127.0.0.1:$serve_port" >"$TAP_TMP/out" 2>"$TAP_TMP/err"
is "the port is taken: status" "$?" 1
like "the port is taken: says so" "$(cat "$TAP_TMP/err")" 'in use'
is "the port is taken: nothing else" "$(cat "$TAP_TMP/out")" ''
serve_end TERM
for bad in '-l' '-l x' '-l 127.0.0.1' '-l :80' '-l ::1:80' '-l localhost:80' '-l [::1:80' '--keep x' '--keep 9999999h' '--max-series 0' '--max-series -1' '--max-series 99999999999999999999' '-s nothing' 'word' '-q'; do
	# shellcheck disable=SC2086 # words
	timeout 20 "$migscope" serve $bad >"$TAP_TMP/out" 2>"$TAP_TMP/err"
	is "serve $bad: usage" "$?" 2
	isnt "serve $bad: says why" "$(cat "$TAP_TMP/err")" ""
done
"$migscope" serve -l 127.0.0.1:0 --user no-such-user >"$TAP_TMP/out" 2>"$TAP_TMP/err"
is "an unknown user: status" "$?" 1
is "an unknown user: says so, and nothing else" "$(cat "$TAP_TMP/err")" 'migscope: no-such-user: no such user'
done_testing
