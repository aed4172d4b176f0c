#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# migscope: stock vm=6.12,6.1 timeout=600 long
#
# The source vhost_iotlb, each of its probes taken away.
. "${0%/*}/../tap.sh"
. "${0%/*}/../lib/watch.sh"
. "${0%/*}/../lib/vhost_iotlb.sh"
modprobe -a vhost_net tun || bail_out "no vhost_net, no tun"
kvm_loaded=''
# shellcheck disable=SC2317 # by trap
cleanup() {
	watch_cleanup
	modprobe -qr vhost_net || :
}
trap cleanup EXIT

# --- each probe is taken away: what it gives is not there, and is named
without() {
	case $1 in
	iotlb_miss)	 echo 'has("misses") or has("miss_service") or has("pending") or has("hits")' ;;
	iotlb_msg_*)	 echo 'has("updates") or has("invalidates") or has("errors") or has("miss_service") or has("entries")' ;;
	iotlb_add_begin) echo 'has("evictions")' ;;
	iotlb_add_end)	 echo 'has("updates") or has("evictions") or has("miss_service")' ;;
	iotlb_del)	 echo 'has("invalidates")' ;;
	iotlb_clear)	 echo 'has("pending") or has("oldest_seconds")' ;;
	iotlb_translate|iotlb_access_*) echo 'has("hits") or has("denied")' ;;
	*)		 echo false ;;
	esac
}
for p in iotlb_miss iotlb_msg_begin iotlb_msg_end iotlb_add_begin iotlb_add_end iotlb_del iotlb_table iotlb_clear \
	 iotlb_dev_end iotlb_translate iotlb_access_begin iotlb_access_end; do
	watch -x --target "$p=no_such_function" stat -j 0.5 -s vhost_iotlb
	load client
	load_end client
	sleep 0.6
	watch_end
	is "without $p: what it gives is not there" "$(sample "[.devices[].vhost_iotlb | $(without "$p")] | any")" false
	is "without $p: it is named" "$(sample '[.not_measured[] | [.probe, .state]]' | grep -c "\"$p\",\"missing\"")" 1
	case $p in
	iotlb_miss)	left=updates ;;
	*)		left=misses ;;
	esac
	is "without $p: what is left is right" "$(sample ".devices[] | select(.dev == \"vhost-net-0\") | .vhost_iotlb.$left")" \
	   "$(truth client ".total.$left")"
done

done_testing
