use super::*;

fn call(op: Op, fd: i32, ret: i64) -> Call {
    let commit = Commit { generation: 1, kind: KIND_CALL, slots: 1, state: STATE_DONE, flags: 0 };
    let errno = if ret < 0 { 111 } else { 0 };
    Call {
        commit: commit.word(),
        start_ticks: 0,
        duration_ticks: 0,
        ret,
        socket: 0,
        size: 0,
        seq: 1,
        fd,
        op: op as u16,
        errno,
        arg: 0,
    }
}

fn print(call: &Call, parts: &Parts<'_>, peer: Option<Address<'_>>) -> String {
    Line { call, parts, peer, duration_ns: 1234 }.to_string()
}

const HTTP: &[u8] = &[2, 0, 0, 80, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];

#[test]
fn the_four_phases_read_like_the_program() {
    let none = Parts::default();
    let mut c = call(Op::Socket, -1, 5);
    (c.arg, c.size) = (2, 1 | 0o2000000 | 6 << 32);
    assert_eq!(print(&c, &none, None), "socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_TCP) = 5 <1.23µs>");

    let c = call(Op::Connect, 5, -1);
    let parts = Parts { given: Some(Address(HTTP)), ..none };
    assert_eq!(print(&c, &parts, None), "connect(5, 127.0.0.1:80 http) = -1 ECONNREFUSED <1.23µs>");

    let mut c = call(Op::UnderWrite, 5, 20);
    c.size = 20;
    let parts = Parts { payload: Some(b"GET /\r\n\"\x00\x011"), ..none };
    assert_eq!(
        print(&c, &parts, Some(Address(HTTP))),
        r#"write(5<127.0.0.1:80 http>, "GET /\r\n\"\0\0011"..., 20) = 20 <1.23µs>"#
    );

    let mut c = call(Op::Close, 5, 0);
    c.commit = Commit { state: STATE_ENTERED, ..Commit::from_word(c.commit) }.word();
    assert_eq!(print(&c, &none, None), "close(5) ...");
}

#[test]
fn a_call_of_a_later_version_still_prints() {
    let mut c = call(Op::Close, 5, 0);
    c.op = 9999;
    assert_eq!(print(&c, &Parts::default(), None), "op_9999(5) = 0 <1.23µs>");
}

#[test]
fn durations_have_three_digits() {
    for (ns, text) in [(7, "7ns"), (1_500, "1.50µs"), (12_345, "12.3µs"), (999_999, "999µs"), (2_010_000_000, "2.01s")]
    {
        assert_eq!(Duration(ns).to_string(), text);
    }
}
