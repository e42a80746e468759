#!/usr/bin/env bash
# An hour of redis traffic in one trace: whether memory stays flat, and what reading all of it takes.
#
#   benches/hour.sh [MINUTES]
#
# SOCKSHIM names the tool (target/release/sockshim), SCRATCH a folder with room for some gigabytes.
# Memory is what belongs to each process alone, in MiB: the region's pages are counted once, by themselves.
set -euo pipefail
cd "$(dirname "$0")/.."
minutes=${1:-60}
sockshim=${SOCKSHIM:-target/release/sockshim}
scratch=$(mktemp -d "${SCRATCH:-${TMPDIR:-/tmp}}/sockshim-hour.XXXXXX")
trap 'kill "${load:-}" "${tool:-}" 2>/dev/null || :; wait; rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$sockshim" run -o "$scratch/hour.sst" -q -- redis-server --port "$port" --bind 127.0.0.1 --save '' \
    --appendonly no >"$scratch/log" 2>"$scratch/err" &
tool=$!
until redis-cli -p "$port" PING >"$scratch/ping" 2>&1; do kill -0 "$tool"; read -rt 0.1 <> <(:) || :; done
server=$(redis-cli -p "$port" INFO server | tr -d '\r' | sed -n 's/^process_id://p')
# The tool may be run by way of others (a nice value, say); it is the server's parent.
tool=$(awk '/^PPid/ { print $2 }' "/proc/$server/status")
region=$(awk '/sockshim/ && /shm|memfd/ { print $6; exit }' "/proc/$server/maps")
redis-benchmark -p "$port" -t get,set -d 64 -P 16 -c 20 -r 1000 -n 1000000 -l -q >/dev/null 2>&1 &
load=$!

anonymous() { awk '/^RssAnon/ { printf "%.1f", $2 / 1024 }' "/proc/$1/status"; }
printf '| minute | commands | trace, MiB | region, MiB | tool, MiB | redis, MiB |\n| ---: | ---: | ---: | ---: | ---: | ---: |\n'
for minute in $(seq 0 "$minutes"); do
    commands=$(redis-cli -p "$port" INFO stats | tr -d '\r' | sed -n 's/^total_commands_processed://p')
    printf '| %d | %d | %d | %.1f | %s | %s |\n' "$minute" "$commands" \
        $(($(stat -c %s "$scratch/hour.sst") / 1048576)) \
        "$(stat -c '%b' "$region" | awk '{ print $1 * 512 / 1048576 }')" "$(anonymous "$tool")" "$(anonymous "$server")"
    [ "$minute" = "$minutes" ] || read -rt 60 <> <(:) || :
done
kill "$load"; wait "$load" 2>/dev/null || :; load=
redis-cli -p "$port" SHUTDOWN NOSAVE >/dev/null 2>&1 || :
tail --pid="$tool" -f /dev/null
cat "$scratch/err"
printf '\nReading it:\n\n'
for words in 'check --no-errors' 'report --top 5'; do
    # shellcheck disable=SC2086
    /usr/bin/time -f "$words: %U s, %M KiB" "$sockshim" $words "$scratch/hour.sst" 2>&1 | tail -n 12
done
