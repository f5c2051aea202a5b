#!/bin/bash
# Revoked here, refused everywhere: CRLs, blocks, issuers that end, and what
# publish.dir gives an istiod to mount.  About 40 s.
# shellcheck disable=SC2317 # functions that wait_for calls
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
world_new
mkdir "$T/pub"
nodes=(east west south)
files=(root-cert.pem ca-crl.pem bundle.json federated.json)

get() { # node path [option of curl...]
	local n=$1 path=$2
	shift 2
	curl -sS --noproxy '*' --max-time 5 --fail "$@" \
		"http://${ADDR[$n]}:8080$path"
}

# One set of bytes at that path of every node given, and it is not empty.
same_bytes() { # path [node...]
	local path=$1 n
	shift
	[ $# -gt 0 ] || set -- "${nodes[@]}"
	for n in "$@"; do
		get "$n" "$path" -o "$T/bytes-$n" && [ -s "$T/bytes-$n" ] &&
			cmp "$T/bytes-$n" "$T/bytes-$1" || return
	done
}

same_files() { # [node...]
	local n f
	[ $# -gt 0 ] || set -- "${nodes[@]}"
	for n in "$@"; do
		for f in "${files[@]}"; do
			cmp "$T/pub/$n/$f" "$T/pub/$1/$f" || return
		done
	done
}

accepted() { # folder node: by what that node's cluster mounts
	chain_current "$T/$1" "$T/pub/$2/ca-crl.pem"
}

refused() { # folder node
	accepted "$1" "$2" >"$T/verified" 2>&1 && return 1
	cat "$T/verified"
	grep -q 'certificate revoked' "$T/verified"
}

refused_by() { # folder node...
	local d=$1 n
	shift
	for n in "$@"; do refused "$d" "$n" || return; done
}

serial() { # folder
	serial_of "$T/$1/chain.pem"
}

# The number of the CRL that a node serves; in decimal.
number() { # issuer node
	local hex
	hex=$(get "$2" "/crl/$1.crl" | openssl crl -inform DER -noout -crlnumber) &&
		echo $((16#${hex#*0x}))
}

# Each CRL of a PEM file as openssl shows it.
crls_text() { # file
	local dir
	dir=$(mktemp -d "$T/crls-XXXXXX") &&
		csplit -s -z -f "$dir/" "$1" '/-BEGIN/' '{*}' || return
	for dir in "$dir"/*; do openssl crl -in "$dir" -noout -text; done
}

# ---- From the first day ----

must "a trust domain in east" \
	domain_new east --set "publish.dir=$T/pub/east"
published() { # node number-of-CRLs
	[ "$(grep -c 'BEGIN X509 CRL' "$T/pub/$1/ca-crl.pem")" -eq "$2" ]
}
check "a CRL of root and issuer before any workload has a certificate" \
	wait_for 5 published east 2
for n in west south; do
	must "$n joins" node_join "$n" --set "publish.dir=$T/pub/$n"
done
for n in east west; do must "$n's tokens are taken" cluster_keys "$n"; done
tok=$(token east shop cart)
for n in "${nodes[@]}"; do
	check "$n publishes the root's CRL and that of each issuer" \
		wait_for 5 published "$n" 4
done
crls_text "$T/pub/east/ca-crl.pem" >"$T/text"
same "none of them lists anything" 4 \
	"$(grep -c 'No Revoked Certificates' "$T/text")"
same "what a cluster mounts is the same bytes in all" "" "$(same_files 2>&1)"
for path in /crl.pem /root.crl /crl/{root,east,west,south}.{crl,pem} \
	/bundle.pem /bundle.json; do
	check "$path is the same bytes on every node" wait_for 5 same_bytes "$path"
done
check "HTTP gives what publish.dir holds" \
	cmp "$T/pub/east/ca-crl.pem" <(get west /crl.pem)
check "so does quorate crl" cmp "$T/pub/east/ca-crl.pem" <(q crl)
check "DER and PEM are the same CRL" cmp <(get east /crl/west.crl) \
	<(get east /crl/west.pem | openssl crl -outform DER)
get east /crl/east.crl | openssl crl -inform DER -noout -lastupdate \
	-nextupdate | sed 's/.*=//' >"$T/times"
this=$(date -d "$(sed -n 1p "$T/times")" +%s)
next=$(date -d "$(sed -n 2p "$T/times")" +%s)
check "a CRL is back-dated by ten minutes" test $(($(date +%s) - this)) -ge 600
check "and outlives the leaves by a day" \
	test $((next - $(date +%s))) -gt $((6 * 86400 - 3600))

# ---- HTTP, as caches want it ----

get west /crl.pem -D "$T/headers" -o /dev/null
for h in 'ETag: "[0-9a-f]{32}"' 'Cache-Control: public, max-age=[0-9]+' \
	'Content-Type: application/x-pem-file' 'Quorate-State-Age-Ms: [0-9]+' \
	'Quorate-Applied: [0-9]+'; do
	expect 0 "header ${h%%:*}" . grep -iE "^$h" "$T/headers"
done
etag=$(sed -n 's/\r$//; s/^ETag: //Ip' "$T/headers")
code() { # node path [option...]
	get "$@" -o "$T/body" -w '%{http_code}'
}
same "what is known already is not sent again" 304 \
	"$(code south /crl.pem -H "If-None-Match: $etag")"
check "and nothing in its place" not test -s "$T/body"
same "what is not known is sent" 200 \
	"$(code south /crl.pem -H 'If-None-Match: "0"')"
expect 22 "nobody's CRL is not there" 404 get east /crl/nobody.crl
expect 0 "the head is told to anyone" tree_size get east /head

# ---- One certificate, and what was renewed from it ----

for d in cart other; do
	must "$d: west issues a certificate" \
		request "$T/$d" "$tok" --server "$(at west)"
done
must "a renewal by client certificate" renew "$T/child" "$T/cart" south
must "and of that another" renew "$T/grandchild" "$T/child" east
for n in "${nodes[@]}"; do
	for d in cart other child grandchild; do
		check "$d is accepted in $n" accepted "$d" "$n"
	done
done
expect 0 "promise 9: revoked in south, published by every node" \
	'Every node publishes it' q revoke "$(serial cart)" \
	--reason key-compromise --wait=all --server "$(at south)"
for d in cart child grandchild; do
	check "promise 9: $d is refused everywhere" refused_by "$d" "${nodes[@]}"
done
for n in "${nodes[@]}"; do
	check "another of the same issuer is still accepted in $n" \
		accepted other "$n"
done
for i in west south east; do
	check "the CRL of $i is the same bytes on every node" \
		same_bytes "/crl/$i.crl"
done
same "so is what the clusters mount" "" "$(same_files 2>&1)"
expect 0 "the CRL says why" 'Key Compromise' \
	openssl crl -inform DER -in <(get east /crl/west.crl) -noout -text
expect 0 "so does cert show" keyCompromise q cert show "$(serial cart)" -o json
expect 1 "a revoked certificate renews nothing" 'status: 7' \
	renew "$T/none" "$T/grandchild" west
expect 0 "revoking it again is no fault" revoked q revoke "$(serial cart)"
expect 1 "a serial that was never issued" 'no certificate' \
	q revoke 40000000000000000000000000000000
must "a workload may ask again" request "$T/again" "$tok"

# ---- Within a second, and never half ----

# Reads what a cluster mounts, again and again, and notes what is wrong.
watcher() { # node
	local pem n=0
	while [ ! -e "$T/stop" ]; do
		pem=$(<"$T/pub/$1/ca-crl.pem")
		[[ $pem == '-----BEGIN X509 CRL-----'*'-----END X509 CRL-----' ]] ||
			echo "reading $n: ${#pem} characters" >>"$T/wrong"
		n=$((n + 1))
		[ $((n % 20)) -eq 0 ] || continue
		jq -e '.keys | length > 0' "$T/pub/$1/bundle.json" >/dev/null ||
			echo "reading $n: bundle.json" >>"$T/wrong"
		accepted "watch-$1" "$1" >/dev/null 2>>"$T/wrong" ||
			echo "reading $n: not accepted" >>"$T/wrong"
	done
	echo "$n" >"$T/readings-$1"
}
: >"$T/wrong"
for n in "${nodes[@]}"; do
	cp -r "$T/other" "$T/watch-$n"
	watcher "$n" &
	watchers+=($!)
done
mounted() { # folder
	refused_by "$1" "${nodes[@]}"
}
worst=0
for i in {1..3}; do
	for n in "${nodes[@]}"; do
		request "$T/burst" "$tok" --server "$(at "$n")" >/dev/null
		q revoke "$(serial burst)" >/dev/null || not_ok "burst $i $n"
		start=$(now_ms)
		wait_for 15 mounted burst || not_ok "burst $i $n is mounted"
		took=$(($(now_ms) - start))
		[ "$took" -le "$worst" ] || worst=$took
	done
done
touch "$T/stop"
wait "${watchers[@]}"
# How long it takes is a figure of `make bench`; here it must come.
ok "revoked, it reaches every cluster's publish.dir (here: $worst ms at worst)"
same "a reader never saw an empty or invalid file" "" "$(head -3 "$T/wrong")"
echo "# readings: $(paste -sd' ' "$T"/readings-*)"

# ---- An identity, a pod ----

for n in "${nodes[@]}"; do
	must "$n issues for shop/pay" \
		request "$T/pay-$n" "$(token east shop pay)" --server "$(at "$n")"
done
expect 0 "an identity is revoked" 'gets no new one' q revoke \
	--identity "$(identity shop pay)" --reason privilege-withdrawn --wait=all
for n in "${nodes[@]}"; do
	check "what $n issued for it is refused everywhere" \
		refused_by "pay-$n" "${nodes[@]}"
	expect 1 "promise 9: it gets no new one from $n, and is told why" \
		'identity is revoked .privilegeWithdrawn.*--lift' request \
		"$T/none" "$(token east shop pay)" --server "$(at "$n")"
done
expect 1 "nor by its certificate" 'status: 7' renew "$T/none" "$T/pay-west" east
expect 0 "blocked lists it" "identity +$(identity shop pay) .*privilegeWithdrawn" \
	q blocked
check "another identity is not touched" \
	request "$T/other2" "$(token east shop cart)"
expect 0 "the block is lifted" 'stays revoked' \
	q revoke --identity "$(identity shop pay)" --lift
check "then it may ask" request "$T/pay" "$(token east shop pay)"
check "what was revoked stays revoked" \
	refused_by pay-west "${nodes[@]}"
expect 1 "a block that is not there is not lifted" 'not blocked' \
	q revoke --identity "$(identity shop pay)" --lift
must "two pods of one identity" request "$T/pod-a" \
	"$(token east shop web --pod web-a --pod-uid uid-a)"
must "have a certificate each" request "$T/pod-b" \
	"$(token east shop web --pod web-b --pod-uid uid-b)"
must "and one is renewed" renew "$T/pod-a2" "$T/pod-a" west
check "one pod is revoked" q revoke --pod uid-a --wait=all
for d in pod-a pod-a2; do
	check "$d is refused everywhere" refused_by "$d" "${nodes[@]}"
done
check "the other pod's is accepted" accepted pod-b west
expect 1 "the pod gets no new one" 'the pod is revoked' request "$T/none" \
	"$(token east shop web --pod web-a --pod-uid uid-a)"
check "the other pod does" request "$T/pod-b" \
	"$(token east shop web --pod web-b --pod-uid uid-b)"
must "an operator who may only revoke" \
	q operator add riva --new "$T/riva" --role revoker
check "revokes" q revoke "$(serial other2)" --identity "$T/riva" \
	--server "$(at east)"
expect 1 "and does nothing else" 'operator who may order' \
	q issuer retire west --identity "$T/riva" --server "$(at east)"

# ---- A node that is away; restarts ----

node_kill south
request "$T/late" "$tok" --server "$(at east)" >/dev/null
start=$(now_ms)
expect 1 "--wait=all names the node that does not answer" \
	"revoked and logged.*${ADDR[south]}" \
	q revoke "$(serial late)" --wait=all --server "$(servers east,west)"
echo "# after $(($(now_ms) - start)) ms"
check "the others publish it" refused_by late east west
before=$(number east east)
for n in east west; do node_kill "$n"; done
for n in "${nodes[@]}"; do node_start "$n"; done
for n in "${nodes[@]}"; do must "$n comes back" node_wait "$n"; done
check "back, it publishes it too" wait_for 5 refused late south
must "after a restart of all" request "$T/after" "$tok" --server "$(at east)"
check "a revocation is published" q revoke "$(serial after)" --wait=all
check "everywhere" refused_by after "${nodes[@]}"
check "under a higher number than any before" \
	test "$(number east south)" -gt "$before"
for path in /crl.pem /bundle.json; do
	check "$path is the same bytes on every node" wait_for 5 same_bytes "$path"
done

# ---- publish.dir in trouble ----

alarmed() {
	q status --server "$(at south)" | grep -E 'ALARM +publish.dir'
}
not_alarmed() {
	! alarmed
}
trouble() { # kind
	request "$T/trouble" "$tok" --server "$(at east)" >/dev/null
	check "$1 publish.dir: the revocation itself goes on" \
		q revoke "$(serial trouble)"
	check "$1 publish.dir: an alarm in status" wait_for 10 alarmed
	expect 0 "$1 publish.dir: an event in the log" . \
		grep publish_failed "$T/log/south"
	check "$1 publish.dir: the node issues" \
		request "$T/none" "$tok" --server "$(at south)"
	check "$1 publish.dir: HTTP has the revocation" \
		wait_for 5 same_bytes /crl/east.crl
}
recovers() { # kind
	check "$1 publish.dir, later in order: brought up to date" \
		wait_for 10 refused trouble south
	check "$1 publish.dir, later in order: the alarm ends" \
		wait_for 10 not_alarmed
}
mv "$T/pub/south" "$T/pub/away"
ln -s /proc "$T/pub/south" # where nobody may write, root neither
trouble "read-only"
rm "$T/pub/south" && mv "$T/pub/away" "$T/pub/south"
check "read-only publish.dir: what stood there stays" \
	accepted other south
recovers "read-only"
rm "$T/pub/south/bundle.json"
again() {
	jq -e .keys "$T/pub/south/bundle.json"
}
q revoke "$(serial again)" >/dev/null
check "a file that was deleted is there again" wait_for 10 again
mkdir "$T/pub/full"
if mount -t tmpfs -o size=64k quorate-test "$T/pub/full" 2>/dev/null; then
	cp "$T"/pub/south/* "$T/pub/full"
	mount --bind "$T/pub/full" "$T/pub/south"
	dd if=/dev/zero of="$T/pub/south/filler" 2>/dev/null
	trouble "full"
	check "full publish.dir: what stood there stays" accepted other south
	rm "$T/pub/south/filler"
	recovers "full"
	umount "$T/pub/south"
	umount "$T/pub/full" 2>/dev/null
	cp "$T/pub/east/"* "$T/pub/south"
else
	echo "skip a full publish.dir: no right to mount a file system"
fi

# ---- Whom to trust besides ----

new_root() { # name
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
		-keyout "$T/$1.key" -subj "/O=$1" -days 30 -out "$T/$1.pem" \
		-addext basicConstraints=critical,CA:TRUE \
		-addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null
}
must "roots of others" new_root older
must "roots of others" new_root partner
roots() { # count: in every cluster's directory
	local n
	for n in "${nodes[@]}"; do
		[ "$(grep -c BEGIN "$T/pub/$n/root-cert.pem")" -eq "$1" ] &&
			[ "$(jq '.keys | length' "$T/pub/$n/bundle.json")" -eq "$1" ] ||
			return
	done
}
sequence=$(jq .spiffe_sequence "$T/pub/east/bundle.json")
expect 0 "a root is imported, which the root key signs" 'is trusted' \
	q root import "$T/older.pem" --passphrase-file "$T/passphrase"
check "every cluster's directory has both" wait_for 5 roots 2
check "under a higher sequence" test \
	"$(jq .spiffe_sequence "$T/pub/west/bundle.json")" -gt "$sequence"
check "and a refresh hint" jq -e '.spiffe_refresh_hint > 0' \
	"$T/pub/west/bundle.json"
must "the next chain" request "$T/two-roots" "$tok"
same "ends with both, too" 2 \
	"$(chain_split "$T/two-roots"; grep -c BEGIN "$T/two-roots/roots.pem")"
expect 0 "another trust domain is trusted" 'partner.test' \
	q federate add partner.test --bundle "$T/partner.pem"
federated() { # count
	local n
	for n in "${nodes[@]}"; do
		[ "$(jq '.trust_domains | length' "$T/pub/$n/federated.json")" \
			-eq "$1" ] || return
	done
}
check "every cluster's directory has it" wait_for 5 federated 1
check "for its own identities alone: our roots are the same" roots 2
check "/federated.json is the same bytes on every node" \
	same_bytes /federated.json
expect 0 "it is trusted no more" . q federate remove partner.test
check "in no cluster's directory" wait_for 5 federated 0

# ---- An issuer that retires, one that is lost ----

must "a leaf of south's" request "$T/of-south" "$tok" --server "$(at south)"
must "and one to be revoked" request "$T/of-south2" "$tok" --server "$(at south)"
expect 0 "an issuer retires" 'south.*retired' q issuer retire south
expect 1 "it signs no leaf any more" . \
	request "$T/none" "$tok" --server "$(at south)"
check "others do" request "$T/none" "$tok" --server "$(servers south,east)"
check "its leaves are accepted" accepted of-south west
check "and can be revoked, one by one" q revoke "$(serial of-south2)" --wait=all
check "everywhere" refused_by of-south2 "${nodes[@]}"
check "without touching the others" accepted of-south west

for d in of-west of-west2; do
	must "$d: a leaf of west's" request "$T/$d" "$(token west shop dead)" \
		--server "$(at west)"
done
node_kill west
wait_for 10 leader east >/dev/null
west_number=$(number west east)
expect 1 "promise 9: a dead issuer's leaf cannot be revoked by itself: said" \
	"revoked and logged" q revoke "$(serial of-west)" --wait=all \
	--server "$(servers east,south)"
same "its CRL stays the last good one" "$west_number" "$(number west east)"
expect 0 "promise 9: the identity is blocked at once" 'gets no new one' \
	q revoke --identity "$(identity shop dead)" --server "$(servers east,south)"
expect 1 "which every node keeps to" 'identity is revoked' \
	request "$T/none" "$(token west shop dead)" --server "$(at east)"
root_number=$(number root east)
expect 0 "promise 9: issuer revoke takes the whole issuer" 'west.*revoked' \
	q issuer revoke west --reason key-compromise \
	--passphrase-file "$T/passphrase" --server "$(servers east,south)"
check "the root's CRL has the next number" test \
	"$(number root east)" -gt "$root_number"
for n in east south; do
	check "its leaves are refused in $n" wait_for 5 refused of-west2 "$n"
	expect 0 "for the issuer's sake" 'depth 1|west issuer' cat "$T/verified"
done
check "the root's CRL is the same bytes" same_bytes /root.crl east south
root_number=$(number root east)
expect 0 "the root's CRL is signed anew" 'signed anew' q root sign-crl \
	--passphrase-file "$T/passphrase" --server "$(servers east,south)"
same "with the next number" $((root_number + 1)) "$(number root east)"
check "and what it listed" refused of-west2 east
expect 1 "not without the passphrase" 'passphrase|altered' q root sign-crl \
	--passphrase-file "$T/tokens/west.jwks" --server "$(servers east,south)"
node_start west
must "the dead node comes back" wait_for 20 node_voter west
check "and publishes what the others do" wait_for 10 same_bytes /crl.pem
check "in its directory, too" wait_for 10 same_files
# Until a peer has confirmed its clock, that is why it issues nothing.
refused_as_revoked() {
	request "$T/none" "$tok" --server "$(at west)" 2>&1 | grep 'revoked'
}
check "its issuer signs no more" wait_for 10 refused_as_revoked

# ---- Promise 6: without a quorum ----

for n in west south; do node_kill "$n"; done
age() {
	get east /crl.pem -D - -o /dev/null |
		sed -n 's/\r$//; s/^Quorate-State-Age-Ms: //Ip'
}
old() {
	[ "$(age)" -gt 1500 ]
}
check "promise 6: without a quorum CRLs say how old they are" wait_for 10 old
check "promise 6: and go on being served" cmp "$T/pub/east/ca-crl.pem" \
	<(get east /crl.pem)
check "promise 6: running traffic does not notice" accepted two-roots east
finish
