#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12,debug timeout=300
#
# Our vhost.ko: misses and answers between a device and its user space, as a client
# that knows which address each queue waits for sees them; its events, counted.
. "${0%/*}/../tap.sh"

trace=/sys/kernel/tracing/instances/vhost_test

# shellcheck disable=SC2317 # by trap
cleanup() {
	rmdir "$trace" 2>/dev/null || :
	rm -rf "$TAP_TMP"
}
trap cleanup EXIT

modprobe -a vhost_vsock vhost_net tun || bail_out "no vhost_vsock, vhost_net, tun"
is "vhost is ours" "$(modinfo -F filename vhost)" "/lib/modules/$(uname -r)/updates/vhost.ko"
mkdir "$trace" || bail_out "no trace instance"
echo 1 >"$trace/events/vhost/enable"

timeout 120 build/clients/vhost_messages >"$TAP_TMP/log" 2>"$TAP_TMP/err"
is "the client's status" "$? $(<"$TAP_TMP/err")" "0 "
relay '' "$TAP_TMP/log" 40

read -r -a want < <(sed -n 's/^events //p' "$TAP_TMP/log")
for ((i = 0; i < ${#want[@]}; i += 2)); do
	is "events: ${want[i]}, each once" \
	   "$(grep -c " vhost_${want[i]}: " "$trace/trace")" "${want[i + 1]}"
done
is "all kinds of events were looked at" "${#want[@]}" 8
num "a queue forgets where its ring is with each message" \
    "$(grep -c " vhost_meta_reset: " "$trace/trace")" -ge $((want[5] + want[7]))
is "no event was lost" "$(awk '/^overrun|^dropped/ { n += $2 } END { print n }' "$trace"/per_cpu/cpu*/stats)" 0

# the base's log of what the device writes, where our translations are in between, too
ok "what the device wrote is logged" build/clients/vhost_net -l
ok "what it wrote by translations is, under each address" build/clients/vhost_net -il

# a chain of more pieces than can be noted, of which those that are empty are not; what is left
# of it is in the log once, and by translations in two pieces
ok "what it wrote to one piece of very many is logged" build/clients/vhost_net -lp
ok "as is, by translations, what it wrote to two" build/clients/vhost_net -ilp

done_testing
