# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # watch.sh's
#
# migscope top on a terminal, that of tmux. After tests/lib/watch.sh:
#
#	top_start [LOCALE [INTERVAL]]	at 80x24, 0.3 s; its stderr is $TAP_TMP/err
#	top_end				ends tmux; for the trap
#	mux ARGUMENT...			tmux
#	press KEY...
#	screen				what stands on it
#	shows PATTERN, hides PATTERN	waits until it does, or does not
#	row NAME			the first line that begins so

top_socket=migscope-$$

mux() { TMUX='' tmux -L "$top_socket" -f /dev/null "$@"; }
# shellcheck disable=SC2317 # by trap
top_end() { mux kill-server 2>/dev/null; }

# the server goes with its last session, some time after it: one stays
top_start() {
	mux has-session -t stays 2>/dev/null || mux new-session -d -s stays 'sleep 3600'
	mux new-session -d -s top -x 80 -y 24 \
		"LC_ALL=${1:-C.UTF-8} $migscope top ${2:-0.3} 2>'$TAP_TMP/err'; echo status \$?; sleep 600"
	shows 'probes attached' || bail_out "top does not start"
}

screen() { mux capture-pane -p -t top; }
press() { mux send-keys -t top "$@"; }
row() { screen | grep -E -- "^$1" | head -1; }

shows() {
	local i
	for ((i = 0; i < 600; i++)); do
		! screen | grep -qE -- "$1" || return 0
		sleep 0.1
	done
	diag "not on the screen: $1"
	diag "$(screen)"
	return 1
}

hides() {
	local i
	for ((i = 0; i < 600; i++)); do
		screen | grep -qE -- "$1" || return 0
		sleep 0.1
	done
	diag "still on the screen: $1"
	diag "$(screen)"
	return 1
}
