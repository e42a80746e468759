//! What is told of connections is the same whether payload is read or passed over: in real files, in files
//! that were changed, and where payload stands between all else that a call can have.

#[path = "support/mutator.rs"]
mod mutator;
mod support;

use mutator::{Mutator, blocks, packed, seal};
use sockshim_format::op::Op;
use sockshim_format::record::*;
use sockshim_format::region::SLOT_BYTES;
use sockshim_format::trace::*;
use sockshim_reader::order::Events;
use sockshim_reader::{Event, Model, Trace};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use support::Scratch;

fn golden() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    ["v1.sst", "v1-raw.sst", "v1-region.sst"].iter().map(|name| std::fs::read(folder.join(name)).unwrap()).collect()
}

/// All that a model tells, as text.
fn told(mut model: Model) -> String {
    model.finish(true);
    let mut text = format!("{:?} {} {:?}\n", model.span(), model.lost(), model.not_followed());
    for connection in model.connections() {
        writeln!(text, "{connection:?} {:?} {:?}", connection.closed_first(), model.causes(connection)).unwrap();
    }
    for (number, process) in model.processes() {
        let numbers = (number, process.pid, process.last_ns, process.gone, process.io_uring);
        writeln!(text, "{numbers:?} {} {:?}", process.name(), process.info).unwrap();
    }
    text
}

/// What a file says with its payload and without, and the calls that it has.
fn both(path: &PathBuf) -> Option<(String, String, u64)> {
    let mut model = Model::new();
    for event in Events::new(Trace::open(path).ok()?) {
        model.feed(&event.unwrap());
    }
    let (mut summary, mut calls) = (Model::new(), 0);
    let mut events = Events::without_payload(Trace::open(path).unwrap());
    while let Some(event) = events.next_ref() {
        let event = event.unwrap();
        summary.feed(event);
        if let Event::Call(call) | Event::Entered(call) = event {
            calls += 1;
            assert!(call.extensions.iter().all(|e| e.kind != KIND_PAYLOAD || e.body.is_empty()));
        }
    }
    Some((told(model), told(summary), calls))
}

fn agrees(path: &PathBuf, bytes: &[u8], what: &str) -> u64 {
    let _ = std::fs::remove_file(path);
    std::fs::write(path, bytes).unwrap();
    let Some((with, without, calls)) = both(path) else { return 0 };
    assert!(with == without, "{what}:\n{with}\n{without}");
    calls
}

#[test]
fn payload_changes_no_connection() {
    let scratch = Scratch::new("summary");
    let path = scratch.path("file");
    let sources = golden();
    for (i, bytes) in sources.iter().enumerate() {
        assert!(agrees(&path, bytes, &format!("golden file {i}")) > 40);
    }
    let mut calls = 0;
    for case in 0..1000 {
        calls += agrees(&path, &Mutator::new(case).mutate(&sources), &format!("case {case}"));
    }
    assert!(calls > 1000, "{calls}");
}

fn commit(kind: u8, slots: usize, state: u8) -> u64 {
    Commit { generation: 1, kind, slots: slots as u8, state, flags: 0 }.word()
}

/// An extension of any kind, more often than not payload.
fn extension(mutator: &mut Mutator, seq: u32) -> Vec<u8> {
    let socket = 1 + mutator.below(4) as u64;
    let (kind, role, body): (u8, u8, Vec<u8>) = match mutator.below(9) {
        0 => {
            let (fd, domain) = (mutator.below(6) as i32, 2);
            let socket = Socket { socket, inode: 0, fd, domain, kind: 1, protocol: 6, net_namespace: 0, reserved: 0 };
            (KIND_SOCKET, 0, socket.to_bytes().to_vec())
        }
        1 | 2 => {
            let mut body = TcpState { unread_bytes: 3, unsent_bytes: 0 }.to_bytes().to_vec();
            body.resize(232, mutator.below(4) as u8);
            (KIND_TCP_INFO, [0, ROLE_FOUND][mutator.below(2)], body)
        }
        3 => {
            let fd = Fd { fd: mutator.below(6) as i32, reserved: 0, socket };
            (KIND_FDS, [ROLE_MADE, ROLE_CLOSED, ROLE_PASSED][mutator.below(3)], fd.to_bytes().to_vec())
        }
        4 => {
            let port = mutator.below(200) as u8;
            let role = 1 + mutator.below(5) as u8;
            (KIND_ADDRESS, role, vec![2, 0, 0, port, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0])
        }
        _ => (KIND_PAYLOAD, [ROLE_SENT, ROLE_RECEIVED, 0][mutator.below(3)], vec![7; mutator.below(100)]),
    };
    let slots = extension_slots(body.len());
    let head = Extension { commit: commit(kind, slots, STATE_DONE), seq, len: body.len() as u16, role, part: 0 };
    let mut bytes = [&head.to_bytes()[..], &body].concat();
    bytes.resize(slots * SLOT_BYTES, 0);
    bytes
}

/// A run of calls that have extensions in any order, some before they are over and some behind that.
fn run(mutator: &mut Mutator, tid: u32, ticks: &mut u64) -> Vec<u8> {
    const OPS: [Op; 9] =
        [Op::Read, Op::Write, Op::Sendmsg, Op::Recvmsg, Op::Recvfrom, Op::Accept, Op::Connect, Op::Close, Op::Poll];
    let mut slots = Vec::new();
    for seq in 0..1 + mutator.below(30) as u32 {
        *ticks += 1 + mutator.below(3000) as u64;
        let mut call = Call {
            commit: commit(KIND_CALL, 1, STATE_ENTERED),
            start_ticks: *ticks,
            duration_ticks: 0,
            ret: mutator.below(9) as i64 - 1,
            socket: mutator.below(5) as u64,
            size: 8,
            seq,
            fd: mutator.below(6) as i32,
            op: OPS[mutator.below(OPS.len())] as u16,
            errno: 0,
            arg: 0,
        };
        if mutator.below(3) == 0 {
            slots.extend_from_slice(&call.to_bytes());
            (0..mutator.below(4)).for_each(|_| slots.extend(extension(mutator, seq)));
        }
        call.commit = commit(KIND_COMPLETION, 1, STATE_DONE);
        call.duration_ticks = mutator.below(9000) as u64;
        slots.extend_from_slice(&call.to_bytes());
        (0..mutator.below(6)).for_each(|_| slots.extend(extension(mutator, seq)));
    }
    let head = Run { process: 1 + tid % 2, tid, slots: (slots.len() / SLOT_BYTES) as u32, lost: 0 };
    [&head.to_bytes()[..], &slots].concat()
}

#[test]
fn payload_in_any_place_changes_no_connection() {
    let scratch = Scratch::new("places");
    let path = scratch.path("file");
    let mut start = golden().remove(0);
    start.truncate(blocks(&start)[0].0);
    let mut calls = 0;
    for case in 0..300 {
        let (mut mutator, mut bytes, mut ticks) = (Mutator::new(case), start.clone(), 1_001_000);
        for _ in 0..1 + mutator.below(4) {
            let mut payload = Vec::new();
            (0..1 + mutator.below(4)).for_each(|tid| payload.extend(run(&mut mutator, tid as u32, &mut ticks)));
            seal(&mut bytes, &payload, packed(&payload));
        }
        calls += agrees(&path, &bytes, &format!("case {case}"));
    }
    assert!(calls > 5000, "{calls}");
}
