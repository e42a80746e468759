//! Options, silences, partial and empty transfers.

use super::*;

#[test]
fn options_that_matter_are_kept() {
    let mut story = Story::new();
    story.connected(3, 7);
    let set = |story: &mut Story, arg: u32, value: i32| {
        let value = value.to_ne_bytes();
        story.call_with(Op::Setsockopt, 3, 7, 0, &[(KIND_OPTION, 0, &value)], |call| call.arg = arg);
    };
    for (arg, value) in [(6 << 16 | 1, 1), (1 << 16 | 2, 1), (1 << 16 | 9, 1), (1 << 16 | 7, 4096), (1 << 16 | 8, 8192)]
    {
        set(&mut story, arg, value);
    }
    story.call_with(Op::Fcntl, 3, 7, 0, &[], |call| (call.arg, call.size) = (4, 0o4002));
    let expected = Options {
        no_delay: true,
        reuse_address: true,
        keep_alive: true,
        non_blocking: true,
        send_buffer: Some(4096),
        receive_buffer: Some(8192),
    };
    assert_eq!(story.of(7).facts.options, expected);
    set(&mut story, 6 << 16 | 1, 0);
    story.call_with(Op::Fcntl, 3, 7, 0, &[], |call| (call.arg, call.size) = (4, 2));
    story.call_with(Op::Setsockopt, 3, 7, -1, &[], |call| (call.arg, call.errno) = (1 << 16 | 7, 22));
    let options = story.of(7).facts.options;
    assert_eq!((options.no_delay, options.non_blocking, options.send_buffer), (false, false, Some(4096)));
}

#[test]
fn the_longest_silence_lies_between_bytes() {
    let mut story = Story::new();
    story.connected(3, 7);
    story.now_ns = 10_000;
    story.call(Op::Write, 3, 7, 5, &[]);
    story.now_ns = 50_000;
    story.call_with(Op::Read, 3, 7, -1, &[], failed(11));
    story.now_ns = 90_000;
    story.call(Op::Read, 3, 7, 5, &[]);
    story.call(Op::Write, 3, 7, 5, &[]);
    story.now_ns = 500_000;
    story.close(3, 7, tcp::ESTABLISHED);
    let conn = story.of(7);
    assert_eq!(conn.facts.silence(), Some(Span { start_ns: 10_010, end_ns: 90_010 }));
    assert_eq!(conn.waited_ns(), 40);
}

#[test]
fn partial_and_empty_transfers_are_counted() {
    let mut story = Story::new();
    story.connected(3, 7);
    story.call_with(Op::Write, 3, 7, 40, &[], |call| call.size = 100);
    story.call_with(Op::Write, 3, 7, 60, &[], |call| call.size = 60);
    story.call_with(Op::Read, 3, 7, 5, &[], |call| call.size = 4096);
    story.call(Op::Read, 3, 7, 0, &[]);
    let conn = story.of(7);
    assert_eq!((conn.sent.partial, conn.sent.zero), (1, 0));
    assert_eq!((conn.received.partial, conn.received.zero), (0, 1), "a read takes what is there");
}

#[test]
fn a_read_of_nothing_is_the_end_only_where_it_asked_for_something() {
    let ends = |op: Op, ret: i64, size: u64, errno: u16| {
        let mut story = Story::new();
        story.connected(3, 7);
        story.call_with(op, 3, 7, ret, &[], |call| (call.size, call.errno) = (size, errno));
        story.of(7).evidence.eof_ns.is_some()
    };
    assert!(ends(Op::Read, 0, 100, 0) && ends(Op::Recvmsg, 0, 0, 0));
    assert!(!ends(Op::Read, 0, 0, 0), "it asked for nothing");
    assert!(!ends(Op::Read, 1, 100, 0) && !ends(Op::Read, -1, 100, 11) && !ends(Op::Write, 0, 100, 0));
}
