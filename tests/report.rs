//! `sockshim report` says what the programs did: real ones, whose own words it is compared with.

#[path = "report/apart.rs"]
mod apart;
#[path = "support/built.rs"]
mod built;
#[path = "support/http_server.rs"]
mod http_server;
#[path = "report/kernel.rs"]
mod kernel;
#[path = "report/programs.rs"]
mod programs;
#[path = "support/there.rs"]
mod there;

use built::{root, scratch, succeed, tool};
use http_server::http_server;
use sockshim_reader::model::{Role, tcp};
use sockshim_reader::order::Events;
use sockshim_reader::{Model, Trace};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use there::there;

/// A run that was recorded.
struct Recorded {
    trace: PathBuf,
    stdout: String,
}

impl Recorded {
    /// Runs a program by the tool.
    fn run(test: &str, program: &[&str]) -> Recorded {
        let trace = scratch("report").join(format!("{test}.sst"));
        let mut command = Command::new(tool());
        command.args(["run", "-q", "-o"]).arg(&trace).arg("--").args(program);
        let stdout = String::from_utf8(succeed(&mut command).stdout).unwrap();
        Recorded { trace, stdout }
    }

    /// Runs a habit of `tests/report/habits.c`.
    fn habit(test: &str, arguments: &[&str]) -> Recorded {
        let program = habits(test);
        Recorded::run(test, &[&[program.to_str().unwrap()], arguments].concat())
    }

    fn report(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(tool());
        command.arg("report").args(["--color", "never"]).args(arguments).arg(&self.trace).env("COLUMNS", "100");
        command.output().unwrap()
    }

    /// What the report says.
    fn says(&self, arguments: &[&str]) -> String {
        let output = self.report(arguments);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{arguments:?}: {}\n{out}{err}", output.status);
        assert_eq!(err, "", "{arguments:?}");
        let wide = out.lines().find(|line| line.chars().count() > 100);
        assert_eq!(wide, None, "a line is wider than the terminal");
        out
    }

    /// The line on stderr, when the report cannot be what was asked for.
    fn refuses(&self, arguments: &[&str]) -> String {
        let output = self.report(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output.stdout));
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
        text(&output.stderr)
    }

    fn model(&self) -> Model {
        let mut model = Model::new();
        Events::new(Trace::open(&self.trace).unwrap()).for_each(|event| model.feed(&event.unwrap()));
        model.finish(true);
        model
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The compiled habits. Each test has its own: they run at the same time.
fn habits(test: &str) -> PathBuf {
    let program = scratch("report").join(format!("habits-{test}"));
    let mut gcc = Command::new("gcc");
    gcc.args(["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O1", "-o"]).arg(&program);
    succeed(gcc.arg(root().join("tests/report/habits.c")));
    program
}

/// The number of a line of the summary: `2` of `  leaked    2: #4, #9 never closed`.
fn row<'a>(report: &'a str, label: &str) -> Option<&'a str> {
    let summary = report.split("\n\n").next().unwrap();
    summary.lines().find_map(|line| line.strip_prefix(&format!("  {label} "))).map(str::trim)
}

#[track_caller]
fn contains(report: &str, parts: &[&str]) {
    for part in parts {
        assert!(report.contains(part), "no {part:?} in\n{report}");
    }
}

#[track_caller]
fn has_no_lints(report: &str) {
    assert!(row(report, "lints").is_none() && !report.contains("\n  ! "), "a false alarm:\n{report}");
}

#[test]
fn the_demo_is_in_good_order() {
    let trace = scratch("report").join("demo.sst");
    let said = succeed(Command::new(tool()).args(["demo", "-q", "-o"]).arg(&trace));
    let recorded = Recorded { trace, stdout: text(&said.stdout) };
    let report = recorded.says(&[]);
    has_no_lints(&report);
    assert_eq!(row(&report, "sockets"), Some("7: 3 pipes with both their ends, 1 listener"));
    assert_eq!(
        row(&report, "fine"),
        Some("nothing failed, all was closed, every byte of TCP was seen, no call was lost")
    );
    // As demo.rs has it: the client is first, then the server.
    let verdicts: Vec<&str> = report.lines().filter(|line| line.contains("closed first")).map(str::trim).collect();
    assert_eq!(verdicts, ["client closed first", "server closed first"]);
    contains(&report, &["──▶ 64 B in 1 write, ", "listens on 127.0.0.1:", ", 2 accepted", " localhost 127.0.0.1:"]);
    let phases = ["░resolve ", "▒create ", "▓connect ", "█communicate ", "▚disconnect "];
    contains(&report, &phases);
}

#[test]
fn the_demos_first_pipe_is_drawn_with_two_lanes() {
    let trace = scratch("report").join("lanes.sst");
    succeed(Command::new(tool()).args(["demo", "-q", "-o"]).arg(&trace));
    let recorded = Recorded { trace, stdout: String::new() };
    let model = recorded.model();
    let client = model.connections().find(|conn| conn.sent.bytes == 64 && conn.peer_name.is_some()).unwrap();
    let drawn = recorded.says(&["--connection", &(client.id + 1).to_string()]);
    contains(&drawn, &["CLIENT", "SERVER", "getaddrinfo()", "SYN", "FIN", "64 B \"GET /hello HTTP"]);
    // What leaves the near lane or arrives in the far one points to the right, and the other way round.
    let arrows = |far: bool, arrow: char| {
        let bytes = |line: &&str| {
            let lanes: Vec<&str> = line.split('│').collect();
            let [_, pipe, right] = lanes[..] else { return false };
            right.trim().is_empty() != far && pipe.contains(" B ") && (pipe.starts_with(arrow) || pipe.ends_with(arrow))
        };
        drawn.lines().filter(bytes).count()
    };
    let server = model.connection(client.other_end.unwrap()).unwrap();
    assert_eq!([arrows(false, '▶'), arrows(true, '▶')], [1, 1], "{drawn}");
    assert_eq!([arrows(true, '◀'), arrows(false, '◀')], [1, client.received.calls as usize], "{drawn}");
    assert_eq!((server.received.bytes, server.sent.calls), (64, 1));
    // The other end draws the same picture.
    let other = client.other_end.unwrap() + 1;
    assert_eq!(recorded.says(&["--connection", &other.to_string()]), drawn);
}

#[test]
fn curl_and_pythons_server_are_as_they_say() {
    if !there("curl") || !there("python3") {
        return;
    }
    let folder = scratch("report/http");
    std::fs::write(folder.join("index.html"), "<h1>hello</h1>\n").unwrap();
    let (mut server, port) = http_server(&folder).expect("python3 -m http.server does not serve");
    let url = format!("http://localhost:{port}/");
    let curl = ["curl", "-s", "-4", &url, "-w", "%{size_request} %{size_header} %{size_download} %{local_port}"];
    let recorded = Recorded::run("curl", &curl);
    server.kill().unwrap();
    server.wait().unwrap();
    let (page, numbers) = recorded.stdout.split_at("<h1>hello</h1>\n".len());
    assert_eq!(page, "<h1>hello</h1>\n");
    let numbers: Vec<u64> = numbers.split(' ').map(|number| number.parse().unwrap()).collect();
    let [request, head, body, local] = numbers[..] else { panic!("{numbers:?}") };
    let report = recorded.says(&["--port", &port]);
    has_no_lints(&report);
    contains(
        &report,
        &[
            &format!("127.0.0.1:{port}"),
            &format!("from 127.0.0.1:{local}"),
            &format!("──▶ {request} B in "),
            &format!("◀── {} B in ", head + body),
            "TCP_NODELAY",
        ],
    );
    // Python closes after its answer, and curl when it has it: the kernel's state at curl's close tells who was first.
    let model = recorded.model();
    let ours = model.connections().find(|conn| conn.role == Role::Active).unwrap();
    let first = match ours.evidence.state_at_close.unwrap() {
        tcp::CLOSE_WAIT => "server closed first",
        _ => "client closed first",
    };
    contains(&report, &[first]);
}

#[test]
fn both_ends_of_an_http_exchange_make_one_block() {
    if !there("curl") || !there("python3") {
        return;
    }
    let folder = scratch("report/both");
    let fifo = folder.join("port");
    _ = std::fs::remove_file(&fifo);
    succeed(Command::new("mkfifo").arg(&fifo));
    let serve = "from http.server import *; s = HTTPServer(('127.0.0.1', 0), SimpleHTTPRequestHandler); \
                 print(s.server_port, flush=True); s.handle_request(); s.server_close()";
    let script = format!(
        "cd '{0}' && python3 -c \"{serve}\" >port 2>log & cd '{0}' && read port <port && curl -s -4 http://localhost:$port/port.txt; wait",
        folder.display()
    );
    std::fs::write(folder.join("port.txt"), "both ends").unwrap();
    let recorded = Recorded::run("both", &["sh", "-c", &script]);
    assert_eq!(recorded.stdout, "both ends");
    let report = recorded.says(&[]);
    has_no_lints(&report);
    contains(row(&report, "sockets").unwrap(), &["pipe", "1 listener"]);
    contains(&report, &["curl[", " closed first", "python3[", " in 1 write, "]);
}

#[test]
fn what_is_refused_is_told_first() {
    let recorded = Recorded::habit("refused", &["refused"]);
    let report = recorded.says(&[]);
    assert_eq!(row(&report, "failed"), Some("1 refused (#2)"));
    contains(&report, &["    refused after ", ": nobody listens there"]);
    let only = recorded.says(&["--verdict", "refused"]);
    contains(&only, &["#2  habits-refused["]);
    assert!(!only.contains("listens on"), "{only}");
    contains(&recorded.says(&["--verdict", "reset"]), &["No connection is as asked for; there are 2."]);
}

#[test]
fn what_leaks_says_where_it_was_made() {
    let recorded = Recorded::habit("leaks", &["leaks"]);
    let report = recorded.says(&[]);
    contains(row(&report, "leaked").unwrap(), &["4: #", "never closed"]);
    contains(row(&report, "lints").unwrap(), &["descriptor leak (3: #2, #4, #6)"]);
    let pid = recorded.model().process(1).unwrap().pid;
    let made = format!("open until the process ended (created by socket() in thread {pid} at ");
    assert_eq!(report.matches(&made).count(), 4, "{report}");
}

#[test]
fn habits_are_told_with_what_shows_them() {
    let spins = Recorded::habit("spins", &["spins"]).says(&[]);
    contains(&spins, &["busy loop: ", " calls in a row gave EAGAIN", "one-byte reads: ", "20 of 20 reads"]);
    let twice = Recorded::habit("twice", &["twice"]).says(&[]);
    contains(&twice, &["client closed first; closed twice: close() gave EBADF", "use after close"]);
    let unread = Recorded::habit("unread", &["unread"]).says(&[]);
    contains(&unread, &["server closed first; 3 bytes were never read, so our close sent RST"]);
    let executes = Recorded::habit("executes", &["executes"]).says(&[]);
    contains(&executes, &["leaked by exec:", "true["]);
    let queues = Recorded::habit("queues", &["queues"]).says(&[]);
    contains(&queues, &["accept queue: 4 clients had connected", "backlog 8"]);
    has_no_lints(&Recorded::habit("talks", &["talks", "200"]).says(&[]));
}

#[test]
fn a_long_sequence_is_elided_in_the_middle() {
    let recorded = Recorded::habit("long", &["talks", "500"]);
    let model = recorded.model();
    let client = model.connections().find(|conn| conn.sent.bytes == 4000).unwrap();
    let number = (client.id + 1).to_string();
    let drawn = recorded.says(&["--connection", &number]);
    let all = recorded.says(&["--connection", &number, "--all"]);
    let calls = |text: &str| text.lines().filter(|line| line.matches('│').count() == 2).count();
    let other = model.connection(client.other_end.unwrap()).unwrap();
    // All calls on both ends, and the accept.
    assert_eq!(calls(&all) as u64, client.calls + other.calls + 1);
    assert_eq!(calls(&drawn), 48);
    let elided = format!("... {} calls, ", format_args!("1,{}", calls(&all) - 1048));
    contains(&drawn, &[&elided, "All of them: --all"]);
    assert!(!all.contains("..."), "nothing is elided");
}

#[test]
fn filters_and_order_choose_what_is_told() {
    let recorded = Recorded::habit("chosen", &["talks", "3"]);
    let blocks = |arguments: &[&str]| {
        let report = recorded.says(arguments);
        report.split("\n\n").skip(1).map(|block| block.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(blocks(&[]), ["#1", "#2"]);
    assert_eq!(blocks(&["--sort", "bytes"]), ["#2", "#1"]);
    assert_eq!(blocks(&["--sort", "calls", "--top", "1"]), ["#2"]);
    assert_eq!(blocks(&["--phase", "communicate"]), ["#2"]);
    assert_eq!(blocks(&["--phase", "connect", "--phase", "create"]), ["#1"]);
    assert_eq!(blocks(&["--process", "habits-chosen", "--address", "127.0.0.1"]), ["#1", "#2"]);
    let wrong = recorded.refuses(&["--process", "nginx"]);
    contains(&wrong, &["no connection has --process nginx; there are: habits-chosen"]);
    contains(&recorded.refuses(&["--port", "1"]), &["no connection has --port 1; there are: "]);
    contains(&recorded.refuses(&["--name", "example.com"]), &["--name example.com; none has any"]);
    contains(&recorded.refuses(&["--verdict", "lost"]), &["peer-closed", "refused", "leaked"]);
    contains(&recorded.refuses(&["--connection", "9"]), &["there is no connection 9 in ", ": it has 1 to 3"]);
    contains(&recorded.refuses(&["--connection", "0"]), &["there is no connection 0 in "]);
    contains(&recorded.refuses(&["--all"]), &["--connection"]);
}
