//! Packets, as the real tshark sees them.

use super::built::{lines, root, scratch, succeed};
use super::{Run, is_here, serve, tshark_is_here};
use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

/// What tshark prints of a file, all checksums looked at. The ports are any, and some are registered for protocols that
/// these bytes are not: so it knows no others than ours.
fn tshark(file: &Path, arguments: &[&str]) -> Vec<String> {
    let mut command = Command::new("tshark");
    command.args(["--disable-protocol", "ALL", "-o", "tcp.try_heuristic_first:TRUE"]);
    for protocol in ["ip", "ipv6", "tcp", "udp", "http", "data", "data-text-lines"] {
        command.args(["--enable-protocol", protocol]);
    }
    for protocol in ["ip", "tcp", "udp"] {
        command.args(["-o", &format!("{protocol}.check_checksum:TRUE")]);
    }
    lines(command.arg("-r").arg(file).args(arguments))
}

/// Asserts that Wireshark has nothing to complain about, and that all checksums are there.
fn is_clean(file: &Path) {
    let bad = "_ws.malformed || tcp.analysis.flags || ip.checksum.status == 0 || tcp.checksum.status == 0 || udp.checksum.status == 0";
    assert_eq!(tshark(file, &["-Y", bad]), Vec::<String>::new());
    let all = tshark(file, &["-Y", "tcp || udp"]).len();
    let good = tshark(file, &["-Y", "tcp.checksum.status == 1 || udp.checksum.status == 1"]).len();
    assert!(all > 0 && good == all, "{good} of {all} checksums are good");
    // Comes with tshark. It refuses what begins with a block that it cannot place.
    succeed(Command::new("editcap").arg(file).arg(file.with_extension("saved")));
}

/// Both directions of a stream, as tshark puts them together again.
fn follow(file: &Path, stream: usize) -> [Vec<u8>; 2] {
    let told = tshark(file, &["-q", "-z", &format!("follow,tcp,raw,{stream}")]);
    let mut both = [Vec::new(), Vec::new()];
    for line in told {
        let (side, hex) = match line.strip_prefix('\t') {
            Some(hex) => (1, hex),
            None => (0, &*line),
        };
        if !hex.is_empty() && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let bytes = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
            both[side].extend(bytes.map(|pair| u8::from_str_radix(pair, 16).unwrap()));
        }
    }
    both
}

#[test]
fn wireshark_reads_both_ends_of_everything() {
    if !tshark_is_here("wireshark_reads_both_ends_of_everything") {
        return;
    }
    let run = Run::of_script("talk", "talk.py", ".");
    let file = run.export("pcapng", "pcapng", &[]);
    is_clean(&file);
    for (stream, by) in [(0, "IPv4"), (1, "IPv6"), (2, "AF_UNIX"), (3, "an abstract name")] {
        let [asked, answered] = follow(&file, stream).map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(asked, format!("hello over {by}"));
        assert_eq!(answered, format!("you said: hello over {by}"));
        let of_stream = |filter: &str| tshark(&file, &["-Y", &format!("tcp.stream == {stream} && {filter}")]).len();
        assert_eq!((of_stream("tcp.flags.syn == 1"), of_stream("tcp.flags.fin == 1")), (2, 2));
    }
    assert_eq!(follow(&file, 4), [vec![b'x'; 400_000], vec![]]);
    // Datagrams once each, though both ends are here.
    let datagrams = tshark(&file, &["-Y", "udp", "-T", "fields", "-e", "udp.payload"]);
    let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(datagrams, ["ping", "pong to ping", "ping", "pong to ping"].map(hex));
    // Nobody listens; then one closes with something unread.
    let resets = tshark(&file, &["-Y", "tcp.flags.reset == 1", "-T", "fields", "-e", "tcp.stream", "-e", "tcp.ack"]);
    assert_eq!(resets, ["5\t1", "6\t11"]);
    let names = tshark(&file, &["-N", "n", "-T", "fields", "-e", "ip.dst_host"]);
    // A path's, and what was resolved.
    assert!(names.iter().any(|name| name.ends_with("talk.sock")), "{names:?}");
    assert!(names.iter().any(|name| name == "localhost"), "{names:?}");
}

#[test]
fn wireshark_reads_a_web_server_and_its_client() {
    let test = "wireshark_reads_a_web_server_and_its_client";
    if !tshark_is_here(test) || !is_here(test, &["curl", "--version"]) {
        return;
    }
    let run = Run::of_script("web", "web.py", "body");
    let file = run.export("pcapng", "pcapng", &[]);
    is_clean(&file);
    let fields = |filter: &str, field: &str| tshark(&file, &["-Y", filter, "-T", "fields", "-e", field]);
    assert_eq!(fields("http.request", "http.request.uri"), ["/page"]);
    assert_eq!(fields("http.response", "http.response.code"), ["200"]);
    let [_, answer] = follow(&file, 0);
    let body = fs::read(run.folder.join("body")).unwrap();
    assert!(body.len() > 1000 && answer.ends_with(&body), "{} bytes, {} of them body", answer.len(), body.len());
    // Each packet is of the process that sent or read it.
    let interfaces: BTreeSet<String> = fields("frame", "frame.interface_name").into_iter().collect();
    let programs: Vec<&str> = interfaces.iter().map(|name| name.split('[').next().unwrap()).collect();
    assert!(programs.len() == 2 && programs.contains(&"curl"), "{interfaces:?}");
    let request = fields("http.request", "frame.comment").remove(0);
    assert!(request.starts_with("send(") && request.contains("Cmd: curl"), "{request}");
    assert_eq!(fields("http.request", "frame.p2p_dir"), ["0"], "sent");
}

#[test]
fn wireshark_reads_a_client_alone_and_what_was_cut() {
    let test = "wireshark_reads_a_client_alone_and_what_was_cut";
    if !tshark_is_here(test) || !is_here(test, &["curl", "--version"]) {
        return;
    }
    for (address, snaplen) in [("127.0.0.1", "65535"), ("[::1]", "65535"), ("127.0.0.1", "100")] {
        let listener = TcpListener::bind(format!("{address}:0")).unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        // No length: that the body is whole is known by the FIN.
        let answer = [b"HTTP/1.0 200 OK\r\n\r\n".as_slice(), &[b'y'; 60_000]].concat();
        let (run, request) = std::thread::scope(|scope| {
            let server = scope.spawn(|| serve(&listener, &answer));
            let run = Run::of(&format!("alone.{}", snaplen.len()), snaplen, &["curl", "-s", "-o", "body", &url]);
            (run, server.join().unwrap())
        });
        let file = run.export("pcapng", "pcapng", &[]);
        let bad = tshark(&file, &["-Y", "_ws.malformed || tcp.analysis.flags"]);
        assert_eq!(bad, Vec::<String>::new());
        if snaplen == "65535" {
            is_clean(&file);
            assert_eq!(follow(&file, 0), [request, answer]);
            let responses = tshark(&file, &["-Y", "http.response.code == 200"]);
            assert_eq!(responses.len(), 1);
            continue;
        }
        // Packets keep the length that they had.
        let lens = tshark(&file, &["-T", "fields", "-e", "tcp.len", "-e", "frame.len", "-e", "frame.cap_len"]);
        let rows: Vec<Vec<usize>> =
            lens.iter().map(|row| row.split('\t').map(|n| n.parse().unwrap()).collect()).collect();
        assert_eq!(rows.iter().map(|row| row[0]).sum::<usize>(), request.len() + answer.len());
        assert!(rows.iter().any(|row| row[0] > 1000) && rows.iter().all(|row| row[2] <= 40 + 8 + 100), "{rows:?}");
    }
}

#[test]
fn datagrams_of_one_call_are_one_packet() {
    let test = "datagrams_of_one_call_are_one_packet";
    if !tshark_is_here(test) || !is_here(test, &["gcc", "--version"]) {
        return;
    }
    let program = scratch(&format!("exports.{}.program", std::process::id())).join("messages");
    let source = root().join("tests/exports/messages.c");
    succeed(Command::new("gcc").args(["-Wall", "-Wextra", "-Werror", "-o"]).arg(&program).arg(source));
    let run = Run::of("messages", "65535", &[program.to_str().unwrap()]);
    let file = run.export("pcapng", "pcapng", &[]);
    let packets = tshark(&file, &["-T", "fields", "-e", "udp.length", "-e", "frame.len", "-e", "frame.cap_len"]);
    // All their bytes, and those of the first, behind 20 of IP and 8 of UDP.
    let all = "onethreeseven77".len() + 8;
    let one = format!("{all}\t{}\t{}", 20 + all, 20 + 8 + "one".len());
    // Once, though the receiver did not ask where they came from.
    assert_eq!(packets, [&*one]);
    let ports = tshark(&file, &["-T", "fields", "-e", "udp.srcport"]);
    let calls = fs::read_to_string(run.export("jsonl", "jsonl", &[])).unwrap();
    let sent = calls.lines().find(|line| line.contains("\"sendmmsg\"")).unwrap();
    assert!(sent.contains(&format!("\"network.local.port\":{},", ports[0])), "{ports:?}: {sent}");
    fs::remove_dir_all(program.parent().unwrap()).unwrap();
}
