//! The kernel's counters against the calls that were seen.

use super::super::unseen::{SKEW_NS, TCP_ULP, Unseen};
use super::story::*;
use super::*;
use sockshim_format::op::Direction::{self, Received, Sent};

fn exactly(bytes: u64) -> Option<Unseen> {
    Some(Unseen { bytes, exact: true })
}

impl Story {
    fn ended(&mut self, op: Op, kernel: Kernel) {
        self.call(op, 3, 7, 0, &[(KIND_TCP_INFO, 0, &kernel.info())]);
    }

    fn unseen(&self, direction: Direction) -> Option<Unseen> {
        self.model.unseen(self.of(7), direction)
    }

    fn both(&self) -> (Option<Unseen>, Option<Unseen>) {
        (self.unseen(Sent), self.unseen(Received))
    }
}

fn talked(sent: i64, received: i64) -> Story {
    let mut story = Story::new();
    story.connected(3, 7);
    story.call(Op::Send, 3, 7, sent, &[]);
    story.call(Op::Recv, 3, 7, received, &[]);
    story
}

#[test]
fn what_the_calls_explain_is_not_unseen() {
    let mut story = talked(30, 20);
    assert_eq!(story.both(), (None, None), "the kernel was not asked yet");
    // 25 left, 10 of them twice, 15 wait; 26 came, 5 lie unread and the FIN counts for one.
    let kernel = Kernel { state: tcp::CLOSE_WAIT, sent: 25, retransmitted: 10, not_sent: 15, received: 26, unread: 5 };
    story.ended(Op::Close, kernel);
    assert_eq!(story.both(), (exactly(0), exactly(0)));
    let mut story = talked(30, 20);
    story.ended(Op::Close, Kernel { state: tcp::ESTABLISHED, sent: 30, received: 20, ..Kernel::default() });
    assert_eq!(story.both(), (exactly(0), exactly(0)));
}

#[test]
fn what_they_do_not_is() {
    let mut story = talked(30, 20);
    story.ended(Op::Close, Kernel { state: tcp::ESTABLISHED, sent: 42, received: 360, ..Kernel::default() });
    assert_eq!(story.both(), (exactly(12), exactly(340)));
}

#[test]
fn a_fin_that_waits_is_no_byte() {
    let mut story = talked(30, 20);
    let kernel = |state| Kernel { state, sent: 12, not_sent: 19, received: 20, ..Kernel::default() };
    story.ended(Op::Close, kernel(tcp::FIN_WAIT1));
    assert_eq!(story.both(), (exactly(0), exactly(0)));
    // One that left does not wait.
    let mut story = talked(30, 20);
    story.ended(Op::Close, Kernel { sent: 30, not_sent: 0, ..kernel(tcp::FIN_WAIT1) });
    assert_eq!(story.both(), (exactly(0), exactly(0)));
}

#[test]
fn the_last_of_several_looks_counts() {
    let mut story = talked(30, 20);
    story.call_with(
        Op::Shutdown,
        3,
        7,
        0,
        &[(KIND_TCP_INFO, 0, &Kernel { state: tcp::ESTABLISHED, sent: 31, received: 20, ..Kernel::default() }.info())],
        |call| call.arg = 1,
    );
    assert_eq!(story.both(), (exactly(1), exactly(0)));
    story.call(Op::Recv, 3, 7, 100, &[]);
    story.call(Op::Recv, 3, 7, 0, &[]);
    // Both directions ended in order: the end of file was read, so that a FIN is counted.
    story.ended(Op::Close, Kernel { state: tcp::CLOSE, sent: 30, received: 121, ..Kernel::default() });
    assert_eq!(story.both(), (exactly(0), exactly(0)));
}

#[test]
fn a_connection_that_is_over_may_have_a_fin_or_not() {
    let close = |received: u64, meet: &dyn Fn(&mut Story)| {
        let mut story = talked(30, 20);
        meet(&mut story);
        story.ended(Op::Close, Kernel { state: tcp::CLOSE, sent: 30, received, ..Kernel::default() });
        story.unseen(Received)
    };
    let nothing = |_: &mut Story| {};
    let reset = |story: &mut Story| {
        story.call_with(Op::Recv, 3, 7, -1, &[], failed(104));
    };
    assert_eq!(close(21, &nothing), Some(Unseen { bytes: 0, exact: false }));
    assert_eq!(close(23, &nothing), Some(Unseen { bytes: 2, exact: false }));
    assert_eq!((close(20, &reset), close(21, &reset)), (exactly(0), exactly(1)));
}

#[test]
fn all_processes_of_a_shared_socket_count_together() {
    let mut story = talked(30, 20);
    story.call(Op::Fork, -1, 0, 101, &[]);
    story.ended(Op::Close, Kernel { state: tcp::ESTABLISHED, sent: 30, received: 20, ..Kernel::default() });
    story.process(2, 1, 101, 100, PROCESS_FORK);
    story.call(Op::Send, 3, 7, 70, &[]);
    // The clocks of two processes do not agree to the nanosecond.
    story.now_ns += 2 * SKEW_NS;
    story.ended(Op::Close, Kernel { state: tcp::ESTABLISHED, sent: 101, received: 20, ..Kernel::default() });
    assert_eq!(story.both(), (exactly(1), exactly(0)));
}

#[test]
fn what_passed_before_a_socket_was_found_is_nobodys() {
    let mut story = Story::new();
    let (told, before) =
        (sock(7, 3, 1), Kernel { state: tcp::ESTABLISHED, sent: 500, received: 60, ..Kernel::default() });
    let parts: [(u8, u8, &[u8]); 2] = [(KIND_SOCKET, 0, &told), (KIND_TCP_INFO, ROLE_FOUND, &before.info())];
    story.call(Op::Send, 3, 7, 30, &parts);
    story.ended(Op::Close, Kernel { state: tcp::ESTABLISHED, sent: 532, received: 60, ..Kernel::default() });
    assert_eq!(story.both(), (exactly(2), exactly(0)));
    assert_eq!(story.of(7).before_found(), Some((500, 60)));

    // Not asked when it was found: then nothing is known.
    let mut story = Story::new();
    story.call(Op::Send, 3, 7, 30, &[(KIND_SOCKET, 0, &told)]);
    story.ended(Op::Close, Kernel { state: tcp::ESTABLISHED, sent: 530, received: 60, ..Kernel::default() });
    assert_eq!(story.both(), (None, None));
}

#[test]
fn a_call_at_the_same_time_may_count_or_not() {
    let close = |sent: u64| {
        let mut story = talked(30, 20);
        // From here to the middle of the next call.
        story.now_ns -= 90;
        story.call(Op::Send, 3, 7, 8, &[]);
        story.now_ns -= 95;
        story.ended(Op::Close, Kernel { state: tcp::ESTABLISHED, sent, received: 20, ..Kernel::default() });
        story.unseen(Sent)
    };
    assert_eq!(close(38), Some(Unseen { bytes: 0, exact: false }));
    assert_eq!(close(39), Some(Unseen { bytes: 1, exact: false }));
    assert_eq!(close(30), exactly(0));
}

#[test]
fn another_threads_clock_is_not_ours() {
    // Its send was over before the close, and is told as begun after it.
    let mut story = talked(30, 20);
    story.ended(Op::Close, Kernel { state: tcp::ESTABLISHED, sent: 38, received: 20, ..Kernel::default() });
    assert_eq!(story.unseen(Sent), exactly(8));
    let mut late = story.entered(Op::Send, 3, 7);
    (late.tid, late.call.ret, late.end_ns) = (late.tid + 1, 8, late.start_ns + 10);
    late.call.commit = Commit { state: STATE_DONE, ..late.commit() }.word();
    story.model.feed(&Event::Call(late));
    assert_eq!(story.unseen(Sent), Some(Unseen { bytes: 0, exact: false }));
}

#[test]
fn lost_calls_and_calls_in_flight_forbid_a_number() {
    let mut story = talked(30, 20);
    story.ended(Op::Close, Kernel { state: tcp::ESTABLISHED, sent: 42, received: 20, ..Kernel::default() });
    story.model.lost_in_all(1);
    assert_eq!(story.both(), (None, exactly(0)));

    let mut story = talked(30, 20);
    let mut blocked = story.entered(Op::Recv, 3, 7);
    blocked.tid += 1; // another thread
    story.model.feed(&Event::Entered(blocked));
    story.ended(Op::Close, Kernel { state: tcp::ESTABLISHED, sent: 42, received: 25, ..Kernel::default() });
    assert_eq!(story.both(), (exactly(12), None));
}

#[test]
fn counters_that_mean_something_else_are_not_compared() {
    let kernel = Kernel { state: tcp::ESTABLISHED, sent: 42, received: 20, ..Kernel::default() };
    let mut story = talked(30, 20);
    story.call_with(Op::Setsockopt, 3, 7, 0, &[], |call| call.arg = TCP_ULP);
    story.ended(Op::Close, kernel);
    assert_eq!(story.both(), (None, None));
    // An older kernel counts less.
    let mut story = talked(30, 20);
    story.call(Op::Close, 3, 7, 0, &[(KIND_TCP_INFO, 0, &kernel.info()[..8 + 192])]);
    assert_eq!(story.both(), (None, exactly(0)));
}

#[test]
fn a_stream_is_emptied_inside_its_fclose() {
    let close = |ret: i64| {
        let mut story = talked(30, 20);
        let kernel = Kernel { state: tcp::ESTABLISHED, sent: 30, received: 20, ..Kernel::default() };
        story.call_with(Op::Fclose, 3, 7, ret, &[(KIND_TCP_INFO, 0, &kernel.info())], |call| call.size = 6);
        story.unseen(Sent)
    };
    assert_eq!((close(0), close(-1)), (exactly(6), None));
}
