"""Holds every column of every call against the lines."""
import base64, json
import duckdb

lines = [json.loads(line) for line in open("x.jsonl", encoding="utf-8")]
calls = [line for line in lines if line["type"] == "call" and line["state"] == "done"]


def read(file):
    answer = duckdb.sql(
        f"SELECT * EXCLUDE (ts, file_row_number), epoch_us(ts) AS us FROM read_parquet('{file}', file_row_number = true)"
        " ORDER BY file_row_number"
    )
    return [dict(zip(answer.columns, row)) for row in answer.fetchall()]


rows, bare = read("x.parquet"), read("bare.parquet")
assert len(rows) == len(bare) == len(calls) > 50
assert "payload" not in bare[0] and any(row["payload"] for row in rows)
for row, less, call in zip(rows, bare, calls):
    payload = row.pop("payload")
    assert row == less, (row, less)
    kept = call.get("payload_text", "").encode() or base64.b64decode(call.get("payload_base64", ""))
    assert (payload or b"") == kept, (payload, kept)
    assert row.pop("us") == int(call["ts_ns"]) // 1000
    assert row.pop("host.name") == lines[0]["host.name"] and row.pop("run") == lines[0]["run"]
    assert len(row.pop("boot_id")) == 36
    for key, value in row.items():
        told = call.get(key)
        told = int(told) if key == "ts_ns" else " ".join(told) if isinstance(told, list) else told
        assert value == told, (key, value, told)
    assert all(key in row or key in ("type", "ts", "payload_text", "payload_base64") for key in call), call
print(len(rows), "calls are the same")
