//! curl, against a server that counts for itself; curl's own `-w` is the other witness.

use crate::harness::{Mode, Outcome, Scratch, free_port, installed, noise};
use crate::recorded::{Recorded, lived, ports, totals};
use crate::web::{Answer, Web};
use sockshim_format::op::Direction;
use sockshim_reader::model::{Connect, Connection, Ending, FirstToClose, Role};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What is the same in every run goes to stdout, what is not to stderr.
const WRITE_OUT: &str = "%{http_code} %{size_download} %{size_header} %{size_request} %{num_connects} \
    %{num_redirects}\\n%{stderr}%{local_port} %{remote_port} %{time_connect} %{time_total}\\n";

/// What `-w` told.
struct Told {
    size_download: u64,
    size_header: u64,
    size_request: u64,
    num_connects: usize,
    num_redirects: u64,
    local_port: u16,
    remote_port: u16,
    time_connect_ns: u64,
    time_total_ns: u64,
}

impl Told {
    fn by(outcome: &Outcome) -> Told {
        let last = |text: &str| text.lines().last().unwrap_or_default().to_owned();
        let told = format!("{} {}", last(&outcome.text()), last(&outcome.stderr));
        let mut words = told.split(' ').skip(1).map(|word| word.parse::<f64>().unwrap_or_else(|_| panic!("{told}")));
        let mut next = || words.next().unwrap();
        Told {
            size_download: next() as u64,
            size_header: next() as u64,
            size_request: next() as u64,
            num_connects: next() as usize,
            num_redirects: next() as u64,
            local_port: next() as u16,
            remote_port: next() as u16,
            time_connect_ns: (next() * 1e9) as u64,
            time_total_ns: (next() * 1e9) as u64,
        }
    }
}

fn curl(scratch: &Scratch, arguments: &[&str]) -> [Outcome; 2] {
    scratch.everywhere("curl", |mode| {
        // One output file each, so that each can be compared.
        let output = scratch.file(&format!("{}.body", mode.name())).display().to_string();
        let head = ["curl", "-s", "-o", &output, "-w", WRITE_OUT];
        head.iter().chain(arguments).map(|&argument| argument.to_owned()).collect()
    })
}

/// Asserts that each run has left the same bytes.
fn bodies(scratch: &Scratch, expected: &[u8]) {
    for mode in Mode::ALL {
        let body = fs::read(scratch.file(&format!("{}.body", mode.name()))).unwrap();
        assert!(body == expected, "{mode:?}: {} bytes instead of {}", body.len(), expected.len());
    }
}

/// Asserts that the connection agrees with the server.
fn agrees(connection: &Connection, web: &Web) {
    let (local, peer) = ports(connection);
    let seen = web.of_port(local);
    assert_eq!(peer, web.port);
    assert_eq!(connection.local_address().unwrap().ip(), Some(seen.peer.ip()));
    assert_eq!((connection.sent.bytes, connection.received.bytes), (seen.received_bytes, seen.sent_bytes));
}

#[test]
fn curl_downloads() {
    if !installed("curl", &["curl"]) {
        return;
    }
    let scratch = Scratch::new("curl-download");
    let page = noise(3 << 20);
    let web = Web::serve(V4, vec![("/page", Answer::Body(page.clone()))]);
    let [_, run] = curl(&scratch, &[&format!("http://127.0.0.1:{}/page", web.port)]);
    run.is_good();
    bodies(&scratch, &page);

    let (told, recorded) = (Told::by(&run), Recorded::of(&run));
    let connection = recorded.only(&recorded.tcp(Role::Active));
    agrees(connection, &web);
    lived(connection);
    assert_eq!(ports(connection), (told.local_port, told.remote_port));
    assert_eq!(told.size_download, page.len() as u64);
    assert_eq!(connection.received.bytes, told.size_download + told.size_header);
    assert_eq!(connection.sent.bytes, told.size_request);
    // The server waits for the next request.
    assert_eq!(connection.closed_first(), FirstToClose::Us);
    // curl counts from its start, in microseconds.
    let connect = connection.phases.connect.unwrap();
    assert!(connect.duration_ns() <= told.time_connect_ns + 1000, "{connect:?}, curl: {}", told.time_connect_ns);
    assert!(connection.first_byte_ns.unwrap() <= told.time_total_ns);
    assert!(connection.phases.communicate.unwrap().duration_ns() <= told.time_total_ns);
    assert_eq!(connection.program(), "curl");
}

#[test]
fn curl_uploads() {
    if !installed("curl", &["curl"]) {
        return;
    }
    let scratch = Scratch::keeping_payload("curl-upload");
    let data = noise(60_000);
    let file = format!("@{}", scratch.write("data", &data).display());
    let web = Web::serve(V4, vec![]);
    let url = format!("http://127.0.0.1:{}/", web.port);
    let [_, run] = curl(&scratch, &["--data-binary", &file, "-H", "Expect:", &url]);
    run.is_good();
    bodies(&scratch, b"60000 bytes came\n");
    let recorded = Recorded::of(&run);
    let connection = recorded.only(&recorded.tcp(Role::Active));
    agrees(connection, &web);
    lived(connection);
    let sent = recorded.payload(connection, Direction::Sent);
    assert!(sent.starts_with(b"POST / HTTP/1.1\r\n") && sent.ends_with(&data), "{} bytes", sent.len());
    // curl counts the body with the head if both leave at once.
    let head = Told::by(&run).size_request;
    assert!([head, head + data.len() as u64].contains(&connection.sent.bytes), "{connection:?}");
}

#[test]
fn curl_is_redirected() {
    if !installed("curl", &["curl"]) {
        return;
    }
    let scratch = Scratch::new("curl-redirect");
    let there = Web::serve(V4, vec![("/there", Answer::Body(b"here it is\n".to_vec()))]);
    let moved = vec![
        ("/old", Answer::Moved("/new".into())),
        ("/new", Answer::Moved(format!("http://127.0.0.1:{}/there", there.port))),
    ];
    let here = Web::serve(V4, moved);
    let [_, run] = curl(&scratch, &["-L", &format!("http://127.0.0.1:{}/old", here.port)]);
    run.is_good();
    bodies(&scratch, b"here it is\n");
    let (told, recorded) = (Told::by(&run), Recorded::of(&run));
    let connections = recorded.tcp(Role::Active);
    assert_eq!((told.num_redirects, told.num_connects, connections.len()), (2, 2, 2));
    let [first, second] = connections[..] else { unreachable!() };
    agrees(first, &here);
    agrees(second, &there);
    connections.iter().for_each(|connection| lived(connection));
    assert_eq!(here.of_port(ports(first).0).requests, ["GET /old", "GET /new"]);
    assert_eq!(ports(second), (told.local_port, told.remote_port));
    let (sent, _) = totals(&connections);
    assert_eq!(sent, told.size_request);
}

#[test]
fn curl_is_refused() {
    if !installed("curl", &["curl"]) {
        return;
    }
    let scratch = Scratch::new("curl-refused");
    let port = free_port();
    let [_, run] = curl(&scratch, &["-S", &format!("http://127.0.0.1:{port}/")]);
    run.exited(7);
    let recorded = Recorded::of(&run);
    let connection = recorded.only(&recorded.tcp(Role::Active));
    assert_eq!(connection.connect, Connect::Failed(libc::ECONNREFUSED as u16), "{connection:?}");
    assert_eq!(connection.peer_address().unwrap().port(), Some(port));
    assert!(matches!(connection.ending, Ending::Closed(_)), "{connection:?}");
    assert_eq!(connection.closed_first(), FirstToClose::Nobody);
    assert_eq!((connection.sent.calls, connection.received.calls), (0, 0));
}

#[test]
fn curl_speaks_ipv6() {
    if !installed("curl", &["curl"]) {
        return;
    }
    let scratch = Scratch::new("curl-ipv6");
    let web = Web::serve(Ipv6Addr::LOCALHOST.into(), vec![("/", Answer::Body(b"six\n".to_vec()))]);
    let [_, run] = curl(&scratch, &[&format!("http://[::1]:{}/", web.port)]);
    run.is_good();
    bodies(&scratch, b"six\n");
    let recorded = Recorded::of(&run);
    let connection = recorded.only(&recorded.tcp(Role::Active));
    agrees(connection, &web);
    lived(connection);
    assert_eq!(connection.domain, libc::AF_INET6);
}

#[test]
fn every_connection_tells_its_descriptor() {
    if !installed("curl", &["curl"]) {
        return;
    }
    let scratch = Scratch::new("curl-descriptor");
    let web = Web::serve(V4, vec![("/", Answer::Body(b"number\n".to_vec()))]);
    let url = format!("http://127.0.0.1:{}/", web.port);
    let recorded = Recorded::of(scratch.run(Mode::Run, "curl", &["curl", "-s", &url]).is_good());
    for connection in recorded.model.connections() {
        assert!(connection.holders.iter().all(|holder| holder.fd >= 0), "{connection:?}");
    }
}
