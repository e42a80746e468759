#!/bin/sh
# Installs what `make build` has built, or takes it away again: one list serves both, so that nothing is
# left behind.
#
#     PREFIX=/usr/local LIBDIR=/usr/local/lib DESTDIR= RELEASE=target/release packaging/install.sh install
#     PREFIX=/usr/local LIBDIR=/usr/local/lib DESTDIR= packaging/install.sh uninstall
set -eu
umask 022
cd "$(dirname "$0")/.."

verb=${1:-}
: "${PREFIX:=/usr/local}" "${LIBDIR:=$PREFIX/lib}" "${DESTDIR:=}" "${RELEASE:=target/release}"
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
soname=libsockshim.so.${version%%.*}
man=$PREFIX/share/man
cmake=$LIBDIR/cmake/sockshim

# Where the completions are looked for: Debian has a folder of its own for what comes in packages.
if [ "$PREFIX" = /usr ]; then zsh=$PREFIX/share/zsh/vendor-completions; else zsh=$PREFIX/share/zsh/site-functions; fi

case $verb in
install)
    put() { install -D -m "$1" "$2" "$DESTDIR$3"; }
    link() { mkdir -p "$DESTDIR$(dirname "$2")" && ln -sf "$1" "$DESTDIR$2"; }
    for file in sockshim libsockshim.so libsockshim.a libsockshim_harness.so; do
        [ -f "$RELEASE/$file" ] || { echo "$RELEASE/$file is not there: run make build" >&2; exit 1; }
    done
    made=$(mktemp -d)
    trap 'rm -rf "$made"' EXIT
    "$RELEASE/sockshim" man "$made/man"
    for shell in bash zsh fish; do "$RELEASE/sockshim" completions "$shell" >"$made/$shell"; done
    up=$(realpath -m --relative-to="$cmake" "$PREFIX")
    for file in packaging/*.in; do
        sed "s|@PREFIX@|$PREFIX|g; s|@LIBDIR@|$LIBDIR|g; s|@VERSION@|$version|g; s|@MAJOR@|${version%%.*}|g
             s|@SONAME@|$soname|g; s|@UP@|$up|g" "$file" >"$made/$(basename "$file" .in)"
    done
    # Symbols are for debuggers, which find them apart (make symbols).
    for file in sockshim libsockshim.so libsockshim_harness.so; do strip --strip-unneeded -o "$made/$file" "$RELEASE/$file"; done
    strip --strip-debug -o "$made/libsockshim.a" "$RELEASE/libsockshim.a"
    ;;
uninstall)
    made=
    put() { rm -f "$DESTDIR$3"; }
    link() { rm -f "$DESTDIR$2"; }
    ;;
*)
    echo "usage: $0 install|uninstall, with PREFIX, LIBDIR, DESTDIR and RELEASE in the environment" >&2
    exit 2
    ;;
esac

put 755 "$made/sockshim" "$PREFIX/bin/sockshim"

put 644 "$made/libsockshim.so" "$LIBDIR/libsockshim.so.$version"
link "libsockshim.so.$version" "$LIBDIR/$soname"
link "$soname" "$LIBDIR/libsockshim.so"
put 644 "$made/libsockshim.a" "$LIBDIR/libsockshim.a"
put 644 "$made/libsockshim_harness.so" "$LIBDIR/libsockshim_harness.so.$version"
link "libsockshim_harness.so.$version" "$LIBDIR/libsockshim_harness.so.${version%%.*}"
link "libsockshim_harness.so.${version%%.*}" "$LIBDIR/libsockshim_harness.so"

for header in include/sockshim.h include/sockshim.hpp; do put 644 "$header" "$PREFIX/$header"; done
for header in include/sockshim/*; do put 644 "$header" "$PREFIX/$header"; done
put 644 "$made/sockshim.pc" "$LIBDIR/pkgconfig/sockshim.pc"
put 644 "$made/sockshim-harness.pc" "$LIBDIR/pkgconfig/sockshim-harness.pc"
put 644 "$made/sockshimConfig.cmake" "$cmake/sockshimConfig.cmake"
put 644 "$made/sockshimConfigVersion.cmake" "$cmake/sockshimConfigVersion.cmake"

# `sockshim-VERB.1` and `sockshim_FUNCTION.3` are names of ours, whichever verbs and functions there are.
if [ "$verb" = install ]; then
    for page in "$made"/man/*; do put 644 "$page" "$man/man1/$(basename "$page")"; done
    functions() { sed -n 's/^[a-z].*[ *]\(sockshim_[a-z0-9_]*\)(.*/\1/p' "$1"; }
    functions include/sockshim.h | while read -r function; do link sockshim.3 "$man/man3/$function.3"; done
    cat include/sockshim/harness.h include/sockshim/peer.h >"$made/harness.h"
    functions "$made/harness.h" | grep -v _or_skip | while read -r function; do
        link sockshim-harness.3 "$man/man3/$function.3"
    done
else
    rm -f "$DESTDIR$man"/man1/sockshim.1 "$DESTDIR$man"/man1/sockshim-*.1 "$DESTDIR$man"/man3/sockshim_*.3
fi
put 644 docs/man/sockshim.3 "$man/man3/sockshim.3"
put 644 docs/man/sockshim-harness.3 "$man/man3/sockshim-harness.3"
put 644 "$made/bash" "$PREFIX/share/bash-completion/completions/sockshim"
put 644 "$made/zsh" "$zsh/_sockshim"
put 644 "$made/fish" "$PREFIX/share/fish/vendor_completions.d/sockshim.fish"

# The loader finds /usr/local/lib by its cache only. A package has a trigger for that.
if [ -z "$DESTDIR" ] && [ "$(id -u)" = 0 ]; then ldconfig 2>/dev/null || true; fi

if [ "$verb" = uninstall ]; then
    for folder in "$PREFIX/include/sockshim" "$cmake"; do
        [ ! -d "$DESTDIR$folder" ] || rmdir --ignore-fail-on-non-empty "$DESTDIR$folder"
    done
    # In a tree of its own the folders were made for us as well. Those of a system are not ours.
    if [ -d "$DESTDIR" ] && [ "$(realpath "$DESTDIR")" != / ]; then
        cd "$DESTDIR"
        for folder in "$PREFIX/bin" "$PREFIX/include" "$LIBDIR/cmake" "$LIBDIR/pkgconfig" "$man/man1" "$man/man3" \
            "$PREFIX/share/bash-completion/completions" "$zsh" "$PREFIX/share/fish/vendor_completions.d"; do
            rmdir -p --ignore-fail-on-non-empty "${folder#/}" 2>/dev/null || true
        done
    fi
fi
