//! HTTPS: curl as the client, `openssl s_server` as the server.

use crate::harness::{Mode, Outcome, Scratch, installed, noise};
use crate::recorded::{Recorded, both_ends, ports};
use crate::server::Server;
use sockshim_reader::model::{Connect, Role};
use std::fs;

fn exchange(scratch: &Scratch, mode: Mode) -> (Outcome, Outcome) {
    let files = ["-cert", "certificate", "-key", "key"];
    let server = [&["openssl", "s_server", "-accept", "127.0.0.1:0", "-naccept", "1", "-WWW"][..], &files].concat();
    let mut server = Server::start(scratch, mode, "server", &server);
    let port = server.port("ACCEPT 127.0.0.1:");
    let (url, body) = (format!("https://127.0.0.1:{port}/page"), format!("{}.body", mode.name()));
    let write_out = "%{http_code} %{size_download} %{ssl_verify_result} %{num_connects}\\n%{stderr}%{local_port}\\n";
    let client = ["curl", "-s", "--cacert", "certificate", "-o", &body, "-w", write_out, &url];
    let client = scratch.run(mode, "client", &client);
    // It ends by itself after one connection: ended by a signal, it may not have read the client's
    // last record yet, the 24 bytes of its close_notify.
    (server.outcome(), client)
}

#[test]
fn curl_speaks_tls_with_openssl() {
    if !installed("curl", &["curl"]) || !installed("openssl", &["openssl"]) {
        return;
    }
    let scratch = Scratch::new("tls");
    let page = noise(500_000);
    scratch.write("page", &page);
    let words = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
        -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 -keyout key -out certificate";
    scratch.run(Mode::Native, "make", &words.split_whitespace().collect::<Vec<_>>()).is_good();

    let (native_server, native_client) = exchange(&scratch, Mode::Native);
    native_client.is_good();
    for mode in [Mode::Off, Mode::Text, Mode::Region, Mode::Run] {
        let (server, client) = exchange(&scratch, mode);
        client.is_like(&native_client);
        assert!(fs::read(scratch.file(&format!("{}.body", mode.name()))).unwrap() == page, "{mode:?}");
        assert_eq!(server.status, native_server.status);
        assert_eq!(server.stderr.matches("FILE:page").count(), 1, "{}", server.stderr);
        if mode == Mode::Run {
            let local_port: u16 = client.stderr.trim().parse().unwrap();
            let (server, client) = (Recorded::of(&server), Recorded::of(&client));
            let ours = client.only(&client.tcp(Role::Active));
            both_ends(ours, server.only(&server.tcp(Role::Passive)));
            assert_eq!((ours.connect, ports(ours).0), (Connect::Done, local_port));
            // Records and handshake come on top of the page.
            let overhead = ours.received.bytes - page.len() as u64;
            assert!((500..20_000).contains(&overhead), "{overhead}");
            assert_eq!(server.only(&server.tcp(Role::Listener)).accepted, 1);
        }
    }
}
