#!/bin/sh
# The long tests, and their sum. Each prints lines `soak: key=value ...`: of a key that several
# print, whole numbers are added up, and of percentages the lowest counts.
set -u
cd "$(dirname "$0")/.."
log=target/soak.log
tests=
for test in suites crash agreement; do
    if [ -e "tests/$test.rs" ] || [ -e "tests/$test" ]; then
        tests="$tests --test $test"
    else
        echo "SKIPPED: $test: there is no such test"
    fi
done
began=$(date +%s)
# shellcheck disable=SC2086 # several words
{
    SOCKSHIM_SOAK=1 SOCKSHIM_REQUIRE_PROGRAMS=1 ${CARGO:-cargo} test --no-fail-fast $tests -- --nocapture 2>&1
    echo "soak ended with status $?"
} | tee "$log"
echo
awk -v seconds=$(($(date +%s) - began)) '
    /^soak: / {
        for (i = 2; i <= NF; i++) {
            split($i, pair, "=")
            key = pair[1]
            value = pair[2]
            if (!(key in sum)) keys[++count] = key
            if (value ~ /%$/) {
                if (!(key in sum) || value + 0 < sum[key] + 0) sum[key] = value
            } else sum[key] += value
        }
    }
    /^soak ended with status / { status = $NF }
    END {
        printf "soak, %d min %d s:\n", seconds / 60, seconds % 60
        for (i = 1; i <= count; i++) {
            value = sum[keys[i]]
            printf (value ~ /%$/ ? "  %-18s %s\n" : "  %-18s %.0f\n"), keys[i], value
        }
        print status == "0" ? "  all passed" : "  FAILED: see above"
        exit status != "0"
    }' "$log"
