#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Rules, alerts and dashboards: promtool's own tests, the conventions, and every expression
# run by a real Prometheus that scrapes a workload whose numbers are known.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/prometheus.sh"

WINDOW=10	# seconds that a rate looks back

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
tests/lib/known_exporter >"$TAP_TMP/port" &
exporter=$!
until [ -s "$TAP_TMP/port" ]; do sleep 0.1; done
mkdir "$TAP_TMP/rules"
for file in rules alerts; do
	# as they are, but for the time that they need
	sed "s/\[[0-9]*m\]/[${WINDOW}s]/g; s/interval: .*s/interval: 1s/; s/for: .*/for: 1s/" \
		"dashboards/prometheus/$file.yml" >"$TAP_TMP/rules/$file.yml"
done
prometheus_start "$(<"$TAP_TMP/port")" "$TAP_TMP/rules" || bail_out "Prometheus does not start"
prometheus_scraped $((WINDOW + 6))
tests/lib/dashboards.py query "$prometheus_url" $WINDOW >"$TAP_TMP/query"
is "every expression has the known value: status" "$?" 0
is "every expression has the known value: what differs" "$(grep '^not ok' "$TAP_TMP/query")" ''
num "every expression was run" "$(grep -c '^ok' "$TAP_TMP/query")" -ge 40
rules=$(curl -sf "$prometheus_url/api/v1/rules")
is "every rule evaluates" "$(jq -c '[.data.groups[].rules[] | select(.health != "ok") | .name + ": " + .lastError]' <<<"$rules")" '[]'
num "every rule is there" "$(jq '[.data.groups[].rules[]] | length' <<<"$rules")" -eq \
	"$(grep -c '^ *- \(record\|alert\):' dashboards/prometheus/rules.yml dashboards/prometheus/alerts.yml | awk -F: '{ n += $2 } END { print n }')"
# of the workload: rings half full, exits, stalls of seconds, GETs of a quarter of a second
is "what fires is what should" "$(jq -c '[.data.groups[].rules[] | select(.state == "firing") | .name] | sort' <<<"$rules")" \
	'["MigscopeBitmapSyncSlow","MigscopeBlind","MigscopeDeviceAllDirty","MigscopeEventsLost","MigscopeForecastDiverges","MigscopeForecastDowntime","MigscopeGuestStalled","MigscopeMappingsNearLimit","MigscopeRingFull","MigscopeSeriesDropped"]'
kill $exporter
wait $exporter 2>/dev/null
done_testing
