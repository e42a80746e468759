#!/usr/bin/env bash
# That the shim, the tool and the library for tests compile for aarch64, and where a cross compiler and qemu are installed
# (gcc-aarch64-linux-gnu, libc6-dev-arm64-cross, qemu-user), that the C programs do there what they do without us.
# Programs that execute others are left out: the emulator would have to be in their way.
set -euo pipefail
cd "$(dirname "$0")/.."
target=aarch64-unknown-linux-gnu
cargo=${CARGO:-cargo}

if ! [ -d "$(rustc --print sysroot)/lib/rustlib/$target" ]; then
    rustup target add $target 2>/dev/null || { echo "SKIPPED: no standard library for $target, and rustup cannot add it"; exit 0; }
fi
$cargo check --quiet --release --target $target --package sockshim --no-default-features
$cargo check --quiet --release --target $target --package sockshim-cli --package sockshim-harness
echo "the shim, the tool and the library for tests compile for $target"

cc=aarch64-linux-gnu-gcc
for program in $cc qemu-aarch64; do
    command -v $program >/dev/null || { echo "SKIPPED: nothing was run, $program is not installed"; exit 0; }
done
CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=$cc $cargo build --quiet --release --target $target --package sockshim --no-default-features --lib
shim=$PWD/target/$target/release/libsockshim.so
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
export QEMU_LD_PREFIX=/usr/aarch64-linux-gnu
run() {
    local status=0
    qemu-aarch64 "$@" || status=$?
    echo "status $status"
}

ran=0
failed=
echo "SKIPPED: cancel_async, a thread that is cancelled asynchronously inside the shim aborts (docs/LIMITATIONS.md)"
for name in cancel dprintf dup epoll errno_kept fork half_close interrupted iov ipv6 large_transfer longjmp \
    msg nonblocking_connect peer_closes_first poll refused reset resolve scm_rights select sendfile socketpair sockopt \
    threads udp vfork; do
    $cc -O1 -D_GNU_SOURCE -Iinclude "c-tests/$name.c" -o "$out/$name" -lpthread
    (cd "$out" && run "./$name" >native 2>&1)
    (cd "$out" && run -E SOCKSHIM_LOG="$out/log" -E LD_PRELOAD="$shim" "./$name" >traced 2>&1)
    diff -u --label "$name" --label "$name, traced" "$out/native" "$out/traced" || failed+=" $name"
    [ -s "$out/log" ] || { echo "$name: nothing was recorded"; exit 1; }
    rm "$out/log"
    ran=$((ran + 1))
done
[ -z "$failed" ] || { echo "different when traced:$failed"; exit 1; }
echo "$ran programs do on aarch64 what they do without us"
