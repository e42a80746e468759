//! Client and server that are traced apart from each other: two runs, whose clocks may differ, in two network namespaces.

use super::*;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

/// Serves three requests, and says at which port.
const SERVE: &str = "from http.server import *; s = HTTPServer(('0.0.0.0', 0), SimpleHTTPRequestHandler); \
                     print(s.server_port, flush=True); [s.handle_request() for _ in range(3)]; s.server_close()";

/// Runs client and server apart from each other, each by a prefix of its own, and returns the two traces.
fn apart(test: &str, address: &str, prefixes: [&[&str]; 2]) -> [PathBuf; 2] {
    let folder = scratch(&format!("report/{test}"));
    std::fs::write(folder.join("page.txt"), "three times the same").unwrap();
    let traces = ["client.sst", "server.sst"].map(|name| folder.join(name));
    let run = |prefix: &[&str], trace: &Path| {
        let mut command = Command::new(prefix[0]);
        command.args(&prefix[1..]).arg(tool()).args(["run", "-q", "-o"]).arg(trace).arg("--").current_dir(&folder);
        command
    };
    let mut server = run(prefixes[1], &traces[1]);
    let mut server =
        server.args(["python3", "-c", SERVE]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut port = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let url = format!("http://{address}:{}/page.txt", port.trim());
    let mut client = run(prefixes[0], &traces[0]);
    let fetch = format!("for i in 1 2 3; do curl -s {url} || exit; done");
    assert_eq!(text(&succeed(client.args(["sh", "-c", &fetch])).stdout), "three times the same".repeat(3));
    assert!(server.wait().unwrap().success());
    traces
}

/// The report on several traces.
fn told(traces: &[&Path]) -> String {
    let mut command = Command::new(tool());
    text(&succeed(command.args(["report", "--color", "never"]).args(traces).env("COLUMNS", "100")).stdout)
}

/// What the line about the clocks says.
fn clocks(report: &str) -> (String, u32) {
    let (said, rest) = row(report, "clocks").unwrap_or_else(|| panic!("{report}")).split_once(", to within ").unwrap();
    let pipes = rest.split_once('(').unwrap().1.split(' ').next().unwrap();
    (said.to_owned(), pipes.parse().unwrap())
}

#[test]
fn two_runs_are_told_together_though_their_clocks_differ() {
    if !there("curl") || !there("python3") {
        return;
    }
    let [client, server] = apart("runs", "127.0.0.1", [&["env"], &["env"]]);
    let report = told(&[&client, &server]);
    assert_eq!(clocks(&report), ("server.sst and client.sst agree".into(), 3));
    let pipes = report.lines().filter(|line| line.contains(" ──▶ ") && line.contains(" ⇄ ")).count();
    assert_eq!(pipes, 3, "{report}");
    has_no_lints(&report);
    // The clock of another machine: the header has the wall-clock time of the first calibration.
    let mut bytes = std::fs::read(&server).unwrap();
    let field = bytes[56..64].try_into().map(u64::from_ne_bytes).unwrap() + 7_000_000_000;
    bytes[56..64].copy_from_slice(&field.to_ne_bytes());
    let late = server.with_file_name("late.sst");
    std::fs::write(&late, bytes).unwrap();
    let (said, pipes) = clocks(&told(&[&client, &late]));
    let ahead = said.strip_prefix("late.sst is ").and_then(|rest| rest.strip_suffix(" s ahead of client.sst"));
    let off = ahead.unwrap_or_else(|| panic!("{said}")).parse::<f64>().unwrap() - 7.0;
    assert!(pipes == 3 && off.abs() < 0.5, "{said}");
    contains(&told(&[&late, &client]), &["client.sst is ", " behind late.sst, to within "]);
    let alone = scratch("report").join("alone.sst");
    succeed(Command::new(tool()).args(["demo", "-q", "-o"]).arg(&alone));
    contains(
        &told(&[&client, &alone]),
        &["no pipe between alone.sst and client.sst: their times are told as they are"],
    );
}

/// Two network namespaces with a cable between them, as long as it lives.
struct Namespaces([String; 2]);

impl Namespaces {
    fn new() -> Result<Namespaces, String> {
        let names = ["a", "b"].map(|end| format!("sockshim-{}-{end}", std::process::id()));
        let [a, b] = &names;
        let script = format!(
            "ip netns add {a} && ip netns add {b} &&
             ip link add veth0 netns {a} type veth peer name veth0 netns {b} &&
             ip -n {a} addr add 10.77.1.1/24 dev veth0 && ip -n {b} addr add 10.77.1.2/24 dev veth0 &&
             ip -n {a} link set veth0 up && ip -n {b} link set veth0 up"
        );
        let namespaces = Namespaces(names);
        let output = Command::new("sh").args(["-c", &script]).output().map_err(|e| e.to_string())?;
        if output.status.success() { Ok(namespaces) } else { Err(text(&output.stderr)) }
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for name in &self.0 {
            _ = Command::new("ip").args(["netns", "del", name]).stderr(Stdio::null()).status();
        }
    }
}

#[test]
fn ends_in_two_network_namespaces_make_a_pipe() {
    if !there("curl") || !there("python3") {
        return;
    }
    let namespaces = match Namespaces::new() {
        Ok(namespaces) => namespaces,
        Err(reason) => return println!("SKIPPED: no network namespaces here: {reason}"),
    };
    let [a, b] = namespaces.0.each_ref().map(|name| ["ip", "netns", "exec", name]);
    let [client, server] = apart("namespaces", "10.77.1.2", [&a, &b]);
    let report = told(&[&client, &server]);
    assert_eq!(clocks(&report), ("server.sst and client.sst agree".into(), 3));
    assert_eq!(report.lines().filter(|line| line.contains(" ⇄ ") && line.contains(" ──▶ 10.77.1.2:")).count(), 3);
}
