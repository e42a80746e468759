//! redis-server, whose INFO counts connections and bytes; redis-benchmark and redis-cli.

use crate::harness::{Mode, Outcome, Scratch, free_port, installed, without_numbers};
use crate::recorded::{Recorded, both_ends, lived, ports, totals};
use crate::server::Server;
use sockshim_reader::model::{FirstToClose, Role};

/// What INFO said, by name.
fn counter(info: &Outcome, name: &str) -> u64 {
    let text = info.text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {name}:\n{text}")).trim_end().parse().unwrap()
}

struct Exchange {
    server: Outcome,
    benchmark: Outcome,
    info: Outcome,
}

fn exchange(scratch: &Scratch, mode: Mode) -> Exchange {
    let port = free_port().to_string();
    let options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port", &port];
    let mut server = Server::start(scratch, mode, "server", &[&["redis-server"][..], &options].concat());
    server.says("Ready to accept connections");
    let load = ["-p", &port, "-n", "4000", "-c", "20", "-d", "100", "-t", "ping_mbulk,set,get,lpush", "--csv"];
    let benchmark = scratch.run(mode, "benchmark", &[&["redis-benchmark"][..], &load].concat());
    let info = scratch.run(mode, "info", &["redis-cli", "-p", &port, "info", "stats"]);
    // It ends by itself when it is told to.
    Exchange { server: server.stop(libc::SIGTERM), benchmark, info }
}

#[test]
fn redis_counts_what_was_recorded() {
    if !installed("redis-server", &["redis-server", "redis-benchmark", "redis-cli"]) {
        return;
    }
    let scratch = Scratch::new("redis");
    let native = exchange(&scratch, Mode::Native);
    for outcome in [&native.server, &native.benchmark, &native.info] {
        outcome.is_good();
    }
    for mode in [Mode::Off, Mode::Text, Mode::Region, Mode::Run] {
        let traced = exchange(&scratch, mode);
        assert_eq!(traced.server.status, native.server.status);
        assert_eq!(traced.benchmark.status, native.benchmark.status);
        assert_eq!(traced.info.status, native.info.status);
        // Requests per second, and what they took.
        assert_eq!(without_numbers(&traced.benchmark.text()), without_numbers(&native.benchmark.text()));
        // Rates, and how often timers went off.
        assert_eq!(without_numbers(&traced.info.text()), without_numbers(&native.info.text()));
        for name in ["total_connections_received", "total_commands_processed", "total_net_input_bytes"] {
            assert_eq!(counter(&traced.info, name), counter(&native.info, name), "{name}");
        }
        if mode == Mode::Run {
            recorded(&traced);
        }
    }
}

fn recorded(traced: &Exchange) {
    let Exchange { server, benchmark, info } = traced;
    let (theirs, ours, asking) = (Recorded::of(server), Recorded::of(benchmark), Recorded::of(info));
    let passive = theirs.tcp(Role::Passive);
    let (sent, received) = totals(&passive);
    let accepted: u64 = theirs.tcp(Role::Listener).iter().map(|listener| listener.accepted).sum();
    assert_eq!(accepted, counter(info, "total_connections_received"));
    assert_eq!(passive.len() as u64, accepted);
    assert_eq!(received, counter(info, "total_net_input_bytes"));
    // The reply that tells it is not counted yet when it is written.
    let asked = asking.only(&asking.tcp(Role::Active));
    assert_eq!(sent - asked.received.bytes, counter(info, "total_net_output_bytes"));
    assert!(asked.received.bytes > info.stdout.len() as u64, "{asked:?}");

    for connection in ours.tcp(Role::Active).into_iter().chain([asked]) {
        let same = |other: &&&sockshim_reader::model::Connection| ports(other).1 == ports(connection).0;
        // Ports are used again: of the connections from this one, one has the same bytes.
        let candidates: Vec<_> = passive.iter().filter(same).collect();
        let other = candidates.iter().find(|other| other.sent.bytes == connection.received.bytes);
        both_ends(connection, other.unwrap_or_else(|| panic!("{connection:?}\n{candidates:?}")));
    }
    for connection in ours.tcp(Role::Active).iter().filter(|connection| connection.received.bytes > 0) {
        lived(connection);
        assert_eq!(connection.closed_first(), FirstToClose::Us, "{connection:?}");
    }
}
