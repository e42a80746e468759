#!/bin/sh
# Makes a Debian package of what `make build` has built: FOLDER/sockshim_VERSION_ARCHITECTURE.deb.
#
#     RELEASE=target/release packaging/deb.sh target/debian
set -eu
umask 022
cd "$(dirname "$0")/.."

folder=${1:?usage: $0 FOLDER}
: "${RELEASE:=target/release}"
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
architecture=$(dpkg --print-architecture)
triplet=$(dpkg-architecture -qDEB_HOST_MULTIARCH)
libdir=/usr/lib/$triplet
# Who answers for a package is whoever makes it.
maintainer="${DEBFULLNAME:-The sockshim authors} <${DEBEMAIL:-root@localhost}>"
# The day of the last change, so that the same sources give the same package.
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || date +%s)}"
export SOURCE_DATE_EPOCH

mkdir -p "$folder"
tree=$(mktemp -d "$folder/tree.XXXXXX")
trap 'rm -rf "$tree"' EXIT
chmod 755 "$tree"
PREFIX=/usr LIBDIR=$libdir DESTDIR=$(realpath "$tree") RELEASE=$RELEASE packaging/install.sh install

doc=$tree/usr/share/doc/sockshim
mkdir -p "$doc" "$tree/DEBIAN"
cp README.md docs/LIMITATIONS.md docs/ABI.md docs/HARNESS.md "$doc"
{
    cat <<END
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: sockshim
Source: https://github.com/sockshim/sockshim

Files: *
Copyright: 2026 The sockshim authors
License: Expat or Apache-2.0

License: Expat
END
    sed 's/^$/./; s/^/ /' LICENSE-MIT
    printf '\nLicense: Apache-2.0\n On Debian systems the text is in /usr/share/common-licenses/Apache-2.0.\n'
} >"$doc/copyright"
gzip -9n <CHANGELOG.md >"$doc/CHANGELOG.md.gz"
gzip -9n >"$doc/changelog.gz" <<END
sockshim ($version) unstable; urgency=medium

  * As CHANGELOG.md says.

 -- $maintainer  $(date -u -R -d "@$SOURCE_DATE_EPOCH")
END
gzip -9n "$doc/LIMITATIONS.md"
find "$tree/usr/share/man" -type f -exec gzip -9n {} +
find "$tree/usr/share/man" -type l -name '*.3' | while read -r page; do
    target=$(readlink "$page")
    rm "$page"
    ln -s "$target.gz" "$page.gz"
done

# What the binaries need is read from them, as dpkg-shlibdeps does it for every package.
depends=$(cd "$tree" && mkdir debian && printf 'Source: sockshim\n\nPackage: sockshim\nArchitecture: any\n' >debian/control &&
    dpkg-shlibdeps -O --ignore-missing-info "usr/bin/sockshim" ".$libdir/libsockshim.so.$version" \
        ".$libdir/libsockshim_harness.so.$version" 2>/dev/null |
        sed -n 's/^shlibs:Depends=//p' && rm -r debian)
[ -n "$depends" ] || { echo "dpkg-shlibdeps told nothing" >&2; exit 1; }
cat >"$tree/DEBIAN/control" <<END
Package: sockshim
Version: $version
Architecture: $architecture
Maintainer: $maintainer
Installed-Size: $(du -k -s --exclude=DEBIAN "$tree" | cut -f1)
Depends: $depends
Section: devel
Priority: optional
Homepage: https://github.com/sockshim/sockshim
Description: tells what a program does with its sockets
 A library that stands in front of libc's socket functions inside a program,
 preloaded or linked, and writes each call down; and a tool that tells the story
 of every connection: who, to whom, how long each phase took, how many bytes
 passed, who closed first. Without root, and without stopping the program.
 .
 The package holds the tool, the library, and what programs that link it are
 built with.
END
for library in libsockshim libsockshim_harness; do echo "$library ${version%%.*} sockshim (>= $version)"; done \
    >"$tree/DEBIAN/shlibs"
echo 'activate-noawait ldconfig' >"$tree/DEBIAN/triggers"
(cd "$tree" && find usr -type f -print0 | sort -z | xargs -0 md5sum) >"$tree/DEBIAN/md5sums"
find "$tree" -newermt "@$SOURCE_DATE_EPOCH" -print0 | xargs -0 -r touch --no-dereference --date="@$SOURCE_DATE_EPOCH"
package=$folder/sockshim_${version}_$architecture.deb
dpkg-deb --root-owner-group --build "$tree" "$package" >/dev/null
echo "$package"
