"""Asks an engine the queries of examples/fleet, and counts the same from JSON Lines in plain Python.

check.py ENGINE FOLDER [--pipe ADDRESS:PORT]... RELEASE=LINES...
A --pipe is a connection between machines that was made, by the client's own address; those within one trace the lines know.
"""
import collections, json, math, pathlib, sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "examples/fleet"))
import fleet

engine, folder, *rest = sys.argv[1:]
between = [rest[at + 1] for at, word in enumerate(rest) if word == "--pipe"]
files = [word for word in rest if "=" in word]
rows = []
for file in files:
    release, path = file.split("=", 1)
    lines = [json.loads(line) for line in open(path, encoding="utf-8")]
    rows += [{"release": release, **line} for line in lines if line["type"] == "connection"]
assert rows


def grouped(some, *keys):
    groups = collections.defaultdict(list)
    for row in some:
        groups[tuple(row[key] for key in keys)].append(row)
    return sorted(groups.items())


def total(some, key):
    return sum(row[key] for row in some)


active = [row for row in rows if row["role"] == "active" and "network.peer.address" in row]
talkers = [
    (program, peer, len(some), total(some, "sent_bytes"), total(some, "received_bytes"))
    for (program, peer), some in grouped(active, "process.executable.name", "network.peer.address")
]
talkers = [row + (row[3] + row[4],) for row in talkers]
for row in active:
    row["service"] = row.get("server.address", row["network.peer.address"])
latency = []
for (service,), some in grouped([row for row in active if "connect_ns" in row], "service"):
    times = sorted(row["connect_ns"] for row in some)
    rank = lambda part: times[math.ceil(part * len(times)) - 1]
    latency.append((service, len(times), rank(0.5), rank(0.99), times[-1]))
leaked = [row for row in rows if row["ending"] == "leaked"]
expected = {
    "top_talkers": sorted(talkers, key=lambda row: (-row[5], row[0], row[1]))[:20],
    "connect_latency": latency,
    "verdicts": [(word, len(some)) for (word,), some in grouped(rows, "verdict")],
    "leaks": [(*key, len(some)) for key, some in grouped(leaked, "release", "process.executable.name")],
}
ask = fleet.ENGINES[engine](folder)
for name, answer in expected.items():
    told = [tuple(row.values()) for row in ask(fleet.queries()[name])]
    assert told == answer, f"{name}:\n{told}\n{answer}"
    assert answer or name == "leaks", f"{name} has no rows: nothing was compared"

pipes = ask(fleet.queries()["pipes"])
ends = {row["conn"]: row for row in rows}
tcp = lambda row: row.get("network.transport") == "tcp" and row["role"] == "active" and "other_end" in row
made = [f'{row["network.local.address"]}:{row["network.local.port"]}' for row in rows if tcp(row)] + between
found = [f'{row["client_address"]}:{row["client_port"]}' for row in pipes]
bare = lambda ends: sorted(end.replace("::ffff:", "") for end in ends)
assert bare(found) == bare(made), (bare(found), bare(made))
assert made
for row in pipes:
    near, far = ends[row["client_conn"]], ends[row["server_conn"]]
    assert row["sent"] == row["arrived"] + far.get("unread_bytes", 0), row
    assert "other_end" not in near or near["other_end"] == far["conn"], row
print(f"{len(rows)} connections {len(pipes)} pipes")
