#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Ours before the base's, signed where there is a key, and back again.
. "${0%/*}/../tap.sh"

kver=$(kernel/workbench/fetch kver)
base=$(kernel/workbench/kdir -b "$kver")/lib/modules/$kver
root=$TAP_TMP/root
tree=$root/lib/modules/$kver
mkdir -p "$tree"
cp "$base"/modules.{order,builtin,builtin.modinfo} "$tree/"
mkdir -p "$tree/kernel/drivers"
cp -r "$base/kernel/drivers/vhost" "$tree/kernel/drivers/"
depmod -b "$root" "$kver" 2>/dev/null
found() { modinfo -b "$root" -k "$kver" -n vhost_iotlb; }
run() { DESTDIR=$root MOK_KEY=$1 MOK_CERT=$2 kernel/workbench/install "${@:3}" >"$TAP_TMP/said" 2>&1; }

like "before, the base's is found" "$(found)" '/kernel/drivers/vhost/vhost_iotlb.ko.xz$'
ok "ours are installed" run '' '' "$kver"
like "ours is found" "$(found)" '/updates/migscope/vhost_iotlb.ko$'
is "the base's users are on ours" \
   "$(modprobe -d "$root" -S "$kver" --show-depends vhost 2>/dev/null | grep -c updates/migscope/vhost_iotlb.ko)" 1
is "it is what was built" "$(modinfo -F srcversion "$(found)")" \
   "$(modinfo -F srcversion "build/modules/$kver/vhost_iotlb.ko")"

openssl req -new -x509 -newkey rsa:2048 -nodes -days 1 -subj '/CN=migscope test/' -outform DER \
	-keyout "$TAP_TMP/key" -out "$TAP_TMP/cert" 2>/dev/null
ok "again, over the old ones, with a key" run "$TAP_TMP/key" "$TAP_TMP/cert" "$kver"
is "they are signed with it" "$(modinfo -F signer "$(found)")" "migscope test"
nok "a key that is not there is an error" run "$TAP_TMP/nokey" "$TAP_TMP/cert" "$kver"
like "which leaves what was there" "$(found)" '/updates/migscope/vhost_iotlb.ko$'
nok "modules of another kernel are refused" run '' '' 6.1.0-0-amd64 "build/modules/$kver/vhost_iotlb.ko"

ok "ours are taken away" run '' '' -u
like "the base's is found again" "$(found)" '/kernel/drivers/vhost/vhost_iotlb.ko.xz$'
nok "nothing of ours is left" test -e "$tree/updates"
ok "taking away what is not there is no error" run '' '' -u
ok "nor in a folder that holds no kernel" run '' '' "$kver"

done_testing
