//! wget, against a server that counts for itself.

use crate::harness::{Mode, Scratch, installed, noise};
use crate::recorded::{Recorded, ports};
use crate::web::{Answer, Web};
use sockshim_format::op::Direction;
use sockshim_reader::model::{Connect, Ending, Role};
use std::fs;
use std::net::Ipv4Addr;

#[test]
fn wget_downloads() {
    if !installed("wget", &["wget"]) {
        return;
    }
    let scratch = Scratch::keeping_payload("wget");
    let (one, two) = (noise(200_000), noise(50_000));
    let pages = vec![("/one", Answer::Body(one.clone())), ("/two", Answer::Body(two.clone()))];
    let web = Web::serve(Ipv4Addr::LOCALHOST.into(), pages);
    let urls = ["one", "two"].map(|page| format!("http://127.0.0.1:{}/{page}", web.port));
    let [_, run] = scratch.everywhere("wget", |mode| {
        let folder = scratch.file(mode.name()).display().to_string();
        ["wget", "-q", "-P", &folder, &urls[0], &urls[1]].map(str::to_owned).into()
    });
    run.is_good();
    for mode in Mode::ALL {
        let page = |name| fs::read(scratch.file(mode.name()).join(name)).unwrap();
        assert!(page("one") == one && page("two") == two, "{mode:?}");
    }
    let recorded = Recorded::of(&run);
    let connection = recorded.only(&recorded.tcp(Role::Active));
    let seen = web.of_port(ports(connection).0);
    assert_eq!(seen.requests, ["GET /one", "GET /two"]);
    // wget looks at the head with MSG_PEEK before it reads it: that counts once.
    assert_eq!((connection.sent.bytes, connection.received.bytes), (seen.received_bytes, seen.sent_bytes));
    assert_eq!((connection.connect, ports(connection).1), (Connect::Done, web.port));
    let received = recorded.payload(connection, Direction::Received);
    let at = received.len() - two.len();
    assert!(
        received.ends_with(&two) && received[..at].windows(one.len()).any(|w| w == one),
        "{} bytes",
        received.len()
    );
    // wget ends without closing; the server waits for the next request.
    assert!(matches!(connection.ending, Ending::Leaked(_)), "{connection:?}");
}

#[test]
fn wget_finds_nothing() {
    if !installed("wget", &["wget"]) {
        return;
    }
    let scratch = Scratch::keeping_payload("wget-404");
    let web = Web::serve(Ipv4Addr::LOCALHOST.into(), vec![]);
    let url = format!("http://127.0.0.1:{}/nothing", web.port);
    let [_, run] = scratch.everywhere("wget", |_| ["wget", "-q", "-O", "-", &url].map(str::to_owned).into());
    run.exited(8);
    let recorded = Recorded::of(&run);
    let connection = recorded.only(&recorded.tcp(Role::Active));
    assert_eq!(connection.received.bytes, web.of_port(ports(connection).0).sent_bytes);
    assert!(recorded.payload(connection, Direction::Received).starts_with(b"HTTP/1.1 404 "));
}

/// wget asks libc even for `localhost`, which curl knows by heart.
#[test]
fn wget_resolves_a_name() {
    if !installed("wget", &["wget"]) {
        return;
    }
    let scratch = Scratch::new("wget-name");
    let web = Web::serve(Ipv4Addr::LOCALHOST.into(), vec![("/", Answer::Body(b"named\n".to_vec()))]);
    let url = format!("http://localhost:{}/", web.port);
    let [_, run] = scratch.everywhere("wget", |_| ["wget", "-q", "-O", "-", &url].map(str::to_owned).into());
    assert_eq!(run.is_good().text(), "named\n");
    let recorded = Recorded::of(&run);
    // ::1 comes first where /etc/hosts has it, and nobody listens there.
    let mut connections = recorded.tcp(Role::Active);
    connections.retain(|connection| connection.connect == Connect::Done);
    let connection = recorded.only(&connections);
    assert_eq!(connection.received.bytes, web.of_port(ports(connection).0).sent_bytes);
    assert_eq!(connection.peer_name.as_deref(), Some(&b"localhost"[..]));
    let (resolve, connect) = (connection.phases.resolve.unwrap(), connection.phases.connect.unwrap());
    assert!(resolve.start_ns <= resolve.end_ns && resolve.end_ns <= connect.start_ns, "{connection:?}");
}
