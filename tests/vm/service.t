#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: vm=6.12 systemd timeout=420 own
#
# The unit as it is installed, under systemd: fenced in as it says it still counts, names
# VMs, sees modules that come later, and goes on where it was when it is started again.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/watch.sh"
. "${0%/*}/../lib/serve.sh"
. "${0%/*}/../lib/vdpa.sh"
dir=/sys/fs/bpf/migscope-serve
serve_url=http://127.0.0.1:9788

is "systemd runs this machine" "$(cat /proc/1/comm)" systemd
make -s install PREFIX=/usr >"$TAP_TMP/install" 2>&1 || bail_out "make install: $(tail -1 "$TAP_TMP/install")"
systemd-sysusers migscope.conf
systemctl daemon-reload
is "it is not started by being installed" "$(systemctl is-active migscope)" inactive
systemctl start migscope
is "it starts" "$?:$(systemctl is-active migscope)" 0:active ||
	diag "$(journalctl -q -u migscope --no-pager | tail -5)"
is "it has nothing to complain about but what is not there" \
   "$(journalctl -q -u migscope -p warning --no-pager -o cat)" ''

property() { systemctl show -P "$1" migscope; }
main() { property MainPID; }
fences() {
	local attaches http
	attaches=$(main)
	http=$(pgrep -P "$attaches")
	# CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN
	is "$1: who attaches keeps three capabilities" "$(status "$attaches" CapEff)" 000000c000200000
	is "$1: who answers has none, and is another user" "$(status "$http" CapEff) $(stat -c %U "/proc/$http")" \
	   '0000000000000000 migscope'
	for pid in "$attaches" "$http"; do
		is "$1: no new privileges, system calls are filtered" "$(status "$pid" NoNewPrivs) $(status "$pid" Seccomp)" '1 2'
	done
}
fences "started"

# a module that comes is looked for now and then
attached() {
	local i
	for ((i = 0; i < 60; i++)); do
		scrape_all && [ "$(jq -sr --arg p "$1" 'map(select(.name == "migscope_probe_attached" and .labels.probe == $p) | .value) | add // 0' \
			"$TAP_TMP/scrape.json")" = 1 ] && return 0
		sleep 1
	done
	return 1
}

load_kvm
ok "KVM came after it: its ring is watched" attached ring_reset
workload one
scrape_all
is "it counts" "$(pages)" "$(all one)"
# by its command line if that was read while it lived, else by its thread's name and its pid
like "it names the VM: /proc is whole" "$(jq -sr 'map(select(.name == "migscope_vm_info") | .labels.vm) | join(" ")' "$TAP_TMP/scrape.json")" '^one(-[0-9]+)?$'

vdpa_load
ok "vDPA, too" attached vhost_vdpa_message
vdpa_run
# of the device that the client had
device() { jq -sr --arg n "migscope_$1" --arg op "${2-}" 'map(select(.name == $n and .labels.dev == "probe" and
	(.labels.op // "") == $op) | .value) | if length == 1 then .[0] else "\(length) of them" end' "$TAP_TMP/scrape.json"; }
device_is() {
	scrape_all
	is "$1: its kicks, updates and invalidations are the client's" \
	   "$(device vdpa_vq_kicks_total) $(device vdpa_op_seconds_count update) $(device vdpa_op_seconds_count invalidate)" \
	   "$(vdpa_did kicks) $(($(vdpa_did update) - $(vdpa_did failed))) $(vdpa_did invalidate)"
}
device_is "a device"
is "and on the live page" \
   "$(curl -s "$serve_url/live.json" | jq '.devices[] | select(.dev == "probe") | .v.vdpa_vq_kicks')" "$(vdpa_did kicks)"

systemctl restart migscope
is "restarted: it is active" "$?:$(systemctl is-active migscope)" 0:active
fences "restarted"
workload two
scrape_all
is "restarted: no count went back" "$(pages)" "$(all one two)"

before=$(main)
isnt "restarted: it has a process" "$before" 0 || bail_out "there is no service"
kill -KILL "$before"
workload meanwhile
for ((i = 0; i < 60; i++)); do
	[ "$(systemctl is-active migscope)" != active ] || [ "$(main)" = "$before" ] || break
	sleep 0.5
done
is "killed: systemd starts it again" "$(systemctl is-active migscope) $(property NRestarts)" 'active 1'
scrape_all
is "killed: what happened meanwhile is there" "$(pages)" "$(all one two meanwhile)"
fences "killed"
device_is "killed, and restarted before"

modprobe vfio_iommu_type1
ok "a module that comes later is watched" attached vfio_map

links() { bpftool -j link list | jq '[.[] | select(.prog_id as $p | $p)] | length'; }
http=$(pgrep -P "$(main)")
systemctl stop migscope
is "stopped: it was not killed, and nothing is wrong" "$(systemctl is-active migscope) $(property Result)" 'inactive success'
ok "stopped: nobody is left" gone "$http"
ok "what was counted stays" test -e $dir
"$migscope" unpin $dir
is "until it is taken away" "$?:$(ls -d $dir 2>/dev/null)" 0:
is "and nothing is attached" "$(links)" 0

# the package's, beside it: what else than dpkg tells it to go away
systemctl enable -q --now migscope
ok "started anew: it pins" test -d $dir
sh tools/packaging/migscope/prerm upgrade 1
is "the package is upgraded: it goes on" "$?:$(systemctl is-active migscope)" 0:active
sh tools/packaging/migscope/prerm remove
is "removed: it has ended, and is not started again" \
   "$?:$(systemctl is-active migscope):$(systemctl is-enabled migscope)" 0:inactive:disabled
nok "removed: it leaves nothing pinned" test -e $dir
is "removed: and nothing attached" "$(links)" 0
note "$(systemd-analyze security --no-pager migscope.service | tail -1)"

done_testing
