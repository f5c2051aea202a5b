#!/bin/bash
# Every command's -o json is one JSON value, with the fields that scripts stand
# on; a command that is missing here is a failure.
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
world_new
tried=" "

# The output is JSON, and the expression holds for it.
gives() { # jq-expression command words...
	local filter=$1 said status=0
	shift
	tried+="$1 "
	case ${2-} in [a-z]*) tried+="$1-$2 " ;; esac
	said=$(q "$@" -o json 2>"$T/err") || status=$?
	if [ "$status" -eq 0 ] && jq -se "length == 1 and (.[0] | $filter)" \
		<<<"$said" >/dev/null; then
		ok "$1 ${2-}: $filter"
	else
		not_ok "$1 ${2-}: $filter" "exit $status, $said $(cat "$T/err")"
	fi
}

fields() { # name...: a filter that wants each of them
	local f out=true
	for f in "$@"; do out+=" and has(\"$f\")"; done
	echo "$out"
}

phrase=(--passphrase-file "$T/passphrase")
node_name east
node_name west
gives '.trust_domain == "quorate.test" and (.root_sha256 | length) == 64' \
	init --trust-domain quorate.test --cluster east --data "$T/east" \
	--admin "$T/admin" --listen "${ADDR[east]}" --settle 0 \
	--cheap-sealing "${phrase[@]}"
node_start east
must "the node is ready" node_wait east

quorate-dev-token --key "$T/tokens/east.key" --new-key \
	--jwks "$T/tokens/east.jwks"
gives '.cluster == "east" and .keys == 1 and .index > 1' \
	cluster set-jwks east --jwks "$T/tokens/east.jwks"
gives '.cluster == "mars" and .removed == false' cluster add mars
gives '.removed == true' cluster remove mars
gives 'length == 1 and .[0].name == "east" and (.[0].keys | length) == 1' \
	cluster list

gives '.cluster == "west" and (.token | startswith("quorate-join-v1."))' \
	token create --cluster west --ttl 2h
q token create --cluster west --out "$T/tokens/west" 2>/dev/null
gives '.state == "waiting" and .id == 0' join --token-file "$T/tokens/west" \
	--data "$T/west" --listen "${ADDR[west]}" --no-wait
node_start west
must "west asks" wait_for 15 node_pending west
gives '(.issuers | length) == 1 and (.pending[0] | '"$(fields cluster mesh_key heard)"')' \
	issuer list
gives '.id == 2 and .cluster == "west" and .witness == false' \
	issuer approve west "${phrase[@]}"
must "west is ready" node_wait west
must "west votes" wait_for 20 node_voter west

gives "$(fields trust_domain cluster version id leader term commit applied \
	role quorum head issued uptime_s issuing_why members alarms)" status
gives "$(fields index tree_size root state_digest time node signature)" head
gives 'length == 2' head --all --server "$(servers east,west)"
gives "length == 2 and (.[0] | $(fields id cluster state leader reachable \
	applied issuing mesh_address))" member list
gives '.leader == 2' member transfer 2
gives "$(fields version ttl_default_s ttl_max_s renew_max_s \
	issuer_settle_ms admin_signatures)" policy get
gives '.ttl_max_s == 43200' policy set --ttl-max 12h --ttl-default 12h
gives '.operator == "bob" and .removed == false' \
	operator add bob --new "$T/bob" --role auditor
gives '[.[].name] | sort == ["admin", "bob"]' operator list
gives '.removed == true' operator remove bob

tok=$(token east shop cart)
gives '.identity == "'"$(identity shop cart)"'" and (.serial | length) == 32' \
	request --new-key "$T/key.pem" --token-file "$tok"
gives 'length >= 1 and all(.[]; '"$(fields index time serial issuer profile \
	uri not_before not_after via cluster requester sha256 outcome)"')' \
	cert list
gives 'length == 1' cert find "$(identity shop cart)"
gives 'length == 0' cert find "$(identity shop nobody)"
serial=$(q cert find "$(identity shop cart)" -o json | jq -r '.[0].serial')
gives "$(fields entry pem issuer_pem pod_name pod_uid signer_seq)" \
	cert show "$serial"
gives '.pem | startswith("-----BEGIN")' bundle
gives '.keys | length == 1' bundle --format spiffe

gives '.index > 1 and .lifted == false and .published_everywhere' \
	revoke "$serial" --reason superseded --wait all
gives '.lifted == false' revoke --identity "$(identity shop cart)"
gives '.lifted == false' revoke --pod uid-shop-cart
gives "length == 2 and all(.[]; $(fields kind what since reason))" blocked
gives '.lifted == true' revoke --identity "$(identity shop cart)" --lift
gives '.pem | startswith("-----BEGIN X509 CRL")' crl
gives '.index > 1' root sign-crl "${phrase[@]}"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
	-subj /CN=other -addext keyUsage=critical,keyCertSign,cRLSign \
	-keyout "$T/other.key" -out "$T/other.pem" 2>/dev/null
gives '.certificates == 1' root import "$T/other.pem" "${phrase[@]}"
gives '.trust_domain == "other.test"' \
	federate add other.test --bundle "$T/other.pem"
gives 'any(.[]; .trust_domain == "other.test" and .count == 1)' federate list
gives '.trust_domain == "other.test"' federate remove other.test
gives '.state == "retired"' issuer retire west
gives '.state == "revoked"' issuer revoke west "${phrase[@]}"
gives '.id == 2 and .removed and .left' member remove 2

# ---- None forgotten ----

while read -r name; do
	case "$tried" in
	*" $name "*) ;;
	*) not_ok "quorate ${name/-/ } was not tried" ;;
	esac
done < <(quorate --help | sed -nE 's/^  quorate ([a-z]+)( ([a-z-]+))?.*/\1 \3/p' |
	sed 's/ $//; s/ /-/')
finish
