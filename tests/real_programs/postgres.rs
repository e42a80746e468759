//! psql and PostgreSQL, over TCP and AF_UNIX. The server refuses to be root, so it is traced by a tool
//! that is not root either.

use crate::harness::{Mode, Outcome, Scratch, find, free_port, installed, skipped};
use crate::recorded::{Recorded, both_ends, lived, ports};
use crate::server::Server;
use sockshim_reader::model::{FirstToClose, Role};
use std::fs;
use std::os::unix::fs::chown;
use std::path::PathBuf;

const USER: &str = "postgres";

/// Where Debian keeps the server's programs: of several versions the last one.
fn programs() -> Option<PathBuf> {
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql").ok()?.map(|e| e.unwrap().path()).collect();
    versions.sort();
    versions.into_iter().rev().map(|version| version.join("bin")).find(|bin| bin.join("initdb").is_file())
}

/// A command line that runs as the user.
fn as_user(words: &[&str]) -> Vec<String> {
    let (id, group) = (format!("--reuid={USER}"), format!("--regid={USER}"));
    let head = ["setpriv", &id, &group, "--init-groups"];
    head.iter().chain(words).map(|word| (*word).to_owned()).collect()
}

const QUERIES: [&str; 3] = [
    "select version() like 'PostgreSQL%'",
    "select length(string_agg(n::text, ' ')) from generate_series(1, 20000) n",
    "select repeat('x', 50000)",
];

fn psql(scratch: &Scratch, mode: Mode, name: &str, host: &str, port: &str) -> Outcome {
    let ports = format!("\\o {name}.{}.port", mode.name());
    let mut arguments = vec!["psql", "-X", "-At", "-h", host, "-p", port, "-U", USER];
    for command in QUERIES.iter().chain(&[&*ports, "select inet_client_port()"]) {
        arguments.extend(["-c", *command]);
    }
    scratch.run(mode, name, &arguments)
}

#[test]
fn psql_asks_postgres() {
    let bin = programs().filter(|_| installed("postgresql-client", &["psql"]));
    let Some(bin) = bin else { return skipped("postgres", "postgresql is not installed") };
    // SAFETY: no preconditions.
    if unsafe { libc::geteuid() } != 0 || find("setpriv").is_none() {
        return skipped("postgres", "only root can become the user that it wants");
    }
    let scratch = Scratch::new("postgres");
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let user = passwd.lines().find_map(|line| line.strip_prefix(&format!("{USER}:"))).unwrap();
    let ids: Vec<u32> = user.split(':').skip(1).take(2).map(|id| id.parse().unwrap()).collect();
    fs::create_dir(scratch.file("home")).unwrap();
    chown(scratch.file("home"), Some(ids[0]), Some(ids[1])).unwrap();
    let (data, sockets) = (scratch.file("home/data").display().to_string(), scratch.file("home").display().to_string());
    let initdb = bin.join("initdb").display().to_string();
    let arguments = as_user(&[&initdb, "-D", &data, "-A", "trust", "--no-sync", "-E", "UTF8"]);
    scratch.run(Mode::Native, "initdb", &arguments.iter().map(String::as_str).collect::<Vec<_>>()).is_good();

    let port = free_port().to_string();
    let postgres = bin.join("postgres").display().to_string();
    let start = |mode: Mode| {
        let (port, sockets) = (format!("port={port}"), format!("unix_socket_directories={sockets}"));
        let options = [
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "fsync=off",
            "-c",
            "log_disconnections=on",
            "-c",
            &port,
            "-c",
            &sockets,
        ];
        let server = [&[&*postgres, "-D", &data], &options[..]].concat();
        let words = match mode {
            Mode::Native => as_user(&server),
            _ => {
                // The tool makes its region as that user, and finds the shim that lies beside it.
                let tool = crate::harness::copy_of_tool(&scratch).display().to_string();
                as_user(&[&[&*tool, "run", "-q", "-o", "home/server.sst", "--"], &server[..]].concat())
            }
        };
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let name = format!("postgres-{}", mode.name());
        let mut server = Server::start(&scratch, Mode::Native, &name, &words);
        server.says("database system is ready to accept connections");
        server
    };
    let server = start(Mode::Native);
    let mut native = Vec::new();
    for (name, host) in [("tcp", "127.0.0.1"), ("unix", &*sockets)] {
        let clients = Mode::ALL.map(|mode| psql(&scratch, mode, name, host, &port));
        clients[0].is_good();
        clients[1..].iter().for_each(|client| client.is_like(&clients[0]));
        let recorded = Recorded::of(&clients[4]);
        if name == "unix" {
            let connection = recorded.only(&recorded.unix(Role::Active));
            let path = format!("{sockets}/.s.PGSQL.{port}");
            assert_eq!(connection.peer_address().and_then(|a| a.unix_path()), Some(path.as_bytes()));
            lived(connection);
        } else {
            agrees(&scratch, &recorded, Mode::Run);
        }
        native.extend(clients.into_iter().take(1));
    }
    // SIGINT is the fast way to end.
    let native_server = server.stop(libc::SIGINT);

    let mut server = start(Mode::Run);
    let client = psql(&scratch, Mode::Run, "tcp", "127.0.0.1", &port);
    // Or else it would tell the client that it is about to end.
    server.says("disconnection: ");
    client.is_like(&native[0]);
    let mut server = server.stop(libc::SIGINT);
    assert_eq!(server.status, native_server.status, "{}", server.stderr);
    (server.trace, server.mode) = (scratch.file("home/server.sst"), Mode::Run);
    let (client, server) = (Recorded::of(&client), Recorded::of(&server));
    agrees(&scratch, &client, Mode::Run);
    let (ours, theirs) = (client.only(&client.tcp(Role::Active)), server.only(&server.tcp(Role::Passive)));
    both_ends(ours, theirs);
    // The postmaster closes its copy as soon as it has forked: that is not the end.
    assert_eq!(theirs.evidence.unread_bytes.unwrap_or(0), 0, "{theirs:?}");
    assert_ne!(theirs.closed_first(), FirstToClose::UsReset, "{theirs:?}");
}

/// Asserts that psql has what the server told it, over the port that the server told it.
fn agrees(scratch: &Scratch, recorded: &Recorded, mode: Mode) {
    let connection = recorded.only(&recorded.tcp(Role::Active));
    let told = fs::read_to_string(scratch.file(&format!("tcp.{}.port", mode.name()))).unwrap();
    assert_eq!(ports(connection).0.to_string(), told.trim());
    assert!((50_000..52_000).contains(&connection.received.bytes), "{connection:?}");
    lived(connection);
}
