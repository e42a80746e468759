#!/bin/sh
# Runs the tests, and sums up what they counted: they print lines `tally: key=value ...`. Of a key that
# several print, whole numbers are added up, and of percentages the lowest counts.
set -u
cd "$(dirname "$0")/.."
log=target/tally.log
mkdir -p target
began=$(date +%s)
# A background job of a script ignores SIGINT and SIGQUIT, and so would every server that the tests end by one.
{ env --default-signal=INT,QUIT "$@" 2>&1; echo "tests ended with status $?"; } | tee "$log"
awk -v seconds=$(($(date +%s) - began)) '
    # Tests that run side by side may end on one line.
    { at = index($0, "tally: ") }
    at {
        fields = split(substr($0, at + 7), field, " ")
        for (i = 1; i <= fields; i++) {
            split(field[i], pair, "=")
            key = pair[1]
            value = pair[2]
            if (!(key in sum)) keys[++count] = key
            if (value ~ /%$/) {
                if (!(key in sum) || value + 0 < sum[key] + 0) sum[key] = value
            } else sum[key] += value
        }
    }
    /^tests ended with status / { status = $NF }
    END {
        printf "\nIn %d min %d s:\n", seconds / 60, seconds % 60
        for (i = 1; i <= count; i++) {
            value = sum[keys[i]]
            name = keys[i]
            gsub("_", " ", name)
            printf (value ~ /%$/ ? "  %-18s %s\n" : "  %-18s %.0f\n"), name, value
        }
        print status == "0" ? "  all passed" : "  FAILED: see above"
        exit status != "0"
    }' "$log"
