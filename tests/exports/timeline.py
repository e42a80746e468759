"""Reads a timeline by Perfetto's own definitions, and the same timeline as JSON: they have to say the same."""
import collections, json, sys
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace, TrackEvent, TrackDescriptor

trace = Trace()
trace.ParseFromString(open(sys.argv[1], "rb").read())
tracks, slices, open_slices, counters = {}, [], collections.defaultdict(list), collections.defaultdict(list)
leaves, arrives = {}, {}
packets = [packet for packet in trace.packet if packet.HasField("track_event")]
for packet in trace.packet:
    if packet.HasField("track_descriptor"):
        tracks[packet.track_descriptor.uuid] = packet.track_descriptor
for packet in sorted(packets, key=lambda packet: packet.timestamp):
    event = packet.track_event
    track = tracks[event.track_uuid]
    if event.type == TrackEvent.TYPE_SLICE_BEGIN:
        slice = dict(track=event.track_uuid, name=event.name, start=packet.timestamp,
                     facts={a.name: a.string_value or a.int_value for a in event.debug_annotations})
        open_slices[event.track_uuid].append(slice)
        slices.append(slice)
        for arrow in event.flow_ids:
            leaves[arrow] = slice
        for arrow in event.terminating_flow_ids:
            arrives[arrow] = slice
    elif event.type == TrackEvent.TYPE_SLICE_END:
        open_slices[event.track_uuid].pop()["end"] = packet.timestamp
    elif event.type == TrackEvent.TYPE_COUNTER:
        counters[event.track_uuid].append(event.counter_value)
assert not any(open_slices.values()), open_slices
for track in tracks.values():
    parent = track.parent_uuid
    assert track.HasField("process") or tracks[parent].HasField("process"), track

calls = [slice for slice in slices if tracks[slice["track"]].HasField("thread")]
stories = [slice for slice in slices if not tracks[slice["track"]].HasField("thread")]
phases = [slice["name"] for slice in stories]
for phase in ["create", "connect", "communicate", "disconnect"]:
    assert phases.count(phase) > 4, phases
# Every write whose bytes were read has an arrow, from a call that sends to one that receives, and never back in time.
assert len(arrives) > 15 and set(arrives) <= set(leaves)
for arrow, end in arrives.items():
    begin = leaves[arrow]
    assert begin["name"] in ("send", "sendto") and end["name"] in ("recv", "recvfrom"), (begin, end)
    assert begin["start"] <= end["end"], (begin, end)
# 400,000 bytes were on their way at once at the most, and none are in the end, but for what was never read.
assert max(map(max, counters.values())) <= 400000
left = [values[-1] for values in counters.values()]
assert sorted(left)[-1] == len("never read") and sorted(left)[:-1] == [0] * (len(left) - 1), left

events = json.load(open(sys.argv[2]))["traceEvents"]
of = collections.defaultdict(list)
for event in events:
    of[event["ph"]].append(event)
assert len(of["X"]) == len(calls)
assert len(of["b"]) == len(of["e"]) == len(stories)
assert {event["id"] for event in of["s"]} == set(leaves)
assert {event["id"] for event in of["f"]} == set(arrives)
assert sorted(event["args"]["bytes"] for event in of["C"]) == sorted(sum(counters.values(), []))
by_thread = collections.defaultdict(list)
for event in of["X"]:
    by_thread[event["pid"], event["tid"]].append(event)
for event in of["s"] + of["f"]:
    around = [x for x in by_thread[event["pid"], event["tid"]] if x["ts"] <= event["ts"] <= x["ts"] + x["dur"]]
    assert around, event
print("the same in both")
