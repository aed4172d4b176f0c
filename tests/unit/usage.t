#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What migscope says of arguments that make no sense, and its exit status then; nothing is
# watched for it.
. "${0%/*}/../tap.sh"

# says STATUS PATTERN ARGUMENT...
says() {
	local status=0
	timeout 20 build/migscope "${@:3}" >"$TAP_TMP/out" 2>&1 || status=$?
	is "${*:3}: status" $status "$1"
	like "${*:3}: says why" "$(cat "$TAP_TMP/out")" "$2"
}

says 2 'unrecognized option' --nonsense
says 2 'unrecognized option' doctor --nonsense
says 1 'nowhere' --btf=/nowhere doctor
says 2 'nosuch' --target=nosuch=foo stat -d 1
says 2 'nosuch' --target=nosuch=foo forecast -b 100 -d 1
for listen in 127.0.0.1 127.0.0.1: 127.0.0.1:99999 127.0.0.1:-1 127.0.0.1:http ::1:80; do
	says 2 'not ADDRESS:PORT' serve -l "$listen"
done
says 2 'not a duration' serve --keep=soon
says 2 'not a number of MB' forecast -b 0 "$TAP_TMP/none"
says 2 'not a duration' forecast -b 1 --overhead=-1s "$TAP_TMP/none"
says 1 'none' forecast -b 1 --overhead=0 "$TAP_TMP/none"
says 1 'none' report "$TAP_TMP/none"
says 1 'no module of that name' release nosuch
says 2 'no argument' selfcheck nosuch

# a monitor that another has, and for which as many wait as it lets
python3 - "$TAP_TMP" <<-'PY' &
	import socket, sys, time
	s = socket.socket(socket.AF_UNIX)
	s.bind(sys.argv[1] + '/monitor')
	s.listen(0)
	c = socket.socket(socket.AF_UNIX)
	c.connect(sys.argv[1] + '/monitor')
	open(sys.argv[1] + '/full', 'w').close()
	time.sleep(60)
PY
monitor=$!
for ((i = 0; i < 100; i++)); do [ ! -e "$TAP_TMP/full" ] || break; sleep 0.1; done
says 1 'one client at a time' forecast --qmp "$TAP_TMP/monitor"
kill $monitor
wait $monitor 2>/dev/null

# a case that cannot be run has no count that differs
if [ "$(id -u)" = 0 ] && [ -e /sys/kernel/btf/vmlinux ] && build/migscope doctor -j 2>/dev/null | grep -q '"state":"attached"'; then
	says 1 'could not be run' selfcheck -k /bin/false
else
	skip 2 "nothing can be watched here"
fi
done_testing
