#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A module that the base's users would not load on, or would misread, is not built.
. "${0%/*}/../tap.sh"

kver=$(kernel/workbench/fetch kver)
kdir=$(kernel/workbench/kdir "$kver")
base=$(kernel/workbench/kdir -b "$kver")
stage=build/stage/$kver
ko=$stage/vhost_iotlb/vhost_iotlb.ko
[ -f "$ko" ] || bail_out "no $ko: make modules"

# symvers SED-SCRIPT: the gate, with our table of exports edited
symvers() {
	mkdir -p "$TAP_TMP/stage"
	sed -E "$1" "$stage/Module.symvers" >"$TAP_TMP/stage/Module.symvers"
	gate "$TAP_TMP/stage" "$ko"
}
gate() { kernel/workbench/gate "$kver" "$kdir" "$base" "$1" "$2" >"$TAP_TMP/said" 2>&1; }
said() { cat "$TAP_TMP/said"; }

ok "what was built is let through" symvers ''
like "and its exports were counted" "$(said)" 'vhost_iotlb: 10 exported symbols'
nok "a missing symbol is refused" symvers '/\tvhost_iotlb_map_free\t/d'
like "and named" "$(said)" 'vhost_iotlb_map_free: the base exports it, ours does not'
nok "another CRC is refused" symvers '/\tvhost_iotlb_init\t/s/^0x......../0x12345678/'
like "and named" "$(said)" 'vhost_iotlb_init: CRC is 0x12345678, the base has 0x'
nok "another export type is refused" symvers '/\tvhost_iotlb_free\t/s/EXPORT_SYMBOL_GPL/EXPORT_SYMBOL/'
like "and named" "$(said)" 'vhost_iotlb_free: export type is EXPORT_SYMBOL, the base has EXPORT_SYMBOL_GPL'
nok "a namespace is refused" symvers '/\tvhost_iotlb_free\t/s/\t$/\tVHOST/'
like "and named" "$(said)" 'vhost_iotlb_free: namespace is VHOST, the base has none'
objcopy -R .BTF "$ko" "$TAP_TMP/vhost_iotlb.ko"
nok "a module without BTF is refused" gate "$stage" "$TAP_TMP/vhost_iotlb.ko"
# the licence of another length would move what follows it
sed 's/license=GPL v2/license=GPL v3/' "$ko" >"$TAP_TMP/vhost_iotlb.ko"
nok "another licence is refused" gate "$stage" "$TAP_TMP/vhost_iotlb.ko"
like "and named" "$(said)" "licence is .'GPL v3'"

# A machine where one of ours is installed: modules.dep names that, the base's lies there still.
tree=$TAP_TMP/machine/lib/modules/$kver
mkdir -p "$tree/updates/dkms"
ln -s "$base/lib/modules/$kver/kernel" "$tree/kernel"
mv "$TAP_TMP/vhost_iotlb.ko" "$tree/updates/dkms/"
sed 's|^kernel/.*/vhost_iotlb.ko[^:]*:|updates/dkms/vhost_iotlb.ko:|' "$base/lib/modules/$kver/modules.dep" >"$tree/modules.dep"
ok "ours, installed, is not taken for the base's" \
	kernel/workbench/gate "$kver" "$kdir" "$TAP_TMP/machine" "$stage" "$ko"

# A struct of a public header, grown: once in sight of the CRCs, once hidden from them.
tree=build/gate.test
rm -rf "$tree"
mkdir -p "$tree"
git ls-files -co --exclude-standard kernel include | cpio -pdm --quiet "$tree"
src=$(kernel/workbench/fetch source)
grow() {	# FIELD: vhost_iotlb.h with FIELD in struct vhost_iotlb, used before the base's
	awk -v field="$1" '{ print } /unsigned int nmaps;/ { print field }' \
		"$src/include/linux/vhost_iotlb.h" >"$tree/kernel/vhost_iotlb/grown.h"
	cp -p kernel/vhost_iotlb/iotlb.c "$tree/kernel/vhost_iotlb/"
	sed -i '0,/^#include/s//#include "grown.h"\n#include/' "$tree/kernel/vhost_iotlb/iotlb.c"
	"$tree/kernel/workbench/modules" "$kver" vhost_iotlb >"$TAP_TMP/said" 2>&1
}
nok "a grown struct stops the build" grow $'\tu64 hits;'
like "by its CRCs" "$(said)" 'vhost_iotlb_add_range: CRC is 0x'
like "and by its layout" "$(said)" 'struct vhost_iotlb of the base.s headers is laid out differently'
is "nothing is left to be loaded" "$(find "$tree/build/modules" -name '*.ko')" ""
nok "one that is hidden from genksyms does, too" grow $'#ifndef __GENKSYMS__\n\tu64 hits;\n#endif'
unlike "without any CRC telling" "$(said)" 'CRC is'
like "by its layout" "$(said)" 'struct vhost_iotlb of the base.s headers is laid out differently'
rm -rf "$tree"

done_testing
