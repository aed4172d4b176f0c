#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Rules, alerts and dashboards: promtool's own tests, the conventions, and every expression
# run by a real Prometheus that scrapes a workload whose numbers are known, with the choices
# that the dashboards leave to who looks at them.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/prometheus.sh"

WINDOW=10	# seconds that a rate looks back
panels=0

promtool=$(tests/lib/prometheus)/promtool
(cd dashboards/prometheus && "$promtool" check config prometheus.yml && "$promtool" check rules --lint=all --lint-fatal rules.yml alerts.yml) >&2
is "promtool: configuration and rules" "$?" 0
(cd dashboards/prometheus && "$promtool" test rules alerts_test.yml) >&2
is "promtool test rules" "$?" 0

mkdir "$TAP_TMP/grafana"
dashboards/grafana/generate "$TAP_TMP/grafana"
for file in "$TAP_TMP"/grafana/*.json; do
	ok "dashboards/grafana/${file##*/} is what generate makes" diff "dashboards/grafana/${file##*/}" "$file"
done
num "there are four" "$(find dashboards/grafana -name '*.json' | wc -l)" -eq 4
tests/lib/dashboards.py check >"$TAP_TMP/check"
is "conventions: status" "$?" 0
is "conventions: what is against them" "$(grep '^not ok' "$TAP_TMP/check")" ''
num "conventions: all were looked at" "$(grep -c '^ok' "$TAP_TMP/check")" -ge 150

# --- Prometheus
exporters=()
exporter() {	# NAME ARGUMENT...: its port in $TAP_TMP/NAME.port
	tests/lib/known_exporter "${@:2}" >"$TAP_TMP/$1.port" &
	exporters+=($!)
	until [ -s "$TAP_TMP/$1.port" ]; do sleep 0.1; done
}
exporter known
# the same sums: what is of one VM is said of the other, what is of GET of CLEAR
exporter liar 'vm=ring,plain (2)' op=get,clear
# no pages are counted
exporter shown migscope_dirty_pages_total
prometheus_start "$(<"$TAP_TMP/known.port")" "$(prometheus_rules $WINDOW)" "liar=$(<"$TAP_TMP/liar.port")" "shown=$(<"$TAP_TMP/shown.port")" ||
	bail_out "Prometheus does not start"
prometheus_scraped $((WINDOW + 6))
tests/lib/dashboards.py query "$prometheus_url" $WINDOW migscope >"$TAP_TMP/query"
is "every expression has the known series: status" "$?" 0
is "every expression has the known series: what differs" "$(grep '^not ok' "$TAP_TMP/query")" ''
for panel in $(jq -r '[.panels[].targets[]] | length' dashboards/grafana/*.json); do panels=$((panels + panel)); done
num "every expression was run, for each choice of VMs" "$(grep -c '^ok' "$TAP_TMP/query")" -ge $((panels * 2))
tests/lib/dashboards.py query "$prometheus_url" $WINDOW liar >"$TAP_TMP/query.liar"
is "labels are swapped: it is noticed" "$?" 1
lies() { grep -c "^not ok.*: $1" "$TAP_TMP/query.liar"; }
for panel in 'Memory dirtied, by VM: ' 'Mean of GET and CLEAR: ' 'Kicks of vDPA queues, by device: ' 'Work of the resets: ' 'VMs: max by'; do
	num "labels are swapped: '${panel%%: *}' is not right any more" "$(lies "$panel")" -ge 1
done
is "labels are swapped: a sum over them is the same" "$(lies 'Memory dirtied, by host: ')" 0
# of a VM whose pages nobody counts: what its bitmaps showed, a hundred pages a second
for panel in 'fleet:Memory dirtied, by host' 'host:Memory dirtied, by VM' 'migration:Dirty rate'; do
	expr=$(dashboards/grafana/generate --expressions | jq -r --arg d "migscope-${panel%%:*}" --arg p "${panel#*:}" --arg w "${WINDOW}s" '
		first(.[] | select(.dashboard == $d and .panel == $p)) .expr | gsub("\\$__rate_interval"; $w) |
		gsub("\\$job"; "shown") | gsub("\\$instance"; ".*") | gsub("=~\"\\$vm\""; "=~\".*\"") | gsub("\\$vm"; "plain (2)")')
	is "pages are not counted: ${panel#*:}: what GET showed" "$(prometheus_query "round(($expr > 0) / 4096, 100)")" 100
done
is "pages are not counted: the rate against the bandwidth" \
	"$(prometheus_query 'round(vm:migscope_dirty_to_bandwidth:ratio{job="shown"} > 0, 1e-4)')" 0.0004
is "every rule evaluates" "$(prometheus_evaluated)" ''
rules=$(curl -sf "$prometheus_url/api/v1/rules")
num "every rule is there" "$(jq '[.data.groups[].rules[]] | length' <<<"$rules")" -eq \
	"$(grep -c '^ *- \(record\|alert\):' dashboards/prometheus/rules.yml dashboards/prometheus/alerts.yml | awk -F: '{ n += $2 } END { print n }')"
# of the workload: rings half full, exits, stalls of seconds, GETs of a quarter of a second; on a busy
# machine a scrape may be late, and its target down until the next
should='["MigscopeBitmapSyncSlow","MigscopeBlind","MigscopeDeviceAllDirty","MigscopeEventsLost","MigscopeForecastDiverges","MigscopeForecastDowntime","MigscopeGuestStalled","MigscopeMappingsNearLimit","MigscopeRingFull","MigscopeSeriesDropped"]'
for ((i = 0; i < 60; i++)); do
	fires=$(curl -sf "$prometheus_url/api/v1/rules" |
		jq -c '[.data.groups[].rules[] | select(.state == "firing") | .name] | sort')
	[ "$fires" != "$should" ] || break
	sleep 0.5
done
is "what fires is what should" "$fires" "$should"
kill "${exporters[@]}"
wait "${exporters[@]}" 2>/dev/null
done_testing
