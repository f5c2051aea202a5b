#!/bin/bash
# Machines are lost and replaced; who comes late gets a snapshot.
# shellcheck disable=SC2317 # functions that wait_for calls
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
world_new
short=(--set raft.compact_after=1000)

load() { # server,... count
	quorate-load --server "$1" --root "$T/admin/root.pem" --token "$tok" \
		--connections 4 --streams 16 --count "$2" --json
}
snapshots() { # node: how many it has installed
	grep -c snapshot_installed "$T/log/$1"
}

must "a trust domain in east" domain_init east "${short[@]}"
node_start east
must "east is ready" node_wait east
must "east's tokens are taken" cluster_keys east
tok=$(token east shop cart)
must "5,000 certificates are issued" load "${ADDR[east]}:8443" 5000

serial=$(q cert find "$(identity shop cart)" --limit 1 -o json 2>/dev/null |
	jq -r '.[0].serial')

# ---- Late ----

must "west joins" node_join west "${short[@]}"
must "south joins" node_join south "${short[@]}"
same "west got a snapshot" 1 "$(snapshots west)"
same "west has all 5,000" 5000 \
	"$(q cert list --all --server "$(at west)" -o json |
		jq '[.[] | select(.profile == "workload")] | length')"
check "promise 4: all three have the same tree" wait_for 10 heads_equal east,west,south
node_kill south
# More than a leader keeps for a peer that was in touch a moment ago.
must "12,000 more, without south" load "${ADDR[east]}:8443,${ADDR[west]}:8443" 12000
node_start south
check "south comes back" node_wait south
check "promise 4: all three have the same tree" wait_for 10 heads_equal east,west,south
same "by a snapshot" 2 "$(snapshots south)"
check "south issues" request "$T/south" "$tok" --server "$(at south)"
node_kill south
node_start south
check "a snapshot holds over a crash" node_wait south
check "promise 4: all three have the same tree" wait_for 10 heads_equal east,west,south

# ---- Lost ----

node_kill west
rm -r "$T/west"
expect 0 "the lost node is removed" 'is removed' q member remove 2
must "a new one takes its place" node_join west "${short[@]}"
expect 0 "under a new id" '^4 +west +voter' q member list
same "nobody waits any more" 0 "$(q issuer list -o json | jq '.pending | length')"
check "promise 4: all three have the same tree" wait_for 10 heads_equal east,west,south
check "it issues" request "$T/west" "$tok" --server "$(at west)"

# ---- A leader that is told to go ----

wait_for 5 leader south >/dev/null
must "east leads" q member transfer 1
expect 0 "the leader is removed" 'is removed' q member remove 1
check "somebody else leads" wait_for 5 leader south
check "west and south issue" \
	request "$T/after" "$tok" --server "$(servers west,south)"
expect 1 "a removed node says so" 'removed by an operator' node_ready east
expect 1 "and issues nothing" 'removed' \
	request "$T/gone" "$tok" --server "$(at east)"
same "the operator's folder knows it no more" "$(at west) $(at south)" \
	"$(sort "$T/admin/servers" | tr '\n' ' ' | sed 's/ $//')"
expect 0 "what east issued is still there" 'east' \
	q cert show "$serial" --server "$(at south)"

# ---- Down to one ----

expect 0 "south is removed" 'votes no more' q member remove 3
node_kill south
check "west alone issues" request "$T/alone" "$tok" --server "$(at west)"
expect 1 "the last one stays" 'last one' q member remove 4
finish
