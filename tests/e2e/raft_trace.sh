#!/bin/bash
# What consensus did on three real nodes, through kills, a transfer and a change
# of members, holds against the rules of the specification; a trace that cannot
# be written stops nobody.  About 15 s.
# shellcheck disable=SC2317 # functions that wait_for calls
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
world_new
fast=(--set raft.election_ms=200 --set raft.heartbeat_ms=40)

node_start() { # node
	quorated --data "$T/$1" --raft-trace "${TRACE:-$T/trace-$1}" \
		>>"$T/log/$1" 2>&1 &
	PID[$1]=$!
}

traces() { # node...
	local n files=()
	for n in "$@"; do files+=("$T/trace-$n"); done
	"$B/tests/trace/trace-check" "${files[@]}"
}

kill_and_start() { # node
	node_kill "$1"
	node_start "$1"
	node_wait "$1"
}

must "a trust domain in east" domain_new east "${fast[@]}"
for n in west south; do must "$n joins" node_join "$n" "${fast[@]}"; done
must "east's tokens are taken" cluster_keys east
must "three nodes issue" load_start east \
	"${ADDR[east]}:8443,${ADDR[west]}:8443,${ADDR[south]}:8443"
for n in east west south east; do
	check "$n is killed, and comes back" kill_and_start "$n"
done
check "leadership is handed over" q member transfer
check "the load ends" node_stop load
for n in east west south; do check "$n stops" node_stop "$n"; done
expect 0 "their traces hold, each alone and all together" \
	'^ok together: [0-9]+ steps of 3 files' traces east west south
grep -h '^ok' "$T/said" | sed "s|$T/||; s/^ok/#/"

# One line that says something else is found.
acks=$(grep -n -m 9 '"SendAppendEntriesResponse".*"MsgAppResp"' "$T/trace-west" |
	tail -n 1 | cut -d: -f1)
sed -i "${acks}s/\"commit\":[0-9]*},\"role\"/\"commit\":999999},\"role\"/" \
	"$T/trace-west"
expect 1 "a commit that nobody made is found" "^not ok .*trace-west:$acks: n2" \
	traces east west south

# ---- A file that cannot be written ----

TRACE=$T/none/trace
expect 1 "no node starts with a trace that cannot be opened" \
	'why="--raft-trace .*No such file' \
	timeout 20 quorated --data "$T/east" --raft-trace "$TRACE"
TRACE=/dev/full
for n in east west south; do node_start "$n"; done
for n in east west south; do
	check "$n runs without its trace" node_wait "$n"
	expect 0 "and says so" 'raft_trace_ended why="No space' \
		cat "$T/log/$n"
done
finish
