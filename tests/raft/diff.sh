#!/bin/bash
# Our core and etcd's module under the same random schedules: what each step
# shows must be the same.  The module is the one that go.mod pins.
# usage: [DIFF=driver] diff.sh [option of the driver...]
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
driver=$(realpath "${DIFF:-$B/tests/raft/diff}")
oracle=$B/tests/raft/oracle
cd "$ROOT/tests/raft" || exit 1
need_go differential

mkdir -p "${oracle%/*}"
if ! said=$(go build -mod=readonly -buildvcs=false -o "$oracle" ./oracle 2>&1); then
	not_ok "differential: the oracle does not build" "$said"
	exit 1
fi
exec "$driver" --oracle "$oracle" "$@"
