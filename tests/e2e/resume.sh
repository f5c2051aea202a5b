#!/bin/bash
# A node joins a cluster that has many certificates, under load.  On the way of
# its snapshot leadership moves, and then the sender is killed: what came stays.
# RECORDS and what more one wants to see of millions: `make bench-snapshot`.
# shellcheck disable=SC2317 # functions that wait_for calls
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
RECORDS=${RECORDS:-60000}
PATIENCE=$((60 + RECORDS / 5000)) # seconds: to start, or to receive it all
COMPACT=$((RECORDS / 50 + 1000))
world_new

got() { # entries: north has so many of them
	local have
	have=$(curl -s --noproxy '*' "http://${ADDR[north]}:9090/readyz" |
		sed -n 's/.*receives a snapshot: it has \([0-9]*\) .*/\1/p')
	[ "${have:-0}" -ge "$1" ]
}
goes_on() { # number of the stream, entries that it found
	grep -oE 'snapshot_arrives .* have=[0-9]+' "$T/log/north" |
		sed 's/.*have=//' |
		awk -v i="$1" -v n="$2" 'NR == i && $1 >= n { f = 1 } END { exit !f }'
}
led_by() { # node, by whom
	[[ $(leader "$1") =~ ^($2)$ ]]
}
sum() { # metric node...
	local m=$1 n total=0
	shift
	for n; do total=$((total + $(metric "$n" "$m"))); done
	echo "$total"
}
# The most that a process held of its own, kB, seen every 100 ms.
watch_memory() { # node
	local most=0 now
	while now=$(awk '/^RssAnon/ { print $2 }' "/proc/${PID[$1]}/status" \
		2>/dev/null) && [ -n "$now" ]; do
		[ "$now" -le "$most" ] || most=$now
		echo "$most" >"$T/memory.$1" && mv "$T/memory.$1" "$T/memory-$1"
		sleep 0.1
	done
}
at_most() { # n, at most
	echo "$1, at most $2"
	[ "$1" -le "$2" ]
}

# ---- Three nodes with many certificates ----

must "a trust domain in east" domain_new east \
	--set raft.compact_after="$COMPACT"
for n in west south; do
	must "$n joins" node_join "$n" --set raft.compact_after="$COMPACT"
done
must "east's tokens are taken" cluster_keys east
for n in east west south; do node_stop "$n"; done
must "$RECORDS certificates are in the books" \
	quorate-fill --count "$RECORDS" "$T"/{east,west,south}
begun=$(now_ms)
for n in east west south; do node_start "$n"; done
for n in east west south; do must "$n is up" node_wait "$n" "$PATIENCE"; done
start_ms=$(($(now_ms) - begun))
must "east leads" q member transfer 1
LOGGED_AFTER=$(status_of east .applied)
load_start east "$(servers east,west,south | sed 's/:8444/:8443/g')"
for n in east west south; do watch_memory "$n" & done

# ---- One more, and what comes between ----

must "north asks" node_ask north --set raft.compact_after="$COMPACT"
elections=$(sum elections_total east west south)
must "and is approved" node_approve north
watch_memory north &
begun=$(now_ms)
must "it gets a quarter of the records" wait_for "$PATIENCE" got $((RECORDS / 4))
kill -STOP "${PID[north]}" # so that the rest is still to come
same "and nobody asks for another leader meanwhile" "$elections" \
	"$(sum elections_total east west south)"
expect 0 "leadership goes to west" 'Node 2 leads' q member transfer 2
kill -CONT "${PID[north]}"
check "what came stays" wait_for 20 goes_on 2 $((RECORDS / 4))
must "it gets half of them" wait_for "$PATIENCE" got $((RECORDS / 2))
kill -STOP "${PID[north]}"
node_kill west
must "the sender is killed, and east or south leads" \
	wait_for 20 led_by east 'east|south'
elections=$(sum elections_total east south)
kill -CONT "${PID[north]}"
check "what came stays" wait_for 20 goes_on 3 $((RECORDS / 2))
must "north is ready" node_wait north "$PATIENCE"
same "and nobody asks for another leader meanwhile" "$elections" \
	"$(sum elections_total east south)"
took_ms=$(($(now_ms) - begun))
node_start west
must "west is back" node_wait west "$PATIENCE"
check "north votes" wait_for 20 node_voter north

# ---- What it took ----

received=$(metric north snapshot_received_bytes_total)
each=$((received / RECORDS))
check "nothing came twice but the small tables ($each bytes a record)" \
	at_most "$received" $((RECORDS * 900))
check "the log was cut meanwhile" \
	at_most "$(metric east raft_log_entries)" $((COMPACT * 10 + COMPACT / 4))
check "north took no more than 128 MB for itself, in kB" \
	at_most "$(cat "$T/memory-north")" 131072
check "and east, who sent, no more" \
	at_most "$(cat "$T/memory-east")" 131072
kill -INT "${PID["load"]}"
wait "${PID["load"]}"
books_compare north
check "all four have the same tree" wait_for 10 \
	heads_equal east,west,south,north
jq -nc --argjson records "$RECORDS" --argjson start_ms "$start_ms" \
	--argjson join_ms "$took_ms" --argjson bytes "$received" \
	--argjson joins_kb "$(cat "$T/memory-north")" \
	--argjson sends_kb "$(cat "$T/memory-east")" \
	--argjson load "$(jq .rate "$T/load.json")" \
	'{figure: "snapshot", $records, $start_ms, $join_ms, $bytes,
	mb_per_s: ($bytes / $join_ms / 10 | round / 100), $joins_kb, $sends_kb,
	load_per_s: $load}'
finish
