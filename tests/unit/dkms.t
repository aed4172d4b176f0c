#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: host needs=root,qemu long
#
# The package of the modules, where it is meant for: installed beside the archive's headers and
# source, DKMS builds, signs and lays them where modprobe finds them before the kernel's own;
# they load, and migscope doctor knows them; another kernel keeps its own; removed, none is
# left. Installed aside, never on this machine; loaded in a virtual one.
. "${0%/*}/../tap.sh"

tests/lib/aside true 2>/dev/null || skip_all "root may not mount an overlay here"
kver=$(kernel/workbench/fetch kver)
image=$(kernel/workbench/fetch image)
headers=$(kernel/workbench/fetch headers)
src=$(kernel/workbench/fetch source)
release=${src##*/source-}
VERSION=$(build/migscope --version | sed 's/.* //') tools/packaging/build "$kver" "$TAP_TMP/deb" >/dev/null 2>&1
dkms=("$TAP_TMP"/deb/migscope-dkms_*.deb)
version=$(dpkg-deb -f "${dkms[0]}" Version)
re=${kver//+/.}	# for a regular expression
out=$TAP_TMP/out
mkdir "$out"

# package NAME VERSION: of what lies in $TAP_TMP/NAME
package() {
	mkdir -p "$TAP_TMP/$1/DEBIAN"
	printf '%s\n' "Package: $1" "Version: $2" "Architecture: all" "Maintainer: nobody <nobody@localhost>" \
		"Description: stands in for the archive's" >"$TAP_TMP/$1/DEBIAN/control"
	dpkg-deb --root-owner-group -Znone -b "$TAP_TMP/$1" "$TAP_TMP/$1.deb" >/dev/null
}
# As the archive's, but only of what is read of it: it takes a minute to unpack.
mkdir -p "$TAP_TMP/linux-source-6.12/usr/src"
tar -C "$src" --transform 's|^|linux-source-6.12/|' -cf - Makefile arch/x86/kvm virt drivers/vhost drivers/vfio drivers/vdpa |
	xz -0 >"$TAP_TMP/linux-source-6.12/usr/src/linux-source-6.12.tar.xz"
package linux-source-6.12 "$release"
# What the headers' package lays; the headers themselves stay where they were unpacked.
mkdir -p "$TAP_TMP/linux-headers-6.12-amd64/lib/modules/$kver"
ln -s "$headers" "$TAP_TMP/linux-headers-6.12-amd64/lib/modules/$kver/build"
mkdir -p "$TAP_TMP/linux-headers-6.12-amd64/lib/modules/6.12.1+deb12-amd64"
ln -s "$headers" "$TAP_TMP/linux-headers-6.12-amd64/lib/modules/6.12.1+deb12-amd64/build"
package linux-headers-6.12-amd64 "$release"

cat >"$TAP_TMP/aside" <<'ASIDE'
kver=$1 image=$2 dkms=$3 packages=$4 out=$5 version=$6
say() { printf '%s: %s\n' "$1" "$2"; }
mkdir -p /lib/modules
cp -a "$image/lib/modules/$kver" /lib/modules/
dpkg -i --no-triggers "$packages"/linux-*.deb >&2
say before "$(modinfo -k "$kver" -n kvm)"
dpkg -i --no-triggers "$dkms" >&2; say install $?
dkms status >"$out/status"
for ko in /lib/modules/"$kver"/updates/dkms/*; do
	name=${ko##*/}
	name=${name%.ko*}
	[ "$(modinfo -k "$kver" -n "$name")" = "$ko" ] || say hidden "$name"
	[ -n "$(modinfo -F signer "$ko")" ] || say unsigned "$name"
	say built "$name"
	cp "$ko" "$out/"
done
say after "$(modinfo -k "$kver" -n kvm)"
say other "$(ls -A /lib/modules/6.12.1+deb12-amd64)"
# once more, over itself: the gate must not take ours for the kernel's own
say again "$(cd /tmp && cp -r "/usr/src/migscope-$version" again && cd again && MIGSCOPE_INSTALLED=1 MIGSCOPE_CACHE=/tmp/cache \
	kernel/workbench/modules "$kver" vhost_iotlb 2>&1 | grep -c 'gate: vhost_iotlb: 10 exported symbols')"
# a symbol that the base has not: refused, and said
sed -i 's/^EXPORT_SYMBOL_GPL(vhost_iotlb_reset);//' /tmp/again/kernel/vhost_iotlb/iotlb.c
say refused "$(cd /tmp/again && MIGSCOPE_INSTALLED=1 MIGSCOPE_CACHE=/tmp/cache \
	kernel/workbench/modules "$kver" vhost_iotlb 2>&1 | grep -o 'vhost_iotlb_reset: the base exports it, ours does not')"
dpkg -r --no-triggers migscope-dkms >&2; say removed $?
say back "$(modinfo -k "$kver" -n kvm)"
say left "$(dkms status)$(ls -d /lib/modules/"$kver"/updates /usr/src/migscope* /var/lib/dkms/migscope 2>/dev/null)"
ASIDE
timeout 3000 tests/lib/aside -w "$TAP_TMP" bash "$TAP_TMP/aside" "$kver" "$image" "${dkms[0]}" "$TAP_TMP" "$out" "$version" \
	>"$TAP_TMP/said" 2>"$TAP_TMP/log"
got() { sed -n "s/^$1: //p" "$TAP_TMP/said"; }
like "before, the kernel's own is found" "$(got before)" "/lib/modules/$re/kernel/"
is "the package is installed" "$(got install)" 0 || diag "$(tail -30 "$TAP_TMP/log")"
is "DKMS has built and installed it, all of it" "$(<"$out/status")" "migscope/$version, $kver, x86_64: installed" ||
	diag "$(tail -n 40 "$TAP_TMP/log")"
is "each module" "$(got built | tr - _ | sort | paste -sd' ')" \
   "$(find "build/modules/$kver" -name '*.ko' -printf '%f\n' | sed 's/\.ko$//' | tr - _ | sort | paste -sd' ')"
is "modprobe finds each before the kernel's own" "$(got hidden)" ''
is "each is signed" "$(got unsigned)" ''
like "ours is found" "$(got after)" "/lib/modules/$re/updates/dkms/kvm.ko"
like "a kernel without its source is skipped" "$(<"$TAP_TMP/log")" '6.12.1.deb12-amd64.*does not match'
is "and has nothing of ours" "$(got other)" build
is "built once more, it is compared with the kernel's own" "$(got again)" 1
is "what the gate refuses is not built" "$(got refused)" 'vhost_iotlb_reset: the base exports it, ours does not'
is "the package is removed" "$(got removed)" 0
like "the kernel's own is found again" "$(got back)" "/lib/modules/$re/kernel/"
is "nothing of it is left" "$(got left)" ''

# --- in a machine, as DKMS laid them there
cat >"$TAP_TMP/guest" <<'GUEST'
cp -a "/lib/modules/$1" "$2/modules"
mkdir -p "$2/modules/updates/dkms"
cp "$3"/*.ko* "$2/modules/updates/dkms/"
mount --bind "$2/modules" "/lib/modules/$1"
depmod "$1"
modprobe vhost_net
modprobe -a kvm_amd vfio vhost_vdpa
build/migscope doctor -j | jq -rc '.modules[] | [.module, .state] | join(" ")'
GUEST
said=$(tests/vm/run -S -m 3G -t 300 -o "$TAP_TMP/vm" -- bash -c "$(<"$TAP_TMP/guest")" guest "$kver" /dev/shm "$out" 2>"$TAP_TMP/err")
for module in vhost_iotlb vhost kvm vfio_iommu_type1; do
	like "$module: loads from there, and doctor takes it for ours" "$said" "$module ours" ||
		diag "$said" "$(tail -20 "$TAP_TMP/err")"
done

done_testing
