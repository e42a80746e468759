//! Rows, streams and timelines, as Python and the definitions of others see them.

use super::built::{lines, root, scratch, succeed, tool};
use super::{Run, checker, has, is_here, python};
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

#[test]
fn json_lines_are_of_their_schema_and_agree_with_show() {
    let test = "json_lines_are_of_their_schema_and_agree_with_show";
    if !has(test, "import jsonschema") {
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
    if !has(test, protos) {
        return;
    }
    let run = Run::of_script("timeline", "talk.py", ".");
    let (native, json) = (run.export("perfetto", "pftrace", &[]), run.export("chrome", "trace.json", &[]));
    let mut check = Command::new(checker());
    let said = lines(check.arg(root().join("tests/exports/timeline.py")).args([&native, &json]));
    assert_eq!(said, ["the same in both"]);
}
