//! What `sockshim export` writes is read by the tools that it is for: tshark, Python's JSON Schema, Perfetto's own
//! definitions. A tool that is not there makes its test print SKIPPED, or fail under `SOCKSHIM_REQUIRE_PROGRAMS=1`.

#[path = "support/built.rs"]
mod built;

use built::{lines, root, scratch, succeed, tool};
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Whether a command can be run here; if not, says so.
fn is_here(test: &str, command: &[&str]) -> bool {
    let found = Command::new(command[0]).args(&command[1..]).output().is_ok_and(|output| output.status.success());
    if !found {
        println!("SKIPPED: {test}: `{}` does not run here", command.join(" "));
        let required = std::env::var_os("SOCKSHIM_REQUIRE_PROGRAMS").is_some_and(|value| value == "1");
        assert!(!required, "{test}: {command:?} is missing, and SOCKSHIM_REQUIRE_PROGRAMS=1 asks for everything");
    }
    found
}

/// The Python that has what the checks import: the one that `make packages` sets up, or else the system's.
fn checker() -> String {
    let own = scratch("").join("../python/bin/python3");
    if own.exists() { own.display().to_string() } else { "python3".into() }
}

fn tshark_is_here(test: &str) -> bool {
    is_here(test, &["tshark", "--version"]) && is_here(test, &["python3", "--version"])
}

/// A folder of a test's own.
struct Run {
    folder: PathBuf,
    trace: PathBuf,
}

impl Run {
    /// Records a program.
    fn of(test: &str, snaplen: &str, command: &[&str]) -> Run {
        let folder = scratch(&format!("exports.{}.{test}", std::process::id()));
        let trace = folder.join("run.sst");
        let mut run = Command::new(tool());
        run.args(["run", "-q", "--snaplen", snaplen, "-o"]).arg(&trace).arg("--").args(command).current_dir(&folder);
        succeed(&mut run);
        Run { folder, trace }
    }

    /// One of the programs beside this file, with one argument.
    fn of_script(test: &str, script: &str, argument: &str) -> Run {
        let script = root().join("tests/exports").join(script);
        Run::of(test, "65535", &[&python(), script.to_str().unwrap(), argument])
    }

    fn export(&self, format: &str, extension: &str, more: &[&str]) -> PathBuf {
        let file = self.folder.join("run").with_extension(extension);
        let mut export = Command::new(tool());
        export.args(["export", "--format", format]).args(more).arg(&self.trace).arg("-o").arg(&file);
        let said = succeed(&mut export).stderr;
        assert!(said.is_empty(), "{}", String::from_utf8_lossy(&said));
        file
    }
}

impl Drop for Run {
    /// What a failed test leaves is for whoever wants to know why.
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("kept: {}", self.folder.display());
        } else {
            _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// Python itself: a wrapper that starts it would be traced too.
fn python() -> String {
    lines(Command::new("python3").args(["-c", "import sys; print(sys.executable)"])).remove(0)
}

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

/// A server that nobody traces: reads a request, answers in pieces, and closes first.
fn serve(listener: &TcpListener, answer: &[u8]) -> Vec<u8> {
    let (mut client, _) = listener.accept().unwrap();
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        let len = client.read(&mut buffer).unwrap();
        assert!(len > 0, "the client has left");
        request.extend_from_slice(&buffer[..len]);
    }
    answer.chunks(20_000).for_each(|piece| client.write_all(piece).unwrap());
    request
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
fn json_lines_are_of_their_schema_and_agree_with_show() {
    let test = "json_lines_are_of_their_schema_and_agree_with_show";
    if !is_here(test, &[&checker(), "-c", "import jsonschema"]) {
        return;
    }
    let run = Run::of_script("schema", "talk.py", ".");
    let calls = run.export("jsonl", "jsonl", &[]);
    let connections = run.export("jsonl", "connections.jsonl", &["--connections"]);
    let csv = run.export("csv", "csv", &[]);
    let mut check = Command::new(checker());
    check.arg(root().join("tests/exports/check.py")).arg(root().join("docs/jsonl.schema.json"));
    let said = lines(check.args([&calls, &connections, &csv]));
    let shown = lines(Command::new(tool()).arg("show").arg(&run.trace));
    let last = shown.last().unwrap().replace(',', "");
    // 23 sockets 194 calls 1 process.
    let words: Vec<&str> = last.split(' ').collect();
    assert_eq!(said, [format!("{} connections", words[0]), format!("{} calls", words[2])]);
}

#[test]
fn a_stream_tells_calls_while_the_program_runs_and_all_of_them() {
    if !is_here("a_stream_tells_calls_while_the_program_runs_and_all_of_them", &["python3", "--version"]) {
        return;
    }
    let script = "import socket; socket.socket().close(); input(); socket.socket().close()";
    let mut command = Command::new(tool());
    command.args(["run", "-q", "--jsonl", "-", "--", &python(), "-c", script]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut told = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let is_close = |line: &String| line.contains("\"event.name\":\"close\"");
    assert!(told.any(|line| is_close(&line)), "the stream ended");
    // The program waits for us, and its call is here already.
    assert!(child.try_wait().unwrap().is_none());
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    let rest: Vec<String> = told.collect();
    assert!(child.wait().unwrap().success());
    assert_eq!(rest.iter().filter(|line| is_close(line)).count(), 1, "{rest:?}");
    assert!(rest.last().unwrap().starts_with("{\"type\":\"end\",\"calls\":"), "{rest:?}");
}

#[test]
fn a_stream_has_what_the_trace_has() {
    if !is_here("a_stream_has_what_the_trace_has", &["python3", "--version"]) {
        return;
    }
    let folder = scratch(&format!("exports.{}.stream", std::process::id()));
    let script = root().join("tests/exports/talk.py");
    let run = format!(
        "exec '{}' run -q --snaplen 0 -o run.sst --jsonl fd:3 -- '{}' '{}' . 3>stream.jsonl",
        tool().display(),
        python(),
        script.display()
    );
    succeed(Command::new("sh").args(["-c", &run]).current_dir(&folder));
    let exported = lines(Command::new(tool()).args(["export", "--format", "jsonl", "run.sst"]).current_dir(&folder));
    let streamed = fs::read_to_string(folder.join("stream.jsonl")).unwrap();
    // Ticks are told as time a little better in the end.
    let timeless = |line: &str| {
        let fields = line.split(',').filter(|field| !["\"ts", "\"dur_ns"].iter().any(|key| field.starts_with(key)));
        fields.collect::<Vec<_>>().join(",")
    };
    let told = |lines: &mut dyn Iterator<Item = &str>| lines.map(timeless).collect::<BTreeSet<_>>();
    let (exported, streamed) = (told(&mut exported.iter().map(String::as_str)), told(&mut streamed.lines()));
    assert!(exported.len() > 50);
    assert_eq!(exported.symmetric_difference(&streamed).collect::<Vec<_>>(), Vec::<&String>::new());
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_stream_that_cannot_begin_lets_nothing_begin() {
    let folder = scratch(&format!("exports.{}.no_stream", std::process::id()));
    for (target, word) in [("/no/such/folder/x", "No such file"), ("fd:77", "77>calls.jsonl"), ("fd:x", "fd:3")] {
        let mut command = Command::new(tool());
        command.args(["run", "-o", "run.sst", "--jsonl", target, "--", "touch", "ran"]).current_dir(&folder);
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(125), "{said}");
        assert!(said.contains(target) && said.contains(word) && said.lines().count() == 1, "{said}");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn perfettos_own_definitions_read_the_timeline() {
    let test = "perfettos_own_definitions_read_the_timeline";
    let protos = "from perfetto.protos.perfetto.trace import perfetto_trace_pb2";
    if !is_here(test, &[&checker(), "-c", protos]) {
        return;
    }
    let run = Run::of_script("timeline", "talk.py", ".");
    let (native, json) = (run.export("perfetto", "pftrace", &[]), run.export("chrome", "trace.json", &[]));
    let mut check = Command::new(checker());
    let said = lines(check.arg(root().join("tests/exports/timeline.py")).args([&native, &json]));
    assert_eq!(said, ["the same in both"]);
}

/// The commands of a document: what stands behind `$ `, and the lines that go on with it.
fn commands(document: &str) -> Vec<String> {
    let text = built::text(document);
    let mut commands: Vec<String> = Vec::new();
    for block in text.split("```console\n").skip(1) {
        for line in block.split("```").next().unwrap().lines() {
            match line.strip_prefix("$ ") {
                Some(command) => commands.push(command.to_owned()),
                None => commands.last_mut().unwrap().extend(["\n", line]),
            }
        }
    }
    commands
}

#[test]
fn every_line_of_the_document_works() {
    let test = "every_line_of_the_document_works";
    let programs = ["curl", "jq", "bash"].iter().all(|program| is_here(test, &[program, "--version"]));
    if !programs || !tshark_is_here(test) {
        return;
    }
    let folder = scratch(&format!("exports.{}.document", std::process::id()));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        loop {
            serve(&listener, b"HTTP/1.0 200 OK\r\n\r\nhello\n");
        }
    });
    let path = std::env::join_paths(
        [tool().parent().unwrap()]
            .into_iter()
            .map(Path::to_owned)
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    let path = path.unwrap();
    let all = commands("docs/EXPORTS.md");
    for command in &all {
        let command = command.replace("localhost:8080", &format!("127.0.0.1:{port}"));
        let mut bash = Command::new("bash");
        bash.args(["-o", "pipefail", "-c", &command]).env("PATH", &path).current_dir(&folder);
        let output = succeed(&mut bash);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!said.contains("error") && !said.contains("sockshim:"), "{command}\n{said}");
        let may_be_silent = ["-o demo", "-o web", "leaked", "peer_with_reset", "10000000", ".errno"];
        if !may_be_silent.iter().any(|silent| command.contains(silent)) {
            assert!(!output.stdout.is_empty(), "{command} prints nothing");
        }
    }
    assert!(all.len() > 15, "{all:?}");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn nothing_half_written_is_left() {
    let run = Run::of("broken", "32", &["true"]);
    let export = |arguments: &[&str]| {
        let mut command = Command::new(tool());
        let output = command.arg("export").args(arguments).current_dir(&run.folder).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for (arguments, code, words) in [
        (&["--format", "pcap", "run.sst"][..], 2, &["pcap", "jsonl", "pcapng", "perfetto"][..]),
        (&["run.sst"], 2, &["--format", "jsonl", "pcapng"]),
        (&["--connections", "run.sst", "-o", "x.pcapng"], 2, &["--connections", "pcapng"]),
        (&["--format", "csv"], 2, &["FILE"]),
        (&["--format", "csv", "run.sst", "-o", "/no/such/folder/x"], 125, &["/no/such/folder/x", "-o"]),
        (&["--format", "csv", "run.sst", "-o", "/dev/full"], 125, &["/dev/full", "No space left"]),
        (&["--format", "pcapng", "no.sst", "-o", "x.pcapng"], 125, &["no.sst"]),
        (&["--format", "jsonl", "/etc/passwd", "-o", "x.jsonl"], 125, &["/etc/passwd", "not a sockshim trace"]),
    ] {
        let (status, said) = export(arguments);
        assert_eq!(status, Some(code), "{arguments:?}: {said}");
        words.iter().for_each(|word| assert!(said.contains(word), "{arguments:?}: {word:?} is not in {said:?}"));
    }
    let names: Vec<_> = fs::read_dir(&run.folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["run.sst"]);
    // The name says which format; a reader that had enough is no failure.
    assert_eq!(export(&["run.sst", "-o", "x.pcapng"]).0, Some(0));
    assert!(run.folder.join("x.pcapng").exists());
    let mut early = Command::new("sh");
    let script = format!("'{}' export --format jsonl run.sst | head -n 1; echo $?", tool().display());
    let said = lines(early.args(["-c", &script]).current_dir(&run.folder));
    assert!(said[0].starts_with("{\"type\":\"header\",\"schema\":1,") && said[1] == "0", "{said:?}");
}
