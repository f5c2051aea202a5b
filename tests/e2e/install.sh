#!/bin/bash
# What `make install` puts down is enough for another program: the example of
# docs/ compiles against it and gets a certificate from a real node.
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
world_new
prefix=$T/usr

must "make install" make -s -C "$ROOT" B="$B" PREFIX="$prefix" install
for f in bin/quorated bin/quorate lib/libquorate.a include/quorate.h \
	share/man/man1/quorate.1 share/man/man5/quorate-node.yaml.5 \
	share/man/man8/quorated.8; do
	check "$f is installed" test -s "$prefix/$f"
done
check "quorate-dev-token is not" not test -e "$prefix/bin/quorate-dev-token"
same "only the names of quorate.h are global" "$(
	grep -o '\bquorate_[a-z_]*(' "$ROOT/include/quorate.h" | tr -d '(' | sort -u
)" "$(nm -g --defined-only "$prefix/lib/libquorate.a" |
	awk 'NF == 3 { print $3 }' | sort)"

# The unit and the proxy's configuration, as those who read them judge.
sed "s|/usr/local|$prefix|" "$ROOT/deploy/systemd/quorated.service" \
	>"$T/quorated.service"
if command -v systemd-analyze >/dev/null; then
	check "systemd takes the unit" env MANPATH="$prefix/share/man" \
		systemd-analyze verify "$T/quorated.service"
fi
if command -v haproxy >/dev/null; then
	check "HAProxy takes its configuration" \
		haproxy -c -q -f "$ROOT/deploy/haproxy.cfg"
fi

flags=$(PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config --cflags --libs quorate)
# shellcheck disable=SC2086 # words
must "the example compiles against it" cc -std=c11 -Wall -Werror \
	"$ROOT/docs/examples/request.c" -o "$T/request" $flags

PATH=$prefix/bin:$PATH
must "the installed programs make a node" domain_new east
must "whose tokens are taken" cluster_keys east
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
	-keyout "$T/key.pem" -subj / -out "$T/csr.pem" 2>/dev/null
mkdir "$T/got"
ask() { # servers token-file
	"$T/request" "$1" "$T/admin/root.pem" "$T/csr.pem" "$2" \
		>"$T/got/chain.pem"
}
check "the example gets a certificate" ask "${ADDR[east]}:8443" \
	"$(token east shop cart)"
check "which OpenSSL accepts, strictly" chain_verify "$T/got"
expect 1 "and says why it gets none" 'expired' ask "${ADDR[east]}:8443" \
	"$(token east shop cart --expired)"
expect 75 "or that nobody is there" "$NET.9" ask "$NET.9:8443" \
	"$(token east shop cart)"
finish
