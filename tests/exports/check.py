"""Holds every line of two exports against their schema, and the columns of a third against the lines."""
import base64, csv, json, sys
import jsonschema

schema, calls, connections, columns = sys.argv[1:]
schema = json.load(open(schema))
jsonschema.Draft202012Validator.check_schema(schema)
kinds = {one["properties"]["type"]["const"]: jsonschema.Draft202012Validator(one) for one in schema["oneOf"]}


def read(path):
    rows = [json.loads(line) for line in open(path, encoding="utf-8")]
    for row in rows:
        kinds[row["type"]].validate(row)
    assert rows[0]["type"] == "header" and rows[-1]["type"] == "end", rows
    assert rows[-1]["complete"] and rows[-1]["lost"] == 0, rows[-1]
    assert rows[-1]["calls"] == sum(row["type"] == "call" for row in rows), rows[-1]
    return rows


told = [row for row in read(calls) if row["type"] == "call"]
known = {row["conn"]: row for row in read(connections) if row["type"] == "connection"}
for row in known.values():
    other = known.get(row.get("other_end"))
    if other:
        unread = row.get("unread_bytes", 0)
        assert other["other_end"] == row["conn"], (row, other)
        assert other["sent_bytes"] == row["received_bytes"] + unread, (row, other)
    mine = [call for call in told if call.get("conn") == row["conn"]]
    for key, way in [("sent_bytes", "transmit"), ("received_bytes", "receive")]:
        total = sum(call["bytes"] for call in mine if call.get("network.io.direction") == way)
        assert total == row[key], (row, total)
said = [call.get("payload_text", "") for call in told if call["event.name"] in ("send", "sendto")]
assert "hello over IPv6" in said and "ping" in said, said
assert any(call.get("errno") == "ECONNREFUSED" and call["error.type"] == "connection_refused" for call in told)
for call in told:
    base64.b64decode(call.get("payload_base64", ""), validate=True)

lines = list(csv.DictReader(open(columns, encoding="utf-8", newline="")))
ended = [call for call in told if call["state"] == "done"]
for line, call in zip(lines, ended, strict=True):
    for key, value in call.items():
        if key == "type":
            continue
        value = " ".join(value) if isinstance(value, list) else str(value)
        assert line[key] == value, (key, line[key], value)
    assert all(call.get(key) is not None for key, value in line.items() if value), (line, call)
print(len(known), "connections")
print(len(ended), "calls")
