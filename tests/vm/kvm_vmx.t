#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: host long
#
# kvm-intel with our series, where there is VMX (in Bochs): loaded, VMs made and run, the
# dirty ring with EPT and PML, with EPT alone and with shadow paging, unloaded, loaded again.
. "${0%/*}/../tap.sh"

kver=$(kernel/workbench/fetch kver)
clients=build/clients/kvm
probe=build/testmod/$kver/tests-vm-kvm_ring_probe/kvm_ring_probe.ko

cat >"$TAP_TMP/script" <<'SCRIPT'
# prints lines as "ok - words", "not ok - words"
ok() { desc=$1; shift; if "$@" >/tmp/said 2>&1; then echo "ok - $desc"; else echo "not ok - $desc"; sed 's/^/# /' /tmp/said; fi; }
param() { [ "$(cat /sys/module/kvm_intel/parameters/$1)" = $2 ]; }
fixed() { [ "$(grep -c 'fast_page_fault: .* spurious 0 fixed 1$' /sys/kernel/tracing/trace)" -ge $1 ]; }
unload() { ok "unloads" rmmod kvm_intel && ok "so does kvm" rmmod kvm; }

ok "loads" modprobe kvm_intel
ok "it is ours" test -e /sys/kernel/tracing/events/kvm/kvm_dirty_ring_reset_done
ok "EPT is used" param ept Y
ok "PML is used" param pml Y
insmod /bin/kvm_ring_probe.ko
# those that do not need the speed of a machine
ring_api size mmap tss exclusive soft_limit slots crafted stats flush tables epochs >/tmp/api 2>/tmp/api.err
sed -n -E 's/^(ok|not ok) [0-9]+ - /\1 - PML: /p' /tmp/api
sed 's/^/# /' /tmp/api.err
ok "PML: the client came to its end" grep -q '^1\.\.' /tmp/api
for p in asc desc random dense edge; do
	ok "PML: $p" ring_exact -p $p -r 4
done
ok "PML: full over and over" ring_exact -s 1024 -p random -n 6000 -r 2
ok "PML: harvested in parts" ring_exact -s 1024 -k 100 -p dense -n 1500 -r 3
ok "PML: two vCPUs, both address spaces" ring_exact -v 2 -S 1 -a 2 -p random -r 3
echo 1 >/sys/module/kvm_ring_probe/parameters/rings_before_wrap
ok "PML: indices over 2^32" ring_exact -w 1 -s 1024 -p asc -n 400 -r 4
echo 0 >/sys/module/kvm_ring_probe/parameters/rings_before_wrap
ok "PML: a copy kept up while the vCPU writes" ring_live -r 1 -n 200 -w 500
ok "PML: a bitmap, cleared by hand" ring_exact -B -p edge -r 3
rmmod kvm_ring_probe
unload
ok "loads again, without PML" modprobe kvm_intel pml=0
ok "PML is not used" param pml N
# the series' first patch, which the base has: a fault answered without the lock says what came
# of it; a page that was write-protected to track it is such a fault
echo 1 >/sys/kernel/tracing/events/kvmmmu/fast_page_fault/enable
ok "EPT: written once more" ring_exact -n 1000 -p asc -r 2
ok "EPT: each write is a fast fault that was fixed" fixed 1000
echo 0 >/sys/kernel/tracing/events/kvmmmu/fast_page_fault/enable
ok "EPT: random" ring_exact -p random -r 3
ok "EPT: dense, the least ring" ring_exact -s 256 -p dense -n 600 -r 3
ok "EPT: strings that are emulated" ring_api strings
unload
ok "loads again, without EPT" modprobe kvm_intel ept=0
ok "EPT is not used" param ept N
ok "shadow paging: random" ring_exact -p random -n 400 -r 2
unload
ok "loads again" modprobe kvm_intel
ok "PML: once more" ring_exact -p random -r 2
unload
echo "end"
SCRIPT

status=0
tests/vm/bochs -t 900 -o "build/vm/kvm_vmx" "$TAP_TMP/script" "$clients"/{ring_api,ring_exact,ring_live} "$probe" \
	>"$TAP_TMP/out" 2>"$TAP_TMP/err" || status=$?
while read -r line; do
	case $line in
	'ok - '*)	pass "${line#ok - }" ;;
	'not ok - '*)	fail "${line#not ok - }" ;;
	'# '*)		diag "${line#\# }" ;;
	esac
done <"$TAP_TMP/out"
is "the machine ran it, and its kernel has nothing to say" "$status" 0 || diag "$(tail -n 40 "$TAP_TMP/err")"
is "to the end" "$(tail -n 1 "$TAP_TMP/out")" end
done_testing
