//! `git clone` over the git daemon.

use crate::harness::{Mode, Outcome, Scratch, free_port, installed, noise};
use crate::recorded::{Recorded, ports};
use crate::server::Server;
use sockshim_format::op::Direction;
use sockshim_reader::model::{Cause, Connect, FirstToClose, Role};
use std::fs;

fn git(scratch: &Scratch, arguments: &str) {
    let words: Vec<&str> = arguments.split_whitespace().collect();
    scratch.run(Mode::Native, "make", &[&["git"], &words[..]].concat()).is_good();
}

fn clone(scratch: &Scratch, mode: Mode) -> (Outcome, Outcome) {
    let port = free_port().to_string();
    let (listen, base) = (format!("--port={port}"), format!("--base-path={}", scratch.path.display()));
    let daemon = ["git", "daemon", "--listen=127.0.0.1", "--verbose", "--export-all", &listen, &base];
    let mut daemon = Server::start(scratch, mode, "daemon", &daemon);
    daemon.says("Ready to rumble");
    let (url, folder) = (format!("git://127.0.0.1:{port}/bare"), format!("clone.{}", mode.name()));
    let client = scratch.run(mode, "clone", &["git", "clone", "-q", &url, &folder]);
    // The daemon has reaped its child, so all that this will do has been done.
    daemon.says("Disconnected");
    (daemon.stop(libc::SIGTERM), client)
}

#[test]
fn git_clones() {
    if !installed("git", &["git"]) {
        return;
    }
    let scratch = Scratch::new("git");
    scratch.write(".gitconfig", "[user]\nname = a\nemail = a@localhost\n[init]\ndefaultBranch = main\n");
    git(&scratch, "init -q source");
    let data = noise(400_000);
    scratch.write("source/data", &data);
    git(&scratch, "-C source add data");
    git(&scratch, "-C source commit -q -m first");
    git(&scratch, "clone -q --bare source bare");

    let (native_daemon, native) = clone(&scratch, Mode::Native);
    native.is_good();
    for mode in [Mode::Off, Mode::Text, Mode::Region, Mode::Run] {
        let (daemon, client) = clone(&scratch, mode);
        client.is_like(&native);
        assert_eq!(daemon.status, native_daemon.status);
        assert!(fs::read(scratch.file(&format!("clone.{}/data", mode.name()))).unwrap() == data, "{mode:?}");
        if mode == Mode::Run {
            recorded(&scratch, &daemon, &client);
        }
    }
}

fn recorded(scratch: &Scratch, daemon: &Outcome, client: &Outcome) {
    let line = daemon.stderr.lines().find_map(|line| line.split_once("Connection from 127.0.0.1:")).unwrap().1;
    let (server, client) = (Recorded::of_stdio(daemon), Recorded::of(client));
    let (ours, theirs) = (client.only(&client.tcp(Role::Active)), server.only(&server.tcp(Role::Passive)));
    let (local, peer) = ports(ours);
    assert_eq!((ports(theirs), theirs.received.bytes), ((peer, local), ours.sent.bytes));
    // The list of references leaves through stdio, where nobody can stand in between: a line with the
    // id of HEAD, one with that of its branch, and the end.
    let references = 80 + 61 + 4;
    assert_eq!(ours.received.bytes - theirs.sent.bytes, references, "{theirs:?}");
    let unseen = |direction| server.model.unseen(theirs, direction).map(|unseen| unseen.bytes);
    assert_eq!((unseen(Direction::Sent), unseen(Direction::Received)), (Some(references), Some(0)), "{theirs:?}");
    assert_eq!(server.model.causes(theirs), [Cause::StandardStream]);
    assert_eq!(ours.connect, Connect::Done);
    assert_eq!(ports(ours).0.to_string(), line);
    assert_eq!(server.only(&server.tcp(Role::Listener)).accepted, 1);
    // The pack, with five bytes in front of each 65515, and the talk around it.
    let packs = fs::read_dir(scratch.file("clone.run/.git/objects/pack")).unwrap().map(|entry| entry.unwrap());
    let packs = packs.filter(|entry| entry.path().extension().is_some_and(|e| e == "pack"));
    let pack: u64 = packs.map(|pack| pack.metadata().unwrap().len()).sum();
    assert!(pack > 400_000 && (pack..pack + 5_000).contains(&ours.received.bytes), "{pack} {ours:?}");
    // The client hangs up when it has all; its daemon's copies go with the processes that hold them.
    assert_eq!(ours.closed_first(), FirstToClose::Us, "{ours:?}");
    assert_ne!(theirs.closed_first(), FirstToClose::UsReset, "{theirs:?}");
    // The daemon accepts, forks, and lets other programs talk.
    let holders: Vec<&str> = theirs.holders.iter().map(|holder| &*holder.name).collect();
    assert!(holders.len() > 1 && holders.contains(&"git"), "{holders:?}");
}
