#!/bin/bash
# The commands of docs/tutorial.md, as a reader would type them: every block
# marked "sh", in order, in one shell.  Only folder and addresses differ.
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
world_new

{
	echo 'trap "kill -9 \$(jobs -p) 2>/dev/null || :" EXIT; set -eu'
	# Each command is shown before it runs; the last one seen is the culprit.
	echo 'set -v'
	awk '/^```sh$/ { on = 1; next } /^```$/ { on = 0 } on' \
		"$ROOT/docs/tutorial.md" |
		sed -e "s/127\.0\.1\./$NET./g" -e '/^export PATH=/d' \
			-e "s|~/quorate-tutorial|$T/tutorial|g"
} >"$T/script"
if timeout 120 bash "$T/script" >"$T/shown" 2>&1; then
	ok "every command of the tutorial succeeds"
else
	not_ok "every command of the tutorial succeeds" "$(tail -n 30 "$T/shown")"
fi
# What the text says that they show.
expect 0 "three voters are shown" '^3 +south +voter' cat "$T/shown"
expect 0 "the identity is the token's" \
	'^identity +spiffe://corp.example/ns/shop/sa/cart' cat "$T/shown"
same "three certificates were made" 3 "$(find "$T/tutorial" -name 'cart*.pem' | wc -l)"
finish
