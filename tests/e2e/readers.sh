#!/bin/bash
# Clients that read for long, or stop half way, hold nothing back: the state's
# file grows by what is issued, and no more.  About 12 s.
# shellcheck disable=SC2317 # functions that wait_for calls
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
world_new
CERTS=6000
slow=()

file_size() {
	stat -c %s "$T/east/state/data.mdb"
}
load() {
	quorate-load --server "${ADDR[east]}:8443" --root "$T/admin/root.pem" \
		--token "$tok" --connections 4 --streams 16 --count "$CERTS" --json
}
growth() { # bytes by which the file grew while certificates were issued
	local before
	before=$(file_size)
	load >/dev/null && grown=$(($(file_size) - before))
}
# The longest pages there are, each read at 2 kB/s; every other one not at all.
slow_clients() {
	local i
	for i in {1..32}; do
		curl -sS --noproxy '*' --cacert "$T/admin/root.pem" \
			--cert "$T/admin/operator.pem" \
			--key "$T/admin/operator.key" \
			--limit-rate 2k \
			-o "$T/page-$i" "https://$(at east)/v1/certs?limit=1000" \
			2>/dev/null &
		slow+=($!)
		disown $!
	done
	wait_for 10 test -s "$T/page-32"
	for ((i = 0; i < 32; i += 2)); do
		kill -STOP "${slow[i]}" || return
	done
}
still_read() {
	local pid
	for pid in "${slow[@]}"; do kill -0 "$pid" || return; done
}
# From the first certificate to the last, over and over.
whole_lists() {
	while :; do q cert list --all --server "$(at east)" -o json; done >/dev/null
}
no_old_reader() {
	[ "$(metric east state_reader_milliseconds)" -lt 2000 ]
}

must "a trust domain in east" domain_new east
must "its tokens are taken" cluster_keys east
tok=$(token east shop cart)
must "certificates are there" load
must "the file grows with those that are issued" growth
alone=$grown
must "32 clients read slowly, and half of them stopped" slow_clients
whole_lists 2>/dev/null &
PID["lists"]=$!
must "as many are issued meanwhile" growth
check "all of them still read" still_read
check "no read of the state is old" no_old_reader
check "the file grew like before: $grown bytes, alone $alone" \
	test "$grown" -lt $((alone * 3 / 2 + 2097152))
for pid in "${slow[@]}"; do kill -KILL "$pid" 2>/dev/null; done
node_kill lists
finish
