# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Is what is in the kernel what was built here? After tests/tap.sh:
#
#	is_ours NAME...		modules that are loaded: two points for each
#	file_id FILE		the build id in a file
#	loaded_id NAME		that of a module in the kernel

file_id() { readelf -n "$1" 2>/dev/null | awk '/Build ID:/ { print $3 }'; }
# a note in memory: 16 bytes of header and name, then the id
loaded_id() { od -A n -v -t x1 -j 16 "/sys/module/$1/notes/.note.gnu.build-id" | tr -d ' \n'; }

is_ours() {
	local name ko
	for name in "$@"; do
		ko=build/modules/$(uname -r)/$name.ko
		[ -e "$ko" ] || ko=build/modules/$(uname -r)/${name//_/-}.ko
		isnt "$name: it has a build id" "$(file_id "$ko")" ""
		is "$name: what was built is what is in the kernel" "$(loaded_id "$name")" "$(file_id "$ko")"
	done
}
