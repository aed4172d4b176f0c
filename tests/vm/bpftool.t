#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: stock vm=6.12,6.1 timeout=400 long
#
# Our objects without migscope: what plain bpftool can load and attach of each. The table
# is bpf/README.md's.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/watch.sh"
load_kvm
modprobe -a vhost_net vfio_iommu_type1
[ "$MIGSCOPE_KERNEL" = 6.1 ] || modprobe -a vhost_vdpa virtio_vdpa
bpftool=build/bpftool/bpftool
mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf
dir=/sys/fs/bpf/objects
# shellcheck disable=SC2317 # by trap
trap 'rm -rf "$dir"; watch_cleanup' EXIT

seen=''
while read -r object programs attaches; do
	object=${object//\`/}
	case $MIGSCOPE_KERNEL-$object in
	6.1-*vdpa.*) programs=0 attaches=0 ;;
	esac
	seen+="$object "
	mkdir -p "$dir"
	status=0
	"$bpftool" prog loadall "build/bpf/$object.bpf.o" "$dir/p" pinmaps "$dir/m" autoattach \
		>"$TAP_TMP/out" 2>&1 || status=$?
	# one of our events in it, and a stock kernel takes nothing of the object
	is "$object: loads with autoattach, or not, as the table says" \
	   "$((status == 0))" "$((programs > 0))" || diag "$(tail -n 3 "$TAP_TMP/out")"
	attached=0
	for pin in "$dir"/p/*; do
		# 6.12's shows the link and returns 255
		[[ $("$bpftool" link show pinned "$pin" 2>/dev/null) != *' prog '* ]] || attached=$((attached + 1))
	done
	is "$object: as many programs, as many attached" "$(compgen -G "$dir/p/*" | wc -l) $attached" "$programs $attaches"
	if [ "$object" = dirty_ring ]; then
		load plain --ring-size 256 --pages 401 --force-full --name plain
		load_end plain
		is "$object: and it counts" \
		   "$("$bpftool" -j map dump pinned "$dir/m/ms_ring_vms" | jq -c '[.[].formatted.value | [.reset_entries, .full_exits]]')" \
		   "[$(truth plain '.vms[0].total | [.reset_entries, .full_exits]')]"
	fi
	rm -rf "$dir"
done < <(sed -n 's/^| \(`[a-z_.]*`\) | [^|]* | \([0-9]*\) | \([0-9]*\) .*/\1 \2 \3/p' bpf/README.md)
# shellcheck disable=SC2086 # words
is "every object is in the table" "$(printf '%s\n' $seen | LC_ALL=C sort | xargs)" \
   "$(for o in build/bpf/*.bpf.o; do o=${o##*/}; [ "$o" = migscope.bpf.o ] || echo "${o%.bpf.o}"; done | LC_ALL=C sort | xargs)"

# a program whose target is not there takes its object along
mkdir -p "$dir"
rmmod kvm_amd && rmmod kvm
nok "without KVM: the object does not load" \
    "$bpftool" prog loadall build/bpf/dirty_ring.bpf.o "$dir/p" autoattach 2>/dev/null
is "and nothing of it stays" "$(compgen -G "$dir/p/*" || :)" ""
kvm_loaded=''

done_testing
