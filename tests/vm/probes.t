#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: stock vm=6.12,6.1 timeout=1500 long
#
# Each probe is taken away: by another target, by a capability, by a BTF that does not
# fit. What is left works, what is not is named, and is not shown as zero.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/watch.sh"
load_kvm
# every module that a probe is in, but those that are ours alone; Debian's 6.1 has no vDPA
absent=''
if [ "$MIGSCOPE_KERNEL" != host ]; then
	modprobe -a vhost_net vfio_iommu_type1
	modprobe -a vdpa vhost_vdpa virtio_vdpa || absent='(vdpa|vhost_vdpa|virtio_vdpa)'
fi

doctor=$TAP_TMP/doctor

# doctor OPTIONS...: its JSON in $doctor, its status in $?
doctor() { "$migscope" "$@" doctor -j >"$doctor" 2>"$TAP_TMP/doctor.err"; }
state() { jq -r --arg p "$1" '.probes[] | select(.name == $p or .probe == $p) | .state' "$doctor"; }
why() { jq -r --arg p "$1" '.probes[] | select(.name == $p or .probe == $p) | .why // ""' "$doctor"; }

doctor
base=$?
cp "$doctor" "$TAP_TMP/all"
if [ "$MIGSCOPE_KERNEL" = host ]; then
	note "doctor here: $base"
else
	is "nothing taken away: everything attached" "$base" 0
	is "nothing taken away: every one, but those asked for and the events of our own modules" \
	   "$(jq -c --arg absent "^${absent:-none} is not loaded\$" '[.probes[] | select(.state != "attached") |
		select(.why | test($absent) | not) | [.state, .why]] | unique' "$doctor")" \
	   '[["off","only with --working-set"],["off","only with our kernel modules"],["waiting","vdpa_sim is not loaded"],["waiting","vfio_sim is not loaded"]]'
fi
mapfile -t attached < <(jq -r '.probes[] | select(.state == "attached") | .probe' "$TAP_TMP/all")
num "there are probes" "${#attached[@]}" -ge 5

# what is not in the JSON when a probe is not there; two programs may be halves of one
without() {
	case $1 in
	ring_reset)	  echo '.vms[] | (.dirty_ring // {}) | has("pushes") or has("resets") or has("fill_at_reset") or has("used_max_entries")' ;;
	ring_exit)	  echo '.vms[] | (.dirty_ring // {}) | has("full_exits") or has("stall")' ;;
	ring_reset_begin|ring_reset_end) echo '.vms[] | (.dirty_ring // {}) | has("reset_walk") or has("flushes")' ;;
	ring_flush_end)	  echo '.vms[] | (.dirty_ring // {}) | has("flushes") or has("flush_seconds")' ;;
	ring_push)	  echo '.vms[] | (.dirty_ring // {}) | has("pushes_exact")' ;;
	log_get_begin|log_get_end) echo '.vms[] | (.dirty_log // {}) | has("get") or has("bytes_unknown")' ;;
	log_clear_begin|log_clear_end) echo '.vms[] | (.dirty_log // {}) | has("clear")' ;;
	log_toggle_begin|log_toggle_end) echo '.vms[] | (.dirty_log // {}) | has("on") or has("off")' ;;
	log_mark)	  echo '.vms[] | (.dirty_log // {}) | has("marked_pages")' ;;
	esac
}

# watched OPTIONS...: one ring VM and one bitmap VM while migscope stat runs with them
watched() {
	watch "$@" stat -j 5 || return
	load ring --ring-size 256 --pages 401 --force-full --name ring
	load_end ring
	load map --mode bitmap-manual --pages 101 --toggle-logging=1 --name map
	load_end map
	watch_end
}

# --- everything there: "attached" is a count, not a word
watched -x
vm=".vms[] | select(.pid == $(truth ring .pid)) | .dirty_ring"
is "attached means: pushes are counted" "$(sample "$vm.pushes")" "$(truth ring '.vms[0].total.pushes')"
is "attached means: one by one, too" "$(sample "$vm.pushes_exact")" "$(truth ring '.vms[0].total.pushes')"
is "attached means: full exits are counted" "$(sample "$vm.full_exits")" "$(truth ring '.vms[0].total.full_exits')"
if [ "$MIGSCOPE_KERNEL" != host ]; then
	vm=".vms[] | select(.pid == $(truth map .pid)) | .dirty_log"
	is "attached means: GET, CLEAR, on and off are counted" \
	   "$(sample "[$vm | .get.calls, .clear.calls, .on.calls, .off.calls]")" \
	   "$(truth map '.vms[0].total | [.get.calls, .clear.calls, .logging_on.calls, .logging_off.calls]')"
	num "attached means: marks are counted" "$(sample "$vm.marked_pages")" -ge "$(truth map '.vms[0].total.unique_pages')"
	is "attached means: a walk is timed at each reset event" \
	   "$(sample ".vms[] | select(.pid == $(truth ring .pid)) | .dirty_ring.reset_walk.count")" \
	   "$(truth ring '.vms[0].total.reset_events')"
	is "attached means: a flush is counted for each reset of something" \
	   "$(sample ".vms[] | select(.pid == $(truth ring .pid)) | .dirty_ring.flushes")" \
	   "$(truth ring '.vms[0].total.resets | .calls - .empty')"
fi

# --- another target: one probe after the other, of each source one at a time
mapfile -t rounds < <(jq -r '[.probes[] | select(.state == "attached") | .source + " " + .probe] |
	group_by(split(" ")[0]) | [.[] | map(split(" ")[1])] | . as $s | [range(map(length) | max)] |
	.[] as $i | [$s[][$i] | values] | join(" ")' "$TAP_TMP/all")
for round in "${rounds[@]}"; do
	read -r -a gone <<<"$round"
	# shellcheck disable=SC2046 # words
	doctor $(printf -- '--target %s=no_such_function ' "${gone[@]}")
	rc=$?
	want=$base
	for p in "${gone[@]}"; do
		is "without $p: it is missing" "$(state "$p")" missing
		like "without $p: why" "$(why "$p")" 'no_such_function'
		# what is only for exact mode is not missed otherwise
		[ "$(jq -r --arg p "$p" '.probes[] | select(.probe == $p) | .exact' "$TAP_TMP/all")" = true ] || want=4
	done
	# the beginning of a call is not hooked where its end cannot be
	others='($gone | split(" ")) as $g | [.probes[] | select(.probe | IN($g[], ($g[] | sub("_end$"; "_begin"))) | not) |
		[.probe, .state]]'
	is "without $round: nothing else is" "$(jq -c --arg gone "$round" "$others" "$doctor")" \
	   "$(jq -c --arg gone "$round" "$others" "$TAP_TMP/all")"
	is "without $round: doctor's status" "$rc" "$want"
done
for p in "${attached[@]}"; do
	key=$(without "$p")
	[ -n "$key" ] || continue
	watched -x --target "$p=no_such_function"
	is "without $p: stat runs" "$watch_status" 0
	is "without $p: what it gives is not in the JSON" "$(sample "[$key] | any")" false
	is "without $p: it is named there" "$(sample "[.not_measured[] | select(.probe == \"$p\")] | length")" 1
	is "without $p: VMs are" "$(sample "[.vms[].pid] | contains([$(truth ring .pid)])")" true
done
doctor --target nobody=x
is "a probe that nobody knows: usage" "$?" 2
"$migscope" --target nobody=x stat 0.1 1 >/dev/null 2>"$TAP_TMP/err"
is "the same with stat: usage" "$?" 2
like "and it says what is expected" "$(cat "$TAP_TMP/err")" 'PROBE=FUNCTION'

# the table, too
table() { "$migscope" "$@" stat -s dirty_ring 0.1 1 2>&1 | grep -m1 '^VM' || :; }
like "the table has columns for full exits" "$(table)" 'FULL +STALLms'
unlike "without ring_exit it has not" "$(table --target ring_exit=no_such)" 'FULL|STALL'

# nothing at all
mapfile -t gone < <(jq -r '.probes[] | select(.state == "attached" and .how != "iterator" and .source != "vm") |
	"--target=\(.probe)=no_such"' "$TAP_TMP/all")
doctor "${gone[@]}"
is "without any probe that counts: doctor's status" "$?" 3
"$migscope" --target ring_reset=x --target ring_exit=x --target ring_alloc=x --target ring_free=x \
	--target ring_reset_fill=x --target ring_reset_begin=x --target ring_reset_end=x stat -s dirty_ring 0.1 1 >"$TAP_TMP/out" 2>"$TAP_TMP/err"
is "none of a source: stat's status" "$?" 3
like "none of a source: it says so" "$(cat "$TAP_TMP/err")" 'nothing of what was asked for'
like "none of a source: it names them" "$(cat "$TAP_TMP/err")" 'ring_reset'

# --- capabilities
caps() { setpriv --inh-caps "$1" --bounding-set "$1" --ambient-caps "$1" "${@:2}"; }
doctor_with() { caps "$1" "$migscope" doctor -j >"$doctor" 2>"$TAP_TMP/doctor.err"; }
doctor_with -all
is "no capability: doctor's status" "$?" 3
like "no capability: it is named" "$(why ring_reset)" 'CAP_BPF is missing'
caps -all "$migscope" stat 0.1 1 >"$TAP_TMP/out" 2>"$TAP_TMP/err"
is "no capability: stat's status" "$?" 3
like "no capability: stat names it" "$(cat "$TAP_TMP/err")" 'CAP_BPF is missing'
doctor_with -sys_admin,-bpf
is "without CAP_BPF: doctor's status" "$?" 3
like "without CAP_BPF: it is named" "$(why ring_exit)" 'CAP_BPF is missing'
doctor_with -sys_admin,-perfmon
is "without CAP_PERFMON: doctor's status" "$?" 3
like "without CAP_PERFMON: it is named" "$(why ring_exit)" 'CAP_PERFMON is missing'
# with KVM in a module it takes more: libbpf looks for what is to be hooked by the id of a BTF
least=-all,+bpf,+perfmon
if [ -e /sys/module/kvm/initstate ]; then
	least+=,+sys_admin
	doctor_with -sys_admin
	is "without CAP_SYS_ADMIN: doctor's status" "$?" 3
	like "without CAP_SYS_ADMIN: it is named" "$(why ring_reset)" 'CAP_SYS_ADMIN is missing.* module'
	caps -sys_admin "$migscope" stat 0.1 1 >"$TAP_TMP/out" 2>"$TAP_TMP/err"
	is "without CAP_SYS_ADMIN: stat's status" "$?" 3
else
	doctor_with -sys_admin
	is "without CAP_SYS_ADMIN: doctor's status" "$?" "$base"
	is "without CAP_SYS_ADMIN: everything as with it" "$(jq -c '[.probes[] | [.probe, .state]]' "$doctor")" \
	   "$(jq -c '[.probes[] | [.probe, .state]]' "$TAP_TMP/all")"
fi
doctor_with $least
is "with $least: doctor's status" "$?" "$base"
# and it counts: who may not look at other files sees VMs at their first event
: >"$TAP_TMP/watch"
cat >"$TAP_TMP/capped" <<-END
	#!/bin/bash
	exec setpriv --inh-caps $least --bounding-set $least --ambient-caps $least $migscope "\$@"
END
chmod +x "$TAP_TMP/capped"
migscope="$TAP_TMP/capped" watched
is "with $least: it counts" \
   "$(sample ".vms[] | select(.pid == $(truth ring .pid)) | .dirty_ring.pushes")" "$(truth ring '.vms[0].total.pushes')"
setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps $least --bounding-set $least --ambient-caps $least \
	timeout 60 "$migscope" serve --user daemon -l 127.0.0.1:0 >"$TAP_TMP/out" 2>"$TAP_TMP/err"
is "serve as another user, not by root: it does not start" "$?" 1
is "serve as another user, not by root: says why, and nothing else" "$(cat "$TAP_TMP/err")" \
   'migscope: --user daemon: only root can become another user'

# --- BTF
doctor --btf /no/such/file
is "no file: status" "$?" 1
like "no file: why" "$(cat "$TAP_TMP/doctor.err")" '/no/such/file.*No such file'
doctor --btf "$0"
is "a file that is no BTF: status" "$?" 1
like "a file that is no BTF: why" "$(cat "$TAP_TMP/doctor.err")" 'not a BTF file'
# one without any type of the kernel's
echo 'struct nobody { int x; } nobody;' |
	clang -target bpf -g -O2 -c -x c - -o "$TAP_TMP/nobody.o"
llvm-objcopy --dump-section .BTF="$TAP_TMP/nobody.btf" "$TAP_TMP/nobody.o"
# by one source: each of its programs is tried by itself
"$migscope" --btf "$TAP_TMP/nobody.btf" stat -j -s dirty_ring 0.1 1 >"$TAP_TMP/watch" 2>"$TAP_TMP/err"
like "a BTF without KVM: what reads KVM's structs is not measured, and why" "$(cat "$TAP_TMP/watch" "$TAP_TMP/err")" \
     'BTF given by --btf does not fit.*ring_reset|ring_reset.*BTF given by --btf does not fit'
# the right one, given by hand
if [ -r /sys/kernel/btf/vmlinux ]; then
	doctor --btf /sys/kernel/btf/vmlinux
	rc=$?
	if [ -e /sys/module/kvm/initstate ]; then
		# types of a module are in a BTF of its own, which libbpf does not look at then
		is "the kernel's own by hand: status" "$rc" 4
		is "the kernel's own by hand: what is refused, and why" \
		   "$(jq -r '[.probes[] | select(.state == "refused") | .why] | unique | join("\n")' "$doctor")" \
		   'Invalid argument: the BTF given by --btf does not fit this program'
		is "the kernel's own by hand: what needs none of a module's types works" "$(state ring_reset)" attached
	else
		is "the kernel's own by hand: status" "$rc" "$base"
	fi
fi

# --- another pid namespace
unshare -p -f --mount-proc "$migscope" doctor >"$TAP_TMP/out" 2>&1
like "in another pid namespace: doctor says so" "$(cat "$TAP_TMP/out")" 'not in the initial pid namespace'
unshare -p -f --mount-proc "$migscope" stat 0.1 2 >"$TAP_TMP/out" 2>&1
is "in another pid namespace: stat runs" "$?" 0
like "in another pid namespace: stat says so" "$(cat "$TAP_TMP/out")" 'not in the initial pid namespace'
unlike "in another pid namespace: it does not say that there is no VM" "$(cat "$TAP_TMP/out")" '[Nn]o VMs?'
like "in another pid namespace: what it waits for" "$(cat "$TAP_TMP/out")" 'seen from its first event'
# a VM outside is seen when something happens to it
cat >"$TAP_TMP/inside" <<-END
	#!/bin/bash
	exec unshare -p -f --kill-child=INT --mount-proc $migscope "\$@"
END
chmod +x "$TAP_TMP/inside"
load out --ring-size 256 --pages 401 --force-full --name out --barrier
load_to out middle
"$migscope" stat -j 0.2 1 >"$TAP_TMP/watch" 2>/dev/null
is "a VM that stands still is seen from the initial pid namespace" "$(sample "[.vms[] | select(.pid == ${load_pid[out]})] | length")" 1
"$TAP_TMP/inside" stat -j 2 2 >"$TAP_TMP/watch" 2>"$TAP_TMP/watch.err" &
inside=$!
until grep -q ^watching "$TAP_TMP/watch.err" || ! kill -0 $inside 2>/dev/null; do sleep 0.1; done
load_go out
load_end out
wait $inside
is "a VM outside: its pushes are counted from where we came in" \
   "$(sample '[.vms[].dirty_ring.reset_entries] | add')" "$(truth out '.vms[0].since_barrier.reset_entries')"

# --- a program that meets itself at work is not run, and that is counted
if [ -e /sys/module/vdpa ]; then
	watch_first --target vdpa_status_begin=htab_map_update_elem stat -j 0.3 -s vdpa
	bpftool map create "/sys/fs/bpf/met$$" type hash key 4 value 4 entries 8 name met
	for i in 1 2 3; do
		bpftool map update pinned "/sys/fs/bpf/met$$" key 0 0 0 "$i" value 0 0 0 0
	done
	sleep 1
	is "a program that meets itself: what it missed" "$(sample .lost.missed)" 3
	watch_end
	rm "/sys/fs/bpf/met$$"
else
	skip 1 "no program here that meets itself"
fi

done_testing
