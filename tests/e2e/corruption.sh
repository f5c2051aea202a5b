#!/bin/bash
# A disk that changes, loses or cuts what was written: noticed at the start, and
# mended from the log or the peers; what cannot be mended is not started.
# shellcheck disable=SC2317 # functions that wait_for calls
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
PAGE=4096

# ---- What disks do, to DIR/data.mdb of a stopped node ----

pages() { # file
	echo $(($(stat -c %s "$1") / PAGE))
}

put_page() { # file page: from standard input
	dd of="$1" bs=$PAGE seek="$2" count=1 conv=notrunc iflag=fullblock status=none
}

get_page() { # file page
	dd if="$1" bs=$PAGE skip="$2" count=1 status=none
}

flip() { # file offset
	local byte
	byte=$(od -An -tu1 -j "$2" -N 1 "$1")
	printf '%b' "\\x$(printf %02x $((byte ^ 16)))" |
		dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

places() { # file text: where it stands; what a page held before, too
	LC_ALL=C grep -abo -- "$2" "$1" | cut -d: -f1
}

flip_text() { # file text: a bit of it
	local at
	for at in $(places "$1" "$2"); do flip "$1" $((at + 2)); done
}

zero() { # file page
	head -c $PAGE /dev/zero | put_page "$1" "$2"
}

zero_text() { # file text: the pages that hold it
	local at
	for at in $(places "$1" "$2"); do zero "$1" $((at / PAGE)); done
}

misdirect_text() { # file text: the pages that hold it are another
	local at from
	for at in $(places "$1" "$2"); do
		from=$((at / PAGE == 2 ? 3 : 2))
		get_page "$1" $from | put_page "$1" $((at / PAGE))
	done
}

every_page() { # file: all but the two meta pages
	local n
	for ((n = 2; n < $(pages "$1"); n++)); do zero "$1" "$n"; done
}

# ---- What a node says ----

head_of() { # node
	q head --server "$(at "$1")" -o json | jq -c '[.tree_size, .root]'
}

level() { # all nodes have the same tree
	local a
	a=$(head_of east) && [ "$(head_of west)" = "$a" ] &&
		[ "$(head_of south)" = "$a" ]
}

said() { # node pattern: since it was started last
	sed -n "$((MARK + 1)),\$p" "$T/log/$1" | grep -E -- "$2"
}

restart() { # node
	MARK=$(wc -l <"$T/log/$1")
	node_start "$1"
	node_wait "$1"
}

damaged() { # claim node pattern command...
	local claim=$1 node=$2 pattern=$3
	shift 3
	node_stop "$node" && "$@" || not_ok "$claim" "$* -> $?"
	check "$claim: mended without an operator" restart "$node"
	expect 0 "$claim: it says what was found" "$pattern" said "$node" damaged
	expect 0 "$claim: and counts it" '^[12]$' metric "$node" damage_found_total
	check "$claim: it has what was issued" q cert show "$serial" --server "$(at "$node")"
}

both() { # node
	flip_text "$T/$1/raft/data.mdb" "$CART"
	zero "$T/$1/state/data.mdb" 0
}

world_new
CART=$(identity shop cart)
must "a trust domain in east" domain_new east --set raft.compact_after=1000
must "west joins" node_join west --set raft.compact_after=1000
must "south joins" node_join south --set raft.compact_after=1000
must "east's tokens are taken" cluster_keys east
tok=$(token east shop cart)
must "a certificate is issued" request "$T/one" "$tok"
serial=$(serial_of "$T/one/chain.pem")
must "all have it" wait_for 10 level
R=$T/west/raft/data.mdb S=$T/west/state/data.mdb

# ---- state/: made again from the log ----

damaged "a bit of state/" west 'state_damaged.*CRC' flip_text "$S" "$CART"
damaged "lost pages of state/" west 'state_damaged.*page' every_page "$S"
damaged "a cut state/" west 'state_damaged.*end of the file' \
	truncate -s $((3 * PAGE)) "$S"
damaged "a meta page of state/" west 'state_damaged.*meta page' zero "$S" 1
damaged "an empty state/" west 'state_damaged.*is empty' truncate -s 0 "$S"

# ---- raft/: the entries, fetched from the peers ----

more() { # one more entry everywhere, in the logs too
	request "$T/more" "$tok" >/dev/null && wait_for 10 level
}

damaged "a bit of an entry" west 'log_damaged.*fails its CRC' flip_text "$R" "$CART"
check "a bit of an entry: and west votes again" said west log_repaired
must "another is issued" more
damaged "lost pages of the log" west 'log_damaged.*page' zero_text "$R" "$CART"
must "another is issued" more
damaged "a misdirected page of the log" west 'log_damaged.*holds another page' \
	misdirect_text "$R" "$CART"
must "another is issued" more
damaged "the log and state/" west 'log_damaged.*(page|CRC)' both west
check "the log and state/: and west votes again" wait_for 10 said west log_repaired
must "another is issued" more

# ---- Of two nodes, by themselves ----

node_stop south && node_stop west
must "a leader that is alone steps down" wait_for 10 not leader east
flip_text "$T/south/raft/data.mdb" "$CART"
flip_text "$R" "$CART"
node_start south
node_start west
check "with two of three logs damaged a node ends" wait_for 15 node_gone west
check "and the other" wait_for 15 node_gone south
expect 0 "and says what was found, and what to do" \
	'of 3 voters only 1 ha.*put back what the disks lost.*fails its CRC' \
	tail -n 1 "$T/log/west"
expect 1 "nothing is issued" 'no leader|no quorum|quorum' \
	request "$T/none" "$tok" --server "$(at east)"
mend() { # node: as a disk does that gives its data after all
	rm -r "$T/$1/raft"
	mv "$T/$1/raft.damaged" "$T/$1/raft"
	flip_text "$T/$1/raft/data.mdb" "${CART/spi/spy}"
}
mend south && mend west
check "with one of them put back as it was" restart south
check "and the other, all is well" restart west
must "another is issued" more

# ---- state/, where no log begins early enough to make it again ----

load() { # count
	quorate-load --server "${ADDR[east]}:8443" --root "$T/admin/root.pem" \
		--token "$tok" --connections 4 --streams 16 --count "$1" --json
}

must "more certificates are issued than a log keeps" load 2500
must "all have them" wait_for 20 level
damaged "state/ behind a log that was cut" west \
	'log_damaged.*state/ has applied entry 0, but the log begins at [0-9]{4}"' \
	truncate -s 0 "$S"
check "state/ behind a log that was cut: a peer sends a snapshot" \
	said west snapshot_installed
check "state/ behind a log that was cut: and west votes again" \
	wait_for 10 said west log_repaired
expect 0 "state/ behind a log that was cut: and is whole" '^0$' \
	metric west log_repairing
must "another is issued" more

# ---- Term and vote: a new node takes its place ----

node_stop west
zero_text "$R" hard
expect 1 "without term and vote a node does not come back" \
	'term and vote are.*remove this node and join a new one.*page' \
	timeout 10 quorated --data "$T/west"
expect 1 "nor the next time" 'remove this node and join a new one' \
	timeout 10 quorated --data "$T/west"
rm -r "$T/west"
must "it is removed" q member remove 2
must "a new one joins in its place" node_join west
check "and has what was issued" q cert show "$serial" --server "$(at west)"
check "all nodes have the same tree" wait_for 10 level
finish
