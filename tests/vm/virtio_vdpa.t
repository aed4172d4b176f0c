#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12,debug timeout=1800
#
# Our virtio_vdpa: the kernel's own network and disk drivers on simulated vDPA devices.
. "${0%/*}/../tap.sh"

bus=/sys/bus/vdpa
trace=/sys/kernel/tracing/instances/virtio_vdpa_test
mnt=$TAP_TMP/mnt

# shellcheck disable=SC2317 # by trap
cleanup() {
	umount "$mnt" 2>/dev/null || :
	vdpa dev del card 2>/dev/null || :
	vdpa dev del disk 2>/dev/null || :
	rmdir "$trace" 2>/dev/null || :
	modprobe -qra vdpa_sim_net vdpa_sim_blk virtio_vdpa 2>/dev/null || :
	rm -rf "$TAP_TMP"
}
trap cleanup EXIT

modprobe -qr vhost_vdpa
for name in virtio_vdpa vdpa_sim_net vdpa_sim_blk; do
	modprobe $name || bail_out "no $name"
	like "$name is ours" "$(cat /sys/module/$name/taint)" O
done
# nobody here loads drivers when a device comes
modprobe -a virtio_net virtio_blk || bail_out "no drivers"
mkdir "$trace"
echo 1 >"$trace/events/vdpa/enable"
events() { grep -c " vdpa_$1: $2" "$trace/trace"; }

# a card: what is sent to its own address comes back
ok "a card" vdpa dev add name card mgmtdev vdpasim_net mac 02:00:00:00:00:22 mtu 1500
for ((tries = 0; tries < 50; tries++)); do
	net=("$bus"/devices/card/virtio*/net/*)
	[ ! -e "${net[0]}" ] || break
	sleep 0.1
done
is "taken by virtio_vdpa" "$(basename "$(readlink -f $bus/devices/card/driver)")" virtio_vdpa
nic=${net[0]##*/}
is "and by the kernel's driver, with its address" "$(cat "/sys/class/net/$nic/address")" 02:00:00:00:00:22
like "which is the base's own" "$(cat /sys/module/virtio_net/taint 2>/dev/null)" '^$'
ip link set "$nic" up
cat >"$TAP_TMP/frames.py" <<'PYTHON'
import random, socket, sys
nic, mac = sys.argv[1], bytes.fromhex('020000000022')
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88b5))
s.bind((nic, 0x88b5))
s.settimeout(10)
random.seed(1)
right = 0
for n in range(300):
    body = random.randbytes(random.choice((46, 60, 500, 1499, 1500)))
    frame = mac + b'\x02\0\0\0\0\x33' + b'\x88\xb5' + body
    s.send(frame)
    while True:
        got, where = s.recvfrom(2048)
        if where[2] != socket.PACKET_OUTGOING:
            break
    right += got == frame
print(right)
PYTHON
is "300 frames come back as they were sent" "$(timeout 60 python3 "$TAP_TMP/frames.py" "$nic")" 300 ||
	bail_out "a disk would hang"
num "events: kicks" "$(events vq_kick)" -ge 300
num "events: callbacks" "$(events vq_callback)" -ge 300
is "events: its queues came to be ready" "$(events vq_ready 'dev . queue [01] ready 1')" 2

# The driver reads its address byte by byte, between two questions for the generation: what
# is changed from outside is another one, as is what a reset leaves behind.
virtio=$(basename "$bus"/devices/card/virtio*)
generation() { sed -n 's/.* op get_generation result \([0-9]*\).*/\1/p' "$trace/trace" | tail -n 1; }
again() {
	echo "$virtio" >/sys/bus/virtio/drivers/virtio_net/unbind
	echo "$virtio" >/sys/bus/virtio/drivers/virtio_net/bind
	net=("$bus"/devices/card/virtio*/net/*)
	nic=${net[0]##*/}
	generation
}
set_mac() { timeout 60 python3 tests/lib/vdpa_nl.py set name=card mac="$1"; }
first=$(again)
resets=$(($(again) - first))
is "its address is changed, twice" "$(set_mac 02aaaaaaaaaa) $(set_mac 0e5555555555)" "ok ok"
is "by two generations" $(($(again) - first - 2 * resets)) 2
again >"$TAP_TMP/again"
is "the driver has the last one" "$(cat "/sys/class/net/$nic/address")" 0e:55:55:55:55:55
ip link set "$nic" up
echo >"$trace/trace"
build/clients/frames -n 1000000 -b 16 "$nic" >/dev/null 2>&1 &
sender=$!
sleep 1
num "frames go on" "$(events vq_kick)" -gt 10
ok "deleted while it is up" timeout 60 vdpa dev del card
ok "who sent has an end" timeout 30 tail -s 0.2 --pid=$sender -f /dev/null
nok "its interface is gone" test -e "/sys/class/net/$nic"
is "events: its queues ended" "$(events vq_ready 'dev . queue [01] ready 0')" 2

# a disk
ok "a disk" vdpa dev add name disk mgmtdev vdpasim_blk
for ((tries = 0; tries < 50; tries++)); do
	block=("$bus"/devices/disk/virtio*/block/*)
	[ ! -e "${block[0]}" ] || break
	sleep 0.1
done
disk=/dev/${block[0]##*/}
ok "a file system" mkfs.ext4 -q "$disk"
mkdir "$mnt"
ok "mounted" mount "$disk" "$mnt"
head -c 20000000 /dev/urandom >"$TAP_TMP/data"
ok "20 MB copied" cp "$TAP_TMP/data" "$mnt/data"
umount "$mnt"
echo 3 >/proc/sys/vm/drop_caches
ok "mounted again" mount "$disk" "$mnt"
ok "the same is read" cmp "$TAP_TMP/data" "$mnt/data"
umount "$mnt"
ok "the file system is clean" fsck.ext4 -fn "$disk"

# handed from the kernel to a process and back
echo disk >$bus/drivers/virtio_vdpa/unbind
nok "unbound: the disk is gone" test -b "$disk"
echo disk >$bus/drivers/virtio_vdpa/bind
for ((tries = 0; tries < 50; tries++)); do
	block=("$bus"/devices/disk/virtio*/block/*)
	[ ! -e "${block[0]}" ] || break
	sleep 0.1
done
disk=/dev/${block[0]##*/}
ok "bound again: what was written is there" fsck.ext4 -fn "$disk"
# while its worker is at it
while dd if="$disk" of=/dev/null bs=256k iflag=direct 2>/dev/null; do :; done &
reader=$!
sleep 1
read -r reads _ <"/sys/block/${disk##*/}/stat"
num "it is being read" "$reads" -gt 0
ok "deleted" timeout 60 vdpa dev del disk
ok "who read it has an end" timeout 20 tail -s 0.2 --pid=$reader -f /dev/null
ok "our module can go" modprobe -r virtio_vdpa

done_testing
