#!/bin/sh
# Exports the finished files of a run and removes them: ship.sh TRACE RELEASE LAKE, from a timer, on every machine.
#
# TRACE is what `sockshim run --rotate 256M -o TRACE -- PROGRAM` writes to: TRACE, TRACE.1, TRACE.2 and so on. All but the
# newest are finished. A file that cannot be exported stays, and is tried again.
set -eu
trace=$1 release=$2 lake=$3
status=0
# sort -V, for .10 comes behind .9.
IFS="
"
for file in $(ls "$trace" "$trace".[0-9]* 2>/dev/null | sort -V | sed '$d'); do
    if sockshim export --format parquet --connections "$file" -o "$lake/connections/release=$release"; then
        rm -- "$file"
    else
        status=1
    fi
done
exit $status
