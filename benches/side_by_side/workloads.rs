//! What is run: loops of calls, servers under their usual load generators, starts of a program.

use crate::machine::{Scratch, children, cpu_ns, free_port, installed};
use crate::subjects::Subject;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What one run took.
#[derive(Clone, Copy, Default)]
pub struct Measured {
    /// Calls, connections, starts: what the workload counts.
    pub operations: f64,
    pub wall_ns: f64,
    /// Of the traced process.
    pub cpu_ns: f64,
    /// What was written of it.
    pub trace_bytes: f64,
}

/// How a workload's figure is told.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// CPU nanoseconds that are added to each operation.
    AddedNs,
    /// CPU microseconds that are added to each operation, those of the tool included.
    AddedUs,
    /// Speed, untraced = 1, and the CPU of the traced process likewise.
    Speed,
}

pub struct Workload {
    pub name: &'static str,
    pub what: &'static str,
    pub unit: Unit,
    /// What is aimed at, in words.
    pub goal: &'static str,
    run: Box<Run>,
}

/// Runs it under a subject, with its operations divided by the number.
type Run = dyn Fn(&Subject, u64, &Scratch) -> Option<Measured>;

impl Workload {
    /// None where the subject cannot do it.
    pub fn run(&self, subject: &Subject, share: u64, scratch: &Scratch) -> Option<Measured> {
        let trace = scratch.path("trace");
        let mut measured = (self.run)(subject, share, scratch)?;
        measured.trace_bytes = size(&trace);
        let _ = std::fs::remove_file(&trace);
        let _ = std::fs::remove_dir_all(&trace);
        Some(measured)
    }
}

fn size(path: &Path) -> f64 {
    match std::fs::read_dir(path) {
        Ok(folder) => folder.flatten().map(|entry| size(&entry.path())).sum(),
        Err(_) => std::fs::metadata(path).map_or(0.0, |meta| meta.len() as f64),
    }
}

pub fn all(scratch: &Scratch, quick: bool) -> Vec<Workload> {
    let program = scratch.build("workload.c", "workload", &[]).display().to_string();
    let shorter = if quick { 4 } else { 1 };
    let calls = |name, what, goal, unit, kind: &'static str, operations: u64, size: &'static str| Workload {
        name,
        what,
        unit,
        goal,
        run: {
            let program = program.clone();
            Box::new(move |subject, share, scratch| {
                let operations = (operations / shorter / share).max(10).to_string();
                counted(subject.command(&program, &scratch.path("trace")).args([kind, &operations, size]))
            })
        },
    };
    use Unit::*;
    let mut all = vec![
        calls("again", "`recv` that finds nothing", "1.25 × limit", AddedNs, "again", 1_000_000, "1"),
        calls("unix", "1 byte through a socketpair", "1.25 × limit", AddedNs, "unix", 400_000, "1"),
        calls("unix 64", "64 bytes, the same way", "preview: +20 ns", AddedNs, "unix", 400_000, "64"),
        calls("tcp", "1 byte through TCP", "1.25 × limit", AddedNs, "tcp", 150_000, "1"),
        calls("file", "`read`, `write` on a pipe and a file", "null + 5 ns", AddedNs, "file", 250_000, "1"),
        calls("threads 8", "8 threads, a socketpair each", "as 1 thread", AddedNs, "threads", 40_000, "8"),
        calls("threads 64", "64 threads", "as 1 thread", AddedNs, "threads", 5_000, "64"),
        calls("many 1000", "1,000 socketpairs in turn", "as one", AddedNs, "many", 250_000, "1000"),
        calls("bulk", "1 GiB through TCP, 64 KiB a write", "≥ 0.99", Speed, "bulk", 16_384, "1"),
        calls("churn", "connect, accept, close", "≥ 0.85; 0.95 without edges", Speed, "churn", 8_000, "1"),
        calls("child", "`true`, started by a traced program", "+200 µs", AddedUs, "spawn", 100, "/bin/true"),
        Workload {
            name: "start",
            what: "`true`, the tool and all",
            unit: AddedUs,
            goal: "+2,000 µs",
            run: Box::new(|subject, _, scratch| starts(subject, 20, scratch)),
        },
    ];
    if !quick {
        all.extend(servers());
    }
    all
}

/// Runs a program that prints its own figures.
pub fn counted(command: &mut Command) -> Option<Measured> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    // Some tracers write to the program's own output too.
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers = |line: &str| line.split(' ').map(|n| n.parse().ok()).collect::<Option<Vec<f64>>>();
    let found = text.lines().filter_map(numbers).find(|numbers| numbers.len() == 3)?;
    Some(Measured { operations: found[0], wall_ns: found[1], cpu_ns: found[2], trace_bytes: 0.0 })
}

/// Starts a program that does nothing, and counts all that was spent by it and for it.
fn starts(subject: &Subject, times: u32, scratch: &Scratch) -> Option<Measured> {
    let (before, begun) = (children_cpu_ns(), Instant::now());
    for _ in 0..times {
        let mut command = subject.command("true", &scratch.path("trace"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if !command.status().ok()?.success() {
            return None;
        }
    }
    let (wall_ns, cpu_ns) = (begun.elapsed().as_nanos() as f64, children_cpu_ns() - before);
    Some(Measured { operations: times.into(), wall_ns, cpu_ns, trace_bytes: 0.0 })
}

fn children_cpu_ns() -> f64 {
    // SAFETY: all zeroes is a value of this struct, and the call fills it in.
    let usage = unsafe {
        let mut usage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &mut usage);
        usage
    };
    let libc::rusage { ru_utime, ru_stime, .. } = usage;
    (ru_utime.tv_sec + ru_stime.tv_sec) as f64 * 1e9 + (ru_utime.tv_usec + ru_stime.tv_usec) as f64 * 1e3
}

fn servers() -> Vec<Workload> {
    let mut all = Vec::new();
    let server = |name, what, goal, run: fn(&Subject, u64, &Scratch) -> Option<Measured>| Workload {
        name,
        what,
        unit: Unit::Speed,
        goal,
        run: Box::new(run),
    };
    if installed("redis-server") && installed("redis-benchmark") {
        all.push(server("redis", "redis-benchmark GET, -P 1", "≥ 0.97", |s, n, t| redis(s, 150_000 / n, "1", t)));
        all.push(server("redis -P 16", "the same, 16 at a time", "≥ 0.97", |s, n, t| {
            redis(s, 1_600_000 / n, "16", t)
        }));
    }
    if installed("nginx") && installed("wrk") {
        all.push(server("nginx", "wrk, connections kept", "≥ 0.95", |s, _, t| nginx(s, &[], t)));
        all.push(server("nginx close", "wrk, a connection each", "≥ 0.97", |s, _, t| {
            nginx(s, &["-H", "Connection: close"], t)
        }));
    }
    all
}

fn redis(subject: &Subject, requests: u64, depth: &str, scratch: &Scratch) -> Option<Measured> {
    let port = free_port().to_string();
    let mut server = subject.command("redis-server", &scratch.path("trace"));
    server.args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    let mut server = start(server);
    let ask = |words: &[&str]| {
        let output = Command::new("redis-cli").args(["-p", &port]).args(words).stderr(Stdio::null()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let measured = wait_for(|| ask(&["INFO", "server"]).filter(|text| text.contains("process_id"))).and_then(|info| {
        let pid: u32 = info.lines().find_map(|line| line.strip_prefix("process_id:"))?.trim().parse().ok()?;
        let (before, begun) = (cpu_ns(pid), Instant::now());
        let requests = requests.max(1000).to_string();
        let mut load = Command::new("redis-benchmark");
        load.args(["-p", &port, "-t", "get", "-n", &requests, "-c", "20", "-P", depth, "-q"]);
        let ended = load.stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
        let (wall_ns, cpu) = (begun.elapsed().as_nanos() as f64, cpu_ns(pid) - before);
        let operations = requests.parse().ok()?;
        ended.success().then_some(Measured { operations, wall_ns, cpu_ns: cpu as f64, trace_bytes: 0.0 })
    });
    let _ = ask(&["SHUTDOWN", "NOSAVE"]);
    end(&mut server);
    measured
}

fn nginx(subject: &Subject, header: &[&str], scratch: &Scratch) -> Option<Measured> {
    let (folder, port) = (scratch.path("nginx"), free_port());
    std::fs::create_dir_all(folder.join("html")).ok()?;
    std::fs::write(folder.join("html/index.html"), [b'x'; 1024]).ok()?;
    let root = folder.display();
    let text = format!(
        "worker_processes 1; pid {root}/pid; error_log {root}/error.log; daemon off;\n\
         events {{ worker_connections 1024; }}\n\
         http {{ access_log off; keepalive_requests 1000000; client_body_temp_path {root}/b; proxy_temp_path {root}/p;\n\
         fastcgi_temp_path {root}/f; uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;\n\
         server {{ listen 127.0.0.1:{port}; root {root}/html; }} }}\n"
    );
    std::fs::write(folder.join("conf"), text).ok()?;
    // The workers are nobody's, and read below a folder of ours.
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder.parent()?, std::fs::Permissions::from_mode(0o755)).ok()?;
    let mut server = subject.command("nginx", &scratch.path("trace"));
    server.args(["-p", &root.to_string(), "-c", "conf"]);
    let mut server = start(server);
    let master = wait_for(|| {
        std::net::TcpStream::connect(("127.0.0.1", port)).ok()?;
        let pid: u32 = std::fs::read_to_string(folder.join("pid")).ok()?.trim().parse().ok()?;
        (!children(pid).is_empty()).then_some(pid)
    });
    let measured = master.and_then(|master| {
        let workers = children(master);
        let spent = || workers.iter().map(|pid| cpu_ns(*pid)).sum::<u64>();
        let (before, begun) = (spent(), Instant::now());
        let mut load = Command::new("wrk");
        load.args(["-t", "1", "-c", "16", "-d", "2s"]).args(header).arg(format!("http://127.0.0.1:{port}/"));
        let output = load.stderr(Stdio::null()).output().ok()?;
        let (wall_ns, cpu) = (begun.elapsed().as_nanos() as f64, spent() - before);
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().find(|line| line.contains("requests in"))?;
        let operations = line.split_whitespace().next()?.parse().ok()?;
        Some(Measured { operations, wall_ns, cpu_ns: cpu as f64, trace_bytes: 0.0 })
    });
    if let Some(master) = master {
        let _ = Command::new("kill").args(["-QUIT", &master.to_string()]).status();
    }
    end(&mut server);
    measured
}

fn start(mut command: Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("the server's program")
}

/// Asks until there is an answer, for ten seconds.
fn wait_for<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(10) {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    None
}

/// Waits for a server that was told to end; one that does not is killed.
fn end(server: &mut Child) {
    if wait_for(|| server.try_wait().ok().flatten()).is_none() {
        let _ = server.kill();
        let _ = server.wait();
    }
}
