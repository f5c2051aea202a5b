#!/bin/sh
# Format, length, static analysis and the manual pages.
# usage: style.sh FILE...
set -eu
cd "$(dirname "$0")/../.."
for tool in clang-format clang-tidy cppcheck mandoc ctags; do
	command -v $tool >/dev/null || {
		echo "lint needs $tool: apt-get install clang-format clang-tidy cppcheck mandoc universal-ctags" >&2
		exit 1
	}
done
bad=0
clang-format --dry-run -Werror "$@" || bad=1

for f in "$@"; do
	n=$(wc -l <"$f")
	[ "$n" -le 800 ] || { echo "$f: $n lines; files stop at 800"; bad=1; }
done
# Functions stop at 60 lines; tests' tables are the excuse they have.
long=$(printf '%s\n' "$@" | grep -E '^(raft|src)/.*\.c$' |
	xargs ctags -x --c-kinds=f --_xformat='%N %F %n %e' |
	awk '{ n = $4 - $3 + 1; if (n > 60) print $2 ":" $3 ": " $1 " has " n " lines" }')
[ -z "$long" ] || { echo "$long"; bad=1; }

# One file each: with several, clang 14 takes a va_list of one for that of another.
make -s compile_commands.json
printf '%s\n' "$@" | grep -E '^(raft|src)/.*\.c$' |
	xargs -P 2 -n 1 clang-tidy --quiet -p . 2>/dev/null || bad=1
cppcheck --quiet --std=c11 --error-exitcode=1 --inline-suppr -j 2 \
	--enable=warning,portability --suppress=missingIncludeSystem \
	--suppress=normalCheckLevelMaxBranches \
	-Isrc -Iraft -Iinclude $(printf '%s\n' "$@" | grep -E '^(raft|src)/.*\.c$') || bad=1
for page in docs/man/*.[0-9]; do
	[ -e "$page" ] || continue
	mandoc -Tlint -Wwarning "$page" || bad=1
done
exit $bad
