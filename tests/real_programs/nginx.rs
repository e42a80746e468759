//! nginx, whose workers drop their privileges, under ab and wrk; its access log counts bytes.

use crate::harness::{Mode, Outcome, Scratch, free_port, installed, noise, skipped, wait_for, without_numbers};
use crate::recorded::{Recorded, ports, totals};
use crate::server::Server;
use sockshim_reader::model::{Connection, Role};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// The user that the workers become.
const USER: &str = "www-data";

fn configure(scratch: &Scratch, port: u16) {
    // Each mode has a port, and a log, of its own.
    let text = format!(
        "user {USER};
         worker_processes 2;
         daemon off;
         pid pid.{port};
         error_log error.{port} notice;
         events {{ worker_connections 256; }}
         http {{
             log_format counts '$remote_port $bytes_sent $request_length';
             access_log access.{port} counts;
             sendfile on;
             keepalive_requests 1000000;
             client_body_temp_path temporary; proxy_temp_path temporary; fastcgi_temp_path temporary;
             uwsgi_temp_path temporary; scgi_temp_path temporary;
             server {{ listen 127.0.0.1:{port}; root pages; }}
         }}"
    );
    scratch.write(&format!("conf.{port}"), text);
}

struct Exchange {
    port: u16,
    server: Outcome,
    ab: [Outcome; 2],
    wrk: Option<Outcome>,
    /// The workers, and the user that each runs as.
    workers: Vec<(u32, u32)>,
}

fn exchange(scratch: &Scratch, mode: Mode) -> Exchange {
    let port = free_port();
    configure(scratch, port);
    let (conf, prefix) = (format!("conf.{port}"), scratch.path.display().to_string());
    let server = Server::start(scratch, mode, "server", &["nginx", "-p", &prefix, "-c", &conf]);
    let pid = server.pid();
    let workers = wait_for("two workers of nginx", || {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        let workers = children.split_whitespace().filter_map(|pid| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let uid = status.lines().find_map(|line| line.strip_prefix("Uid:\t"))?.split('\t').next()?;
            // A worker begins as root.
            (uid != "0").then_some((pid.parse().unwrap(), uid.parse().unwrap()))
        });
        Some(workers.collect::<Vec<_>>()).filter(|workers| workers.len() == 2)
    });
    let url = |page| format!("http://127.0.0.1:{port}/{page}");
    let ab = |name, options: &[&str]| {
        let head = ["ab", "-q", "-n", "200", "-c", "10"];
        scratch.run(mode, name, &[&head, options, &[&*url("page")]].concat())
    };
    let ab = [ab("ab", &[]), ab("ab-keeps", &["-k"])];
    let found = crate::harness::find("wrk").is_some();
    let wrk = found.then(|| scratch.run(mode, "wrk", &["wrk", "-t2", "-c10", "-d1s", &url("small")]));
    // It serves what it has begun, and ends.
    Exchange { port, server: server.stop(libc::SIGQUIT), ab, wrk, workers }
}

/// The lines of ab that say how much there was, not how long it took.
fn amounts(ab: &Outcome) -> Vec<String> {
    let counted =
        ["Document Length", "Complete requests", "Failed requests", "Keep-Alive requests", "HTML transferred"];
    let text = ab.text();
    text.lines().filter(|line| counted.iter().any(|name| line.starts_with(name))).map(str::to_owned).collect()
}

fn number_behind(text: &str, name: &str) -> u64 {
    let rest = text.lines().find_map(|line| line.trim_start().strip_prefix(name)).unwrap_or_else(|| panic!("{text}"));
    rest.trim_start().split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn nginx_logs_what_was_recorded() {
    if !installed("nginx", &["nginx"]) || !installed("apache2-utils", &["ab"]) {
        return;
    }
    // SAFETY: no preconditions.
    if unsafe { libc::geteuid() } != 0 {
        return skipped("nginx", "its workers drop privileges, so it has to begin as root");
    }
    if !fs::read_to_string("/etc/passwd").unwrap().lines().any(|line| line.starts_with(&format!("{USER}:"))) {
        return skipped("nginx", &format!("there is no user {USER}"));
    }
    installed("wrk", &["wrk"]);
    let scratch = Scratch::new("nginx");
    fs::create_dir(scratch.file("pages")).unwrap();
    let temporary = scratch.file("temporary");
    fs::create_dir(&temporary).unwrap();
    fs::set_permissions(temporary, PermissionsExt::from_mode(0o777)).unwrap();
    scratch.write("pages/page", noise(100_000));
    scratch.write("pages/small", "small\n");

    let native = exchange(&scratch, Mode::Native);
    native.server.is_good();
    native.ab.iter().for_each(|ab| _ = ab.is_good());
    for mode in [Mode::Off, Mode::Text, Mode::Region, Mode::Run] {
        let traced = exchange(&scratch, mode);
        // Its pid and port stand in what it says.
        assert_eq!(traced.server.status, native.server.status);
        assert_eq!(without_numbers(&traced.server.text()), without_numbers(&native.server.text()));
        for (traced, native) in traced.ab.iter().zip(&native.ab) {
            assert_eq!((traced.status, amounts(traced)), (native.status, amounts(native)));
        }
        assert_eq!(traced.wrk.as_ref().map(|wrk| wrk.status), native.wrk.as_ref().map(|wrk| wrk.status));
        assert_eq!(traced.workers[0].1, native.workers[0].1, "the workers are another user");
        if mode == Mode::Run {
            recorded(&scratch, &traced);
        }
    }
}

/// Bytes that the server has sent and received, by the port at the other end.
type ByPort = BTreeMap<u16, (u64, u64)>;

fn by_port(connections: &[&Connection]) -> ByPort {
    let mut all = ByPort::new();
    for connection in connections {
        let (sent, received) = all.entry(ports(connection).1).or_default();
        (*sent, *received) = (*sent + connection.sent.bytes, *received + connection.received.bytes);
    }
    // ab opens a few that it never uses.
    all.retain(|_, counts| *counts != (0, 0));
    all
}

fn logged(scratch: &Scratch, port: u16) -> ByPort {
    let mut all = ByPort::new();
    for line in fs::read_to_string(scratch.file(&format!("access.{port}"))).unwrap().lines() {
        let numbers: Vec<u64> = line.split(' ').map(|word| word.parse().unwrap()).collect();
        let (sent, received) = all.entry(numbers[0] as u16).or_default();
        (*sent, *received) = (*sent + numbers[1], *received + numbers[2]);
    }
    all
}

fn recorded(scratch: &Scratch, traced: &Exchange) {
    let server = Recorded::of(&traced.server);
    let passive = server.tcp(Role::Passive);
    assert_eq!(by_port(&passive), logged(scratch, traced.port));
    let listener = server.only(&server.tcp(Role::Listener));
    assert_eq!((listener.accepted, ports_of(listener)), (passive.len() as u64, traced.port));
    // Only the workers accept, after they have become another user and closed what they could.
    for connection in &passive {
        let holder = connection.holders[0].pid;
        assert!(traced.workers.iter().any(|(pid, _)| *pid == holder), "{connection:?} {:?}", traced.workers);
    }
    for ab in &traced.ab {
        let (text, recorded) = (ab.text(), Recorded::of(ab));
        let (sent, received) = totals(&recorded.tcp(Role::Active));
        assert_eq!(received, number_behind(&text, "Total transferred:"));
        assert!(sent > 200 * 50, "{sent}");
    }
    if let Some(wrk) = &traced.wrk {
        let recorded = Recorded::of(wrk);
        let connections = recorded.tcp(Role::Active);
        let theirs = by_port(&passive);
        for connection in connections.iter().filter(|connection| connection.sent.bytes > 0) {
            let (sent, received) = theirs[&ports(connection).0];
            // It hangs up in the middle of things when its time is over.
            assert_eq!(connection.sent.bytes, received, "{connection:?}");
            assert!(connection.received.bytes <= sent, "{connection:?}");
        }
        assert!(connections.len() >= 10, "{}", connections.len());
    }
}

fn ports_of(listener: &Connection) -> u16 {
    listener.local_address().unwrap().port().unwrap()
}
