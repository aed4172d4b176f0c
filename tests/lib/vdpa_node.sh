# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# A vDPA device and the process that has it. Takes TAP_TMP.
#
#	vdpa_node NAME		prints how a process opens the vDPA device NAME of vhost_vdpa:
#				waits for that file, ten seconds
#	vdpa_says WORD FILE [SECONDS]	waits until a process has written that there, by default
#				thirty seconds; if it does not the test fails
#	vdpa_pause SECONDS	a sleep that starts no process

vdpa_node() {
	local node tries
	for ((tries = 0; tries < 100; tries++)); do
		node=$(compgen -G "/sys/bus/vdpa/devices/$1/vhost-vdpa-*") && [ -c "/dev/${node##*/}" ] &&
			{ echo "/dev/${node##*/}"; return 0; }
		sleep 0.1
	done
	echo "no /dev/vhost-vdpa-N for $1" >&2
	return 1
}

vdpa_never=''
vdpa_pause() {
	# where nobody ever writes
	[ -n "$vdpa_never" ] || { mkfifo "$TAP_TMP/never" && exec {vdpa_never}<>"$TAP_TMP/never"; }
	read -rt "$1" -u "$vdpa_never" || :
}

# A process for each look would take longer than what is waited for, on a debug kernel.
vdpa_says() {
	local end=$((SECONDS + ${3:-30}))
	# before the first line, too, so that a word can be asked for at the beginning of one
	until [[ $'\n'$(<"$2") == *"$1"* ]]; do
		[ $SECONDS -lt $end ] || { fail "${1#$'\n'} is said in time"; return 1; }
		vdpa_pause 0.05
	done
}
