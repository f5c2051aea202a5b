#!/bin/bash
# Members come, lead, fall, come back and go; clients find who can answer.
# shellcheck disable=SC2317 # functions that wait_for calls
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
world_new

applied() { # node: index
	status_of "$1" .applied
}


# ---- They come ----

must "a trust domain in east" domain_new east
must "west joins with a token and the root key" node_join west
must "south joins" node_join south
for n in east west south; do
	expect 0 "$n sees three voters" '^3$' status_of "$n" \
		'[.members[] | select(.state == "voter")] | length'
	check "$n is ready" node_ready "$n"
done
same "the operator's folder knows all three" \
	"$(at east) $(at west) $(at south)" \
	"$(tr '\n' ' ' <"$T/admin/servers" | sed 's/ $//')"
for n in east west south; do
	must "$n's tokens are taken" cluster_keys "$n"
done
tok=$(token east shop cart)
for n in east west south; do
	check "promise 5: a token of east gets a certificate from $n" \
		request "$T/from-$n" "$tok" --server "$(at "$n")"
	check "which OpenSSL accepts" chain_verify "$T/from-$n"
done
same "each node signs with an issuer of its own" 3 \
	"$(for n in east west south; do
		openssl x509 -in "$T/from-$n/leaf.pem" -noout -issuer
	done | sort -u | wc -l)"
check "all three have the same tree" wait_for 5 heads_equal east,west,south

# A second token, taken in by whoever waits at the prompt.
must "a token for north" q token create --cluster north --out "$T/tokens/north"
node_name north
q join --token-file "$T/tokens/north" --data "$T/north" \
	--listen "${ADDR[north]}" --witness >"$T/log/join" 2>&1 &
joiner=$!
must "quorate join waits for approval" wait_for 15 node_pending north
expect 0 "north is approved, as a witness" 'witness' node_approve north
check "quorate join ends when it is approved" wait "$joiner"
expect 0 "and says so" 'Approved as node 4' cat "$T/log/join"
node_start north
must "the witness votes" wait_for 20 node_voter north
expect 1 "but does not issue" . \
	request "$T/north" "$tok" --server "$(at north)"

# ---- They lead ----

expect 0 "leadership moves to the node named" 'Node 2 leads' \
	q member transfer 2
same "west leads" west "$(leader south)"
expect 0 "and to any other" 'leads' q member transfer
check "somebody else leads" test "$(leader south)" != west

# ---- They go ----

expect 0 "north is removed" 'is removed' q member remove 4
gone() {
	q member list -o json |
		jq -e '[.[] | select(.state == "voter")] | length == 3'
}
check "three voters are left" wait_for 10 gone
expect 1 "a removed node is not removed twice" 'no node 4' q member remove 4
node_kill north

# ---- One falls ----

dead=$(leader south)
case $dead in east) alive=west,south ;; west) alive=east,south ;;
*) alive=east,west ;; esac
node_kill "$dead"
died=$(now_ms)
expect 0 "--server DEAD,ALIVE goes on at once" 'identity' request "$T/over" \
	"$tok" --server "$(at "$dead"),$(servers "$alive")"
took=$(($(now_ms) - died))
if [ "$took" -lt 3500 ]; then
	ok "a dead leader costs a client $took ms"
else
	not_ok "a dead leader costs a client $took ms, not under 3500"
fi
check "the rest has a new leader" wait_for 5 leader "${alive#*,}"
expect 0 "operators go on, too" 'token keys?' \
	cluster_keys "$dead" --server "$(at "$dead"),$(servers "$alive")"
expect 1 "head --all says that one is away" '1 of 3 servers' \
	q head --all --server "$(servers east,west,south)"

# ---- Two fall: no quorum ----

second=${alive%,*} last=${alive#*,}
node_kill "$second"
no_quorum() {
	not status_of "$last" .quorum
}
check "the last one sees that there is no quorum" wait_for 10 no_quorum
before=$(applied "$last")
start=$(now_ms)
expect 1 "promise 6: without a quorum nothing is issued" 'quorum|leader' \
	request "$T/lost" "$tok" --server "$(at "$last")"
took=$(($(now_ms) - start))
if [ "$took" -lt 2500 ]; then
	ok "which is said within $took ms"
else
	not_ok "which takes $took ms, more than 2500"
fi
check "no key is left behind" not test -e "$T/lost/key.pem"
expect 1 "a change that cannot even be prepared is refused" 'quorum|leader' \
	cluster_keys east --server "$(at "$last")"
expect 3 "one that was sent is of unknown outcome, which is told how to find out" \
	'outcome unknown.*operator list' \
	q operator add bob --new "$T/bob" --server "$(at "$last")"
expect 0 "promise 6: the bundle is still served" 'BEGIN CERTIFICATE' \
	q bundle --server "$(at "$last")"
expect 0 "status is still told" 'quorum +no' q status --server "$(at "$last")"
expect 1 "a list that must be complete is not given" 'quorum|leader' \
	q cert list --server "$(at "$last")"
expect 1 "readyz says why" 'quorum|leader' node_ready "$last"
same "nothing was applied meanwhile" "$before" "$(applied "$last")"

# ---- They come back ----

node_start "$second"
check "a second node makes a quorum" node_wait "$second"
check "which issues" wait_for 10 request "$T/back" "$tok" \
	--server "$(servers "$second,$last")"
node_start "$dead"
check "the third catches up" node_wait "$dead"
check "all three have the same tree" wait_for 10 heads_equal east,west,south

# ---- All fall ----

serial=$(serial_of "$T/back/chain.pem")
for n in east west south; do node_kill "$n"; done
for n in east west south; do node_start "$n"; done
for n in east west south; do check "$n comes back" node_wait "$n"; done
for n in east west south; do
	check "promise 2: what was acknowledged is on $n" wait_for 5 \
		q cert show "$serial" --server "$(at "$n")"
done
check "they issue" request "$T/after" "$tok"
check "all three have the same tree" wait_for 10 heads_equal east,west,south
for n in east west south; do check "$n stops when told to" node_stop "$n"; done
finish
