#!/bin/bash
# A node in trouble: paused, without its signer, without its disk, started
# twice.  It says so, nothing it promised is lost, and clients go on elsewhere.
# shellcheck disable=SC2317 # functions that wait_for calls
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
world_new
must "a trust domain in east" domain_new east
must "west joins" node_join west
must "south joins" node_join south
must "east's tokens are taken" cluster_keys east
tok=$(token east shop cart)

others() { # node: the other two, with a comma between
	local n out=
	for n in east west south; do [ "$n" = "$1" ] || out+=${out:+,}$n; done
	echo "$out"
}

# ---- A leader that is paused, and does not know ----

old=$(leader west) rest=$(others "$(leader west)")
kill -STOP "${PID[$old]}"
check "without the paused leader certificates are issued" \
	request "$T/paused" "$tok" --server "$(servers "$rest")"
expect 0 "a client whose first server is paused goes on after a second" \
	"from +${ADDR[${rest%,*}]}" \
	request "$T/first" "$tok" --server "$(servers "$old,$rest")"
kill -CONT "${PID[$old]}"
serial=$(serial_of "$T/paused/chain.pem")
expect 0 "awake again, it gives no old list" "$serial" \
	q cert list --server "$(at "$old")"
expect 0 "and does not lead" 'role +follower' q status --server "$(at "$old")"
check "and issues" request "$T/awake" "$tok" --server "$(at "$old")"

# ---- A signer that dies ----

kill -KILL "$(pgrep -P "${PID[west]}")"
check "a node whose signer dies ends" wait_for 5 node_gone west
expect 0 "and says why" 'signer process has ended' tail -n 1 "$T/log/west"
node_start west
check "started again it is well" node_wait west
check "and issues with the same issuer" \
	request "$T/signer" "$tok" --server "$(at west)"
same "as the log knows it" \
	"$(q issuer list -o json | jq -r '.issuers[] | select(.name == "west") | .key_id')" \
	"$(q cert show "$(serial_of "$T/signer/chain.pem")" -o json | jq -r .issuer)"

# ---- Two of one ----

expect 1 "a second quorated on the same addresses ends" 'Address already in use' \
	timeout 10 quorated --data "$T/west"
mkdir "$T/twin"
ln -s "$T"/west/* "$T/twin"
rm "$T/twin/node.yaml"
sed "s/^listen: .*/listen: \"$NET.200\"/" "$T/west/node.yaml" >"$T/twin/node.yaml"
chmod 700 "$T/twin"
expect 1 "a second one on the same data ends" 'in use by another process' \
	timeout 10 quorated --data "$T/twin"
check "the first does not mind" node_ready west

# ---- Lost folders ----

node_stop west
rm -r "$T/west/state"
node_start west
check "a lost state is made again from the log" node_wait west
expect 0 "with what was issued" "$serial" q cert list --server "$(at west)"
node_stop west
rm -r "$T/west/raft"
expect 1 "without its log a node does not come back under its id" \
	'remove this node and join a new one' timeout 10 quorated --data "$T/west"
rm -r "$T/west/state"
expect 1 "nor without log and state" 'remove this node and join a new one' \
	timeout 10 quorated --data "$T/west"
rm -r "$T/west"
must "the node is removed" q member remove 2
must "a new one joins in its place" node_join west
expect 0 "with what was issued" "$serial" q cert list --server "$(at west)"

# ---- A disk that is full ----

node_stop south
sed -i '/^store:/,/^[^ ]/{/reserve/d}' "$T/south/node.yaml"
printf 'store:\n  reserve: "900GiB"\n' >>"$T/south/node.yaml"
node_start south
low() {
	node_ready south | grep -q 'store.reserve'
}
check "readyz says that the disk is full" wait_for 10 low
expect 0 "so does status" 'ALARM +free disk space' q status --server "$(at south)"
expect 1 "the node accepts nothing" 'store.reserve' \
	request "$T/full" "$tok" --server "$(at south)"
expect 0 "a client goes on to the next" "from +${ADDR[east]}" \
	request "$T/full" "$tok" --server "$(servers south,east)"
finish
