#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12 timeout=400
#
# What migscope top shows of devices, of clients that know what they did: a vhost-net device
# that translates, a container of VFIO, a vDPA device. It is paused while they are at work, so
# that one look comes after all of it.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/watch.sh"
. "${0%/*}/../lib/vhost_iotlb.sh"
. "${0%/*}/../lib/vfio.sh"
. "${0%/*}/../lib/vdpa.sh"
. "${0%/*}/../lib/top.sh"
# shellcheck disable=SC2317 # by trap
cleanup() {
	[ -z "${MAPS_PID-}" ] || kill "$MAPS_PID"
	[ -z "${PROBE_PID-}" ] || kill "$PROBE_PID"
	top_end
	modprobe -qr vdpa_sim_net || :
	vdpa_cleanup
	rmmod vfio_probe 2>/dev/null || :
	modprobe -qr vfio_iommu_type1 || :
	modprobe -qr vhost_net || :
}
modprobe -a vhost_net tun || bail_out "no vhost_net, no tun"
vfio_load || bail_out "no type1, or no device for it"
vdpa_load || bail_out "no vhost_vdpa"
trap cleanup EXIT

# client NAME PROGRAM: as far as its middle
client() {
	kvmload=$2 load "$1" -hold -name "guest=$1"
	load_to "$1" start && load_go "$1"
	load_to "$1" middle
}
# column DEV TITLE: what stands there, where the screen was as $TAP_TMP/screen has it
column() {
	awk -v dev="$1" -v title="$2" '
		{ gsub(/PIN MB/, "PIN_MB"); gsub(/>/, " ") }
		$1 == "VM" { for (i = 1; i <= NF; i++) at[$i] = i }
		$2 == dev { print $at[title] }' "$TAP_TMP/screen"
}
# within VALUE LEAST MOST: as it is shown, rounded
within() {
	awk -v v="$1" -v least="$2" -v most="$3" 'BEGIN {
		h = v < 10 ? 0.005 : v < 100 ? 0.05 : 0.5
		exit !(v ~ /^[0-9]/ && least ~ /^[0-9]/ && v + h >= least && v - h <= most) }' && return
	diag "it shows $1, and should something from $2 to $3"
	return 1
}

top_start C.UTF-8 3
press d
ok "no device yet" shows 'No device is seen'
# a device whose tables have a limit, 2048 maps: a quarter of the first is used, of the other little
modprobe vdpa_sim_net || bail_out "no simulator"
vdpa dev add name card mgmtdev vdpasim_net || bail_out "no device of it"
coproc MAPS { exec tests/lib/vdpa_maps.py "$(vdpa_node card)" 512 5; }
read -r -t 60 -u "${MAPS[0]}" maps
is "pages are mapped" "$maps" ready
client net build/clients/vhost_net_miss
client vfio "$vfio_clients/vfio_counts"
vdpa_run
coproc PROBE { exec build/clients/vhost_vdpa "$(vdpa_node probe)" exact hold; }
while read -r -t 60 -u "${PROBE[0]}" what first && [ "$what" != kicks ]; do :; done
ok "a vhost-net device" shows '^net +vhost-net-0 '
ok "a container" shows '^vfio +container-0 '
ok "a vDPA device" shows ' probe '
like "80x24: columns" "$(screen | sed -n 3p)" 'VM +DEV +>MISS/s +WAITms +TABLE% +PIN MB +PINS/s +GETms +KICK/s$'
is "80x24: no line is longer" "$(screen | awk 'length > 80' | wc -l)" 0
# all of it has been there for a look and has come to rest
ok "nothing happens" shows ' probe .* 0$'

stamp() { date -d "$(sed -n '1s/^migscope  \([0-9:]*\) .*/\1/p' "$TAP_TMP/screen")" +%s; }
press p
ok "paused" shows '\(paused\)'
screen >"$TAP_TMP/screen"
began=$(stamp)
load_go net
load_to net end
load_go vfio
load_to vfio end
echo again >&"${PROBE[1]}"
read -r -t 60 -u "${PROBE[0]}" what kicks
is "the vDPA client did what it did before" "$what $kicks" "kicks $first"
press p
# the next look comes; what is drawn then stands for three seconds
ok "the next look" shows ' probe .* [0-9.]*[1-9][0-9.]*$'
sleep 0.2
screen >"$TAP_TMP/screen"
diag "$(cat "$TAP_TMP/screen")"
seconds=$(($(stamp) - began))
load_end net
load_end vfio

# how long a look was apart from the one before is not shown but to the second
rate() {	# TITLE DEV DONE
	ok "$1 is what $2 did in $seconds s" within "$(column "$2" "$1")" \
		"$(awk -v n="$3" -v s="$seconds" 'BEGIN { print n / (s + 1) }')" \
		"$(awk -v n="$3" -v s="$seconds" 'BEGIN { print (s > 1 ? n / (s - 1) : 1e9) }')"
}
misses=$(truth net .since_middle.misses) pins=$(truth vfio .since_middle.pin.calls)
rate MISS/s vhost-net-0 "$misses"
rate PINS/s container-0 "$pins"
rate KICK/s probe "$kicks"
# but it is the same for all: there is a time with which each rate is what was done
ok "and so in the same time" awk -v m="$(column vhost-net-0 MISS/s)" -v nm="$misses" \
	-v p="$(column container-0 PINS/s)" -v np="$pins" -v k="$(column probe KICK/s)" -v nk="$kicks" '
	function half(v) { return v < 10 ? 0.005 : v < 100 ? 0.05 : 0.5 }
	function took(v, n) {
		if (n / (v + half(v)) > least) least = n / (v + half(v))
		if (n / (v - half(v)) < most) most = n / (v - half(v))
	}
	BEGIN { most = 1e9; took(m, nm); took(p, np); took(k, nk); exit !(least <= most) }'
ok "WAITms is a mean that the client allows" within "$(column vhost-net-0 WAITms)" \
	"$(truth net '.since_middle | 1e3 * .least / .waits')" "$(truth net '.since_middle | 1e3 * .most / .waits')"
is "TABLE%: it is full" "$(column vhost-net-0 TABLE%)" 100
ok "PIN MB is what it holds" within "$(column container-0 PIN_MB)" \
	"$(truth vfio '.pinned * 4096e-6')" "$(truth vfio '.pinned * 4096e-6')"
num "PIN MB: which is something" "$(truth vfio .pinned)" -ge 50
ok "GETms is no more than the client saw" within "$(column container-0 GETms)" \
	0.0001 "$(truth vfio '.since_middle.dirty_get | 1e3 * .seconds / .calls')"
is "what a device has not is no zero" \
	"$(column vhost-net-0 KICK/s) $(column container-0 MISS/s) $(column probe PINS/s)" '- - -'
is "TABLE%: of a vDPA device, the fullest of its tables" "$(column card TABLE%)" 25.0
is "TABLE%: a table without a limit is not full" "$(column probe TABLE%)" -

# --- sorted, filtered, gone
press '<'
ok "< sorts devices, too: by name" shows '^>VM +DEV'
press / v f i o Enter
ok "/: one of them" shows 'filter: vfio \(1 of'
ok "a container that was closed has ended" shows '^vfio +ended'
press q
ok "q: status" shows '^status 0'
is "q: no noise" "$(cat "$TAP_TMP/err")" ''
done_testing
