#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12 timeout=400
#
# What is counted stays with whose it is: when a device goes to another process, when a
# thread serves two VMs, when somebody was there before us, or came and went while we did
# not look.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/watch.sh"
. "${0%/*}/../lib/vhost_iotlb.sh"
. "${0%/*}/../lib/vdpa.sh"
. "${0%/*}/../lib/kvm.sh"
uuid=00000000-0000-4000-8000-000000000001
mdev=/sys/bus/mdev/devices/$uuid
# shellcheck disable=SC2317 # by trap
cleanup() {
	[ ! -e "$mdev" ] || echo 1 >"$mdev/remove"
	vdpa_cleanup
	modprobe -qra vfio_sim vfio_iommu_type1 || :
	modprobe -qra vhost_net vhost_vsock || :
	[ -z "$kvm_loaded" ] || modprobe -r kvm_amd
}
load_kvm
kvm=$kvm_loaded
vdpa_load || bail_out "no vhost_vdpa"
kvm_loaded=$kvm
trap cleanup EXIT
modprobe -a vhost_net vhost_vsock tun || bail_out "no vhost_net, no vhost_vsock, no tun"

# --- a vDPA device that one process has after the other
watch_first stat -j 0.3 -s vdpa
vdpa_run
vdpa_handed_over
watch_end
vdpa_known_later

# --- a VM whose vCPUs' files are closed before its own: their rings are there until it ends. At
# open files a look is taken every ten seconds, or each time where nothing else says what is alive.
kvmload=build/kvmload
declare -A blind=([all]='' [no_map]='--target ring_now=no_such'
	[no_end]='--target ring_free=no_such --target ring_free_event=no_such')
declare -A stat_pid
for name in "${!blind[@]}"; do
	# shellcheck disable=SC2086 # several words
	"$migscope" ${blind[$name]} stat -j 0.5 >"$TAP_TMP/closed.$name" 2>"$TAP_TMP/closed.$name.err" &
	stat_pid[$name]=$!
done
watch_first record -o "$TAP_TMP/closed.db" -i 500ms
for name in "${!blind[@]}"; do
	for ((i = 0; i < 300; i++)); do
		[ ! -s "$TAP_TMP/closed.$name" ] || break
		sleep 0.1
	done
done
load closed --vcpus 2 --pages 401,409 --passes 3 --ring-size 1024 --memory 96M --name closed --hold --hold-vm
load_to closed end
pid=${load_pid[closed]}
sleep 1.2
load_go closed; load_to closed vm
sleep 12
load_end closed
sleep 1.2
watch_end
kill -INT "${stat_pid[@]}"
wait "${stat_pid[@]}"
closed=$(truth closed '[.vms[0].total.vcpus[].pushes] | add')
for name in "${!blind[@]}"; do
	jq -c ".vms[] | select(.pid == $pid) | .dirty_ring.pushes" "$TAP_TMP/closed.$name" >"$TAP_TMP/pushes"
	is "a VM without its vCPUs' files, $name: its pages never get less" "$(sort -nc "$TAP_TMP/pushes" 2>&1)" ''
	is "a VM without its vCPUs' files, $name: all of them in the end" "$(tail -1 "$TAP_TMP/pushes")" "$closed"
done
is "its bill" "$("$migscope" report -j "$TAP_TMP/closed.db" |
	jq -c '[.sessions[] | select(.name | startswith("closed")) | .bill.pages]')" "[$closed]"

# --- one thread, two VMs after each other
watch_first stat -j 0.3
load two --vms 2 --mode bitmap-manual --pages 211 --name two
load_end two
watch_on
watch_end
for what in get clear; do
	is "two VMs of one thread: each $what, of each of them" \
	   "$(sample "[.vms[] | [.threads[]?.$what.calls // 0] | add]")" "$(truth two "[.vms[].total.$what.calls]")"
done

# --- slots that come and go with logging on
watch_first stat -j 0.3 -s dirty_log
kvm_logged_slots
watch_end

# --- misses that vhost gives up for later ones are waits that have ended
watch_first stat -j 0.3 -s vhost_iotlb
build/clients/vhost_messages >"$TAP_TMP/messages" || diag "$(grep '^not ok' "$TAP_TMP/messages")"
watch_on
watch_end
v='[.devices[] | select(.dev | startswith("vhost-vsock")) | .vhost_iotlb]'
num "one of its devices had more than there is room for" "$(sample "$v | map(.misses) | max")" -ge 50
is "none found no place to be measured in" "$(sample "$v | map(.waits_full) | unique")" '[0]'
is "each miss is accounted for" \
   "$(sample "$v | map(.misses == .misses_again + .miss_service.count + .waits_full + .waits_cut + .pending) | unique")" '[true]'

# --- while vhost was let go one device went, and another one came
kvmload=build/clients/vhost_net_miss
watch_first stat -j 0.3
of() { echo ".devices[] | select(.pid == $1 and .dev == \"vhost-net-0\")"; }
load first -hold
load_to first start; load_go first; load_to first middle
watch_on
first=$(sample '.devices[] | select(.dev == "vhost-net-0") | .pid')
is "a queue that leaves its card leaves the table as it is" "$(sample "$(of "$first").vhost_iotlb | [.entries, .pending]")" '[9,0]'
misses=$(sample "$(of "$first").vhost_iotlb.misses")
ok "vhost is let go" "$migscope" release -t 60s vhost
load_go first; load_to first end
watch_on
is "what is not measured meanwhile is said" "$(sample '[.not_measured[] | select(.source == "vhost_iotlb") | .why] | unique')" \
	'["vhost was let go (migscope release)"]'
load_end first
load second -hold
load_to second start; load_go second; load_to second middle
ok "and taken back" "$migscope" release -b vhost
for ((i = 0; i < 100; i++)); do
	[ "$(sample '[.devices[] | select(.alive)] | length')" != 2 ] || break
	sleep 0.2
done
is "taken back: nothing is missing any more" "$(sample '[.not_measured[] | select(.source == "vhost_iotlb")]')" '[]'
load_go second; load_to second end
watch_on
load_end second
watch_on
watch_end
second=$(truth second .pid)
is "of the one that came: what it did since we look again" \
   "$(sample "$(of "$second").vhost_iotlb | [.misses, .misses_again, .miss_service.count, .updates, .invalidates, .evictions]")" \
   "$(truth second '.since_middle | [.misses, .again, .waits, .updates, .invalidates, .evictions]')"
is "of the one that went: what it did before, and that it has ended" \
   "$(sample "$(of "$first") | [.alive, .vhost_iotlb.misses]")" "[false,$misses]"

# --- a device that can migrate is given back by a process that goes on
modprobe -a vfio_sim vfio_iommu_type1 || bail_out "no vfio_sim"
echo $uuid >/sys/class/mdev_bus/vfio_sim/mdev_supported_types/vfio_sim-pci/create
kvmload=build/clients/vfio_sim
watch_first stat -j 0.3 -s vfio
sim=".devices[] | select(.dev == \"$uuid\")"
load sim given_back $uuid
load_to sim open
watch_on
is "it is open" "$(sample "$sim | [.alive, .migration.state, .migration.steps]")" '[true,"running",2]'
load_go sim; load_to sim closed
watch_on
is "closed: it has ended" "$(sample "$sim.alive")" false
ran=$(sample "$sim.migration.seconds_in.running")
watch_on
is "and does not go on" "$(sample "$sim.migration.seconds_in.running")" "$ran"
load_go sim; load_to sim open
watch_on
is "opened again: it goes on" "$(sample "$sim | [.alive, .migration.state, .migration.steps]")" '[true,"running",4]'
load_go sim; load_to sim closed
load_end sim

# --- and by a process that goes on while a child has it yet
load away given_away $uuid
away=".devices[] | select(.dev == \"$uuid\" and .pid == ${load_pid[away]})"
load_to away kept
watch_on
is "a child has it: it has not ended" "$(sample "$away.alive")" true
load_go away; load_to away closed
watch_on
is "the child has closed it: it has ended" "$(sample "$away.alive")" false
load_go away
load_end away
watch_end

# --- one that is met when it fails
load late failed_step $uuid
load_to late resuming
watch_first stat -j 0.3 -s vfio
load_go late; load_to late failed
watch_on
is "met at a step that failed: it is where it was, and is so since then" \
   "$(sample ".devices[] | select(.dev == \"$uuid\") | [.alive, .migration.state, .migration.errors, (.migration.seconds_in | keys), .migration.seconds_in.resuming < 60]")" \
   '[true,"resuming",1,["resuming"],true]'
load_go late
load_end late
watch_end

done_testing
