//! ssh and sshd on loopback: privilege separation, a seccomp sandbox that kills for a system call too
//! many, closed descriptors, and a scrubbed environment.

use crate::harness::{Mode, Outcome, Scratch, free_port, installed, noise, skipped};
use crate::recorded::{Recorded, both_ends, ports};
use crate::server::Server;
use sockshim_reader::model::{Connect, Role};
use std::fs;

/// Logs in twice: to say something and end with a status, and to send a file there and back.
fn exchange(scratch: &Scratch, mode: Mode) -> (Outcome, [Outcome; 2]) {
    let port = free_port();
    let folder = scratch.path.display();
    let configuration = format!(
        "ListenAddress 127.0.0.1\nPort {port}\nHostKey {folder}/host\nPidFile none\nUsePAM no\nStrictModes no\n\
         AuthorizedKeysFile {folder}/user.pub\nPermitRootLogin prohibit-password\nLogLevel VERBOSE\n"
    );
    let file = scratch.write("configuration", configuration).display().to_string();
    let sshd = crate::harness::find("sshd").unwrap().display().to_string();
    let mut server = Server::start(scratch, mode, "sshd", &[&sshd, "-D", "-e", "-f", &file]);
    server.says("Server listening on 127.0.0.1 port ");
    let port = port.to_string();
    let ssh = |name: &str, stdin: &str, there: &str| {
        let options = "-F none -i user -o BatchMode=yes -o IdentitiesOnly=yes -o StrictHostKeyChecking=no \
            -o UserKnownHostsFile=known -o LogLevel=VERBOSE -l root -p";
        let options: Vec<&str> = options.split_whitespace().collect();
        let arguments = [&["ssh"], &options[..], &[&*port, "127.0.0.1", there]].concat();
        let mut command = scratch.command(mode, name, &arguments);
        command.stdin(fs::File::open(scratch.file(stdin)).unwrap());
        scratch.finish(mode, name, command)
    };
    let clients = [ssh("says", "nothing", "echo ok; exit 3"), ssh("sends", "data", "cat")];
    (server.stop(libc::SIGTERM), clients)
}

#[test]
fn ssh_logs_in() {
    if !installed("openssh-server", &["sshd"]) || !installed("openssh-client", &["ssh", "ssh-keygen"]) {
        return;
    }
    // SAFETY: no preconditions.
    if unsafe { libc::geteuid() } != 0 {
        return skipped("sshd", "it separates privileges only if it has them");
    }
    // Its service would have made it.
    fs::create_dir_all("/run/sshd").unwrap();
    let scratch = Scratch::new("ssh");
    for key in ["host", "user"] {
        let arguments = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key];
        scratch.run(Mode::Native, "make", &arguments).is_good();
    }
    scratch.write("nothing", "");
    let data = noise(200_000);
    scratch.write("data", &data);

    let (native_server, native) = exchange(&scratch, Mode::Native);
    assert_eq!(native[0].exited(3).text(), "ok\n", "{}", native_server.stderr);
    assert!(native[1].is_good().stdout == data);
    for mode in [Mode::Off, Mode::Text, Mode::Region, Mode::Run] {
        let (server, clients) = exchange(&scratch, mode);
        for (traced, native) in clients.iter().zip(&native) {
            // It tells times and bytes there.
            traced.differs_in_stderr(native);
        }
        assert_eq!(server.status, native_server.status);
        if mode == Mode::Run {
            recorded(&server, &clients);
        }
    }
}

fn recorded(server: &Outcome, clients: &[Outcome; 2]) {
    let from = server.stderr.lines().filter_map(|line| line.strip_prefix("Connection from 127.0.0.1 port "));
    let from: Vec<u16> = from.map(|rest| rest.split(' ').next().unwrap().parse().unwrap()).collect();
    let server = Recorded::of(server);
    let passive = server.tcp(Role::Passive);
    assert_eq!((from.len(), passive.len()), (2, 2));
    assert_eq!(server.only(&server.tcp(Role::Listener)).accepted, 2);
    for ((outcome, port), theirs) in clients.iter().zip(from).zip(passive) {
        let client = Recorded::of(outcome);
        let ours = client.only(&client.tcp(Role::Active));
        both_ends(ours, theirs);
        assert_eq!((ours.connect, ports(ours).0), (Connect::Done, port));
        // It does not count the line with which each end introduces itself, nor the tags of packets.
        let (sent, received) = transferred(&outcome.stderr);
        let rest = (ours.sent.bytes - sent, ours.received.bytes - received);
        assert!((40..1500).contains(&rest.0) && (40..1500).contains(&rest.1), "{rest:?}");
    }
}

/// `Transferred: sent 3384, received 3592 bytes, in 0.0 seconds`
fn transferred(stderr: &str) -> (u64, u64) {
    let line =
        stderr.lines().find_map(|line| line.strip_prefix("Transferred: sent ")).unwrap_or_else(|| panic!("{stderr}"));
    let (sent, rest) = line.split_once(", received ").unwrap();
    let (received, _) = rest.split_once(' ').unwrap();
    (sent.parse().unwrap(), received.parse().unwrap())
}
