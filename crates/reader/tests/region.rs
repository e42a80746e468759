//! The live region, against a shim of our own.

mod support;

use sockshim_format::op::Op;
use sockshim_format::record::*;
use sockshim_format::region::*;
use sockshim_reader::trace::{Tail, Trace, TraceWriter};
use sockshim_reader::{Assembler, Batch, Clock, Event, Region, RegionOptions};
use std::collections::HashSet;
use std::sync::atomic::Ordering::Release;
use support::*;

/// Extensions that were told before their call.
fn orphans(told: &[OwnedBatch]) -> u64 {
    let mut assembler = Assembler::new(Clock::of_this_machine());
    for (process, tid, lost, slots) in told {
        assembler.feed(&Batch { process: *process, pid: 4242, tid: *tid, lost: *lost, slots }, &mut |_| {});
    }
    assembler.orphans()
}

#[test]
fn a_new_region_has_what_the_contract_says() {
    use std::os::unix::fs::MetadataExt;
    let scratch = Scratch::new("new");
    let (mut region, shim) = region(&scratch, DEFAULT_REGION_BYTES);
    let path = scratch.path("region");
    let meta = std::fs::metadata(&path).unwrap();
    assert_eq!((meta.len(), meta.mode() & 0o777), (DEFAULT_REGION_BYTES, 0o600));
    let h = shim.header;
    assert_eq!((h.version, h.byte_order, h.closed), (REGION_VERSION, BYTE_ORDER, 0));
    assert_eq!(h.flags, REGION_DRAINED | REGION_EDGES);
    assert_ne!(h.id, [0, 0]);
    assert!(h.first_ticks != 0 && h.first_mono_ns != 0 && h.first_real_ns > 1_600_000_000_000_000_000);
    let bytes = std::fs::read(&path).unwrap();
    let schema = &bytes[SCHEMA_OFFSET..SCHEMA_OFFSET + h.schema_bytes as usize];
    assert_eq!(schema, SCHEMA.concat().as_bytes());
    assert_eq!(region.chunks_free(), (64, 64));
    assert_eq!(Header::read(&bytes).unwrap().offered, 64);
    assert!(Region::create(&path, &RegionOptions::default()).is_err(), "an existing file is never taken");
    let usual = Region::create(scratch.path("usual"), &RegionOptions::default()).unwrap();
    // More where threads cannot give themselves any.
    assert!([(4, 4), (64, 64)].contains(&usual.chunks_free()), "{:?}", usual.chunks_free());
    region.close();
    assert_eq!(Header::read(&std::fs::read(&path).unwrap()).unwrap().closed, 1);
}

#[test]
fn calls_come_in_order_across_chunks_and_chunks_come_back() {
    let scratch = Scratch::new("order");
    let (mut region, shim) = region(&scratch, 1 << 20);
    let mut thread = Thread::new(&shim, 1, 4242, 4243);
    for _ in 0..200 {
        thread.call_with(Op::Write, 3, 5, 7, &[(KIND_PAYLOAD, ROLE_SENT, b"hello")]);
    }
    let (free, all) = region.chunks_free();
    assert_eq!(all - free, 7);
    let batches = drain(&mut region);
    let told = calls(&batches);
    // A call whose chunk filled up under it is told as entered and completed in the next chunk.
    let done: Vec<u32> = told.iter().filter(|c| c.1 == STATE_DONE).map(|c| c.0).collect();
    assert_eq!(done, (0..200).collect::<Vec<_>>());
    assert_eq!(region.chunks_free(), (all - 1, all));
    assert!(drain(&mut region).is_empty());
    // Recycled, the same chunk serves another generation.
    for _ in 0..200 {
        thread.call(Op::Read, 3, 5, |_| {});
    }
    assert_eq!(calls(&drain(&mut region)).len(), 200);
}

#[test]
fn a_call_in_progress_waits_then_is_told_then_is_completed() {
    let scratch = Scratch::new("progress");
    let (mut region, shim) = region(&scratch, 1 << 20);
    let mut thread = Thread::new(&shim, 1, 4242, 4243);
    thread.call(Op::Socket, -1, 3, |_| {});
    let entered = thread.enter(Op::Connect, 3, |_| {});
    thread.extension(1, KIND_ADDRESS, ROLE_GIVEN, 0, &[2, 0, 0, 80, 127, 0, 0, 1]);
    assert_eq!(calls(&drain(&mut region)), [(0, STATE_DONE)]);
    assert_eq!(calls(&drain(&mut region)), []);
    region.announce_after_ns = 0;
    assert_eq!(calls(&drain(&mut region)), [(1, STATE_ENTERED)]);
    assert_eq!(calls(&drain(&mut region)), []);
    thread.extension(1, KIND_ADDRESS, ROLE_LOCAL, 0, &[2, 0, 0, 99, 127, 0, 0, 1]);
    thread.leave(entered, |call| call.ret = -1);
    let last = drain(&mut region);
    assert_eq!(calls(&last), [(1, STATE_DONE)]);
    assert_eq!(last.len(), 2, "the call, then the extension");
}

#[test]
fn calls_of_a_signal_handler_do_not_wait_for_the_interrupted_one() {
    let scratch = Scratch::new("signal");
    let (mut region, shim) = region(&scratch, 1 << 20);
    let mut thread = Thread::new(&shim, 1, 4242, 4243);
    thread.enter(Op::Read, 3, |_| {});
    thread.call(Op::Write, 4, 1, |_| {});
    assert_eq!(calls(&drain(&mut region)), [(0, STATE_ENTERED), (1, STATE_DONE)]);
}

#[test]
fn what_belongs_to_a_call_that_waits_is_told_behind_it() {
    let scratch = Scratch::new("behind");
    let (mut region, shim) = region(&scratch, 1 << 20);
    let mut thread = Thread::new(&shim, 1, 4242, 4243);
    let entered = thread.enter(Op::Read, 3, |_| {});
    // The thread has claimed the next chunk, and comes to seal this one a moment later.
    let sealed_later = thread.chunk.take();
    thread.extension(0, KIND_PAYLOAD, ROLE_RECEIVED, 0, b"hello");
    assert_eq!(drain(&mut region), []);
    thread.leave(entered, |call| call.ret = 5);
    let next = std::mem::replace(&mut thread.chunk, sealed_later);
    thread.leave_chunk();
    thread.chunk = next;
    let told = drain(&mut region);
    assert_eq!(calls(&told), [(0, STATE_ENTERED), (0, STATE_DONE)]);
    assert_eq!(orphans(&told), 0);
}

#[test]
fn threads_that_claim_while_the_tool_looks_are_told_in_order() {
    let scratch = Scratch::new("claims");
    let (mut region, shim) = region(&scratch, 1 << 20);
    let threads: Vec<_> = (1..=3)
        .map(|tid| {
            let shim = shim.clone();
            std::thread::spawn(move || {
                let mut thread = Thread::new(&shim, 1, 4242, tid);
                for _ in 0..20_000 {
                    thread.call_with(Op::Write, 3, 5, 7, &[(KIND_PAYLOAD, ROLE_SENT, &[b'x'; 1500])]);
                }
            })
        })
        .collect();
    let mut told = Vec::new();
    while threads.iter().any(|thread| !thread.is_finished()) {
        told.append(&mut drain(&mut region));
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    told.append(&mut drain(&mut region));
    assert_eq!(orphans(&told), 0);
    let done = |call: &&(u32, u8)| call.1 == STATE_DONE;
    assert_eq!(calls(&told).iter().filter(done).count(), 60_000);
}

#[test]
fn a_slot_that_is_never_published_is_passed_over() {
    let scratch = Scratch::new("gap");
    let (mut region, shim) = region(&scratch, 1 << 20);
    let mut thread = Thread::new(&shim, 1, 4242, 4243);
    thread.call(Op::Read, 3, 1, |_| {});
    thread.reserve(3);
    thread.call(Op::Read, 3, 1, |_| {});
    assert_eq!(calls(&drain(&mut region)), [(0, STATE_DONE)]);
    assert_eq!(calls(&drain(&mut region)), []);
    region.announce_after_ns = 0;
    assert_eq!(calls(&drain(&mut region)), [(1, STATE_DONE)]);
    thread.reserve(2);
    thread.call(Op::Read, 3, 1, |_| {});
    thread.leave_chunk();
    region.announce_after_ns = u64::MAX;
    assert_eq!(calls(&drain(&mut region)), [(2, STATE_DONE)]);
    assert_eq!(region.chunks_free().0, region.chunks_free().1);
}

#[test]
fn payload_cannot_pass_for_a_record_of_the_next_generation() {
    let scratch = Scratch::new("forged");
    let (mut region, shim) = region(&scratch, 1 << 20);
    let mut thread = Thread::new(&shim, 1, 4242, 4243);
    let forged = Commit { generation: 2, kind: KIND_CALL, slots: 1, state: STATE_DONE, flags: 0 }.word();
    let body: Vec<u8> = std::iter::repeat_n(forged.to_le_bytes(), 300).flatten().collect();
    thread.call_with(Op::Recv, 3, 2400, 7, &[(KIND_PAYLOAD, ROLE_RECEIVED, &body)]);
    thread.leave_chunk();
    drain(&mut region);
    thread.reserve(30);
    region.announce_after_ns = 0;
    assert!(drain(&mut region).is_empty() && drain(&mut region).is_empty());
}

#[test]
fn what_a_slot_was_used_for_before_is_not_told() {
    let scratch = Scratch::new("stale");
    let (mut region, shim) = region(&scratch, 1 << 20);
    let mut thread = Thread::new(&shim, 1, 4242, 4243);
    thread.call_with(Op::Recv, 3, 300, 7, &[(KIND_PAYLOAD, ROLE_RECEIVED, &[0xee; 300])]);
    thread.leave_chunk();
    drain(&mut region);
    // Into the same chunk, and once for who reads the file.
    let mut seen = 0;
    let mut look = |slots: &[u8]| {
        // One such byte may be of a time.
        assert!(!slots.windows(16).any(|bytes| bytes == [0xee; 16]), "{slots:x?}");
        seen += slots.windows(5).filter(|bytes| bytes == b"short").count();
    };
    thread.call_with(Op::Recv, 3, 5, 7, &[(KIND_PAYLOAD, ROLE_RECEIVED, b"short")]);
    let mut file = sockshim_reader::region::RegionFile::open(scratch.path("region")).unwrap();
    while let Some(chunk) = file.next_chunk().unwrap() {
        chunk.batches().for_each(|batch| look(batch.slots));
    }
    drain(&mut region).iter().for_each(|(_, _, _, slots)| look(slots));
    assert_eq!(seen, 2);
}

#[test]
fn the_region_grows_while_it_is_used() {
    let scratch = Scratch::new("grow");
    let (mut region, shim) = region(&scratch, 32 << 20);
    let mut threads: Vec<Thread> = (1..=40).map(|tid| Thread::new(&shim, 1, 4242, tid)).collect();
    for thread in &mut threads {
        thread.call(Op::Read, 3, 1, |_| {});
    }
    drain(&mut region);
    // More than half of the first 64 are taken, so as many again are offered.
    assert_eq!(region.chunks_free(), (128 - 40, 128));
    assert!(region.extend_error().is_none());
    // A thread that found none has offered more: it sets the number first, then the bits.
    let offered = shim.half(std::mem::offset_of!(Header, offered));
    offered.store(192, Release);
    shim.word(shim.header.free_offset as usize + 16).fetch_or(u64::MAX, Release);
    let mut others: Vec<Thread> = (41..=170).map(|tid| Thread::new(&shim, 1, 4242, tid)).collect();
    for thread in &mut others {
        thread.call(Op::Read, 3, 1, |_| {});
    }
    assert_eq!(calls(&drain(&mut region)).len(), 130);
    // What it says is not believed beyond what the file has room for.
    offered.store(u32::MAX, Release);
    let count = region.header().chunk_count;
    drain(&mut region);
    assert_eq!(region.chunks_free().1, count);
}

#[test]
fn chunks_of_dead_threads_are_taken_back_and_those_of_live_ones_are_not() {
    let scratch = Scratch::new("reclaim");
    let (mut region, shim) = region(&scratch, 1 << 20);
    let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
    let pid = child.id();
    let mut dead = Thread::new(&shim, 1, pid, pid);
    dead.introduce(0, PROCESS_IMAGE, "/bin/sleep", &["sleep", "100"]);
    dead.enter(Op::Read, 3, |_| {});
    let me = std::process::id();
    let mut live = Thread::new(&shim, 2, me, me);
    live.introduce(0, PROCESS_IMAGE, "/bin/me", &["me"]);
    let mut unknown = Thread::new(&shim, 3, 4_000_000, 4_000_000);
    unknown.call(Op::Read, 3, 1, |_| {});
    drain(&mut region);
    let mut told = Vec::new();
    region.reclaim(&mut |b| told.push((b.process, b.tid, b.lost, b.slots.to_vec())));
    region.give_back();
    assert_eq!((told.len(), region.chunks_free().0), (0, 64 - 3));
    assert_eq!(region.alive(), [(1, pid), (2, me)]);
    child.kill().unwrap();
    // Not waited for yet: a zombie, which will never record again.
    while !std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().contains(") Z ") {
        std::thread::yield_now();
    }
    region.reclaim(&mut |b| told.push((b.process, b.tid, b.lost, b.slots.to_vec())));
    region.give_back();
    child.wait().unwrap();
    assert_eq!(calls(&told), [(0, STATE_ENTERED)], "a killed program shows the call that it died in");
    assert_eq!(region.chunks_free().0, 64 - 2, "a process that never introduced itself keeps its chunk");
    assert_eq!(region.alive(), [(2, me)]);
}

#[test]
fn exec_frees_the_chunks_of_the_image_before() {
    let scratch = Scratch::new("exec");
    let (mut region, shim) = region(&scratch, 1 << 20);
    let me = std::process::id();
    let mut before = Thread::new(&shim, 1, me, me);
    before.introduce(0, PROCESS_IMAGE, "/bin/sh", &["sh"]);
    before.enter(Op::Execve, -1, |_| {});
    drain(&mut region);
    let mut after = Thread::new(&shim, 2, me, me);
    after.introduce(0, PROCESS_IMAGE, "/bin/ls", &["ls"]);
    drain(&mut region);
    let mut told = Vec::new();
    region.reclaim(&mut |b| told.push((b.process, b.tid, b.lost, b.slots.to_vec())));
    region.give_back();
    assert_eq!(calls(&told), [(0, STATE_ENTERED)]);
    assert_eq!(region.chunks_free().0, 64 - 1);
    assert_eq!(region.alive(), [(2, me)]);
}

/// Every call of four busy threads, with payload, arrives once and whole, through a region so small
/// that they wait for chunks all the time.
#[test]
fn nothing_is_lost_between_busy_threads_and_the_tool() {
    const CALLS: u32 = 20_000;
    let scratch = Scratch::new("stress");
    let path = scratch.path("region");
    let mut region =
        Region::create(&path, &RegionOptions { bytes: 96 << 10, first_bytes: 96 << 10, ..RegionOptions::default() })
            .unwrap();
    let shim = Shim::attach(&path);
    let mut writer = TraceWriter::create(scratch.path("trace"), &[("command", "x")], region.header()).unwrap();
    let threads: Vec<_> = (1..=4)
        .map(|tid| {
            let shim = shim.clone();
            std::thread::spawn(move || {
                let mut thread = Thread::new(&shim, 1, 4242, tid);
                for i in 0..CALLS {
                    let entered = thread.enter(Op::Write, tid as i32, |call| call.socket = tid as u64);
                    let text = format!("{tid}:{i}").repeat(1 + i as usize % 40);
                    thread.extension(i, KIND_PAYLOAD, ROLE_SENT, 0, text.as_bytes());
                    if i % 97 == 0 {
                        (0..i % 70).for_each(|_| thread.extension(i, KIND_OPTION, 0, 0, b"long"));
                    }
                    thread.leave(entered, |call| call.ret = text.len() as i64);
                }
                thread.leave_chunk();
            })
        })
        .collect();
    loop {
        let over = threads.iter().all(|thread| thread.is_finished());
        let drained = region.drain(&mut |batch| writer.batch(&batch).unwrap());
        writer.end_pass(drained.complete_ticks).unwrap();
        region.give_back();
        if over {
            break;
        }
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let end = sockshim_format::trace::End { lost: 0, lost_extensions: 0, wait_status: 0, processes: 1, left_out: 0 };
    writer.finish(&end).unwrap();
    let mut trace = Trace::open(scratch.path("trace")).unwrap();
    assert_eq!((trace.tail(), trace.meta("command")), (Tail::Ended(end), Some("x")));
    let mut assembler = Assembler::new(trace.clock().clone());
    let mut seen: HashSet<(u32, u32)> = HashSet::new();
    let mut check = |event| {
        if let Event::Call(call) = event {
            let i = call.call.seq;
            assert!(seen.insert((call.tid, i)), "call {i} of {} came twice", call.tid);
            let text = format!("{}:{i}", call.tid).repeat(1 + i as usize % 40);
            assert_eq!(call.payload().unwrap().1, text.as_bytes(), "call {i} of {}", call.tid);
        }
    };
    while let Some(pass) = trace.next_pass().unwrap() {
        pass.batches().for_each(|batch| assembler.feed(&batch, &mut check));
        assembler.flush(&mut check);
    }
    assert_eq!(seen.len(), 4 * CALLS as usize);
    assert_eq!(assembler.orphans(), 0);
}
