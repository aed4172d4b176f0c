#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: host needs=qemu timeout=900 long
#
# Kernels that take signed modules only, from their first moment: told to on their command
# line, and by the firmware of a machine with Secure Boot. What of ours is refused, what loads,
# and who says why. (tests/vm/refused.t: install and uninstall beside what is loaded.)
. "${0%/*}/../tap.sh"

kver=$(kernel/workbench/fetch kver)
image=$(kernel/workbench/fetch image)
built=build/modules/$kver
[ -f "$built/kvm.ko" ] || bail_out "kvm.ko of ours is not built"

# what is asked in the machine: "KEY: answer" each
cat >"$TAP_TMP/ask" <<'ASK'
say() { printf '%s: %s\n' "$1" "$2"; }
mountpoint -q /sys/kernel/security || mount -t securityfs security /sys/kernel/security
mount -t efivarfs efivarfs /sys/firmware/efi/efivars 2>/dev/null
rm -rf /var/lib/dkms/mok.* /var/lib/shim-signed/mok	# a key that this machine may have
say lockdown "$(cat /sys/kernel/security/lockdown)"
say enforced "$(cat /sys/module/module/parameters/sig_enforce)"
say secure "$(od -A n -t u1 -j 4 -N 1 /sys/firmware/efi/efivars/SecureBoot-* 2>/dev/null | tr -d ' ')"
for module; do
	modprobe "$module" 2>/dev/null; say "$module status" $?
	say "$module taint" "$(cat "/sys/module/$module/taint" 2>/dev/null)"
done
build/migscope doctor -j >"$MIGSCOPE_OUT/doctor" 2>&1; say doctor $?
for module; do
	say "$module is" "$(jq -r --arg m "$module" '.modules[] | select(.module == $m) | .state + ", " + (.why // "")' "$MIGSCOPE_OUT/doctor")"
done
say refused "$(jq -r '.probes[] | select(.state == "refused").why' "$MIGSCOPE_OUT/doctor" | sort -u | paste -sd';')"
say install "$(kernel/workbench/install "$(uname -r)" 2>&1 | grep -o '.*will refuse.*')"
insmod "$(find "/lib/modules/$(uname -r)/kernel/" -name 'vhost_iotlb.ko*')" 2>/dev/null; say stock $?
ASK
ask() {	# OPTIONS... -- MODULE...
	local options=()
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	rm -rf "$TAP_TMP/out"
	tests/vm/run -t 300 -o "$TAP_TMP/out" "${options[@]}" -- bash "$TAP_TMP/ask" "$@" >"$TAP_TMP/said" 2>"$TAP_TMP/err"
	is "${what:?}: the machine ran to its end" $? 0 || diag "$(tail -20 "$TAP_TMP/err")"
	log=$TAP_TMP/out/console.log
}
got() { sed -n "s/^$1: //p" "$TAP_TMP/said"; }
saw() { grep -a -o -E "$1" "$log" | head -1; }

what="command line"
ask -a 'module.sig_enforce=1 lockdown=confidentiality' -- kvm vhost_iotlb
like "$what: it is locked down" "$(got lockdown)" '\[confidentiality\]'
is "$what: and enforces signatures" "$(got enforced)" Y
isnt "$what: an unsigned module of ours is refused" "$(got 'kvm status')" 0
isnt "$what: another one, too" "$(got 'vhost_iotlb status')" 0
like "$what: by the kernel for that" "$(saw '(unsigned module|Loading of unsigned).*')" 'unsigned module'
like "$what: doctor says why" "$(got 'kvm is')" 'ours is not signed, and this kernel (enforces signatures|is locked down)'
isnt "$what: which is not all well" "$(got doctor)" 0
like "$what: what may not be read is said" "$(got refused)" 'locked down \(confidentiality\)'
unlike "$what: and nothing else" "$(got refused)" ';'
like "$what: install says it before" "$(got install)" 'no key to sign with'
is "$what: the kernel's own loads" "$(got stock)" 0

# --- firmware with Secure Boot, whose key is Debian's for tests
keys=/usr/share/ovmf/PkKek-1-snakeoil firmware=/usr/share/OVMF
openssl rsa -in "$keys.key" -passin pass:snakeoil -out "$TAP_TMP/key" 2>/dev/null
openssl x509 -in "$keys.pem" -outform DER -out "$TAP_TMP/cert"
ok "the kernel is signed for it" sbsign --key "$TAP_TMP/key" --cert "$keys.pem" --output "$TAP_TMP/vmlinuz" \
	"$image/boot/vmlinuz-$kver" 2>/dev/null
openssl req -new -x509 -newkey rsa:2048 -nodes -days 1 -subj '/CN=nobody knows it/' -outform DER \
	-keyout "$TAP_TMP/other.key" -out "$TAP_TMP/other.cert" 2>/dev/null
# some of ours signed with the machine's key, one with another, one not at all
sign() {	# KEY CERT MODULE...
	DESTDIR=$TAP_TMP/signed MOK_KEY=$1 MOK_CERT=$2 kernel/workbench/install "$kver" "${@:3}" >/dev/null &&
		cp "$TAP_TMP/signed/lib/modules/$kver/updates/migscope"/*.ko "$TAP_TMP/ours/"
}
mkdir "$TAP_TMP/ours"
ok "modules are signed with the machine's key" sign "$TAP_TMP/key" "$TAP_TMP/cert" "$built/vhost_iotlb.ko" "$built/vhost.ko"
ok "and with another" sign "$TAP_TMP/other.key" "$TAP_TMP/other.cert" "$built/vdpa.ko"
cp "$built/kvm.ko" "$TAP_TMP/ours/"

cat >"$TAP_TMP/qemu" <<'QEMU'
#!/bin/bash
args=()
while [ $# -gt 0 ]; do
	case $1 in
	-M)	 args+=("$1" "$2,smm=on"); shift ;;
	-kernel) args+=("$1" "${0%/*}/vmlinuz"); shift ;;
	*)	 args+=("$1") ;;
	esac
	shift
done
exec "$INNER" "${args[@]}" -global driver=cfi.pflash01,property=secure,value=on \
	-drive "if=pflash,format=raw,unit=0,readonly=on,file=$FIRMWARE/OVMF_CODE_4M.secboot.fd" \
	-drive "if=pflash,format=raw,unit=1,snapshot=on,file=$FIRMWARE/OVMF_VARS_4M.snakeoil.fd"
QEMU
chmod +x "$TAP_TMP/qemu"
what="Secure Boot"
export INNER=${MIGSCOPE_QEMU:-qemu-system-x86_64} FIRMWARE=$firmware
MIGSCOPE_QEMU=$TAP_TMP/qemu ask -M "$TAP_TMP/ours" -- vhost_iotlb vhost vdpa kvm
is "$what: it is on" "$(got secure)" 1
like "$what: the kernel is locked down by it" "$(got lockdown)" '\[integrity\]'
is "$what: ours, signed with the machine's key, loads" "$(got 'vhost_iotlb status')" 0
is "$what: so does one that needs it" "$(got 'vhost status')" 0
is "$what: the kernel takes the signature for good" "$(got 'vhost_iotlb taint')" O
like "$what: doctor knows it" "$(got 'vhost_iotlb is')" '^ours, $'
isnt "$what: one signed with another key is refused" "$(got 'vdpa status')" 0
like "$what: doctor asks for the key" "$(got 'vdpa is')" 'ours is signed; is its key enrolled'
isnt "$what: an unsigned one is refused" "$(got 'kvm status')" 0
like "$what: doctor says why" "$(got 'kvm is')" 'ours is not signed, and this kernel (enforces signatures|is locked down)'
like "$what: install says it before" "$(got install)" 'Secure Boot is on and there is no key to sign with'

done_testing
