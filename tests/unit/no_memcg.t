#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: host needs=root,kvm,bpf
#
# A kernel without CONFIG_MEMCG does not say who owns memory, and so whose a VM is. Made
# of this one's BTF: mm_struct has no "owner" in it.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/watch.sh"

[ ! -e /sys/kernel/btf/kvm ] || skip_all "KVM is a module: --btf takes the place of vmlinux only"
load_kvm
btf=$TAP_TMP/vmlinux
python3 -c 'import sys
old = open("/sys/kernel/btf/vmlinux", "rb").read()
open(sys.argv[1], "wb").write(old.replace(b"\0owner\0", b"\0ownex\0"))' "$btf"
nok "that BTF is another one" cmp -s "$btf" /sys/kernel/btf/vmlinux

load runs --ring-size 256 --pages 401 --name runs --barrier --hold
load_to runs middle
pid=${load_pid[runs]}
found='[.vms[] | select(.pid == '"$pid"') | [.comm, .alive]]'
"$migscope" --btf "$btf" stat -j 0.1 1 >"$TAP_TMP/watch" 2>/dev/null
is "a VM that runs belongs to its process, not to who looks" "$(sample "$found")" '[["runs",true]]'
is "and not to both" "$(sample '[.vms[] | select(.comm == "migscope")] | length')" 0

watch --btf "$btf" stat -j 0.2
load_go runs
load_to runs end
sleep 0.5
watch_end
load_end runs
is "its pushes are counted" "$(sample '.vms[] | select(.pid == '"$pid"') | .dirty_ring.pushes')" \
   "$(truth runs '.vms[0].since_barrier.pushes')"
load new --ring-size 256 --pages 401 --name new --wait-start --hold
load_to new start
watch --btf "$btf" stat -j 0.2
load_go new
load_to new end
sleep 0.5
watch_end
is "a VM that came later belongs to its process, too" \
   "$(sample '[.vms[] | select(.pid == '"${load_pid[new]}"') | .comm]')" '["new"]'
load_end new

"$migscope" --btf "$btf" doctor >"$TAP_TMP/doctor" 2>&1
like "doctor says what is missing" "$(<"$TAP_TMP/doctor")" 'CONFIG_MEMCG'
"$migscope" doctor >"$TAP_TMP/doctor" 2>&1
unlike "and not where it is there" "$(<"$TAP_TMP/doctor")" 'CONFIG_MEMCG'

done_testing
