//! How connections ended, in words.

use super::*;

/// The verdict on a connection, and the sentence.
fn told(calls: impl FnOnce(&mut Story)) -> (Verdict, String) {
    let mut story = Story::new();
    calls(&mut story);
    story.model.finish(true);
    let conn = story.of(7);
    (story.model.verdict(conn), story.model.sentence(conn, 0))
}

fn connected(calls: impl FnOnce(&mut Story)) -> (Verdict, String) {
    told(|story| {
        story.connected(3, 7);
        calls(story);
    })
}

fn is(told: (Verdict, String), verdict: Verdict, sentence: &str) {
    assert_eq!(told, (verdict, sentence.to_owned()));
}

#[test]
fn a_connection_that_never_was() {
    let failing = |errno: u16| {
        told(|story| {
            story.socket(3, 7);
            story.call_with(Op::Connect, 3, 7, -1, &[(KIND_ADDRESS, ROLE_GIVEN, SERVER)], failed(errno));
            story.close(3, 7, tcp::CLOSE);
        })
    };
    is(failing(111), Verdict::Refused, "refused after 10ns: nobody listens there");
    is(failing(110), Verdict::TimedOut, "timed out after 10ns: the server never answered");
    is(failing(2), Verdict::Failed, "nobody there: no socket is bound to that path");
    is(failing(113), Verdict::Failed, "connect failed after 10ns: EHOSTUNREACH");
    let bind = told(|story| {
        story.socket(3, 7);
        story.call_with(Op::Bind, 3, 7, -1, &[(KIND_ADDRESS, ROLE_GIVEN, SERVER)], failed(98));
        story.call(Op::Close, 3, 7, 0, &[]);
    });
    is(bind, Verdict::Failed, "bind failed: the address is in use (EADDRINUSE)");
    let unused = told(|story| {
        story.socket(3, 7);
        story.call(Op::Close, 3, 7, 0, &[]);
    });
    is(unused, Verdict::Closed, "closed without having been connected");
}

#[test]
fn a_connect_that_is_given_up_took_until_its_close() {
    // TCP_SYN_SENT is 2.
    let given_up = |waits: bool, state: u8| {
        told(|story| {
            story.socket(3, 7);
            story.call_with(Op::Connect, 3, 7, -1, &[(KIND_ADDRESS, ROLE_GIVEN, SERVER)], failed(115));
            if waits {
                story.now_ns += 300_000_000;
                story.call(Op::Poll, -1, 0, 0, &[]);
            }
            story.close(3, 7, state);
        })
    };
    is(given_up(true, 2), Verdict::GivenUp, "given up while connecting, after 300ms");
    is(given_up(false, 2), Verdict::GivenUp, "given up while connecting, after 100ns");
    assert!(Verdict::GivenUp.is_failure() && Verdict::ALL.contains(&Verdict::GivenUp));
    // The kernel knows better than a program that has not asked.
    is(given_up(true, tcp::ESTABLISHED), Verdict::WeClosed, "client closed first");
    // A wait told that it was over; how it went, nobody asked.
    let mut story = Story::new();
    story.socket(3, 7);
    story.call_with(Op::Connect, 3, 7, -1, &[(KIND_ADDRESS, ROLE_GIVEN, SERVER)], failed(115));
    let ready = Ready { fd: 3, events: 4 | 8 | 16, data: 0, socket: 7 }.to_bytes();
    story.call(Op::Poll, -1, 0, 1, &[(KIND_READY, 0, &ready)]);
    story.now_ns += 1_000_000;
    story.close(3, 7, tcp::CLOSE);
    assert_eq!(story.of(7).phases.connect, Some(Span { start_ns: 1100, end_ns: 1210 }));
}

#[test]
fn who_was_first_and_what_lay_unread() {
    let close = |state: u8, unread: i32| {
        connected(|story| {
            story.call(Op::Close, 3, 7, 0, &[(KIND_TCP_INFO, 0, &tcp_info(state, unread)[..])]);
        })
    };
    is(close(tcp::ESTABLISHED, 0), Verdict::WeClosed, "client closed first");
    is(close(tcp::CLOSE_WAIT, 0), Verdict::PeerClosed, "server closed first");
    let unread = "server closed first; 3 bytes were never read, so our close sent RST";
    is(close(tcp::CLOSE_WAIT, 3), Verdict::PeerClosed, unread);
    let unread = "client closed first; 1 byte was never read, so our close sent RST";
    is(close(tcp::ESTABLISHED, 1), Verdict::WeReset, unread);
    let linger = connected(|story| {
        let option = [1i32.to_ne_bytes(), 0i32.to_ne_bytes()].concat();
        story.call_with(Op::Setsockopt, 3, 7, 0, &[(KIND_OPTION, 0, &option)], |call| call.arg = 1 << 16 | 13);
        story.close(3, 7, tcp::ESTABLISHED);
    });
    is(linger, Verdict::WeReset, "client closed first, with a reset: SO_LINGER was set to zero");
}

#[test]
fn half_closes_resets_and_broken_pipes() {
    let half = connected(|story| {
        story.call_with(Op::Shutdown, 3, 7, 0, &[], |call| call.arg = 1);
        story.call(Op::Read, 3, 7, 0, &[]);
        story.close(3, 7, tcp::CLOSE);
    });
    is(half, Verdict::HalfClosed, "half-closed by us, then the server closed");
    let reset = |errno: u16, op: Op| {
        connected(|story| {
            story.call(Op::Read, 3, 7, 10, &[]);
            story.call_with(op, 3, 7, -1, &[], failed(errno));
            story.close(3, 7, tcp::CLOSE);
        })
    };
    is(reset(104, Op::Read), Verdict::Reset, "reset by the server after 10 bytes");
    is(reset(110, Op::Read), Verdict::TimedOut, "timed out: the server stopped answering after 10 bytes");
    is(reset(32, Op::Write), Verdict::PeerClosed, "server closed first, and our next write met EPIPE");
}

/// The sentences on both ends of a pair, and the lint about EPIPE on the first.
fn pair(calls: impl FnOnce(&mut Story)) -> [String; 3] {
    let mut story = Story::new();
    story.pair();
    calls(&mut story);
    story.model.finish(true);
    let lints = story.model.lints(story.of(7), 0);
    let lint = lints.into_iter().find(|lint| lint.kind == LintKind::BrokenPipe);
    let end = |socket: u64| story.model.sentence(story.of(socket), 0);
    [end(7), end(8), lint.map_or(String::new(), |lint| lint.fact)]
}

#[test]
fn who_half_closed_was_first_though_the_other_closed_before() {
    let [ours, theirs, _] = pair(|story| {
        story.call_with(Op::Shutdown, 3, 7, 0, &[], |call| call.arg = 1);
        story.call(Op::Read, 4, 8, 0, &[]);
        story.call(Op::Close, 4, 8, 0, &[]);
        story.call(Op::Read, 3, 7, 0, &[]);
        story.call(Op::Close, 3, 7, 0, &[]);
    });
    assert_eq!((&*ours, &*theirs), ("half-closed by us, then #2 closed", "#1 closed first"));
}

#[test]
fn a_peer_that_reads_no_more_has_not_closed() {
    let shut = |story: &mut Story| {
        story.call_with(Op::Shutdown, 4, 8, 0, &[], |call| call.arg = 0);
        story.call_with(Op::Write, 3, 7, -1, &[], failed(32));
        // Its own shutdown, not ours, is what it reads.
        story.call(Op::Read, 4, 8, 0, &[]);
    };
    let close = |story: &mut Story, fd: i32, socket: u64| {
        story.call(Op::Close, fd, socket, 0, &[]);
    };
    let lint = "1 write met EPIPE: the peer reads no more";
    let first = pair(|story| {
        shut(story);
        close(story, 3, 7);
        close(story, 4, 8);
    });
    assert_eq!(first, ["#1 closed first; our write met EPIPE, for #2 read no more", "#1 closed first", lint]);
    let second = pair(|story| {
        shut(story);
        close(story, 4, 8);
        close(story, 3, 7);
    });
    assert_eq!(second, ["#2 closed first; our write met EPIPE, for #2 read no more", "#2 closed first", lint]);
    let own = pair(|story| {
        story.call_with(Op::Shutdown, 3, 7, 0, &[], |call| call.arg = 1);
        story.call_with(Op::Write, 3, 7, -1, &[], failed(32));
        close(story, 3, 7);
        close(story, 4, 8);
    });
    assert_eq!(own, ["#1 closed first", "#1 closed first", ""]);
    let closed = pair(|story| {
        close(story, 4, 8);
        story.call_with(Op::Write, 3, 7, -1, &[], failed(32));
        close(story, 3, 7);
    });
    let lint = "1 write met EPIPE: the peer had closed";
    assert_eq!(closed, ["#2 closed first, and our next write met EPIPE", "#2 closed first", lint]);
}

#[test]
fn a_peer_out_of_sight_may_have_closed_or_not() {
    let alone = |reads: bool| {
        told(|story| {
            story.call_with(Op::Socket, -1, 7, 3, &[], |call| (call.arg, call.size) = (1, 1));
            story.call(Op::Connect, 3, 7, 0, &[]);
            story.call_with(Op::Write, 3, 7, -1, &[], failed(32));
            if reads {
                story.call(Op::Read, 3, 7, 0, &[]);
            }
            story.call(Op::Close, 3, 7, 0, &[]);
        })
    };
    is(alone(false), Verdict::PeerClosed, "server reads no more: our write met EPIPE");
    is(alone(true), Verdict::PeerClosed, "server closed first, and our next write met EPIPE");
}

#[test]
fn what_is_never_closed_says_where_it_was_made() {
    let leak = connected(|_| {});
    let made = "(created by socket() in thread 100 at 0.000 s)";
    is(leak, Verdict::Leaked, &format!("never closed: open until the process ended {made}"));
    let eof = connected(|story| {
        story.call(Op::Read, 3, 7, 0, &[]);
    });
    let text = format!("server closed first, and we never did: open until the process ended {made}");
    is(eof, Verdict::Leaked, &text);
    let mut story = Story::new();
    story.connected(3, 7);
    assert_eq!(story.model.sentence(story.of(7), 0), "still open");
    story.call(Op::Read, 3, 7, 0, &[]);
    assert_eq!(story.model.sentence(story.of(7), 0), "still open, though the server has closed");
}

#[test]
fn exec_closes_what_is_marked() {
    let mut story = Story::new();
    story.connected(3, 7);
    story.call_with(Op::Fcntl, 3, 7, 0, &[], |call| (call.arg, call.size) = (2, 1));
    story.process(2, 0, 100, 1, PROCESS_IMAGE);
    story.model.finish(true);
    let sentence = story.model.sentence(story.of(7), 0);
    assert_eq!(sentence, "client closed first; exec closed it, for it was marked close-on-exec");
}

#[test]
fn numbers_that_are_used_after_their_close() {
    let twice = connected(|story| {
        story.close(3, 7, tcp::ESTABLISHED);
        story.call_with(Op::Close, 3, 7, -1, &[], failed(9));
    });
    is(twice, Verdict::WeClosed, "client closed first; closed twice: close() gave EBADF");
    let used = connected(|story| {
        story.close(3, 7, tcp::ESTABLISHED);
        story.call_with(Op::Read, 3, 7, -1, &[], failed(9));
        story.call_with(Op::Read, 3, 7, -1, &[], failed(9));
    });
    let text = "client closed first; used after close: read() gave EBADF, the first of 2 such calls";
    is(used, Verdict::WeClosed, text);
}

#[test]
fn the_ends_of_an_accepted_one_are_the_other_way_round() {
    let mut story = Story::new();
    story.socket(3, 7);
    story.call(Op::Listen, 3, 7, 0, &[]);
    let new = sock(9, 5, 1);
    story.call(Op::Accept4, 3, 7, 5, &[(KIND_SOCKET, 0, &new), (KIND_ADDRESS, ROLE_RETURNED, CLIENT)]);
    story.close(5, 9, tcp::CLOSE_WAIT);
    story.model.finish(true);
    assert_eq!(story.model.sentence(story.of(9), 0), "client closed first");
    assert_eq!(story.of(9).facts.made.unwrap().op, Op::Accept4);
    let listener = "never closed: listened until the process ended (created by socket() in thread 100 at 0.000 s)";
    assert_eq!(story.model.sentence(story.of(7), 0), listener);
}

#[test]
fn fins_that_cross_are_both_first() {
    let mut story = Story::new();
    story.socket(3, 7);
    story.call(Op::Listen, 3, 7, 0, &[]);
    story.connected(4, 8);
    let new = sock(9, 5, 1);
    let parts: [(u8, u8, &[u8]); 3] =
        [(KIND_SOCKET, 0, &new), (KIND_ADDRESS, ROLE_RETURNED, CLIENT), (KIND_ADDRESS, ROLE_LOCAL, SERVER)];
    story.call(Op::Accept4, 3, 7, 5, &parts);
    story.close(4, 8, tcp::ESTABLISHED);
    story.close(5, 9, tcp::ESTABLISHED);
    story.model.finish(true);
    for end in [8, 9] {
        assert_eq!(story.model.verdict(story.of(end)), Verdict::BothClosed);
        assert_eq!(story.model.sentence(story.of(end), 0), "both ends closed at once");
    }
}

#[test]
fn a_connect_that_nobody_waited_for_took_until_its_program_was_gone() {
    let mut story = Story::new();
    story.socket(3, 7);
    story.call_with(Op::Connect, 3, 7, -1, &[(KIND_ADDRESS, ROLE_GIVEN, SERVER)], failed(115));
    story.now_ns += 1_000;
    story.model.process_gone(1, story.now_ns);
    assert_eq!(story.of(7).phases.connect, Some(Span { start_ns: 1100, end_ns: 2200 }));
    // Another program takes its place, and the socket is marked close-on-exec.
    let mut story = Story::new();
    story.call_with(Op::Socket, -1, 7, 3, &[(KIND_SOCKET, 0, &sock(7, 3, 1))], |call| {
        (call.arg, call.size) = (2, 1 | 0o2000000);
    });
    story.call_with(Op::Connect, 3, 7, -1, &[(KIND_ADDRESS, ROLE_GIVEN, SERVER)], failed(115));
    story.now_ns += 1_000;
    story.process(2, 0, 100, 1, PROCESS_IMAGE);
    assert_eq!(story.of(7).phases.connect, Some(Span { start_ns: 1100, end_ns: 2200 }));
}

#[test]
fn our_own_shutdown_is_no_end_of_the_peers() {
    let mut story = Story::new();
    story.connected(3, 7);
    // SHUT_RDWR: what is read after that says nothing of the peer.
    story.call_with(Op::Shutdown, 3, 7, 0, &[(KIND_TCP_INFO, 0, &tcp_info(tcp::ESTABLISHED, 0))], |call| call.arg = 2);
    story.call(Op::Read, 3, 7, 0, &[]);
    story.close(3, 7, tcp::FIN_WAIT2);
    assert_eq!(story.of(7).evidence.eof_ns, None);
    is(
        (story.model.verdict(story.of(7)), story.model.sentence(story.of(7), 0)),
        Verdict::WeClosed,
        "client closed first",
    );
}

#[test]
fn a_connect_that_only_so_error_tells_the_failure_of() {
    let mut story = Story::new();
    story.socket(3, 7);
    story.call_with(Op::Connect, 3, 7, -1, &[(KIND_ADDRESS, ROLE_GIVEN, SERVER)], failed(115));
    // `select` says that it can be written to.
    let ready = Ready { fd: 3, events: 4, data: 0, socket: 7 }.to_bytes();
    story.call(Op::Select, -1, 0, 1, &[(KIND_READY, 0, &ready)]);
    story.call_with(Op::Getsockopt, 3, 7, 0, &[(KIND_OPTION, 0, &111u32.to_ne_bytes())], |call| call.arg = 1 << 16 | 4);
    // And it reads as one whose peer has closed.
    story.call(Op::Read, 3, 7, 0, &[]);
    assert_eq!(story.of(7).connect, Connect::Failed(111));
    assert!(!story.of(7).is_connected());
    assert_eq!(story.model.verdict(story.of(7)), Verdict::Refused);
}
