#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12 needs=qemu own timeout=600
#
# A guest with a simulated VFIO device in it migrates from one QEMU to another: what the
# device wrote after it was sent arrives, because the container's dirty bitmap named it,
# and the device goes on where it was. Pages that stay pinned, and pages that are pinned
# for each write. migscope, watching, says what that cost, as the events do.
# shellcheck source=tests/tap.sh
. "${0%/*}/../../tap.sh"
# shellcheck source=tests/lib/watch.sh
. "${0%/*}/../../lib/watch.sh"

here=tests/clients/vfio_sim
parent=/sys/class/mdev_bus/vfio_sim/mdev_supported_types/vfio_sim-pci
trace=/sys/kernel/tracing/instances/vfio_sim_migrate
origin=00000000-0000-4000-8000-00000000000a
destination=00000000-0000-4000-8000-00000000000b
export PYTHONDONTWRITEBYTECODE=1

# shellcheck disable=SC2317 # by trap
cleanup() {
	[ -z "$watch_pid" ] || kill -KILL "$watch_pid" 2>/dev/null || :
	for uuid in $origin $destination; do
		[ ! -e "/sys/bus/mdev/devices/$uuid" ] || echo 1 >"/sys/bus/mdev/devices/$uuid/remove"
	done
	[ ! -d $trace ] || rmdir $trace
	rm -rf "$TAP_TMP"
}
trap cleanup EXIT

modprobe kvm_amd || bail_out "no KVM in this machine"
modprobe vfio_iommu_type1 || bail_out "no vfio_iommu_type1"
modprobe vfio_sim || bail_out "no vfio_sim"
mkdir $trace
echo 1 >$trace/events/vfio_sim/vfio_sim_state/enable
echo 1 >$trace/events/vfio/vfio_dirty_get/enable
for uuid in $origin $destination; do
	echo "$uuid" >"$parent/create" || bail_out "no device"
done

result() { jq -r "$1" "$TAP_TMP/result"; }
states() { sed -n "s/.* device $1 protocol 1 \(.*\) duration.* result 0\$/\1/p" $trace/trace | tr '\n' ','; }

# sum FIELD: over all bitmaps that were asked for
sum() { sed -n "s/.* vfio_dirty_get: .* $1 \([0-9]*\) .* error 0\$/\1/p" $trace/trace | awk '{ s += $1 } END { print s + 0 }'; }
gets() { grep -c ' vfio_dirty_get: .* unmap 0 .* error 0$' $trace/trace; }
# stayed DEVICE STATE: ns, in all
stayed() {
	sed -n "s/.* device $1 protocol [012] $2 -> .* stayed \([0-9]*\) result 0\$/\1/p" $trace/trace |
		awk '{ s += $1 } END { printf "%.0f\n", s }'
}

# What migscope's last sample says of the origin is what the events say.
bill() {
	local words=$1 container='.devices[] | select(.vm == "vfio_sim-origin" and .vfio) | .vfio'
	local device=".devices[] | select(.dev == \"$origin\") | .migration" state
	is "$words: migscope: bitmaps, their bytes, dirty pages" \
	   "$(sample "$container | .dirty_get | [.calls, .bytes, .dirty_pages]")" \
	   "[$(gets),$(sum bytes),$(sum dirty)]"
	is "$words: migscope: devices write what they pin, no more counts as dirty" \
	   "$(sample "$container | .scope_full")" false
	is "$words: migscope: steps from state to state" "$(sample "$device | [.protocol, .steps, .errors]")" \
	   "[1,$(states $origin | tr -cd , | wc -c),0]"
	for state in pre_copy stop_copy; do
		is "$words: migscope: time in $state" "$(sample "$device | .seconds_in.$state * 1e9 | round")" \
		   "$(stayed $origin $state)"
	done
	is "$words: migscope: nothing was lost" "$(sample '.lost | add')" 0
	ok "$words: migscope: as SCHEMA.md says" tests/lib/schema.py tools/migscope/SCHEMA.md "$TAP_TMP/watch"
}

# The same in words
report() {
	local words=$1
	like "$words: migscope's report: bitmaps" "$(cat "$TAP_TMP/watch")" "dirty bitmaps: $(gets), mean"
	like "$words: migscope's report: pages" "$(cat "$TAP_TMP/watch")" ", $(sum dirty) of them dirty, .* for each"
	like "$words: migscope's report: states" "$(cat "$TAP_TMP/watch")" "in pre_copy: .*in stop_copy: "
	note "$(sed -n '/^container-0 of vfio_sim-origin/,/^$/p' "$TAP_TMP/watch")"
}

# One migration is recognised, by VFIO alone, and the bill has what the device's states cost.
recorded() {
	local words=$1 state
	"$migscope" report -j "$TAP_TMP/r.db" >"$TAP_TMP/report.json"
	is "$words: one session, what it was, what became of it, by what" \
	   "$(jq -c '.sessions | map([.name, .kind, .outcome, .recognised_by])' "$TAP_TMP/report.json")" \
	   '[["vfio_sim-origin","migration","devices_stopped","tracking"]]'
	for state in pre_copy stop_copy; do
		is "$words: time in $state" \
		   "$(jq ".sessions[0].devices[] | select(.dev == \"$origin\") | .seconds_in.$state * 1e6 | round" "$TAP_TMP/report.json")" \
		   "$(stayed $origin $state | awk '{ printf "%.0f", $1 / 1000 }')"
	done
	note "$("$migscope" report "$TAP_TMP/r.db")"
}

# migrates HOW WORDS PINNED JUDGE COMMAND...: JUDGE looks at what migscope wrote with COMMAND;
# whether it arrives is told apart from how it went
migrates() {
	local how=$1 words=$2 pinned=$3 judge=$4
	echo >$trace/trace
	rm -f "$TAP_TMP/result"
	watch "${@:5}"
	"$here/migrate" --how "$how" --linger 5 --json "$TAP_TMP/result" $origin $destination >&2 || :
	sleep 1
	watch_end
	is "$words: QEMU says it completed" "$(result .status)" completed || return 0
	num "$words: in several rounds" "$(result .rounds)" -ge 2
	num "$words: the device wrote in the meantime" "$(result .passes_during)" -ge 4
	is "$words: what the device wrote arrived" "$(result .checked.bad_device)" 0 ||
		diag "$(result '.bad_pages | tostring')"
	is "$words: what the CPU wrote arrived" "$(result .checked.bad_cpu)" 0
	is "$words: the device's state arrived" "$(result .checked.bad_state)" 0
	num "$words: it went on from where it was" \
		"$(result .passes_first_at_destination)" -ge "$(result .passes_at_origin)"
	num "$words: its interrupts reach the guest there" "$(result .checked.irqs)" -gt 0
	is "$words: pages are pinned there" "$(result .checked.pinned)" "$pinned"
	like "$words: the origin's states" "$(states $origin)" \
		"running -> pre_copy,pre_copy -> stop_copy,stop_copy -> stop,"
	like "$words: the destination's states" "$(states $destination)" \
		"running -> stop,stop -> resuming,resuming -> stop,stop -> running,"
	$judge "$words"
}

migrates keep "pages that stay pinned" 128 bill stat -s vfio -j 0.5
migrates pin "pages pinned for each write" 0 report stat -s vfio 0.5
migrates keep "a recording" 128 recorded record -s vfio -i 100ms -o "$TAP_TMP/r.db"

done_testing
