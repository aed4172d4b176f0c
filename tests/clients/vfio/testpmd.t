#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12 iommu timeout=300
#
# DPDK's testpmd drives a network card behind an Intel IOMMU through our type1, without
# dirty tracking: huge pages are mapped, each frame that comes in goes out again. On the
# card's wire is a virtio-net of this machine, whose frames come back byte by byte.
. "${0%/*}/../../tap.sh"
# shellcheck source=tests/lib/vfio.sh
. "${0%/*}/../../lib/vfio.sh"

trace=/sys/kernel/tracing/instances/vfio_testpmd
FRAMES=600

# shellcheck disable=SC2317 # by trap
cleanup() {
	[ -z "${testpmd-}" ] || kill -KILL "$testpmd" 2>/dev/null || :
	wait
	umount "$TAP_TMP/huge" 2>/dev/null || :
	[ ! -d $trace ] || rmdir $trace
	rm -rf "$TAP_TMP"
}
trap cleanup EXIT

modprobe vfio_iommu_type1 || bail_out "no vfio_iommu_type1"
like "type1 is ours" "$(cat /sys/module/vfio_iommu_type1/taint)" O
before=$(pins_left)
vfio_wire
card=$(pci_functions 0x8086 0x10d3)
isnt "there is a card to assign" "$card" ''
vfio_assign "$card"
echo 48 >/proc/sys/vm/nr_hugepages
mkdir "$TAP_TMP/huge"
mount -t hugetlbfs none "$TAP_TMP/huge"
mkdir $trace
echo 1 >$trace/events/vfio/enable

# testpmd is told what to do on its stdin; it says when it is ready for more, as soon as
# stdbuf makes it: into a file it would say it four kilobytes later
mkfifo "$TAP_TMP/commands"
stdbuf -oL dpdk-testpmd -l 0,1 -m 64 --huge-dir "$TAP_TMP/huge" --iova-mode va --no-telemetry -a "$card" -- -i \
	--forward-mode=io --port-topology=loop --nb-cores=1 --total-num-mbufs=2048 \
	--no-lsc-interrupt <"$TAP_TMP/commands" >"$TAP_TMP/said" 2>&1 &
testpmd=$!
exec 5>"$TAP_TMP/commands"

# tell COMMAND REGEX: waits until it says so, after what it said so far
tell() {
	local from n
	from=$(wc -c <"$TAP_TMP/said")
	[ -z "$1" ] || echo "$1" >&5
	for ((n = 0; n < 1200; n++)); do
		! tail -c "+$((from + 1))" "$TAP_TMP/said" | grep -q -E -e "$2" || return 0
		kill -0 "$testpmd" 2>/dev/null || break
		sleep 0.1
	done
	diag "testpmd: '$1' did not bring '$2': $(tail -c 1000 "$TAP_TMP/said")"
	return 1
}
is_up() {
	local n
	for ((n = 0; n < 300; n++)); do
		tell 'show port info 0' '^MTU:' || return 1
		! tail -n 60 "$TAP_TMP/said" | grep -q 'Link status: up' || return 0
		sleep 0.2
	done
	return 1
}
counted() { sed -n "/Forward statistics for port 0/,/^  ---.*---\$/s/.*$1-packets: \([0-9]*\).*/\1/p" "$TAP_TMP/said"; }

ok "testpmd comes up with the card" tell '' 'testpmd>'
like "as one that its driver for e1000 knows" "$(cat "$TAP_TMP/said")" 'net_e1000_em'
ok "its link comes up" is_up
ok "it forwards" tell start 'io packet forwarding'
lck=$(awk '$1 == "VmLck:" { print $2 }' "/proc/$testpmd/status")
num "memory is charged to it, some of it huge pages" "${lck:-0}" -ge 2048
frames() { build/clients/frames -n $FRAMES -b 8 "$vfio_net" >"$TAP_TMP/frames"; }
ok "frames come back as they were" frames || diag "$(tail -c 600 "$TAP_TMP/said")"
read -r _ frames _ _ _ strangers <"$TAP_TMP/frames"
ok "it stops" tell stop 'Done\.'
is "it has had as many as were sent, those for strangers included" "$(counted RX)" $((frames + strangers))
is "and sent as many" "$(counted TX)" $((frames + strangers))
echo quit >&5
exec 5>&-
status=0
wait "$testpmd" || status=$?
testpmd=''
is "it ends as it should" $status 0 || diag "$(tail -c 1000 "$TAP_TMP/said")"

echo 0 >$trace/events/vfio/enable
sum() { sed -n "s/.* vfio_$1: .* $2 \([0-9]*\).*/\1/p" $trace/trace | awk '{ s += $1 } END { print s + 0 }'; }
num "events: a huge page, at least, was mapped" "$(sum map pages)" -ge 512
num "events: in few runs" "$(sum map runs)" -lt "$(sum map pages)"
is "events: no tracking of dirty pages" "$(grep -c -E 'vfio_dirty_(start|stop|get):' $trace/trace)" 0
is "events: a group came that cannot say what it dirties, and went" "$(grep -c vfio_dirty_scope: $trace/trace)" 2
is "events: the container is gone" "$(grep -c vfio_container_release $trace/trace)" 1
umount "$TAP_TMP/huge"
echo 0 >/proc/sys/vm/nr_hugepages
is "no huge page stays behind" "$(awk '$1 == "HugePages_Total:" { print $2 }' /proc/meminfo)" 0

vfio_stop
is "no page stays pinned" "$(pins_left)" "$before"
done_testing
