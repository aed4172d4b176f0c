#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: stock vm=6.12,6.1 timeout=300 long
#
# The source vhost_iotlb on the kernel's own modules: every count against a client that
# knows what it did.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/watch.sh"
. "${0%/*}/../lib/vhost_iotlb.sh"
modprobe -a vhost_net tun || bail_out "no vhost_net, no tun"
load_kvm
trace=/sys/kernel/tracing/instances/iotlb_counts
# shellcheck disable=SC2317 # by trap
cleanup() {
	[ ! -d "$trace" ] || { echo nop >"$trace/current_tracer"; rmdir "$trace"; }
	watch_cleanup
	modprobe -qr vhost_net || :
}
trap cleanup EXIT

# --- it is there from the first message on
mkdir "$trace"
printf '%s\n' translate_desc iotlb_access_ok >"$trace/set_ftrace_filter"
echo function >"$trace/current_tracer"
load client -hold -denied -kvm -name guest=web,debug-threads=on
load_to client start
watch_first -x stat -j 0.5
is "no device yet" "$(sample '.devices | length')" 0
load_go client
load_to client middle
load_go client
load_to client end
sleep 1
first='.devices[] | select(.dev == "vhost-net-0")'
is "while it runs: one miss is pending, and how long" \
   "$(sample "$first.vhost_iotlb | [.pending, .oldest_seconds > 0.3, .waits_cut]")" '[1,true,0]'
is "its table is full" "$(sample "$first.vhost_iotlb | [.entries == .entries_limit, .entries]")" \
   "[true,$(cat /sys/module/vhost/parameters/max_iotlb_entries)]"
is "both devices, by the name of their VM" "$(sample '[.devices[] | [.vm, .dev, .alive]]')" \
   '[["web","vhost-net-0",true],["web","vhost-net-1",true]]'
is "the VM has that name, too" "$(sample '[.vms[].vm]')" '["web"]'
is "and can be asked for" \
   "$("$migscope" stat -j -g web 0.1 1 2>/dev/null | jq -c '[.devices[].dev]') $("$migscope" stat -j -g other 0.1 1 2>/dev/null | jq -c '.devices')" \
   '["vhost-net-0","vhost-net-1"] []'
load_end client
echo 0 >"$trace/tracing_on"
sleep 1
watch_end
iotlb_counts total "$first"
is "the other one only has its table" \
   "$(sample '.devices[] | select(.dev == "vhost-net-1") | .vhost_iotlb | [.misses, .updates, .hits, .entries_limit > 0]')" '[0,0,0,true]'
is "closed: the miss that was pending is written off, the table is gone" \
   "$(sample "$first | [.alive, .vhost_iotlb.pending, .vhost_iotlb.waits_cut, .vhost_iotlb.entries]")" '[false,0,1,0]'
is "each miss is one that was answered, repeated, or written off" \
   "$(sample "$first.vhost_iotlb | .misses == .misses_again + .miss_service.count + .waits_full + .waits_cut + .pending")" true
# one more look at the same: ftrace saw each translation
is "hits, misses and denials are all the translations there were" \
   "$(sample "$first.vhost_iotlb | .hits + .misses + .denied")" \
   "$(grep -cE ': (translate_desc|iotlb_access_ok) ' "$trace/trace")"
num "and most of them hits" "$(sample "$first.vhost_iotlb.hits")" -gt 60
is "nothing was lost" "$(sample '.lost | add')" 0
ok "as SCHEMA.md says" tests/lib/schema.py tools/migscope/SCHEMA.md "$TAP_TMP/watch"

# --- it comes to a device that has been at work
load client -hold
load_to client start
load_go client
load_to client middle
watch stat -j 0.5 -s vhost_iotlb
load_go client
load_to client end
sleep 1
load_end client
sleep 1
watch_end
first=".devices[] | select(.pid == $(truth client .pid) and .dev == \"vhost-net-0\")"
want=$(truth client '.since_middle | [.misses, .again, .waits, .updates, .invalidates, .evictions]')
is "in the middle: every count since then" \
   "$(sample "$first.vhost_iotlb | [.misses, .misses_again, .miss_service.count, .updates, .invalidates, .evictions]")" "$want"
is "default mode has nothing on a translation, and no count of it" \
   "$(sample "[$first.vhost_iotlb | has(\"hits\"), has(\"denied\")]")" '[false,false]'
like "the process has no VM: it is known by its name" "$(sample "$first.vm")" '^vhost_net_miss-'

# --- the report
watch stat 0.5 -s vhost_iotlb
load client
load_end client
sleep 1
watch_end
like "the table shows it as it goes" "$(cat "$TAP_TMP/watch")" "vhost-net-0: [0-9]+ misses, answered in"
like "and the report" "$(cat "$TAP_TMP/watch")" "misses: $(truth client .total.misses)"$'\n'
like "with what was refused" "$(cat "$TAP_TMP/watch")" 'messages refused, EINVAL: 1'

# --- and a migscope that counts wrong would be noticed, by each of its counts
migscope=build/tests/miscount/iotlb/migscope
watch -x stat -j 0.5 -s vhost_iotlb
load client -hold -denied
load_to client start; load_go client; load_to client middle; load_go client; load_to client end
sleep 1
first='.devices[] | select(.dev == "vhost-net-0")'
is "counted wrong: a wait is over that nobody ended" "$(sample "$first.vhost_iotlb.pending")" 0
load_end client
sleep 1
watch_end
for what in misses_again/again miss_service.count/waits evictions/evictions denied/denied errors.EFAULT/efault; do
	isnt "counted wrong: ${what%/*}" "$(sample "$first.vhost_iotlb.${what%/*}")" "$(truth client ".total.${what#*/}")"
done

done_testing
