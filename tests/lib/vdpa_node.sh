# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
#	vdpa_node NAME		prints how a process opens the vDPA device NAME of vhost_vdpa:
#				waits for that file, ten seconds
#	vdpa_says WORD FILE [SECONDS]	waits until a process has written that there, by default
#				thirty seconds

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

vdpa_says() {
	local tries
	for ((tries = 0; tries < 10 * ${3:-30}; tries++)); do
		! grep -q "$1" "$2" || return 0
		sleep 0.1
	done
	return 1
}
