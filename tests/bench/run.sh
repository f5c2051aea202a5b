#!/bin/bash
# `make bench`: figures on real nodes and real disks, one JSON line each with
# the machine in it.  usage: run.sh [FIGURE...]; RUNS=5, medians over them.
set -u
. "$(dirname "$0")/../lib.sh"
RUNS=${RUNS:-5}

machine() {
	jq -nc --arg cpu "$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1)" \
		--argjson cores "$(nproc)" \
		--argjson memory_mb "$(awk '/^MemTotal/ { print int($2 / 1024) }' /proc/meminfo)" \
		--arg kernel "$(uname -r)" --arg openssl "$(openssl version)" \
		--arg disk "$(stat -f -c %T "${TMPDIR:-/tmp}")" \
		'{$cpu, $cores, $memory_mb, $kernel, $openssl, $disk}'
}

# Read the runs of a figure, one object each; {name: median of its numbers}.
figure() { # name jq-object-of-constants
	jq -sc --arg figure "$1" --argjson machine "$(machine)" \
		--argjson with "${2:-"{}"}" '
		def median: sort | if length % 2 == 1 then .[length / 2 | floor]
			else (.[length / 2 - 1] + .[length / 2]) / 2 end;
		{$figure, $machine, runs: length} + $with
		+ (. as $all | .[0] | with_entries(.key as $k
			| .value = ([$all[][$k]] | median)))'
}

three_nodes() { # option of init and join...
	local n
	world_new
	domain_init east "$@" >/dev/null && node_start east &&
		node_wait east || exit 1
	for n in west south; do node_join "$n" "$@" || exit 1; done
	cluster_keys east >/dev/null
	tok=$(token east shop cart)
	all=${ADDR[east]}:8443,${ADDR[west]}:8443,${ADDR[south]}:8443
}

load() { # server,... option...
	local servers=$1
	shift
	quorate-load --server "$servers" --root "$T/admin/root.pem" \
		--token "$tok" --json "$@"
}

# ---- issue_core ----

figure_issue_core() {
	"$B/bench/issue_core" "$RUNS" 5000 | figure issue_core '{"key":"P-256"}'
}

# ---- issue_e2e ----

# CPU of one process, microseconds.
cpu_us() { # pid
	local hz
	hz=$(getconf CLK_TCK)
	sed 's/.*) //' "/proc/$1/stat" |
		awk -v hz="$hz" '{ print int(($12 + $13) * 1000000 / hz) }'
}

cpu_all() { # pid node, pid signer, ... in order
	local n
	for n in east west south; do
		cpu_us "${PID[$n]}"
		cpu_us "$(pgrep -P "${PID[$n]}" | head -1)"
	done
}

e2e_throughput() {
	local before after
	mapfile -t before < <(cpu_all)
	load "$all" --connections 4 --streams 16 --seconds 6 >"$T/run.json"
	mapfile -t after < <(cpu_all)
	jq -c --argjson b "$(jq -nc '$ARGS.positional | map(tonumber)' --args "${before[@]}")" \
		--argjson a "$(jq -nc '$ARGS.positional | map(tonumber)' --args "${after[@]}")" '
		. as $r | [$a, $b] | transpose
		| map((.[0] - .[1]) / $r.acknowledged | round) as $c
		| {rate: $r.rate, p50_us: $r.p50_us, p99_us: $r.p99_us,
		errors: ([$r.errors[]] + [$r.unknown] | add),
		cpu_us_node_east: $c[0], cpu_us_signer_east: $c[1],
		cpu_us_node_west: $c[2], cpu_us_signer_west: $c[3],
		cpu_us_node_south: $c[4], cpu_us_signer_south: $c[5],
		cpu_us_load: ($r.cpu_us / $r.acknowledged | round)}' "$T/run.json"
}

e2e_latency() {
	"$B/bench/floor" "$T" >"$T/floor.json"
	load "${ADDR[$(leader east)]}:8443" --connections 1 --streams 1 \
		--seconds 4 | jq -c --slurpfile f "$T/floor.json" '
		{p50_us, p99_us, max_us} + $f[0]
		+ {over_p50_us: (.p50_us - 2 * $f[0].rtt_us - $f[0].fsync_us)}'
}

figure_issue_e2e() {
	local i
	three_nodes
	load "$all" --seconds 3 >/dev/null
	for ((i = 0; i < RUNS; i++)); do e2e_throughput; done |
		figure issue_e2e '{"nodes":3,"connections":4,"streams":16}'
	for ((i = 0; i < RUNS; i++)); do e2e_latency; done |
		figure issue_latency '{"nodes":3,"connections":1,"streams":1,
			"floor":"two round trips and one fsync"}'
}

# ---- failover ----

# The longest time without an acknowledgement within three elections of the
# moment.
gap_around() { # unix-us window-us
	awk -v at="$1" -v window="$2" '
		$1 < at { last = $1; next }
		last == "" { last = at }
		last > at + window { exit }
		{ if ($1 - last > gap) gap = $1 - last; last = $1 }
		END { print int(gap / 1000) }' <(sort -n "$T/ack")
}

figure_failover() {
	local i who at election=${ELECTION_MS:-1000} kills=${KILLS:-20}
	three_nodes --set "raft.election_ms=$election" \
		--set "raft.heartbeat_ms=$((election / 10))"
	load "$all" --fresh --connections 8 --streams 1 --pause-ms 20 \
		--retry-ms 50 --seconds 3600 --ack "$T/ack" >"$T/load.json" &
	PID["load"]=$!
	for ((i = 0; i < kills; i++)); do
		sleep "1.$(printf %03d $((RANDOM % 1000)))"
		who=$(leader east || leader west) || exit 1
		at=${EPOCHREALTIME/[.,]/}
		node_kill "$who"
		sleep 4
		echo "{\"gap_ms\":$(gap_around "$at" 4000000)}"
		node_start "$who"
		node_wait "$who" || exit 1
		wait_for 20 node_voter "$who"
	done >"$T/gaps"
	node_stop load
	jq -sc '{gaps_ms: map(.gap_ms), worst_ms: (map(.gap_ms) | max)}' \
		"$T/gaps" >"$T/worst"
	figure failover "$(jq -c --argjson election_ms "$election" \
		'{nodes: 3, $election_ms} + .' "$T/worst")" <"$T/gaps"
}

# ---- revoke_visible, crl ----

# From the return of a revocation until the last node's CRL lists the serial, in
# milliseconds.
visible_ms() { # serial issuer what-to-revoke...
	local serial=$1 urls=() n back
	for n in east west south; do
		urls+=("http://${ADDR[$n]}:8080/crl/$2.crl")
	done
	shift 2
	"$B/bench/crl_watch" "$serial" 60 "${urls[@]}" >"$T/seen" &
	q revoke "$@" --reason superseded >/dev/null || return
	back=${EPOCHREALTIME/[.,]/}
	wait $! || return
	echo $((($(cat "$T/seen") - back) / 1000))
}

# Who signed it: the cluster of the server in the ack file's line.
issuer_of() { # host:port
	local n
	for n in east west south; do
		[ "$1" != "${ADDR[$n]}:8443" ] || echo "$n"
	done
}

# shellcheck disable=SC2094 # both only read
figure_revoke_visible() {
	local n=${REVOCATIONS:-60} serial server
	three_nodes
	load "$all" --connections 3 --streams 1 --count "$n" --ack "$T/ack" \
		>/dev/null
	while read -r _ serial _ server; do
		visible_ms "$serial" "$(issuer_of "$server")" "$serial" ||
			exit 1
		sleep 1.1 # an issuer freezes once a second at most
	done <"$T/ack" | jq -c '{visible_ms: .}' >"$T/visible"
	figure revoke_visible "$(jq -sc 'map(.visible_ms) | sort | {nodes: 3,
		p99_ms: .[(length - 1) * 0.99 | ceil], worst_ms: .[-1]}' \
		"$T/visible")" <"$T/visible"
}

figure_crl() {
	local n=${CERTIFICATES:-100000} serial first
	three_nodes
	load "${ADDR[east]}:8443" --count "$n" --ack "$T/ack" >/dev/null
	tok=$(token east shop till)
	load "${ADDR[east]}:8443" --connections 1 --streams 1 \
		--count "$RUNS" --ack "$T/singles" >/dev/null
	serial=$(tail -n 1 "$T/ack" | cut -d' ' -f2)
	first=$(visible_ms "$serial" east --identity \
		"$(identity shop cart)") || exit 1
	# Each of these is a freeze of all the entries again.
	while read -r _ serial _ _; do
		sleep 1.5
		visible_ms "$serial" east "$serial" || exit 1
	done <"$T/singles" | jq -c '{published_ms: .}' >"$T/published"
	figure crl "$(jq -nc --argjson entries "$n" --argjson first_ms "$first" \
		--argjson bytes "$(curl -s --noproxy '*' \
			"http://${ADDR[east]}:8080/crl/east.crl" | wc -c)" \
		'{nodes: 3, $entries, $first_ms, $bytes}')" <"$T/published"
}

# ---- size ----

# Resident, libraries and all, but without what LMDB maps.
rss_kib() { # pid
	awk '/^[0-9a-f]+-/ { map = $6 ~ /\.mdb$/ }
		/^Rss:/ && !map { sum += $2 } END { print sum }' "/proc/$1/smaps"
}

disk() { # folder: bytes that are allocated
	du -s --block-size=1 "$1" | cut -f1
}

figure_size() {
	local n=${CERTIFICATES:-100000} raft state node signer entry
	world_new
	domain_new solo || exit 1
	cluster_keys solo >/dev/null
	tok=$(token solo shop cart)
	raft=$(disk "$T/solo/raft") state=$(disk "$T/solo/state")
	load "${ADDR[solo]}:8443" --connections 4 --streams 16 --count "$n" \
		>"$T/run.json"
	sleep 2
	node=$(rss_kib "${PID[solo]}")
	signer=$(rss_kib "$(pgrep -P "${PID[solo]}" | head -1)")
	entry=$(q cert show "$(q cert find "$(identity shop cart)" \
		--limit 1 -o json 2>/dev/null | jq -r '.[0].serial')" -o json | jq -r .entry | base64 -d | wc -c)
	jq -nc --argjson n "$n" --argjson entry_bytes "$entry" \
		--argjson node_kib "$node" \
		--argjson signer_kib "$signer" \
		--argjson raft $(($(disk "$T/solo/raft") - raft)) \
		--argjson state $(($(disk "$T/solo/state") - state)) '
		{certificates: $n, $entry_bytes, state_bytes: ($state / $n | round),
		raft_bytes: ($raft / $n | round), $node_kib, $signer_kib}' |
		figure size
}

# ---- raft ----

figure_raft_alone() {
	local members batch
	for members in 3 5; do
		for batch in 1 16 128; do
			"$B/bench/raft_alone" "$members" "$batch" "$RUNS" |
				figure raft_alone "{\"members\":$members,\"batch\":$batch}"
		done
	done
}

figure_raft_disk() {
	local batch
	world_new
	for batch in 1 16 128; do
		"$B/bench/raft_disk" "$T/raft-$batch" 3 "$batch" "$RUNS" |
			figure raft_disk "{\"members\":3,\"batch\":$batch,
				\"floor\":\"a majority of 3 files written and synced\"}"
	done
}

etcd_member() { # number: its command, which takes the shell's place
	local n members='' url=http://$NET.$1
	for n in 1 2 3; do
		members+=${members:+,}n$n=http://$NET.$n:2380
	done
	exec "$B/bench/etcd" serve --name "n$1" --data-dir "$T/etcd-$1" \
		--listen-peer-urls "$url:2380" --log-level error \
		--initial-advertise-peer-urls "$url:2380" \
		--listen-client-urls "$url:2379" \
		--advertise-client-urls "$url:2379" \
		--initial-cluster "$members"
}

etcd_start() { # its data are in $T
	local n
	for n in 1 2 3; do
		etcd+=${etcd:+,}$NET.$n:2379
		(etcd_member "$n") >"$T/log/etcd-$n" 2>&1 &
		PID["etcd-$n"]=$!
	done
	wait_for 20 "$B/bench/etcd" load "$etcd" 1 1
}

# As many proposals under way as etcd has clients.  Ours have no protocol of
# clients before them and their messages go through memory; what a node does
# with all of that, and signatures, is issue_e2e.
figure_raft_etcd() {
	local i etcd='' clients=${CLIENTS:-64}
	world_new
	etcd_start || exit 1
	for ((i = 0; i < RUNS; i++)); do
		"$B/bench/etcd" load "$etcd" "$clients" 5
		"$B/bench/raft_disk" "$T/raft-$i" 3 "$clients" 1
	done | jq -sc '_nwise(2) | add
		| . + {ratio: (.commits_per_s / .etcd_commits_per_s),
			p99_ratio: (.p99_us / .etcd_p99_us)}' |
		figure raft_etcd "{\"members\":3,\"clients\":$clients,\"value_bytes\":512,
			\"etcd\":\"$(sed -n 's/.*server.v3 //p' tests/bench/etcd/go.mod)\"}"
}

# ---- raft_kills, raft_hangs ----

# For each party of three a program that runs a member: what is killed is that
# process itself.
kills_programs() {
	local n
	mkdir "$T/run"
	for n in east west south; do
		printf '#!/bin/sh\nexec quorated --data %q\n' "$T/$n" >"$T/run/$n"
	done
	for n in 1 2 3; do
		printf '#!/bin/bash\nB=%q T=%q NET=%q\n%s\netcd_member %s\n' "$B" \
			"$T" "$NET" "$(declare -f etcd_member)" "$n" >"$T/run/n$n"
	done
	chmod +x "$T"/run/*
}

# Percentiles by the nearest rank, and how many took from 1000 ms up to 1100,
# and so on.  In a split more than one term went by.
kills_spread() {
	jq -sc '
		def rank($p): sort | .[length * $p / 100 | ceil - 1];
		def spread: {median: rank(50), p90: rank(90), p99: rank(99), max: max}
			| map_values(round);
		def bucket: . / 100 | floor * 100;
		map(.ours_ms) as $ours | map(.etcd_ms) as $etcd
		| {ours: ($ours | spread), etcd: ($etcd | spread),
		ours_write: (map(.ours_write_ms) | spread),
		etcd_write: (map(.etcd_write_ms) | spread),
		ours_split: (map(select(.ours_terms > 1)) | length),
		etcd_split: (map(select(.etcd_terms > 1)) | length),
		histogram: ($ours + $etcd | map(bucket) | unique | map(. as $from
			| {$from, ours: ($ours | map(select(bucket == $from)) | length),
			etcd: ($etcd | map(select(bucket == $from)) | length)}))}
		| .ratio = ([.ours, .etcd] | {
			median: (.[0].median / .[1].median),
			p90: (.[0].p90 / .[1].p90), p99: (.[0].p99 / .[1].p99)}
			| map_values(. * 1000 | round / 1000))' "$T/kills"
}

# Both with 100 ms between heartbeats and an election after 1,000 ms of silence,
# drawn up to twice that; both with PreVote.  These are the defaults of both.
replaced() { # kills or hangs, and how many
	local n
	three_nodes
	for n in east west south; do node_stop "$n"; done
	cp "$tok" "$T/token"
	kills_programs
	"$B/bench/etcd" "$1" "$2" "$T" "$NET" >"$T/kills" || exit 1
	figure "raft_$1" "$(kills_spread)" <"$T/kills"
}

figure_raft_kills() {
	replaced kills "${KILLS:-200}"
}

# A leader that stands still keeps its connections, as one that is cut off does:
# only its silence tells.
figure_raft_hangs() {
	replaced hangs "${HANGS:-50}"
}

for f in "${@:-issue_core issue_e2e failover revoke_visible crl size
	raft_alone raft_disk raft_etcd raft_kills raft_hangs}"; do
	# A world each: its nodes end with it.
	# shellcheck disable=SC2086
	for one in $f; do ("figure_$one") || exit 1; done
done
