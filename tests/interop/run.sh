#!/bin/bash
# Istio's own certificate client against three real nodes.  Without Go 1.26 or
# later it is skipped; in CI (CI is set) that is a failure.  About 40 s.
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
cd "$ROOT/tests/interop" || exit 1
need_go interop

world_new
client=$B/interop/client
mkdir -p "$B/interop"
lint=$B/interop/lint
must "Istio's client builds" \
	go build -mod=readonly -buildvcs=false -o "$client" .
must "zlint builds" \
	go build -mod=readonly -buildvcs=false -o "$lint" ./lint

# ---- Three nodes, a workload of east ----

must "a trust domain in east" domain_new east
must "west joins" node_join west
must "south joins" node_join south
must "east's tokens are taken" cluster_keys east
must "west's tokens are taken" cluster_keys west
cp "$T/admin/root.pem" "$T/tokens"
mint() { # name [option of quorate-dev-token...]
	local name=$1
	shift
	cp "$(token east shop cart "$@")" "$T/tokens/$name"
}
mint good
mint expired --expired
mint audience --aud vault
mint unbound --pod ''
quorate-dev-token --key "$T/tokens/nobody.key" --new-key \
	--sub system:serviceaccount:shop:cart >"$T/tokens/forged"

# The program's lines are the stage's lines.
phase() { # phase node...
	local phase=$1 n nodes=
	shift
	for n in "$@"; do nodes+=${nodes:+,}$n=${ADDR[$n]}:8443; done
	timeout 120 "$client" -kill "${KILL:-0}" -dir "$T/tokens" -nodes "$nodes" -cluster east \
		-identity "$(identity shop cart)" "$phase" ||
		FAILED=$((FAILED + 1))
}

phase issue east west south

must "the identity is revoked" \
	q revoke --identity "$(identity shop cart)" --reason key-compromise \
	--wait all
phase blocked east west south
must "and may ask again" q revoke --identity "$(identity shop cart)" --lift
phase lifted east west south

phase family west
must "its parent is revoked" q revoke --wait all \
	"$(serial_of "$T/tokens/parent.pem")"
phase orphan east west south

# ---- What was signed, as others judge it ----

objects=("root=$T/admin/root.pem")
for kind in p256 p384 rsa2048; do
	must "a certificate for a key of type $kind" \
		request "$T/$kind" "$(token east shop cart)" --type "$kind" \
		--server "$(at west)"
	chain_split "$T/$kind"
	objects+=("leaf=$T/$kind/leaf.pem")
done
must "a renewed one" renew "$T/renewed" "$T/p256" east
chain_split "$T/renewed"
objects+=("leaf=$T/renewed/leaf.pem")
for n in east west south; do
	must "one is revoked on $n's CRL" \
		request "$T/of-$n" "$(token east shop cart)" --server "$(at "$n")"
	chain_split "$T/of-$n"
	q revoke "$(serial_of "$T/of-$n/leaf.pem")" --wait all >/dev/null
	q crl --issuer "$n" --format pem >"$T/$n.crl"
	openssl s_client -connect "${ADDR[$n]}:8443" -CAfile "$T/admin/root.pem" \
		</dev/null 2>/dev/null | openssl x509 -out "$T/node-$n.pem"
	objects+=("issuer=$T/of-$n/issuer.pem" "crl=$T/$n.crl"
		"node=$T/node-$n.pem")
done
q crl --issuer root --format pem >"$T/root.crl"
objects+=("root-crl=$T/root.crl")
"$lint" -allow lint/allow.txt "${objects[@]}" || FAILED=$((FAILED + 1))

# ---- One client, two addresses ----

dead=$(leader south) other=east
[ "$dead" != east ] || other=west
disown "${PID[$dead]}"
KILL=${PID[$dead]} phase second "$dead" "$other"
wait_for 15 node_gone "$dead"
node_start "$dead"
must "$dead is back" node_wait "$dead"

# ---- The leader dies; then there is no quorum ----

dead=$(leader south) rest=()
for n in east west south; do [ "$n" = "$dead" ] || rest+=("$n"); done
node_kill "$dead"
phase election "${rest[0]}"
phase issue "${rest[1]}"
node_kill "${rest[0]}"
phase no-quorum "${rest[1]}"
node_start "${rest[0]}"
must "a quorum again" node_wait "${rest[0]}"
phase issue "${rest[@]}"
finish
