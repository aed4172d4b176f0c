#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12 iommu timeout=900 long
#
# A network card behind an Intel IOMMU, given by the stock vfio-pci and a nested QEMU to a
# guest, on our type1: the guest's own driver works it, all of the guest's memory is mapped
# for it. On the card's wire is a virtio-net of this machine.
. "${0%/*}/../../tap.sh"
# shellcheck source=tests/lib/vfio.sh
. "${0%/*}/../../lib/vfio.sh"

here=tests/clients/vfio/guest
trace=/sys/kernel/tracing/instances/vfio_guest
kver=$(uname -r)
MEMORY=160	# MiB
BYTES=$((2 << 20))

# shellcheck disable=SC2317 # by trap
cleanup() {
	[ -z "${jobs_of_ours-}" ] || kill "${jobs_of_ours[@]}" 2>/dev/null || :
	[ ! -d $trace ] || rmdir $trace
	rm -rf "$TAP_TMP"
}
jobs_of_ours=()
trap cleanup EXIT

modprobe kvm_amd || bail_out "no KVM in this machine"
modprobe vfio_iommu_type1 || bail_out "no vfio_iommu_type1"
like "type1 is ours" "$(cat /sys/module/vfio_iommu_type1/taint)" O
before=$(pins_left)

# --- the guest: this kernel, busybox, the card's driver
root=$TAP_TMP/root
mkdir -p "$root/bin"
cp -L "$(type -P busybox)" "$root/bin/busybox"
ln -s busybox "$root/bin/sh"
cp "$here/init" "$root/init"
cp "$(modinfo -n e1000e)" "$root/driver.ko"
(cd "$root" && find . | cpio --quiet -o -H newc -R 0:0) >"$TAP_TMP/initrd"
kernel=$(compgen -G "$MIGSCOPE_CACHE/*/boot/vmlinuz-$kver") || bail_out "no kernel to boot"

# --- the other end of the wire
vfio_wire
ip addr add 10.9.0.1/24 dev "$vfio_net"
head -c $BYTES /dev/urandom >"$TAP_TMP/data"
socat -u "OPEN:$TAP_TMP/data" TCP-LISTEN:7001,reuseaddr &
fetched=$!
socat -u TCP-LISTEN:7002,reuseaddr "CREATE:$TAP_TMP/back" &
returned=$!
jobs_of_ours=("$fetched" "$returned")

card=$(vfio_pci 0x8086 0x10d3)
isnt "there is a card to assign" "$card" ''
vfio_assign "$card"
mkdir $trace
echo 1 >$trace/events/vfio/enable

said() { sed -n "s/^guest: $1 *\(.*\)/\1/p" "$TAP_TMP/said" 2>/dev/null | tr -d '\r'; }
# Runs it to its end; fails if it hangs before it has come to its init.
boot() {
	local n size=0 still=0 now lck
	echo >$trace/trace
	qemu-system-x86_64 -accel kvm -cpu qemu64,-svm -machine pc,usb=off,vmport=off,hpet=off -m $MEMORY \
		-nodefaults -no-user-config -display none -no-reboot \
		-kernel "$kernel" -initrd "$TAP_TMP/initrd" \
		-append "console=ttyS0 loglevel=7 panic=-1 tsc=reliable no_timer_check mitigations=off audit=0" \
		-serial "file:$TAP_TMP/said" -device "vfio-pci,host=$card" >"$TAP_TMP/qemu.log" 2>&1 &
	qemu=$!
	jobs_of_ours=("$fetched" "$returned" "$qemu")
	locked=0
	for ((n = 0; n < 3600; n++)); do
		kill -0 "$qemu" 2>/dev/null || break
		# all of its memory, from before it runs
		lck=$(awk '$1 == "VmLck:" { print $2 }' "/proc/$qemu/status" 2>/dev/null) || :
		[ "${lck:-0}" -le "$locked" ] || locked=$lck
		! grep -q '^guest: end' "$TAP_TMP/said" 2>/dev/null || break
		now=$(stat -c %s "$TAP_TMP/said" 2>/dev/null) || now=0
		still=$((now == size ? still + 1 : 0)) size=$now
		if [ $still -ge 400 ] && ! grep -q '^guest: ' "$TAP_TMP/said"; then
			diag "the guest's kernel hangs: $(tail -n 1 "$TAP_TMP/said")"
			kill -KILL "$qemu"
			wait "$qemu" 2>/dev/null
			return 1
		fi
		sleep 0.1
	done
}
# In this emulator a nested guest gets an interrupt now and then while it has them off, with the
# stock modules as with ours: its kernel then waits for a lock that it holds itself, most often
# where the clock source changes.
for ((tries = 0; tries < 5; tries++)); do
	! boot || break
done
for ((n = 0; n < 100; n++)); do
	kill -0 "$qemu" 2>/dev/null || break
	sleep 0.1
done
nok "QEMU ended by itself, as its guest asked" kill -0 "$qemu"
is "the guest had nothing to complain about" "$(said failed:)" '' || diag "$(tail -c 1000 "$TAP_TMP/said")"
[ ! -s "$TAP_TMP/qemu.log" ] || diag "$(cat "$TAP_TMP/qemu.log")"
is "its driver found the card, and the wire" "$(said link)" e1000e || diag "$(tail -c 1500 "$TAP_TMP/said")"
is "packets go there and back" "$(said ping | wc -l)" 1
is "all bytes that were asked for came" "$(said fetched)" $BYTES
ok "and came back as they were" cmp "$TAP_TMP/data" "$TAP_TMP/back"
num "by interrupts" "$(said interrupts)" -ge 10
num "its memory was charged to QEMU" "$locked" -ge $((MEMORY << 10))

echo 0 >$trace/events/vfio/enable
sum() { sed -n "s/.* vfio_$1: .* $2 \([0-9]*\).*/\1/p" $trace/trace | awk '{ s += $1 } END { print s + 0 }'; }
num "events: all of it was mapped" "$(sum map pages)" -ge $((MEMORY << 8))
num "events: in fewer runs than pages" "$(sum map runs)" -lt "$(sum map pages)"
is "events: nobody asked for dirty pages" "$(grep -c vfio_dirty_get $trace/trace)" 0
is "events: the container is gone" "$(grep -c vfio_container_release $trace/trace)" 1

vfio_stop
modprobe -r kvm_amd
is "no page stays pinned" "$(pins_left)" "$before"
done_testing
