# shellcheck shell=bash
# tests/lib.sh -- real nodes on loopback, for the scripts that source it.
#
#	B=build; . tests/lib.sh     # B: the build folder
#	world_new                   # a private folder $T, addresses of our own
#	domain_new east             # trust domain; cluster east's node runs
#	node_join west              # token, join, approval; ready when it returns
#	q status                    # the quorate command as the operator
#
# A node goes by its cluster's name.  Nothing sleeps for a fixed time: waiting is
# polling with a bound (wait_for).  Whatever is still running ends with the
# script.  Needs bash, coreutils, openssl, curl and jq.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
B=$(cd "$ROOT" && realpath -m "${B:-build}")
PATH=$B/bin:$PATH
TRUST_DOMAIN=${TRUST_DOMAIN:-quorate.test}

T=               # the world's folder: data directories, tokens, keys, logs
NET=             # the first three numbers of its loopback addresses
KEEP_WORLD=      # not empty: cleanup leaves folder and nodes alone
declare -A ADDR=() # node -> IP address
declare -A PID=()  # node -> process, while it runs
NODES=()         # in the order they were named
FAILED=0
LOGGED_AFTER=0   # books begin behind that index

# ---- What a script says -----------------------------------------------------

ok() { # claim
	printf 'ok %s\n' "$1"
}

not_ok() { # claim [why]
	printf 'not ok %s\n' "$1"
	[ -z "${2-}" ] || printf "%s\n" "$2" | sed "s/^/#   /"
	FAILED=$((FAILED + 1))
}

# The claim holds if the command succeeds.  It runs in this shell: what a
# function starts and names is known afterwards.
check() { # claim command...
	local claim=$1 rc=0
	shift
	"$@" >"$T/said" 2>&1 || rc=$?
	if [ $rc -eq 0 ]; then ok "$claim"; else not_ok "$claim" "$* -> $rc
$(cat "$T/said")"; fi
}

# The command ends with that status, and says something like PATTERN (extended
# regular expression) on standard output or error.
expect() { # status claim pattern command...
	local want=$1 claim=$2 pattern=$3 rc=0
	shift 3
	"$@" >"$T/said" 2>&1 || rc=$?
	if [ $rc -eq "$want" ] && grep -qE -- "$pattern" "$T/said"; then
		ok "$claim"
	else
		not_ok "$claim" "$* -> $rc, expected $want and /$pattern/
$(cat "$T/said")"
	fi
}

same() { # claim want got
	if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1" "expected: $2
got:      $3"; fi
}

# What the rest of a script stands on: without it, it ends here.
must() { # claim command...
	local before=$FAILED
	check "$@"
	[ "$FAILED" -eq "$before" ] || { logs_show; exit 1; }
}

finish() {
	[ "$FAILED" -eq 0 ] || logs_show
	exit $((FAILED > 0))
}

# Without Go the stage is skipped; in CI (CI is set) that is a failure.  Nothing
# but the modules of a go.sum is fetched: the toolchain is what is installed.
need_go() { # stage
	local need=1.26 have
	export GOTOOLCHAIN=local
	have=$(go env GOVERSION 2>/dev/null)
	[ -z "$have" ] ||
		[ "$(printf '%s\n' "go$need" "$have" | sort -V | head -n 1)" != "go$need" ] ||
		return 0
	have=${have:-no go}
	if [ -n "${CI-}" ]; then
		not_ok "$1: needs Go $need or later, found $have"
		finish
	fi
	echo "skip $1: needs Go $need or later, found $have"
	exit 0
}

# ---- Waiting ----------------------------------------------------------------

now_ms() {
	local t=$EPOCHREALTIME
	t=${t/[.,]/}
	echo $((t / 1000))
}

# Run the command again and again until it succeeds.
wait_for() { # seconds command...
	local end=$(($(now_ms) + $1 * 1000))
	shift
	until "$@" >/dev/null 2>&1; do
		if [ "$(now_ms)" -gt "$end" ]; then
			"$@" # once more, to be seen and heard
			return
		fi
		sleep 0.05
	done
}

not() { # command...
	! "$@"
}

# ---- A world ----------------------------------------------------------------

port_open() { # address port
	(: <"/dev/tcp/$1/$2") 2>/dev/null
}

# Addresses that nobody listens on; a demo left running has 127.0.1.x.
net_free() {
	local try
	for try in {1..50}; do
		NET=127.$((2 + ($$ + try) / 250 % 250)).$((2 + ($$ + try) % 250))
		port_open "$NET.1" 8444 || port_open "$NET.1" 9090 || return 0
	done
	echo "no free loopback address was found" >&2
	return 1
}

world_new() {
	T=$(mktemp -d "${TMPDIR:-/tmp}/quorate-XXXXXX") || exit 1
	trap world_end EXIT
	[ -n "$NET" ] || net_free || exit 1
	mkdir "$T/log" "$T/tokens"
	echo 'correct horse battery staple' >"$T/passphrase"
	export QUORATE_IDENTITY=$T/admin
	unset QUORATE_SERVER
}

# shellcheck disable=SC2317 # called by the trap
world_end() {
	local n
	[ -z "$KEEP_WORLD" ] || return 0
	for n in "${!PID[@]}"; do ! node_runs "$n" || node_kill "$n"; done
	rm -rf "$T"
}

# The end of each node's log, for whoever reads a failure.
logs_show() {
	local n
	for n in "${NODES[@]}"; do
		[ -s "$T/log/$n" ] || continue
		echo "# ---- log of $n:"
		tail -n 25 "$T/log/$n" | sed 's/^/# /'
	done
}

# ---- The operator -----------------------------------------------------------

q() {
	quorate "$@"
}

at() { # node: its HTTPS address
	echo "${ADDR[$1]}:8444"
}

# Names become addresses with a comma between: servers west,south.
servers() { # node[,node...]
	local n out=
	for n in ${1//,/ }; do out+=${out:+,}$(at "$n"); done
	echo "$out"
}

metric() { # node name
	curl -sS --noproxy '*' --max-time 5 "http://${ADDR[$1]}:9090/metrics" |
		awk -v name="quorate_$2" '$1 == name { print $2 }'
}

# One field of `quorate status`, as that node sees it.
status_of() { # node jq-expression
	q status --server "$(at "$1")" -o json | jq -er "$2"
}

# The cluster that leads, as the given node sees it; fails if nobody does.
leader() { # node
	status_of "$1" 'select(.quorum) | .members[] | select(.leader) | .cluster'
}

# ---- Nodes ------------------------------------------------------------------

node_name() { # node: give it the next address
	[ -z "${ADDR[$1]-}" ] || return 0
	NODES+=("$1")
	ADDR[$1]=$NET.${#NODES[@]}
}

node_start() { # node
	quorated --data "$T/$1" >>"$T/log/$1" 2>&1 &
	PID[$1]=$!
}

node_runs() { # node
	[ -n "${PID[$1]-}" ] && kill -0 "${PID[$1]}" 2>/dev/null
}

node_gone() { # node
	! node_runs "$1"
}

node_stop() { # node: as an operator stops it; its exit status
	local pid=${PID[$1]} rc=0
	kill -TERM "$pid"
	if ! wait_for 15 node_gone "$1"; then
		echo "node $1 does not end" >&2
		node_kill "$1"
		return 1
	fi
	wait "$pid" || rc=$?
	unset "PID[$1]"
	return $rc
}

node_kill() { # node: as a power cut does
	disown "${PID[$1]}" # the shell need not tell of its death
	kill -KILL "${PID[$1]}"
	wait_for 15 node_gone "$1"
	unset "PID[$1]"
}

# Ready, or the reasons why not.
node_ready() { # node
	node_runs "$1" || { echo "node $1 has ended"; return 1; }
	curl -sS --noproxy '*' --max-time 2 --fail-with-body \
		"http://${ADDR[$1]}:9090/readyz" || return 1
}

node_wait() { # node [seconds]
	local end=$(($(now_ms) + ${2:-20} * 1000))
	until node_ready "$1" >/dev/null 2>&1; do
		if ! node_runs "$1" || [ "$(now_ms)" -gt "$end" ]; then
			node_ready "$1"
			return
		fi
		sleep 0.05
	done
}

# ---- Steps of the first hour ------------------------------------------------

# Options beyond those given go to quorate init.
domain_init() { # node [option...]
	local n=$1
	shift
	node_name "$n"
	q init --trust-domain "$TRUST_DOMAIN" --cluster "$n" --data "$T/$n" \
		--admin "$T/admin" --listen "${ADDR[$n]}" --settle 0 \
		--passphrase-file "$T/passphrase" --cheap-sealing "$@"
}

domain_new() { # node [option of init...]: init, start, ready
	domain_init "$@" >/dev/null && node_start "$1" && node_wait "$1"
}

# Ask with a token; the node runs and waits to be approved.
node_ask() { # node [option of join...]
	local n=$1
	shift
	node_name "$n"
	q token create --cluster "$n" --out "$T/tokens/join-$n" 2>/dev/null &&
		q join --token-file "$T/tokens/join-$n" --data "$T/$n" \
			--listen "${ADDR[$n]}" --no-wait "$@" >/dev/null &&
		node_start "$n"
}

node_pending() { # cluster
	q issuer list -o json |
		jq -e --arg c "$1" '.pending[] | select(.cluster == $c)'
}

node_approve() { # cluster
	wait_for 15 node_pending "$1" &&
		q issuer approve "$1" --passphrase-file "$T/passphrase"
}

# A voter whose state is at the leader's.
node_voter() { # node
	status_of "$1" '.members[] | select(.self and .state == "voter")'
}

node_join() { # node [option of join...]
	node_ask "$@" && node_approve "$1" >/dev/null && node_wait "$1" &&
		wait_for 20 node_voter "$1"
}

# ---- Workloads --------------------------------------------------------------

# A cluster's key for service-account tokens, registered in the trust domain.
cluster_keys() { # cluster [option of set-jwks...]
	local c=$1
	shift
	quorate-dev-token --key "$T/tokens/$c.key" --new-key --alg RS256 \
		--jwks "$T/tokens/$c.jwks" &&
		q cluster set-jwks "$c" --jwks "$T/tokens/$c.jwks" "$@"
}

# A token of that cluster for system:serviceaccount:NS:SA; prints its file.
token() { # cluster namespace account [option of quorate-dev-token...]
	local c=$1 sub=system:serviceaccount:$2:$3 file
	file=$(mktemp "$T/tokens/XXXXXX") || return
	shift 3
	quorate-dev-token --key "$T/tokens/$c.key" --sub "$sub" "$@" >"$file" &&
		echo "$file"
}

identity() { # namespace account
	echo "spiffe://$TRUST_DOMAIN/ns/$1/sa/$2"
}

# Get a certificate; its folder holds key.pem and chain.pem.
request() { # folder token-file [option of request...]
	local dir=$1 token=$2
	shift 2
	mkdir -p "$dir" && rm -f "$dir/key.pem" &&
		q request --new-key "$dir/key.pem" --token-file "$token" \
			--out "$dir/chain.pem" "$@"
}

# Leaf, issuer and roots of a chain, each in a file of its own.
chain_split() { # folder
	local n
	n=$(awk -v d="$1" '/BEGIN CERTIFICATE/ { n++ }
		{ print > (d "/" (n == 1 ? "leaf" : n == 2 ? "issuer" : "roots") ".pem") }
		END { print n }' "$1/chain.pem") && [ "$n" -ge 3 ]
}

# The chain holds, by OpenSSL's strict rules and against the operator's root.
chain_verify() { # folder
	chain_split "$1" &&
		openssl verify -x509_strict -CAfile "$T/admin/root.pem" \
			-untrusted "$1/issuer.pem" "$1/leaf.pem"
}

# The same with every CRL of that file, which must cover the whole chain.
chain_current() { # folder crl-file
	chain_split "$1" &&
		openssl verify -x509_strict -crl_check_all -CRLfile "$2" \
			-CAfile "$T/admin/root.pem" -untrusted "$1/issuer.pem" \
			"$1/leaf.pem"
}

varint() { # number: as protobuf writes it
	local n=$1
	while [ "$n" -gt 127 ]; do
		printf '%b' "\\x$(printf %02x $((n % 128 + 128)))"
		n=$((n / 128))
	done
	printf '%b' "\\x$(printf %02x "$n")"
}

# A new certificate for that of the folder FROM, without a token: gRPC by hand,
# since quorate asks with tokens.  Prints the answer's status and text.
renew() { # folder from node
	local d=$1 from=$2 len
	mkdir -p "$d" && chain_split "$from" &&
		cat "$from/leaf.pem" "$from/issuer.pem" >"$d/client.pem" || return
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
		-subj / -keyout "$d/key.pem" -out "$d/csr.pem" 2>/dev/null || return
	{
		printf '\n' # field 1, a string
		varint "$(stat -c %s "$d/csr.pem")"
		cat "$d/csr.pem"
	} >"$d/message"
	printf -v len %08x "$(stat -c %s "$d/message")"
	{
		printf '%b' "\\x00\\x${len:0:2}\\x${len:2:2}\\x${len:4:2}\\x${len:6:2}"
		cat "$d/message"
	} >"$d/frame"
	curl -sS --noproxy '*' --http2 --max-time 10 --cacert "$T/admin/root.pem" \
		--cert "$d/client.pem" --key "$from/key.pem" \
		-H 'content-type: application/grpc' -H 'te: trailers' \
		--data-binary "@$d/frame" -D "$d/headers" -o "$d/answer" \
		"https://${ADDR[$3]}:8443/istio.v1.auth.IstioCertificateService/CreateCertificate" ||
		return
	sed -n 's/\r$//; s/^grpc-//p' "$d/headers" | sed 's/%20/ /g'
	grep -q '^grpc-status: 0' "$d/headers" &&
		LC_ALL=C sed -n 's/^.*\(-----BEGIN\)/\1/; /^-----BEGIN/,/^-----END/p' \
			"$d/answer" >"$d/chain.pem"
}

serial_of() { # certificate file
	openssl x509 -in "$1" -noout -serial | sed 's/^serial=//' |
		tr 'A-F' 'a-f'
}

# ---- Load and books -----------------------------------------------------------

# Certificates are asked for until the load is stopped; $T/ack has what was
# acknowledged, $T/load.json the counts.
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

# Serial and hash of every certificate in that node's log.
logged() { # node: what came after index $LOGGED_AFTER
	q cert list --all --after "$LOGGED_AFTER" --server "$(at "$1")" -o json |
		jq -r '.[] | .serial + " " + .sha256'
}

books_of() { # node
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

# Every node given has the same tree.
heads_equal() { # node,node...
	q head --all --server "$(servers "$1")" -o json |
		jq -e --argjson n "$(wc -w <<<"${1//,/ }")" \
			'length == $n and (map([.tree_size, .root]) | unique | length) == 1'
}

books_compare() { # node...
	local n
	cut -d' ' -f2,3 "$T/ack" | sort >"$T/acked"
	same "no serial was acknowledged twice" "" \
		"$(cut -d' ' -f1 "$T/acked" | uniq -d | head -3)"
	for n in "$@"; do
		check "$n is ready" node_wait "$n"
		books_of "$n"
	done
	same "no answer was wrong" 0 "$(jq .wrong "$T/load.json")"
	echo "# load: $(jq -c 'del(.per_second)' "$T/load.json")"
}
