# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
#	needs WORD	why what a test asks for by WORD is not to be had here; nothing if it is

needs() {
	case $1 in
	root)	[ "$(id -u)" -eq 0 ] || echo "needs root" ;;
	kvm)	[ -r /dev/kvm ] && [ -w /dev/kvm ] || echo "needs /dev/kvm" ;;
	bpf)	bpftool prog list >/dev/null 2>&1 || echo "needs to load BPF" ;;
	qemu)	type -P qemu-system-x86_64 >/dev/null || echo "needs qemu-system-x86_64" ;;
	*)	echo "needs $1, which nothing here knows" >&2; return 1 ;;
	esac
}
