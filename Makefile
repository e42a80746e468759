# The one door. Each target is a few lines; what they do is in the tools that they call.
CARGO ?= cargo
PREFIX ?= /usr/local
DESTDIR ?=
LIBDIR ?= $(PREFIX)/lib
RELEASE = target/release
PLACES = PREFIX='$(PREFIX)' LIBDIR='$(LIBDIR)' DESTDIR='$(DESTDIR)'

# What the tests against real programs start (Debian's names).
PACKAGES = gcc g++ musl-tools make cmake git curl wget openssl python3 redis-server redis-tools nginx-light apache2-utils \
	wrk socat tmux procps openssh-server openssh-client nodejs openjdk-17-jdk-headless postgresql postgresql-client strace chromium \
	util-linux liburing-dev xfsprogs btrfs-progs
# What they run beside, and whose own tests are run.
PACKAGES += libjemalloc2 libtcmalloc-minimal4 libmimalloc2.0 libeatmydata1 libfaketime libproxychains4 \
	libsocket-wrapper valgrind python3.11 libpython3.11-testsuite
# What reads our exports.
PACKAGES += tshark jq python3-venv prometheus
PYTHON_PACKAGES = jsonschema==4.26.0 perfetto==0.59.1 opentelemetry-proto==1.45.2 prometheus-client==0.26.0 duckdb==2.0.1
# What reads a fleet's exports besides: half a gigabyte, for the long tests only. Spark runs on the JDK above.
FLEET_PACKAGES = chdb==4.4.0 pyspark==4.3.0
# What programs that use the installed library are built with, and what the manual and the package are checked with.
PACKAGES += libcmocka-dev check pkg-config meson ninja-build man-db mandoc zsh fish dpkg-dev lintian iproute2

.PHONY: all build demo test unit soak aarch64 bench bench-quick bench-slices bench-turns bench-hour bench-ways check fmt clippy doc gallery header packages debian-packages install \
	uninstall deb symbols clean

all: build

build:                      ## the tool and the shim
	$(CARGO) build --release

demo: build                 ## see it work, with nothing installed
	$(RELEASE)/sockshim demo

test: packages build        ## everything, with the real programs; the quick part of what soak does
	SOCKSHIM_REQUIRE_PROGRAMS=1 tests/tally.sh $(CARGO) test --workspace

unit: build                 ## everything; programs that are missing are skipped, by name
	$(CARGO) test --workspace

soak: packages target/python/fleet build        ## the long tests: whole test suites of others, a thousand kills; at most 20 minutes
	SOCKSHIM_SOAK=1 SOCKSHIM_REQUIRE_PROGRAMS=1 tests/tally.sh $(CARGO) test --workspace --no-fail-fast \
		--test suites --test fleet --test crash --test agreement --test properties --test exports -- --nocapture

aarch64:                    ## that all of it compiles for aarch64; with qemu, that programs run there as without us
	tests/aarch64.sh

bench: build                ## what it costs, beside others; writes the table of docs/PERFORMANCE.md
	$(CARGO) bench --bench side_by_side -- --write docs/PERFORMANCE.md

bench-quick: build          ## the same in under two minutes, without the servers; writes nothing
	$(CARGO) bench --bench side_by_side -- --quick

bench-slices: build         ## servers untraced and traced, a slice of a second each in turn; for machines that others share
	benches/slices.py

bench-turns: build          ## one server recorded and not, a tenth of a second each in turn; says more in less time
	benches/turns.py

bench-hour: build           ## an hour of redis traffic in one trace: whether memory stays flat
	benches/hour.sh

bench-ways:                 ## what a time stamp, a reservation and 64 bytes of this or that memory cost here
	@mkdir -p $(RELEASE) && cc -O2 -Wall -Wextra benches/peers/ways.c -o $(RELEASE)/ways && $(RELEASE)/ways

check: fmt clippy doc aarch64 ## what CI asks besides the tests

fmt:
	$(CARGO) fmt --all --check

clippy:
	$(CARGO) clippy --workspace --all-targets -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items

gallery: build              ## real output and pictures: docs/GALLERY.md, docs/images
	docs/gallery/make.sh

header:                     ## regenerates include/sockshim.h
	UPDATE_HEADER=1 $(CARGO) test --test header the_committed

# Installs what is missing, as root; otherwise says what to install. RUNLEVEL=1 keeps Debian from
# starting the servers, which would take the default ports.
packages: debian-packages target/python/ready

# The checks of the exports import what Debian has not, or not recent enough.
target/python/ready: Makefile
	@python3 -m venv target/python && target/python/bin/pip install -q $(PYTHON_PACKAGES) && touch $@ || \
	{ rm -rf target/python; echo "pip cannot install $(PYTHON_PACKAGES): the checks that need them will be SKIPPED"; }

target/python/fleet: target/python/ready
	@[ -x target/python/bin/pip ] && target/python/bin/pip install -q $(FLEET_PACKAGES) && touch $@ || \
	echo "pip cannot install $(FLEET_PACKAGES): the checks that need them will be SKIPPED"

debian-packages:
	@missing=$$(for p in $(PACKAGES); do dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if ! command -v apt-get >/dev/null; then echo "please install, by your system's names:" $$missing; exit 1; fi; \
	if [ "$$(id -u)" != 0 ]; then echo "please run: sudo apt-get install" $$missing; exit 1; fi; \
	apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null

install:                    ## the tool, the library, the headers, the manual, completions
	$(PLACES) RELEASE=$(RELEASE) packaging/install.sh install

uninstall:                  ## takes away what install has put there
	$(PLACES) packaging/install.sh uninstall

deb: build                  ## target/debian/sockshim_VERSION_ARCHITECTURE.deb
	RELEASE=$(RELEASE) packaging/deb.sh target/debian

symbols: build              ## target/symbols: what debuggers want to know, apart
	RELEASE=$(RELEASE) CARGO=$(CARGO) packaging/symbols.sh target/symbols

clean:
	$(CARGO) clean
