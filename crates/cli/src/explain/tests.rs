//! A fabricated exchange, told in both languages.

use sockshim_format::record::*;
use sockshim_reader::OwnedExtension;
use sockshim_reader::model::tcp;

use super::*;

mod sentences;

const SERVER: &[u8] = &[2, 0, 0x1f, 0x90, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
const CLIENT: &[u8] = &[2, 0, 0x9c, 0x40, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];

/// Feeds a model, and an explainer behind it.
struct Telling {
    model: Model,
    explainer: Explainer,
    out: Vec<u8>,
    now_ns: u64,
}

type Parts<'a> = &'a [(u8, u8, &'a [u8])];

impl Telling {
    fn new(lang: Lang) -> Telling {
        let explainer = Explainer::new(lang, Page::of(100), Some(1_000_000));
        Telling { model: Model::new(), explainer, out: Vec::new(), now_ns: 1_000_000 }
    }

    /// One call of 10 µs; the next is a millisecond later.
    fn call(&mut self, op: Op, (fd, socket): (i32, u64), ret: i64, parts: Parts<'_>, change: impl FnOnce(&mut Call)) {
        let commit = Commit { generation: 1, kind: KIND_CALL, slots: 1, state: STATE_DONE, flags: 0 }.word();
        let size = u64::try_from(ret).unwrap_or(100);
        let mut call = Call {
            commit,
            start_ticks: 0,
            duration_ticks: 0,
            ret,
            socket,
            size,
            seq: 0,
            fd,
            op: op as u16,
            errno: 0,
            arg: 0,
        };
        change(&mut call);
        let extension =
            |&(kind, role, body): &(u8, u8, &[u8])| OwnedExtension { kind, role, part: 0, body: body.into() };
        let extensions = parts.iter().map(extension).collect();
        let (start_ns, end_ns) = (self.now_ns, self.now_ns + 10_000);
        let info = CallInfo { process: 1, pid: 100, tid: 100, call, extensions, start_ns, end_ns, announced: false };
        self.now_ns += 1_000_000;
        let event = Event::Call(info);
        self.model.feed(&event);
        self.explainer.event(&mut self.out, &self.model, &event).unwrap();
    }

    fn socket(&mut self) {
        let socket =
            Socket { socket: 7, inode: 8, fd: 5, domain: 2, kind: 1, protocol: 6, net_namespace: 0, reserved: 0 };
        let socket = socket.to_bytes();
        self.call(Op::Socket, (-1, 7), 5, &[(KIND_SOCKET, 0, &socket)], |call| (call.arg, call.size) = (2, 1));
    }

    fn connected(&mut self) {
        let name: Parts<'_> =
            &[(KIND_TEXT, ROLE_NAME, b"localhost"), (KIND_ADDRESS, ROLE_RESOLVED, &[2, 0, 0, 0, 127, 0, 0, 1])];
        self.call(Op::Getaddrinfo, (-1, 0), 0, name, |_| {});
        self.socket();
        let parts: Parts<'_> = &[(KIND_ADDRESS, ROLE_GIVEN, SERVER), (KIND_ADDRESS, ROLE_LOCAL, CLIENT)];
        self.call(Op::Connect, (5, 7), 0, parts, |_| {});
    }

    fn close(&mut self, state: u8, unread_bytes: i32) {
        let mut info = TcpState { unread_bytes, unsent_bytes: 0 }.to_bytes().to_vec();
        info.extend([state, 0, 0, 0]);
        self.call(Op::Close, (5, 7), 0, &[(KIND_TCP_INFO, 0, &info)], |_| {});
    }

    fn failed(&mut self, op: Op, errno: u16) {
        self.call(op, (5, 7), -1, &[(KIND_ADDRESS, ROLE_GIVEN, SERVER)], |call| call.errno = errno);
    }

    /// All that was said, without colors and without blanks at the ends of lines.
    fn said(mut self) -> String {
        self.model.finish(true);
        self.explainer.end(&mut self.out, &self.model, 0).unwrap();
        let text = String::from_utf8(self.out).unwrap();
        let mut plain = String::new();
        let mut parts = text.split('\u{1b}');
        plain += parts.next().unwrap();
        parts.for_each(|part| plain += part.split_once('m').unwrap().1);
        plain.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
    }
}

fn exchange(lang: Lang) -> String {
    let mut telling = Telling::new(lang);
    telling.connected();
    telling.call(Op::Setsockopt, (5, 7), 0, &[], |call| call.arg = 6 << 16 | 1);
    telling.call(Op::Setsockopt, (5, 7), 0, &[], |call| call.arg = 1 << 16 | 9);
    telling.call(Op::Write, (5, 7), 18, &[(KIND_PAYLOAD, ROLE_SENT, b"GET / HTTP/1.0\r\n\r\n")], |_| {});
    telling.call(Op::Read, (5, 7), 1448, &[(KIND_PAYLOAD, ROLE_RECEIVED, b"HTTP/1.0 200 OK\r\n")], |_| {});
    for _ in 0..3 {
        telling.call(Op::Read, (5, 7), 1000, &[], |_| {});
    }
    telling.call(Op::Read, (5, 7), 0, &[], |call| call.size = 4096);
    telling.close(tcp::CLOSE_WAIT, 0);
    telling.said()
}

const ENGLISH: &str = include_str!("tests/exchange.en.txt");
const CHINESE: &str = include_str!("tests/exchange.zh.txt");

#[test]
fn an_exchange_in_english() {
    assert_eq!(exchange(Lang::En), ENGLISH, "\n{}", exchange(Lang::En));
}

#[test]
fn an_exchange_in_chinese() {
    assert_eq!(exchange(Lang::Zh), CHINESE, "\n{}", exchange(Lang::Zh));
}

#[track_caller]
fn contains(said: &str, parts: &[&str]) {
    let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in parts {
        assert!(words.contains(part), "no {part:?} in\n{said}");
    }
}

#[test]
fn failures_have_their_cause_and_a_remedy() {
    let fails = |lang: Lang, op: Op, errno: i32| {
        let mut telling = Telling::new(lang);
        telling.socket();
        telling.failed(op, errno as u16);
        telling.failed(op, errno as u16);
        telling.said()
    };
    let refused = fails(Lang::En, Op::Connect, libc::ECONNREFUSED);
    contains(&refused, &["connect to 127.0.0.1:8080 failed (ECONNREFUSED): nobody listens there."]);
    assert_eq!(refused.matches("ECONNREFUSED").count(), 1, "the second time it is nothing new");
    contains(&fails(Lang::Zh, Op::Connect, libc::ECONNREFUSED), &["（ECONNREFUSED）：那里没有人监听"]);
    let in_use = fails(Lang::En, Op::Bind, libc::EADDRINUSE);
    contains(&in_use, &["(EADDRINUSE): another socket holds that port", "SO_REUSEADDR before bind"]);
    contains(&fails(Lang::En, Op::Write, libc::EPIPE), &["(EPIPE)", "SIGPIPE"]);
    contains(&fails(Lang::En, Op::Read, libc::EAGAIN), &["none yet: EAGAIN", "not now"]);
    contains(&fails(Lang::En, Op::Read, libc::ECONNRESET), &["The other end reset the connection (ECONNRESET)"]);
}

#[test]
fn who_closes_first_is_told_by_the_kernels_state() {
    let closes = |state: u8, unread: i32| {
        let mut telling = Telling::new(Lang::En);
        telling.connected();
        telling.close(state, unread);
        telling.said()
    };
    contains(&closes(tcp::ESTABLISHED, 0), &["we hang up first, and the server is told with a FIN.", "TIME_WAIT"]);
    let second = closes(tcp::CLOSE_WAIT, 0);
    contains(&second, &["the server had closed before; now we have too"]);
    assert!(!second.contains("TIME_WAIT"), "{second}");
    contains(&closes(tcp::ESTABLISHED, 3), &["3 bytes were never read, so the server is sent an RST."]);
}

#[test]
fn long_conversations_are_summed_up_and_every_byte_is_counted() {
    let mut telling = Telling::new(Lang::En);
    telling.connected();
    for _ in 0..500 {
        telling.call(Op::Write, (5, 7), 8, &[], |_| {});
        telling.call(Op::Read, (5, 7), 9, &[], |_| {});
    }
    let said = telling.said();
    contains(&said, &["497 more writes with 3,976 bytes, 497 more reads with 4,473 bytes"]);
    contains(&said, &["Descriptor 5 was never closed", "1 socket, 4,000 bytes sent and 4,500 received."]);
}

#[test]
fn a_partial_write_is_told_each_time() {
    let mut telling = Telling::new(Lang::En);
    telling.connected();
    telling.call(Op::Write, (5, 7), 10, &[], |_| {});
    telling.call(Op::Write, (5, 7), 10, &[], |_| {});
    telling.call(Op::Write, (5, 7), 20, &[], |call| call.size = 50);
    telling.call(Op::Write, (5, 7), 30, &[], |_| {});
    let said = telling.said();
    contains(&said, &["It wrote once more, 20 bytes in all.", "20 bytes of the 50 that it wanted to"]);
    contains(&said, &["It wrote once more, 70 bytes in all."]);
}

#[test]
fn a_connect_in_the_background_is_told_twice() {
    let mut telling = Telling::new(Lang::En);
    telling.socket();
    telling.failed(Op::Connect, libc::EINPROGRESS as u16);
    let ready = Ready { fd: 5, events: 4, data: 0, socket: 7 }.to_bytes();
    telling.call(Op::Poll, (-1, 0), 1, &[(KIND_READY, 0, &ready)], |_| {});
    contains(&telling.said(), &["127.0.0.1:8080 is being opened", "EINPROGRESS", "The pipe is open after 1.0 ms"]);
}

#[test]
fn of_many_sockets_the_first_are_told_of_and_all_are_counted() {
    let mut telling = Telling::new(Lang::En);
    for number in 0..100u64 {
        let (fd, number) = (number as i32 + 5, number + 7);
        let socket =
            Socket { socket: number, inode: 8, fd, domain: 2, kind: 1, protocol: 6, net_namespace: 0, reserved: 0 };
        let socket = socket.to_bytes();
        telling.call(Op::Socket, (-1, number), fd.into(), &[(KIND_SOCKET, 0, &socket)], |call| {
            (call.arg, call.size) = (2, 1);
        });
    }
    let said = telling.said();
    assert_eq!(said.matches("now names a TCP socket").count(), MAX_TALES);
    contains(&said, &["only the first 24 are told of", "That was all: 100 sockets"]);
}
