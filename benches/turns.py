#!/usr/bin/env python3
"""One server under load, recorded and not recorded in turns of a tenth of a second.

    benches/turns.py [--preview] [--starts N] [--pairs N] [--milliseconds MS] [--tool PATH] [--run ARGS] [WORKLOAD...]

Each start of a server is some hundredths faster or slower for as long as it lives, and a machine that others use is so from
second to second. So here the server, its client and the tool stay as they are, and only what the shim looks at is changed, in
the memory of the server: calls are recorded, or passed on as with SOCKSHIM_LOG=off (which costs what a library costs that does
nothing; `make bench` tells it apart). Each time with is compared with the one without that is its neighbour. Requests are
counted by the kernel, as the server's writes. With --preview all is recorded, and what takes turns is the preview of what is
sent and received: 32 bytes, and none. Wants to be root, or to be allowed to trace.
"""

import argparse
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

sys.dont_write_bytecode = True
from slices import HERE, RELEASE, WORKLOADS, Nginx, children, cpu_ns, parent, require, wait_for

# What takes turns: variables of the shim, where in each, its bytes, and its values without and with. MODE_OFF and MODE_ON are
# the recorder's, as is the line of memory that plain calls look at: the number of the process, None for what is there, and the
# bytes of a preview.
OFF, ON = 0, 1
RECORDING = [("recorder4MODE", 0, 1, (1, 2)), ("recorder5plain4PAGE", 0, 4, (0, None))]
PREVIEW = [("recorder5plain4PAGE", 8, 4, (0, 32))]
# Kinds of benches/peers/workload.c, and their size: programs that hold both ends of their connections.
ALONE = {"churn": ["churn"], "bulk": ["bulk"], "tcp": ["tcp"], "unix": ["unix"], "unix64": ["unix", "64"]}


def offset_of(variable, library):
    """Where in the library the variable is."""
    for line in subprocess.check_output(["nm", library], text=True).splitlines():
        if found := re.fullmatch(rf"(\w+) \w _ZN8sockshim8{variable}17h\w+E(\.\d+)?", line):
            return int(found[1], 16)
    raise SystemExit(f"turns: {library} has no symbol {variable}; build it with `cargo build --release`")


class Switch:
    """What takes turns, in a process."""

    def __init__(self, pid, what, library):
        maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
        base = int(next(line for line in maps if "libsockshim" in line).split("-")[0], 16)
        self.path, self.places = f"/proc/{pid}/mem", []
        with open(self.path, "rb", buffering=0) as memory:
            for variable, offset, size, values in what:
                address = base + offset_of(variable, library) + offset
                memory.seek(address)
                now = memory.read(size)
                if None in values and not any(now):
                    raise SystemExit("turns: the calls of the server are not plain, so it would not be recorded as usual")
                self.places.append((address, [now if v is None else v.to_bytes(size, "little") for v in values]))

    def set(self, which):
        with open(self.path, "r+b", buffering=0) as memory:
            for address, values in self.places:
                memory.seek(address)
                memory.write(values[which])


def writes(pid):
    return int(re.search(r"syscw: (\d+)", Path(f"/proc/{pid}/io").read_text())[1])


class Alone:
    """Both ends of connections in one program, which is its own client."""

    def __init__(self, name, folder, prefix, environment):
        kind, *size = ALONE[name]
        words = [*prefix, str(folder.parent / "workload"), kind, "1000000000", *size]
        self.process = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL)
        self.pids = wait_for(lambda: children(self.process.pid))
        wait_for(lambda: writes(self.pids[0]) > 0)

    def end(self):
        os.kill(self.pids[0], signal.SIGTERM)
        self.process.wait()


def load(server, argument):
    """The client, until it is stopped."""
    if isinstance(server, Alone):
        return None
    port = str(server.port)
    if isinstance(server, Nginx):
        words = ["wrk", "-t", "1", "-c", "16", "-d", "3600s", *argument, f"http://127.0.0.1:{port}/"]
    else:
        words = ["redis-benchmark", "-p", port, "-t", "get", "-n", "1000000000", "-c", "20", "-P", str(argument), "-q"]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def look(server, tool, seconds):
    """Requests a second, and the server's and the tool's CPU for each."""
    state = lambda: (time.monotonic(), writes(server), cpu_ns(server), cpu_ns(tool))
    before = state()
    time.sleep(seconds)
    took, requests, cpu, tools = (b - a for a, b in zip(before, state()))
    return requests / took, cpu / max(1, requests), tools / max(1, requests)


def turns(name, options, scratch):
    """Pairs of (without, with) of one start."""
    kind, argument = (partial(Alone, name), None) if name in ALONE else WORKLOADS[name]
    folder = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=scratch))
    folder.chmod(0o755)
    prefix = [str(options.tool), "run", "-q", "-o", str(folder / "trace"), *options.run.split(), "--"]
    server, client = kind(folder, prefix, dict(os.environ)), None
    try:
        pid = server.pids[0]
        tool = parent(getattr(server, "master", None) or pid)
        what = PREVIEW if options.preview else RECORDING
        switch = Switch(pid, what, options.tool.with_name("libsockshim.so"))
        client = load(server, argument)
        time.sleep(1)
        for _ in range(options.pairs):
            pair = {}
            for now in random.sample((OFF, ON), 2):
                switch.set(now)
                # What was recorded before is drained.
                time.sleep(options.milliseconds * 0.3e-3)
                pair[now] = look(pid, tool, options.milliseconds * 1e-3)
            yield pair[OFF], pair[ON]
        switch.set(ON)
    finally:
        if client:
            client.kill()
            client.wait()
        server.end()


def error_of(values):
    """The standard error of a median, if they were spread as by chance."""
    return 1.25 * statistics.stdev(values) / len(values) ** 0.5


def told(values):
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:.3f} ± {error_of(values):.3f} <sub>{low:.2f}..{high:.2f}</sub>"


def main():
    names = [*(name for name in WORKLOADS if name not in ALONE), *ALONE]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(names)}; all of them")
    parser.add_argument("--preview", action="store_true", help="compare with and without what is kept of the bytes")
    parser.add_argument("--starts", type=int, default=4, help="of the server")
    parser.add_argument("--pairs", type=int, default=70, help="of each start")
    parser.add_argument("--milliseconds", type=int, default=100, help="of a turn")
    parser.add_argument("--tool", type=Path, default=RELEASE / "sockshim", help="another build, its library beside it")
    parser.add_argument("--run", default="", metavar="ARGS", help="more arguments of `sockshim run`")
    options = parser.parse_args()
    if unknown := set(options.workloads) - set(names):
        parser.error(f"no workload {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    options.tool = options.tool.resolve()
    wanted = options.workloads or names
    require(parser, wanted)
    off, on = ("without a preview", "with one") if options.preview else ("not recorded", "when recorded")
    print(f"| | requests/s, {off} | speed {on} | server's CPU | the same, ns a request | tool's |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory(prefix="sockshim-turns.") as scratch:
        Path(scratch).chmod(0o755)
        workload = ["cc", "-O2", "-pthread", "-o", f"{scratch}/workload", HERE / "peers/workload.c"]
        subprocess.run(workload, check=True)
        for name in wanted:
            pairs = [pair for _ in range(options.starts) for pair in turns(name, options, scratch)]
            times = WORKLOADS[name][1] if name.startswith("redis") else 1
            speed, cpu = ([on[i] / off[i] for off, on in pairs] for i in range(2))
            each = statistics.median(off[0] for off, _ in pairs) * times
            more = [(on[1] - off[1]) / times for off, on in pairs]
            tools = statistics.median(on[2] for _, on in pairs) / times
            more = f"{statistics.median(more):+.0f} ± {error_of(more):.0f}"
            print(f"| {name} | {each:,.0f} | {told(speed)} | ×{told(cpu)} | {more} | {tools:.0f} |", flush=True)


if __name__ == "__main__":
    main()
