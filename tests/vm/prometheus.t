#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: host needs=root,kvm,bpf
#
# A real Prometheus scrapes a real migscope: what a workload did is in its store, also
# when the VM has ended between two scrapes.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/watch.sh"
. "${0%/*}/../lib/serve.sh"
. "${0%/*}/../lib/prometheus.sh"
cleanup() { prometheus_stop; serve_cleanup; }
trap cleanup EXIT
load_kvm

serve
prometheus_start "$serve_port" "$PWD/dashboards/prometheus" || bail_out "Prometheus does not start"
prometheus_scraped 2
is "the target is up" "$(prometheus_query 'max_over_time(up{job="migscope"}[1h])')" 1
for name in here gone; do
	hold=''
	[ $name = gone ] || hold=--hold
	load $name --mode ring --vcpus 2 --ring-size 1024 --pages 2000 --force-full --name $name $hold
	[ $name = gone ] || load_to $name end
done
load_end gone
n=$(prometheus_query 'count_over_time(up{job="migscope"}[1h])')
prometheus_scraped $((n + 2))
is "both VMs are in the store, the one that is gone as well" \
	"$(prometheus_query 'sum(migscope_vms{state="alive"})'):$(prometheus_query 'count(migscope_vm_alive)')" 1:2
pushes=$(prometheus_query 'sort(migscope_dirty_pages_total)')
exits=$(prometheus_query 'sort(migscope_ring_full_exits_total)')
sum=$(prometheus_query 'sum(migscope_ring_reset_entries_total)')
hist=$(prometheus_query 'sum(migscope_ring_fill_at_reset_ratio_bucket{le="+Inf"})')
load_end here
both() { for name in here gone; do truth $name "$1"; done | sort -n; }
total() { both "$1" | jq -s add; }
is "pages" "$pushes" "$(both '[.vms[0].total.vcpus[].pushes] | add')"
is "full exits" "$exits" "$(both '[.vms[0].total.vcpus[].full_exits] | add')"
is "entries reset" "$sum" "$(total '[.vms[0].total.vcpus[].reset_entries] | add')"
is "the histogram of fill" "$hist" "$(total '[.vms[0].total.vcpus[].reset_events] | add')"
is "every rule evaluates" "$(curl -sf "$prometheus_url/api/v1/rules" |
	jq -c '[.data.groups[].rules[] | select(.health != "ok" and .health != "unknown") | .name + ": " + .lastError]')" '[]'
"$(tests/lib/prometheus)/promtool" check metrics < <(curl -sf "$serve_url/metrics") >"$TAP_TMP/lint" 2>&1
is "promtool check metrics has nothing to say" "$(cat "$TAP_TMP/lint")" ''
serve_end TERM
is "the end" "$serve_status" 0
done_testing
