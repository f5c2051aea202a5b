#!/bin/bash
# etcd's own scripts through our core: what each command prints must be the same
# to the byte.  The scripts come with the Go module that go.mod pins and stay in
# its cache.  Less than a second.
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
cd "$ROOT/tests/raft" || exit 1
need_go conformance
module=go.etcd.io/raft/v3

if ! said=$(go mod download $module 2>&1); then
	not_ok "conformance: $module cannot be had" "$said"
	exit 1
fi
"$B/tests/conformance/raft-conformance" \
	"$(go list -mod=readonly -m -f '{{.Dir}}' $module)"
