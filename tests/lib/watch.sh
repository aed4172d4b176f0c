# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034 # read by those who source this
#
# For tests that hold migscope against kvmload. After tests/tap.sh:
#
#	load_kvm			kvm_amd where KVM is a module; undone by unload_kvm
#	load NAME ARGUMENT...		starts kvmload; up to three at a time, by name
#	load_to NAME BARRIER		waits until it stands at start, middle or end
#	load_go NAME			lets it go on
#	load_end NAME			waits for its end; truth in $TAP_TMP/NAME.truth
#	load_enough NAME		ends its plan where it is, and waits likewise
#	truth NAME FILTER		of it, by jq; arguments of jq may follow
#	watch ARGUMENT...		starts migscope with these, until it says it watches
#	watch_first ARGUMENT...		the same, until its first sample is there
#	watch_end [SIGNAL]		ends it (INT); its status in $watch_status
#	watch_on			waits until what has happened by now is in its last line: two more
#	sample FILTER			of the last line it wrote, by jq
#
# migscope's stdout is $TAP_TMP/watch, its stderr $TAP_TMP/watch.err.

migscope=${MIGSCOPE:-build/migscope}
kvmload=${KVMLOAD:-build/kvmload}

load_kvm() {
	kvm_loaded=''
	if [ ! -e /dev/kvm ]; then
		modprobe kvm_amd && kvm_loaded=1
	fi
	[ -e /dev/kvm ] || bail_out "no /dev/kvm, and kvm_amd does not bring it"
}

unload_kvm() { [ -z "${kvm_loaded:-}" ] || modprobe -r kvm_amd; }

declare -A load_pid load_in load_out load_stands
watch_pid='' watch_status=''

load() {
	local name=$1 in out
	shift
	mkfifo "$TAP_TMP/$name.in" "$TAP_TMP/$name.out"
	"$kvmload" "$@" <"$TAP_TMP/$name.in" >"$TAP_TMP/$name.out" 2>"$TAP_TMP/$name.err" &
	load_pid[$name]=$!
	exec {in}>"$TAP_TMP/$name.in" {out}<"$TAP_TMP/$name.out"
	load_in[$name]=$in load_out[$name]=$out
	rm "$TAP_TMP/$name.in" "$TAP_TMP/$name.out"
}

load_to() {
	local line=''
	read -r -t 200 -u "${load_out[$1]}" line || :
	if [[ $line == *'"barrier":true'*"\"at\":\"$2\""* ]]; then
		load_stands[$1]=$2
		return 0
	fi
	diag "kvmload did not come to its $2 barrier: $line $(head -3 "$TAP_TMP/$1.err")"
	return 1
}

load_go() {
	load_stands[$1]=''
	echo >&"${load_in[$1]}"
}

# load_end NAME: the barrier where it stands, and those that are left, are passed
load_end() {
	local line status=0 in=${load_in[$1]} out=${load_out[$1]}
	: >"$TAP_TMP/$1.truth"
	[ -z "${load_stands[$1]:-}" ] || load_go "$1"
	while read -r -t 200 -u "$out" line; do
		case $line in
		*'"barrier":true'*) load_go "$1" ;;
		*) printf '%s\n' "$line" >"$TAP_TMP/$1.truth" ;;
		esac
	done
	exec {in}>&- {out}<&-
	wait "${load_pid[$1]}" || status=$?
	unset "load_pid[$1]"
	[ $status -eq 0 ] || diag "kvmload ended with $status: $(head -3 "$TAP_TMP/$1.err")"
	return $status
}

# load_enough NAME: the same, but its plan ends where it is
load_enough() {
	kill -USR2 "${load_pid[$1]}"
	load_end "$1"
}

truth() { jq -rc "${@:3}" "$2" "$TAP_TMP/$1.truth"; }

watch() {
	local i
	: >"$TAP_TMP/watch"
	: >"$TAP_TMP/watch.err"
	# bash has its children ignore SIGINT when they run in the background: migscope asks for it; nohup
	# SIGHUP: that it heeds
	env --default-signal=HUP "$migscope" "$@" >"$TAP_TMP/watch" 2>"$TAP_TMP/watch.err" &
	watch_pid=$!
	for ((i = 0; i < 600; i++)); do
		! grep -q '^watching ' "$TAP_TMP/watch" "$TAP_TMP/watch.err" || return 0
		kill -0 $watch_pid 2>/dev/null || break
		sleep 0.1
	done
	diag "migscope does not watch: $(tail -5 "$TAP_TMP/watch.err")"
	return 1
}

watch_first() {
	local i
	watch "$@" || return
	for ((i = 0; i < 300; i++)); do
		[ ! -s "$TAP_TMP/watch" ] || return 0
		sleep 0.1
	done
}

watch_end() {
	[ -n "$watch_pid" ] || return
	kill "-${1:-INT}" "$watch_pid" 2>/dev/null || :
	watch_status=0
	wait "$watch_pid" || watch_status=$?
	watch_pid=''
}

watch_on() {
	local tries before
	before=$(wc -l <"$TAP_TMP/watch")
	for ((tries = 0; tries < 300; tries++)); do
		[ "$(wc -l <"$TAP_TMP/watch")" -lt $((before + 2)) ] || return 0
		sleep 0.1
	done
	diag "migscope writes nothing any more"
}

sample() { tail -n 1 "$TAP_TMP/watch" | jq -rc "${@:2}" "$1"; }

# shellcheck disable=SC2317 # by trap
watch_cleanup() {
	local name
	[ -z "$watch_pid" ] || kill -KILL "$watch_pid" 2>/dev/null || :
	for name in "${!load_pid[@]}"; do
		kill -KILL "${load_pid[$name]}" 2>/dev/null || :
	done
	wait
	unload_kvm
	rm -rf "$TAP_TMP"
}
trap watch_cleanup EXIT
