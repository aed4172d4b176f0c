#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: host needs=qemu timeout=1800
#
# A handful of the mutants, another one for every commit (all: make mutants), and
# whether what is no kill is called so.
. "${0%/*}/../tap.sh"

mutant() { printf '%s\n' "$@" >"$TAP_TMP/m.patch"; tests/mutants/run "$TAP_TMP/m.patch" >"$TAP_TMP/said" 2>&1; }
diff_of() {
	cat <<-EOT
	--- a/kernel/vhost_iotlb/Kbuild
	+++ b/kernel/vhost_iotlb/Kbuild
	@@ -1,3 +1,3 @@
	 # SPDX-License-Identifier: GPL-2.0
	-obj-m		:= $1
	+obj-m		:= $2
	 vhost_iotlb-y	:= iotlb.o
	EOT
}

added=build/mutants/tree/$(grep -h -A 1 '^--- /dev/null' tests/mutants/*.patch | sed -n 's|^+++ b/||p' | head -n 1)
mkdir -p "${added%/*}"
: >"$added"
nok "one that does not apply is no kill" mutant "Test: tests/vm/vhost_iotlb.t" "Point: x" "$(diff_of never.o that.o)"
like "and is said" "$(<"$TAP_TMP/said")" 'does not apply'
nok "what one before it added is gone" test -e "$added"
nok "one that names no test is no kill" mutant "$(diff_of vhost_iotlb.o that.o)"
like "and is said" "$(<"$TAP_TMP/said")" 'does not say what must notice it'

stale=$(for patch in tests/mutants/*.patch; do
	patch -p1 -s -F0 --dry-run <"$patch" >/dev/null 2>&1 || echo "$patch does not apply"
	test=$(sed -n '/^--- /q; s/^Test: *//p' "$patch")
	[ -x "$test" ] || echo "$patch: no test $test"
done)
is "each of them applies, and names a test that there is" "$stale" ''

tests/mutants/run -n "${MIGSCOPE_MUTANTS:-3}" >"$TAP_TMP/said" 2>"$TAP_TMP/err"
status=$?
while read -r line; do note "$line"; done <"$TAP_TMP/said"
is "a handful of the others is killed" $status 0 || diag "$(cat "$TAP_TMP/err")"
# shown in any case: which ones were tried is worth knowing
cat "$TAP_TMP/said" >&2

done_testing
