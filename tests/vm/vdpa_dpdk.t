#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12 timeout=400 own
#
# DPDK's testpmd with a simulated vDPA card as its port: frames of a file go out by it,
# come back, and what is written to another file is the same. That is by addresses of the
# process. With physical ones (--iova-mode=pa) DPDK 22.11 maps those, but says where its
# rings are by addresses of the process, so that no device finds them: ours reaches nothing,
# says that it needs a reset, and is as good as new for who comes next.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/vdpa_net.sh"

# testpmd drops what its queue of 256 has no room for
frames=100

# shellcheck disable=SC2317 # by trap
vdpa_net_more() {
	exec 7>&- || :
	umount "$TAP_TMP/huge" 2>/dev/null || :
	echo 0 >/proc/sys/vm/nr_hugepages
}
vdpa_net_load
echo 1 >"$trace/events/vhost_vdpa/enable"
echo 1 >"$trace/events/vdpa/vdpa_op/enable"
echo 1 >"$trace/events/vhost_iotlb/vhost_iotlb_miss/enable"
mkdir "$TAP_TMP/huge"
echo 128 >/proc/sys/vm/nr_hugepages
mount -t hugetlbfs none "$TAP_TMP/huge" || bail_out "no huge pages"

# of all sizes, to the card's own address
python3 - "$TAP_TMP/in" $frames $vdpa_net_mac <<'PYTHON'
import random, struct, sys
path, frames, mac = sys.argv[1], int(sys.argv[2]), bytes.fromhex(sys.argv[3].replace(':', ''))
random.seed(7)
with open(path, 'wb') as out:
    out.write(struct.pack('<IHHiIII', 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
    for n in range(frames):
        frame = mac + b'\x02\0\0\0\0\x33\x88\xb5' + random.randbytes(random.randint(46, 1500))
        out.write(struct.pack('<IIII', n, 0, len(frame), len(frame)) + frame)
PYTHON
# what is in a file of frames, without when they came
bodies() {
	python3 - "$1" <<'PYTHON'
import struct, sys
data, at = open(sys.argv[1], 'rb').read(), 24
while at < len(data):
    size = struct.unpack_from('<I', data, at + 8)[0]
    print(data[at + 16:at + 16 + size].hex())
    at += 16 + size
PYTHON
}

stat_of() { vdpa -jp dev vstats show card qidx "$1" | sed -n "s/.*\"$2\": *\([0-9]*\).*/\1/p"; }
events() { grep -c " $1: " "$trace/trace"; }
mapped() { grep -c " vhost_vdpa_$1: .* error 0 " "$trace/trace"; }
# through the device, after each time that some were pinned or let go
pinned_pages() { sed -n 's/.* vhost_vdpa_pinned: .* pinned \([0-9]*\) .*/\1/p' "$trace/trace"; }
# its answers when testpmd asked for its status, those that say it needs a reset
needs_reset() {
	sed -n 's/.* vdpa_op: .* op get_status result \([0-9]*\) .*/\1/p' "$trace/trace" |
		awk 'int($1 / 64) % 2 { n++ } END { print n + 0 }'
}

all_sent=0 all_received=0
# testpmd WORDS MODE: the file's port is forwarded to the card's, and back: until all came back, or
# the card has no ring that it could use. How many: $sent, $received
testpmd() {
	local words=$1 mode=$2 pid i
	rm -f "$TAP_TMP/out" "$TAP_TMP/tell" "$TAP_TMP/log"
	mkfifo "$TAP_TMP/tell"
	echo >"$trace/trace"
	stdbuf -oL dpdk-testpmd -l 0,1 -m 128 --huge-dir "$TAP_TMP/huge" --file-prefix migscope --no-pci --no-telemetry \
		--iova-mode="$mode" --vdev="net_virtio_user0,path=$node,mac=$vdpa_net_mac,queue_size=256" \
		--vdev="net_pcap0,rx_pcap=$TAP_TMP/in,tx_pcap=$TAP_TMP/out" \
		-- -i --no-flush-rx --total-num-mbufs=2048 <"$TAP_TMP/tell" >"$TAP_TMP/log" 2>&1 &
	pid=$!
	exec 7>"$TAP_TMP/tell"
	echo start >&7
	# what came back was written by then, if not to the file yet
	for ((i = 0; i < 200; i++)); do
		kill -0 $pid 2>/dev/null || break
		echo "show port stats 1" >&7
		sleep 0.5
		! grep -q "TX-packets: $frames " "$TAP_TMP/log" || break
		[ "$mode" != pa ] || [ "$(events vdpa_sim_broken)" = 0 ] || break
	done
	# the card counts on through a reset
	sent=$(stat_of 1 'tx packets') received=$(stat_of 0 'rx packets')
	((sent -= all_sent, all_sent += sent, received -= all_received, all_received += received, 1))
	printf 'stop\nquit\n' >&7 2>/dev/null || :
	exec 7>&-
	for ((i = 0; i < 300; i++)); do
		kill -0 $pid 2>/dev/null || break
		sleep 0.2
	done
	kill -KILL $pid 2>/dev/null || :
	wait $pid 2>/dev/null
	is "$words: testpmd ended by itself" $? 0 || diag "$(tail -n 20 "$TAP_TMP/log")"
	like "$words: it took the mode that it was told" "$(cat "$TAP_TMP/log")" "EAL: Selected IOVA mode '${mode^^}'"
	bodies "$TAP_TMP/in" >"$TAP_TMP/in.text"
	bodies "$TAP_TMP/out" >"$TAP_TMP/out.text"
	num "$words: it mapped memory" "$(mapped map)" -ge 1
	num "$words: pages were pinned for it" "$(pinned_pages | grep -vc '^0$')" -ge 1
	is "$words: and none is when it has ended" "$(pinned_pages | tail -n 1)" 0
}

vdpa_net_sim use_va=0
# it comes with the module, and goes with it
echo 1 >"$trace/events/vdpa_sim/enable"
vdpa_net_card card

va() {
	local words=$1
	testpmd "$words" va
	is "$words: the card sent all" "$sent" $frames
	is "$words: and all came back" "$received" $frames
	ok "$words: as they were sent" cmp "$TAP_TMP/in.text" "$TAP_TMP/out.text"
	is "$words: nothing failed" "$(grep ' error -' "$trace/trace")" ""
	is "$words: no ring was broken, nothing missed" "$(events vdpa_sim_broken) $(events vhost_iotlb_miss)" "0 0"
	num "$words: they are the device's, too" \
	    "$(grep -c ' vhost_vdpa_map: .* iova 0x[1-9a-f][0-9a-f]\{8,\} ' "$trace/trace")" -ge 1
}
va "addresses of the process"

words="physical addresses"
testpmd "$words" pa
is "$words: those are mapped" "$(grep -c ' vhost_vdpa_map: .* iova 0x[1-9a-f][0-9a-f]\{8,\} ' "$trace/trace")" 0
num "$words: where the rings are said to be, the card finds nothing" "$(events vhost_iotlb_miss)" -ge 1
num "$words: which are addresses of the process" \
    "$(grep -c ' vhost_iotlb_miss: .* iova 0x[1-9a-f][0-9a-f]\{8,\} ' "$trace/trace")" -ge 1
num "$words: it breaks off" "$(events vdpa_sim_broken)" -ge 1
num "$words: and says that it needs a reset" "$(needs_reset)" -ge 1
is "$words: nothing was sent, nothing received" "$sent $received" "0 0"
is "$words: no frame came back" "$(wc -l <"$TAP_TMP/out.text")" 0

# whoever comes next has a card as good as new
va "addresses of the process, after that"

done_testing
