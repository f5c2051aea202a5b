#!/bin/bash
# Three nodes become five and three again, while certificates are issued; a node
# is wiped and comes back; two operators give orders at once.  About 40 s.
# shellcheck disable=SC2317 # functions that wait_for calls
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
world_new
fast=(--set raft.election_ms=300 --set raft.heartbeat_ms=50
	--set raft.compact_after=1000)

voters() { # number node: so many, none learning, as that node sees it
	status_of "$2" ".members | map(select(.state != \"removed\") | .state)
		| length == $1 and all(. == \"voter\")"
}
issues() { # claim
	check "$1" wait_for 15 grown_since "$(acked)"
}
id_of() { # cluster: of its newest node
	q member list -o json |
		jq -er --arg c "$1" '[.[] | select(.cluster == $c) | .id] | max'
}

must "a trust domain in east" domain_new east "${fast[@]}"
for n in west south; do must "$n joins" node_join "$n" "${fast[@]}"; done
must "east's tokens are taken" cluster_keys east
must "an operator besides" \
	q operator add riva --new "$T/riva" --role admin
must "certificates are issued" load_start east \
	"${ADDR[east]}:8443,${ADDR[west]}:8443,${ADDR[south]}:8443"

# ---- Five ----

for n in north center; do must "$n joins under load" node_join "$n" "${fast[@]}"; done
check "there are five voters" wait_for 15 voters 5 south
# The log that follows a snapshot waits for it to arrive.
for n in north center; do
	check "one snapshot is enough for $n" \
		test "$(grep -c snapshot_installed "$T/log/$n")" -le 1
done
issues "certificates are issued on"
for n in north center; do node_kill "$n"; done
issues "with two of five lost, too"
for n in north center; do
	node_start "$n"
	must "$n comes back" node_wait "$n"
done

# ---- Two operators at once ----

north=$(id_of north) center=$(id_of center)
q member remove "$north" >"$T/one" 2>&1 &
one=$!
q member remove "$center" --identity "$T/riva" --server "$(at south)" \
	>"$T/two" 2>&1 &
two=$!
check "one operator removes north" wait "$one"
check "the other center, at the same time" wait "$two"
check "three voters are left" wait_for 20 voters 3 south
for n in north center; do node_kill "$n"; done
issues "which issue"

# ---- The leader goes ----

gone=$(leader south)
[ "$gone" != south ] || gone=$(q member transfer "$(id_of east)" >/dev/null &&
	wait_for 10 leader south)
expect 0 "the leader is removed under load" 'is removed' \
	q member remove "$(id_of "$gone")"
rest=west
[ "$gone" = east ] || rest=east
check "two are left" wait_for 20 voters 2 "$rest"
issues "and issue"
node_kill "$gone"

# ---- Wiped, and back under the name it had ----

rm -r "${T:?}/$gone"
must "its cluster joins again, with nothing kept" node_join "$gone" "${fast[@]}"
check "it is another node: no id is used twice" test "$(id_of "$gone")" -gt 5
check "there are three voters" wait_for 15 voters 3 "$rest"
victim=$rest
was=$(id_of "$victim")
node_kill "$victim"
rm -r "${T:?}/$victim"
issues "one is wiped while it votes: two of three issue"
# What it had voted and acknowledged is forgotten with its disk: what comes
# back does not vote in its stead.
must "its cluster joins again beside what it was" \
	node_ask "$victim" "${fast[@]}"
must "an operator approves" node_approve "$victim"
must "and it is ready" node_wait "$victim"
members() {
	q member list --server "$(at "$gone")" -o json |
		jq -er --arg c "$victim" '[.[] | select(.cluster == $c) | .id] | length'
}
same "the lost one is still a member, until it is removed" 2 "$(members)"
expect 0 "which the operator does" 'is removed' \
	q member remove "$was" --server "$(at "$gone")"
check "there are three voters" wait_for 20 voters 3 "$gone"
issues "which issue"

# ---- Books ----

check "the load ends" node_stop load
same "nobody was refused for a node's sake" 0 \
	"$(jq '.errors.permission_denied // 0' "$T/load.json")"
books_compare "$gone" "$victim" south
check "all three have the same tree" wait_for 10 \
	heads_equal "$gone,$victim,south"
finish
