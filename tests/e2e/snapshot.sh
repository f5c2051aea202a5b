#!/bin/bash
# A snapshot on its way, and what may happen meanwhile.  About 35 s.
# shellcheck disable=SC2317 # functions that wait_for calls
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
world_new
short=(--set raft.compact_after=1000)

load() { # count
	quorate-load --server "${ADDR[east]}:8443" --root "$T/admin/root.pem" \
		--token "$tok" --connections 4 --streams 16 --count "$1" --json
}
crl_has() { # node entries
	[ "$(metric "$1" crl_entries_max)" = "$2" ]
}
begun() { # node that sends
	grep -q snapshot_begins "$T/log/$1"
}

must "a trust domain in east" domain_new east "${short[@]}"
for n in west south; do must "$n joins" node_join "$n" "${short[@]}"; done
must "east's tokens are taken" cluster_keys east
tok=$(token east shop cart)
must "30,000 certificates are issued" load 30000
# One row of the state, and more than a message of the channel may have.
must "and revoked" q revoke --identity "spiffe://$TRUST_DOMAIN/ns/shop/sa/cart" \
	--reason superseded
must "the CRL has them all" wait_for 20 crl_has east 30000
must "east leads" q member transfer 1

# ---- The leader changes, and changes back ----

must "north asks" node_ask north "${short[@]}"
must "and is approved" node_approve north
check "east begins to send it a snapshot" wait_for 20 begun east
kill -STOP "${PID[north]}"
expect 0 "leadership goes to west" 'Node 2 leads' q member transfer 2
expect 0 "and back to east" 'Node 1 leads' q member transfer 1
kill -CONT "${PID[north]}"
check "north is ready all the same" node_wait north 60
# One of before, one of after: what was said of the first once ended the second,
# and that the third.
check "by no more than one snapshot of each term that east led" \
	test "$(grep -c snapshot_begins "$T/log/east")" -le 2
check "and votes" wait_for 20 node_voter north
check "all four have the same tree" wait_for 10 \
	heads_equal east,west,south,north
finish
