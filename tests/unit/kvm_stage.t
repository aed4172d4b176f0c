#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A base that our KVM does not fit is not built: what does not fit ends it, by its name.
. "${0%/*}/../tap.sh"

src=$(kernel/workbench/fetch source)
base=$TAP_TMP/base
mkdir -p "$base/arch/x86" "$base/virt" "$base/include/linux"
cp -r "$src/arch/x86/kvm" "$base/arch/x86/"
cp -r "$src/virt/kvm" "$base/virt/"
header=include/linux/kvm_dirty_ring.h
cp "$src/$header" "$base/$header"

# stage [OPTION...]: what it says is in said
stage() { kernel/kvm/stage "$@" "$TAP_TMP/dst" "$base" "$base" >"$TAP_TMP/said" 2>&1; }
said() { cat "$TAP_TMP/said"; }
# without FILE SED-SCRIPT STAGE-OPTION...: FILE is another meanwhile
without() {
	local file=$base/$1 status=0
	cp "$file" "$TAP_TMP/kept"
	sed -i -E "$2" "$file"
	! cmp -s "$file" "$TAP_TMP/kept" || { diag "nothing was changed in $1"; return 0; }
	stage "${@:3}" || status=$?
	cp "$TAP_TMP/kept" "$file"
	return $status
}

ok "the archive's fits" stage
is "silently" "$(said)" ''
ok "it has our dirty ring" cmp "$TAP_TMP/dst/virt/kvm/dirty_ring.c" kernel/kvm/dirty_ring.c
# names, sizes and times of what make looks at
laid() { find "$TAP_TMP/dst" -type f ! -name .staged -printf '%P %s %T@\n' | sort | sha1sum; }
before=$(laid)
ok "laid again" stage
is "nothing is touched" "$(laid)" "$before"

# what 6.17 made of it
nok "a reset with another prototype is refused" without $header \
	's/(int kvm_dirty_ring_reset\(struct kvm \*kvm, struct kvm_dirty_ring \*ring)\);/\1, int *nr_entries_reset);/'
like "and named" "$(said)" 'int kvm_dirty_ring_reset: the base declares another prototype'
is "nothing was laid" "$(laid)" "$before"
nok "so is a missing one" without $header '/kvm_dirty_ring_get_page/d'
like "and named" "$(said)" 'struct page \*kvm_dirty_ring_get_page: the base declares'

nok "a patch whose lines are others is refused" without arch/x86/kvm/vmx/vmx.c \
	's/DEFINE_PER_CPU\(struct vmcs \*, vmxarea\)/DEFINE_PER_CPU(struct vmcs *, area)/'
like "and named" "$(said)" 'stage: 0007-.*\.patch does not apply'
nok "one whose context is another, too" without arch/x86/kvm/mmu/tdp_mmu.c \
	's/tdp_root_for_each_leaf_pte\(iter, root, gfn \+ __ffs\(mask\),/tdp_root_for_each_leaf_pte(iter, root, gfn + __ffs64(mask),/'
like "and named" "$(said)" 'stage: 0010-.*\.patch does not apply'
ok "left out, it does not matter" without arch/x86/kvm/mmu/tdp_mmu.c \
	's/tdp_root_for_each_leaf_pte\(iter, root, gfn \+ __ffs\(mask\),/tdp_root_for_each_leaf_pte(iter, root, gfn + __ffs64(mask),/' -x 10

rm -r "$base/virt/kvm"
nok "no KVM at all is refused" stage
like "and named" "$(said)" 'no KVM there'
done_testing
