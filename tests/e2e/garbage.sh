#!/bin/bash
# Garbage on many connections to every port of every node while it issues:
# issuance goes on without an error, nobody holds an election, and memory
# returns to where it was.  SEED=n repeats it.
set -u
. "$(dirname "$0")/../lib.sh"
SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
CONNECTIONS=${CONNECTIONS:-9000}
# What a node may keep: caches, and what the allocator does not give back.
BOUND_KIB=${BOUND_KIB:-12288}
echo "# SEED=$SEED CONNECTIONS=$CONNECTIONS BOUND_KIB=$BOUND_KIB"
world_new
nodes=(east west south)

# A node and its signer, without what is mapped from files: KiB.
anon_kib() { # node
	local pid sum=0 kib
	for pid in "${PID[$1]}" $(pgrep -P "${PID[$1]}"); do
		kib=$(awk '/^RssAnon/ { print $2 }' "/proc/$pid/status") || return
		sum=$((sum + kib))
	done
	echo "$sum"
}

settled() { # node KiB
	[ "$(anon_kib "$1")" -le "$2" ]
}

term() { # node
	status_of "$1" .term
}

domain_new east || exit 1
for n in west south; do must "$n joins" node_join "$n"; done
cluster_keys east >/dev/null
tok=$(token east shop cart)

# The same load throughout: what it makes a node keep is there before.
load=(quorate-load --server
	"${ADDR[east]}:8443,${ADDR[west]}:8443,${ADDR[south]}:8443"
	--root "$T/admin/root.pem" --token "$tok" --connections 6
	--streams 4 --pause-ms 50 --json)
"${load[@]}" --seconds 5 >"$T/before.json"
must "issuance goes" jq -e '.acknowledged > 100' "$T/before.json"
declare -A kib=()
for n in "${nodes[@]}"; do kib[$n]=$(anon_kib "$n"); done
term=$(term east)
who=$(leader east)

targets=()
for n in "${nodes[@]}"; do
	a=${ADDR[$n]}
	targets+=("mesh=$a:7700" "mesh=$a:7701" "tls=$a:8443" "tls=$a:8444"
		"http=$a:8080" "http=$a:9090")
done
"${load[@]}" --seconds 600 >"$T/during.json" &
PID["load"]=$!
check "garbage arrives" quorate-garbage -n "$CONNECTIONS" -s "$SEED" -k 3600 \
	"${targets[@]}"
check "issuance went on" node_stop load

errors='.errors == {} and .unknown == 0 and .refused == 0
	and .unreachable == 0 and .wrong == 0 and .given_up == 0'
check "without an error" jq -e "$errors" "$T/during.json"
for n in "${nodes[@]}"; do
	check "$n is still the same process" node_runs "$n"
	check "$n is ready" node_ready "$n"
	same "no election was held, says $n" "$term" "$(term "$n")"
	same "$who still leads, says $n" "$who" "$(leader "$n")"
	check "memory of $n is within $BOUND_KIB KiB of ${kib[$n]}" \
		wait_for 15 settled "$n" $((kib[$n] + BOUND_KIB))
	echo "# $n: ${kib[$n]} KiB before, $(anon_kib "$n") KiB after"
done
echo "# before: $(jq -c 'del(.per_second)' "$T/before.json")"
echo "# during: $(jq -c 'del(.per_second)' "$T/during.json")"
finish
