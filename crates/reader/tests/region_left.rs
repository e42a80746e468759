//! What lies in a region when its tool is gone, or has not come to it yet.

mod support;

use sockshim_format::op::Op;
use sockshim_format::record::*;
use sockshim_reader::Event;
use sockshim_reader::region::RegionFile;
use sockshim_reader::trace::{Tail, Trace, TraceWriter};
use std::sync::atomic::Ordering::Relaxed;
use support::*;

#[test]
fn a_region_is_read_as_it_lies() {
    let scratch = Scratch::new("lies");
    let (region, shim) = region(&scratch, 1 << 20);
    let mut b = Thread::new(&shim, 2, 20, 21);
    let mut a = Thread::new(&shim, 1, 10, 11);
    for _ in 0..100 {
        b.call(Op::Read, 3, 1, |_| {});
        a.call(Op::Write, 3, 1, |_| {});
    }
    a.reserve(2);
    a.enter(Op::Recv, 3, |_| {});
    shim.word(192).store(5, Relaxed);
    drop(region);
    let mut file = RegionFile::open(scratch.path("region")).unwrap();
    let mut batches = Vec::new();
    while let Some(chunk) = file.next_chunk().unwrap() {
        batches.extend(chunk.batches().map(|b| (b.process, b.tid, b.lost, b.slots.to_vec())));
    }
    let told = calls(&batches);
    let expected: Vec<_> = (0..100).map(|i| (i, STATE_DONE)).collect();
    assert_eq!(told[..100], expected);
    assert_eq!(told[100], (100, STATE_ENTERED));
    assert_eq!(told[101..], expected);
    let trace = Trace::open(scratch.path("region")).unwrap();
    assert_eq!((trace.tail(), trace.lost()), (Tail::Region { closed: false }, Some((5, 0))));
}

/// What the tool has only in its memory is gone when it is killed, so until it is in a file it stays in
/// the region, full chunks included.
#[test]
fn what_was_told_stays_in_the_region_until_it_is_given_back() {
    let scratch = Scratch::new("told");
    let (mut region, shim) = region(&scratch, 1 << 20);
    let mut thread = Thread::new(&shim, 1, 10, 11);
    for _ in 0..200 {
        thread.call(Op::Read, 3, 1, |_| {});
    }
    let lies = || {
        let mut file = RegionFile::open(scratch.path("region")).unwrap();
        let mut batches = Vec::new();
        while let Some(chunk) = file.next_chunk().unwrap() {
            batches.extend(chunk.batches().map(|b| (b.process, b.tid, b.lost, b.slots.to_vec())));
        }
        calls(&batches).len()
    };
    let mut told = 0;
    region.drain(&mut |batch| told += batch.records().count());
    assert_eq!((told, lies()), (200, 200));
    // Nothing is told twice meanwhile.
    region.drain(&mut |batch| told += batch.records().count());
    assert_eq!((told, region.give_back(), region.give_back(), lies()), (200, 3, 0, 200 - 3 * 63));
}

#[test]
fn what_a_killed_tool_did_not_write_is_found_in_the_region() {
    let scratch = Scratch::new("killed");
    let (mut region, shim) = region(&scratch, 1 << 20);
    let path = scratch.path("region");
    let meta = [("region", path.to_str().unwrap())];
    let mut writer = TraceWriter::create(scratch.path("trace"), &meta, region.header()).unwrap();
    let mut thread = Thread::new(&shim, 1, 10, 11);
    thread.introduce(0, PROCESS_IMAGE, "/bin/x", &["x", "", "y z"]);
    thread.call_with(Op::Write, 3, 2, 7, &[(KIND_PAYLOAD, ROLE_SENT, b"ab")]);
    let entered = thread.enter(Op::Connect, 3, |_| {});
    thread.extension(1, KIND_ADDRESS, ROLE_GIVEN, 0, &[2, 0, 0, 80, 127, 0, 0, 1]);
    region.announce_after_ns = 0;
    let drained = region.drain(&mut |batch| writer.batch(&batch).unwrap());
    writer.end_pass(drained.complete_ticks).unwrap();
    drop((writer, region));
    thread.extension(1, KIND_ADDRESS, ROLE_LOCAL, 0, &[2, 0, 0, 99, 127, 0, 0, 1]);
    thread.leave(entered, |_| {});
    thread.call(Op::Close, 3, 0, |_| {});
    let trace = Trace::open(scratch.path("trace")).unwrap();
    assert_eq!(trace.tail(), Tail::Open);
    let events: Vec<Event> = sockshim_reader::order::Events::new(trace).map(Result::unwrap).collect();
    let mut told = Vec::new();
    for event in &events {
        match event {
            Event::Process(p) => {
                assert_eq!(p.args, [b"x".to_vec(), b"".to_vec(), b"y z".to_vec()]);
                told.push(format!("process {}", p.name()));
            }
            Event::Entered(c) => told.push(format!("entered {}", c.op().unwrap().name())),
            Event::Call(c) => told.push(format!("{} {}", c.op().unwrap().name(), c.extensions.len())),
            other => panic!("{other:?}"),
        }
    }
    // The ends of calls that took long stand at their end, which here lies before later starts.
    assert_eq!(told, ["process x", "write 1", "entered connect", "connect 2", "close 0"]);
}

/// A thread's number may be lower than its process's, once the kernel has given out all numbers: then its
/// records come first.
#[test]
fn a_thread_that_comes_before_its_process_has_the_right_pid() {
    let scratch = Scratch::new("wrapped");
    let path = scratch.path("region");
    let (mut region, shim) = region(&scratch, 1 << 20);
    Thread::new(&shim, 1, 300, 7).call(Op::Read, 3, 1, |_| {});
    Thread::new(&shim, 1, 300, 300).introduce(0, PROCESS_IMAGE, "/bin/x", &["x"]);
    let meta = [("region", "/nowhere")];
    let mut writer = TraceWriter::create(scratch.path("trace"), &meta, region.header()).unwrap();
    let drained = region.drain(&mut |batch| writer.batch(&batch).unwrap());
    writer.end_pass(drained.complete_ticks).unwrap();
    drop(region);
    for file in [scratch.path("trace"), path] {
        let events = sockshim_reader::order::Events::new(Trace::open(&file).unwrap());
        let calls: Vec<(u32, u32)> = events
            .filter_map(|event| match event.unwrap() {
                Event::Call(call) => Some((call.pid, call.tid)),
                _ => None,
            })
            .collect();
        assert_eq!(calls, [(300, 7)], "{}", file.display());
    }
}
