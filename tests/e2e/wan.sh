#!/bin/bash
# What distance asks for: who leads rather, commits that outlive a cluster, and
# raft's clock.  About 20 s.
# shellcheck disable=SC2317 # functions that wait_for calls
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
world_new
nodes=(east west south)

setting() { # node section key value
	printf '%s:\n  %s: %s\n' "$2" "$3" "$4" >>"$T/$1/node.yaml"
}

leads() { # node, as it sees it
	[ "$(leader "$1")" = "$1" ]
}

must "a trust domain in east" domain_new east
must "west joins, to lead rather" node_join west --set raft.priority=10
must "south joins" node_join south
must "east's tokens are taken" cluster_keys east
tok=$(token east shop cart)

# ---- Priority ----

for i in 1 2; do
	check "round $i: leadership is handed to east" q member transfer 1
	check "round $i: which leads" wait_for 5 leads east
	node_kill east
	check "round $i: it is lost, and west leads" wait_for 10 leads west
	node_start east
	must "round $i: east comes back" node_wait east
	check "round $i: and takes nothing from west" leads west
done
node_kill west
survivor() {
	leads east || leads south
}
check "without west another leads" wait_for 10 survivor
must "and issues" request "$T/a" "$tok" --server "$(servers east,south)"
node_start west
must "west comes back" node_wait west

# ---- Commits in more than a majority ----

for n in "${nodes[@]}"; do
	node_stop "$n"
	setting "$n" commit min_clusters 3
	node_start "$n"
done
for n in "${nodes[@]}"; do must "$n is back" node_wait "$n"; done
must "three clusters are there, and issue" request "$T/b" "$tok"
node_kill south
expect 1 "one of three is away: a majority is not enough" 'quorum' \
	request "$T/c" "$tok" --server "$(servers east,west)"
node_start south
must "it is back" node_wait south
check "and certificates are issued" wait_for 5 request "$T/c" "$tok"

# ---- Pace ----

same "near peers wait as configured" 1000 \
	"$(metric east raft_election_timeout_milliseconds)"
finish
