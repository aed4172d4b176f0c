# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
#	vdpa_node NAME		prints how a process opens the vDPA device NAME of vhost_vdpa:
#				waits for that file, ten seconds

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
