#!/bin/bash
# The chaos stage of `make test`: under faults nothing is lost, and a planted
# loss is found.  usage: check.sh [clean|planted]
#
# SECONDS_EACH=n of faults for the clean one (60; the planted one takes at most
# 20); SEED=s for the plan.
set -u
cd "$(dirname "$0")/.." || exit
B=${B:-build}
seconds=${SECONDS_EACH:-60}
failed=0

run() { # option...
	out=$("$B/bin/quorate-chaos" ${SEED:+--seed "$SEED"} "$@" 2>&1)
	rc=$?
	printf '%s\n' "$out"
}

result() { # status claim
	if [ "$1" -eq 0 ]; then
		echo "ok $2"
	else
		echo "not ok $2"
		failed=1
	fi
}

clean() {
	run --seconds "$seconds"
	result $rc "nothing acknowledged is lost in $seconds s of chaos"
}

# For the right reason: it is the record that is missing, on that node; and the
# node does not serve: it has seen that its state is another, or, started anew
# and far behind, that no snapshot continues it.  (The text says which.)
planted() {
	run --planted --seconds $((seconds < 20 ? seconds : 20))
	[ $rc -eq 1 ] &&
		grep -q 'planted: drop a record: south' <<<"$out" &&
		grep -q '^VIOLATION lost: .* is not in the log of south' \
			<<<"$out" &&
		grep -qE '^VIOLATION (stuck|refuses): south' <<<"$out" &&
		! grep -q '^VIOLATION lost: .* of \(east\|west\)' <<<"$out"
	rc=$?
	[ $rc -ne 0 ] ||
		rm -rf "$(sed -n "s/^the nodes' data and logs: //p" <<<"$out")"
	result $rc "a planted loss of one record is found"
}

case ${1-} in
clean) clean ;;
planted) planted ;;
*)
	clean
	planted
	;;
esac
exit $failed
