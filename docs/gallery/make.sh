#!/bin/sh
# Writes docs/GALLERY.md and docs/images: real output of the tool, and pictures of a page by headless Chromium.
# SOCKSHIM names another tool than the one that `make build` has built.
set -eu
cd "$(dirname "$0")"
docs=$(cd .. && pwd)
tool=${SOCKSHIM:-$docs/../target/release/sockshim}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# picture NAME WIDTH,HEIGHT LIGHT|DARK WHERE
picture() {
    scheme=1
    [ "$3" = dark ] && scheme=0
    chromium --headless=new --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir="$work/profile" \
        --blink-settings=preferredColorScheme=$scheme --virtual-time-budget=5000 --window-size="$2" \
        --screenshot="$docs/images/$1.png" "file://$work/shop.html$4" 2>/dev/null
}

# told ARGUMENTS: a command and what it prints
told() {
    echo '```console'
    echo "\$ sockshim $*"
    (cd "$work" && COLUMNS=100 "$tool" "$@")
    echo '```'
}

cp shop.py "$work"
(cd "$work" && "$tool" run -q --snaplen 96 -o shop.sst -- /usr/bin/python3 shop.py)
"$tool" report --html "$work/shop.html" "$work/shop.sst"
first=$("$tool" report --color never --sort bytes --top 1 "$work/shop.sst" | sed -n 's/^#\([0-9]*\) ⇄.*/\1/p' | head -1)
mkdir -p "$docs/images"
picture report 1280,1640 light ""
picture connection 1280,900 dark "#c$first"

{
    echo '# Gallery'
    echo
    echo 'Real output, written by `make gallery`: nothing here is edited.'
    echo
    echo '## A page'
    echo
    echo 'A small shop and its customers ([shop.py](gallery/shop.py)), as `sockshim report --html shop.html shop.sst` shows them:'
    echo
    echo '![Summary, timeline, bytes over time, peers and latencies of a run](images/report.png)'
    echo
    echo 'One of its connections, opened, in dark:'
    echo
    echo '![The phases of both ends, facts, and the calls as a sequence](images/connection.png)'
    echo
    echo '## A report in the terminal'
    echo
    told report --sort first-byte --top 3 shop.sst
    echo
    echo '## One connection as a sequence'
    echo
    told report --connection "$first" shop.sst
} >"$work/GALLERY.md"
mv "$work/GALLERY.md" "$docs/GALLERY.md"
