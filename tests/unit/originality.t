#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Is a copy of the base's code seen, also with other names and comments?
. "${0%/*}/../tap.sh"

src=$(kernel/workbench/fetch source)
check() { kernel/workbench/originality "$src" "$1" >"$TAP_TMP/said" 2>&1; }

mapfile -t ours < <(find kernel -name '*.c')
ok "our kernel code is our own" kernel/workbench/originality "$src" "${ours[@]}"

cp "$src/drivers/vhost/iotlb.c" "$TAP_TMP/copy.c"
nok "a copy is seen" check "$TAP_TMP/copy.c"
like "and where it is from" "$(<"$TAP_TMP/said")" \
	'vhost_iotlb_add_range_ctx: 100% drivers/vhost/iotlb.c:vhost_iotlb_add_range_ctx  NOT ALLOWED'
sed -E -e 's/\bmap\b/entry/g; s/\biotlb\b/table/g; s/\bstart\b/from/g; s/\bmid\b/half/g' \
	-e 's/^(\t+)(if|return)/\1\/* a comment *\/\n&/' "$src/drivers/vhost/iotlb.c" >"$TAP_TMP/copy.c"
nok "so is one with other names and more comments" check "$TAP_TMP/copy.c"
like "and where it is from" "$(<"$TAP_TMP/said")" 'NOT ALLOWED'

done_testing
