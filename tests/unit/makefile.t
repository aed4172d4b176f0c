#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What make is told reaches what it is for, and nothing else: a kernel's own make, started by a
# script of ours, must not take our flags and jobs for its own.
. "${0%/*}/../tap.sh"

# probe RECIPE ARGUMENTS...: what the recipe of "probe" prints
probe() { make -s --eval="probe:; @$1" probe "${@:2}" 2>&1; }

is "no flags in what recipes run" "$(probe 'env | grep -E "^(MAKEFLAGS|MFLAGS)=" || :' KVER=x -j2)" ''
is "nor a jobserver" "$(probe 'env | grep -c jobserver || :' -j2)" 0
is "a variable of the command line holds" "$(probe "echo \$(KVER) \$(FOLDERS)" KVER=6.99.1 FOLDERS='a b')" "6.99.1 a b"
# which they would not reach
is "no recipe calls make for this tree" "$(git grep -n -F -e '$(MAKE)' -- Makefile '*.mk')" ''
runs() { make -n "$@" 2>/dev/null | sed -n 's/^.*\(tests\/run .*\)/\1/p'; }
is "RUN= and TESTS= reach the tests" "$(runs check RUN='-k host' TESTS=tests/unit/klog.t)" \
   "tests/run -k host tests/unit/klog.t"
is "with the long ones, too" "$(runs check-long RUN='-k host' TESTS=tests/unit/klog.t)" \
   "tests/run -l -k host tests/unit/klog.t"

done_testing
