#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: host needs=root,kvm,bpf else=6.12 timeout=900
#
# A real Prometheus scrapes a real migscope: what a workload did is in its store, also
# when the VM has ended between two scrapes; and every expression of the dashboards shows
# of three VMs what each of them did.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/watch.sh"
. "${0%/*}/../lib/serve.sh"
. "${0%/*}/../lib/prometheus.sh"
cleanup() { prometheus_stop; serve_cleanup; }
trap cleanup EXIT
load_kvm

serve
prometheus_start "$serve_port" "$(prometheus_rules 30)" || bail_out "Prometheus does not start"
prometheus_scraped 2
is "the target is up" "$(prometheus_query 'max_over_time(up{job="migscope"}[1h])')" 1
for name in here gone; do
	hold=''
	[ $name = gone ] || hold=--hold
	load $name --mode ring --vcpus 2 --ring-size 1024 --pages 2000 --force-full --name "$name$$" $hold
	[ $name = gone ] || load_to $name end
done
load_end gone
scrapes() { prometheus_query 'count_over_time(up{job="migscope"}[1h])'; }
more_scrapes() { prometheus_scraped $(($(scrapes) + $1)); }
more_scrapes 2
# others may run VMs on this host, too; of one that went unseen the pid is part of the name
ours='vm=~"(here|gone)'$$'(-.*)?"'
is "both VMs are in the store, the one that is gone as well" \
	"$(prometheus_query "sum(migscope_vm_alive{$ours})"):$(prometheus_query "count(migscope_vm_alive{$ours})")" 1:2
pushes=$(prometheus_query "sort(migscope_dirty_pages_total{$ours})")
exits=$(prometheus_query "sort(migscope_ring_full_exits_total{$ours})")
sum=$(prometheus_query "sum(migscope_ring_reset_entries_total{$ours})")
hist=$(prometheus_query "sum(migscope_ring_fill_at_reset_ratio_bucket{$ours,le=\"+Inf\"})")
load_end here
both() { for name in here gone; do truth $name "$1"; done | sort -n; }
total() { both "$1" | jq -s add; }
is "pages" "$pushes" "$(both '[.vms[0].total.vcpus[].pushes] | add')"
is "full exits" "$exits" "$(both '[.vms[0].total.vcpus[].full_exits] | add')"
is "entries reset" "$sum" "$(total '[.vms[0].total.vcpus[].reset_entries] | add')"
is "the histogram of fill" "$hist" "$(total '[.vms[0].total.vcpus[].reset_events] | add')"
is "every rule evaluates" "$(prometheus_evaluated)" ''
"$(tests/lib/prometheus)/promtool" check metrics < <(curl -sf "$serve_url/metrics") >"$TAP_TMP/lint" 2>&1
is "promtool check metrics has nothing to say" "$(cat "$TAP_TMP/lint")" ''

# --- the dashboards: between two moments at which all stand still, half of a plan is carried out.
# One that knew of the two before would show them, too.
serve_end TERM
serve
prometheus_stop
rm -r "$TAP_TMP/prometheus.only"
prometheus_start "$serve_port" "$TAP_TMP/rules" || bail_out "Prometheus does not start"
names='full calm bits'
load full --mode ring -c 2 -s 1024 -n 8000 --force-full --leave-tail -b --hold --name full$$
load calm --mode ring -c 1 -s 4096 -n 3000 -e 1000 -b --hold --name calm$$
load bits --mode bitmap-manual -c 1 -n 2500 -b --hold --name bits$$
for name in $names; do load_to "$name" middle; done
prometheus_scraped 2
more_scrapes 2
since=$(prometheus_query 'timestamp(migscope_build_info)')
more_scrapes 2
for name in $names; do load_go "$name"; done
for name in $names; do load_to "$name" end; done
more_scrapes 3
now=$(prometheus_query 'timestamp(migscope_build_info)')
truths=()
for name in $names; do
	load_end "$name"
	truths+=("$TAP_TMP/$name.truth")
done
tests/lib/dashboards.py workload "$prometheus_url" "$since" "$now" migscope "${truths[@]}" >"$TAP_TMP/query"
is "every expression shows what the workload did: status" "$?" 0
is "every expression shows what the workload did: what differs" "$(grep '^not ok' "$TAP_TMP/query")" ''
note "$(grep '^#' "$TAP_TMP/query")"
swapped=()
for name in $names; do
	jq --arg a full$$ --arg b calm$$ '.name |= ({($a): $b, ($b): $a}[.] // .)' "$TAP_TMP/$name.truth" >"$TAP_TMP/$name.swapped"
	swapped+=("$TAP_TMP/$name.swapped")
done
tests/lib/dashboards.py workload "$prometheus_url" "$since" "$now" migscope "${swapped[@]}" >"$TAP_TMP/query.swapped"
lies() { grep -c "^not ok.*: $1: " "$TAP_TMP/query.swapped"; }
num "had it been the other VM it would be noticed" "$(lies 'Memory dirtied, by VM')" -ge 2
is "had it been the other VM a sum would be the same" "$(lies 'Memory dirtied, by host')" 0
num "every expression was run, for each VM" "$(grep -c '^ok' "$TAP_TMP/query")" -ge 200
serve_end TERM
is "the end" "$serve_status" 0
done_testing
