#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12 own timeout=300 long
#
# Which KVM is loaded, ours or the kernel's own, and why not ours: install and doctor say
# it. What is loaded stays loaded, whatever is installed or taken away.
. "${0%/*}/../tap.sh"

kver=$(uname -r)
migscope=build/migscope
[ -f "build/modules/$kver/kvm.ko" ] || bail_out "kvm.ko of ours is not built"

# what doctor says of kvm
kvm() { "$migscope" doctor -j 2>/dev/null | jq -rc '.modules[] | select(.module == "kvm") | [.state, .why // ""] | join(": ")'; }
away() { rmmod kvm_amd 2>/dev/null || :; rmmod kvm; }
stock() { modprobe -q irqbypass; insmod "$(find "/lib/modules/$kver/kernel/" -name 'kvm.ko*')"; }

is "not loaded" "$(kvm)" 'not loaded: '
ok "ours loads" modprobe kvm_amd
is "it is ours" "$(kvm)" 'ours: '
away
ok "the kernel's own loads" stock
is "it is the kernel's own" "$(kvm)" "the kernel's own: ours is installed, for when this one is unloaded"
loaded=$(sha256sum </sys/module/kvm/notes/.note.gnu.build-id)

# a folder that can be written to, with what is needed here
mkdir -p "$TAP_TMP/modules/$kver"
(
	cd "/lib/modules/$kver" || exit
	cp --parents -r modules.order modules.builtin* kernel/arch/x86/kvm "$TAP_TMP/modules/$kver/"
	modprobe --show-depends kvm_amd | sed -n "s|^insmod /lib/modules/$kver/\(kernel/[^ ]*\).*|\1|p" |
		xargs -I{} cp --parents {} "$TAP_TMP/modules/$kver/"
)
mount --bind "$TAP_TMP/modules" /lib/modules
is "without ours there is nothing to say" "$(kvm)" "the kernel's own: "
said=$(kernel/workbench/install "$kver" 2>&1)
is "install: status" $? 0
like "install: what is loaded stays" "$said" 'kvm is loaded: ours will be the next time'
is "it does" "$(sha256sum </sys/module/kvm/notes/.note.gnu.build-id)" "$loaded"
is "doctor knows where modules_install puts them" "$(kvm)" \
   "the kernel's own: ours is installed, for when this one is unloaded"
away
ok "ours is what modprobe finds then" modprobe kvm_amd
is "and it is ours" "$(kvm)" 'ours: '
said=$(kernel/workbench/install -u "$kver" 2>&1)
is "uninstall: status" $? 0
like "uninstall: what is loaded stays" "$said" 'kvm is loaded and stays until it is unloaded'
ok "it does" test -e /sys/module/kvm
like "it is not taken for the kernel's own" "$(kvm)" '^another one'
away
ok "the kernel's own is what modprobe finds then" modprobe kvm_amd
is "and it is the kernel's own" "$(kvm)" "the kernel's own: "
away
mkdir -p /lib/modules/0.0.0/updates/migscope
touch /lib/modules/0.0.0/updates/migscope/kvm.ko
is "built for another kernel only" "$(kvm)" 'not loaded: ours is not built for this kernel: it has its own'
kernel/workbench/install "$kver" >/dev/null

# --- who takes signed modules only; there is no way back from here
refuses() {	# WHAT DOCTOR INSTALL
	local said
	nok "$1: ours does not load" modprobe kvm_amd 2>/dev/null
	like "$1: doctor says why" "$(kvm)" "not loaded: ours is not signed, and this kernel $2"
	said=$(kernel/workbench/install "$kver" 2>&1)
	like "$1: install says it before" "$said" "$3.*will refuse"
	ok "$1: the kernel's own loads" stock
	like "$1: doctor says why it is not ours" "$(kvm)" "the kernel's own: ours is not signed, and this kernel $2"
	away
}
mountpoint -q /sys/kernel/security || mount -t securityfs security /sys/kernel/security
echo integrity >/sys/kernel/security/lockdown
refuses "locked down" "is locked down" "locked down"
echo 1 >/sys/module/module/parameters/sig_enforce
refuses "signatures enforced" "enforces signatures" "locked down"

# with a signature it is another story, though this kernel does not know the key
openssl req -new -x509 -newkey rsa:2048 -nodes -days 1 -subj '/CN=migscope test/' -outform DER \
	-keyout "$TAP_TMP/key" -out "$TAP_TMP/cert" 2>/dev/null
said=$(MOK_KEY=$TAP_TMP/key MOK_CERT=$TAP_TMP/cert kernel/workbench/install "$kver" 2>&1)
like "with a key: install signs" "$said" 'signed with'
nok "with a key that is not enrolled: ours does not load" modprobe kvm_amd 2>/dev/null
like "and doctor asks for it" "$(kvm)" 'ours is signed; is its key enrolled'

done_testing
