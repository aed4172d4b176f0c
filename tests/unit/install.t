#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# make install: what lies where, and that it works from there.
. "${0%/*}/../tap.sh"

root=$TAP_TMP/root
make -s install DESTDIR="$root" PREFIX=/usr >"$TAP_TMP/log" 2>&1
is "make install" "$?" 0
for file in bin/migscope libexec/migscope/kvmload lib/systemd/system/migscope.service lib/sysusers.d/migscope.conf \
	share/bash-completion/completions/migscope share/man/man1/migscope.1 share/doc/migscope/SCHEMA.md \
	share/migscope/dashboards/grafana/migscope-fleet.json share/migscope/dashboards/prometheus/alerts.yml; do
	ok "/usr/$file" test -s "$root/usr/$file"
done
is "nothing beside it" "$(ls "$root")" usr
is "it runs" "$("$root/usr/bin/migscope" --version)" "$(build/migscope --version)"
ok "it finds its workload" "$root/usr/bin/migscope" selfcheck --list
unit=$root/usr/lib/systemd/system/migscope.service
is "the unit starts what was installed" "$(sed -n 's/^ExecStart=\([^ ]*\).*/\1/p' "$unit")" /usr/bin/migscope
is "the unit: nothing was left to fill in" "$(grep -c '@[A-Z]*@' "$unit")" 0
is "the unit: /proc stays whole" "$(grep -c '^ProtectProc=default\|^ProcSubset=all' "$unit")" 2
options=$(sed -n 's/^ExecStart=[^ ]* //p' "$unit")
while read -r option; do
	like "the unit: serve knows $option" "$(build/migscope serve --help)" "$option"
done < <(grep -oE -- '--[a-z-]+' <<<"$options")

# --- pages: one a command, each option in it
commands=$(build/migscope --help | sed -n '/^Commands:/,/^$/s/^ *\([a-z]\{1,\}\)  .*/\1/p')
num "there are commands" "$(wc -w <<<"$commands")" -ge 11
for command in '' $commands; do
	page=$root/usr/share/man/man1/migscope${command:+-$command}.1
	# shellcheck disable=SC2086 # none for migscope itself
	missing=$(build/migscope $command --help </dev/null | grep -oE -- '^ +(-., )?--[a-z-]+' | grep -oE -- '--[a-z-]+' | sort -u |
		while read -r option; do grep -qF -- "${option//-/\\-}" "$page" || echo "$option"; done)
	is "migscope $command: each option is in its page" "$missing" ''
	like "migscope $command: exit codes are" "$(cat "$page")" 'SH EXIT STATUS'
done

# --- completion
# shellcheck source=/dev/null
. "$root/usr/share/bash-completion/completions/migscope"
complete_for() {
	COMP_WORDS=("$@")
	COMP_CWORD=$(($# - 1))
	COMPREPLY=()
	_migscope build/migscope
	printf '%s\n' "${COMPREPLY[@]}" | sort | paste -sd' '
}
is "completion: commands" "$(complete_for migscope re)" "record release report"
is "completion: options of a command" "$(complete_for migscope report --h)" "--help --html"
is "completion: our own options" "$(complete_for migscope --ex)" "--exact"
is "completion: a file of ours is no command" "$(complete_for migscope --btf /nowhere sta)" "stat"
is "completion: modules" "$(complete_for migscope release kvm_)" "kvm_amd kvm_intel"
is "completion: nothing for a number" "$(complete_for migscope report -b '')" ""
is "completion: nothing behind --" "$(complete_for migscope record -- --h)" ""
done_testing
