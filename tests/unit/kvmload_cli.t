#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: host
#
# kvmload's command line, and what it says where there is no KVM for it.
# shellcheck source=tests/tap.sh
. "${0%/*}/../tap.sh"

kvmload=build/kvmload
err=$TAP_TMP/err

exits() {	# DESC STATUS REGEX ARGS...
	local desc=$1 status=$2 regex=$3
	shift 3
	timeout 20 "$kvmload" "$@" >/dev/null 2>"$err" </dev/null
	is "$desc: status" "$?" "$status"
	like "$desc: says why" "$(<"$err")" "$regex"
}

help=$($kvmload --help)
is "--help: status" "$?" 0
like "--help: options and exit status" "$help" '--ring-size.*--force-full.*Exit status'
like "--version" "$($kvmload --version)" '^kvmload [^ ]+$'

exits "an unknown option" 2 'unrecognized option' --frobnicate
exits "an argument" 2 'no arguments' foo
exits "an unknown mode" 2 "'dirty' is not known" --mode dirty
exits "an unknown pattern" 2 "'zigzag' is not known" --pattern zigzag
exits "a negative number" 2 'not a number' --vcpus -1
exits "a number and more" 2 'not a number' --vcpus 1x
exits "no number" 2 'not a number' --passes ''
exits "a batch above the reserve" 2 'from 1 to 64' --batch 65
exits "page counts for other vCPUs" 2 '2 numbers for 3 vCPUs' -c 3 -n 5,7
exits "no pages" 2 'from 1 to' -n 0
exits "an odd memory" 2 "'4x' is not a size" --memory 4x
exits "a memory beyond 64 bits" 2 'not a size' --memory 99999999999G
exits "a ring of 300" 2 'not a power of two' -s 300
exits "a bitmap is never full" 2 'never full' -m bitmap --force-full
exits "forced and asked for" 2 'exclude' --force-full -e 10
exits "a chunk across words" 2 'multiple of 64' -m bitmap-manual --clear-chunk 100
exits "chunks without CLEAR" 2 'needs --mode=bitmap-manual' --clear-chunk 64

exits "no device" 77 'No such file.*KVM module' --device "$TAP_TMP/kvm"
exits "a device that is not KVM" 77 'not KVM' --device /dev/zero
if [ "$(id -u)" = 0 ]; then
	cp "$kvmload" "$TAP_TMP/kvmload"	# nobody may not read the repository
	: >"$TAP_TMP/kvm"
	chmod 600 "$TAP_TMP/kvm"
	chmod 755 "$TAP_TMP"
	setpriv --reuid 65534 --regid 65534 --clear-groups \
		"$TAP_TMP/kvmload" --device "$TAP_TMP/kvm" 2>"$err"
	is "no permission: status" "$?" 77
	like "no permission: says what to do" "$(<"$err")" 'Permission denied.*root'
else
	skip 2 "only root can become nobody"
fi

ok "kvmload's fill buckets are migscope's" build/tests/fill_bucket

done_testing
