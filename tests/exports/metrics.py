"""Parses what was served while a program ran, and what was exported afterwards, and holds both against the rows."""
import collections, json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse_plain

live, live_open, final, connections, calls, spans = sys.argv[1:]
LABELS = {"function", "result", "role", "state", "verdict", "direction", "outcome", "le", "version"}


def read(path, parse):
    samples = {}
    for family in parse(open(path, encoding="utf-8").read()):
        assert family.documentation and family.type in ("counter", "gauge", "histogram"), family
        for sample in family.samples:
            assert sample.labels.keys() <= LABELS, sample
            key = (sample.name, *sorted(sample.labels.items()))
            assert key not in samples, key
            samples[key] = sample.value
    return samples


final = read(final, parse_plain)
live, live_open = read(live, parse_plain), read(live_open, parse_open)
for one in (live, live_open, final):
    # They end meanwhile.
    assert 0 <= one.pop(("sockshim_processes",)) <= 3
assert live == live_open, set(live.items()) ^ set(live_open.items())


def comparable(samples):
    # Ticks are told as time a little better in the end.
    return {key: value for key, value in samples.items() if not key[0].endswith(("_sum", "_bucket"))}


assert comparable(live) == comparable(final), set(comparable(live).items()) ^ set(comparable(final).items())


def rows(path, kind):
    return [row for row in map(json.loads, open(path, encoding="utf-8")) if row["type"] == kind]


def value(name, **labels):
    return final.get((name, *sorted(labels.items())), 0)


connections, calls = rows(connections, "connection"), rows(calls, "call")
assert value("sockshim_connections_opened_total") == len(connections)
gone = [row for row in connections if row["ending"] != "open"]
assert value("sockshim_connections_closed_total") == len(gone)
for (role, ending), count in collections.Counter((row["role"], row["ending"]) for row in gone).items():
    assert value("sockshim_connections", role=role, state=ending) == count, (role, ending)
for direction, key in [("transmit", "sent_bytes"), ("receive", "received_bytes")]:
    assert value("sockshim_bytes_total", direction=direction) == sum(row[key] for row in connections), key
    unseen = sum(row.get("unseen_" + key, 0) for row in connections)
    assert value("sockshim_unseen_bytes", direction=direction) == unseen, key

again = ("EAGAIN", "EINPROGRESS", "EINTR", "EALREADY")
result = lambda row: "ok" if "errno" not in row else "again" if row["errno"] in again else row["error.type"]
told = collections.Counter((row["event.name"], result(row)) for row in calls if row["state"] == "done")
counted = {key: count for key, count in final.items() if key[0] == "sockshim_calls_total"}
assert sum(counted.values()) == sum(told.values()), (counted, told)
for (function, result), count in told.items():
    assert value("sockshim_calls_total", function=function, result=result) == count, (function, result)


def histogram(name, durations, **labels):
    assert value(name + "_count", **labels) == len(durations), (name, labels)
    assert abs(value(name + "_sum", **labels) - sum(durations) / 1e9) < 1e-6, (name, labels)
    bounds = [dict(key[1:])["le"] for key in final if key[0] == name + "_bucket" and labels.items() <= dict(key[1:]).items()]
    assert len(bounds) == 16, bounds
    for bound in bounds:
        within = sum(ns <= round(float(bound) * 1e9) if bound != "+Inf" else True for ns in durations)
        assert value(name + "_bucket", le=bound, **labels) == within, (name, labels, bound)


failed = lambda row: row.get("errno") == "ECONNREFUSED"
active = [row for row in connections if row["role"] == "active" and "connect_ns" in row]
histogram("sockshim_connect_seconds", [row["connect_ns"] for row in active if not failed(row)], outcome="connected")
histogram("sockshim_connect_seconds", [row["connect_ns"] for row in active if failed(row)], outcome="failed")
for role in ("active", "passive"):
    waited = [row["first_byte_ns"] for row in connections if row["role"] == role and "first_byte_ns" in row]
    histogram("sockshim_first_byte_seconds", waited, role=role)

verdicts = collections.Counter()
for line in open(spans, encoding="utf-8"):
    for resource in json.loads(line)["resourceSpans"]:
        for span in resource["scopeSpans"][0]["spans"]:
            verdicts.update(a["value"]["stringValue"] for a in span["attributes"] if a["key"] == "sockshim.verdict")
assert verdicts["refused"] == 1 and sum(verdicts.values()) == len(connections), verdicts
for verdict, count in verdicts.items():
    assert value("sockshim_connections_by_verdict", verdict=verdict) == count, verdict
print(len(connections), "connections,", sum(told.values()), "calls")
