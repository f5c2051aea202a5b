#!/bin/bash
# The demo as a test: its exit status, its time, and what it says.
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
world_new
export TMPDIR=$T DEMO_NET=$NET B
unset KEEP

start=$(now_ms)
status=0
"$ROOT/tests/demo/demo.sh" >"$T/demo" 2>&1 || status=$?
took=$(($(now_ms) - start))
if [ "$status" -eq 0 ] && [ "$took" -lt 60000 ]; then
	ok "the demo succeeds, in under 60 s ($took ms)"
else
	not_ok "the demo succeeds, in under 60 s" "exit status $status, $took ms
$(cat "$T/demo")"
fi
says() { # claim pattern
	expect 0 "$1" . grep -E -- "$2" "$T/demo"
}
says "OpenSSL accepts the certificate" 'leaf\.pem: OK'
says "it is a workload of east's" 'URI:spiffe://demo\.example/ns/shop/sa/cart'
same "three nodes logged it" 3 "$(grep -c 'log index [0-9]*, ' "$T/demo")"
same "the same bytes" 1 \
	"$(sed -n 's/.*log index \([0-9]*, \)/\1/p' "$T/demo" | sort -u | wc -l)"
says "the time without a leader is told" 'For [0-9.]+ s nobody could'
says "heads are compared" 'ROOT +SIGNATURE'
same "a peer accepts it before it is revoked" 1 \
	"$(grep -c '^    leaf\.pem: OK' <(sed -n '/^8\. /,/^9\. /p' "$T/demo"))"
same "each CRL is the same bytes on three nodes" "root east west south" \
	"$(sed -n 's/^    \([a-z]*\) .* bytes on all three: .*/\1/p' "$T/demo" |
		paste -sd' ')"
says "the issuer's lists what is revoked" "^    west +number [0-9]+, [1-9]"
says "a peer then refuses it" 'error [0-9]+ at 0 depth lookup: certificate revoked'
says "the identity gets no new one, with the reason" 'is revoked .keyCompromise'
says "each step held" 'Each step did what it says'
same "nothing is left running" "" "$(pgrep -f "quorated --data $T/" || true)"
finish
