//! socat over TCP, UDP and AF_UNIX: what goes in comes out, byte by byte, and so it was recorded.

use crate::harness::{Mode, Outcome, Scratch, free_port, installed, noise, wait_for};
use crate::recorded::{Recorded, both_ends, ports};
use crate::server::Server;
use sockshim_format::op::{Direction, Op};
use sockshim_reader::model::{Connect, Connection, FirstToClose, Role};
use std::fs;

/// Half of it fits the receive buffer of a UDP socket as it is by default, a kilobyte in each datagram.
const BYTES: usize = 50_000;

/// One direction: `from` takes the file, `to` gives it. Natively first, then both ends traced.
fn one_way(scratch: &Scratch, listens: &str, address: impl Fn() -> [String; 2]) -> [Outcome; 2] {
    let data = noise(BYTES);
    scratch.write("in", &data);
    let mut last = None;
    for mode in Mode::ALL {
        let [to, from] = address();
        let output = format!("out.{}", mode.name());
        let open = format!("OPEN:{output},creat,trunc");
        let mut server = Server::start(scratch, mode, "to", &["socat", "-d", "-d", "-u", &to, &open]);
        server.says(listens);
        let client = scratch.run(mode, "from", &["socat", "-u", "-b", "1000", "OPEN:in", &from]);
        client.is_good();
        wait_for("all that was sent", || {
            let bytes = fs::metadata(scratch.file(&output)).map_or(0, |meta| meta.len());
            (bytes >= data.len() as u64).then_some(())
        });
        assert!(fs::read(scratch.file(&output)).unwrap() == data, "{mode:?}");
        assert_eq!(client.text(), "");
        // It ends by itself where there is an end to see; datagrams have none.
        let server = if listens.contains("listening") { server.outcome() } else { server.stop(libc::SIGTERM) };
        last = Some([server, client]);
    }
    let [server, client] = last.unwrap();
    client.is_good();
    [server, client]
}

/// Asserts that the file passed, as it is.
fn passed(recorded: &Recorded, connection: &Connection, direction: Direction) {
    assert!(recorded.payload(connection, direction) == noise(BYTES), "{connection:?}");
    let (there, back) = match direction {
        Direction::Sent => (connection.sent, connection.received),
        Direction::Received => (connection.received, connection.sent),
    };
    assert_eq!((there.bytes, back.bytes), (BYTES as u64, 0), "{connection:?}");
}

#[test]
fn socat_over_tcp() {
    if !installed("socat", &["socat"]) {
        return;
    }
    let scratch = Scratch::keeping_payload("socat-tcp");
    let [server, client] = one_way(&scratch, "listening on AF=2 127.0.0.1:", || {
        let port = free_port();
        [format!("TCP-LISTEN:{port},bind=127.0.0.1"), format!("TCP:127.0.0.1:{port}")]
    });
    server.is_good();
    let (server, client) = (Recorded::of(&server), Recorded::of(&client));
    let ours = client.only(&client.tcp(Role::Active));
    let theirs = server.only(&server.tcp(Role::Passive));
    both_ends(ours, theirs);
    passed(&client, ours, Direction::Sent);
    passed(&server, theirs, Direction::Received);
    assert_eq!(ours.connect, Connect::Done);
    // The sender says with shutdown that there is no more.
    assert_eq!((ours.closed_first(), theirs.closed_first()), (FirstToClose::Us, FirstToClose::Peer));
    assert!(ours.sent.calls >= (BYTES / 1000) as u64, "{ours:?}");
}

#[test]
fn socat_over_udp() {
    if !installed("socat", &["socat"]) {
        return;
    }
    let scratch = Scratch::keeping_payload("socat-udp");
    let [server, client] = one_way(&scratch, "starting data transfer loop", || {
        let port = free_port();
        [format!("UDP-RECV:{port},bind=127.0.0.1"), format!("UDP-SENDTO:127.0.0.1:{port}")]
    });
    let (server, client) = (Recorded::of(&server), Recorded::of(&client));
    let ours = client.only(&datagrams(&client, libc::AF_INET));
    let theirs = server.only(&datagrams(&server, libc::AF_INET));
    passed(&client, ours, Direction::Sent);
    passed(&server, theirs, Direction::Received);
    // One call is one datagram.
    let datagrams = (BYTES / 1000) as u64;
    assert_eq!(ours.sent.calls - ours.sent.again, datagrams, "{ours:?}");
    let [peer] = &theirs.datagram_peers[..] else { panic!("{theirs:?}") };
    assert_eq!((peer.received_bytes, peer.sent_bytes), (BYTES as u64, 0));
    // What the one sent to is where the other was bound.
    let [peer] = &ours.datagram_peers[..] else { panic!("{ours:?}") };
    assert_eq!(peer.address, theirs.local, "{theirs:?}");
}

#[test]
fn socat_over_unix_datagrams() {
    if !installed("socat", &["socat"]) {
        return;
    }
    let scratch = Scratch::keeping_payload("socat-datagrams");
    let [server, client] = one_way(&scratch, "starting data transfer loop", || {
        ["UNIX-RECV:socket,unlink-early", "UNIX-SENDTO:socket"].map(str::to_owned)
    });
    let (server, client) = (Recorded::of(&server), Recorded::of(&client));
    let with_path = |recorded: &Recorded| {
        let mut all = datagrams(recorded, libc::AF_UNIX);
        all.retain(|connection| connection.role != Role::Pair);
        let only = recorded.only(&all);
        only.clone()
    };
    let (ours, theirs) = (with_path(&client), with_path(&server));
    passed(&client, &ours, Direction::Sent);
    passed(&server, &theirs, Direction::Received);
    assert_eq!(theirs.local_address().and_then(|a| a.unix_path()), Some(&b"socket"[..]), "{theirs:?}");
    assert_eq!(ours.peer_address().and_then(|a| a.unix_path()), Some(&b"socket"[..]), "{ours:?}");
}

fn datagrams(recorded: &Recorded, domain: i32) -> Vec<&Connection> {
    let kind = |c: &&Connection| c.kind == libc::SOCK_DGRAM && c.domain == domain;
    recorded.model.connections().filter(kind).collect()
}

/// There and back again, through a child that inherits its end of a pair.
#[test]
fn socat_over_unix_streams() {
    if !installed("socat", &["socat"]) {
        return;
    }
    let scratch = Scratch::keeping_payload("socat-unix");
    let data = noise(BYTES);
    scratch.write("in", &data);
    for mode in Mode::ALL {
        let (path, there) = (format!("{}.socket", mode.name()), format!("UNIX-CONNECT:{}.socket", mode.name()));
        let listen = format!("UNIX-LISTEN:{path}");
        let mut server = Server::start(&scratch, mode, "echo", &["socat", "-d", "-d", &listen, "EXEC:cat"]);
        server.says("listening on AF=1 ");
        let mut command = scratch.command(mode, "stream", &["socat", "-t", "30", "STDIO", &there]);
        command.stdin(fs::File::open(scratch.file("in")).unwrap());
        let client = scratch.finish(mode, "stream", command);
        client.is_good();
        assert!(client.stdout == data, "{mode:?}: {} bytes", client.stdout.len());
        let server = server.outcome();
        server.is_good();
        if mode != Mode::Run {
            continue;
        }
        let (server, client) = (Recorded::of(&server), Recorded::of(&client));
        let ours = client.only(&client.unix(Role::Active));
        let theirs = server.only(&server.unix(Role::Passive));
        for (recorded, connection) in [(&client, ours), (&server, theirs)] {
            for direction in [Direction::Sent, Direction::Received] {
                assert!(recorded.payload(connection, direction) == data, "{direction:?} {connection:?}");
            }
        }
        assert_eq!(ours.peer_address().and_then(|a| a.unix_path()), Some(path.as_bytes()));
        assert_eq!(theirs.local_address().and_then(|a| a.unix_path()), Some(path.as_bytes()));
        assert_eq!((ours.closed_first(), theirs.closed_first()), (FirstToClose::Us, FirstToClose::Peer));
        // `cat` reads and writes its end as stdin and stdout.
        let cat: Vec<_> = server.processes.iter().filter(|process| process.name() == "cat").collect();
        assert_eq!(cat.len(), 1, "{:?}", server.processes);
        let numbers: Vec<u32> = cat.iter().map(|process| process.process.process).collect();
        let by_cat = |op: Op| {
            let calls = server.succeeded(op).filter(|call| numbers.contains(&call.process));
            calls.map(|call| call.call.ret as u64).sum::<u64>()
        };
        assert_eq!((by_cat(Op::Read), by_cat(Op::Write)), (BYTES as u64, BYTES as u64));
    }
}

#[test]
fn socat_is_refused() {
    if !installed("socat", &["socat"]) {
        return;
    }
    let scratch = Scratch::new("socat-refused");
    let there = format!("TCP:127.0.0.1:{}", free_port());
    let [native, run] =
        scratch.everywhere("socat", |_| ["socat", "-u", "OPEN:/dev/null", &there].map(str::to_owned).into());
    assert!(!native.status.success());
    let recorded = Recorded::of(&run);
    let connection = recorded.only(&recorded.tcp(Role::Active));
    assert_eq!(connection.connect, Connect::Failed(libc::ECONNREFUSED as u16), "{connection:?}");
    assert_eq!(format!("TCP:127.0.0.1:{}", ports(connection).1), there);
}
