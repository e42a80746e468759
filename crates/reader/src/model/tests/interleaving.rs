//! In whatever order the calls of several threads come, as long as causes come before their effects, they make the same
//! connections.

use super::story::*;
use super::*;
use std::fmt::Debug;

const CLIENTS: u64 = 5;

/// A call of a thread, and the steps that have to be done before.
struct Step {
    thread: u64,
    after: Vec<usize>,
    call: Box<dyn Fn(&mut Story)>,
}

#[derive(Default)]
struct Script(Vec<Step>);

impl Script {
    fn add(&mut self, thread: u64, after: &[usize], call: impl Fn(&mut Story) + 'static) -> usize {
        self.0.push(Step { thread, after: after.to_vec(), call: Box::new(call) });
        self.0.len() - 1
    }
}

fn address(port: u64) -> Vec<u8> {
    [&[2, 0, 0x4e, port as u8, 127, 0, 0, 1][..], &[0; 8]].concat()
}

/// A server with a thread for each client, and clients in processes of their own: some end in order, one is left open,
/// one is refused, and what is accepted is copied before it is closed.
fn script() -> Script {
    let mut script = Script::default();
    let listening = script.add(0, &[], |story| {
        story.socket(3, 1);
        story.call(Op::Listen, 3, 1, 0, &[(KIND_ADDRESS, ROLE_LOCAL, SERVER)]);
    });
    for client in 1..=CLIENTS {
        let (near, far, fd) = (10 * client, 10 * client + 1, 10 + client as i32);
        script.add(client, &[], move |story| story.socket(3, near));
        let connected = script.add(client, &[listening], move |story| {
            let local = address(client);
            let ends: [(u8, u8, &[u8]); 2] = [(KIND_ADDRESS, ROLE_GIVEN, SERVER), (KIND_ADDRESS, ROLE_LOCAL, &local)];
            match client {
                CLIENTS => story.call_with(Op::Connect, 3, near, -1, &ends, failed(111)),
                _ => story.call(Op::Connect, 3, near, 0, &ends),
            };
        });
        if client == CLIENTS {
            script.add(client, &[], move |story| {
                story.close(3, near, tcp::CLOSE);
            });
            continue;
        }
        let server = 100 + client;
        script.add(server, &[connected], move |story| {
            let (made, peer) = (sock(far, fd, 1), address(client));
            let parts: [(u8, u8, &[u8]); 3] =
                [(KIND_SOCKET, 0, &made), (KIND_ADDRESS, ROLE_PEER, &peer), (KIND_ADDRESS, ROLE_LOCAL, SERVER)];
            story.call(Op::Accept, 3, 1, fd.into(), &parts);
        });
        let asked = script.add(client, &[], move |story| {
            story.call(Op::Write, 3, near, 20, &[]);
        });
        script.add(server, &[asked], move |story| {
            story.call(Op::Read, fd, far, 20, &[]);
        });
        script.add(server, &[], move |story| {
            story.call(Op::Dup, fd, far, i64::from(fd) + 10, &[]);
        });
        script.add(server, &[], move |story| {
            story.close(fd, far, tcp::ESTABLISHED);
        });
        let answered = script.add(server, &[], move |story| {
            story.call(Op::Write, fd + 10, far, 500 * client as i64, &[]);
        });
        let heard = script.add(client, &[answered], move |story| {
            story.call(Op::Read, 3, near, 500 * client as i64, &[]);
        });
        let closed = match client {
            1 => heard,
            _ => script.add(client, &[], move |story| {
                story.close(3, near, tcp::ESTABLISHED);
            }),
        };
        script.add(server, &[closed], move |story| {
            let state = if client == 1 { tcp::ESTABLISHED } else { tcp::CLOSE_WAIT };
            if client != 1 {
                story.call(Op::Read, fd + 10, far, 0, &[]);
            }
            story.close(fd + 10, far, state);
        });
    }
    script
}

/// What is told of the connections that does not depend on times, and on who was seen first.
fn told(mut story: Story) -> Vec<String> {
    story.model.finish(false);
    let of = |value: &dyn Debug| format!("{value:?}");
    let mut told: Vec<String> = Vec::new();
    for conn in story.model.connections() {
        let other = conn.other_end.and_then(|id| story.model.connection(id)).map(|other| other.socket);
        let traffic = |t: &Traffic| (t.bytes, t.calls, t.zero);
        let holders: Vec<(u32, i32)> = conn.holders.iter().map(|holder| (holder.process, holder.fd)).collect();
        let closed = matches!(conn.ending, Ending::Closed(_));
        told.push(of(&(
            (conn.socket, conn.role, conn.connect, other, closed, conn.calls, conn.accepted),
            (traffic(&conn.sent), traffic(&conn.received), &conn.errors, &conn.local, &conn.peer),
            (story.model.verdict(conn), story.model.closed_first(conn), holders, story.model.lints(conn, 0)),
        )));
    }
    told.sort();
    told
}

/// Any thread whose next step may be done goes on.
fn interleaved(mut seed: u64) -> Vec<String> {
    let script = script();
    let mut story = Story::new();
    (1..=CLIENTS).for_each(|client| story.process(1 + client as u32, 0, 200 + client as u32, 1, PROCESS_IMAGE));
    let mut done = vec![false; script.0.len()];
    while done.contains(&false) {
        let may = |at: &usize| {
            let step = &script.0[*at];
            let first = || !(0..*at).any(|before| script.0[before].thread == step.thread && !done[before]);
            !done[*at] && step.after.iter().all(|before| done[*before]) && first()
        };
        let may: Vec<usize> = (0..script.0.len()).filter(may).collect();
        // xorshift64
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let at = may[(seed % may.len() as u64) as usize];
        let step = &script.0[at];
        (story.process, story.tid) = match step.thread {
            client @ 1..=CLIENTS => (1 + client as u32, 0),
            server => (1, 1000 + server as u32),
        };
        (step.call)(&mut story);
        done[at] = true;
    }
    told(story)
}

#[test]
fn the_order_in_which_threads_go_on_makes_no_difference() {
    let first = interleaved(1);
    assert_eq!(first.len() as u64, 2 * CLIENTS);
    let words = ["Refused", "PeerClosed", "WeClosed", "Open", "Listener"];
    assert!(words.iter().all(|word| first.iter().any(|text| text.contains(word))), "{first:#?}");
    for seed in 2..500 {
        let other = interleaved(seed * 0x9e37_79b9_7f4a_7c15);
        let differs = first.iter().zip(&other).find(|(a, b)| a != b);
        assert!(differs.is_none() && first.len() == other.len(), "seed {seed}: {differs:#?}");
    }
}
