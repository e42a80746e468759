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
    # `diff` ends with 1 where there is something to tell.
    (cd "$work" && COLUMNS=100 "$tool" "$@") || [ $? = 1 ]
    echo '```'
}

cp shop.py "$work"
(cd "$work" && "$tool" run -q --snaplen 96 -o shop.sst -- /usr/bin/python3 shop.py)
"$tool" report --html "$work/shop.html" "$work/shop.sst"
# curl asks a server, and asks again when it is gone.
mkdir "$work/www" && echo hello >"$work/www/index.html"
/usr/bin/python3 -u -m http.server --bind 127.0.0.1 --directory "$work/www" 0 >"$work/server" 2>/dev/null &
server=$!
until grep -q port "$work/server"; do :; done
page=http://127.0.0.1:$(sed -n 's/.* port \([0-9]*\) .*/\1/p' "$work/server")/
(cd "$work" && "$tool" run -q -o before.sst -- curl -s -o index.html "$page")
kill "$server"
(cd "$work" && "$tool" run -q -o after.sst -- curl -s -o index.html "$page") || true
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
    echo
    echo '## A run while it goes on'
    echo
    echo 'What `sockshim top shop.sst` shows, sorted by traffic, as text; here the run has ended.'
    echo
    told top --once shop.sst
    echo
    echo '## Two runs compared'
    echo
    echo 'curl gets a page, and tries again when the server is gone:'
    echo
    told diff before.sst after.sst
} >"$work/GALLERY.md"
mv "$work/GALLERY.md" "$docs/GALLERY.md"
