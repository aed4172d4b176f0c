#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12 own timeout=500 long
#
# A module that is watched is let go on request, is unloaded, and is watched again when it
# comes back; what was counted is there again, nobody has to be started anew.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/watch.sh"
. "${0%/*}/../lib/serve.sh"
load_kvm
dirty() { jq -s 'map(select(.name == "migscope_dirty_pages_total") | .value) | add // 0' "$TAP_TMP/scrape.json"; }
attached() { jq -s 'map(select(.name == "migscope_probe_attached" and .labels.source == "dirty_ring" and .labels.how != "iterator") | .value) | add // 0' "$TAP_TMP/scrape.json"; }

serve
"$migscope" record -o "$TAP_TMP/r.db" -i 500ms >/dev/null 2>&1 &
record_pid=$!
watch stat -j 0.5
load before --ring-size 256 --pages 401 --force-full --name before
load_end before
pushes=$(truth before '[.vms[0].total.vcpus[].pushes] | add')
scrape_all
is "before" "$(dirty)" "$pushes"
probes=$(attached)
modprobe -r kvm_amd 2>/dev/null
nok "while it is watched it cannot be removed" rmmod kvm 2>/dev/null

"$migscope" release -t 60s kvm_amd >"$TAP_TMP/out" 2>&1
is "release: status" "$?" 0
like "release: says what" "$(cat "$TAP_TMP/out")" '^kvm: let go, [1-9][0-9]* programs'
ok "and then it can be removed" rmmod kvm
kvm_loaded=''
is "nothing of ours is attached to it" "$(bpftool -j prog list 2>/dev/null | jq '[.[] | select((.name // "") | startswith("ms_ring_reset"))] | length')" 0
sleep 1
scrape_all
is "what is not measured has no series" "$(grep -c '^migscope_dirty_pages_total' "$TAP_TMP/scrape")" 0
is "and it is said that it is not measured" "$(attached)" 0
"$migscope" release kvm >"$TAP_TMP/out" 2>&1
is "one that is not loaded: status" "$?" 1
like "one that is not loaded: says so" "$(cat "$TAP_TMP/out")" 'no module of that name is loaded'

load_kvm
for ((i = 0; i < 100; i++)); do
	scrape_all
	[ "$(attached)" != "$probes" ] || break
	sleep 0.5
done
is "it comes back, and is watched again" "$(attached)" "$probes"
sleep 1
load after --ring-size 256 --pages 409 --force-full --name after
load_end after
scrape_all
is "and counted, beside what was" "$(dirty)" "$((pushes + $(truth after '[.vms[0].total.vcpus[].pushes] | add')))"
sleep 1
both=$(dirty)
is "stat: the same" "$(sample '[.vms[] | .dirty_ring.pushes] | add')" "$both"

# it is taken back, while a VM goes on; its ring is reset whenever it is full, and never above that
load gap --ring-size 256 --pages 401 --passes 60000 --rate 2000 --force-full --name gap
sleep 2
ok "release again" "$migscope" release -t 60s kvm
sleep 3
ok "and take it back" "$migscope" release -b kvm
nok "twice is once too often" "$migscope" release -b kvm
for ((i = 0; i < 100; i++)); do
	scrape_all
	[ "$(attached)" != "$probes" ] || break
	sleep 0.5
done
is "taken back: it is watched" "$(attached)" "$probes"
sleep 3
load_enough gap
sleep 1
gap() { sample ".vms[] | select(.pid == $(truth gap .pid)) | .dirty_ring | $1"; }
num "a VM that ran meanwhile: its pushes are counted" "$(gap .pushes)" -gt 0
is "a VM that ran meanwhile: its ring was as full as it can be" "$(gap .used_max_entries)" "$(gap .soft_limit_entries)"
num "a VM that ran meanwhile: it did not wait for us" "$(gap '.stall.seconds * 1000 | floor')" -lt 3000
is "a VM that ran meanwhile: all rings of it are gone" "$(gap '.rings - .rings_freed')" 0
num "a VM that ran meanwhile: its pushes are not counted twice" "$(gap .pushes)" -le "$(truth gap '[.vms[0].total.vcpus[].pushes] | add')"
watch_end
is "stat: its end" "$watch_status" 0
kill -INT "$record_pid"
wait "$record_pid"
is "record: its end" "$?" 0
"$migscope" report -j "$TAP_TMP/r.db" >"$TAP_TMP/r.json"
num "record: the probes went and came back" "$(jq '[.events[] | select(.kind == "probe" and (.text | startswith("ring_reset:")))] | length' "$TAP_TMP/r.json")" -ge 2
is "record: both VMs, all pages" "$(jq '[.vms[] | select(.name | startswith("gap") | not) | .series[] | select(.name == "dirty_pages") | .points[-1][1]] | add' "$TAP_TMP/r.json")" "$both"
for bad in '' '-q' 'a/b' '.x' 'a b' '-t x kvm'; do
	# shellcheck disable=SC2086 # words
	"$migscope" release $bad >/dev/null 2>&1
	is "release $bad: usage" "$?" 2
done
serve_end TERM
is "serve: its end" "$serve_status" 0
done_testing
