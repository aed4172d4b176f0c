#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: host
#
# The patch that only gives VMXON regions their name changes no instruction: vmx.o
# built with it is the one built without, but for the names.
. "${0%/*}/../tap.sh"

wb=kernel/workbench
kver=$($wb/fetch kver)
kdir=$($wb/kdir "$kver")
src=$($wb/fetch source)
stage=$PWD/build/kvm/vmxon/stage

# disassembled LEFT-OUT...: relocations too, as those are what calls and data are named by
disassembled() {
	local options=() n
	for n; do options+=(-x "$n"); done
	mkdir -p "$stage"
	if ! kernel/kvm/stage "${options[@]}" "$stage" "$src" "$kdir" >"$stage.log" 2>&1 ||
	   ! make -C "$kdir" M="$stage" arch/x86/kvm/vmx/vmx.o >"$stage.log" 2>&1; then
		tail -n 20 "$stage.log" >&2
		return 1
	fi
	objdump -dr "$stage/arch/x86/kvm/vmx/vmx.o" | sed -e 's/free_vmxon_regions/free_kvm_area/g' \
		-e 's/alloc_vmxon_regions/alloc_kvm_area/g' -e 's/vmxon_region/vmxarea/g' -e '/file format/d'
}

disassembled 8 >"$TAP_TMP/with"
is "it builds with the patch" $? 0
disassembled 7 8 >"$TAP_TMP/without"
is "it builds without" $? 0
disassembled >"$TAP_TMP/next"
is "it builds with the next one, too" $? 0
ok "something was disassembled" grep -q '<vmx_enable_virtualization_cpu>:' "$TAP_TMP/with"
ok "not an instruction differs" cmp "$TAP_TMP/with" "$TAP_TMP/without"
nok "with the next patch some do" cmp -s "$TAP_TMP/with" "$TAP_TMP/next"
done_testing
