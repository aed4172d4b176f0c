# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What tests/vm/run boots: kernels, the initramfs that reaches the host's root,
# and the module tree that the guest sees. Everything made lies under build/vm/.

vm_repo=$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd -P)
vm_build=$vm_repo/build/vm
vm_cache=${MIGSCOPE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/migscope}

# The order is depmod's own default, said aloud: the machine's configuration must not
# change what is tested.
vm_depmod_conf='search updates built-in'

# What a machine has for tests that assign devices; words of tests/vm/run, without blanks
# in any of them. Devices find each other: the IOMMU comes first.
# shellcheck disable=SC2034
VM_IOMMU='-q -device -q intel-iommu,intremap=on,aw-bits=48 -q -device -q edu'
VM_IOMMU+=' -q -netdev -q hubport,id=wire0,hubid=0 -q -device -q e1000e,netdev=wire0,romfile='
VM_IOMMU+=' -q -netdev -q hubport,id=wire1,hubid=0 -q -device -q virtio-net-pci,netdev=wire1,romfile='

# And for vDPA on a PCI function: on one wire an e1000e and two cards of virtio's behind
# the IOMMU - a page for each doorbell, an interrupt for each queue and a speed; none of them - and
# a disk. What is written to that stays nowhere.
# shellcheck disable=SC2034
VM_VDPA='-q -device -q intel-iommu,intremap=on,aw-bits=48'
VM_VDPA+=' -q -netdev -q hubport,id=wire0,hubid=0 -q -device -q e1000e,netdev=wire0,romfile='
vm_modern=romfile=,disable-legacy=on,iommu_platform=on
VM_VDPA+=' -q -netdev -q hubport,id=wire1,hubid=0'
VM_VDPA+=" -q -device -q virtio-net-pci,netdev=wire1,mac=52:54:00:00:00:11,page-per-vq=on,speed=25000,duplex=full,$vm_modern"
VM_VDPA+=' -q -netdev -q hubport,id=wire2,hubid=0'
VM_VDPA+=" -q -device -q virtio-net-pci,netdev=wire2,mac=52:54:00:00:00:12,vectors=2,packed=on,$vm_modern"
VM_VDPA+=" -q -device -q virtio-blk-pci,drive=disk0,page-per-vq=on,$vm_modern -q -drive"

# Prints the rest of VM_VDPA: its disk.
vm_vdpa_disk() {
	[ -s "$vm_build/disk" ] || { mkdir -p "$vm_build"; truncate -s 32M "$vm_build/disk"; }
	echo "-q if=none,id=disk0,format=raw,snapshot=on,file=$vm_build/disk"
}

# Sets vm_image, vm_kver and vm_kernel for a name or a folder; else vm_error.
# shellcheck disable=SC2034
vm_find_kernel() {
	local name=$1 all
	case $name in
	6.12|6.1)
		vm_image=$("$vm_repo/kernel/workbench/fetch" image "$name") || return 1 ;;
	debug)
		# the newest: an interrupted build leaves no such folder
		vm_image=$(find "$vm_cache" -maxdepth 1 -name 'debug-*' ! -name '*.tmp*' -type d -printf '%T@ %p\n' 2>/dev/null |
			   sort -n | tail -1 | cut -d' ' -f2-)
		[ -n "$vm_image" ] || { vm_error="no debug kernel under $vm_cache"; return 1; } ;;
	*)
		[ -d "$name" ] || { vm_error="no such kernel: $name"; return 1; }
		vm_image=$(cd "$name" && pwd -P) ;;
	esac
	all=("$vm_image"/boot/vmlinuz-*)
	vm_kernel=${all[0]}
	if [ ${#all[@]} -ne 1 ] || [ ! -e "$vm_kernel" ]; then
		vm_error="$vm_image: not one boot/vmlinuz-*"
		return 1
	fi
	vm_kver=${vm_kernel##*/vmlinuz-}
}

# vm_make TARGET FUNCTION ARGS...: build a folder or file once, whoever asks first
vm_make() {
	local target=$1
	shift
	[ ! -e "$target" ] || return 0
	mkdir -p "${target%/*}"
	(
		flock 9
		[ ! -e "$target" ] || exit 0
		rm -rf "$target.tmp"
		# a shell of its own: set -e means nothing in one whose status is looked at
		bash -euo pipefail -c '. "$0"; "$@"' "$vm_repo/tests/vm/lib.sh" \
			"$1" "$target.tmp" "${@:2}" 9>&- || exit 1
		mv "$target.tmp" "$target"
	) 9>"$target.lock"
}

# A key for what a folder holds: names, sizes and times.
vm_key() {
	find -L "$@" -printf '%P %s %T@\n' 2>/dev/null | LC_ALL=C sort | sha1sum | cut -c1-12
}

# vm_module_order TREE KVER NAME...: files to insert, in order, without what is built in
vm_module_order() {
	local tree=$1/lib/modules/$2
	shift 2
	[ -e "$tree/modules.dep" ] || return 0	# nothing but what is built in
	python3 - "$tree" "$@" <<-'PYTHON'
		import re, sys
		tree, want = sys.argv[1], sys.argv[2:]
		name = lambda path: re.sub(r'\.ko(\.\w+)?$', '', path.rsplit('/', 1)[-1]).replace('-', '_')
		deps, builtin, order = {}, set(), []
		for line in open(tree + '/modules.dep'):
		    path, rest = line.split(':')
		    deps[name(path)] = (path, rest.split())
		for line in open(tree + '/modules.builtin'):
		    builtin.add(name(line.strip()))
		def add(module):
		    if module in builtin:
		        return
		    if module not in deps:
		        sys.exit(f'{tree}: no module {module}')
		    path, needs = deps[module]
		    for need in needs:
		        add(name(need))
		    if path not in order:
		        order.append(path)
		for module in want:
		    add(module)
		print('\n'.join(order))
	PYTHON
}

# virtio and its transport are modules in Debian's 6.1, and built in later.
vm_build_initramfs() {
	local target=$1 image=$2 kver=$3 dir order file base
	dir=$(mktemp -d "$target.XXXXXX")
	order=$(vm_module_order "$image" "$kver" virtio_pci virtio_console 9pnet_virtio 9p overlay) || return 1
	mkdir -p "$dir/bin" "$dir/modules" "$dir/dev"
	cp -L "$(type -P busybox)" "$dir/bin/busybox"
	ln -s busybox "$dir/bin/sh"
	ln -s bin "$dir/sbin"
	mkdir -p "$dir/usr"
	ln -s ../bin "$dir/usr/bin"
	ln -s ../bin "$dir/usr/sbin"
	: >"$dir/modules/order"
	for file in $order; do
		base=${file##*/}
		cp "$image/lib/modules/$kver/$file" "$dir/modules/$base"
		echo "$base" >>"$dir/modules/order"
	done
	cp "$vm_repo/tests/vm/boot" "$dir/init"
	cp "$vm_repo/tests/vm/init" "$dir/second"
	(cd "$dir" && find . | cpio --quiet -o -H newc -R 0:0) >"$target"
	rm -rf "$dir"
}

# depmod and modprobe read every module that they consider: unpacked once, the first
# takes a tenth of the time, which everyone who builds a module waits for.
vm_unpack_modules() {
	local target=$1 image=$2 kver=$3
	mkdir -p "$target/lib/modules"
	cp -a "$image/lib/modules/$kver" "$target/lib/modules/"
	find "$target" -name '*.ko.xz' -print0 | xargs -0 -r -P 2 -n 64 xz -d
	find "$target" -name '*.ko.zst' -print0 | xargs -0 -r -P 2 -n 64 zstd -qd --rm
	echo "$vm_depmod_conf" >"$target/depmod.conf"
	depmod -b "$target" -C "$target/depmod.conf" "$kver"
}

# Sets vm_tree: the folder with the base's lib/modules, unpacked. Like the image it
# lies in the cache, for all.
vm_find_modules() {
	vm_tree=$vm_image
	if grep -qsE '^[^:]*\.ko\.(xz|zst):' "$vm_image/lib/modules/$vm_kver/modules.dep"; then
		vm_tree=$vm_cache/unpacked-$vm_kver-$(vm_key "$vm_image/lib/modules/$vm_kver/modules.dep")
		vm_make "$vm_tree" vm_unpack_modules "$vm_image" "$vm_kver" >&2 || return 1
	fi
}

# A kernel packed with xz spends longer in its own unpacker, emulated, than the rest of
# the boot takes (Debian's 6.1: 17 s of CPU time to a command, 10 s with this). QEMU
# can start the unpacked one through its PVH entry.
vm_build_unpacked() {
	python3 - "$2" <<-'PYTHON' | xz -dc >"$1"
		import struct, sys
		image = open(sys.argv[1], 'rb').read()
		# Documentation/arch/x86/boot.rst: setup_sects, payload_offset, payload_length;
		# the last four bytes are the unpacked size
		offset, length = struct.unpack_from('<II', image, 0x248)
		start = ((image[0x1f1] or 4) + 1) * 512 + offset
		sys.stdout.buffer.write(image[start:start + length - 4])
	PYTHON
}

# Prints what to give to QEMU for vm_kernel.
vm_boot_image() {
	local target
	if ! grep -qs '^CONFIG_KERNEL_XZ=y' "$vm_image/boot/config-$vm_kver" ||
	   ! grep -q '^CONFIG_PVH=y' "$vm_image/boot/config-$vm_kver"; then
		echo "$vm_kernel"
		return 0
	fi
	target=$vm_build/vmlinux-$vm_kver-$(vm_key "$vm_kernel")
	vm_make "$target" vm_build_unpacked "$vm_kernel" >&2 || return 1
	echo "$target"
}

# Prints the initramfs for vm_image.
vm_initramfs() {
	local key target
	key=$(vm_key "$vm_kernel" "$vm_tree/lib/modules/$vm_kver/modules.dep" \
		"$vm_repo"/tests/vm/{boot,init,lib.sh} "$(type -P busybox)")
	target=$vm_build/initramfs-$vm_kver-$key
	vm_make "$target" vm_build_initramfs "$vm_tree" "$vm_kver" >&2 || return 1
	echo "$target"
}

# The base's modules with ours before them.
vm_build_modules() {
	local target=$1 image=$2 kver=$3 ours=$4 tree=$1/lib/modules/$3 stock=$2/lib/modules/$3 file
	mkdir -p "$tree/updates"
	for file in "$stock"/modules.{order,builtin,builtin.modinfo}; do
		[ ! -e "$file" ] || cp "$file" "$tree/"
	done
	ln -s "$stock/kernel" "$tree/kernel"
	find "$ours" -name '*.ko' -exec cp {} "$tree/updates/" \;
	echo "$vm_depmod_conf" >"$target/depmod.conf"
	depmod -b "$target" -C "$target/depmod.conf" "$kver"
}

# vm_modules OURS: prints the folder that becomes the guest's /lib/modules/KVER; with
# OURS empty the base's alone.
vm_modules() {
	local ours=$1 target
	if [ -z "$ours" ]; then
		[ ! -d "$vm_tree/lib/modules/$vm_kver" ] || echo "$vm_tree/lib/modules/$vm_kver"
		return 0
	fi
	target=$vm_build/modules-$vm_kver-$(vm_key "$ours" "$vm_tree/lib/modules/$vm_kver/modules.dep")
	vm_make "$target" vm_build_modules "$vm_tree" "$vm_kver" "$ours" >&2 || return 1
	echo "$target/lib/modules/$vm_kver"
}
