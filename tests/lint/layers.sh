#!/bin/sh
# The layer table of the architecture: what a folder's sources may include.
# Prints each include that breaks it, and fails if there is one.
set -eu
cd "$(dirname "$0")/../.."

# folder | project headers it may include | library headers it may include
table='
raft|raft|
src/base|base|sodium openssl
src/ca|base ca|
src/wire|base ca wire raft|protobuf-c quorate.pb-c
src/pki|base ca wire pki raft|openssl sodium
src/signer|base ca wire pki signer raft|openssl sodium seccomp
src/store|base ca wire store raft|sodium lmdb
src/mesh|base ca wire mesh raft|sodium nng
src/auth|base ca wire pki auth raft|openssl sodium jansson
src/front|base ca wire pki auth front raft|openssl sodium event2 nghttp2 jansson
src/client|base wire pki client quorate ca raft|openssl sodium curl jansson
src/node|base ca wire pki signer store mesh auth front node raft client quorate|openssl sodium cyaml yaml jansson seccomp
src/cli|base ca wire pki client cli quorate node signer store raft|openssl sodium jansson curl
src/devtoken|base pki ca wire raft|openssl sodium jansson
src/docgen|base cli node|
'
libs='sodium protobuf-c quorate.pb-c openssl seccomp lmdb nng jansson event2 nghttp2 curl cyaml yaml'
mods='base ca wire pki signer store mesh auth front kube node client cli raft quorate'

bad=0
for file in raft/*.[ch] src/*/*.[ch]; do
	[ -e "$file" ] || continue
	dir=${file%/*}
	row=$(printf '%s\n' "$table" | grep "^$dir|") || {
		echo "$file: folder is not in the layer table"
		bad=1
		continue
	}
	ours=$(printf '%s' "$row" | cut -d'|' -f2)
	theirs=$(printf '%s' "$row" | cut -d'|' -f3)
	for inc in $(sed -n 's/^#[ \t]*include[ \t]*[<"]\([^>"]*\)[>"].*/\1/p' "$file"); do
		top=${inc%%/*}
		top=${top%.h}
		[ "$inc" != raft_trace.h ] || top=raft
		case " $libs " in
		*" $top "*)
			case " $theirs " in *" $top "*) continue ;; esac ;;
		*)
			case " $mods " in
			*" $top "*)
				case "$inc" in
				*/* | raft.h | raft_trace.h | quorate.h)
					case " $ours " in *" $top "*) continue ;; esac ;;
				*) continue ;;
				esac ;;
			*) continue ;;
			esac ;;
		esac
		echo "$file: may not include $inc (layer table, $dir)"
		bad=1
	done
done
exit $bad
