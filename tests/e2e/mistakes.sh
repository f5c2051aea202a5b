#!/bin/bash
# What goes wrong for an operator or a workload, what is then said, and with
# which exit status: 1 refused or failed, 2 usage, 3 outcome unknown.
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
world_new
must "a trust domain of one node" domain_new east
must "east's tokens are taken" cluster_keys east
tok=$(token east shop cart)

# ---- Usage ----

while IFS='|' read -r line pattern; do
	# shellcheck disable=SC2086 # words
	expect 2 "usage: quorate $line" "$pattern" q $line
done <<'ROWS'
|a command is missing
frobnicate|unknown command
status -o yaml|expected table or json
cert show|needs SERIAL
cert show 12|32 hexadecimal digits
cert find|needs an identity
token create|--cluster is missing
token create --cluster west --ttl soon|not a duration
request|--token-file is missing
member remove west|not a whole number
cluster set-jwks east|--jwks is missing
policy set|changes nothing
operator add bob|--pubkey FILE or --new DIR
join --data x|--token
init --trust-domain a.example|--cluster is missing
ROWS

# ---- A workload's mistakes ----

refused() { # claim pattern token-file [option...]
	local claim=$1 pattern=$2
	shift 2
	expect 1 "$claim" "$pattern" request "$T/refused" "$@"
}
other=$(mktemp "$T/tokens/XXXXXX")
quorate-dev-token --key "$T/tokens/other.key" --new-key \
	--sub system:serviceaccount:shop:cart >"$other"
refused "a token of an unknown key" 'key|signature' "$other"
refused "an expired token" 'expired' "$(token east shop cart --expired)"
refused "a token for another audience" 'audience' \
	"$(token east shop cart --aud vault)"
refused "a token that is bound to no pod" 'pod' \
	"$(token east shop cart --pod '')"
refused "a namespace that is not the cluster's to give" 'kube-system' \
	"$(token east kube-system coredns)"
refused "a clusterid that is not the token's cluster" 'cluster' "$tok" \
	--cluster west
echo 'not a token' >"$T/tokens/garbage"
refused "no token at all" 'blanks|token' "$T/tokens/garbage"
refused "a token file that is not there" 'No such file|not.*there' "$T/nowhere"
check "no key is left of a refused request" not test -e "$T/refused/key.pem"
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
	-keyout "$T/other.key" -subj / -out "$T/other.csr" \
	-addext "subjectAltName=URI:$(identity shop admin)" 2>/dev/null
expect 1 "a CSR with somebody else's name" "another URI.*$(identity shop cart)" \
	q request --csr "$T/other.csr" --token-file "$tok"
expect 1 "a CSR that is none" 'CSR' \
	q request --csr "$tok" --token-file "$tok"
same "none of that was issued" 0 \
	"$(q cert find "$(identity shop cart)" -o json | jq length)"

# ---- An operator's mistakes ----

expect 1 "a serial that was never issued" 'no certificate' \
	q cert show 40000000000000000000000000000000
expect 1 "a member that does not exist" 'no node 7' q member remove 7
expect 1 "a cluster that is not registered" 'no cluster mars' \
	q cluster set-jwks mars --jwks "$T/tokens/east.jwks"
expect 1 "a key set that is none" 'tokens/garbage' \
	q cluster set-jwks east --jwks "$T/tokens/garbage"
expect 1 "the key of another cluster" 'key' \
	q cluster add mars --jwks "$T/tokens/east.jwks"
expect 1 "nobody waits for approval" 'no node of cluster west waits' \
	q issuer approve west --passphrase-file "$T/passphrase"
expect 1 "a policy that cannot be" 'ttl|lifetime|longer' \
	q policy set --ttl-max 30d
expect 1 "a policy that would lock everybody out" 'nobody could change' \
	q policy set --admin-signatures 2
expect 1 "a folder that is no operator's" 'not an operator' \
	q status --identity "$T/tokens"

must "an operator of another trust domain" quorate init \
	--trust-domain other.test --cluster x --data "$T/x" \
	--admin "$T/stranger" --cheap-sealing --passphrase-file "$T/passphrase"
cp "$T/admin/root.pem" "$T/stranger/root.pem"
expect 1 "a stranger's key is refused" 'operator|registered' \
	q status --identity "$T/stranger" --server "$(at east)"
rm -r "$T/stranger"
must "an operator who may only read" \
	q operator add eve --new "$T/eve" --role auditor
expect 0 "the auditor reads" 'quorum +yes' q status --identity "$T/eve"
expect 1 "and changes nothing" 'denied|role|may not|not allowed' \
	q policy set --ttl-max 1h --identity "$T/eve"
must "the auditor is removed" q operator remove eve
expect 1 "and no longer reads" 'operator|registered' \
	q status --identity "$T/eve"

# ---- A join's mistakes ----

node_name west
must "a token for west" \
	q token create --cluster west --out "$T/tokens/west" --ttl 1h
expect 1 "the token is for another cluster" 'token is for cluster west' \
	q join --token-file "$T/tokens/west" --cluster south --data "$T/w" \
	--listen "${ADDR[west]}"
expect 1 "a text that is no token" 'token' \
	q join --token quorate-join-v1.e30 --data "$T/w" \
	--listen "${ADDR[west]}"
check "nothing is left behind" not test -e "$T/w"
must "a token for a second" \
	q token create --cluster late --out "$T/tokens/late" --ttl 1s
expect 1 "a token that has expired" 'join token has expired' \
	q join --token-file "$T/tokens/late" --data "$T/late" \
	--listen "$NET.99"
must "west asks" node_ask west
must "and is heard" wait_for 15 node_pending west
echo 'wrong horse' >"$T/wrong"
expect 1 "a wrong passphrase approves nothing" 'passphrase|altered' \
	q issuer approve west --passphrase-file "$T/wrong"
mv "$T/admin/tokens" "$T/hidden"
expect 1 "whoever has not made the token does not approve" "made the token" \
	q issuer approve west --passphrase-file "$T/passphrase"
mv "$T/hidden" "$T/admin/tokens"
expect 1 "a node that waits says what for" 'approv' node_ready west
node_stop west

# ---- A directory that is not this node's ----

node_stop east
cp "$T/east/node.yaml" "$T/node.yaml"
sed -i 's/^cluster: .*/cluster: "other"/' "$T/east/node.yaml"
expect 1 "a cluster that the node is not registered for" \
	'registered for cluster east: put that name back' \
	timeout 20 quorated --data "$T/east"
cp "$T/node.yaml" "$T/east/node.yaml"
cp "$T/east/keys/mesh.key" "$T/mesh.key"
head -c 32 /dev/urandom >"$T/east/keys/mesh.key"
expect 1 "a mesh key that is another's" "put that node's own keys back" \
	timeout 20 quorated --data "$T/east"
cp "$T/mesh.key" "$T/east/keys/mesh.key"
must "with its own it runs" node_start east
must "and is ready" node_wait east

# ---- Nobody there ----

node_kill east
expect 1 "no server answers" "${ADDR[east]//./\\.}:8444" q status
expect 1 "a request says where it tried" "${ADDR[east]//./\\.}" \
	request "$T/none" "$tok"
expect 1 "no server is known" 'no server|--server' \
	env HOME=/nowhere QUORATE_IDENTITY= quorate bundle \
	--root "$T/admin/root.pem"
finish
