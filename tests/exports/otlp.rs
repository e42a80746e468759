//! Spans, as OpenTelemetry's own definitions have them, in a file and as a collector gets them.

use super::built::{lines, root, tool};
use super::{Run, checker, has, is_here, serve};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

const DEFINITIONS: &str = "import opentelemetry.proto.collector.trace.v1.trace_service_pb2";

/// What the checker says of spans: those of a file, beside the rows of the same trace.
fn checked(run: &Run, spans: &Path) -> Vec<String> {
    let connections = run.export("jsonl", "connections.jsonl", &["--connections"]);
    lines(Command::new(checker()).arg(root().join("tests/exports/otlp.py")).args([spans, &*connections]))
}

/// A collector that answers as it is told.
struct Collector {
    child: Child,
    said: BufReader<ChildStdout>,
    port: String,
}

impl Collector {
    fn start(run: &Run, answers: &[&str]) -> Collector {
        let mut command = Command::new(checker());
        command.arg(root().join("tests/exports/collector.py")).args(answers).current_dir(&run.folder);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut port = String::new();
        said.read_line(&mut port).unwrap();
        Collector { child, said, port: port.trim().to_owned() }
    }

    /// What it was asked.
    fn end(mut self) -> Vec<String> {
        drop(self.child.stdin.take());
        let mut said = String::new();
        self.said.read_to_string(&mut said).unwrap();
        assert!(self.child.wait().unwrap().success());
        said.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }
}

/// Sends a trace, and gives the status and what was said.
fn send(run: &Run, port: &str, more: &[&str]) -> (Option<i32>, String) {
    let mut export = Command::new(tool());
    export.args(["export", "--endpoint", &format!("http://127.0.0.1:{port}")]).args(more).arg(&run.trace);
    let output = export.output().unwrap();
    assert!(output.stdout.is_empty());
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn spans_agree_with_the_rows_of_connections() {
    let test = "spans_agree_with_the_rows_of_connections";
    if !has(test, DEFINITIONS) {
        return;
    }
    let run = Run::of_script("otlp", "talk.py", ".");
    let file = run.export("otlp", "otlp.json", &[]);
    let said = checked(&run, &file);
    // Eight pipes have both ends in the trace; nobody listened for one connection, and one met a reset.
    assert_eq!(said[1..3], ["16 ends", "2 failed"], "{said:?}");
    for name in ["socket accepted on 127.0.0.1", "socket listening on [::1]", "socket localhost", "socket pair"] {
        assert!(said.iter().any(|line| line == name), "{name}: {said:?}");
    }
    let again = run.folder.join("again.otlp.json");
    let mut export = Command::new(tool());
    assert!(export.arg("export").arg(&run.trace).arg("-o").arg(&again).status().unwrap().success());
    assert!(fs::read(&file).unwrap() == fs::read(&again).unwrap(), "the same trace makes the same spans");
}

#[test]
fn a_span_is_linked_to_the_trace_of_the_request_that_it_carried() {
    let test = "a_span_is_linked_to_the_trace_of_the_request_that_it_carried";
    if !has(test, DEFINITIONS) || !is_here(test, &["curl", "--version"]) {
        return;
    }
    let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let header = format!("traceparent: 00-{trace}-{span}-01");
    for (snaplen, linked) in [("65535", true), ("32", false)] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let run = std::thread::scope(|scope| {
            let server = scope.spawn(|| serve(&listener, b"HTTP/1.0 200 OK\r\n\r\nhello\n"));
            let command = ["curl", "-s", "-H", &header, "-o", "body", &url];
            let run = Run::of(&format!("traceparent.{snaplen}"), snaplen, &command);
            server.join().unwrap();
            run
        });
        let said = checked(&run, &run.export("otlp", "otlp.json", &[]));
        let part = format!("part of {trace} {span}");
        assert_eq!(said.contains(&part), linked, "{snaplen}: {said:?}");
    }
}

#[test]
fn a_collector_gets_what_the_file_has() {
    let test = "a_collector_gets_what_the_file_has";
    if !has(test, DEFINITIONS) {
        return;
    }
    let run = Run::of_script("collector", "talk.py", ".");
    let file = fs::read_to_string(run.export("otlp", "otlp.json", &[])).unwrap();
    // It has no time twice, says when to come again, and takes it then.
    let collector = Collector::start(&run, &["503:1", "503:1"]);
    let (status, said) = send(&run, &collector.port, &[]);
    assert_eq!(status, Some(0), "{said}");
    let told =
        said.matches("503 Service Unavailable: {\"message\":\"not now\"}; trying again in 1 s, as it asks").count();
    assert_eq!(told, 2, "{said}");
    assert_eq!(collector.end(), ["/v1/traces application/json"; 3]);
    let accepted = fs::read_to_string(run.folder.join("accepted")).unwrap();
    assert!(accepted == file, "{} bytes arrived of {}", accepted.len(), file.len());
    assert!(checked(&run, &run.folder.join("accepted"))[0].ends_with(" connections"));
}

#[test]
fn what_a_collector_does_not_take_is_told() {
    let test = "what_a_collector_does_not_take_is_told";
    if !has(test, DEFINITIONS) {
        return;
    }
    let run = Run::of_script("refusing", "talk.py", ".");
    for (answers, arguments, requests, words) in [
        (&["400"][..], &[][..], 1, &["cannot send to", "400 Bad Request: {\"message\":\"not now\"}", "none of"][..]),
        (&["404"], &[], 1, &["404 Not Found", "is that the path for traces?"]),
        (&["301"], &[], 1, &["301"]),
        (&["part"], &[], 1, &["2 of ", "did not arrive", "rejectedSpans", "full"]),
        (&["503:3600"], &[], 1, &["503", "asks to wait 3600 s", "--give-up-after 60 s is over"]),
        (&["500"], &["--give-up-after", "0s"], 1, &["500"]),
        (&["429"; 9], &["--give-up-after", "1s"], 2, &["429", "trying again in", "--give-up-after 1 s is over"]),
    ] {
        let collector = Collector::start(&run, answers);
        let (status, said) = send(&run, &collector.port, arguments);
        let got = collector.end();
        assert_eq!(status, Some(125), "{answers:?}: {said}");
        words.iter().for_each(|word| assert!(said.contains(word), "{answers:?}: {word:?} is not in {said:?}"));
        assert!(got.len() >= requests && (requests > 1 || got.len() == 1), "{answers:?}: {got:?}");
    }
}

#[test]
fn of_many_requests_those_that_did_not_arrive_are_counted() {
    let test = "of_many_requests_those_that_did_not_arrive_are_counted";
    if !has(test, DEFINITIONS) {
        return;
    }
    let run = Run::of_script("many", "load.py", "300");
    let file = fs::read_to_string(run.export("otlp", "otlp.json", &[])).unwrap();
    let spans: Vec<usize> = file.lines().map(|line| line.matches("\"startTimeUnixNano\":\"").count()).collect();
    let all: usize = spans.iter().sum();
    assert!(spans.len() > 4 && spans.iter().all(|count| *count < 520), "{spans:?}");
    let told = |count: usize| sockshim_reader::model::words::thousands(count as u64);
    // One is refused, and the others arrive. One finds no time, and nobody waits for each of the others again.
    for (answers, requests, lost) in [(["200", "400"], spans.len(), spans[1]), (["200", "503:3600"], 2, all - spans[0])]
    {
        let _ = fs::remove_file(run.folder.join("accepted"));
        let collector = Collector::start(&run, &answers);
        let (status, said) = send(&run, &collector.port, &[]);
        assert_eq!((status, collector.end().len()), (Some(125), requests), "{said}");
        let words = format!("{} of {} spans did not arrive", told(lost), told(all));
        assert!(said.contains(&words) && said.contains(answers[1].split(':').next().unwrap()), "{words}: {said}");
        let accepted = fs::read_to_string(run.folder.join("accepted")).unwrap();
        assert_eq!(accepted.matches("\"startTimeUnixNano\":\"").count(), all - lost);
    }
    // All of them, twice: the ids are the same.
    let _ = fs::remove_file(run.folder.join("accepted"));
    for times in 1..3 {
        let collector = Collector::start(&run, &[]);
        assert_eq!(send(&run, &collector.port, &[]), (Some(0), String::new()));
        assert_eq!(collector.end().len(), spans.len());
        let accepted = fs::read_to_string(run.folder.join("accepted")).unwrap();
        assert!(accepted == file.repeat(times), "{} bytes arrived of {}", accepted.len(), file.len() * times);
    }
}

#[test]
fn a_collector_that_is_not_there_is_told() {
    let test = "a_collector_that_is_not_there_is_told";
    if !has(test, DEFINITIONS) {
        return;
    }
    let run = Run::of_script("unreachable", "talk.py", ".");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let (status, said) = send(&run, &free, &["--give-up-after", "0s"]);
    assert_eq!(status, Some(125), "{said}");
    for word in [&*free, "Connection refused", "none of", "span", "--give-up-after 0 s"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    // It is connected, and never answered.
    let collector = Collector::start(&run, &["never"]);
    let (status, said) = send(&run, &collector.port, &["--give-up-after", "1s"]);
    assert_eq!(status, Some(125), "{said}");
    assert!(said.contains("no answer within 1 s") && said.contains("none of"), "{said}");
    collector.end();
    for (arguments, words) in [
        (&["--endpoint", "https://x"][..], &["https", "http"][..]),
        (&["--endpoint", "localhost:4318"], &["http://localhost:4318"]),
        (&["--endpoint", "http://x", "-o", "x.otlp.json"], &["--endpoint", "--output"]),
        (&["--endpoint", "http://x", "--format", "csv"], &["--endpoint", "otlp", "csv"]),
        (&["--give-up-after", "1s", "--format", "otlp"], &["--endpoint"]),
    ] {
        let output = Command::new(tool()).arg("export").args(arguments).arg(&run.trace).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        words.iter().for_each(|word| assert!(said.contains(word), "{arguments:?}: {word:?} is not in {said:?}"));
    }
    let left: Vec<_> = fs::read_dir(&run.folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("otlp")), "{left:?}");
}
