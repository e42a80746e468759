//! What a fabricated run looks like on a screen.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use sockshim_format::op::Op;
use sockshim_format::record::*;
use sockshim_reader::{CallInfo, Event, OwnedExtension, ProcessInfo};

use super::state::{Page, Sort};
use super::*;

const SERVER: &[u8] = &[2, 0, 0x1f, 0x90, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
const OTHER: &[u8] = &[2, 0, 0, 53, 127, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0];
const SECOND: u64 = 1_000_000_000;

type Parts<'a> = &'a [(u8, u8, &'a [u8])];

/// A call on descriptor and socket, at a time; one that has not returned if `ret` is `None`.
fn call(op: Op, (fd, socket): (i32, u64), start_ns: u64, ret: Option<i64>, parts: Parts<'_>) -> CallInfo {
    let state = if ret.is_some() { STATE_DONE } else { STATE_ENTERED };
    let commit = Commit { generation: 1, kind: KIND_CALL, slots: 1, state, flags: 0 }.word();
    let ret = ret.unwrap_or(0);
    let size = u64::try_from(ret).unwrap_or(0);
    let seq = (start_ns / 1000) as u32;
    let (arg, errno) = (0, 0);
    let call =
        Call { commit, start_ticks: 0, duration_ticks: 0, ret, socket, size, seq, fd, op: op as u16, errno, arg };
    let extension = |&(kind, role, body): &(u8, u8, &[u8])| OwnedExtension { kind, role, part: 0, body: body.into() };
    let extensions = parts.iter().map(extension).collect();
    let end_ns = if state == STATE_DONE { start_ns + 10_000 } else { start_ns };
    CallInfo { process: 1, pid: 100, tid: 100, call, extensions, start_ns, end_ns, announced: false }
}

fn made(state: &mut State, (fd, socket): (i32, u64), start_ns: u64) {
    let body =
        Socket { socket, inode: 8, fd, domain: 2, kind: 1, protocol: 6, net_namespace: 0, reserved: 0 }.to_bytes();
    let mut info = call(Op::Socket, (-1, socket), start_ns, Some(fd.into()), &[(KIND_SOCKET, 0, &body)]);
    (info.call.arg, info.call.size) = (2, 1);
    state.event(&Event::Call(info));
}

/// A program that talks to a server and waits for its answer, while a second connection was refused.
fn run() -> State {
    let mut state = State::new("web.sst: /usr/bin/client".into(), SECOND);
    state.stands = "live".into();
    let process = Process { process: 1, pid: 100, ..Process::read(&[0; Process::SIZE]).unwrap() };
    let args = vec![b"client".to_vec()];
    state.event(&Event::Process(ProcessInfo { process, time_ns: SECOND, exe: b"/usr/bin/client".to_vec(), args }));
    let given = |address| [(KIND_ADDRESS, ROLE_GIVEN, address)];
    made(&mut state, (5, 7), SECOND + 1_000_000);
    state.event(&Event::Call(call(Op::Connect, (5, 7), SECOND + 2_000_000, Some(0), &given(SERVER))));
    state.event(&Event::Call(call(Op::Send, (5, 7), SECOND + 3_000_000, Some(2000), &[])));
    made(&mut state, (6, 8), SECOND + 4_000_000);
    let mut refused = call(Op::Connect, (6, 8), SECOND + 5_000_000, Some(-1), &given(OTHER));
    refused.call.errno = libc::ECONNREFUSED as u16;
    state.event(&Event::Call(refused));
    state.event(&Event::Call(call(Op::Close, (6, 8), SECOND + 6_000_000, Some(0), &[])));
    state.tick(2 * SECOND);
    state.event(&Event::Call(call(Op::Send, (5, 7), 2 * SECOND + 1_000_000, Some(3000), &[])));
    state.event(&Event::Entered(call(Op::Recv, (5, 7), 2 * SECOND + 2_000_000, None, &[])));
    state.tick(3 * SECOND);
    state.now_ns = 5 * SECOND + 202_000_000;
    state
}

fn press(state: &mut State, codes: &[KeyCode]) -> bool {
    codes.iter().any(|code| keys::press(state, KeyEvent::new(*code, KeyModifiers::NONE), 24))
}

fn char(state: &mut State, text: &str) -> bool {
    press(state, &text.chars().map(KeyCode::Char).collect::<Vec<_>>())
}

#[test]
fn a_run_on_a_screen_of_80_columns() {
    let expected = "\
web.sst: /usr/bin/client                                             4.2 s  live
1 open of 2   1 process   ▲ 3000 B/s  ▼ 0 B/s   7 calls, 1/s
#     PROCESS          PEER               PHASE         RATE/s     SENT RECEIVED
#1    client[100]:5    127.0.0.1:8080     communicate   3000 B   5000 B
#2    client[100]:6    127.0.0.2:53       refused

── 1 thread is blocked ─────────────────────────────────────────────────────────
client[100]            blocked in recv 3.2 s  fd 5  #1 127.0.0.1:8080
";
    assert_eq!(text(&run(), (80, 24)), expected);
}

#[test]
fn a_small_screen_shows_less_of_each() {
    let expected = "\
web.sst: /usr/bin/client     4.2 s  live
1 open of 2   1 process   7 calls, 1/s
#   PEER            PHASE         RATE/s
#1  127.0.0.1:8080  communicate   3000 B
#2  127.0.0.2:53    refused

── 1 thread is blocked ─────────────────
client[100] recv 3.2 s  #1 127.0.0.1:808
";
    assert_eq!(text(&run(), (40, 12)), expected);
}

#[test]
fn no_size_of_a_screen_is_too_small() {
    let mut state = run();
    for page in [Page::Connections, Page::Calls(0), Page::Calls(77), Page::Help] {
        state.page = page;
        for size in [(1, 1), (3, 2), (20, 3), (500, 6), (7, 200)] {
            text(&state, size);
        }
    }
}

#[test]
fn a_call_that_returns_blocks_no_more() {
    let mut state = run();
    let mut done = call(Op::Recv, (5, 7), 2 * SECOND + 2_000_000, Some(10), &[]);
    done.announced = true;
    state.event(&Event::Call(done));
    let told = text(&state, (80, 24));
    assert!(!told.contains("blocked"), "{told}");
}

#[test]
fn keys_sort_filter_and_open() {
    let mut state = run();
    let first = |state: &State| state.shown().first().map(|connection| connection.id);
    assert_eq!(first(&state), Some(0), "the one with traffic comes first");
    assert!(!char(&mut state, "t"));
    assert_eq!((state.sort, first(&state)), (Sort::Time, Some(1)));
    assert!(!char(&mut state, "frefused"));
    assert_eq!((state.filter.as_str(), state.shown().len()), ("refused", 1));
    assert!(!press(&mut state, &[KeyCode::Enter, KeyCode::Enter]));
    assert_eq!(state.page, Page::Calls(1));
    let told = text(&state, (80, 24));
    assert!(told.contains("connect(6, 127.0.0.2:53 domain) = -1 ECONNREFUSED"), "{told}");
    assert!(!press(&mut state, &[KeyCode::Esc, KeyCode::Esc]));
    assert_eq!((state.page, state.filter.as_str()), (Page::Connections, ""));
    assert!(!char(&mut state, " ") && state.paused);
    assert!(text(&state, (80, 24)).lines().next().unwrap().ends_with("paused"));
    assert!(char(&mut state, "q"));
}

#[test]
fn bytes_of_a_terminal_are_keys() {
    let codes = |bytes: &[u8]| keys::parse(bytes).iter().map(|key| key.code).collect::<Vec<_>>();
    assert_eq!(codes(b"j\x1b[A\x1bOBq"), [KeyCode::Char('j'), KeyCode::Up, KeyCode::Down, KeyCode::Char('q')]);
    assert_eq!(codes(b"\x1b\x1b"), [KeyCode::Esc, KeyCode::Esc]);
    assert_eq!(codes("é\r\u{7f}".as_bytes()), [KeyCode::Char('é'), KeyCode::Enter, KeyCode::Backspace]);
    // What is not known, and what is no text, is passed over.
    assert_eq!(codes(b"\x1b[200~\x01\xff\x1b[5;3"), []);
    assert_eq!(keys::parse(b"\x03")[0].modifiers, KeyModifiers::CONTROL);
}

#[test]
fn the_mark_stays_with_its_connection() {
    let mut state = run();
    press(&mut state, &[KeyCode::Down, KeyCode::Down]);
    assert_eq!(state.selected, Some(1));
    char(&mut state, "t");
    let ids: Vec<usize> = state.shown().iter().map(|connection| connection.id).collect();
    assert_eq!((ids.as_slice(), state.position(&ids)), (&[1, 0][..], 0));
}

#[test]
fn without_color_there_is_none() {
    let state = run();
    for color in [false, true] {
        let Ok(mut terminal) = Terminal::new(TestBackend::new(80, 24));
        let Ok(_) = terminal.draw(|frame| draw::draw(frame, &state, color));
        let colored = |cell: &ratatui::buffer::Cell| cell.fg != ratatui::style::Color::Reset;
        assert_eq!(terminal.backend().buffer().content.iter().any(colored), color);
    }
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut state = run();
    for at in 0..1000 {
        state.event(&Event::Call(call(Op::Send, (5, 7), 6 * SECOND + at * 20_000, Some(1), &[])));
        let mut entered = call(Op::Poll, (-1, 0), 6 * SECOND + at * 20_000, None, &[]);
        entered.tid = 100 + (at % 7) as u32;
        state.event(&Event::Entered(entered));
        let socket = 1000 + at;
        made(&mut state, (7, socket), 7 * SECOND + at * 20_000);
    }
    assert_eq!(state.last_calls(0).count().max(200), 200);
    assert!(state.remembered() <= 256, "{}", state.remembered());
    assert!(state.blocked.threads().len() <= 8);
}
