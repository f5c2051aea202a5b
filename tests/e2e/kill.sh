#!/bin/bash
# A node is killed (SIGKILL) at random points of a write load.  Whatever a
# client was told is in the log afterwards: once, byte for byte.
#
# SEED=n repeats the moments; KILLS=n and KILLS3=n say how many on a cluster of
# one, where what is acknowledged must be on that node's disk, and of three.
set -u
. "$(dirname "$0")/../lib.sh"
SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
KILLS=${KILLS:-200}
KILLS3=${KILLS3:-20}
RANDOM=$SEED
fast=(--set raft.election_ms=50 --set raft.heartbeat_ms=10
	--set log.level=warn)
echo "# SEED=$SEED KILLS=$KILLS KILLS3=$KILLS3"
world_new

# ---- Kills ----

# Most strike a node that has acknowledged something in this life; one in five
# strikes whatever it is at, and that includes its start.
kill_once() { # node
	local before pid=${PID[$1]}
	if [ $((RANDOM % 5)) -gt 0 ]; then
		before=$(acked)
		wait_for 15 grown_since "$before" || return
	fi
	sleep "0.$(printf %03d $((RANDOM % 120)))"
	{ kill -KILL "$pid" && wait "$pid"; } 2>/dev/null
	node_start "$1"
}

kill_often() { # times node...
	local i times=$1
	shift
	for ((i = 0; i < times; i++)); do
		kill_once "${@:1 + RANDOM % $#:1}" || {
			echo "# after $i kills:"
			return 1
		}
	done
}

# ---- One voter ----

domain_init solo "${fast[@]}" >/dev/null || exit 1
node_start solo
must "a cluster of one is ready" node_wait solo
cluster_keys solo >/dev/null
must "it issues" load_start solo "${ADDR[solo]}:8443"
start=$(now_ms)
must "$KILLS kills of a node that issues" kill_often "$KILLS" solo
echo "# $KILLS kills in $(($(now_ms) - start)) ms"
check "the load ends" node_stop load
books_compare solo
check "it stops when told to" node_stop solo

# ---- Three voters ----

rm -rf "${T:?}"/* && mkdir "$T/log" "$T/tokens"
echo 'correct horse battery staple' >"$T/passphrase"
domain_init east "${fast[@]}" >/dev/null || exit 1
node_start east
must "east is ready" node_wait east
for n in west south; do
	must "$n joins" node_join "$n" "${fast[@]}"
done
cluster_keys east >/dev/null
must "three nodes issue" load_start east \
	"${ADDR[east]}:8443,${ADDR[west]}:8443,${ADDR[south]}:8443"
must "$KILLS3 kills of one of three" kill_often "$KILLS3" east west south
check "the load ends" node_stop load
books_compare east west south
finish
