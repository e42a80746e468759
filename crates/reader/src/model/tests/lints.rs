//! Each lint where it belongs, and silence where it does not.

use super::*;

const MS: u64 = 1_000_000;

/// The lints on a connection, when all is over.
fn lints(calls: impl FnOnce(&mut Story)) -> Vec<(LintKind, String)> {
    let mut story = Story::new();
    story.connected(3, 7);
    calls(&mut story);
    story.model.finish(true);
    let lints = story.model.lints(story.of(7), 0);
    lints.into_iter().map(|lint| (lint.kind, lint.fact)).collect()
}

pub fn only(lints: Vec<(LintKind, String)>, kind: LintKind, fact: &str) {
    assert_eq!(lints, [(kind, fact.to_owned())]);
    assert!(!kind.name().is_empty() && !kind.remedy().is_empty());
}

pub fn none(lints: Vec<(LintKind, String)>) {
    assert_eq!(lints, []);
}

fn close(story: &mut Story) {
    story.close(3, 7, tcp::ESTABLISHED);
}

#[test]
fn an_exchange_in_good_order_has_none() {
    none(lints(|story| {
        for _ in 0..100 {
            story.call(Op::Write, 3, 7, 20, &[]);
            story.call_with(Op::Read, 3, 7, -1, &[], failed(11));
            story.call(Op::Read, 3, 7, 500, &[]);
        }
        close(story);
    }));
}

fn left(story: &mut Story) {
    left_behind(story, 3, 7);
}

/// The shim tells of a TCP socket as its process ends.
fn left_behind(story: &mut Story, fd: i32, socket: u64) {
    let left = Left { ticks: 0, socket, fd, reserved: 0 };
    let state = TcpState { unread_bytes: 0, unsent_bytes: 0 };
    let (process, tid, time_ns, info) = (1, 100, story.now_ns, vec![tcp::ESTABLISHED; 4]);
    story.model.feed(&Event::Left(crate::event::LeftInfo { process, tid, time_ns, left, state, info }));
}

#[test]
fn a_descriptor_that_is_left_to_the_end() {
    let fact = "created by socket() in thread 100 at 0.000 s, never closed though the peer had, and the program went on \
                to other sockets";
    let leak = |end: bool, goes_on: bool| {
        lints(|story| {
            story.call(Op::Read, 3, 7, if end { 0 } else { 5 }, &[]);
            if goes_on {
                story.connected(4, 8);
                story.close(4, 8, tcp::ESTABLISHED);
            }
            left(story);
        })
    };
    only(leak(true, true), LintKind::DescriptorLeak, fact);
    // It ends with its last exchange.
    none(leak(true, false));
    // A connection to a database, beside one to a cache.
    none(leak(false, true));
    // Killed, with no time to close anything.
    none(lints(|_| {}));
    none(lints(close));
}

/// How many of so many connections to one peer are lints, when each has said something before the next was made.
fn leaks(connections: u64, calls: impl Fn(&mut Story, i32, u64)) -> Vec<String> {
    let mut story = Story::new();
    let numbers = || (0..connections).map(|number| (3 + number as i32, 7 + number));
    for (fd, socket) in numbers() {
        story.connected(fd, socket);
        story.call(Op::Write, fd, socket, 5, &[]);
    }
    numbers().for_each(|(fd, socket)| calls(&mut story, fd, socket));
    numbers().for_each(|(fd, socket)| left_behind(&mut story, fd, socket));
    story.model.finish(true);
    let lints = |(_, socket)| story.model.lints(story.of(socket), 0);
    let lints: Vec<Lint> = numbers().flat_map(lints).collect();
    assert!(lints.iter().all(|lint| lint.kind == LintKind::DescriptorLeak), "{lints:?}");
    lints.into_iter().map(|lint| lint.fact).collect()
}

#[test]
fn connections_that_are_left_for_others_to_the_same_peer() {
    let told = leaks(4, |_, _, _| {});
    assert_eq!(told.len(), 3, "not the last one, which nothing followed: {told:?}");
    let fact = "created by socket() in thread 100 at 0.000 s, never closed; another to the same peer took its place, \
                as with 2 others";
    assert_eq!(told[0], fact);
    assert_eq!(leaks(3, |_, _, _| {}), [""; 0], "two may be a coincidence");
    let pool = leaks(4, |story, fd, socket| {
        story.call(Op::Write, fd, socket, 5, &[]);
    });
    assert_eq!(pool, [""; 0], "a pool is in use to the end");
}

#[test]
fn calls_that_would_block_again_and_again() {
    let spin = |pause_ns: u64, calls: u32| {
        lints(|story| {
            for _ in 0..calls {
                story.call_with(Op::Read, 3, 7, -1, &[], failed(11));
                story.now_ns += pause_ns;
            }
            close(story);
        })
    };
    only(spin(0, 200), LintKind::BusyLoop, "200 calls in a row gave EAGAIN within 19.9µs, without a wait");
    none(spin(0, 99));
    none(spin(MS, 200));
    none(lints(|story| {
        for _ in 0..200 {
            story.call_with(Op::Read, 3, 7, -1, &[], failed(11));
            story.call(Op::Read, 3, 7, 5, &[]);
        }
        close(story);
    }));
}

#[test]
fn bytes_that_are_read_one_by_one() {
    let single = |count: u32, size: u64| {
        lints(|story| {
            for _ in 0..count {
                story.call_with(Op::Read, 3, 7, 1, &[], |call| call.size = size);
            }
            close(story);
        })
    };
    only(single(20, 1), LintKind::SingleBytes, "20 of 20 reads asked for a single byte");
    none(single(15, 1));
    // What came was one byte, and room was for more.
    none(single(20, 100));
}

#[test]
fn nagle_waits_for_a_delayed_acknowledgement() {
    let exchanges = |count: u32, wait_ns: u64, pieces: u32, no_delay: bool| {
        lints(|story| {
            if no_delay {
                let on = 1i32.to_ne_bytes();
                story.call_with(Op::Setsockopt, 3, 7, 0, &[(KIND_OPTION, 0, &on)], |call| call.arg = 6 << 16 | 1);
            }
            for _ in 0..count {
                for _ in 0..pieces {
                    story.call(Op::Write, 3, 7, 10, &[]);
                }
                story.now_ns += wait_ns;
                story.call(Op::Read, 3, 7, 5, &[]);
            }
            close(story);
        })
    };
    let fact = "4 answers to messages written in pieces took 40.0ms each, and TCP_NODELAY was not set";
    only(exchanges(4, 40 * MS, 2, false), LintKind::DelayedAck, fact);
    none(exchanges(4, 40 * MS, 1, false));
    none(exchanges(4, 40 * MS, 2, true));
    none(exchanges(4, 20 * MS, 2, false));
    none(exchanges(4, 100 * MS, 2, false));
    none(exchanges(2, 40 * MS, 2, false));
}

/// Messages in two pieces, answered 40 ms later. `flags` are those of the first piece.
fn in_pieces(story: &mut Story, fd: i32, socket: u64, flags: u32) {
    for _ in 0..4 {
        story.call_with(Op::Send, fd, socket, 10, &[], |call| call.arg = flags);
        story.call(Op::Send, fd, socket, 10, &[]);
        story.now_ns += 40 * MS;
        story.call(Op::Recv, fd, socket, 5, &[]);
    }
}

#[test]
fn pieces_that_the_kernel_puts_together_are_one() {
    let pieces = |flags: u32| {
        lints(|story| {
            in_pieces(story, 3, 7, flags);
            close(story);
        })
    };
    // MSG_MORE, MSG_NOSIGNAL.
    none(pieces(0x8000 | 0x4000));
    assert_eq!(pieces(0x4000).len(), 1);
    let corked = |on: i32| {
        lints(|story| {
            for (arg, value) in [(6 << 16 | 3, 1), (6 << 16 | 3, on)] {
                let value = i32::to_ne_bytes(value);
                story.call_with(Op::Setsockopt, 3, 7, 0, &[(KIND_OPTION, 0, &value)], |call| call.arg = arg);
            }
            in_pieces(story, 3, 7, 0);
            close(story);
        })
    };
    none(corked(1));
    assert_eq!(corked(0).len(), 1);
}

#[test]
fn what_an_accepted_one_has_from_its_listener() {
    let accepted = |made: bool, no_delay: bool| {
        let mut story = Story::new();
        if made {
            story.socket(3, 7);
        }
        if no_delay {
            let on = 1i32.to_ne_bytes();
            for arg in [6 << 16 | 1, 1 << 16 | 9] {
                story.call_with(Op::Setsockopt, 3, 7, 0, &[(KIND_OPTION, 0, &on)], |call| call.arg = arg);
            }
        }
        story.call(Op::Listen, 3, 7, 0, &[]);
        let new = sock(9, 5, 1);
        story.call(Op::Accept4, 3, 7, 5, &[(KIND_SOCKET, 0, &new), (KIND_ADDRESS, ROLE_RETURNED, CLIENT)]);
        let options = story.of(9).facts.options;
        assert_eq!((options.no_delay, options.keep_alive), (no_delay, no_delay));
        in_pieces(&mut story, 5, 9, 0);
        story.close(5, 9, tcp::ESTABLISHED);
        story.model.finish(true);
        story.model.lints(story.of(9), 0).into_iter().map(|lint| (lint.kind, lint.fact)).collect::<Vec<_>>()
    };
    let fact = "4 answers to messages written in pieces took 40.0ms each, and TCP_NODELAY was not set";
    only(accepted(true, false), LintKind::DelayedAck, fact);
    none(accepted(true, true));
    // A listener that was there before us may have it.
    none(accepted(false, false));
}

#[test]
fn what_a_partial_write_left_over() {
    let partial = |then: &dyn Fn(&mut Story)| {
        lints(|story| {
            story.call_with(Op::Write, 3, 7, 60, &[], |call| call.size = 100);
            then(story);
            close(story);
        })
    };
    let fact = "the last write left 40 bytes over, and nothing was written after it";
    only(partial(&|_| {}), LintKind::PartialWrite, fact);
    only(
        partial(&|story| {
            story.call_with(Op::Shutdown, 3, 7, 0, &[], |call| call.arg = 1);
        }),
        LintKind::PartialWrite,
        fact,
    );
    none(partial(&|story| {
        story.call_with(Op::Write, 3, 7, 40, &[], |call| call.size = 40);
    }));
    // It tried, or the peer had gone.
    none(partial(&|story| {
        story.call_with(Op::Write, 3, 7, -1, &[], failed(11));
    }));
    none(partial(&|story| {
        story.call(Op::Read, 3, 7, 0, &[]);
    }));
}

#[test]
fn writes_after_the_peer_has_closed() {
    let broken = lints(|story| {
        story.call_with(Op::Send, 3, 7, -1, &[], failed(32));
        story.close(3, 7, tcp::CLOSE);
    });
    only(broken, LintKind::BrokenPipe, "1 write met EPIPE: the peer had closed");
    none(lints(|story| {
        story.call_with(Op::Shutdown, 3, 7, 0, &[], |call| call.arg = 1);
        story.call_with(Op::Send, 3, 7, -1, &[], failed(32));
        close(story);
    }));
}

#[test]
fn numbers_that_name_nothing_any_more() {
    let used = lints(|story| {
        close(story);
        story.call_with(Op::Read, 3, 7, -1, &[], failed(9));
    });
    only(used, LintKind::UsedAfterClose, "read() in thread 100, the first of 1 such call, gave EBADF");
    let twice = lints(|story| {
        close(story);
        story.call_with(Op::Close, 3, 7, -1, &[], failed(9));
    });
    only(twice, LintKind::UsedAfterClose, "close() gave EBADF, 1 time");
}

#[test]
fn a_program_that_is_given_what_it_does_not_want() {
    let given = |marked: bool, uses: bool| {
        lints(|story| {
            if marked {
                story.call_with(Op::Fcntl, 3, 7, 0, &[], |call| (call.arg, call.size) = (2, 1));
            }
            story.process(2, 0, 200, 100, PROCESS_IMAGE);
            if uses {
                story.call(Op::Write, 3, 7, 5, &[]);
            }
            story.process = 1;
            close(story);
        })
    };
    only(given(false, false), LintKind::LeakedByExec, "p2[200] was executed with it in hand and never used it");
    none(given(true, false));
    none(given(false, true));
    // A forked child has everything, and is not to blame.
    none(lints(|story| {
        story.process(2, 1, 101, 100, PROCESS_FORK);
        story.process = 1;
        close(story);
    }));
}

#[test]
fn a_thread_that_closes_what_is_not_its_own() {
    let foreign = |missed: bool| {
        let mut story = Story::new();
        story.connected(3, 6);
        story.tid = 101;
        story.close(3, 6, tcp::ESTABLISHED);
        story.tid = 100;
        story.connected(3, 7);
        // It means the first one, which is gone.
        story.tid = 101;
        story.close(3, 7, tcp::ESTABLISHED);
        story.tid = 100;
        if missed {
            story.call_with(Op::Read, 3, 7, -1, &[], failed(9));
        }
        story.model.finish(true);
        let lints = story.model.lints(story.of(7), 0);
        lints.into_iter().map(|lint| (lint.kind, lint.fact)).collect::<Vec<_>>()
    };
    let fact = "thread 101 had closed 3 as #1 before, closed it again when it named this one, and another thread \
                missed it";
    only(foreign(true), LintKind::ForeignClose, fact);
    // A worker may well close what another thread has opened.
    none(foreign(false));
}
