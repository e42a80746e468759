"""Decodes requests with OpenTelemetry's own definitions, and holds every span against the rows of the connections."""
import base64, json, sys
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


def decode(text):
    """A request. OTLP/JSON differs from protobuf's JSON in that ids are hexadecimal."""
    request = json.loads(text)
    for resource in request["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                for place in [span, *span.get("links", [])]:
                    for key in {"traceId", "spanId", "parentSpanId"} & place.keys():
                        place[key] = base64.b64encode(bytes.fromhex(place[key])).decode()
    # What the definitions do not know is an error.
    return json_format.ParseDict(request, ExportTraceServiceRequest())


def value(any_value):
    kind = any_value.WhichOneof("value")
    if kind == "array_value":
        return [value(one) for one in any_value.array_value.values]
    return getattr(any_value, kind)


def attributes(of):
    all = {one.key: value(one.value) for one in of.attributes}
    assert len(all) == len(of.attributes), of
    return all


def check(requests, connections):
    rows = [json.loads(line) for line in open(connections, encoding="utf-8")]
    rows = {row["conn"]: row for row in rows if row["type"] == "connection"}
    roots, children, ids = {}, [], set()
    for request in requests:
        for resource in request.resource_spans:
            about = attributes(resource.resource)
            assert about["service.name"] == about["process.executable.name"] and about["host.name"], about
            assert about["process.command_line"] == " ".join(about["process.command_args"]), about
            for scope in resource.scope_spans:
                assert scope.scope.name == "sockshim" and scope.scope.version, scope.scope
                for span in scope.spans:
                    assert len(span.trace_id) == 16 and len(span.span_id) == 8 and any(span.span_id), span
                    assert span.span_id not in ids and span.name, span
                    assert 0 < span.start_time_unix_nano <= span.end_time_unix_nano, span
                    ids.add(span.span_id)
                    facts = attributes(span)
                    assert (span.status.code == 2) == ("error.type" in facts), span
                    if span.parent_span_id:
                        children.append((span, facts))
                    else:
                        roots[facts["sockshim.conn"]] = (span, facts, about)
    assert roots.keys() == rows.keys(), (roots.keys(), rows.keys())
    for conn, row in rows.items():
        span, facts, about = roots[conn]
        assert (about["process.pid"], about["service.name"]) == (row["process.pid"], row["process.executable.name"])
        for key, told in row.items():
            if key in ("type", "ts", "ts_ns", "dur_ns", "process.pid", "process.executable.name", "error.type"):
                continue
            name = key if "." in key else "sockshim." + key
            assert facts[name] == told, (name, facts.get(name), told)
        mine = {child.name.split(" ")[1]: (child, its) for child, its in children if child.trace_id == span.trace_id}
        for child, its in mine.values():
            assert child.parent_span_id == span.span_id, (child, span)
            assert span.start_time_unix_nano <= child.start_time_unix_nano, (child, span)
            assert child.end_time_unix_nano <= span.end_time_unix_nano, (child, span)
            if child.name == "socket communicate":
                assert its["sockshim.sent_bytes"] == row["sent_bytes"], (child, row)
        took = {"create_ns": "create", "communicate_ns": "communicate", "disconnect_ns": "close"}
        for key, name in took.items():
            assert (key in row) == (name in mine), (row, mine.keys())
            if key in row:
                child = mine[name][0]
                assert child.end_time_unix_nano - child.start_time_unix_nano == row[key], (child, row)
        if row.get("errno") == "ECONNREFUSED":
            connect, its = mine["connect"]
            assert its["error.type"] == facts["error.type"] == "connection_refused", (its, facts)
            assert connect.status.code == 2 and "refused" in span.status.message, (connect, span)
        links = {(link.trace_id, link.span_id): attributes(link)["sockshim.link"] for link in span.links}
        other = row.get("other_end")
        assert (other is not None) == ("other_end" in links.values()), (row, links)
        if other:
            there = roots[other][0]
            assert links[there.trace_id, there.span_id] == "other_end", (links, there)
    return roots


if __name__ == "__main__":
    file, connections = sys.argv[1:]
    roots = check([decode(line) for line in open(file, encoding="utf-8")], connections)
    links = [link for span, _, _ in roots.values() for link in span.links]
    foreign = [link for link in links if attributes(link)["sockshim.link"] == "traceparent"]
    print(len(roots), "connections")
    print(len(links) - len(foreign), "ends")
    for link in foreign:
        print("part of", link.trace_id.hex(), link.span_id.hex())
    print(sum(span.status.code == 2 for span, _, _ in roots.values()), "failed")
    print(*sorted({span.name.rsplit(":", 1)[0] for span, _, _ in roots.values()}), sep="\n")
