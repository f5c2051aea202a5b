#!/bin/bash
# `make demo`: three clusters under one trust domain, on loopback.  Each step
# checks what it says; the exit status is 0 only if all of them held.
#
# KEEP=1 leaves it running and says what to try.  DEMO_NET chooses other
# addresses than 127.0.1.1 to 127.0.1.3.
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
export TRUST_DOMAIN=demo.example
NET=${DEMO_NET:-127.0.1}
began=$(now_ms)

bold='' plain=''
if [ -t 1 ]; then bold=$'\e[1m' plain=$'\e[0m'; fi

step() { # heading
	printf '\n%s%s%s\n' "$bold" "$1" "$plain"
}

say() { # sentence...
	printf '%s\n' "$@" | sed 's/^/  /'
}

die() { # why
	printf '\n%sDEMO FAILED%s: %s\n' "$bold" "$plain" "$1"
	logs_show
	exit 1
}

# Show the command, run it in the world's folder, show its output.
run() { # command...
	printf '  %s$ %s%s\n' "$bold" "$*" "$plain"
	(cd "$T" && "$@") 2>&1 | sed '/^$/d; s/^/    /'
	[ "${PIPESTATUS[0]}" -eq 0 ] || die "$*"
}

# The same for a command that must be refused, saying something like PATTERN.
refused() { # pattern command...
	local pattern=$1
	shift
	printf '  %s$ %s%s\n' "$bold" "$*" "$plain"
	! (cd "$T" && "$@") >"$T/said" 2>&1 || die "this was not refused: $*"
	sed '/^$/d; s/^/    /' "$T/said"
	grep -q -- "$pattern" "$T/said" || die "refused, but for another reason"
}

# Show what goes into the background, and start it.
start() { # node
	printf '  %s$ quorated --data %s &%s\n' "$bold" "$1" "$plain"
	node_start "$1"
	echo "${PID[$1]}" >"$T/$1.pid"
}

seconds() { # ms
	printf '%d.%02d s' $(($1 / 1000)) $(($1 % 1000 / 10))
}

for ip in "$NET".{1,2,3}; do
	for port in 8443 8444 8080 9090 7700; do
		! port_open "$ip" $port || {
			cat >&2 <<-BUSY
				demo: $ip:$port is in use.
				If a demo was left running (KEEP=1), it said how to stop it.
				If another program has the port on this address: DEMO_NET=127.0.2
				chooses others.  On every address: stop it for half a minute.
			BUSY
			exit 1
		}
	done
done
world_new
echo "quorate: one certificate authority in three clusters (folder $T)"

# -----------------------------------------------------------------------------
step "1. A new trust domain; its first node runs in cluster east"

node_name east
run quorate init --trust-domain "$TRUST_DOMAIN" --cluster east --data east \
	--admin admin --listen "${ADDR[east]}" --settle 0 \
	--passphrase-file passphrase --set "publish.dir=$T/mount/east"
start east
node_wait east >/dev/null || die "east does not become ready"
say "It is ready: it leads a quorum of one, and issues."

# -----------------------------------------------------------------------------
step "2. west and south join: a token, and the operator's root key"

join() { # node
	node_name "$1"
	run quorate token create --cluster "$1" --out "$1.token"
	run quorate join --token-file "$1.token" --data "$1" \
		--listen "${ADDR[$1]}" --no-wait --set "publish.dir=$T/mount/$1"
	start "$1"
	wait_for 15 node_pending "$1" >/dev/null || die "$1 was not heard"
	run quorate issuer approve "$1" --passphrase-file passphrase
	node_wait "$1" >/dev/null || die "$1 does not become ready"
	wait_for 20 node_voter "$1" || die "$1 does not become a voter"
	say "$1 has caught up, votes, and issues with an issuer of its own."
}
join west
join south
all_issue() {
	q member list -o json | jq -e 'length == 3 and all(.[]; .issuing)'
}
wait_for 5 all_issue >/dev/null || die "not every member issues"
run quorate member list

# -----------------------------------------------------------------------------
step "3. Each cluster's own key signs its service-account tokens"

for n in east west south; do
	quorate-dev-token --key "$T/tokens/$n.key" --new-key \
		--jwks "$T/$n.jwks" || die "no token key for $n"
	run quorate cluster set-jwks "$n" --jwks "$n.jwks"
done
say "Registered in one place, known to every node: any of them can check" \
	"any cluster's tokens without asking that cluster."

# -----------------------------------------------------------------------------
step "4. A workload of east gets its certificate from west"

mint() {
	quorate-dev-token --key "$T/tokens/east.key" \
		--sub system:serviceaccount:shop:cart >"$T/cart.token"
}
mint || die "no token"
run quorate request --new-key cart.key --token-file cart.token --out cart.pem \
	--server "$(at west)"
mkdir "$T/cart" && cp "$T/cart.pem" "$T/cart/chain.pem"
chain_split "$T/cart" || die "the chain is not leaf, issuer, root"
cp "$T/cart/leaf.pem" "$T/leaf.pem"
cp "$T/cart/issuer.pem" "$T/issuer.pem"
run openssl x509 -in leaf.pem -noout -issuer -ext \
	subjectAltName,keyUsage,extendedKeyUsage
run openssl verify -x509_strict -CAfile admin/root.pem -untrusted issuer.pem \
	leaf.pem
openssl x509 -in "$T/leaf.pem" -noout -ext subjectAltName |
	grep -qF "URI:$(identity shop cart)" || die "the leaf has another name"
openssl x509 -in "$T/leaf.pem" -noout -issuer | grep -qw west ||
	die "it was not west that signed"
say "west's issuer signed for a workload of east; OpenSSL's strict check" \
	"accepts the chain up to the trust domain's root."

# -----------------------------------------------------------------------------
step "5. The log of all three nodes holds it, byte for byte"

serial=$(serial_of "$T/leaf.pem")

# The entry and the certificate as that node has them.
fetch() { # node
	q cert show "$serial" --server "$(at "$1")" -o json >"$T/$1.json" &&
		jq -re .entry "$T/$1.json" | base64 -d >"$T/$1.entry" &&
		jq -je .pem "$T/$1.json" >"$T/$1.leaf"
}
say "\$ quorate cert show $serial --server EACH -o json"
for n in east west south; do
	wait_for 5 fetch "$n" || die "$n does not have the certificate"
	[ -s "$T/$n.entry" ] || die "$n shows no entry"
	printf '    %-6s log index %s, %d bytes, sha256 %s\n' "$n" \
		"$(jq .index "$T/$n.json")" "$(stat -c %s "$T/$n.entry")" \
		"$(sha256sum <"$T/$n.entry" | cut -c1-32)..."
done
for n in east west south; do
	cmp "$T/$n.entry" "$T/west.entry" ||
		die "$n logged something else than west"
	cmp "$T/$n.leaf" "$T/leaf.pem" ||
		die "$n logged another certificate than was handed out"
done
say "The same bytes three times, and the certificate rebuilt from them is the" \
	"one the workload got.  It left west only after a quorum had it."

# -----------------------------------------------------------------------------
step "6. The leader is killed with kill -9"

dead=$(leader west) || die "nobody leads"
rest=()
for n in east west south; do [ "$n" = "$dead" ] || rest+=("$n"); done
say "$dead leads.  From its death on, every 0.1 s a workload of east asks" \
	"${rest[0]}, and if that cannot, ${rest[1]}."

# One workload: when it had its certificate, in its folder.
asker() { # number
	request "$T/ask/$1" "$T/cart.token" \
		--server "$(servers "${rest[0]},${rest[1]}")" >/dev/null 2>&1 &&
		now_ms >"$T/ask/$1/when"
}
first_answer() {
	cat "$T"/ask/*/when 2>/dev/null | sort -n | head -n 1
}
mkdir "$T/ask"
printf '  %s$ kill -9 %s%s\n' "$bold" "${PID[$dead]}" "$plain"
node_kill "$dead"
killed=$(now_ms)
askers=()
for i in {1..150}; do
	asker "$i" &
	askers+=($!)
	sleep 0.1
	[ -z "$(first_answer)" ] || break
done
wait "${askers[@]}"
back=$(first_answer)
[ -n "$back" ] || die "no certificate was issued after the leader's death"
gap=$((back - killed))
first=$(dirname "$(grep -lx "$back" "$T"/ask/*/when | head -n 1)")
chain_verify "$first" >/dev/null || die "the new certificate does not verify"
now_leads=$(leader "${rest[0]}") || die "nobody leads"
got=$(cat "$T"/ask/*/when | wc -l)
say "$now_leads leads now.  For $(seconds $gap) nobody could get a certificate;" \
	"then $got of the ${#askers[@]} who had asked got one." \
	"Running traffic does not notice: certificates live for a day."
[ "$got" -eq ${#askers[@]} ] || die "somebody got none"
[ "$gap" -lt 5000 ] || die "that is too long"

# -----------------------------------------------------------------------------
step "7. $dead comes back, catches up, and agrees"

start "$dead"
node_wait "$dead" >/dev/null || die "$dead does not become ready"
heads_equal() {
	q head --all -o json | jq -e \
		'length == 3 and (map([.tree_size, .root]) | unique | length == 1)
			and all(.[]; .checked == "good")'
}
wait_for 10 heads_equal >/dev/null || die "the tree heads differ"
run quorate head --all
serial=$(serial_of "$first/leaf.pem")
q cert show "$serial" --server "$(at "$dead")" >/dev/null ||
	die "$dead does not have what was issued while it was dead"
run quorate status
say "One tree head on all three, each signed by its node: $dead has what was" \
	"issued while it was dead, and nobody's history was rewritten."

# -----------------------------------------------------------------------------
step "8. What each cluster mounts: whom to trust, and what is revoked"

# As a peer in that cluster checks the workload of step 4.
peer() { # cluster
	echo openssl verify -x509_strict -crl_check_all \
		-CAfile "mount/$1/root-cert.pem" -CRLfile "mount/$1/ca-crl.pem" \
		-untrusted issuer.pem leaf.pem
}
mounted() { # cluster: a sum of what it mounts
	sha256sum <"$T/mount/$1/ca-crl.pem"
}
run ls mount/east
say "Each node keeps these up to date for the istiod and the proxies of its" \
	"cluster: CRLs of the root and of every issuer from the first day."
declare -A before=()
for n in east west south; do
	# shellcheck disable=SC2046,SC2091 # words
	(cd "$T" && $(peer "$n")) >/dev/null 2>&1 ||
		die "$n does not accept the certificate"
	before[$n]=$(mounted "$n")
done
# shellcheck disable=SC2046 # words
run $(peer east)
say "west and south accept it, too."

# -----------------------------------------------------------------------------
step "9. Revoked in south, refused everywhere"

run quorate revoke --identity "$(identity shop cart)" --reason key-compromise \
	--wait=all --server "$(at south)"
serial=$(serial_of "$T/leaf.pem")
get() { # node issuer
	curl -sS --noproxy '*' --max-time 5 --fail -o "$T/crl-$1-$2" \
		"http://${ADDR[$1]}:8080/crl/$2.crl"
}
say "\$ curl http://EACH:8080/crl/ISSUER.crl"
for issuer in root east west south; do
	for n in east west south; do
		get "$n" "$issuer" || die "$n does not serve the CRL of $issuer"
		cmp "$T/crl-$n-$issuer" "$T/crl-east-$issuer" ||
			die "the CRL of $issuer is another one on $n"
	done
	openssl crl -inform DER -in "$T/crl-east-$issuer" -noout -text \
		>"$T/crl-$issuer"
	printf '    %-6s number %d, %d revoked, %d bytes on all three: sha256 %s...\n' \
		"$issuer" "$(grep -A1 'CRL Number' "$T/crl-$issuer" | tail -n 1)" \
		"$(grep -c 'Serial Number:' "$T/crl-$issuer")" \
		"$(stat -c %s "$T/crl-east-$issuer")" \
		"$(sha256sum <"$T/crl-east-$issuer" | cut -c1-20)"
done
grep -qi "Serial Number: $serial" "$T/crl-west" ||
	die "the CRL of west does not list $serial"
say "west's issuer signed $serial: its CRL lists it."
for n in east west south; do
	[ "${before[$n]}" != "$(mounted "$n")" ] ||
		die "what $n mounts has not changed"
done
for n in west south; do
	# shellcheck disable=SC2046,SC2091 # words
	(cd "$T" && $(peer "$n")) 2>&1 | grep -q 'certificate revoked' ||
		die "$n does not refuse the certificate"
done
# shellcheck disable=SC2046 # words
refused 'certificate revoked' $(peer east)
say "The same command as in step 8.  What west and south mount has changed, too."
refused keyCompromise quorate request --new-key again.key \
	--token-file cart.token --server "$(at east)"
say "Its token is good still, but nobody signs for a revoked identity until an" \
	"operator lifts that."

# -----------------------------------------------------------------------------
printf '\n%sEach step did what it says%s; %s.\n' "$bold" "$plain" \
	"$(seconds $(($(now_ms) - began)))"

if [ -z "${KEEP-}" ]; then
	for n in east west south; do
		node_stop "$n" || die "$n does not stop cleanly"
	done
	exit 0
fi
# shellcheck disable=SC2034 # the library's
KEEP_WORLD=1
disown -a
cat <<TRY

Left running.  To look around:

  cd $T
  export PATH=$B/bin:\$PATH QUORATE_IDENTITY=\$PWD/admin
  quorate status --watch
  quorate-dev-token --key tokens/south.key \\
    --sub system:serviceaccount:shop:checkout >checkout.token
  quorate request --new-key checkout.key --token-file checkout.token
  quorate cert find spiffe://$TRUST_DOMAIN/ns/shop/sa/checkout
  quorate blocked
  quorate revoke --identity $(identity shop cart) --lift
  quorate crl --issuer west | openssl crl -noout -text
  quorate member transfer
  kill -9 \$(cat east.pid); quorate status; quorated --data east 2>>log/east & echo \$! >east.pid
  curl http://${ADDR[west]}:9090/metrics

To stop it:

  cd $T && kill \$(cat *.pid) && sleep 1 && rm -r $T
TRY
