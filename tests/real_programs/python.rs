//! Python's own HTTP server and client, both traced.

use crate::harness::{Mode, Outcome, Scratch, installed, noise, without_numbers};
use crate::recorded::{Recorded, both_ends, lived, ports};
use crate::server::Server;
use sockshim_reader::model::{FirstToClose, Role};

const CLIENT: &str = "\
import hashlib, sys, urllib.error, urllib.request
for page in ['page', 'page', 'nothing']:
    try:
        answer = urllib.request.urlopen('http://127.0.0.1:%s/%s' % (sys.argv[1], page))
    except urllib.error.HTTPError as error:
        answer = error
    body = answer.read()
    print(page, answer.status, len(body), hashlib.sha256(body).hexdigest())
";

/// Debian's, so that no version manager's script stands in between.
fn python() -> &'static str {
    if std::path::Path::new("/usr/bin/python3").exists() { "/usr/bin/python3" } else { "python3" }
}

fn exchange(scratch: &Scratch, server_mode: Mode, client_mode: Mode) -> (Outcome, Outcome) {
    let name = format!("server-{}", client_mode.name());
    let arguments = [python(), "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", "pages"];
    let mut server = Server::start(scratch, server_mode, &name, &arguments);
    let port = server.port("Serving HTTP on 127.0.0.1 port ").to_string();
    let name = format!("client-{}", server_mode.name());
    let client = scratch.run(client_mode, &name, &[python(), "client.py", &port]);
    // It answers ^C with a line and status 0.
    (server.stop(libc::SIGINT), client)
}

#[test]
fn python_serves_and_fetches() {
    if !installed("python3", &["python3"]) {
        return;
    }
    let scratch = Scratch::new("python");
    let page = noise(2 << 20);
    std::fs::create_dir(scratch.file("pages")).unwrap();
    scratch.write("pages/page", &page);
    scratch.write("client.py", CLIENT);
    let (native_server, native_client) = exchange(&scratch, Mode::Native, Mode::Native);
    native_client.is_good();
    for mode in [Mode::Off, Mode::Text, Mode::Region, Mode::Run] {
        let (server, client) = exchange(&scratch, mode, mode);
        client.is_like(&native_client);
        // Ports and times differ.
        assert_eq!(without_numbers(&server.text()), without_numbers(&native_server.text()));
        assert_eq!(server.status, native_server.status);
        if mode == Mode::Run {
            recorded(&server, &client, page.len() as u64);
        }
    }
}

fn recorded(server: &Outcome, client: &Outcome, page_bytes: u64) {
    let log: Vec<&str> = server.stderr.lines().filter(|line| line.contains("\"GET ")).collect();
    let (server, client) = (Recorded::of(server), Recorded::of(client));
    let (theirs, ours) = (server.tcp(Role::Passive), client.tcp(Role::Active));
    assert_eq!((theirs.len(), ours.len()), (log.len(), log.len()));
    assert_eq!(log.len(), 3, "{log:?}");
    let listener = server.only(&server.tcp(Role::Listener));
    assert_eq!(listener.accepted, 3);
    for ((theirs, ours), line) in theirs.iter().zip(&ours).zip(log) {
        both_ends(ours, theirs);
        lived(ours);
        lived(theirs);
        assert_eq!(ports(ours).1, listener.local_address().unwrap().port().unwrap());
        // HTTP/1.0: the server hangs up behind its answer, the client when it has all. Who is first is
        // chance, but both do so in order.
        for end in [ours, theirs] {
            assert!(matches!(end.closed_first(), FirstToClose::Us | FirstToClose::Peer), "{end:?}");
        }
        let page = if line.contains("GET /page") { page_bytes } else { 0 };
        assert!((page + 100..page + 1000).contains(&ours.received.bytes), "{line}: {ours:?}");
    }
}
