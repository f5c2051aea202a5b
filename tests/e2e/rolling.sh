#!/bin/bash
# A rolling restart, as an upgrade does it: each node is stopped and started
# while clients ask, and none of them is refused or left without an answer.
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
world_new
must "a trust domain in east" domain_new east
must "west joins" node_join west
must "south joins" node_join south
must "east's tokens are taken" cluster_keys east
tok=$(token east shop cart)

quorate-load --server "${ADDR[east]}:8443,${ADDR[west]}:8443,${ADDR[south]}:8443" \
	--root "$T/admin/root.pem" --token "$tok" --connections 6 --streams 4 \
	--pause-ms 20 --seconds 600 --ack "$T/ack" --json >"$T/load.json" &
PID["load"]=$!
must "certificates are issued" wait_for 10 test -s "$T/ack"
for n in east west south; do
	was=$(leader "$n")
	check "$n stops cleanly${was:+, $was leads}" node_stop "$n"
	node_start "$n"
	check "$n comes back" node_wait "$n"
	check "$n issues" request "$T/$n-again" "$tok" --server "$(at "$n")"
done
check "the load ends" node_stop load
echo "# $(jq -c 'del(.per_second)' "$T/load.json")"
check "nothing was answered with an error, nothing left open" jq -e \
	'.errors == {} and .unknown == 0 and .wrong == 0' "$T/load.json"
check "nobody waited for a second" jq -e '.gap_us < 1000000' "$T/load.json"
finish
