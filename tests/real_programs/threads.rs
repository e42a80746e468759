//! A C server of eight threads, and a C client of sixty-four: `threads.c`.

use crate::harness::{Mode, Outcome, Scratch, installed};
use crate::recorded::{Recorded, both_ends, lived, ports, totals};
use crate::server::Server;
use sockshim_format::op::Op;
use sockshim_reader::model::{FirstToClose, Role};
use std::collections::BTreeMap;

fn exchange(scratch: &Scratch, mode: Mode) -> (Outcome, Outcome) {
    let mut server = Server::start(scratch, mode, "server", &["./threads"]);
    let port = server.port("port ").to_string();
    let client = scratch.run(mode, "client", &["./threads", &port]);
    (server.outcome(), client)
}

#[test]
fn a_server_of_many_threads() {
    if !installed("gcc", &["gcc"]) {
        return;
    }
    let scratch = Scratch::new("threads");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real_programs/threads.c");
    let flags = ["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread"];
    let gcc = [&["gcc"], &flags[..], &["-o", "threads", source]].concat();
    scratch.run(Mode::Native, "gcc", &gcc).is_good();

    let (native_server, native_client) = exchange(&scratch, Mode::Native);
    native_client.is_good();
    assert_eq!(native_server.is_good().text(), "served 64 received 2016064 sent 2016064\n");
    for mode in [Mode::Off, Mode::Text, Mode::Region, Mode::Run] {
        let (server, client) = exchange(&scratch, mode);
        client.is_like(&native_client);
        // Which thread served how many is chance.
        server.differs_in_stderr(&native_server);
        if mode == Mode::Run {
            recorded(&server, &client);
        }
    }
}

fn recorded(server: &Outcome, client: &Outcome) {
    let threads = server.stderr.lines().filter_map(|line| line.strip_prefix("thread ")?.split_once(" served "));
    let threads: BTreeMap<u32, usize> =
        threads.map(|(tid, served)| (tid.parse().unwrap(), served.parse().unwrap())).collect();
    let (server, client) = (Recorded::of(server), Recorded::of(client));
    let (passive, active) = (server.tcp(Role::Passive), client.tcp(Role::Active));
    assert_eq!((passive.len(), active.len(), totals(&passive)), (64, 64, (2_016_064, 2_016_064)));
    let mut sizes = Vec::new();
    for ours in active {
        let theirs = passive.iter().find(|theirs| ports(theirs).1 == ports(ours).0).unwrap();
        both_ends(ours, theirs);
        lived(ours);
        lived(theirs);
        assert_eq!((ours.closed_first(), theirs.closed_first()), (FirstToClose::Us, FirstToClose::Peer));
        sizes.push(ours.sent.bytes);
    }
    sizes.sort_unstable();
    assert_eq!(sizes, (0..64).map(|i| i * 1000 + 1).collect::<Vec<u64>>());
    // Each thread accepted as often as it says; at the end all of them are told that it is over.
    for (tid, served) in threads {
        let accepted = server.succeeded(Op::Accept).filter(|call| call.tid == tid).count();
        assert_eq!(accepted, served, "thread {tid}");
    }
    let refused = server.calls.iter().filter(|call| call.op() == Some(Op::Accept) && call.call.ret < 0);
    assert_eq!(refused.filter(|call| i32::from(call.call.errno) == libc::EINVAL).count(), 8);
    assert!(server.unfinished.is_empty(), "{:?}", server.unfinished);
}
