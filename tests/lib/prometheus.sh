# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034 # read by those who source this
#
# A real Prometheus, for tests:
#
#	prometheus_start PORT [RULES [JOB=PORT...]]
#					scrapes that port of this host once a second as the
#					job migscope, others as theirs, with the rules of that
#					folder; $prometheus_url
#	prometheus_rules SECONDS	our rules, as they are but for the time that they need:
#					in the folder that it prints
#	prometheus_evaluated		waits until each rule was; prints those that are not ok
#	prometheus_run NAME CONFIG ARGUMENT...	one of several: with that configuration; then it is
#					the one that is asked, $prometheus_url, ${prometheus_at[NAME]}
#	prometheus_scraped N		waits until it has scraped N times
#	prometheus_query EXPR		prints the values of the result, one a line

prometheus_url=''
declare -A prometheus_pid prometheus_at

prometheus_run() {
	local port dir=$TAP_TMP/prometheus.$1 i
	mkdir -p "$dir"
	port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
	"$(tests/lib/prometheus)/prometheus" --config.file="$2" --storage.tsdb.path="$dir/data" \
		--web.listen-address="127.0.0.1:$port" --log.level=warn "${@:3}" >"$dir/log" 2>&1 &
	prometheus_pid[$1]=$!
	prometheus_url=http://127.0.0.1:$port
	prometheus_at[$1]=$prometheus_url
	for ((i = 0; i < 300; i++)); do
		! curl -sf "$prometheus_url/-/ready" >/dev/null || return 0
		kill -0 "${prometheus_pid[$1]}" 2>/dev/null || break
		sleep 0.1
	done
	diag "$(tail -5 "$dir/log")"
	return 1
}

prometheus_start() {
	local job
	cat >"$TAP_TMP/prometheus.yml" <<-YAML
		global:
		  scrape_interval: 1s
		  scrape_timeout: 900ms
		  evaluation_interval: 1s
		rule_files: ['${2:-/nonexistent}/rules.yml', '${2:-/nonexistent}/alerts.yml']
		scrape_configs:
		  - job_name: migscope
		    static_configs: [{ targets: ['127.0.0.1:$1'] }]
	YAML
	for job in "${@:3}"; do
		cat >>"$TAP_TMP/prometheus.yml" <<-YAML
			  - job_name: ${job%%=*}
			    static_configs: [{ targets: ['127.0.0.1:${job#*=}'] }]
		YAML
	done
	prometheus_run only "$TAP_TMP/prometheus.yml"
}

prometheus_rules() {
	local file
	mkdir "$TAP_TMP/rules"
	for file in rules alerts; do
		sed "s/\[[0-9]*m\]/[${1}s]/g; s/interval: .*s/interval: 1s/; s/for: .*/for: 1s/" \
			"dashboards/prometheus/$file.yml" >"$TAP_TMP/rules/$file.yml"
	done
	echo "$TAP_TMP/rules"
}

prometheus_evaluated() {
	local i
	for ((i = 0; i < 300; i++)); do
		curl -sf "$prometheus_url/api/v1/rules" >"$TAP_TMP/evaluated"
		! jq -e '[.data.groups[].rules[]] | length > 0 and all(.health != "unknown")' "$TAP_TMP/evaluated" >/dev/null || break
		sleep 0.2
	done
	jq -r '.data.groups[].rules[] | select(.health != "ok") | "\(.name): \(.health) \(.lastError)"' "$TAP_TMP/evaluated"
}

prometheus_query() {
	curl -sf --get --data-urlencode "query=$1" "$prometheus_url/api/v1/query" | jq -r '.data.result[].value[1]'
}

prometheus_scraped() {
	local i n
	for ((i = 0; i < 600; i++)); do
		n=$(prometheus_query 'count_over_time(up{job="migscope"}[1h])')
		[ "${n:-0}" -lt "$1" ] || return 0
		sleep 0.2
	done
	diag "Prometheus scraped ${n:-0} times, not $1"
	return 1
}

prometheus_stop() {
	local pid
	for pid in "${prometheus_pid[@]}"; do
		kill "$pid" 2>/dev/null || :
		wait "$pid" 2>/dev/null || :
	done
	prometheus_pid=()
}

# shellcheck disable=SC2317 # by trap
prometheus_cleanup() {
	# shellcheck disable=SC2046 # ids
	kill $(jobs -p) 2>/dev/null || :
	wait
	rm -rf "$TAP_TMP"
}
trap prometheus_cleanup EXIT
