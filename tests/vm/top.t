#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: host needs=root,kvm,bpf else=6.12,long timeout=900
#
# migscope top on a terminal, that of tmux: keys, sizes, VMs that come and go, its end.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/watch.sh"
. "${0%/*}/../lib/top.sh"
cleanup() { top_end; watch_cleanup; }
trap cleanup EXIT
load_kvm

top_start
load first -c 3 -s 1024 -n 2000 -P 1000 --force-full --name 'loudü' -r 3000
load second -c 1 -s 4096 -n 2000 -P 1000 --name calm -r 500
ok "a VM appears" shows '^loudü +ring +[1-9][0-9.]*'
ok "and another" shows '^calm +ring +[1-9][0-9.]*'
# on a busy machine it is late now and makes up for it later
rated() {
	local i rate
	for ((i = 0; i < 600; i++)); do
		rate=$(row calm | awk '{ print $3 }')
		! awk -v r="$rate" 'BEGIN { exit !(r > 1 && r < 4) }' || return 0
		sleep 0.1
	done
	diag "it is $rate MB/s"
	return 1
}
ok "its rate is 500 pages a second" rated
ok "a bar" shows '^calm +ring .*\[\|* *\]'
is "80x24: no line is longer" "$(screen | awk 'length > 80' | wc -l)" 0
is "80x24: no more lines" "$(screen | wc -l)" 24
first() { screen | sed -n '4,23p' | grep -oE '^(loudü|calm)' | head -1; }
order() {
	local i
	for ((i = 0; i < 600; i++)); do [ "$(first)" != "$1" ] || return 0; sleep 0.1; done
	diag "first is $(first)"; diag "$(screen)"; return 1
}
ok "sorted by what is dirtied" order loudü
press r
ok "r: the other way round" order calm
press r '<'
ok "<: sorted by name" shows '^>VM'
ok "<: sorted by name: order" order calm
press '>'
ok ">: by the rate again" order loudü
press / c a l m Enter
ok "/: filter" hides '^loudü'
ok "/: it says so" shows 'filter: calm \(1 of'
press Enter
ok "Enter: its vCPUs" shows '^calm +vCPU'
is "Enter: as many as there are" "$(screen | grep -cE '^(stalled)? +[0-9]+ \[')" 1
press Escape
ok "Esc: back" shows '^calm +ring'
press / Escape
ok "/ Esc: no filter" shows '^loudü'
mux send-keys -t top k k k k k Enter
ok "k, Enter: the vCPUs of the other" shows '^loudü +vCPU'
is "three of them" "$(screen | grep -cE '^(stalled)? +[0-9]+ \[')" 3
press Escape h
ok "h: help" shows 'turned away'
like "h: the devices' columns, too" "$(screen)" 'MISS/s translations not found'
is "h: no line is longer than 80" "$(screen | awk 'length > 80' | wc -l)" 0
press h d
ok "d: devices, or that there are none" shows '^ ?>?VM +DEV .*MISS/s|No device is seen'
is "d: no line is longer than 80" "$(screen | awk 'length > 80' | wc -l)" 0
press d h h n
ok "n: what is missing" shows 'this kernel|Everything is measured'
press n p
ok "p: paused" shows '\(paused\)'
before=$(row calm)
sleep 1
is "p: nothing moves" "$(row calm)" "$before"
press p
ok "p: and on" hides '\(paused\)'

for size in '40 10' '20 5' '10 2' '200 50' '80 24'; do
	# shellcheck disable=SC2086 # two words
	mux resize-window -t top -x ${size% *} -y ${size#* }
	sleep 0.7
	is "$size: it runs" "$(mux list-panes -t top -F '#{pane_current_command}')" "$(mux list-panes -t top -F '#{pane_current_command}' | grep -v sleep)"
done
ok "back at 80x24: as before" shows '^calm +ring'

kill -KILL "${load_pid[second]}"
wait "${load_pid[second]}" 2>/dev/null
unset 'load_pid[second]'
ok "a VM goes" shows '^calm +ended'
press q
ok "q: status" shows '^status 0'
is "q: no noise" "$(cat "$TAP_TMP/err")" ''
mux kill-session -t top

top_start C
ok "without UTF-8: a name is cut to what there is" shows '^loud\? +ring'
pkill_pid=$(pgrep -f "^$migscope top 0.3" | head -1)
kill -TERM "$pkill_pid"
ok "SIGTERM: status" shows '^status 0'
mux kill-session -t top
kill -KILL "${load_pid[first]}"
wait "${load_pid[first]}" 2>/dev/null
unset 'load_pid[first]'

is "into a pipe: what stat writes" "$("$migscope" top 0.1 2 | grep -c '^VM  *MODE')" 1
"$migscope" top x </dev/null >/dev/null 2>&1
is "top x: usage" "$?" 2
done_testing
