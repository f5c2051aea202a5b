#!/bin/bash
# What the README promises, each on three real nodes: each claim begins with the
# promise's number.  About 40 s.
#
# They are shown further, under the same numbers, by members.sh, kill.sh,
# replace.sh, revoke.sh and clock.sh; by the simulator (1, 2, 4) and chaos (1 to
# 4, 9); and by tests/unit: ca (3, 4, 8, 9), signer (7), auth (5).
# shellcheck disable=SC2317 # functions that wait_for calls
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
world_new
nodes=(east west south)
must "a trust domain in east" domain_new east --set "publish.dir=$T/pub"
for n in west south; do must "$n joins" node_join "$n"; done
for n in "${nodes[@]}"; do must "$n's tokens are taken" cluster_keys "$n"; done

others() { # node
	local n
	for n in "${nodes[@]}"; do [ "$n" = "$1" ] || echo "$n"; done
}

# ---- 5 ----

for c in "${nodes[@]}"; do
	for n in "${nodes[@]}"; do
		check "promise 5: $n serves a workload of $c" request "$T/$c-$n" \
			"$(token "$c" shop "of-$c")" --server "$(at "$n")"
	done
done

# ---- 1 ----

# What was handed out is, byte for byte, what that node's log has.
delivered() { # folder node
	chain_split "$1" && [ "$(cat "$1/leaf.pem" "$1/issuer.pem")" = \
		"$(q cert show "$(serial_of "$1/leaf.pem")" -o pem \
			--server "$(at "$2")")" ]
}
all_have() { # folder
	local n
	for n in "${nodes[@]}"; do wait_for 5 delivered "$1" "$n" || return; done
}
for n in "${nodes[@]}"; do
	for c in "${nodes[@]}"; do
		check "promise 1: what $c's workload has from $n is in every log" \
			all_have "$T/$c-$n"
	done
done
lead=$(leader east)
mapfile -t rest < <(others "$lead")
tok=$(token "$lead" shop early)
for n in "${rest[@]}"; do kill -STOP "${PID[$n]}"; done
start=$(now_ms)
expect 1 "promise 1: a leader alone gives no certificate" 'quorum|may be logged' \
	request "$T/early" "$tok" --server "$(at "$lead")"
took=$(($(now_ms) - start))
check "promise 1: nothing is left of it" not test -e "$T/early/chain.pem"
check "promise 6: that is said within two seconds ($took ms)" test $took -lt 2800
for n in "${rest[@]}"; do kill -CONT "${PID[$n]}"; done
for n in "${nodes[@]}"; do node_wait "$n" >/dev/null; done
check "promise 1: with a quorum it gets one" wait_for 10 \
	request "$T/early" "$tok" --server "$(at "$lead")"
q cert list --all -o json >"$T/certs"
echo "# signed, logged, and handed to nobody:" \
	"$(jq --arg id "$(identity shop early)" \
		'[.[] | select(.uri == $id)] | length - 1' "$T/certs")"
# Each signature of an issuer has a number: what is missing left no record.
jq -r '.[] | "\(.issuer) \(.signer_boot) \(.signer_seq)"' "$T/certs" |
	sort -k1,2 -k3n | awk '{ k = $1 " " $2 }
		k == last && $3 != seq + 1 { gaps += $3 - seq - 1 }
		{ last = k; seq = $3 } END { print gaps + 0 }' >"$T/gaps"
check "promise 1: the signers' numbers show no other signature missing" \
	test "$(cat "$T/gaps")" -le 1

# ---- 3 ----

same "promise 3: no serial is twice" "" \
	"$(jq -r '.[].serial' "$T/certs" | sort | uniq -d)"
same "promise 3: each is 16 bytes and begins with 01" "" \
	"$(jq -r '.[].serial' "$T/certs" | grep -vE '^[4-7][0-9a-f]{31}$')"

# ---- 4 ----

heads_equal() {
	q head --all --server "$(servers east,west,south)" -o json | jq -e \
		'length == 3 and all(.[]; .checked == "good") and
		(map([.index, .tree_size, .root, .state_digest]) | unique | length) == 1'
}
check "promise 4: one tree, one state, each node's signature on it" \
	wait_for 10 heads_equal

# ---- 7 ----

for n in "${nodes[@]}"; do
	signer=$(pgrep -P "${PID[$n]}")
	expect 0 "promise 7: $n's signer is in a sandbox" '^Seccomp:.*2' \
		cat "/proc/$signer/status"
	find "/proc/$signer/fd" -type l -printf '%l\n' |
		sed -n 's/^socket:\[\(.*\)\]$/\1/p' | sort -u >"$T/sockets"
	same "promise 7: and has no network socket" "" \
		"$(cat /proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/udp6 \
			2>/dev/null | awk '{ print $10 }' | grep -Fxf "$T/sockets")"
	issuer=$(openssl x509 -in "$T/east-$n/issuer.pem" -noout -pubkey)
	found=
	while read -r file; do
		[ "$(openssl pkey -in "$file" -passin pass: -pubout 2>/dev/null)" != \
			"$issuer" ] || found+=$file
	done < <(find "$T/$n" -type f)
	same "promise 7: no file of $n holds its issuer's key in the clear" "" \
		"$found"
done

# ---- 8 ----

trusted() {
	q operator list -o json
	q issuer list -o json | jq -c '.issuers'
	q federate list -o json
	q policy get -o json
	q cluster list -o json
}
trusted >"$T/trusted"
quorate init --trust-domain "$TRUST_DOMAIN" --cluster east --data "$T/twin" \
	--admin "$T/twin-admin" --cheap-sealing \
	--passphrase-file "$T/passphrase" >/dev/null 2>&1
must "an operator who may only read" \
	q operator add eve --new "$T/eve" --role auditor
cp "$T/admin/root.pem" "$T/twin-admin/root.pem"
for who in twin-admin eve; do
	expect 1 "promise 8: $who adds no operator" 'operator|registered|may not' \
		q operator add mallory --new "$T/mallory-$who" \
		--identity "$T/$who" --server "$(at "$lead")"
	expect 1 "promise 8: $who changes no policy" 'operator|registered|may not' \
		q policy set --ttl-max 1h --identity "$T/$who" --server "$(at "$lead")"
done
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
	-keyout "$T/mallory.key" -subj /O=mallory -days 30 -out "$T/mallory.pem" \
	-addext basicConstraints=critical,CA:TRUE \
	-addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null
cp -r "$T/admin" "$T/no-root"
cp "$T/twin-admin/root.key" "$T/no-root/root.key"
expect 1 "promise 8: an operator with another root key imports no root" \
	'root|signature' q root import "$T/mallory.pem" \
	--passphrase-file "$T/passphrase" --identity "$T/no-root"
post() { # certificate key body
	curl -sS --noproxy '*' --max-time 5 --cacert "$T/admin/root.pem" \
		--cert "$1" --key "$2" --data-binary "$3" -o /dev/null \
		-w '%{http_code}' -H 'Content-Type: application/octet-stream' \
		"https://$(at "$lead")/v1/admin"
}
expect 0 "promise 8: a workload's certificate gives no order" '^(401|403)$' \
	post "$T/east-east/chain.pem" "$T/east-east/key.pem" x
expect 0 "promise 8: what no operator has signed is no order" '^4' \
	post "$T/admin/operator.pem" "$T/admin/operator.key" x
q operator remove eve >/dev/null
check "promise 8: nothing has changed in whom they trust" \
	cmp "$T/trusted" <(trusted)

# ---- 2, 9 ----

lead=$(leader east)
mapfile -t rest < <(others "$lead")
must "a certificate of ${rest[0]}'s issuer" \
	request "$T/doomed" "$(token east shop doomed)" --server "$(at "${rest[0]}")"
must "promise 2: a revocation is acknowledged" \
	q revoke "$(serial_of "$T/doomed/chain.pem")" --server "$(at "$lead")"
must "promise 2: an issuance is acknowledged" \
	request "$T/kept" "$(token east shop kept)" --server "$(at "$lead")"
node_kill "$lead"
id=$(q member list -o json --server "$(servers "${rest[*]}")" |
	jq ".[] | select(.cluster == \"$lead\") | .id")
rm -r "${T:?}/$lead"
check "promise 2: without the leader's machine there is a leader" \
	wait_for 10 leader "${rest[0]}"
listed() { # node
	curl -sS --noproxy '*' --fail "http://${ADDR[$1]}:8080/crl/${rest[0]}.crl" |
		openssl crl -inform DER -noout -text |
		grep -qi "$(serial_of "$T/doomed/chain.pem")"
}
for n in "${rest[@]}"; do
	check "promise 2: $n has the certificate" delivered "$T/kept" "$n"
	check "promise 2: $n publishes the revocation" wait_for 5 listed "$n"
done
must "the lost node is removed" q member remove "$id" \
	--server "$(servers "${rest[*]}")"
must "promise 2: a new one takes its place" node_join "$lead"
check "promise 2: it has the certificate" wait_for 10 delivered "$T/kept" "$lead"
check "promise 2: it publishes the revocation" wait_for 10 listed "$lead"
check "promise 9: every node publishes the same CRL" \
	cmp <(curl -sS --noproxy '*' "http://${ADDR[$lead]}:8080/crl/${rest[0]}.crl") \
	<(curl -sS --noproxy '*' "http://${ADDR[${rest[0]}]}:8080/crl/${rest[0]}.crl")
check "promise 4: one tree, one state, on all three" wait_for 10 heads_equal

# ---- 6 ----

for n in "${rest[@]}"; do node_kill "$n"; done
tok=$(token east shop cart)
said() {
	request "$T/none" "$tok" --server "$(at "$lead")" >"$T/said" 2>&1
	grep -qE 'quorum|leader' "$T/said"
}
check "promise 6: without a quorum nothing is issued, with the reason" \
	wait_for 5 said
expect 1 "promise 6: readyz says so" 'quorum|leader' node_ready "$lead"
for path in bundle.pem bundle.json crl.pem root.crl; do
	expect 0 "promise 6: $path is served, and how old it is" \
		'Quorate-State-Age-Ms: [0-9]+' curl -sS --noproxy '*' --fail \
		-D - -o "$T/got" "http://${ADDR[$lead]}:8080/$path"
done
curl -sS --noproxy '*' "http://${ADDR[$lead]}:8080/crl.pem" >"$T/crl.pem"
check "promise 6: running traffic does not notice" \
	chain_current "$T/kept" "$T/crl.pem"
finish
