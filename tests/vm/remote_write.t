#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: host needs=root,kvm,bpf else=6.12,long timeout=900
#
# The fleet's Prometheus as we ship it, but for the hosts that it scrapes and the store that
# it writes to: what migscope counted arrives there. The store is another Prometheus.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/watch.sh"
. "${0%/*}/../lib/serve.sh"
. "${0%/*}/../lib/prometheus.sh"
cleanup() { prometheus_stop; serve_cleanup; }
trap cleanup EXIT
load_kvm

serve
fleet=$TAP_TMP/fleet
cp -r dashboards/prometheus "$fleet"
: >"$TAP_TMP/store.yml"
prometheus_run store "$TAP_TMP/store.yml" --web.enable-remote-write-receiver || bail_out "no store"
sed -i "s|^\(  - url: \)http.*|\1$prometheus_url/api/v1/write|" "$fleet/prometheus.yml"
sed -i "s|kvm-host-1.example:9788|127.0.0.1:$serve_port|; /kvm-host-2.example/d" "$fleet/targets/hosts.yml"
is "of what is shipped a URL and the targets are replaced, and no more" \
	"$(diff -r dashboards/prometheus "$fleet" | grep '^[<>]' | sed 's/127.0.0.1:[0-9]*/HERE/')" \
	"< $(grep -- '- url' dashboards/prometheus/prometheus.yml)
>   - url: http://HERE/api/v1/write
<     - kvm-host-1.example:9788
<     - kvm-host-2.example:9788
>     - HERE"

load sent -c 2 -s 1024 -n 2000 --force-full --name sent --hold
load_to sent end
prometheus_run fleet "$fleet/prometheus.yml" || bail_out "the fleet's Prometheus does not start"
at() { prometheus_url=${prometheus_at[$1]} prometheus_query "$2"; }
# what is there at any time of this test
over() { at "$1" "$3(last_over_time($2[1h]))"; }

# it scrapes every 15 s, and sends on what it has
arrives() {
	local i
	for ((i = 0; i < 600; i++)); do
		[ -z "$(over store "$1" count)" ] || return 0
		sleep 0.2
	done
	diag "no $1: $(tail -3 "$TAP_TMP/prometheus.fleet/log")"
	return 1
}
sent='migscope_dirty_pages_total{vm=~"sent.*"}'
ok "a series arrives" arrives "$sent"
is "with the value that it had" "$(over store "$sent" sum)" "$(over fleet "$sent" sum)"
ok "what rules made arrives" arrives '{__name__=~"migscope:.*"}'
is "it says which Prometheus sent it, and of which host it is" \
	"$(over store "migscope_dirty_pages_total{vm=~\"sent.*\",cluster=\"kvm-1\",instance=\"127.0.0.1:$serve_port\",rack=\"r1\"}" count)" 1
num "of a histogram its buckets stay here" "$(over fleet '{__name__=~"migscope_.*_bucket"}' count)" -gt 10
is "and are not sent" "$(over store '{__name__=~"migscope_.*_bucket"}' count)" ''
ok "but sum and count are" arrives '{__name__=~"migscope_.*_sum"}'
# all else is there: what was scraped first is sent first, and this is the last of it
ok "whether the host was up" arrives 'up{job="migscope"}'
is "nothing failed" "$(curl -sf "${prometheus_at[fleet]}/metrics" |
	awk '/^prometheus_remote_storage_samples_failed_total/ { n += $2 } END { print n + 0 }')" 0
load_end sent
is "which is what the workload did" "$(over store "$sent" sum)" "$(truth sent '[.vms[0].total.vcpus[].pushes] | add')"
serve_end TERM
is "the end" "$serve_status" 0
done_testing
