#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: host needs=root,kvm,bpf else=6.12,long timeout=900
#
# --working-set: which pages are dirtied again, of workloads whose pages are known; its
# bounds; and that it costs nothing when nobody asks.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/watch.sh"
load_kvm

# run NAME ARGUMENTS of kvmload: watched, until it stands at its end; other's VMs are not looked at
run() {
	local name=$1$$
	shift
	load one "$@" --name "$name" --hold
	load_to one end
	sleep 1
	tail -n 1 "$TAP_TMP/watch" | jq -c --arg name "$name" '[.vms[] | select(.vm | startswith($name))][0]' >"$TAP_TMP/vm"
	load_end one
}
got() { jq -c "$1" "$TAP_TMP/vm"; }
# the first reset shows what was dirtied before anybody looked
first_reset='.vms[0].total.reset_entries'

watch -w stat -j 0.3
for pattern in seq random; do
	# 1500 pages five times over, harvested every 600 pages, so that none is in a harvest twice
	run $pattern -s 1024 -n 1500 -P 5 -p $pattern -e 600
	is "$pattern: the pages are those that it has" "$(got .working_set.pages)" 1500
	is "$pattern: each as often as it was dirtied, but for the first reset" \
		"$(got '.working_set | .seen + 600')" "$(truth one "$first_reset")"
	is "$pattern: none is lost" "$(got '[.working_set.overflow, .working_set.unread]')" '[0,0]'
	is "$pattern: what it is not asked for is there as before" "$(got .dirty_ring.reset_entries)" "$(truth one "$first_reset")"
	is "$pattern: the curve does not fall" "$(got '[.working_set.pages_within[]] | . == sort')" true
	num "$pattern: nor is it more than there is" "$(got '[.working_set.pages_within[]] | max // 0 | floor')" -le 1600
done
# two vCPUs with pages of their own, resets of both in each ioctl
run both -c 2 -s 1024 -n 700 -P 4 -e 350
is "two rings: the pages of both" "$(got .working_set.pages)" 1400
is "two rings: none is lost" "$(got '[.working_set.overflow, .working_set.unread]')" '[0,0]'
watch_end
is "the end" "$watch_status" 0

# room for a thousand: of the others, each time is counted
if [ -x build/tests/miscount/few/migscope ]; then
	migscope=build/tests/miscount/few/migscope
	watch -w stat -j 0.3
	run few -s 1024 -n 1500 -P 5 -e 600
	is "no room for more: it keeps what there is room for" "$(got .working_set.pages)" 1000
	is "no room for more: the others are counted, each time" "$(got .working_set.overflow)" 2500
	watch_end
	migscope=${MIGSCOPE:-build/migscope}
else
	skip 2 "make check builds the one that it is for"
fi

watch -w8 stat -j 0.3
run eighth -s 4096 -n 16000 -P 2 -e 2000
num "one in eight: about an eighth of its pages" "$(got .working_set.pages)" -ge 1700
num "one in eight: about an eighth of its pages" "$(got .working_set.pages)" -le 2300
is "one in eight: it says so" "$(got .working_set.one_in)" 8
num "one in eight: that of all is estimated" "$(got '.working_set.seen * 8')" -ge 24000
watch_end

watch stat -j 0.3
run none -s 1024 -n 1500 -P 2
is "nobody asks: nothing is followed" "$(got .working_set)" null
is "nobody asks: no table of pages is made" \
	"$(bpftool -j map list 2>/dev/null | jq --argjson pid "$watch_pid" '[.[] | select(.name == "ms_pages" and any(.pids[]?; .pid == $pid))] | length')" 0
watch_end

for bad in -w0 -w3 -wx -w131072; do
	"$migscope" $bad stat >/dev/null 2>&1
	is "$bad: usage" "$?" 2
done
done_testing
