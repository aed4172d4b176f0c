#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12,debug timeout=900 long
#
# Our vDPA bus through iproute2: management devices, devices made, shown, changed and
# deleted. Then its events, through ftrace.
. "${0%/*}/../tap.sh"

probe=build/testmod/$(uname -r)/tests-vm-vdpa_probe/vdpa_probe.ko
trace=/sys/kernel/tracing/instances/vdpa_test
bus=/sys/bus/vdpa

# shellcheck disable=SC2317 # by trap
cleanup() {
	rmmod vdpa_probe 2>/dev/null || :
	rmdir "$trace" 2>/dev/null || :
	modprobe -qr vhost_vdpa vdpa 2>/dev/null || :
	rm -rf "$TAP_TMP"
}
trap cleanup EXIT

# whoever would take our devices
modprobe -qr virtio_vdpa vhost_vdpa
modprobe vdpa || bail_out "no vdpa"
like "the bus is ours" "$(cat /sys/module/vdpa/taint)" O
modprobe -a irqbypass vhost_iotlb
mkdir "$trace"
echo 1 >"$trace/events/vdpa/enable"
nl() { timeout 120 python3 tests/lib/vdpa_nl.py "$@"; }
events() { grep -c " vdpa_$1: $2" "$trace/trace"; }

is "no management device" "$(vdpa mgmtdev show)" ""
ok "one comes with its module" insmod "$probe"
vdpa mgmtdev show >"$TAP_TMP/show"
like "it is shown" "$(cat "$TAP_TMP/show")" "^vdpa_probe: "
like "with what it makes" "$(cat "$TAP_TMP/show")" "supported_classes net"
like "with how many queues" "$(cat "$TAP_TMP/show")" "max_supported_vqs 4"
like "with what they can" "$(cat "$TAP_TMP/show")" "ACCESS_PLATFORM"
is "by its name, too" "$(vdpa mgmtdev show vdpa_probe)" "$(cat "$TAP_TMP/show")"
nok "not by another" vdpa mgmtdev show vdpa_prob

ok "a device" vdpa dev add name one mgmtdev vdpa_probe mac 02:00:00:00:00:01 mtu 1400 max_vqp 2
like "is shown" "$(vdpa dev show one)" \
     "^one: type network mgmtdev vdpa_probe vendor_id 6900 max_vqs 4 max_vq_size 256"
vdpa dev config show one >"$TAP_TMP/config"
like "its MAC" "$(cat "$TAP_TMP/config")" "mac 02:00:00:00:00:01"
like "its link" "$(cat "$TAP_TMP/config")" "link up"
like "its queues" "$(cat "$TAP_TMP/config")" "max_vq_pairs 2"
like "its MTU" "$(cat "$TAP_TMP/config")" "mtu 1400"
unlike "nothing is negotiated" "$(cat "$TAP_TMP/config")" negotiated
nok "another of its name" vdpa dev add name one mgmtdev vdpa_probe
nok "one of a management device that is not there" vdpa dev add name two mgmtdev no_such
nok "one without a name" vdpa dev add name "" mgmtdev vdpa_probe
nok "one with an MTU that no network has" vdpa dev add name two mgmtdev vdpa_probe mtu 67
nok "one without queues" vdpa dev add name two mgmtdev vdpa_probe max_vqp 0
is "one with few features" "$(nl add name=two mgmtdev=vdpa_probe features=0x300000020)" ok
like "it has a MAC" "$(vdpa dev config show two)" "mac "
unlike "it has neither MTU nor link" "$(vdpa dev config show two)" "mtu|link "
like "one with an MTU, without the feature" \
     "$(nl add name=three mgmtdev=vdpa_probe features=0x300000020 mtu=1400)" "^Invalid.*0x8, not given"
like "and with more queues than one pair" \
     "$(nl add name=three mgmtdev=vdpa_probe features=0x300000020 max_vqp=2)" "^Invalid.*0x400000,"
like "and one with features that it lacks" \
     "$(nl add name=three mgmtdev=vdpa_probe features=0x8000000300000020)" "^Invalid.*0x8000000000000000 are not"
like "a MAC of the wrong length" "$(nl add name=three mgmtdev=vdpa_probe mac=0200)" "^(Invalid|Numerical)"
is "a name without a zero at its end is one" "$(nl get name=two)" ok
like "but not a part of one" "$(nl get name=tw)" "^No such device"
is "its MAC is changed" "$(nl set name=two mac=020000000077)" ok
like "it is shown" "$(vdpa dev config show two)" "mac 02:00:00:00:00:77"
like "not to one for many" "$(nl set name=two mac=010000000001)" "^Invalid"
like "nothing else is changed" "$(nl set name=two mtu=1400)" "^Operation not supported"
like "a device without a name" "$(nl add mgmtdev=vdpa_probe)" "^Invalid"
like "a device without a management device" "$(nl add name=three)" "^Invalid"
# iproute2's vdpa has room for 64 characters
for ((i = 0; i < 60; i++)); do
	vdpa dev add name "many-$i-$(printf '%048d' 0)" mgmtdev vdpa_probe || fail "device $i"
done
is "all are shown, though it takes more than a message" "$(vdpa dev show | grep -c '^many-')" 60
is "and their configuration" "$(vdpa dev config show | grep -c '^many-')" 60
is "each once" "$(vdpa dev show | sort | uniq -d)" ""
for ((i = 0; i < 60; i++)); do
	vdpa dev del "many-$i-$(printf '%048d' 0)" || fail "device $i, away"
done
is "they are gone" "$(vdpa dev show | grep -c '^many-')" 0
# whose status is 0 in any case
like "statistics of a device that nobody drives" "$(vdpa dev vstats show one qidx 0 2>&1)" \
     "features are not negotiated"

# a driver, by name
is "nobody drives them" "$(ls $bus/drivers)" ""
modprobe vhost_vdpa || bail_out "no vhost_vdpa"
ok "a driver takes all" test -e $bus/drivers/vhost_vdpa/one -a -e $bus/drivers/vhost_vdpa/two
echo one >$bus/drivers/vhost_vdpa/unbind
nok "gives one back" test -e $bus/drivers/vhost_vdpa/one
echo nobody >$bus/devices/one/driver_override
nok "may not have it again, if another is named" sh -c "echo one >$bus/drivers/vhost_vdpa/bind"
echo vhost_vdpa >$bus/devices/one/driver_override
ok "may, if it is named" sh -c "echo one >$bus/drivers/vhost_vdpa/bind"

node=("$bus"/devices/one/vhost-vdpa-*)
build/clients/vhost_vdpa "/dev/${node[0]##*/}" exact >"$TAP_TMP/exact" || diag "$(cat "$TAP_TMP/exact")"
is "a process drove it" "$(tail -n 1 "$TAP_TMP/exact")" end

ok "deleted" vdpa dev del one
nok "not twice" vdpa dev del one
nok "a device that is not there" vdpa dev show one
ok "the management device's module takes the rest with it" rmmod vdpa_probe
is "nothing is left" "$(vdpa dev show; vdpa mgmtdev show)" ""

is "events: devices that came" "$(events device_add)" 62
is "events: and went" "$(events device_remove)" 62
is "events: one by name" "$(events device_add 'dev 0 name one nvqs 4 groups 2 address_spaces 3 managed')" 1
is "events: drivers that took them" "$(events driver_bind 'dev . driver vhost_vdpa error 0')" 3
is "events: and gave them back" "$(events driver_unbind)" 3
is "events: kicks of the process" "$(events vq_kick 'dev 0 queue 1')" \
   "$(sed -n 's/^kicks //p' "$TAP_TMP/exact")"
is "events: it came to run" "$(events status 'dev 0 status 0xf')" 1
is "events: what it negotiated" "$(events features 'dev 0 features 0x300000000 error 0')" 1
is "events: reset when it was opened and when it was closed" "$(events device_reset 'dev 0 ns [0-9]* error 0')" 2
num "events: calls, with their time" "$(events op 'dev 0 op set_status result 0 ns [0-9]')" -ge 4
is "events: calls that nobody knows" "$(events op 'dev [0-9]* op 0x')" 0
is "no event was lost" "$(awk '/^overrun|^dropped/ { n += $2 } END { print n }' "$trace"/per_cpu/cpu*/stats)" 0

done_testing
