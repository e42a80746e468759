//! The examples do the same in every way in which they can be built, and each way records it.

#[path = "support/built.rs"]
mod built;

use built::{archive, root, scratch, shim, succeed, text, tool};
use sockshim_format::op::Op;
use sockshim_reader::order::Events;
use sockshim_reader::{Event, Trace};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// What a client of the examples does, calls in a row of one name being one.
const CLIENT: &[Op] = &[Op::Socket, Op::Connect, Op::Write, Op::Shutdown, Op::Read, Op::Close];
const SERVER: &[Op] = &[
    Op::Socket,
    Op::Setsockopt,
    Op::Bind,
    Op::Listen,
    Op::Getsockname,
    Op::Accept,
    Op::Read,
    Op::Write,
    Op::Read,
    Op::Close,
];

fn folder() -> PathBuf {
    scratch("examples")
}

/// Compiles an example, as `examples/README.md` says.
fn build(source: &str, way: &str, arguments: &[&str]) -> PathBuf {
    let program = folder().join(format!("{source}.{way}"));
    let library = shim().parent().unwrap().to_owned();
    let mut command = Command::new("gcc");
    command.args(["-Wall", "-Wextra", "-Werror", "-I"]).arg(root().join("include"));
    command.arg(root().join(format!("examples/{source}.c"))).arg("-o").arg(&program);
    command.arg("-L").arg(&library).args(arguments).arg(format!("-Wl,-rpath,{}", library.display()));
    succeed(&mut command);
    program
}

/// A server that runs, on the port that the kernel chose.
struct Server {
    child: Child,
    port: String,
    out: BufReader<std::process::ChildStdout>,
}

impl Server {
    fn start(command: &mut Command) -> Server {
        let mut child = command.arg("0").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let port = line.trim().strip_prefix("listening on port ").expect("the server listens").to_owned();
        Server { child, port, out }
    }

    /// What it said after it was done.
    fn end(mut self) -> String {
        let mut said = String::new();
        self.out.read_to_string(&mut said).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(self.child.wait().unwrap().success(), "{said}");
        said
    }
}

fn talk(client: &mut Command, server: &Server) -> Output {
    succeed(client.args(["127.0.0.1", &server.port, "hello"]))
}

/// A program with `SOCKSHIM_TRACE` set, and perhaps preloaded.
fn traced(program: &Path, trace: &Path, preload: bool) -> Command {
    let _ = fs::remove_file(trace);
    let mut command = Command::new(program);
    command.env("SOCKSHIM_TRACE", trace);
    if preload {
        command.env("LD_PRELOAD", shim());
    }
    command
}

struct Recorded {
    ops: Vec<Op>,
    marks: Vec<String>,
    /// SO_COOKIE of the connection.
    socket: u64,
}

fn recorded(trace: &Path) -> Recorded {
    let trace = Trace::open(trace).unwrap_or_else(|e| panic!("no trace was kept: {e}"));
    let mut recorded = Recorded { ops: Vec::new(), marks: Vec::new(), socket: 0 };
    for event in Events::new(trace) {
        match event.unwrap() {
            Event::Call(call) => {
                assert!(call.is_done(), "{call:?}");
                recorded.ops.push(call.op().unwrap());
                recorded.socket = call.call.socket;
            }
            Event::Mark(mark) => recorded.marks.push(String::from_utf8(mark.text).unwrap()),
            _ => {}
        }
    }
    recorded.ops.dedup();
    recorded
}

#[test]
fn the_plain_names_are_recorded_preloaded_and_linked() {
    let (server, client) = (build("server", "native", &[]), build("client", "native", &[]));
    let (linked_server, linked_client) =
        (build("server", "linked", &["-lsockshim"]), build("client", "linked", &["-lsockshim"]));

    let native = Server::start(&mut Command::new(&server));
    let answer = talk(&mut Command::new(&client), &native);
    assert_eq!((&answer.stdout[..], &answer.stderr[..]), (&b"HELLO\n"[..], &b""[..]));
    let farewell = native.end();
    assert_eq!(farewell, "served\n");

    for (way, server, client) in [("preloaded", &server, &client), ("linked", &linked_server, &linked_client)] {
        let (served, asked) = (folder().join(format!("server.{way}.sst")), folder().join(format!("client.{way}.sst")));
        let preload = way == "preloaded";
        let running = Server::start(&mut traced(server, &served, preload));
        let same = talk(&mut traced(client, &asked, preload), &running);
        assert_eq!((same.stdout, same.stderr), (answer.stdout.clone(), answer.stderr.clone()), "{way}");
        assert_eq!(running.end(), farewell, "{way}");
        assert_eq!(recorded(&served).ops, SERVER, "{way}");
        assert_eq!(recorded(&asked).ops, CLIENT, "{way}");
    }
}

#[test]
fn linked_programs_log_to_stderr() {
    let server = Server::start(&mut Command::new(build("server", "peer", &[])));
    let client = build("client", "logged", &["-lsockshim"]);
    let output = talk(&mut Command::new(client), &server);
    server.end();
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "HELLO\n");
    for (phase, call) in
        [("create", "socket("), ("connect", "connect("), ("communicate", "write("), ("disconnect", "close(")]
    {
        let line = log.lines().find(|line| line.starts_with("sockshim[") && line.contains(call));
        assert!(line.is_some_and(|line| line.contains(phase)), "no line for {call}:\n{log}");
    }
}

/// Runs `explicit.c`, built in some way.
fn explicit(way: &str, arguments: &[&str]) {
    let server = Server::start(&mut Command::new(build("server", &format!("of-{way}"), &[])));
    let client = build("explicit", way, arguments);
    let trace = folder().join(format!("explicit.{way}.sst"));
    let output = talk(&mut traced(&client, &trace, false), &server);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "HELLO\n", "{way}");
    let recorded = recorded(&trace);
    assert_eq!(recorded.ops, CLIENT, "{way}");
    assert_eq!(recorded.marks, ["about to connect"], "{way}");
    // descriptor 3: socket 32212, 127.0.0.1:59390 to 127.0.0.1:38617
    let facts = String::from_utf8(output.stderr).unwrap();
    let (begin, end) =
        (format!(": socket {}, 127.0.0.1:", recorded.socket), format!(" to 127.0.0.1:{}\n", server.port));
    assert!(facts.contains(&begin) && facts.ends_with(&end), "{way}: {facts}");
    server.end();
}

#[test]
fn the_names_of_the_header_are_recorded_linked() {
    explicit("linked", &["-lsockshim"]);
}

#[test]
fn the_names_of_the_header_are_recorded_with_the_static_library() {
    explicit("archive", &["-Wl,--gc-sections", archive().to_str().unwrap()]);
}

/// The static library with only the names of the header, as `examples/README.md` makes it.
fn names_only(test: &str) -> PathBuf {
    let (names, made) = (folder().join(format!("{test}.names")), folder().join(format!("{test}.a")));
    fs::write(&names, Op::ALL.iter().map(|op| format!("{}\n", op.symbol())).collect::<String>()).unwrap();
    let mut command = Command::new("objcopy");
    succeed(command.arg(format!("--localize-symbols={}", names.display())).arg(archive()).arg(&made));
    made
}

#[test]
fn the_names_of_the_header_are_recorded_fully_static() {
    // The linker warns of getaddrinfo in Rust's standard library, which nothing calls.
    explicit("static", &["-static", names_only("explicit").to_str().unwrap()]);
    let dynamic = succeed(Command::new("readelf").arg("-lW").arg(folder().join("explicit.static")));
    assert!(!String::from_utf8_lossy(&dynamic.stdout).contains("INTERP"), "explicit.static is not static");
}

#[test]
fn every_function_of_the_header_works_fully_static() {
    let program = folder().join("every_function.static");
    let mut command = Command::new("gcc");
    command.arg("-static").arg("-I").arg(root().join("include")).arg("-o").arg(&program);
    succeed(command.arg(root().join("tests/header/every_function.c")).arg(names_only("every_function")));
    let output = succeed(Command::new(program).env("SOCKSHIM_LOG", "off"));
    let said = format!("sockshim {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!((&output.stdout[..], &output.stderr[..]), (said.as_bytes(), &b""[..]));
}

#[test]
fn the_commands_of_the_readme_work() {
    // As if installed: the paths lead to what was built, the folder is a copy, the port is a free one.
    let (place, library) = (scratch("examples-readme"), shim().parent().unwrap().display().to_string());
    for source in ["client.c", "server.c", "explicit.c"] {
        fs::copy(root().join("examples").join(source), place.join(source)).unwrap();
    }
    let path = format!("{}:{}", tool().parent().unwrap().display(), std::env::var("PATH").unwrap());
    for (number, block) in text("examples/README.md").split("```sh\n").skip(1).enumerate() {
        let commands = block.split("```").next().unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let script = commands.replace("8080", &free.to_string()).replace("/usr/local/lib", &library);
        let mut shell = Command::new("sh");
        shell.args(["-e", "-c", &script]).current_dir(&place).env("PATH", &path);
        shell.env("CPATH", root().join("include")).env("LIBRARY_PATH", &library).env("LD_LIBRARY_PATH", &library);
        let said = succeed(&mut shell);
        let out = String::from_utf8_lossy(&said.stdout);
        assert!(out.contains("HELLO\n") && out.contains("served\n"), "block {number}:\n{script}\n{out}");
    }
}
