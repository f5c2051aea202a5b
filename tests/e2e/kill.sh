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

# ---- The load ----

load_start() { # cluster server,...
	tok=$(token "$1" shop cart) || return
	quorate-load --server "$2" --root "$T/admin/root.pem" --token "$tok" \
		--connections 4 --streams 8 --retry-ms 10 --seconds 600 \
		--ack "$T/ack" --json >"$T/load.json" 2>"$T/log/load" &
	PID["load"]=$! # ends with the script, as nodes do
	wait_for 10 test -s "$T/ack"
}

acked() {
	stat -c %s "$T/ack"
}

grown_since() { # bytes
	[ "$(acked)" -gt "$1" ]
}

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

# ---- The books ----

# Serial and hash of every certificate in that node's log.
logged() { # node
	q cert list --all --server "$(at "$1")" -o json |
		jq -r '.[] | .serial + " " + .sha256'
}

compare() { # node
	local n=$1 lost
	logged "$n" | sort >"$T/logged" || return
	same "promise 3: no serial is twice in the log of $n" "" \
		"$(cut -d' ' -f1 "$T/logged" | uniq -d | head -3)"
	lost=$(comm -23 "$T/acked" "$T/logged")
	same "promise 2: all that was acknowledged is in the log of $n" "" \
		"$(head -3 <<<"$lost")"
	echo "# $n: $(wc -l <"$T/logged") logged, $(wc -l <"$T/acked")" \
		"acknowledged, $(grep -c . <<<"$lost") lost"
}

compare_all() { # node...
	local n
	cut -d' ' -f2,3 "$T/ack" | sort >"$T/acked"
	same "no serial was acknowledged twice" "" \
		"$(cut -d' ' -f1 "$T/acked" | uniq -d | head -3)"
	for n in "$@"; do
		check "$n is ready after its kills" node_wait "$n"
		compare "$n"
	done
	same "no answer was wrong" 0 "$(jq .wrong "$T/load.json")"
	echo "# load: $(jq -c 'del(.per_second)' "$T/load.json")"
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
compare_all solo
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
compare_all east west south
finish
