#!/usr/bin/env python3
"""Servers untraced and traced, a slice of a second each in turn.

    benches/slices.py [--starts N] [--rounds N] [--seconds S] [--only NAME,...] [--tool NAME=PATH]... [WORKLOAD...]

Where client, server and tool share a few cores that others use too, whole runs one after the other say less than what
the hour does to them. Here all servers run at once, idle but for the one that is asked, and each slice is compared with
the untraced ones before and after it. A server keeps what its start has given it, some per cent to the good or to the
bad, so they are started several times. Medians and quartiles; the server's and the tool's CPU for a request are beside
them.
`--tool` adds another build of sockshim (with its library beside it) to compare with.
"""

import argparse
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
RELEASE = HERE.parent / "target" / "release"
QUIET = dict(stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def cpu_ns(pid):
    """What the threads of a process have spent on a processor."""
    return sum(int((task / "schedstat").read_text().split()[0]) for task in Path(f"/proc/{pid}/task").iterdir())


def parent(pid):
    return int(re.search(r"PPid:\s*(\d+)", Path(f"/proc/{pid}/status").read_text())[1])


def children(pid):
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def wait_for(ask):
    """Asks until there is an answer, for ten seconds."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            if answer := ask():
                return answer
        except (OSError, ValueError):
            pass
        time.sleep(0.02)
    sys.exit("slices: a server does not answer")


def reachable(port):
    with socket.create_connection(("127.0.0.1", port), 1):
        return True


class Redis:
    def __init__(self, folder, prefix, environment):
        self.port = free_port()
        words = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen([*prefix, *words], env=environment, cwd=folder, **QUIET)
        wait_for(lambda: reachable(self.port))
        info = subprocess.run(["redis-cli", "-p", str(self.port), "INFO", "server"], capture_output=True, text=True)
        self.pids = [int(re.search(r"process_id:(\d+)", info.stdout)[1])]
        self.pace = {}

    def ask(self, depth, seconds):
        # redis-benchmark takes requests, not seconds: as many as the slice before answered in that time.
        requests = max(2000, int(self.pace.get(depth, 20_000) * seconds))
        words = ["redis-benchmark", "-p", str(self.port), "-t", "get", "-n", str(requests), "-c", "20", "-P", str(depth)]
        begun = time.monotonic()
        subprocess.run([*words, "-q"], check=True, **QUIET)
        self.pace[depth] = requests / (time.monotonic() - begun)
        return requests, self.pace[depth]

    def end(self):
        os.kill(self.pids[0], signal.SIGTERM)
        self.process.wait()


class Nginx:
    def __init__(self, folder, prefix, environment):
        self.port = free_port()
        (folder / "html").mkdir()
        (folder / "html" / "index.html").write_bytes(b"x" * 1024)
        places = " ".join(f"{name}_temp_path {folder}/{name};" for name in
                          ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (folder / "conf").write_text(
            f"worker_processes 1; pid {folder}/pid; error_log {folder}/error.log; daemon off;\n"
            "events { worker_connections 1024; }\n"
            f"http {{ access_log off; keepalive_requests 1000000; {places}\n"
            f"server {{ listen 127.0.0.1:{self.port}; root {folder}/html; }} }}\n")
        self.process = subprocess.Popen([*prefix, "nginx", "-p", str(folder), "-c", "conf"], env=environment, **QUIET)
        wait_for(lambda: reachable(self.port))
        self.master = wait_for(lambda: int((folder / "pid").read_text()))
        self.pids = wait_for(lambda: children(self.master))

    def ask(self, header, seconds):
        # wrk counts whole seconds; a SIGINT ends it earlier, and it tells what it has done until then.
        words = ["wrk", "-t", "1", "-c", "16", "-d", "60s", *header, f"http://127.0.0.1:{self.port}/"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as wrk:
            time.sleep(seconds)
            wrk.send_signal(signal.SIGINT)
            text = wrk.stdout.read()
        requests, took, unit = re.search(r"(\d+) requests in ([\d.]+)(m?s)", text).groups()
        return int(requests), int(requests) / (float(took) / (1000 if unit == "ms" else 1))

    def end(self):
        os.kill(self.master, signal.SIGQUIT)
        self.process.wait()


class Churn:
    """No server: a program with both ends, started for each slice. Its own start is not in what it tells."""

    def __init__(self, folder, prefix, environment):
        self.folder, self.prefix, self.environment, self.pids = folder, prefix, environment, None

    def ask(self, operations, _seconds):
        words = [*self.prefix, str(self.folder.parent / "workload"), "churn", str(operations)]
        text = subprocess.run(words, check=True, env=self.environment, capture_output=True, text=True).stdout
        done, wall, cpu = (float(number) for number in text.split()[:3])
        self.cpu = cpu
        return done, done / wall * 1e9

    def end(self):
        pass


WORKLOADS = {
    "redis": (Redis, 1),
    "redis16": (Redis, 16),
    "nginx": (Nginx, []),
    "nginx-close": (Nginx, ["-H", "Connection: close"]),
    "churn": (Churn, 4000),
}


def subjects(scratch, tools):
    """Name, words in front of the program, what is added to its environment; `@` is a file for its trace."""
    yield "untraced", [], {}
    yield "null", [], {"LD_PRELOAD": str(scratch / "null.so")}
    yield "off", [], {"LD_PRELOAD": str(RELEASE / "libsockshim.so"), "SOCKSHIM_LOG": "off"}
    for name, tool in tools:
        run = [str(tool), "run", "-q", "-o", "@"]
        yield name, [*run, "--"], {}
        if name == "sockshim":
            yield "no preview", [*run, "--snaplen", "0", "--"], {}
            yield "no edges", [*run, "--no-edges", "--"], {}


def told(values):
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:.2f} <sub>{low:.2f}..{high:.2f}</sub>"


def start(name, running, options, scratch):
    server, _ = WORKLOADS[name]
    for subject, prefix, added in subjects(scratch, options.tools):
        if options.only and subject not in [*options.only, "untraced"]:
            continue
        folder = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=scratch))
        folder.chmod(0o755)
        prefix = [word.replace("@", str(folder / "trace")) for word in prefix]
        running[subject] = server(folder, prefix, {**os.environ, **added})
        running[subject].traced = bool(prefix) and running[subject].pids is not None


def ask(it, argument, seconds):
    """The speed of a slice, and the CPU that the server and the tool have spent on each request."""
    tool = parent(getattr(it, "master", None) or it.pids[0]) if it.traced else None
    spent = lambda: sum(map(cpu_ns, it.pids)) if it.pids else 0
    before, tool_before = spent(), cpu_ns(tool) if tool else 0
    requests, speed = it.ask(argument, seconds)
    # The tool looks up to 40 ms apart: what is still to be drained is a few per cent of a slice, as it was before.
    cpu = it.cpu if it.pids is None else spent() - before
    return speed, cpu / requests, (cpu_ns(tool) - tool_before) / requests if tool else None


def rounds(running, argument, options, rows, bare):
    order = [subject for subject in running if subject != "untraced"]
    for it in running.values():  # warms up, and tells redis-benchmark how much a slice is
        ask(it, argument, options.seconds)
    bare.append(ask(running["untraced"], argument, options.seconds))
    for _ in range(options.rounds):
        for subject in order:
            found = ask(running[subject], argument, options.seconds)
            bare.append(ask(running["untraced"], argument, options.seconds))
            # What it was just before, and just after.
            speed, cpu = ((bare[-2][i] + bare[-1][i]) / 2 for i in range(2))
            rows.setdefault(subject, []).append((found[0] / speed, found[1] / cpu, found[2]))
        order = order[1:] + order[:1]


def measure(name, options, scratch):
    argument = WORKLOADS[name][1]
    rows, bare = {}, []
    for _ in range(options.starts):
        running = {}
        try:
            start(name, running, options, scratch)
            rounds(running, argument, options, rows, bare)
        finally:
            for it in running.values():
                it.end()
    print(f"\n**{name}**: {statistics.median(row[0] for row in bare):,.0f} requests/s untraced, "
          f"{statistics.median(row[1] for row in bare):,.0f} ns of CPU each, {options.starts} starts of "
          f"{options.rounds} rounds\n")
    print("| | speed of untraced | server's CPU | tool's CPU, ns a request |\n| --- | ---: | ---: | ---: |")
    for subject, found in rows.items():
        tools = f"{statistics.median(row[2] for row in found):.0f}" if found[0][2] is not None else ""
        print(f"| {subject} | {told([row[0] for row in found])} | ×{told([row[1] for row in found])} | {tools} |",
              flush=True)


def require(parser, names):
    """Ends with a message where a program that these workloads are made of is missing."""
    for kind, programs in (("redis", ["redis-server", "redis-benchmark", "redis-cli"]), ("nginx", ["nginx", "wrk"])):
        missing = [program for program in programs if not shutil.which(program)]
        if missing and any(name.startswith(kind) for name in names):
            parser.error(f"{', '.join(missing)} not found; install them, or name other workloads than {kind}'s")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(WORKLOADS)}; all of them")
    parser.add_argument("--starts", type=int, default=8, help="of the servers")
    parser.add_argument("--rounds", type=int, default=4, help="of each start")
    parser.add_argument("--seconds", type=float, default=1, help="of a slice")
    parser.add_argument("--only", metavar="NAME,...", help="these ways to trace alone")
    parser.add_argument("--tool", action="append", default=[], metavar="NAME=PATH", help="one more sockshim")
    options = parser.parse_args()
    if unknown := set(options.workloads) - set(WORKLOADS):
        parser.error(f"no workload {', '.join(sorted(unknown))}; there are {', '.join(WORKLOADS)}")
    options.tools = [("sockshim", RELEASE / "sockshim")]
    options.tools += [(name, Path(path).resolve()) for name, _, path in (tool.partition("=") for tool in options.tool)]
    known = [subject for subject, _, _ in subjects(Path(), options.tools)]
    options.only = options.only.split(",") if options.only else []
    if unknown := set(options.only) - set(known):
        parser.error(f"no way to trace named {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    if options.starts * options.rounds < 2:
        parser.error("a median wants two slices: more --starts or --rounds")
    names = options.workloads or list(WORKLOADS)
    require(parser, names)
    with tempfile.TemporaryDirectory(prefix="sockshim-slices.") as scratch:
        Path(scratch).chmod(0o755)
        for source, words in (("null", ["-fPIC", "-shared", "-o", f"{scratch}/null.so"]),
                              ("workload", ["-pthread", "-o", f"{scratch}/workload"])):
            subprocess.run(["cc", "-O2", HERE / f"peers/{source}.c", *words], check=True)
        for name in names:
            measure(name, options, Path(scratch))


if __name__ == "__main__":
    main()
