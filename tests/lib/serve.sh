# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034 # read by those who source this
#
# migscope serve, for tests; after tests/lib/watch.sh:
#
#	serve ARGUMENT...	starts it on a free port: $serve_url, $serve_port, $serve_pid,
#				$http_pid; its stderr is $TAP_TMP/serve.err
#	serve_end SIGNAL	ends it; $serve_status
#	serve_wait		waits for its end
#	scrape_all [FORMAT]	every sample, through another's parser: $TAP_TMP/scrape.json
#	pages			of that: pages dirtied, of all VMs
#	workload NAME		one with a ring, to its end; `all NAME...`: the pages they dirtied
#	status PID FIELD	of /proc/PID/status
#	gone PID		waits until it is

serve_pid='' http_pid='' serve_url='' serve_port='' serve_status=''

[ "${MIGSCOPE_KERNEL:-host}" = host ] || ip link set lo up

serve() {
	local i line
	# where it stands is not where the one before stood, whose words are still there
	rm -f "$TAP_TMP/serve.out"
	# under nohup it would not heed SIGHUP
	# shellcheck disable=SC2154 # the test's
	env --default-signal=HUP "$migscope" serve -l 127.0.0.1:0 "$@" >"$TAP_TMP/serve.out" 2>"$TAP_TMP/serve.err" &
	serve_pid=$!
	for ((i = 0; i < 300; i++)); do
		line=$(grep -s '^serving ' "$TAP_TMP/serve.out") && break
		kill -0 "$serve_pid" 2>/dev/null || break
		sleep 0.1
	done
	serve_url=$(sed -n 's|^serving \(http://[^ ]*\)/metrics.*|\1|p' <<<"$line")
	serve_port=${serve_url##*:}
	# a walk through /proc may miss a process while others come and go
	for ((i = 0; i < 50; i++)); do
		http_pid=$(pgrep -P "$serve_pid") && break
		sleep 0.1
	done
	[ -n "$serve_port" ] || { diag "migscope serve does not: $(tail -3 "$TAP_TMP/serve.err")"; return 1; }
}

serve_wait() {
	serve_status=0
	wait "$serve_pid" || serve_status=$?
	serve_pid=''
}

serve_end() {
	kill "-$1" "$serve_pid"
	serve_wait
}

scrape_all() {
	local accept=text/plain
	[ "${1:-openmetrics}" = classic ] || accept='application/openmetrics-text; version=1.0.0'
	# older than this no sample is
	sleep 0.25
	# what an earlier one said is no answer
	: >"$TAP_TMP/scrape.json"
	curl -sS -f -H "Accept: $accept" "$serve_url/metrics" >"$TAP_TMP/scrape" 2>"$TAP_TMP/scrape.err" &&
		tests/lib/exposition.py "${1:-openmetrics}" "$TAP_TMP/scrape" >"$TAP_TMP/scrape.json" 2>>"$TAP_TMP/scrape.err" &&
		return
	diag "no scrape: $(head -c 500 "$TAP_TMP/scrape.err")"
	return 1
}

pages() { jq -s 'map(select(.name == "migscope_dirty_pages_total") | .value) | add // 0' "$TAP_TMP/scrape.json"; }
workload() { load "$1" --ring-size 1024 --pages 1500 --passes 2 --name "$1"; load_end "$1"; }
all() { local n sum=0; for n in "$@"; do sum=$((sum + $(truth "$n" '[.vms[0].total.vcpus[].pushes] | add'))); done; echo $sum; }

status() { sed -n "s/^$2:\s*//p" "/proc/$1/status" | tr '\t' ' '; }

gone() {
	local i
	for ((i = 0; i < 100; i++)); do
		[ -e "/proc/$1" ] || return 0
		sleep 0.1
	done
	return 1
}

# shellcheck disable=SC2317 # by trap
serve_cleanup() {
	[ -z "$serve_pid" ] || kill -KILL "$serve_pid" 2>/dev/null || :
	watch_cleanup
}
trap serve_cleanup EXIT
