#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12 needs=qemu own timeout=1200 long
#
# QEMU migrates a guest with dirty-ring-size on our modules. Every page is checked on
# arrival against what was last written to it, also amid a storm of signals to QEMU.
. "${0%/*}/../tap.sh"
# shellcheck source=tests/lib/kvm.sh
. "${0%/*}/../lib/kvm.sh"

here=tests/clients/migrate
export PYTHONDONTWRITEBYTECODE=1 MIGRATE_GUEST=build/$here/guest.elf
MEMORY=24

modprobe kvm_amd || bail_out "no KVM in this machine"
ok "our modules are loaded" kvm_is_ours

migrates() {	# DESC OPTION...
	local desc=$1 json=$TAP_TMP/json
	shift
	"$here/migrate" --memory $MEMORY --bandwidth 10 --patience 15 --rate 800 --json "$json" "$@" \
		2>"$TAP_TMP/log" || { fail "$desc"; diag "$(tail -n 5 "$TAP_TMP/log")"; return; }
	is "$desc" "$(jq -r .result.status "$json")" completed
	is "$desc: every page was checked" "$(jq .verification.pages_checked "$json")" $((MEMORY * 256))
	is "$desc: none lost a write" "$(jq .verification.pages_bad "$json")" 0
	num "$desc: in several rounds" "$(jq .result.rounds "$json")" -ge 3
}

migrates "ring of 4096" --mode ring
migrates "ring of 1024, two vCPUs" --mode ring --ring-size 1024 --vcpus 2
migrates "bitmap" --mode bitmap
# shellcheck disable=SC2016 # the hook's variable
migrates "amid a storm of signals" --mode ring \
	--hook-before "$kvm_clients"'/storm $MIGRATE_ORIGIN_PID'
rmmod kvm_amd kvm
done_testing
