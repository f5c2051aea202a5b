#!/bin/bash
# A node whose clock is wrong stamps nothing, says so and hands over; the others
# go on; set right, it is well again by itself.  About 25 s.
# shellcheck disable=SC2317 # functions that wait_for calls
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
world_new
mkdir -p "$B/tests"
must "a clock that can be set wrong" "${CC:-cc}" -std=c11 -D_GNU_SOURCE -O2 -Wall \
	-shared -fPIC -o "$B/tests/skew.so" "$ROOT/tests/e2e/skew.c" -ldl
nodes=(east west south)
domain_init east --set "publish.dir=$T/pub" >/dev/null || exit 1

# Every node runs under its own clock; the first is the one that goes wrong.
node_start() { # node
	[ -e "$T/skew-$1" ] || skew "$1" 0
	SKEW_FILE=$T/skew-$1 LD_PRELOAD=$B/tests/skew.so \
		quorated --data "$T/$1" >>"$T/log/$1" 2>&1 &
	PID[$1]=$!
}

skew() { # node seconds: little-endian microseconds
	local hex i bytes=
	printf -v hex %016x $(($2 * 1000000))
	for i in 14 12 10 8 6 4 2 0; do bytes+="\\x${hex:i:2}"; done
	printf '%b' "$bytes" | dd of="$T/skew-$1" conv=notrunc 2>/dev/null
}

node_start east
must "a trust domain in east" node_wait east
for n in west south; do must "$n joins" node_join "$n"; done
must "east's tokens are taken" cluster_keys east
tok=$(token east shop cart)
for n in "${nodes[@]}"; do
	check "with right clocks $n issues" \
		request "$T/$n" "$tok" --server "$(at "$n")"
done

# A second off is nothing to speak of.
skew east 1
check "a second ahead, it issues" request "$T/c" "$tok" --server "$(at east)"
skew east 0

leads() { # node
	[ "$(leader west)" = "$1" ]
}
leads_not() { # node
	local now
	now=$(leader west) && [ "$now" != "$1" ]
}
alarmed() { # node: beyond the doubt that each jump and each start begins with
	q status --server "$(at "$1")" | grep -E 'ALARM .*clock is [0-9]'
}
not_alarmed() {
	! q status --server "$(at "$1")" | grep -E 'ALARM .*clock is'
}
term() {
	status_of west .term
}

# The leader's clock goes wrong by so many seconds.
wrong() { # seconds word
	local term
	wait_for 10 leads east || q member transfer 1
	must "east leads" wait_for 10 leads east
	term=$(term)
	skew east "$1"
	check "$1 s: the leader sees it" wait_for 10 alarmed east
	expect 0 "$1 s: and says what is wrong" "clock is [0-9]+ m?s $2" alarmed east
	check "$1 s: it hands over" wait_for 10 leads_not east
	expect 1 "$1 s: it issues nothing, with the reason" \
		"clock is (.* $2 .*NTP|wrong.* ask another)" request "$T/no" "$tok" --server "$(at east)"
	expect 1 "$1 s: readyz says so" 'clock is' node_ready east
	check "$1 s: an event in the log" grep -q ' clock_off ' "$T/log/east"
	for n in west south; do
		check "$1 s: $n goes on issuing" \
			request "$T/go-$n" "$tok" --server "$(at "$n")"
		check "$1 s: the clock of $n is not doubted" not_alarmed "$n"
	done
	check "$1 s: a client goes on to the next node" \
		request "$T/next" "$tok" --server "$(servers east,west)"
	check "$1 s: a revocation goes on" \
		q revoke "$(serial_of "$T/next/chain.pem")" --wait=all \
		--server "$(servers west,south)"
	same "$1 s: one hand-over was enough" 1 $(($(term) - term))
	skew east 0
	check "$1 s: set right, the alarm ends" wait_for 10 not_alarmed east
	check "$1 s: and it issues" wait_for 5 \
		request "$T/right" "$tok" --server "$(at east)"
	check "$1 s: it is the same process" node_runs east
}
wrong -20 behind
wrong 20 ahead
wrong 86400 ahead

# All start anew, and the first with a clock that is a day ahead.
for n in "${nodes[@]}"; do node_kill "$n"; done
skew east 86400
for n in "${nodes[@]}"; do node_start "$n"; done
for n in west south; do
	check "started beside a wrong clock, $n is ready" node_wait "$n"
	check "and issues" request "$T/go-$n" "$tok" --server "$(at "$n")"
done
check "started with a wrong clock, east says so" wait_for 10 alarmed east
expect 1 "and issues nothing" "clock is (.*NTP|wrong)" \
	request "$T/no" "$tok" --server "$(at east)"
skew east 0
check "set right, it issues" wait_for 10 \
	request "$T/right" "$tok" --server "$(at east)"

# Time in the log has not gone back, and nothing of tomorrow is in it.
q cert list --all -o json >"$T/certs"
check "time in the log only goes forward" \
	jq -e '[.[].time] | . == sort' "$T/certs"
check "and stays with the clocks that are right" test \
	"$(date -d "$(jq -r '.[-1].time' "$T/certs")" +%s)" -le $(($(date +%s) + 5))
heads_equal() {
	q head --all --server "$(servers east,west,south)" -o json | jq -e \
		'length == 3 and (map([.tree_size, .root]) | unique | length) == 1'
}
check "the three have the same tree" wait_for 10 heads_equal
finish
