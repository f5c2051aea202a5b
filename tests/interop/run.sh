#!/bin/bash
# Istio's own certificate client against three real nodes.  Without Go 1.26 or
# later it is skipped; in CI (CI is set) that is a failure.
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
cd "$ROOT/tests/interop" || exit 1
need=1.26
export GOTOOLCHAIN=local # what is installed, nothing fetched

have_go() {
	local have
	have=$(go env GOVERSION 2>/dev/null) || return 1
	have=${have#go}
	[ "$(printf '%s\n' "$need" "$have" | sort -V | head -n 1)" = "$need" ]
}

if ! have_go; then
	found=$(go env GOVERSION 2>/dev/null || echo 'no go')
	if [ -n "${CI-}" ]; then
		not_ok "interop: needs Go $need or later, found $found"
		finish
	fi
	echo "skip interop: needs Go $need or later, found $found"
	exit 0
fi

world_new
client=$B/interop/client
mkdir -p "$B/interop"
must "Istio's client builds" \
	go build -mod=readonly -buildvcs=false -o "$client" .

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
	timeout 120 "$client" -dir "$T/tokens" -nodes "$nodes" -cluster east \
		-identity "$(identity shop cart)" "$phase" ||
		FAILED=$((FAILED + 1))
}

phase issue east west south

must "the identity is revoked" \
	q revoke --identity "$(identity shop cart)" --wait all
phase blocked east west south
must "and may ask again" q revoke --identity "$(identity shop cart)" --lift
phase lifted east west south

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
