use super::*;
use crate::event::ProcessInfo;
use crate::model::Ending;
use sockshim_format::op::Op;
use sockshim_format::record::*;

const CLIENT: &[u8] = &[2, 0, 0x9c, 0x40, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
const SERVER: &[u8] = &[2, 0, 0x1f, 0x90, 10, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0];

/// The events of a process that talks over one socket, each number of the table being a time.
struct Run {
    events: Vec<Event>,
    net_namespace: u64,
    ahead_ns: u64,
}

impl Run {
    fn new(net_namespace: u64, ahead_ns: u64) -> Run {
        let process = Process {
            process: 1,
            parent: 0,
            pid: 100,
            ppid: 1,
            how: PROCESS_IMAGE,
            uid: 0,
            ticks: 0,
            real_ns: 0,
            pid_namespace: 4,
            net_namespace: 0,
            path_bytes: 0,
            arguments_bytes: 0,
            reserved: 0,
        };
        let info = ProcessInfo { process, time_ns: ahead_ns + 1, exe: b"/bin/p".to_vec(), args: Vec::new() };
        Run { events: vec![Event::Process(info)], net_namespace, ahead_ns }
    }

    /// A call on socket 7 from one time to another.
    fn call(&mut self, op: Op, (start, end): (u64, u64), ret: i64, parts: &[(u8, u8, &[u8])]) {
        let commit = Commit { generation: 1, kind: KIND_CALL, slots: 1, state: STATE_DONE, flags: 0 }.word();
        let size = if op == Op::Socket { 1 } else { ret.max(0) as u64 };
        let (fd, arg) = if op == Op::Socket { (-1, 2) } else { (3, 0) };
        let call = Call {
            commit,
            start_ticks: 0,
            duration_ticks: 0,
            ret,
            socket: 7,
            size,
            seq: 1,
            fd,
            op: op as u16,
            errno: 0,
            arg,
        };
        let net_namespace = self.net_namespace;
        let socket = Socket { socket: 7, inode: 0, fd: 3, domain: 2, kind: 1, protocol: 6, net_namespace, reserved: 0 };
        let socket = socket.to_bytes();
        let told: &[(u8, u8, &[u8])] = if op == Op::Socket { &[(KIND_SOCKET, 0, &socket)] } else { &[] };
        let extensions = parts
            .iter()
            .chain(told)
            .map(|&(kind, role, body)| OwnedExtension { kind, role, part: 0, body: body.to_vec() })
            .collect();
        let (start_ns, end_ns) = (self.ahead_ns + start, self.ahead_ns + end);
        let info = CallInfo { process: 1, pid: 100, tid: 100, call, extensions, start_ns, end_ns, announced: false };
        self.events.push(Event::Call(info));
    }

    fn model(&self) -> Model {
        let mut model = Model::new();
        self.events.iter().for_each(|event| model.feed(event));
        model
    }
}

/// A request and its answer; each way takes 100 ns at least.
fn exchange(ahead_ns: u64) -> (Run, Run) {
    let mut client = Run::new(11, 1_000_000);
    client.call(Op::Socket, (1000, 1010), 3, &[]);
    client.call(
        Op::Connect,
        (1100, 1400),
        0,
        &[(KIND_ADDRESS, ROLE_GIVEN, SERVER), (KIND_ADDRESS, ROLE_LOCAL, CLIENT)],
    );
    client.call(Op::Send, (2000, 2010), 5, &[]);
    client.call(Op::Recv, (2020, 2400), 9, &[]);
    client.call(Op::Close, (3000, 3010), 0, &[]);
    let mut server = Run::new(12, 1_000_000 + ahead_ns);
    let ends = [(KIND_ADDRESS, ROLE_PEER, CLIENT), (KIND_ADDRESS, ROLE_LOCAL, SERVER)];
    server.call(Op::Recv, (1900, 2100), 5, &ends);
    server.call(Op::Send, (2200, 2210), 9, &[]);
    server.call(Op::Recv, (2300, 3100), 0, &[]);
    server.call(Op::Close, (3200, 3210), 0, &[]);
    (client, server)
}

#[test]
fn the_clocks_difference_lies_between_what_both_directions_allow() {
    for ahead_ns in [5_000_000, 3_000_000_000] {
        let (client, server) = exchange(ahead_ns);
        let found = offset(&client.model(), &server.model()).unwrap();
        // There it took 100 ns (2000 to 2100), back 200 ns (2200 to 2400).
        let ns = ahead_ns as i64 - 50;
        assert_eq!(found, Offset { ns, within_ns: Some(150), pipes: 1 });
        let back = offset(&server.model(), &client.model()).unwrap();
        assert_eq!(back, Offset { ns: -ns, within_ns: Some(150), pipes: 1 });
    }
}

#[test]
fn clocks_that_need_not_differ_are_the_same() {
    let (client, server) = exchange(0);
    let found = offset(&client.model(), &server.model()).unwrap();
    assert_eq!(found, Offset { ns: 0, within_ns: Some(200), pipes: 1 });
}

#[test]
fn without_a_pipe_or_an_answer_less_is_known() {
    let (client, mut server) = exchange(1000);
    assert_eq!(offset(&client.model(), &Run::new(12, 0).model()), None);
    server.events.truncate(2);
    let found = offset(&client.model(), &server.model()).unwrap();
    assert_eq!((found.within_ns, found.pipes), (None, 1));
}

#[test]
fn two_runs_in_one_model_have_both_ends_of_the_pipe() {
    let (client, server) = exchange(3_000_000_000);
    let found = offset(&client.model(), &server.model()).unwrap();
    let shift = Shift { run: 1, ahead_ns: found.ns };
    let theirs = server.events.iter().cloned().map(|mut event| {
        shift.apply(&mut event);
        event
    });
    let mut events: Vec<Event> = client.events.iter().cloned().chain(theirs).collect();
    events.sort_by_key(Event::time_ns);
    let mut model = Model::new();
    events.iter().for_each(|event| model.feed(event));
    model.finish(true);
    let all: Vec<&Connection> = model.connections().collect();
    // The same pids, descriptors and cookies on two machines are not the same.
    assert_eq!((all.len(), model.processes().count()), (2, 2));
    assert_eq!((all[0].other_end, all[1].other_end), (Some(1), Some(0)));
    assert!(all.iter().all(|conn| matches!(conn.ending, Ending::Closed(_))));
    // Received after it was sent, now that the clocks agree.
    assert!(all[1].received.first_ns > all[0].facts.sent_ns.map(|(first, _)| first));
}

#[test]
fn the_first_run_stays_as_it_is() {
    let (client, _) = exchange(0);
    for event in &client.events {
        let mut same = event.clone();
        Shift::default().apply(&mut same);
        assert_eq!(&same, event);
    }
}
