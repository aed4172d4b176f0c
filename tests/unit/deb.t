#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: host needs=root
#
# The Debian packages: what is in them; and installed aside, never on this machine: that
# the tool works from there, and that nothing is left when they are removed. The modules
# themselves are built in dkms.t.
. "${0%/*}/../tap.sh"

tests/lib/aside true 2>/dev/null || skip_all "root may not mount an overlay here"
kver=$(kernel/workbench/fetch kver)
VERSION=$(build/migscope --version | sed 's/.* //') tools/packaging/build "$kver" "$TAP_TMP/deb" >"$TAP_TMP/said" 2>&1
is "packages are built" $? 0 || diag "$(cat "$TAP_TMP/said")"
is "nothing was complained about" "$(grep -c warning "$TAP_TMP/said")" 0
tool=("$TAP_TMP"/deb/migscope_*.deb) dkms=("$TAP_TMP"/deb/migscope-dkms_*.deb)
is "there are two" "$(find "$TAP_TMP/deb" -name '*.deb' | wc -l)" 2
version=$(dpkg-deb -f "${tool[0]}" Version)
is "of one version" "$(dpkg-deb -f "${dkms[0]}" Version)" "$version"
ok "a version that dpkg takes" dpkg --validate-version "$version"
[ -n "$(git tag)" ] || ok "one without a release is lower than the first" dpkg --compare-versions "$version" lt 0.1

for deb in "${tool[0]}" "${dkms[0]}"; do
	name=$(dpkg-deb -f "$deb" Package)
	dpkg-deb -c "$deb" >"$TAP_TMP/list"
	is "$name: all of it is root's" "$(awk '$2 != "root/root"' "$TAP_TMP/list")" ''
	is "$name: nobody else may write" "$(grep -v '^l' "$TAP_TMP/list" | cut -c6,9 | tr -d -- '-\n')" ''
	is "$name: all of it is below /usr" "$(awk '{ print $6 }' "$TAP_TMP/list" | grep -v -E '^\./(usr/.*)?$')" ''
	is "$name: nothing was left to fill in" "$(dpkg-deb -f "$deb" | grep -c '@[A-Z]*@')" 0
	dpkg-deb -x "$deb" "$TAP_TMP/$name"
	is "$name: nothing names where it was built" "$(grep -rlF "$PWD" "$TAP_TMP/$name")" ''
done
like "the libraries it needs are found" "$(dpkg-deb -f "${tool[0]}" Depends)" 'libbpf1 .*libsqlite3-0 '
missing=$(readelf -d "$TAP_TMP/migscope/usr/bin/migscope" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | while read -r lib; do
	# there may be one for another architecture
	packages=$(dpkg -S "*/$lib" 2>/dev/null | cut -d: -f1 | sort -u)
	grep -qwF -- "${packages:-$lib}" <(dpkg-deb -f "${tool[0]}" Depends) || echo "$lib"
done)
is "each of them" "$missing" ''

# modules: what is built here is what DKMS will expect
conf=$TAP_TMP/migscope-dkms/usr/src/migscope-$version/dkms.conf
is "dkms.conf names each module that there is" \
   "$(sed -n 's/^BUILT_MODULE_NAME.*="\(.*\)"/\1.ko/p' "$conf" | sort | paste -sd' ')" \
   "$(find "build/modules/$kver" -name '*.ko' -printf '%f\n' | sort | paste -sd' ')"
tree=$TAP_TMP/migscope-dkms/usr/src/migscope-$version
is "the sources are those of the tree" "$(diff -r kernel "$tree/kernel"; diff -r include "$tree/include")" ''

# --- installed aside; what linux-source and the headers are in dkms.t is nothing here
for name in linux-source-6.12 linux-headers-6.12-amd64; do
	mkdir -p "$TAP_TMP/$name/DEBIAN"
	printf '%s\n' "Package: $name" "Version: 6.12.1-1" "Architecture: all" "Maintainer: nobody <nobody@localhost>" \
		"Description: stands in for the archive's" >"$TAP_TMP/$name/DEBIAN/control"
	dpkg-deb --root-owner-group -b "$TAP_TMP/$name" "$TAP_TMP/$name.deb" >/dev/null
done
cat >"$TAP_TMP/aside" <<'ASIDE'
tool=$1 dkms=$2 version=$3 standins=$4
say() { printf '%s: %s\n' "$1" "$2"; }
files() { (cd / && find usr etc var/lib/dkms var/lib/systemd ! -path 'usr/share/man/man*' -o -path '*migscope*'; true) 2>/dev/null | sort; }
files >/tmp/before
dpkg -i --no-triggers "$tool" >&2; say install $?
say version "$(migscope --version)"
say runs "$(migscope selfcheck --list >/dev/null; echo $?)"
say page "$(man -w migscope-record)"
say pages "$(man -k . 2>/dev/null | wc -l >/dev/null; for p in /usr/share/man/man1/migscope*.gz; do
	MANWIDTH=80 man --warnings -l "$p" 2>&1 >/dev/null; done | grep -c .)"
say reads "$(MANWIDTH=80 man migscope-record 2>/dev/null | grep -c -E '^(NAME|SYNOPSIS|OPTIONS|EXIT STATUS)')"
. /usr/share/bash-completion/completions/migscope
COMP_WORDS=(migscope rec) COMP_CWORD=1 COMPREPLY=()
_migscope migscope
say completes "${COMPREPLY[*]}"
say bound "$(complete -p migscope)"
say user "$(getent passwd migscope | cut -d: -f6,7)"
say unit "$(systemd-analyze verify --man=yes /usr/lib/systemd/system/migscope.service 2>&1 | grep migscope)"
say same "$(dpkg -V migscope)"
dpkg -i --no-triggers "$tool" >&2; say again $?
dpkg -i --no-triggers "$dkms" >&2; say needs $?
dpkg -r --no-triggers migscope-dkms >&2
dpkg -i --no-triggers "$standins"/linux-*.deb "$dkms" >&2; say modules $?
say added "$(dkms status)"
dpkg -r --no-triggers migscope-dkms >&2; say removed $?
say gone "$(dkms status)$(ls -d /usr/src/migscope* /var/lib/dkms/migscope 2>/dev/null)"
dpkg -P --no-triggers migscope >&2; say purged $?
files >/tmp/after
say left "$(comm -13 /tmp/before /tmp/after | paste -sd' ')"
ASIDE
before=$(dpkg -l | sha1sum)
timeout 600 tests/lib/aside -w "$TAP_TMP" bash "$TAP_TMP/aside" "${tool[0]}" "${dkms[0]}" "$version" "$TAP_TMP" \
	>"$TAP_TMP/said" 2>"$TAP_TMP/log"
got() { sed -n "s/^$1: //p" "$TAP_TMP/said"; }
is "it is installed" "$(got install)" 0 || diag "$(cat "$TAP_TMP/log")"
is "it runs" "$(got version)" "$(build/migscope --version)"
is "it finds its workload" "$(got runs)" 0
is "man finds its pages" "$(got page)" /usr/share/man/man1/migscope-record.1.gz
is "and has nothing to complain about in any" "$(got pages)" 0
is "a page is read" "$(got reads)" 4
is "bash completes" "$(got completes)" record
like "where bash-completion looks for it" "$(got bound)" '_migscope migscope'
like "there is a user for serve, who cannot log in" "$(got user)" '^/nonexistent:.*nologin'
is "systemd takes the unit" "$(got unit)" ''
is "what lies there is what was packed" "$(got same)" ''
is "it can be installed over itself" "$(got again)" 0
isnt "the modules are not without source and headers" "$(got needs)" 0
is "with them they are" "$(got modules)" 0 || diag "$(tail -20 "$TAP_TMP/log")"
is "DKMS has them" "$(got added)" "migscope/$version: added"
is "they are removed" "$(got removed)" 0
is "DKMS has nothing then" "$(got gone)" ''
is "the tool is removed" "$(got purged)" 0
is "nothing of it is left" "$(got left)" ''
is "and this machine knows nothing of it" "$(dpkg -l | sha1sum)" "$before"

done_testing
