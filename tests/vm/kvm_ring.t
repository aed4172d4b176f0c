#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12,debug timeout=900
#
# What a dirty ring reports is exactly what was written: patterns, sizes, vCPUs, slots,
# both address spaces, with and without two-dimensional paging.
. "${0%/*}/../tap.sh"
probe=build/testmod/$(uname -r)/tests-vm-kvm_ring_probe/kvm_ring_probe.ko
# shellcheck source=tests/lib/kvm.sh
. "${0%/*}/../lib/kvm.sh"

exact() {	# DESC OPTION...
	ok "$1" timeout 120 "$kvm_clients/ring_exact" "${@:2}"
}

kvm_start
ok "our modules are loaded" kvm_is_ours

exact "ascending" -p asc
exact "descending, over window edges" -p desc -n 700
exact "random" -p random -n 4000
exact "dense windows" -p dense -n 2000
exact "to and fro over window edges" -p edge -n 2000
exact "one page" -p one
exact "slots that take turns" -p alternate -a 5 -n 300
exact "slots aligned to a window" -p random -m 64 -a 2
exact "slots aligned to nothing" -p edge -m 37 -a 3
exact "slots that begin with the last page of a table" -p random -m 511 -a 2
exact "the least ring, full over and over" -s 256 -p random -n 3000
exact "the least ring, harvested in parts" -s 256 -k 50 -n 600 -p dense
exact "harvested by one entry" -k 1 -n 60 -r 3
exact "the greatest ring" -s 65536 -p random -n 20000 -r 3
exact "two vCPUs" -v 2 -p dense
exact "four vCPUs, least rings" -v 4 -s 256 -p asc -n 600
exact "both address spaces" -v 2 -S 1 -a 2 -p random -n 1000
exact "a bitmap" -b -p random
exact "a bitmap, cleared by hand, slots aligned to nothing" -B -p edge -m 37 -a 3

live() { ok "$1" timeout 120 "$kvm_clients/ring_live" "${@:2}"; }
live "a copy kept up while a vCPU writes" -w 20000 -r 3
live "while two write" -v 2 -w 2000 -r 2
live "by two harvesters who reset at the same time" -v 2 -h 2 -w 2000 -r 2
live "with the least rings" -v 2 -h 2 -s 256 -r 3

insmod "$probe" || bail_out "no kvm_ring_probe"
over() {	# RINGS DESC OPTION...
	local rings=$1 before
	before=$(cat /sys/module/kvm_ring_probe/parameters/started)
	echo "$rings" >/sys/module/kvm_ring_probe/parameters/rings_before_wrap
	exact "$2" -w "$rings" "${@:3}"
	echo 0 >/sys/module/kvm_ring_probe/parameters/rings_before_wrap
	num "$2: that was where they began" "$(cat /sys/module/kvm_ring_probe/parameters/started)" -gt "$before"
}
over 2 "indices over 2^32, two vCPUs" -v 2 -s 256 -p asc -n 200
over 1 "indices over 2^32 in one harvest" -s 4096 -p random -n 12000 -r 3
over 3 "indices over 2^32, harvested in parts" -s 256 -k 100 -p dense -n 600
rmmod kvm_ring_probe

kvm_stop
kvm_start npt=0
exact "shadow paging: dense windows" -p dense -n 1000
exact "shadow paging: both address spaces" -v 2 -S 1 -a 2 -p random
exact "shadow paging: slots aligned to nothing" -p edge -m 37 -a 2
ok "shadow paging: page tables that change" timeout 120 "$kvm_clients/ring_api" protect
ok "shadow paging: strings that are emulated" timeout 120 "$kvm_clients/ring_api" strings
kvm_stop
done_testing
