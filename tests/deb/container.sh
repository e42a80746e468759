#!/bin/sh
# Installs, uses and removes a Debian package on this system, as it would be: in namespaces of its own, on an
# overlay that is thrown away, without a network but its own loopback.
#
#     unshare --mount --net --pid --fork --kill-child tests/deb/container.sh PLACE PACKAGE SOURCES
#
# Exits with 77 where the kernel allows no overlay.
set -eu
place=$1 package=$2 sources=$3

mount --make-rprivate /
mount -t tmpfs none "$place"
mkdir "$place/upper" "$place/work" "$place/tree"
mount -t overlay overlay -o "lowerdir=/,upperdir=$place/upper,workdir=$place/work" "$place/tree" || exit 77
mount -t proc proc "$place/tree/proc"
mount --rbind /dev "$place/tree/dev"
mount -t tmpfs none "$place/tree/tmp"
ip link set lo up
cp "$package" "$place/tree/tmp/sockshim.deb"
cp "$sources"/examples/*.c "$sources"/c-tests/adapters/*.[ch] "$place/tree/tmp"

chroot "$place/tree" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root sh -eu <<'END'
cd /tmp
say() { echo "container: $*"; }

dpkg -i sockshim.deb >dpkg.log 2>&1 || { cat dpkg.log; exit 1; }
[ -z "$(dpkg -V sockshim)" ]
[ -z "$(dpkg --audit)" ]
say "installed $(dpkg-query -W -f '${Package} ${Version}, needs ${Depends}' sockshim)"

# The tool, on programs that know nothing of it.
cc client.c -o client
cc server.c -o server
mkfifo said
serve() { ./server 8080 >said & exec 9<said; read -r line <&9; [ "$line" = "listening on port 8080" ]; }
serve
sockshim run -o trace.sst -- ./client 127.0.0.1 8080 hello >out 2>told
grep -q HELLO out
grep -q 'connect(3, 127.0.0.1:8080' told
[ "$(sockshim show --connections trace.sst | grep -c 127.0.0.1:8080)" = 1 ]
exec 9<&-
wait
say "the tool tells the story"

# The library, as the loader finds it: its cache was renewed when the package was installed.
[ "$(sockshim lib)" = "$(realpath /usr/lib/*/libsockshim.so)" ]
ldconfig -p | grep -q 'libsockshim.so.0 '
serve
LD_PRELOAD=libsockshim.so.0 ./client 127.0.0.1 8080 hello 2>told >out
grep -q 'close(3' told
exec 9<&-
wait
cc explicit.c $(pkg-config --cflags --libs sockshim) -o explicit
serve
SOCKSHIM_TRACE=linked.sst ./explicit 127.0.0.1 8080 hello >out 2>&1
grep -q HELLO out
sockshim show linked.sst | grep -q 'about to connect'
exec 9<&-
wait
say "the library is preloaded and linked"

# Tests that ask what they have done.
cc with_tap.c $(pkg-config --cflags --libs sockshim-harness) -o with_tap
[ "$(./with_tap | grep -c '^ok')" = 4 ]
say "a test asks"

[ -n "$(man -w sockshim)" ] && [ -n "$(man -w sockshim-run)" ] && [ -n "$(man -w 3 sockshim_mark)" ]
dpkg -P sockshim >dpkg.log 2>&1 || { cat dpkg.log; exit 1; }
[ ! -e /usr/bin/sockshim ]
if ldconfig -p | grep libsockshim; then echo "the loader's cache still names the library"; exit 1; fi
[ -z "$(dpkg --audit)" ]
END

left=$(find "$place/upper" -name '*sockshim*')
[ -z "$left" ] || { echo "container: left behind: $left"; exit 1; }
echo "container: removed, and nothing is left"
