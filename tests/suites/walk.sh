#!/bin/sh
# Runs tests of libuv, one after the other, and writes what became of each:
#   walk.sh RESULTS BUILT SOURCE TEST...
# A line `test<TAB>` when it begins, a line `test<TAB>outcome` when it has ended.
results=$1 built=$2 source=$3
shift 3
# Tests read fixtures by this path, and leave files beside them.
mkdir -p test && cp -r "$source/test/fixtures" test/
for test; do
    printf '%s\t\n' "$test" >>"$results"
    "$built/uv_run_tests" "$test" </dev/null >../said.one 2>&1
    cat ../said.one
    # `ok 1 - NAME # SKIP reason`, or `not ok 1 - NAME` and `# exit code 6` in the next line.
    outcome=$(sed -n -e 's/^ok 1 - [^ ]*/ok/p' -e '/^not ok 1 - /{s/ 1 - .*//;N;s/\n/ /;p;}' ../said.one)
    printf '%s\t%s\n' "$test" "${outcome:-said nothing}" >>"$results"
done
