#!/bin/bash
# The checker of traces finds what is wrong: a line that was altered or is
# missing, and a core with a guard deleted.  It takes what is right: the
# simulator's runs as a whole and merged node by node, and the example that comes
# with etcd's own specification.  About 10 s.
# usage: B=build tests/trace/run.sh
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
trace=$T/trace check=$B/tests/trace/trace-check

run_seed() { # seed
	"$B/tests/sim/sim" --seed "$1" --trace "$trace" >"$T/said"
}

by_node() {
	local n files=()
	for n in 1 2 3 4 5 6; do
		grep "\"nid\":\"$n\",\"state\"" "$trace" >"$T/n$n" &&
			files+=("$T/n$n")
	done
	"$check" "${files[@]}"
}

holds() { # seed
	run_seed "$1" && "$check" "$trace" && by_node
}

# One line is changed by a sed command, and the trace is refused.
refused() { # claim pattern-of-the-line command-of-sed expected
	local n
	n=$(grep -n -m 1 -- "$2" "$trace" | cut -d: -f1)
	sed "${n:-1}$3" "$trace" >"$T/altered"
	cmp -s "$trace" "$T/altered" && { not_ok "$1: nothing was altered"; return; }
	expect 1 "$1" "$4" "$check" "$T/altered"
}

# A seed whose run has what the altered lines are about.
rich() {
	local seed
	for seed in {1..200}; do
		run_seed "$seed" && grep -q '"ApplyConfChange"' "$trace" &&
			[ "$(wc -l <"$trace")" -lt 8000 ] &&
			[ "$(grep -c '"InitState"' "$trace")" -gt 8 ] && return
	done
	return 1
}

for seed in 2 3 4 6 9; do check "seed $seed holds" holds "$seed"; done

# ---- Altered lines ----

must "a trace to alter, with restarts and changes of members" rich
refused "a missing entry" '"Replicate"' d 'has a log of|to itself'
refused "a missing message" '"SendAppendEntriesRequest".*"MsgApp"' d 'never sent'
refused "a missing vote" '"ReceiveRequestVoteResponse"' d 'leads with . votes'
refused "a commit too far" '"name":"Commit"' \
	's/"commit":\([0-9]*\)}/"commit":9\1}/' 'which . of . and . of . hold|commits'
refused "a commit too early" '"SendAppendEntriesResponse"' \
	's/"commit":\([0-9]*\)}/"commit":9\1}/' 'has committed'
refused "another term" '"BecomeCandidate"' \
	's/"term":\([0-9]*\)/"term":1\1/' 'campaigns for term'
refused "another vote" '"BecomeLeader"' 's/"vote":"."/"vote":"9"/' 'vote 9'
refused "another log" '"BecomeLeader"' 's/"log":/"log":1/' 'has a log of'
refused "another term before an entry" '"SendAppendEntriesRequest".*"MsgApp"' \
	's/"logTerm":/"logTerm":7/' 'says that entry'
refused "a term that nobody campaigned for" '"BecomeFollower"' \
	's/"term":\([0-9]*\)/"term":9\1/' 'follows in term'
refused "an acknowledgement of more" \
	'"SendAppendEntriesResponse".*"MsgAppResp".*"index":[1-9][0-9]*.*"reject":false' \
	's/"index":/"index":4/' 'acknowledges|answers'
refused "members from nowhere" '"ApplyConfChange"' \
	's/conf":\(\[*\)"[0-9]",/conf":\1/g' \
	'no committed change leads to'
refused "a line that is none" '"Ready"' 's/,"role"//' ':[0-9]*: '

restart=$(grep -n '"InitState".*"term":[2-9].*"log":[1-9][0-9]' "$trace" |
	tail -n 1 | cut -d: -f1)
sed "${restart}s/\"term\":[0-9]*/\"term\":1/" "$trace" >"$T/altered"
expect 1 "a disk that forgot its term" 'forgot term' "$check" "$T/altered"
sed "${restart}s/\"log\":[0-9]*/\"log\":1/" "$trace" >"$T/altered"
expect 1 "a disk that forgot entries" 'forgot entries|what no node begins as' \
	"$check" "$T/altered"
head -c -20 "$trace" >"$T/altered"
check "a last line that is not whole is not judged" "$check" "$T/altered"

# ---- Broken cores: the simulator's only judge is the trace ----

broken() { # guard expected
	local seed said
	said=$(RAFT_BROKEN=$1 "$B/tests/mutants/sim" --seeds 500 --failures 1 \
		--judge trace | grep -m 1 '^not ok seed')
	seed=$(sed -n 's/^not ok seed \([0-9]*\):.*/\1/p' <<<"$said")
	RAFT_BROKEN=$1 "$B/tests/mutants/sim" --seed "${seed:-1}" --judge trace \
		--trace "$T/broken" >"$T/said"
	expect 1 "without $1, seed ${seed:-none}" "$2" "$check" "$T/broken"
}

broken VOTE_ONCE 'had voted for'
broken VOTE_UP_TO_DATE 'votes for a log that ends with'
broken ELECTION_QUORUM 'leads with 1 votes'
broken COMMIT_OWN_TERM 'an entry of an earlier term'
broken COMMIT_QUORUM 'which . of . and . of . hold'
broken APPEND_MATCH 'takes what follows'
broken HEARTBEAT_COMMIT 'which acknowledged'
broken STALE_TERM 'follows in term|is in term|answers|acknowledge'
broken VOTE_AFTER_DISK 'forgot'
broken ACK_AFTER_DISK 'forgot entries'
broken JOINT_ELECTS 'leads with'
broken JOINT_COMMITS 'which . of . and . of . hold'

# ---- Another's trace ----

need_go "the example of etcd's specification"
cd "$ROOT/tests/raft" || exit 1
module=go.etcd.io/raft/v3
must "etcd's module" go mod download $module
expect 0 "the example of etcd's specification holds" '^ok .* 10 nodes$' "$check" \
	"$(go list -mod=readonly -m -f '{{.Dir}}' $module)/tla/example.ndjson"
finish
