#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12,debug timeout=900 long
#
# Every module of ours that the base has, too: modprobe finds ours, ours is what is
# in the kernel, and the base's modules on top of it do their work.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/ours.sh"

kver=$(uname -r)
ours=build/modules/$kver
stock=/lib/modules/$kver/kernel
trace=/sys/kernel/tracing/instances/dropin_test

# shellcheck disable=SC2317 # by trap
cleanup() {
	rmdir "$trace" 2>/dev/null || :
	modprobe -qr vhost_net vhost_vsock 2>/dev/null || :
	modprobe -qra virtio_vdpa vhost_vdpa 2>/dev/null || :
	rm -rf "$TAP_TMP"
}
trap cleanup EXIT

# replaces NAME KO: it is found by name, and it is what was loaded
replaces() {
	local name=$1 ko=$2 found
	found=$(modinfo -k "$kver" -n "$name")
	is "$name: modprobe finds it before the base's" "${found%/*}" "/lib/modules/$kver/updates"
	is "$name: what it finds is what was built" "$(sha256sum <"$found")" "$(sha256sum <"$ko")"
	is_ours "$name"
	like "$name: and not the base's" "$(cat "/sys/module/$name/taint")" O
}

for ko in "$ours"/*.ko; do
	name=${ko##*/}; name=${name%.ko}
	# what the base does not have, or does not load here, has its own tests
	[ -n "$(find "$stock/" -name "$name.ko*")" ] || continue
	modprobe "$name" 2>/dev/null || { note "$name does not load on this machine"; continue; }
	replaces "${name//-/_}" "$ko"
done

for user in vhost_net vhost_vsock; do
	ok "the base's $user loads on ours" modprobe "$user"
	is "$user: it is the base's" "$(cat "/sys/module/$user/taint")" ""
done
like "vhost is on vhost_iotlb" " $(ls /sys/module/vhost_iotlb/holders) " '[[:space:]]vhost[[:space:]]'

ok "vhost_net carries frames both ways" build/clients/vhost_net

mkdir "$trace"
echo 1 >"$trace/events/vhost_iotlb/enable"
build/clients/vhost_net -i >"$TAP_TMP/out" || diag "$(cat "$TAP_TMP/out")"
read -r _ frames _ misses _ updates _ invalidates <"$TAP_TMP/out"
is "the same where the device translates" "${frames:-none}" 400
num "the device missed pages, again after they were invalidated" "${misses:-0}" -gt 100
events() { grep -c " vhost_iotlb_$1: " "$trace/trace"; }
# one map more is the memory table's, which vhost asks for in any case
is "our events: one add for each update" "$(events add)" $((updates + 1))
is "our events: all is deleted in the end" "$(events delete)" "$(events add)"
num "of it by invalidation" "${invalidates:-0}" -gt 50
is "nothing was refused" "$(events reject)" 0

ok "vhost_vsock carries packets both ways" build/clients/vhost_vsock
build/clients/vhost_vsock -i >"$TAP_TMP/out" || diag "$(cat "$TAP_TMP/out")"
read -r _ packets _ misses _ _ _ invalidates <"$TAP_TMP/out"
is "the same where the device translates" "${packets:-none}" 400
num "the device missed pages, again after they were invalidated" "${misses:-0}" -gt 100
num "and they were" "${invalidates:-0}" -gt 50

done_testing
