# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # watch.sh's
#
# For tests that hold the source vdpa against tests/clients/vhost_vdpa's suite "exact" on a
# device of vdpa_probe. After tests/lib/watch.sh:
#
#	vdpa_load		the bus and vhost_vdpa; undone at the end
#	vdpa_run		a new device, driven; what the client did is in $TAP_TMP/exact
#	vdpa_did WHAT		of it: update, invalidate, batch_begin, batch_end, failed, ready, kicks
#	vdpa_counted		what migscope shows of that device is what the client did
#	vdpa_handed_over	after vdpa_run: another process has that device, and counts of its own
#	vdpa_known_later	what was pinned before migscope came is not shown until it is known

. "${BASH_SOURCE[0]%/*}/vdpa_node.sh"

# shellcheck disable=SC2317 # by trap
vdpa_cleanup() {
	watch_cleanup
	rmmod vdpa_probe 2>/dev/null || :
	modprobe -qr vhost_vdpa vdpa || :
}

vdpa_load() {
	# shellcheck disable=SC2034 # for the test
	kvm_loaded=''
	trap vdpa_cleanup EXIT
	# it would take our devices
	modprobe -qr virtio_vdpa || :
	modprobe -a vdpa vhost_vdpa irqbypass
}

vdpa_run() {
	local node
	[ ! -d /sys/module/vdpa_probe ] || rmmod vdpa_probe
	insmod "build/testmod/$(uname -r)/tests-vm-vdpa_probe/vdpa_probe.ko" mode=maps
	vdpa dev add name probe mgmtdev vdpa_probe mac 02:00:00:00:00:01 mtu 1400
	node=$(vdpa_node probe)
	build/clients/vhost_vdpa "$node" exact >"$TAP_TMP/exact" || diag "$(cat "$TAP_TMP/exact")"
}

vdpa_did() { sed -n "s/^$1 //p" "$TAP_TMP/exact"; }

vdpa_counted() {
	# else nothing below would say so
	is "the client came to its end" "$(tail -n 1 "$TAP_TMP/exact")" end
	local v='.devices[] | select(.dev == "probe") | .vdpa'
	is "updates, those that failed, invalidates, batches" \
	   "$(sample "$v.ops | [.update.calls, .update.errors, .invalidate.calls, .batch_begin.calls, .batch_end.calls]")" \
	   "[$(($(vdpa_did update) - $(vdpa_did failed))),$(vdpa_did failed),$(vdpa_did invalidate),$(vdpa_did batch_begin),$(vdpa_did batch_end)]"
	is "why they failed: one page too many, one page twice" "$(sample "$v.errors" -S)" '{"EEXIST":1,"ENOMEM":1}'
	is "kicks" "$(sample "$v.kicks")" "$(vdpa_did kicks)"
	is "each message was timed" "$(sample "$v.ops | .update.time.count == .update.calls and .update.time.seconds > 0")" true
	is "the process is gone, and with it what it pinned" "$(sample "$v.pinned_pages")" 0
	like "the device is its process's, by name" "$(sample '.devices[] | select(.dev == "probe") | .vm')" '^vhost_vdpa-'
	is "the device is there" "$(sample '.devices[] | select(.dev == "probe") | .alive')" true
}

vdpa_handed_over() {
	local first v='[.devices[] | select(.dev == "probe")]'
	first=$(vdpa_did kicks)
	build/clients/vhost_vdpa "$(vdpa_node probe)" exact >"$TAP_TMP/exact" || diag "$(cat "$TAP_TMP/exact")"
	sleep 0.7
	is "the next who has it counts from the beginning: kicks" "$(sample "$v | map(.vdpa.kicks)")" "[$first,$(vdpa_did kicks)]"
	is "updates" "$(sample "$v | map(.vdpa.ops.update.calls) | unique")" "[$(($(vdpa_did update) - $(vdpa_did failed)))]"
	is "it is another's" "$(sample "$v | [(map(.vm) | unique | length), map(.alive)]")" '[2,[false,true]]'
	is "whose pages are gone" "$(sample "$v | map(.vdpa.pinned_pages)")" '[0,0]'
}

vdpa_known_later() {
	local line v='.devices[] | select(.dev == "probe") | .vdpa'
	coproc MAPS { exec tests/lib/vdpa_maps.py "$(vdpa_node probe)" 300; }
	read -r -t 60 -u "${MAPS[0]}" line
	is "pages are mapped" "$line" ready
	watch_first stat -j 0.3 -s vdpa
	# our bus tells of the device by this
	vdpa dev config show probe >"$TAP_TMP/config"
	sleep 0.7
	is "it came later: what is pinned is not known" "$(sample "[$v | has(\"pinned_pages\")] | any")" false
	echo one >&"${MAPS[1]}"
	read -r -t 60 -u "${MAPS[0]}" line
	sleep 0.7
	is "a page more, and it is" "$(sample "$v.pinned_pages")" 301
	kill "$MAPS_PID"
	wait "$MAPS_PID"
	sleep 0.7
	is "its process ends: nothing is" "$(sample "$v.pinned_pages")" 0
	watch_end
}
