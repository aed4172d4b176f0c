#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: host needs=root,kvm,bpf else=6.12,long timeout=900
#
# migscope serve --pin: what was counted outlives the process, and what happens while none
# runs is counted as well. Two migscopes at once do not disturb each other.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/watch.sh"
. "${0%/*}/../lib/serve.sh"
load_kvm
mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf
dir=/sys/fs/bpf/migscope_restart_$$
# shellcheck disable=SC2317 # by trap
cleanup() { [ -z "$serve_pid" ] || kill -KILL "$serve_pid"; rm -rf "$dir"; watch_cleanup; }
trap cleanup EXIT

serve --pin "$dir"
workload one
scrape_all
is "before: what the workload did" "$(pages)" "$(all one)"
"$migscope" serve -l 127.0.0.1:0 --pin "$dir" >"$TAP_TMP/out" 2>"$TAP_TMP/err"
is "another one on the same folder: status" "$?" 1
like "another one on the same folder: says so" "$(cat "$TAP_TMP/err")" 'another migscope has it'

# another one without it, and one that ends: neither is noticed
watch stat -j 0.2
workload two
sleep 0.6
is "stat beside it counts what it saw" "$(sample '[.vms[] | .dirty_ring.pushes] | add')" "$(all two)"
watch_end
scrape_all
is "and takes nothing away" "$(pages)" "$(all one two)"

for signal in KILL TERM; do
	kill -$signal "$serve_pid"
	wait "$serve_pid" 2>/dev/null
	ok "$signal: nobody is left" gone "$http_pid"
	workload "after$signal"
	serve --pin "$dir"
	scrape_all
	if [ $signal = KILL ]; then
		is "$signal: no count went back, and what happened meanwhile is there" "$(pages)" "$(all one two afterKILL)"
	else
		is "$signal: no count went back, and what happened meanwhile is there" "$(pages)" "$(all one two afterKILL afterTERM)"
	fi
done
workload last
scrape_all
is "and it goes on" "$(pages)" "$(all one two afterKILL afterTERM last)"
serve_end TERM

# what the one before was asked for and this one is not ends
asked() {	# OPTIONS of migscope, ARGUMENTS of serve...
	printf '#!/bin/bash\nexec %s %s "$@"\n' "$PWD/build/migscope" "$1" >"$TAP_TMP/asked"
	chmod +x "$TAP_TMP/asked"
	shift
	migscope=$TAP_TMP/asked serve --pin "$dir" "$@"
}
id() { bpftool -j map show pinned "$dir/maps/$1" 2>/dev/null | jq '.id // 0'; }
more() {
	local f
	for f in links/ms_ring_reset links/ms_ring_push progs/ms_ring_push links/ms_ring_pages progs/ms_ring_pages \
		maps/ms_push maps/ms_pages maps/ms_page_vms; do
		[ ! -e "$dir/$f" ] || echo "${f##*/}"
	done | sort -u | xargs
}
asked '--exact --working-set=1'
serve_end TERM
is "asked for more: it is pinned" "$(more)" 'ms_page_vms ms_pages ms_push ms_ring_pages ms_ring_push ms_ring_reset'
kept=$(id ms_pages) rings=$(id ms_rings)
asked '--working-set=1'
serve_end TERM
is "the same part of the pages: they are taken over" "$(id ms_pages)" "$kept"
is "not exact: no push is hooked" "$(more)" 'ms_page_vms ms_pages ms_ring_pages ms_ring_reset'
asked '--working-set=4'
serve_end TERM
isnt "another part of the pages: they are not" "$(id ms_pages)" "$kept"
is "another part of the pages: but the rest" "$(id ms_rings)" "$rings"
asked '' -s dirty_ring
serve_end TERM
is "nothing more than one source: that stays" "$(more)" ms_ring_reset
# whether it can be measured here or not
timeout -s TERM 5 "$migscope" serve -l 127.0.0.1:0 --pin "$dir" -s vdpa >/dev/null 2>&1
is "another source: it does not" "$(more)" ''
serve --pin "$dir"
scrape_all
is "and what was counted is there" "$(pages)" "$(all one two afterKILL afterTERM last)"
workload again
scrape_all
is "and it goes on" "$(pages)" "$(all one two afterKILL afterTERM last again)"
serve_end TERM

# programs of another build are not taken for ours
config=$(bpftool map dump pinned "$dir/maps/ms_config" -j | jq -r '[.[0].value[]] | join(" ")' | sed 's/0x//g')
read -r -a byte <<<"$config"
byte[32]=$(printf %02x $((0x${byte[32]} ^ 0xff)))
bpftool map update pinned "$dir/maps/ms_config" key hex 00 00 00 00 value hex "${byte[@]}" >/dev/null
serve --pin "$dir"
like "left by another build: it says so" "$(cat "$TAP_TMP/serve.err")" 'left by another version'
scrape_all
is "left by another build: begins anew" "$(pages)" 0
workload anew
scrape_all
is "left by another build: and counts" "$(pages)" "$(all anew)"
"$migscope" unpin "$dir" >"$TAP_TMP/out" 2>"$TAP_TMP/err"
is "unpin: not while it is in use: status" "$?" 1
is "unpin: not while it is in use: says so" "$(<"$TAP_TMP/err")" "migscope: $dir: another migscope has it"
workload still
scrape_all
is "unpin: not while it is in use: it counts on" "$(pages)" "$(all anew still)"
serve_end TERM
ok "unpin" "$migscope" unpin "$dir"
nok "unpin: it is gone" test -e "$dir"
is "unpin: nothing is attached any more" "$(for ((i = 0; i < 100; i++)); do
	n=$(bpftool -j link list 2>/dev/null | jq '[.[] | select(.pids // [] | length == 0) | select(.type == "tracing")] | length')
	[ "${n:-0}" -gt 0 ] || break; sleep 0.1; done; echo "${n:-0}")" 0
"$migscope" serve -l 127.0.0.1:0 --pin "$TAP_TMP/x" >"$TAP_TMP/out" 2>"$TAP_TMP/err"
is "not on a bpf file system: status" "$?" 1
like "not on a bpf file system: says so" "$(cat "$TAP_TMP/err")" 'not on a bpf file system'
done_testing
