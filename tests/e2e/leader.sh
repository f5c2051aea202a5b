#!/bin/bash
# Who leads after a leader: with half a minute of silence before an election,
# whoever leads sooner did not wait for it.
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
world_new
slow=(--set raft.heartbeat_ms=100 --set raft.election_ms=30000)

# shellcheck disable=SC2317 # a function that wait_for calls
leads_instead() { # old, as others see it
	local n
	for n in east west south; do
		[ "$n" != "$1" ] || continue
		n=$(leader "$n") && [ "$n" != "$1" ] && return
	done
	return 1
}

others() { # than this one
	for n in east west south; do [ "$n" = "$1" ] || echo "$n"; done
}

must "a trust domain in east" domain_new east "${slow[@]}"
must "west joins" node_join west "${slow[@]}"
must "south joins" node_join south "${slow[@]}"

# ---- A process that ends ----

old=$(leader east)
mapfile -t rest < <(others "$old")
node_kill "$old"
check "a killed leader is replaced within seconds" \
	wait_for 10 leads_instead "$old"
new=$(leader "${rest[0]}")
node_start "$old"
must "it comes back" node_wait "$old"
same "and follows" "$new" "$(leader "$old")"
term=$(status_of "$new" .term)
mapfile -t rest < <(others "$new")
node_kill "${rest[0]}"
sleep 1
same "a follower that is killed changes nothing" "$new $term" \
	"$(leader "$new") $(status_of "$new" .term)"
node_start "${rest[0]}"
must "the follower comes back" node_wait "${rest[0]}"

# ---- A process that stands still ----

kill -STOP "${PID[$new]}"
sleep 2
expect 0 "a leader that stands still has its election timeout" "^$new\$" \
	leader "${rest[1]}"
kill -CONT "${PID[$new]}"
check "and leads on" wait_for 10 leader "$new"
same "in the same term" "$term" "$(status_of "$new" .term)"
finish
