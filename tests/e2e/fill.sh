#!/bin/bash
# What quorate-fill puts into stopped nodes is what they would have issued.
# About 20 s.
# shellcheck disable=SC2317 # functions that wait_for calls
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
world_new
CERTS=20000
nodes=(east west south)

heads_equal() {
	q head --all --server "$(servers east,west,south)" -o json |
		jq -e 'length == 3 and
			(map([.tree_size, .root, .state_digest]) | unique | length) == 1'
}
dirs() {
	printf "$T/%s\n" "${nodes[@]}"
}
fill() { # count
	# shellcheck disable=SC2046 # one word each
	quorate-fill --count "$1" $(dirs) >"$T/filled" 2>"$T/log/fill"
}

must "a trust domain in east" domain_new east
for n in west south; do must "$n joins" node_join "$n"; done
must "its tokens are taken" cluster_keys east
for n in "${nodes[@]}"; do check "$n ends" node_stop "$n"; done
must "$CERTS certificates are put into all three" fill $CERTS
for n in "${nodes[@]}"; do node_start "$n"; done
for n in "${nodes[@]}"; do must "$n starts on them" node_wait "$n" 60; done
check "all three have the same tree and state" wait_for 10 heads_equal
tok=$(token east shop cart)
check "a certificate is issued" request "$T/cert" "$tok" --server "$(at west)"
check "its chain holds" chain_verify "$T/cert"
serial=$(q cert list --server "$(at south)" -o json | jq -r '.[80].serial')
expect 0 "one that was put there is found" "$serial" \
	q cert show "$serial" --server "$(at south)"
expect 0 "and revoked" 'is revoked' q revoke "$serial"
# A node that joins verifies each signature that others made.
must "north joins by a snapshot" node_join north
verified() {
	[ "$(metric north record_signature_bad_total)" = 0 ]
}
check "and found no signature bad" verified
finish
