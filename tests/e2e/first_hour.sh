#!/bin/bash
# The first hour on one node: what the README tells an operator to type.
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
world_new

# ---- A trust domain ----

must "init makes a trust domain and says what to do next" \
	expect 0 "init" 'quorated --data' domain_init east
same "the node's folder is its own" 700 "$(stat -c %a "$T/east")"
same "the operator's folder is his own" 700 "$(stat -c %a "$T/admin")"
expect 1 "a folder in use is left alone" 'nothing was changed' domain_init east

node_start east
must "the node is ready" node_wait east
expect 0 "status shows one voter that leads" 'quorum +yes' q status
same "the leader is east" east "$(leader east)"
expect 0 "health is told without a certificate" . \
	curl -sS --noproxy '*' --fail "http://${ADDR[east]}:9090/healthz"
expect 0 "metrics are exported" '^quorate_' \
	curl -sS --noproxy '*' --fail "http://${ADDR[east]}:9090/metrics"

# ---- Whose tokens ----

expect 0 "set-jwks registers a key" '1 token key' cluster_keys east
expect 0 "the cluster is listed with its key" 'east +RS256:' q cluster list

# ---- A certificate ----

tok=$(token east shop cart)
expect 0 "a workload gets a certificate" "identity +$(identity shop cart)" \
	request "$T/cart" "$tok"
check "OpenSSL accepts its chain, strictly" chain_verify "$T/cart"
same "the key stays with its owner" 600 "$(stat -c %a "$T/cart/key.pem")"
same "the chain is for that key" \
	"$(openssl pkey -in "$T/cart/key.pem" -pubout)" \
	"$(openssl x509 -in "$T/cart/leaf.pem" -noout -pubkey)"
same "the last element is the root" "$(cat "$T/admin/root.pem")" \
	"$(cat "$T/cart/roots.pem")"
expect 0 "the SPIFFE ID is its only name" \
	"^    URI:$(identity shop cart)\$" \
	openssl x509 -in "$T/cart/leaf.pem" -noout -ext subjectAltName
for kind in p384 rsa2048 rsa3072; do
	check "a key of type $kind is certified" \
		request "$T/$kind" "$tok" --type "$kind"
	check "OpenSSL accepts the $kind chain, strictly" \
		chain_verify "$T/$kind"
done
openssl req -new -newkey rsa:2048 -nodes -keyout "$T/own.key" -subj "/O=" \
	-addext "subjectAltName=critical,URI:$(identity shop cart)" \
	-out "$T/own.csr" 2>/dev/null
expect 0 "a CSR of OpenSSL's is taken" 'BEGIN CERTIFICATE' \
	q request --csr "$T/own.csr" --token-file "$tok"
expect 0 "the lifetime asked for is given" . \
	request "$T/short" "$tok" --ttl 10m
check "ten minutes are ten minutes" \
	openssl x509 -in "$T/short/chain.pem" -noout -checkend 540
check "and not more" not \
	openssl x509 -in "$T/short/chain.pem" -noout -checkend 660

# ---- The log ----

serial=$(serial_of "$T/cart/leaf.pem")
expect 0 "cert list shows it" "$serial +$(identity shop cart)" q cert list
expect 0 "cert find finds it" "$serial" q cert find "$(identity shop cart)"
expect 0 "and nothing of others" 'No certificate' \
	q cert find "$(identity shop nobody)"
expect 0 "cert show tells who asked" 'requested by +.*shop.*cart' \
	q cert show "$serial"
same "what was logged is what was handed out" \
	"$(cat "$T/cart/leaf.pem" "$T/cart/issuer.pem")" \
	"$(q cert show "$serial" -o pem)"
same "its hash is logged" \
	"$(openssl x509 -in "$T/cart/leaf.pem" -outform DER | sha256sum | cut -d' ' -f1)" \
	"$(q cert show "$serial" -o json | jq -r .sha256)"
expect 0 "its signer's boot is 16 digits" '^[0-9a-f]{16}$' \
	jq -r .signer_boot <(q cert show "$serial" -o json)
expect 0 "the head's signature is good" 'signature +good' q head

# ---- What to trust ----

same "the bundle is the root" "$(cat "$T/admin/root.pem")" "$(q bundle)"
same "the SPIFFE bundle is for SVIDs" x509-svid \
	"$(q bundle --format spiffe | jq -r '.keys[0].use')"
same "anyone can fetch it" "$(cat "$T/admin/root.pem")" \
	"$(curl -sS --noproxy '*' --fail "http://${ADDR[east]}:8080/bundle.pem")"
curl -sS --noproxy '*' --fail -o "$T/root.crl" \
	"http://${ADDR[east]}:8080/root.crl"
expect 0 "the root's CRL is good" 'verify OK' openssl crl -inform DER \
	-in "$T/root.crl" -CAfile "$T/admin/root.pem" -noout

# ---- Again tomorrow ----

check "the node stops when told to" node_stop east
node_start east
check "and comes back" node_wait east
expect 0 "what was issued is still there" "$serial" q cert list
check "and issues again" request "$T/again" "$tok"
finish
