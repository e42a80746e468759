//! Whatever the bytes of a file are, reading it ends, in bounded memory, with all that can be told or an
//! error that says where. Files of both kinds are changed by a seeded mutator that keeps the checksums
//! right, so that the changes get to the layers behind them.
//!
//! `SOCKSHIM_SOAK=1` runs ten times as many cases. `UPDATE_CORPUS=1` writes the fuzzer's corpus anew.

#[path = "support/everything.rs"]
mod everything;
#[path = "support/mutator.rs"]
mod mutator;
mod support;

use everything::{most_events, read};
use mutator::{Mutator, blocks, packed, seal};
use sockshim_format::op::Op;
use sockshim_format::record::*;
use sockshim_format::region::{CLOCK_TSC, Header, SLOT_BYTES};
use sockshim_format::trace::*;
use sockshim_reader::{Batch, Tail, Trace, TraceWriter};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::{Path, PathBuf};
use support::Scratch;

/// Counts what each thread has allocated; tests run in a thread each.
struct Counting;

thread_local! {
    static USED: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every request is passed to the system's allocator as it came; counting is in thread-local
// cells without destructors, so it allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        USED.set(USED.get().wrapping_add(layout.size()));
        PEAK.set(PEAK.get().max(USED.get()));
        // SAFETY: the caller's layout.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        USED.set(USED.get().saturating_sub(layout.size()));
        // SAFETY: the memory came from `alloc` above, with this layout.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What `work` gives, and the most memory that it held at a time.
fn measured<T>(work: impl FnOnce() -> T) -> (T, usize) {
    USED.set(0);
    PEAK.set(0);
    let result = work();
    (result, PEAK.get())
}

/// Memory that reading a file of so many bytes may take. What a packed block stands for is some 255 times its size
/// (LZ4 can do no better; but of calls that are alike in all there is only a bit each), and an event takes a few times
/// the size of its records.
fn allowance(file_bytes: usize) -> usize {
    (4 << 20) + file_bytes * 255 * 4
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn golden() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    ["v1.sst", "v1-raw.sst", "v1-region.sst", "v1-planes.sst"]
        .iter()
        .map(|name| std::fs::read(folder.join(name)).unwrap())
        .collect()
}

/// Reads a file that may hold anything, and checks what always holds. Whether it could be read.
fn survives(path: &Path, bytes: &[u8], allowance: usize, what: &str) -> bool {
    // A new file each time: one that is emptied and written again is flushed to the disk by some filesystems.
    let _ = std::fs::remove_file(path);
    std::fs::write(path, bytes).unwrap();
    let most = most_events(path);
    let (told, peak) = measured(|| read(path));
    assert!(peak <= allowance, "{what}: {peak} bytes of memory for a file of {}", bytes.len());
    match (told, most) {
        (Ok(told), Ok(most)) => {
            assert!(told.events <= most, "{what}: {} events of at most {most}", told.events);
            if let Tail::Torn { offset, reason } = told.tail {
                assert!(offset <= bytes.len() as u64 && !reason.is_empty(), "{what}: torn at {offset}");
            }
            true
        }
        (Err(error), Err(_)) => {
            let text = error.to_string();
            assert!(text.contains("offset") && text.lines().count() == 1, "{what}: {text}");
            false
        }
        (told, most) => panic!("{what}: once it can be read and once not: {:?} {most:?}", told.map(|t| t.events)),
    }
}

#[test]
fn mutated_files_end_in_bounds() {
    let scratch = Scratch::new("mutated");
    let path = scratch.path("file");
    let sources = golden();
    let soak = std::env::var_os("SOCKSHIM_SOAK").is_some_and(|value| value == "1");
    let cases = if soak { 20_000 } else { 2_000 };
    let mut readable = 0;
    for case in 0..cases {
        let mut mutator = Mutator::new(case);
        let bytes = mutator.mutate(&sources);
        // A case alone: its number is its seed.
        readable += u64::from(survives(&path, &bytes, allowance(bytes.len()), &format!("case {case}")));
    }
    // Were they all refused at the door, nothing behind it would have been tested.
    assert!(readable > cases / 2 && readable < cases, "{readable} of {cases} could be read");
}

/// Any slots at all that go into a trace come out of it as they were, packed or not.
#[test]
fn what_is_written_is_read_whatever_it_is() {
    let scratch = Scratch::new("roundtrip");
    let path = scratch.path("trace");
    let source = golden().remove(1);
    let records = blocks(&source).into_iter().find(|(_, block)| block.kind == BLOCK_RECORDS).unwrap();
    let real = &source[records.0 + Block::SIZE..][..records.1.stored_bytes as usize];
    for case in 0..200 {
        let mut mutator = Mutator::new(case);
        let writer = TraceWriter::create(&path, &[], &Header { clock: CLOCK_TSC, ..Header::new(65536).unwrap() });
        let mut writer = writer.unwrap().of_the_past();
        let mut written: Vec<(u32, u32, u32, Vec<u8>)> = Vec::new();
        for _ in 0..1 + mutator.below(6) {
            let mut slots = real[Run::SIZE..].to_vec();
            slots.truncate(mutator.below(slots.len() / SLOT_BYTES + 1) * SLOT_BYTES);
            mutator.stir(&mut slots);
            let (process, tid, lost) = (mutator.value() as u32, mutator.value() as u32, mutator.value() as u32);
            writer.batch(&Batch { process, pid: 0, tid, lost, slots: &slots }).unwrap();
            written.push((process, tid, lost, slots));
            if mutator.below(3) == 0 {
                writer.end_pass(case).unwrap();
            }
        }
        writer.finish(&End { lost: 0, lost_extensions: 0, wait_status: 0, processes: 1, left_out: 0 }).unwrap();
        let mut trace = Trace::open(&path).unwrap();
        let mut back = Vec::new();
        while let Some(pass) = trace.next_pass().unwrap() {
            back.extend(pass.batches().map(|b| (b.process, b.tid, b.lost, b.slots.to_vec())));
        }
        assert_eq!((back == written, trace.damaged_bytes()), (true, 0), "case {case}");
    }
}

/// A run of one thread, and a trace with blocks of such.
fn run(process: u32, tid: u32, slots: &[u8]) -> Vec<u8> {
    let head = Run { process, tid, slots: (slots.len() / SLOT_BYTES) as u32, lost: 0 };
    [&head.to_bytes(), slots].concat()
}

fn trace_of(payloads: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = golden().remove(0);
    bytes.truncate(blocks(&bytes)[0].0);
    payloads.iter().for_each(|payload| seal(&mut bytes, payload, packed(payload)));
    bytes
}

fn call(op: Op, seq: u32, change: impl FnOnce(&mut Call)) -> Vec<u8> {
    let commit = Commit { generation: 1, kind: KIND_CALL, slots: 1, state: STATE_DONE, flags: 0 }.word();
    let mut call = Call {
        commit,
        start_ticks: 2_000_000 + u64::from(seq),
        duration_ticks: 1,
        ret: 0,
        socket: 0,
        size: 0,
        seq,
        fd: -1,
        op: op as u16,
        errno: 0,
        arg: 0,
    };
    change(&mut call);
    call.to_bytes().to_vec()
}

fn extension(kind: u8, seq: u32, role: u8, body: &[u8]) -> Vec<u8> {
    let slots = extension_slots(body.len());
    let commit = Commit { generation: 1, kind, slots: slots as u8, state: STATE_DONE, flags: 0 }.word();
    let mut bytes = Extension { commit, seq, len: body.len() as u16, role, part: 0 }.to_bytes().to_vec();
    bytes.extend_from_slice(body);
    bytes.resize(slots * SLOT_BYTES, 0);
    bytes
}

fn process(number: u32, parent: u32, ticks: u64, name: &[u8]) -> Vec<u8> {
    let head = Process {
        process: number,
        parent,
        pid: number,
        ppid: parent,
        how: if parent == 0 { PROCESS_IMAGE } else { PROCESS_FORK },
        uid: 0,
        ticks,
        real_ns: 0,
        pid_namespace: 0,
        net_namespace: 0,
        path_bytes: name.len() as u32,
        arguments_bytes: 0,
        reserved: 0,
    };
    extension(KIND_PROCESS, 0, 0, &[&head.to_bytes()[..], name].concat())
}

/// Memory that does not depend on the file: descriptors that children are given.
const INHERITED: usize = 64 << 20;

/// Small files that ask for much: products of what they hold. `scale` says how small.
fn greedy(scale: u32) -> Vec<(&'static str, Vec<u8>)> {
    let late = 3_000_000;
    let fds = |seq: u32| {
        let first = seq as i32 * 240;
        let list = (first..first + 240).map(|fd| Fd { fd, reserved: 0, socket: 1 + fd as u64 }.to_bytes());
        let body: Vec<u8> = list.flatten().collect();
        [call(Op::Recvmsg, seq, |call| call.fd = 900_000), extension(KIND_FDS, seq, ROLE_MADE, &body)].concat()
    };
    let parent = process(1, 0, 1_900_000, b"parent");
    let opened: Vec<u8> = (0..scale).flat_map(fds).collect();
    let children: Vec<u8> = (2..60 * scale).flat_map(|number| process(number, 1, late, b"")).collect();
    let forks = (0..30 * scale).flat_map(|i| call(Op::Fork, 1_000_000 + i, |call| call.ret = 5000 + i64::from(i)));
    let forks: Vec<u8> = forks.collect();
    let address = [2, 0, 0, 80, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    let resolved = (0..2 * scale.min(64)).flat_map(|seq| {
        let name = extension(KIND_TEXT, seq, ROLE_NAME, &[b'n'; 3900]);
        let answer = extension(KIND_ADDRESS, seq, ROLE_RESOLVED, &address);
        [call(Op::Getaddrinfo, seq, |_| {}), name, answer].concat()
    });
    let resolved: Vec<u8> = resolved.collect();
    let registered = (0..60 * scale).flat_map(|seq| {
        let ready = Ready { fd: seq as i32, events: 1, data: seq.into(), socket: 1 + u64::from(seq) }.to_bytes();
        let add = call(Op::EpollCtl, seq, |call| (call.fd, call.arg) = (900_000, 1));
        [add, extension(KIND_READY, seq, 0, &ready)].concat()
    });
    let registered: Vec<u8> = registered.collect();
    // Each call is entered by another thread, and never comes back.
    let blocked = (0..30 * scale).flat_map(|tid| {
        let entered = Commit { generation: 1, kind: KIND_CALL, slots: 1, state: STATE_ENTERED, flags: 0 }.word();
        run(1, tid, &call(Op::Recv, 0, |call| (call.commit, call.fd, call.socket) = (entered, 3, 7)))
    });
    let blocked: Vec<u8> = blocked.collect();
    let named = process(1, 0, 1_900_000, &[b'x'; 3800]);
    vec![
        ("children", trace_of(&[run(1, 1, &[&parent[..], &opened, &children].concat())])),
        ("forks", trace_of(&[run(1, 1, &[&parent[..], &opened, &forks].concat())])),
        ("names", trace_of(&[run(1, 1, &[&parent[..], &resolved, &children].concat())])),
        ("long-name", trace_of(&[run(1, 1, &[&named[..], &opened].concat())])),
        ("registered", trace_of(&[run(1, 1, &registered)])),
        ("blocked", trace_of(&[blocked])),
        ("zeros", trace_of(&[vec![0; scale as usize * 16384]])),
    ]
}

#[test]
fn small_files_that_ask_for_much_get_little() {
    let scratch = Scratch::new("greedy");
    let path = scratch.path("file");
    for (name, bytes) in greedy(60) {
        std::fs::write(&path, &bytes).unwrap();
        let (told, peak) = measured(|| read(&path));
        let raw: u32 = blocks(&bytes).iter().map(|(_, block)| block.raw_bytes).sum();
        let most = INHERITED + raw as usize * 20;
        assert!(peak <= most, "{name}: {peak} bytes of memory for {} ({raw} unpacked)", bytes.len());
        // Slots of zeros are no records.
        assert!(told.unwrap().events > 0 || name == "zeros", "{name} tells something");
    }
    // A header that promises more than its payload holds is refused before there is room for it.
    let mut bytes = golden().remove(0);
    let (at, block) = blocks(&bytes).into_iter().find(|(_, block)| block.codec == CODEC_PACKED).unwrap();
    let promise = Block { raw_bytes: 8 << 20, ..block };
    bytes[at..at + Block::SIZE].copy_from_slice(&promise.to_bytes());
    std::fs::write(&path, &bytes).unwrap();
    let (trace, peak) =
        measured(|| Trace::open(&path).unwrap().next_pass().unwrap().map(|pass| pass.batches().count()));
    // What LZ4 can make of what is there, and what reading takes besides, whatever is promised.
    let most = (32 << 10) + block.stored_bytes as usize * 256;
    assert!(peak < most, "{peak} of {most}: {trace:?}");
}

/// What the fuzzer begins with; see fuzz/README.md.
#[test]
fn the_corpus_of_the_fuzzer_is_read() {
    let folder = root().join("fuzz/corpus/trace");
    if std::env::var_os("UPDATE_CORPUS").is_some() {
        write_corpus(&folder);
    }
    let scratch = Scratch::new("corpus");
    let (mut files, mut total) = (0, 0);
    for entry in std::fs::read_dir(&folder).unwrap() {
        let entry = entry.unwrap();
        let bytes = std::fs::read(entry.path()).unwrap();
        let name = entry.file_name();
        survives(&scratch.path("file"), &bytes, INHERITED + allowance(bytes.len()), &name.to_string_lossy());
        (files, total) = (files + 1, total + bytes.len());
    }
    assert!(files >= 12 && total < 200_000, "{files} files, {total} bytes");
}

fn write_corpus(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    let keep = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).unwrap();
    let sources = golden();
    for (name, bytes) in ["packed", "raw", "region", "planes"].iter().zip(&sources) {
        keep(name, bytes);
    }
    for (name, bytes) in greedy(4) {
        keep(name, &bytes);
    }
    keep("torn", &sources[0][..sources[0].len() - 100]);
    for case in 0..6 {
        let mut bytes = Mutator::new(case).mutate(&sources);
        bytes.truncate(12_000);
        keep(&format!("mutated-{case}"), &bytes);
    }
}
