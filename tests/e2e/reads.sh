#!/bin/bash
# Linearizable reads, when nobody but the leader runs: with raft.reads safe it
# does not answer, with lease it does for less than raft.election_ms.
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

read_at() { # node: status of a linearizable read, or 000
	curl -sS --noproxy '*' --max-time 8 --cacert "$T/admin/root.pem" \
		--cert "$T/admin/operator.pem" --key "$T/admin/operator.key" \
		-o "$T/read" -w '%{http_code}' \
		"https://${ADDR[$1]}:8444/v1/view?consistency=linearizable"
}

# shellcheck disable=SC2317 # a function that wait_for calls
reads() { # status node
	[ "$(read_at "$2")" = "$1" ]
}

three() { # option of init and join...
	must "a trust domain in east" domain_new east "$@"
	must "west joins" node_join west "$@"
	must "south joins" node_join south "$@"
	lead=$(leader east)
	rest=()
	for n in east west south; do [ "$n" = "$lead" ] || rest+=("$n"); done
}

signal() { # signal node...
	local n sig=$1
	shift
	for n in "$@"; do kill "-$sig" "${PID[$n]}"; done
}

world_new
three --set raft.heartbeat_ms=100
same "safe: the leader answers" 200 "$(read_at "$lead")"
same "safe: a follower answers" 200 "$(read_at "${rest[0]}")"
signal STOP "${rest[@]}"
same "safe: without a quorum the leader does not" 503 "$(read_at "$lead")"
expect 0 "and says why" 'no quorum confirmed this read' cat "$T/read"
signal CONT "${rest[@]}"
check "with one it does again" wait_for 15 reads 200 "$lead"

# ---- Another world ----

for n in "${NODES[@]}"; do node_stop "$n"; done
rm -rf "${T:?}"/* && mkdir "$T/log" "$T/tokens"
echo 'correct horse battery staple' >"$T/passphrase"
three --set raft.heartbeat_ms=100 --set raft.election_ms=6000 \
	--set raft.reads=lease
same "lease: the leader answers" 200 "$(read_at "$lead")"
same "lease: a follower answers" 200 "$(read_at "${rest[0]}")"
signal STOP "${rest[@]}"
same "lease: alone the leader answers" 200 "$(read_at "$lead")"
sleep 5.5
same "lease: but not for an election timeout" 503 "$(read_at "$lead")"
signal CONT "${rest[@]}"
check "with a quorum it does again" wait_for 20 reads 200 "$lead"

# What stands still reads by no lease of the past.
signal STOP "$lead"
check "another leads when the leader stands still" \
	wait_for 20 reads 200 "${rest[0]}"
mkdir -p "$T/new"
must "which takes a command" q operator add auditor --role auditor \
	--new "$T/new/auditor" --server "$(servers "${rest[0]},${rest[1]}")"
read_at "$lead" >"$T/status" & # asked before it knows
asked=$!
signal CONT "$lead"
wait "$asked"
expect 0 "the old leader's answer has it, or it does not answer" \
	'auditor|unavailable' cat "$T/read"
finish
