use super::*;
use crate::clock::Point;
use sockshim_format::op::Op;
use sockshim_format::region::{CLOCK_MONOTONIC, SLOT_BYTES};

/// A run of slots, as a thread leaves them.
#[derive(Default)]
struct Slots(Vec<u8>);

impl Slots {
    fn call(mut self, kind: u8, state: u8, seq: u32) -> Slots {
        let commit = Commit { generation: 1, kind, slots: 1, state, flags: 0 }.word();
        let (op, size, socket) = (Op::Send as u16, 100, 7);
        let call = Call {
            commit,
            start_ticks: 1000 + u64::from(seq),
            duration_ticks: if state == STATE_ENTERED { 0 } else { 5 },
            ret: 9,
            socket,
            size,
            seq,
            fd: 3,
            op,
            errno: 0,
            arg: 0,
        };
        self.0.extend(call.to_bytes());
        self
    }

    fn extension(mut self, kind: u8, role: u8, part: u8, seq: u32, body: &[u8]) -> Slots {
        let slots = extension_slots(body.len());
        let commit = Commit { generation: 1, kind, slots: slots as u8, state: STATE_DONE, flags: 0 }.word();
        let start = self.0.len();
        self.0.extend(Extension { commit, seq, len: body.len() as u16, role, part }.to_bytes());
        self.0.extend(body);
        self.0.resize(start + slots * SLOT_BYTES, 0);
        self
    }
}

/// Feeds passes, each flushed, and writes down what is told.
fn tell(passes: Vec<Slots>) -> Vec<String> {
    let first = Point { ticks: 0, mono_ns: 0, real_ns: 0 };
    let mut assembler = Assembler::new(Clock::new(CLOCK_MONOTONIC, first));
    let mut told = Vec::new();
    let mut sink = |event: Event| match event {
        Event::Entered(call) => told.push(format!("entered {} {}", call.call.seq, call.extensions.len())),
        Event::Call(call) => {
            let text = call.payload().map_or("", |(_, text)| std::str::from_utf8(text).unwrap()).to_owned();
            let duration = call.duration_ns();
            told.push(format!("{} {} {duration} {text}", call.call.seq, call.extensions.len()).trim_end().to_owned());
        }
        other => told.push(format!("{other:?}")),
    };
    for Slots(slots) in &passes {
        assembler.feed(&Batch { process: 1, pid: 10, tid: 11, lost: 0, slots }, &mut sink);
        assembler.flush(&mut sink);
    }
    told
}

#[test]
fn parts_before_and_behind_their_call_are_joined() {
    let pass = Slots::default()
        .call(KIND_CALL, STATE_DONE, 0)
        .extension(KIND_PAYLOAD, ROLE_SENT, 0, 0, b"one ")
        .call(KIND_CALL, STATE_DONE, 1)
        .extension(KIND_PAYLOAD, ROLE_SENT, 0, 1, b"other")
        .extension(KIND_PAYLOAD, ROLE_SENT, 1, 0, b"two")
        .extension(KIND_OPTION, 0, 0, 9, b"nobody's");
    assert_eq!(tell(vec![pass]), ["0 1 5 one two", "1 1 5 other"]);
}

#[test]
fn a_call_is_entered_in_one_pass_and_done_in_another() {
    let entered = Slots::default().call(KIND_CALL, STATE_ENTERED, 0).extension(KIND_ADDRESS, ROLE_GIVEN, 0, 0, b"12");
    let nothing = Slots::default();
    let done = Slots::default().call(KIND_CALL, STATE_DONE, 0).extension(KIND_PAYLOAD, ROLE_SENT, 0, 0, b"x");
    assert_eq!(tell(vec![entered, nothing, done]), ["entered 0 1", "0 2 5 x"]);
}

#[test]
fn a_completion_is_the_call_that_it_completes() {
    let entered = Slots::default().call(KIND_CALL, STATE_ENTERED, 0);
    let handler = Slots::default().call(KIND_CALL, STATE_DONE, 1);
    let completion =
        Slots::default().extension(KIND_PAYLOAD, ROLE_SENT, 0, 0, b"late").call(KIND_COMPLETION, STATE_DONE, 0);
    assert_eq!(tell(vec![entered, handler, completion]), ["entered 0 0", "1 0 5", "0 1 5 late"]);
}

#[test]
fn calls_that_never_end_do_not_pile_up() {
    let mut slots = Slots::default();
    for seq in 0..10_000 {
        slots = slots.call(KIND_CALL, STATE_ENTERED, seq);
    }
    let told = tell(vec![slots]);
    assert_eq!((told.len(), told[0].as_str()), (MAX_UNFINISHED, "entered 9744 0"));
}
