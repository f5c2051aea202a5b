#!/bin/sh
# Every file of every corpus through its target, as `make fuzz` would begin.
# B names the build folder.
set -u
cd "$(dirname "$0")/../.."
B=${B:-build}
bad=0
for program in "$B"/tests/fuzz/replay_*; do
	[ -x "$program" ] || continue
	target=${program##*/replay_}
	log=$program.log
	if n=$(timeout 300 "$program" "tests/data/fuzz/$target" 2>"$log"); then
		echo "ok $target $n files"
	else
		echo "not ok $target: $(tail -n 1 "$log")"
		tail -n 30 "$log"
		bad=1
	fi
done
exit $bad
