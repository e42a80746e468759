mod bind;
mod facts;
mod forget;
mod interleaving;
mod launches;
mod lints;
mod sentence;
mod story;
mod unseen;

use super::*;
use story::*;

#[test]
fn an_active_connection_from_name_to_close() {
    let mut story = Story::new();
    let parts: [(u8, u8, &[u8]); 2] =
        [(KIND_TEXT, ROLE_NAME, b"localhost"), (KIND_ADDRESS, ROLE_RESOLVED, &[2, 0, 0, 0, 127, 0, 0, 1])];
    story.call(Op::Getaddrinfo, -1, 0, 0, &parts);
    story.connected(3, 7);
    story.call(Op::Write, 3, 7, 20, &[]);
    story.call_with(Op::Read, 3, 7, -1, &[], failed(11));
    story.call(Op::Read, 3, 7, 500, &[]);
    story.close(3, 7, tcp::ESTABLISHED);
    story.model.finish(true);
    let conn = story.of(7);
    assert_eq!((conn.id, conn.role, conn.connect), (0, Role::Active, Connect::Done));
    assert_eq!((conn.domain, conn.kind, conn.protocol, conn.inode), (2, 1, 6, 8));
    assert_eq!(conn.peer_address().unwrap().to_string(), "127.0.0.1:8080");
    assert_eq!(conn.peer_name.as_deref(), Some(&b"localhost"[..]));
    assert_eq!(conn.program(), "p1");
    let span = |start_ns| Some(Span { start_ns, end_ns: start_ns + 10 });
    let expected = Phases {
        resolve: span(1000),
        create: span(1100),
        connect: span(1200),
        communicate: Some(Span { start_ns: 1300, end_ns: 1510 }),
        disconnect: span(1600),
    };
    assert_eq!(conn.phases, expected);
    assert_eq!((conn.sent.bytes, conn.sent.calls), (20, 1));
    assert_eq!((conn.received.bytes, conn.received.calls, conn.received.again), (500, 2, 1));
    assert_eq!(conn.first_byte_ns, Some(300));
    assert_eq!((conn.ending, conn.closed_first()), (Ending::Closed(1610), FirstToClose::Us));
    assert!(conn.errors.is_empty());
}

#[test]
fn a_connect_in_progress_ends_with_the_wait_that_tells() {
    for (events, value, expected) in
        [(4, 0u32, Connect::Done), (4 | 8 | 16, 111, Connect::Failed(111)), (4 | 16, 0, Connect::Done)]
    {
        let mut story = Story::new();
        story.socket(3, 7);
        let given: [(u8, u8, &[u8]); 1] = [(KIND_ADDRESS, ROLE_GIVEN, SERVER)];
        story.call_with(Op::Connect, 3, 7, -1, &given, failed(115));
        assert_eq!(story.of(7).connect, Connect::Pending);
        let ready = Ready { fd: 3, events, data: 0, socket: 7 }.to_bytes();
        story.call(Op::Poll, -1, 0, 1, &[(KIND_READY, 0, &ready)]);
        story.call_with(Op::Getsockopt, 3, 7, 0, &[(KIND_OPTION, 0, &value.to_ne_bytes())], |call| {
            call.arg = 1 << 16 | 4;
        });
        let conn = story.of(7);
        assert_eq!(conn.connect, expected);
        assert_eq!(conn.phases.connect, Some(Span { start_ns: 1100, end_ns: 1210 }));
        assert_eq!(conn.wait_ns, 10);
        assert!(!conn.errors.contains_key(&Op::Connect));
    }
}

#[test]
fn epoll_knows_a_connection_by_the_programs_own_data() {
    let mut story = Story::new();
    story.socket(3, 7);
    story.call_with(Op::Connect, 3, 7, -1, &[], failed(115));
    let ready = Ready { fd: 3, events: 4, data: 0xfeed, socket: 7 }.to_bytes();
    story.call_with(Op::EpollCtl, 9, 0, 0, &[(KIND_READY, 0, &ready)], |call| (call.arg, call.size) = (1, 3));
    let ready = Ready { fd: -1, events: 4, data: 0xfeed, socket: 0 }.to_bytes();
    story.call(Op::EpollWait, 9, 0, 1, &[(KIND_READY, 0, &ready)]);
    assert_eq!((story.of(7).connect, story.of(7).wait_ns), (Connect::Done, 10));
}

#[test]
fn both_ends_in_one_trace_make_a_pipe() {
    let mut story = Story::new();
    story.socket(3, 7);
    story.call(Op::Bind, 3, 7, 0, &[(KIND_ADDRESS, ROLE_GIVEN, SERVER)]);
    story.call(Op::Listen, 3, 7, 0, &[]);
    story.connected(4, 8);
    let new = sock(9, 5, 1);
    let parts: [(u8, u8, &[u8]); 3] =
        [(KIND_SOCKET, 0, &new), (KIND_ADDRESS, ROLE_RETURNED, CLIENT), (KIND_ADDRESS, ROLE_LOCAL, SERVER)];
    story.call(Op::Accept4, 3, 7, 5, &parts);
    story.call(Op::Send, 4, 8, 30, &[]);
    story.call(Op::Recv, 5, 9, 30, &[]);
    story.close(4, 8, tcp::ESTABLISHED);
    story.call(Op::Recv, 5, 9, 0, &[]);
    story.close(5, 9, tcp::CLOSE_WAIT);
    story.model.finish(true);
    let (listener, active, passive) = (story.of(7), story.of(8), story.of(9));
    assert_eq!((listener.role, listener.accepted, listener.other_end), (Role::Listener, 1, None));
    assert!(matches!(listener.ending, Ending::Leaked(_)));
    assert_eq!(listener.closed_first(), FirstToClose::Nobody);
    assert_eq!((passive.role, passive.listener), (Role::Passive, Some(listener.id)));
    assert_eq!((active.other_end, passive.other_end), (Some(passive.id), Some(active.id)));
    assert_eq!((active.closed_first(), passive.closed_first()), (FirstToClose::Us, FirstToClose::Peer));
    assert_eq!(passive.first_byte_ns, Some(200));
}

#[test]
fn who_closed_first_follows_the_kernel_then_the_calls() {
    let verdict = |calls: &dyn Fn(&mut Story)| {
        let mut story = Story::new();
        story.connected(3, 7);
        calls(&mut story);
        story.model.finish(true);
        story.of(7).closed_first()
    };
    let eof = |s: &mut Story| {
        s.call(Op::Read, 3, 7, 0, &[]);
    };
    assert_eq!(
        verdict(&|s| {
            s.close(3, 7, tcp::CLOSE_WAIT);
        }),
        FirstToClose::Peer
    );
    assert_eq!(
        verdict(&|s| {
            s.call(Op::Close, 3, 7, 0, &[]);
        }),
        FirstToClose::Us
    );
    assert_eq!(
        verdict(&|s| {
            eof(s);
            s.call(Op::Close, 3, 7, 0, &[]);
        }),
        FirstToClose::Peer
    );
    let unread = [(KIND_TCP_INFO, 0, &tcp_info(tcp::ESTABLISHED, 5)[..])];
    assert_eq!(
        verdict(&|s| {
            s.call(Op::Close, 3, 7, 0, &unread);
        }),
        FirstToClose::UsReset
    );
    // A half close of ours, answered by the peer's, leaves CLOSE.
    let shutdown = [(KIND_TCP_INFO, 0, &tcp_info(tcp::ESTABLISHED, 0)[..])];
    let half = |s: &mut Story, parts: &[(u8, u8, &[u8])]| {
        s.call_with(Op::Shutdown, 3, 7, 0, parts, |call| call.arg = 1);
    };
    assert_eq!(
        verdict(&|s| {
            half(s, &shutdown);
            eof(s);
            s.close(3, 7, tcp::CLOSE);
        }),
        FirstToClose::Us
    );
    assert_eq!(
        verdict(&|s| {
            half(s, &[]);
            eof(s);
            s.close(3, 7, tcp::CLOSE);
        }),
        FirstToClose::Us
    );
    assert_eq!(
        verdict(&|s| {
            eof(s);
            half(s, &[]);
            s.close(3, 7, tcp::CLOSE);
        }),
        FirstToClose::Peer
    );
    let reset = |s: &mut Story| {
        s.call_with(Op::Read, 3, 7, -1, &[], failed(104));
    };
    assert_eq!(
        verdict(&|s| {
            reset(s);
            s.close(3, 7, tcp::CLOSE);
        }),
        FirstToClose::Reset
    );
    assert_eq!(
        verdict(&|s| {
            s.close(3, 7, tcp::CLOSE);
        }),
        FirstToClose::Reset
    );
    assert_eq!(verdict(&|_| {}), FirstToClose::Nobody, "left to the kernel");
    let mut story = Story::new();
    story.connected(3, 7);
    assert_eq!(story.of(7).closed_first(), FirstToClose::Nobody);
}

#[test]
fn the_last_descriptor_ends_it_not_the_first() {
    let mut story = Story::new();
    story.connected(3, 7);
    story.call(Op::Dup, 3, 7, 4, &[]);
    story.close(3, 7, tcp::ESTABLISHED);
    assert_eq!(story.of(7).ending, Ending::Open);
    story.call_with(Op::Dup2, 9, 0, 4, &[(KIND_FDS, ROLE_CLOSED, &fds(&[(4, 7)]))], |call| call.arg = 4);
    assert!(matches!(story.of(7).ending, Ending::Closed(_)));
    story.connected(3, 8);
    story.connected(4, 9);
    story.call(Op::CloseRange, 3, 0, 0, &[(KIND_FDS, ROLE_CLOSED, &fds(&[(3, 8), (4, 9)]))]);
    assert!(matches!((story.of(8).ending, story.of(9).ending), (Ending::Closed(_), Ending::Closed(_))));
    assert!(story.model.process(1).unwrap().fds.is_empty());
}

#[test]
fn a_forking_server_is_followed_into_its_child() {
    let mut story = Story::new();
    story.connected(3, 7);
    story.call(Op::Fork, -1, 0, 101, &[]);
    story.close(3, 7, tcp::ESTABLISHED);
    assert!(matches!(story.of(7).ending, Ending::Closed(_)), "nobody is known to use it");
    // The child shows itself late, after its parent closed.
    story.process(2, 1, 101, 100, PROCESS_FORK);
    story.call(Op::Read, 3, 7, 5, &[]);
    assert_eq!((story.of(7).ending, story.of(7).holders.len()), (Ending::Open, 2));
    story.close(3, 7, tcp::CLOSE_WAIT);
    assert!(matches!(story.of(7).ending, Ending::Closed(_)));
    assert_eq!(story.of(7).closed_first(), FirstToClose::Peer);
    assert_eq!(story.of(7).phases.disconnect.unwrap().duration_ns(), 10);
    assert_eq!(story.of(7).holders.iter().map(|h| h.fd).collect::<Vec<_>>(), [3, 3]);
}

#[test]
fn a_number_that_was_closed_and_is_used_again_opens_nothing() {
    let mut story = Story::new();
    story.connected(3, 7);
    story.close(3, 7, tcp::ESTABLISHED);
    story.call_with(Op::Close, 3, 7, -1, &[], failed(9));
    story.call_with(Op::Read, 3, 7, -1, &[], failed(9));
    assert!(matches!(story.of(7).ending, Ending::Closed(_)));
    assert_eq!(story.of(7).errors[&Op::Read], (9, 1));
}

#[test]
fn a_splice_counts_on_the_socket_and_not_on_the_pipe() {
    let mut story = Story::new();
    story.connected(3, 7);
    let lists: [(u8, u8, &[u8]); 2] =
        [(KIND_FDS, ROLE_INPUT, &fds(&[(9, 0)])), (KIND_FDS, ROLE_OUTPUT, &fds(&[(3, 7)]))];
    story.call(Op::Splice, 9, 7, 4096, &lists);
    assert_eq!((story.of(7).sent.bytes, story.of(7).received.bytes), (4096, 0));
    assert_eq!(story.model.held(1, 9), None);
}

#[test]
fn exec_keeps_what_is_not_marked() {
    let mut story = Story::new();
    story.connected(3, 7);
    story.connected(4, 8);
    story.call_with(Op::Fcntl, 4, 8, 0, &[], |call| (call.arg, call.size) = (2, 1));
    story.process(2, 0, 100, 1, PROCESS_IMAGE);
    assert_eq!(story.of(7).ending, Ending::Open);
    assert!(matches!(story.of(8).ending, Ending::Closed(_)));
    story.call(Op::Write, 3, 7, 5, &[]);
    story.model.finish(true);
    assert!(matches!(story.of(7).ending, Ending::Leaked(_)));
}

#[test]
fn a_child_that_never_uses_what_it_inherited_does_not_leak_it() {
    let mut story = Story::new();
    story.connected(3, 7);
    story.process(2, 1, 101, 100, PROCESS_FORK);
    story.process = 1;
    story.close(3, 7, tcp::ESTABLISHED);
    story.model.finish(true);
    assert!(matches!(story.of(7).ending, Ending::Closed(_)));
}

#[test]
fn a_number_that_is_used_again_is_another_connection() {
    let mut story = Story::new();
    story.connected(3, 7);
    story.connected(3, 8);
    assert!(matches!((story.of(7).ending, story.of(8).ending), (Ending::Closed(_), Ending::Open)));
    // A long call on the old one is told after the new one came.
    story.now_ns -= 400;
    story.call(Op::Read, 3, 7, 5, &[]);
    assert!(matches!((story.of(7).ending, story.of(8).ending), (Ending::Closed(_), Ending::Open)));
}

#[test]
fn a_close_ends_what_it_named_though_another_thread_has_the_number_already() {
    let mut story = Story::new();
    // It began first, and got the number that the other thread's call gave back in the middle of it.
    story.socket(3, 8);
    story.now_ns -= 95;
    story.close(3, 7, tcp::ESTABLISHED);
    assert!(matches!((story.of(7).ending, story.of(8).ending), (Ending::Closed(_), Ending::Open)));
    assert_eq!((story.of(7).active, story.of(8).active), (0, 1));
}

#[test]
fn unclassified_calls_count_once_the_descriptor_shows_what_it_is() {
    let mut story = Story::new();
    story.flags = FLAG_UNCLASSIFIED;
    story.call(Op::Read, 3, 0, 5, &[]);
    story.call(Op::Read, 4, 0, 5, &[]);
    story.flags = 0;
    story.call(Op::Send, 3, 7, 6, &[]);
    story.flags = FLAG_UNCLASSIFIED;
    story.call(Op::Read, 3, 0, 7, &[]);
    let conn = story.of(7);
    assert_eq!((conn.received.bytes, conn.sent.bytes), (12, 6));
    assert_eq!(story.model.connections().count(), 1);
}

#[test]
fn a_socketpair_is_a_pipe_by_birth_and_survives_being_passed() {
    let mut story = Story::new();
    story.pair();
    assert_eq!((story.of(7).other_end, story.of(8).other_end), (Some(1), Some(0)));
    story.connected(5, 9);
    story.call(Op::Sendmsg, 3, 7, 1, &[(KIND_FDS, ROLE_PASSED, &fds(&[(5, 9)]))]);
    story.process(2, 0, 200, 1, PROCESS_IMAGE);
    story.call(Op::Recvmsg, 4, 8, 1, &[(KIND_FDS, ROLE_MADE, &fds(&[(6, 9)]))]);
    story.process = 1;
    story.close(5, 9, tcp::ESTABLISHED);
    assert_eq!((story.of(9).ending, story.of(9).passed), (Ending::Open, 1));
    story.process = 2;
    story.close(6, 9, tcp::ESTABLISHED);
    assert!(matches!(story.of(9).ending, Ending::Closed(_)));
}

#[test]
fn datagram_sockets_keep_their_peers_apart() {
    let mut story = Story::new();
    let told = sock(7, 3, 2);
    story.call_with(Op::Socket, -1, 7, 3, &[(KIND_SOCKET, 0, &told)], |call| (call.arg, call.size) = (2, 2));
    story.call(Op::Sendto, 3, 7, 10, &[(KIND_ADDRESS, ROLE_GIVEN, SERVER)]);
    story.call(Op::Recvfrom, 3, 7, 20, &[(KIND_ADDRESS, ROLE_RETURNED, SERVER)]);
    story.call(Op::Sendto, 3, 7, 30, &[(KIND_ADDRESS, ROLE_GIVEN, CLIENT)]);
    story.call(Op::Recvfrom, 3, 7, 0, &[(KIND_ADDRESS, ROLE_RETURNED, CLIENT)]);
    let conn = story.of(7);
    let peers: Vec<_> = conn.datagram_peers.iter().map(|p| (p.sent_bytes, p.received_bytes)).collect();
    assert_eq!((conn.role, peers), (Role::Datagram, vec![(10, 20), (30, 0)]));
    assert_eq!((conn.evidence.eof_ns, conn.closed_first()), (None, FirstToClose::Nobody));
    assert_eq!(conn.peer, SERVER);
}

#[test]
fn datagram_sockets_that_are_bound_to_all_addresses_find_each_other() {
    let mut story = Story::new();
    let anywhere = |address: &[u8]| [&address[..4], &[0; 4], &address[8..]].concat();
    let (sender, receiver) = (anywhere(CLIENT), anywhere(SERVER));
    for (socket, fd) in [(7, 3), (8, 4)] {
        let told = sock(socket, fd, 2);
        story.call_with(Op::Socket, -1, socket, fd as i64, &[(KIND_SOCKET, 0, &told)], |call| {
            (call.arg, call.size) = (2, 2)
        });
    }
    story.call(Op::Bind, 4, 8, 0, &[(KIND_ADDRESS, ROLE_GIVEN, &receiver), (KIND_ADDRESS, ROLE_LOCAL, &receiver)]);
    story.call(Op::Sendto, 3, 7, 10, &[(KIND_ADDRESS, ROLE_GIVEN, SERVER), (KIND_ADDRESS, ROLE_LOCAL, &sender)]);
    story.call(Op::Recvfrom, 4, 8, 10, &[(KIND_ADDRESS, ROLE_RETURNED, CLIENT)]);
    story.model.find_ends();
    assert_eq!((story.of(7).other_end, story.of(8).other_end), (Some(1), Some(0)));
}

#[test]
fn a_socket_is_in_the_namespace_of_the_first_who_tells() {
    let mut story = Story::new();
    let told = |net_namespace| {
        let socket = Socket { socket: 7, inode: 8, fd: 3, domain: 2, kind: 1, protocol: 6, net_namespace, reserved: 0 };
        socket.to_bytes()
    };
    story.call_with(Op::Socket, -1, 7, 3, &[(KIND_SOCKET, 0, &told(11))], |call| (call.arg, call.size) = (2, 1));
    story.process(2, 0, 200, 100, PROCESS_IMAGE);
    story.process = 2;
    story.call(Op::Send, 3, 7, 6, &[(KIND_SOCKET, 0, &told(12))]);
    assert_eq!(story.of(7).net_namespace, 11);
}
