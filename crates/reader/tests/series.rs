//! Traces in several files: what the later ones repeat, which are kept, and what is made of damaged ones.

#[allow(dead_code)] // the property tests use more of it
#[path = "support/everything.rs"]
mod everything;
mod support;

use sockshim_format::op::Op;
use sockshim_format::record::*;
use sockshim_format::trace::End;
use sockshim_reader::order::Events;
use sockshim_reader::{Event, Limit, Model, Region, RegionOptions, Tail, Trace, TraceWriter};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use support::*;

const END: End = End { lost: 0, lost_extensions: 0, wait_status: 0, processes: 2, left_out: 0 };
const CALLS: u32 = 4000;
const PEER: [u8; 16] = [2, 0, 0, 80, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];

/// Noise, which does not pack: the same every time.
fn noise(seed: &mut u64) -> [u8; 40] {
    std::array::from_fn(|_| {
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        *seed as u8
    })
}

/// Records a connection and what is sent on it, while another process comes and goes, and a third of the
/// calls later closes a connection of its own.
fn record(scratch: &Scratch, limit: Limit) -> (PathBuf, u64) {
    let (region_path, file) = (scratch.path("region"), scratch.path("x.sst"));
    let options = RegionOptions { bytes: 1 << 20, first_bytes: 1 << 20, ..RegionOptions::default() };
    let mut region = Region::create(&region_path, &options).unwrap();
    let shim = Shim::attach(&region_path);
    let writer = TraceWriter::create(&file, &[("command", "x")], region.header()).unwrap();
    let mut writer = writer.limited(limit).unwrap();
    let (mut thread, mut other) = (Thread::new(&shim, 1, 10, 10), Thread::new(&shim, 2, 20, 20));
    thread.introduce(0, PROCESS_IMAGE, "/bin/stays", &["stays"]);
    other.introduce(1, PROCESS_IMAGE, "/bin/goes", &["goes"]);
    for (fd, id) in [(3, 77), (4, 88)] {
        let socket =
            Socket { socket: id, inode: 0, fd, domain: 2, kind: 1, protocol: 6, net_namespace: 0, reserved: 0 }
                .to_bytes();
        thread.call_with(Op::Socket, -1, fd.into(), id, &[(KIND_SOCKET, 0, &socket)]);
        thread.call_with(Op::Connect, fd, 0, id, &[(KIND_ADDRESS, ROLE_GIVEN, &PEER)]);
    }
    let mut seed = 0x9e37_79b9_7f4a_7c15;
    for i in 0..CALLS {
        thread.call_with(Op::Write, 3, 40, 77, &[(KIND_PAYLOAD, ROLE_SENT, &noise(&mut seed))]);
        if i == CALLS / 3 {
            thread.call(Op::Close, 4, 0, |call| call.socket = 88);
        }
        if i % 50 == 0 {
            let drained = region.drain(&mut |batch| writer.batch(&batch).unwrap());
            writer.end_pass(drained.complete_ticks).unwrap();
            region.give_back();
            writer.alive(if i < CALLS / 3 { &[(1, 10), (2, 20)] } else { &[(1, 10)] });
        }
    }
    let drained = region.drain(&mut |batch| writer.batch(&batch).unwrap());
    writer.end_pass(drained.complete_ticks).unwrap();
    let overwritten = writer.overwritten();
    writer.finish(&END).unwrap();
    (file, overwritten)
}

fn numbered(file: &Path, number: usize) -> PathBuf {
    if number == 0 { file.to_owned() } else { file.with_file_name(format!("x.sst.{number}")) }
}

/// Calls that are over, connections that know their peer, processes, and how it ends.
fn tell(trace: Trace) -> (Vec<u32>, usize, Vec<String>, Tail) {
    let (mut model, mut calls, mut processes) = (Model::new(), Vec::new(), Vec::new());
    let mut events = Events::new(trace);
    for event in events.by_ref() {
        let event = event.unwrap();
        model.feed(&event);
        match event {
            Event::Call(call) => calls.push(call.call.seq),
            Event::Process(process) => processes.push(process.name()),
            _ => {}
        }
    }
    let connected = model.connections().filter(|conn| conn.peer_address().is_some()).count();
    (calls, connected, processes, events.trace().tail())
}

#[test]
fn each_file_repeats_what_it_needs_and_no_more() {
    let scratch = Scratch::new("series-rotate");
    let (file, overwritten) = record(&scratch, Limit::Rotate(64 << 10));
    let files: Vec<PathBuf> = (0..).map(|number| numbered(&file, number)).take_while(|path| path.exists()).collect();
    assert!(files.len() > 3 && overwritten == 0, "{}", files.len());
    let mut all = Vec::new();
    for (number, path) in files.iter().enumerate() {
        assert!(std::fs::metadata(path).unwrap().len() <= 64 << 10);
        let trace = Trace::open(path).unwrap();
        assert_eq!((trace.part(), trace.calls_before()), (number as u64 + 1, all.len() as u64));
        let (calls, connected, processes, tail) = tell(trace);
        let (is_first, is_last) = (number == 0, number + 1 == files.len());
        // One connection and one process are gone by then.
        assert_eq!((connected, processes.len()), if is_last { (1, 1) } else { (connected, processes.len()) });
        assert!(!is_first || (connected, processes.len()) == (2, 2), "{connected} {processes:?}");
        assert!(is_last == (tail == Tail::Ended(END)) && is_last != (tail == Tail::Continued), "{tail:?}");
        all.extend(calls);
    }
    assert_eq!(all, (0..CALLS + 5).collect::<Vec<_>>());
    let (calls, connected, processes, tail) = tell(Trace::open_all(&files).unwrap());
    assert_eq!((calls, connected, tail), (all, 2, Tail::Ended(END)));
    assert_eq!(processes, ["stays", "goes"]);
}

#[test]
fn the_newest_is_kept_in_one_file() {
    let scratch = Scratch::new("series-keep");
    const BYTES: u64 = 96 << 10;
    let (file, overwritten) = record(&scratch, Limit::Keep(BYTES));
    let names: Vec<_> = std::fs::read_dir(&scratch.0).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "the trace and the region: {names:?}");
    let trace = Trace::open(&file).unwrap();
    assert!(trace.keeps_newest() && overwritten > 0);
    assert_eq!(trace.calls_before(), overwritten);
    let (calls, connected, processes, tail) = tell(trace);
    assert_eq!(calls, (overwritten as u32..CALLS + 5).collect::<Vec<_>>());
    assert_eq!((connected, tail), (1, Tail::Ended(END)));
    assert_eq!(processes, ["stays"]);
}

#[test]
fn damaged_files_of_a_series_are_read() {
    let scratch = Scratch::new("series-damaged");
    let (file, _) = record(&scratch, Limit::Rotate(64 << 10));
    let [whole, path] = [numbered(&file, 1), scratch.path("damaged")];
    let bytes = std::fs::read(whole).unwrap();
    let mut seed = 77;
    for round in 0..300usize {
        let mut damaged = bytes.clone();
        for at in noise(&mut seed).chunks_exact(4).take(1 + round % 8) {
            let at = u32::from_le_bytes(at.try_into().unwrap()) as usize;
            // What is carried over stands near the beginning.
            let at = if round % 2 == 0 { at % 6000 } else { at % damaged.len() };
            damaged[at] ^= 1 << (round % 8);
        }
        damaged.truncate(if round % 3 == 0 { bytes.len() * round / 300 } else { bytes.len() });
        std::fs::write(&path, &damaged).unwrap();
        let _ = everything::read(&path);
        let _ = Trace::open_all(&[&path, &file]).map(|trace| Events::new(trace).count());
    }
}

#[test]
fn of_a_longer_trace_that_was_there_nothing_is_left() {
    let scratch = Scratch::new("series-over");
    let (file, _) = record(&scratch, Limit::Rotate(1 << 30));
    let longer = std::fs::metadata(&file).unwrap();
    assert_eq!(tell(Trace::open(&file).unwrap()).0.len(), CALLS as usize + 5);
    let region = Region::create(scratch.path("second"), &RegionOptions::default()).unwrap();
    let writer = TraceWriter::create(&file, &[("command", "short")], region.header()).unwrap();
    let told = |tail| (Vec::new(), 0, Vec::new(), tail);
    assert_eq!(tell(Trace::open(&file).unwrap()), told(Tail::Open));
    writer.finish(&END).unwrap();
    let written = std::fs::metadata(&file).unwrap();
    assert!(written.len() < longer.len() && written.ino() == longer.ino());
    assert_eq!(written.mode() & 0o777, 0o600);
    let trace = Trace::open(&file).unwrap();
    assert_eq!(trace.meta("command"), Some("short"));
    assert_eq!(tell(trace), told(Tail::Ended(END)));
}
