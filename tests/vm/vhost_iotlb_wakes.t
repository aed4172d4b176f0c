#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12 timeout=300
#
# How long misses waited, three times of the same run on our vhost: by its own events, read as
# they are; by migscope on these; and by a second migscope on the hooks that it has for
# the kernel's own vhost.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/watch.sh"
modprobe -a vhost_net tun || bail_out "no vhost_net, no tun"
like "vhost is ours" "$(cat /sys/module/vhost/taint)" O
trace=/sys/kernel/tracing/instances/iotlb_wakes
other=''
# shellcheck disable=SC2317 # by trap
cleanup() {
	[ -z "$other" ] || kill "$other" 2>/dev/null || :
	watch_cleanup
	rmdir "$trace" 2>/dev/null || :
	modprobe -qr vhost_net || :
}
kvm_loaded=''
trap cleanup EXIT
mkdir "$trace"
echo 1 >"$trace/events/vhost/enable"

# the events are taken from the second one: it is as on a kernel that has none
gone=()
for p in iotlb_miss iotlb_wake iotlb_add iotlb_retire iotlb_reject; do
	gone+=(--target "${p}_event=no_such_event")
done
"$migscope" "${gone[@]}" doctor -j >"$TAP_TMP/doctor" || :
is "the second has the hooks alone" \
   "$(jq -c '[.probes[] | select(.probe | test("^iotlb_(miss|wake|add)")) | select(.state == "attached") | .probe]' "$TAP_TMP/doctor")" \
   '["iotlb_miss","iotlb_add_begin","iotlb_add_end"]'
"$migscope" doctor -j >"$TAP_TMP/doctor" || :
is "the first has the events" \
   "$(jq -c '[.probes[] | select(.probe | test("^iotlb_(miss|wake|add)")) | select(.state == "attached") | .probe]' "$TAP_TMP/doctor")" \
   '["iotlb_miss_event","iotlb_wake_event","iotlb_add_event"]'

"$migscope" "${gone[@]}" stat -j 0.5 -s vhost_iotlb >"$TAP_TMP/other" 2>"$TAP_TMP/other.err" &
other=$!
watch stat -j 0.5 -s vhost_iotlb
for ((tries = 0; tries < 300; tries++)); do
	[ ! -s "$TAP_TMP/other" ] || break
	sleep 0.1
done
# answered so late that what lies between one observer and the next does not count
build/clients/vhost_net -i -w 20 >"$TAP_TMP/client" || diag "$(cat "$TAP_TMP/client")"
sleep 1.5
watch_end
kill -INT "$other"
wait "$other" || :
other=''

first='.devices[] | select(.dev == "vhost-net-0") | .vhost_iotlb'
second() { tail -n 1 "$TAP_TMP/other" | jq -c "$first | $1"; }
client() { sed -n "s/.* $1 \([0-9]*\).*/\1/p" "$TAP_TMP/client"; }
is "no event was lost" "$(awk '/^overrun|^dropped/ { n += $2 } END { print n }' "$trace"/per_cpu/cpu*/stats)" 0
wakes=$(grep -c ' vhost_wake: ' "$trace/trace")
num "misses were answered" "$wakes" -ge 10
is "each that was, by the events" "$(sample "$first.miss_service.count")" "$wakes"
is "by the hooks" "$(second .miss_service.count)" "$wakes"
is "misses, by the events" "$(sample "$first.misses")" "$(grep -c ' vhost_miss: ' "$trace/trace")"
is "updates of both are the client's" "$(sample "$first.updates") $(second .updates)" \
   "$(client updates) $(client updates)"
ns=$(sed -n 's/.* vhost_wake: .* after \([0-9]*\) ns$/\1/p' "$trace/trace" | paste -sd+ | bc)
is "how long they waited is what vhost says, to the microsecond" \
   "$(sample "$first.miss_service.seconds * 1e9 - $ns | fabs < 1000")" true
diag "vhost: $ns ns; by its events: $(sample "$first.miss_service.seconds") s; by the hooks: $(second .miss_service.seconds) s"
is "the hooks agree, within a tenth" \
   "$(second ".miss_service.seconds * 1e9 / $ns | . > 0.9 and . < 1.1")" true
done_testing
