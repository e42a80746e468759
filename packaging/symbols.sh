#!/bin/sh
# Puts what debuggers want to know beside what is installed: FOLDER/.build-id/XX/YYYY.debug for the tool and
# for the library, as gdb looks for it below /usr/lib/debug.
#
#     RELEASE=target/release packaging/symbols.sh target/symbols
#
# The tool is built with its line tables. The library is linked without, because the tool carries it, so it is
# built once more with them: the same code, or this stops.
set -eu
cd "$(dirname "$0")/.."
folder=${1:?usage: $0 FOLDER}
: "${RELEASE:=target/release}" "${CARGO:=cargo}"

build_id() { readelf -n "$1" | sed -n 's/.*Build ID: \(..\)\(.*\)/\1\/\2/p'; }
# Every section that is in memory, but for the name of the build.
code() {
    objcopy -O binary --remove-section=.note.gnu.build-id "$1" "$work/code"
    sha256sum <"$work/code"
}
# The part of $2 that is for debuggers, under the name of $1. $3 is a function of it.
keep() {
    id=$(build_id "$1")
    mkdir -p "$folder/.build-id/${id%/*}"
    objcopy --dump-section .note.gnu.build-id="$work/id" "$1" "$work/ignored"
    objcopy --only-keep-debug --compress-debug-sections "$2" "$work/debug"
    objcopy --update-section .note.gnu.build-id="$work/id" "$work/debug"
    # By an address of the file that is given away, its source must be found.
    at=$(nm --defined-only "$1" | awk -v name="$3" '$3 == name { print $1; exit }')
    addr2line -e "$work/debug" "$at" | grep -q '\.rs:[1-9]' || { echo "$2 tells no lines of $3" >&2; exit 1; }
    install -m 644 "$work/debug" "$folder/.build-id/$id.debug"
    echo "$folder/.build-id/$id.debug"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
keep "$RELEASE/sockshim" "$RELEASE/sockshim" "$(nm "$RELEASE/sockshim" | awk '/sockshim_cli/ && $2 ~ /[tT]/ { print $3; exit }')"
SOCKSHIM_SYMBOLS=1 $CARGO build --release --lib --target-dir "$folder/build"
full=$folder/build/release/libsockshim.so
[ "$(code "$RELEASE/libsockshim.so")" = "$(code "$full")" ] || {
    echo "$full is other code than $RELEASE/libsockshim.so: are both built by the same compiler, from the same sources?" >&2
    exit 1
}
keep "$RELEASE/libsockshim.so" "$full" connect
