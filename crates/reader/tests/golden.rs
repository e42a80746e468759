//! Files of version 1 of the format, kept for ever: what was written once must always be read, and
//! what is written today must be the same bytes. `UPDATE_GOLDEN=1` writes them anew.

mod support;

use sockshim_format::line::Line;
use sockshim_format::trace::{Clock, End};
use sockshim_reader::model::{Ending, FirstToClose};
use sockshim_reader::order::Events;
use sockshim_reader::region::RegionFile;
use sockshim_reader::{Event, Model, Tail, Trace, TraceWriter};
use std::path::{Path, PathBuf};
use support::*;

const END: End = End { lost: 3, lost_extensions: 1, wait_status: 256, processes: 2, left_out: 0 };

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// Compares a fresh file with the kept one.
fn compare(fresh: &Path, name: &str) {
    let kept = golden(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(kept.parent().unwrap()).unwrap();
        std::fs::copy(fresh, &kept).unwrap();
    }
    let (fresh, kept) = (std::fs::read(fresh).unwrap(), std::fs::read(kept).unwrap());
    let differs = fresh.iter().zip(&kept).position(|(a, b)| a != b);
    assert_eq!((fresh.len(), differs), (kept.len(), None), "{name} differs (UPDATE_GOLDEN=1 writes it anew)");
}

fn write_trace(region: &Path, path: &Path) {
    let mut region = RegionFile::open(region).unwrap();
    let meta = [("command", "client -v \\ two\nlines"), ("tool_version", "0.1.0"), ("host", "h")];
    let mut writer = TraceWriter::create(path, &meta, region.header()).unwrap().of_the_past();
    let mut ticks = 1_001_000;
    while let Some(chunk) = region.next_chunk().unwrap() {
        chunk.batches().for_each(|batch| writer.batch(&batch).unwrap());
        ticks += 500;
        writer.end_pass(ticks).unwrap();
        writer.clock(Clock { ticks: 5_000_000, mono_ns: 5_002_000_000, real_ns: 0 }).unwrap();
    }
    writer.finish(&END).unwrap();
}

fn tell(path: &Path) -> (Vec<String>, Model) {
    let mut model = Model::new();
    let mut told = Vec::new();
    for event in Events::new(Trace::open(path).unwrap()) {
        let event = event.unwrap();
        model.feed(&event);
        told.push(match &event {
            Event::Process(p) => format!("{} process {} {:?}", p.process.pid, p.name(), p.args.len()),
            Event::Mark(mark) => format!("{} mark {}", mark.pid, String::from_utf8_lossy(&mark.text)),
            Event::Entered(call) | Event::Call(call) => {
                let parts = call.parts();
                let line = Line { call: &call.call, parts: &parts, peer: None, duration_ns: call.duration_ns() };
                format!("{} {} {line}", call.pid, call.start_ns - 1_700_000_000_000_000_000)
            }
            Event::Earlier(call) => format!("{} earlier {}", call.process, call.call.fd),
            Event::Left(left) => format!("{} left {}", left.process, left.left.fd),
            Event::Lost { .. } => String::from("lost"),
        });
    }
    (told, model)
}

#[test]
fn version_1_is_written_and_read_as_ever() {
    let scratch = Scratch::new("golden");
    record_story(&fixed_region(&scratch.path("region")));
    compare(&scratch.path("region"), "v1-region.sst");
    write_trace(&golden("v1-region.sst"), &scratch.path("trace"));
    compare(&scratch.path("trace"), "v1.sst");
    let trace = Trace::open(golden("v1.sst")).unwrap();
    assert_eq!(trace.meta("command"), Some("client -v \\ two\nlines"));
    assert_eq!((trace.meta("host"), trace.meta("header")), (Some("h"), None));
    assert_eq!((trace.tail(), trace.lost()), (Tail::Ended(END), Some((3, 1))));
}

#[test]
fn version_1_tells_the_same_story_from_every_kind_of_file() {
    // v1-raw.sst was written before records were packed, v1-planes.sst when planes were all that was done.
    for name in ["v1.sst", "v1-planes.sst", "v1-raw.sst", "v1-region.sst"] {
        let (told, mut model) = tell(&golden(name));
        let expected = [
            "10 process client 3",
            "10 mark begin",
            "10 500 socket(AF_INET, SOCK_STREAM, 0) = 3 <2ns>",
            "20 process server 1",
            "10 505 connect(3, 127.0.0.1:8080 http-alt) = 0 <2ns>",
        ];
        let mut sorted: Vec<&str> = told.iter().map(String::as_str).filter(|line| !line.contains("recv")).collect();
        sorted.sort_by_key(|line| !line.starts_with("10 "));
        assert_eq!(sorted[..4], [expected[0], expected[1], expected[2], expected[4]]);
        let text = "a".repeat(50) + &"b".repeat(40);
        assert_eq!(sorted[4], format!("10 510 send(3, \"{text}\", 90, 0) = 90 <2ns>"));
        assert_eq!(sorted[5], "10 515 close(3) = 0 <2ns>");
        assert_eq!(sorted[6..], [expected[3], "20 500 accept(4, 127.0.0.1:40000) = 5 <2ns>"]);
        assert_eq!(told.last().unwrap(), "20 705 recv(5, 100, 0) ...");
        assert_eq!(told.len(), 8 + 41);
        model.finish(true);
        let [client, listener, server] = &model.connections().collect::<Vec<_>>()[..] else { panic!() };
        assert_eq!((client.sent.bytes, server.received.bytes, listener.accepted), (90, 2800, 1));
        assert_eq!((client.other_end, server.other_end), (Some(server.id), Some(client.id)));
        assert_eq!(client.closed_first(), FirstToClose::Us);
        assert!(matches!(server.ending, Ending::Leaked(_)));
        assert_eq!(server.in_progress.len(), 1, "it was killed in a recv");
    }
}
