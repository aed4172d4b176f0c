# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What tests/vm/run boots: kernels, the initramfs that reaches the host's root,
# and the module tree that the guest sees. Everything made lies under build/vm/.

vm_repo=$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd -P)
vm_build=$vm_repo/build/vm
vm_cache=${MIGSCOPE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/migscope}

# Sets vm_image, vm_kver and vm_kernel for a name or a folder; else vm_error.
# shellcheck disable=SC2034
vm_find_kernel() {
	local name=$1 all
	case $name in
	6.12|6.1)
		vm_image=$("$vm_repo/kernel/workbench/fetch" image "$name") || return 1 ;;
	debug)
		# the newest: an interrupted build leaves no such folder
		vm_image=$(find "$vm_cache" -maxdepth 1 -name 'debug-*' -type d -printf '%T@ %p\n' 2>/dev/null |
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

# vm_make TARGET SCRIPT-FUNCTION ARGS...: build a folder or file once, whoever asks first
vm_make() {
	local target=$1
	shift
	[ ! -e "$target" ] || return 0
	mkdir -p "${target%/*}"
	(
		flock 9
		[ ! -e "$target" ] || exit 0
		rm -rf "$target.tmp"
		set -e
		"$1" "$target.tmp" "${@:2}" 9>&-
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

vm_unpack() {
	case $1 in
	*.xz)	xz -dc "$1" ;;
	*.zst)	zstd -qdc "$1" ;;
	*.gz)	gzip -dc "$1" ;;
	*)	cat "$1" ;;
	esac
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
		base=${base%.ko*}.ko
		vm_unpack "$image/lib/modules/$kver/$file" >"$dir/modules/$base"
		echo "$base" >>"$dir/modules/order"
	done
	cp "$vm_repo/tests/vm/boot" "$dir/init"
	cp "$vm_repo/tests/vm/init" "$dir/second"
	(cd "$dir" && find . | cpio --quiet -o -H newc -R 0:0) >"$target"
	rm -rf "$dir"
}

# Prints the initramfs for vm_image.
vm_initramfs() {
	local key target
	key=$(vm_key "$vm_kernel" "$vm_image/lib/modules/$vm_kver/modules.dep" \
		"$vm_repo"/tests/vm/{boot,init,lib.sh} "$(type -P busybox)")
	target=$vm_build/initramfs-$vm_kver-$key
	vm_make "$target" vm_build_initramfs "$vm_image" "$vm_kver" >&2 || return 1
	echo "$target"
}

# The base's modules with ours before them. The order is depmod's own default, said
# aloud: the machine's configuration must not change what is tested.
vm_build_modules() {
	local target=$1 image=$2 kver=$3 ours=$4 tree=$1/lib/modules/$3 stock=$2/lib/modules/$3 file
	mkdir -p "$tree/updates"
	for file in "$stock"/modules.{order,builtin,builtin.modinfo}; do
		[ ! -e "$file" ] || cp "$file" "$tree/"
	done
	ln -s "$stock/kernel" "$tree/kernel"
	find "$ours" -name '*.ko' -exec cp {} "$tree/updates/" \;
	echo 'search updates built-in' >"$target/depmod.conf"
	depmod -b "$target" -C "$target/depmod.conf" "$kver"
}

# vm_modules OURS: prints the folder that becomes the guest's /lib/modules/KVER; with
# OURS empty the base's alone.
vm_modules() {
	local ours=$1 target
	if [ -z "$ours" ]; then
		[ ! -d "$vm_image/lib/modules/$vm_kver" ] || echo "$vm_image/lib/modules/$vm_kver"
		return 0
	fi
	target=$vm_build/modules-$vm_kver-$(vm_key "$ours" "$vm_image/lib/modules/$vm_kver/modules.dep")
	vm_make "$target" vm_build_modules "$vm_image" "$vm_kver" "$ours" >&2 || return 1
	echo "$target/lib/modules/$vm_kver"
}
