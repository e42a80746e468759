//! What `sockshim export` writes is read by the tools that it is for: tshark, Python's JSON Schema, Perfetto's own
//! definitions. A tool that is not there makes its test print SKIPPED, or fail under `SOCKSHIM_REQUIRE_PROGRAMS=1`.

#[path = "../support/built.rs"]
mod built;
mod lines;
mod metrics;
mod otlp;
#[path = "../support/tally.rs"]
mod tally;
mod wireshark;

use built::{lines, root, scratch, succeed, tool};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

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

/// Whether the checks can import something. What pip could not install (there may be no network) is no reason to fail.
fn has(test: &str, import: &str) -> bool {
    let command = [&*checker(), "-c", import];
    if command[0] == "python3"
        && !Command::new(command[0]).args(&command[1..]).output().is_ok_and(|o| o.status.success())
    {
        println!("SKIPPED: {test}: `{import}` does not run here, and `make packages` could not install it by pip");
        return false;
    }
    is_here(test, &command)
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

/// The formats, as the tool lists them: a name, and the ending of its files.
fn formats() -> Vec<(String, String)> {
    let said = lines(Command::new(tool()).args(["export", "--list"]));
    let pairs = said.chunks_exact(2).map(|two| {
        let name = two[0].split(' ').next().unwrap().to_owned();
        let ending = two[1].split_once(" x.").or(two[1].split_once("'x.")).or(two[1].split_once("\"x.")).unwrap().1;
        (name, ending.split(['\'', '"', ' ', ')']).next().unwrap().to_owned())
    });
    pairs.collect()
}

#[test]
fn no_format_leaves_anything_when_it_cannot_be_written() {
    let test = "no_format_leaves_anything_when_it_cannot_be_written";
    if !is_here(test, &["python3", "--version"]) || !is_here(test, &["bash", "--version"]) {
        return;
    }
    let run = Run::of_script("unwritable", "talk.py", ".");
    let place = run.folder.join("place");
    fs::create_dir(&place).unwrap();
    let formats = formats();
    let files = formats.iter().map(|(format, ending)| (format, format!("x.{ending}")));
    let parquet = "parquet".to_owned();
    // A folder of files too, which is not there and neither is the one around it.
    let all: Vec<_> = files.chain([(&parquet, "lakes/lake".to_owned())]).collect();
    assert_eq!(all.len(), 9, "{formats:?}");
    for (format, file) in &all {
        // Files may have a kilobyte: what is written first fits, and not the rest.
        let export = |output: &str| {
            let words = "ulimit -f 1; trap '' XFSZ; exec \"$@\"";
            let mut bash = Command::new("bash");
            bash.args(["-c", words, "bash"]).arg(tool()).args(["export", "--format", format]).arg(&run.trace);
            let output = bash.args(["-o", output]).current_dir(&place).output().unwrap();
            (output.status.code(), String::from_utf8(output.stderr).unwrap())
        };
        let (status, said) = export(file);
        assert!(
            status == Some(125) && said.contains(file) && said.contains("too large"),
            "{format}: {status:?} {said}"
        );
        let (status, said) = export(&format!("/dev/null/{file}"));
        assert!(status == Some(125) && said.contains("Not a directory"), "{format}: {status:?} {said}");
        let left: Vec<_> = fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(left.is_empty(), "{format} left {left:?}");
    }
    // And each can be written where there is room.
    for (format, file) in &all {
        let mut export = Command::new(tool());
        succeed(export.args(["export", "--format", format]).arg(&run.trace).args(["-o", file]).current_dir(&place));
        assert!(place.join(file).exists(), "{format}");
    }
}
