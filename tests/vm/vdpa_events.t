#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12 timeout=900 long
#
# The source vdpa on our bus, our vhost_vdpa, our vringh and our simulator: by their events,
# against clients that know what they did, and against perf on the same events.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/watch.sh"
. "${0%/*}/../lib/vdpa.sh"
vdpa_load || bail_out "no vhost_vdpa"
for name in vdpa vhost_vdpa; do
	like "$name is ours" "$(cat "/sys/module/$name/taint")" O
done
v='.devices[] | select(.dev == "probe") | .vdpa'
# shellcheck disable=SC2317 # by trap
events_cleanup() {
	rmmod vringh_probe 2>/dev/null || :
	modprobe -qra vdpa_sim_blk vdpa_sim_net vdpa_sim || :
	vdpa_cleanup
}
trap events_cleanup EXIT

# spaces_of DEVICE FILTER: of each of its address spaces
spaces_of() { sample "[.devices[] | select(.dev == \"$1\") | .spaces[] | $2]"; }

# exact: drives the disk, whose truth is in $TAP_TMP/disk then; ends it once its maps are shown,
# where migscope writes JSON
exact() {
	local pid i
	rm -f "$TAP_TMP/hold"
	mkfifo "$TAP_TMP/hold"
	build/clients/vdpa_user "$(vdpa_node disk)" exact <"$TAP_TMP/hold" >"$TAP_TMP/disk" 2>"$TAP_TMP/disk.err" &
	pid=$!
	exec 7>"$TAP_TMP/hold"
	for ((i = 0; i < 300; i++)); do
		if grep -q '^maps ' "$TAP_TMP/disk"; then
			[[ $(tail -n 1 "$TAP_TMP/watch") == \{* ]] || break
			[ "$(spaces_of disk .entries)" != "[$(disk_did maps)]" ] || break
		fi
		kill -0 $pid 2>/dev/null || break
		sleep 0.1
	done
	disk_held=$(spaces_of disk '[.asid, .entries, .entries_limit]' 2>/dev/null) || :
	exec 7>&-
	wait $pid || diag "$(cat "$TAP_TMP/disk.err")"
}
disk_did() { sed -n "s/^$1 //p" "$TAP_TMP/disk"; }

watch stat -j 0.5
vdpa_run
sleep 1
watch_end
vdpa_counted
is "each operation by name: what was pinned and mapped" "$(sample "$v.mapped_pages")" "$(vdpa_did pinned)"
num "among them those that are inlined in the base's" \
    "$(sample "$v.ops | [.set_driver_features, .get_status] | map(.calls // 0) | min")" -ge 1
is "and queues made ready" "$(sample "$v.ops.set_vq_ready.calls")" "$(vdpa_did ready)"
is "nothing was lost" "$(sample '.lost | add')" 0
ok "as SCHEMA.md says" tests/lib/schema.py tools/migscope/SCHEMA.md "$TAP_TMP/watch"

# --- all of it at once, each event beside what migscope made of it
modprobe vdpa_sim use_va=1 || bail_out "no simulator"
modprobe -a vdpa_sim_blk vdpa_sim_net || bail_out "no simulated devices"
for name in vringh vhost_iotlb vdpa_sim; do
	like "$name is ours" "$(cat "/sys/module/$name/taint")" O
done
vdpa dev add name disk mgmtdev vdpasim_blk
vdpa dev add name card mgmtdev vdpasim_net mac 52:54:00:12:34:58

watch -x stat -j 0.5 -s vdpa
perf record -q -a -m 4M -e 'vdpa:*,vhost_iotlb:*,vhost_vdpa:*' -o "$TAP_TMP/perf.data" -- \
	sh -c 'echo >"$0"; exec sleep 1000' "$TAP_TMP/started" 2>"$TAP_TMP/perf.err" &
perf_pid=$!
# what perf runs begins when its events are on
for ((i = 0; i < 600; i++)); do
	[ ! -e "$TAP_TMP/started" ] || break
	sleep 0.1
done
vdpa_run
exact
is "the disk's client came to its end" "$(tail -n 1 "$TAP_TMP/disk")" end
ok "the card's client came to its end" build/clients/vdpa_user "$(vdpa_node card)" spaces
sleep 1
kill -INT "$perf_pid"
wait "$perf_pid" || :
watch_end
perf script -i "$TAP_TMP/perf.data" -F event,trace 2>/dev/null >"$TAP_TMP/perf"
events() { grep -c -E "^ *$1: .*${2-}" "$TAP_TMP/perf"; }
unlike "perf lost nothing" "$(cat "$TAP_TMP/perf.err")" LOST
is "nor did we" "$(sample '.lost | add')" 0
for system in vdpa vhost_iotlb vhost_vdpa; do
	num "perf saw events of $system" "$(events "$system:[a-z_]+")" -ge 1
done
# of all devices together: what is in this run, is in both
all() { sample "[.devices[].vdpa // empty | $1] | add"; }
is "perf agrees: kicks, callbacks" "[$(events vdpa:vdpa_vq_kick),$(events vdpa:vdpa_vq_callback)]" \
   "[$(all .kicks),$(all .callbacks)]"
for op in set_vq_ready set_status get_status set_driver_features dma_map set_map reset suspend resume; do
	is "perf agrees: $op" "$(events vdpa:vdpa_op "op $op ")" "$(all "(.ops.$op // {}) | (.calls // 0) + (.errors // 0)")"
	num "and there was one: $op" "$(events vdpa:vdpa_op "op $op ")" -ge 1
done
for type in update invalidate batch_begin batch_end; do
	is "perf agrees: $type" "$(events vhost_vdpa:vhost_vdpa_message "type $type ")" \
	   "$(all "(.ops.$type // {}) | (.calls // 0) + (.errors // 0)")"
done
is "perf agrees: pages mapped" \
   "$(sed -n 's/.*vhost_vdpa_map: .* pages \([0-9]*\) .* error 0 .*/\1/p' "$TAP_TMP/perf" | paste -sd+ | bc)" "$(all .mapped_pages)"
is "suspended and resumed, each with an event of its own" \
   "[$(events vdpa:vdpa_device_suspend 'error 0'),$(events vdpa:vdpa_device_resume 'error 0')]" \
   "[$(all .ops.suspend.calls),$(all .ops.resume.calls)]"
is "as the disk's client did" \
   "$(sample '.devices[] | select(.dev == "disk") | .vdpa.ops | [.suspend.calls, .resume.calls]')" \
   "[$(disk_did suspends),$(disk_did resumes)]"

# --- translations of the devices themselves
is "the disk: what it found nothing at, and what it was not allowed" "$(spaces_of disk '[.misses, .denied]')" \
   "[[$(disk_did misses),$(disk_did denied)]]"
is "the disk's table, while it was used" "$disk_held" \
   "[[0,$(disk_did maps),$(cat /sys/module/vdpa_sim/parameters/max_iotlb_entries)]]"
is "and when nobody did" "$(spaces_of disk .entries)" '[0]'
is "the probe, which does not translate by vringh: what vhost_vdpa told it, nothing any more in any space" \
   "$(spaces_of probe '[.asid, .entries, has("misses")]')" '[[0,0,false],[1,0,false],[2,0,false]]'
is "the card: a miss in the address space of its control queue" "$(spaces_of card '[.asid, .misses, .denied]')" \
   '[[0,0,0],[1,1,0]]'
for what in miss/misses denied/denied hit/hits; do
	is "perf agrees: ${what#*/}" "$(events "vhost_iotlb:vhost_iotlb_${what%/*}")" \
	   "$(sample "[.devices[].spaces[]?.${what#*/}] | add")"
done
num "each request of the disk's was more than three of them" "$(spaces_of disk .hits | tr -d '[]')" -gt 100
is "whose device was known" "$(sample '[.devices[] | select(.dev == "vringh")]')" '[]'
like "the disk is its client's, by name" "$(sample '.devices[] | select(.dev == "disk") | .vm')" '^vdpa_user-'
is "in vhost's own misses there is none of this" "$(sample '[.devices[] | select(has("vhost_iotlb"))]')" '[]'
ok "as SCHEMA.md says, exact mode" tests/lib/schema.py tools/migscope/SCHEMA.md "$TAP_TMP/watch"

# --- in default mode nothing is on a translation
vdpa dev add name bare mgmtdev vdpasim_blk
watch stat -j 0.5 -s vdpa
exact
ok "the client that maps nothing came to its end" build/clients/vdpa_user "$(vdpa_node bare)" nothing
sleep 1
watch_end
is "default mode: misses and denials" "$(spaces_of disk '[.misses, .denied, has("hits")]')" \
   "[[$(disk_did misses),$(disk_did denied),false]]"
is "who maps nothing misses something: of which device is known since its reset" "$(spaces_of bare '[.misses, .denied]')" '[[1,0]]'

# --- where a device does not say what it translates by, vhost_vdpa says what it was told
watch --target vdpa_space=no_such_event stat -j 0.5 -s vdpa
exact
sleep 1
watch_end
is "without the simulator's word: what its table holds" "${disk_held%,*}" "[[0,$(disk_did maps)"
is "without the simulator's word: misses and denials of a table of nobody's" \
   "$(spaces_of vringh '[.misses, .denied]') $(spaces_of disk '[.entries, has("misses"), has("hits")]')" \
   "[[$(disk_did misses),$(disk_did denied)]] [[0,false,false]]"

# --- vringh by itself: a table of no device
watch stat -j 0.5 -s vdpa
dmesg -C
insmod "build/testmod/$(uname -r)/tests-vm-vringh_probe/vringh_probe.ko"
rmmod vringh_probe
sleep 1
watch_end
read -r _ misses _ denied < <(dmesg | sed -n 's/^.*vringh_probe: events //p')
num "vringh's own test missed something" "${misses:-0}" -ge 1
num "and was denied something" "${denied:-0}" -ge 1
is "it is a device of its own, without an address space" "$(spaces_of vringh .)" \
   "[{\"misses\":${misses:-},\"denied\":${denied:-}}]"
is "with nothing that only a device has" "$(sample '.devices[] | select(.dev == "vringh") | [.vm, .pid, has("vdpa")]')" '["-",0,false]'
ok "as SCHEMA.md says, default mode" tests/lib/schema.py tools/migscope/SCHEMA.md "$TAP_TMP/watch"

# --- the table, the report, the exposition
watch stat 0.5 -s vdpa
exact
sleep 1
watch_end
like "the table shows it as it goes" "$(cat "$TAP_TMP/watch")" ' disk: [^'$'\n'']* [0-9]+ (misses|denied)'
like "and the report" "$(cat "$TAP_TMP/watch")" \
	"address space 0: 0 translations of at most [0-9]+; misses: $(disk_did misses); denied: $(disk_did denied)"$'\n'

# --- a vhost_vdpa that is not ours on our bus: it kicks without our event
rmmod vhost_vdpa vhost
for name in vhost vhost_vdpa; do
	insmod "/lib/modules/$(uname -r)/kernel/drivers/vhost/$name.ko"
done
unlike "vhost_vdpa is the kernel's own" "$(cat /sys/module/vhost_vdpa/taint)" O
watch stat -j 0.5 -s vdpa
vdpa_run
sleep 1
watch_end
vdpa_counted
rmmod vhost_vdpa vhost
modprobe vhost_vdpa

# --- and a migscope that counts wrong would be noticed
migscope=build/tests/miscount/vdpa/migscope
watch stat -j 0.5 -s vdpa
exact
build/clients/vdpa_user "$(vdpa_node card)" spaces
sleep 1
watch_end
isnt "counted wrong: denied" "$(spaces_of disk .denied)" "[$(disk_did denied)]"
isnt "counted wrong: misses" "$(spaces_of disk .misses)" "[$(disk_did misses)]"
isnt "counted wrong: of which address space" "$(spaces_of card '[.asid, .misses]')" '[[0,0],[1,1]]'

done_testing
