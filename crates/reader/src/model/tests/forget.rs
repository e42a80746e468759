//! What has finished may be forgotten, and whoever does so hears the same.

use super::story::*;
use super::*;

fn address(port: u16) -> Vec<u8> {
    let [high, low] = port.to_be_bytes();
    [&[2, 0, high, low, 127, 0, 0, 1][..], &[0; 8]].concat()
}

/// A client and a server in one process: so many connections in turn, each of which has two ends.
fn in_turn(count: u64) -> Story {
    let mut story = Story::new();
    story.socket(3, 1);
    story.call(Op::Listen, 3, 1, 0, &[(KIND_ADDRESS, ROLE_LOCAL, SERVER)]);
    for number in 0..count {
        let (near, far) = (10 + 2 * number, 11 + 2 * number);
        let client = address(20_000 + (number % 30_000) as u16);
        story.socket(4, near);
        let ends: [(u8, u8, &[u8]); 2] = [(KIND_ADDRESS, ROLE_GIVEN, SERVER), (KIND_ADDRESS, ROLE_LOCAL, &client)];
        story.call(Op::Connect, 4, near, 0, &ends);
        let made = sock(far, 5, 1);
        let parts: [(u8, u8, &[u8]); 3] =
            [(KIND_SOCKET, 0, &made), (KIND_ADDRESS, ROLE_PEER, &client), (KIND_ADDRESS, ROLE_LOCAL, SERVER)];
        story.call(Op::Accept, 3, 1, 5, &parts);
        story.call(Op::Write, 4, near, 10 + number as i64, &[]);
        story.call(Op::Read, 5, far, 10 + number as i64, &[]);
        story.close(4, near, tcp::ESTABLISHED);
        // Every hundredth is closed twice, the second time long after.
        story.close(5, far, tcp::CLOSE_WAIT);
        story.now_ns += 1_000_000;
        if number % 100 == 0 {
            story.call_with(Op::Close, 5, far, -1, &[], failed(errno::EBADF));
        }
    }
    story
}

fn told(model: &Model, connection: &Connection) -> String {
    let other = connection.other_end.and_then(|id| model.connection(id));
    let other = other.map(|other| (other.id, other.received.bytes));
    // Whether it was looked at before the end is nobody's business.
    let connection = &Connection { finished: false, ..connection.clone() };
    let (verdict, sentence) = (model.verdict(connection), model.sentence(connection, 0));
    format!("{other:?} {verdict:?} {sentence} {:?} {connection:?}", model.lints(connection, 0))
}

/// What is told by who forgets at once, in order of numbers, and the most connections that were kept for it.
fn forgetting(events: &[Event]) -> (Vec<String>, usize) {
    let (mut model, mut all) = (Model::new(), BTreeMap::new());
    for event in events {
        model.feed(event);
        for id in model.finished() {
            let connection = model.connection(*id).unwrap();
            assert!(all.insert(*id, told(&model, connection)).is_none(), "#{id} finished twice");
        }
        model.forget(|_| false);
    }
    model.finish(true);
    all.extend(model.connections().map(|connection| (connection.id, told(&model, connection))));
    assert!(all.keys().copied().eq(0..model.connections_in_all()), "a number is missing");
    (all.into_values().collect(), model.most_connections())
}

fn keeping(mut story: Story) -> Vec<String> {
    story.model.finish(true);
    story.model.connections().map(|connection| told(&story.model, connection)).collect()
}

#[test]
fn memory_does_not_grow_with_the_connections_and_the_answer_is_the_same() {
    let mut most = Vec::new();
    for count in [3_000, 6_000] {
        let story = in_turn(count);
        let (forgot, kept) = forgetting(&story.events);
        most.push(kept);
        let whole = keeping(story);
        assert_eq!(forgot.len() as u64, 2 * count + 1);
        let differs = forgot.iter().zip(&whole).find(|(a, b)| a != b);
        assert!(differs.is_none(), "{differs:#?}");
        assert!(whole.iter().skip(1).all(|text| text.starts_with("Some(")), "an end without the other");
        assert_eq!(whole.iter().filter(|text| text.contains("closed twice")).count() as u64, count / 100);
    }
    // What ends within the second that is waited, two for a millisecond, and what ends from one look to the next.
    assert!(most.iter().all(|most| *most < 2 * 1000 + 2 * 1024 + 100), "{most:?}");
    assert_eq!(most[0], most[1], "it grows with the trace");
}

#[test]
fn what_may_still_be_heard_of_is_not_forgotten() {
    let mut story = Story::new();
    // Left open; passed and not received; closed, and its number not named again; inherited by a child.
    for (fd, socket) in [(20, 1), (21, 2), (22, 3), (23, 4)] {
        story.connected(fd, socket);
    }
    let passed = fds(&[(21, 2)]);
    story.call(Op::Sendmsg, 20, 1, 1, &[(KIND_FDS, ROLE_PASSED, &passed)]);
    story.close(21, 2, tcp::ESTABLISHED);
    story.connected(21, 5);
    story.close(22, 3, tcp::ESTABLISHED);
    story.call(Op::Fork, -1, 0, 200, &[]);
    story.close(23, 4, tcp::ESTABLISHED);
    story.connected(23, 6);
    for number in 0..3000 {
        story.connected(4, 100 + number);
        story.close(4, 100 + number, tcp::ESTABLISHED);
        story.now_ns += 1_000_000;
    }
    assert!(story.model.finished().len() > 1000);
    story.model.forget(|_| false);
    assert!([1, 2, 3, 4].iter().all(|socket| story.model.of_socket(*socket).is_some()));
    // The child shows itself late and uses what it was given; the number that was closed is closed again; what was
    // passed arrives.
    story.call_with(Op::Close, 22, 3, -1, &[], failed(errno::EBADF));
    let arrived = fds(&[(30, 2)]);
    story.call(Op::Recvmsg, 20, 1, 1, &[(KIND_FDS, ROLE_MADE, &arrived)]);
    story.process(2, 1, 200, 100, PROCESS_FORK);
    story.call(Op::Write, 23, 4, 20, &[]);
    assert_eq!(story.of(3).facts.mishaps().closed_again, 1);
    assert_eq!((story.of(2).ending, story.of(4).ending), (Ending::Open, Ending::Open));
    assert_eq!((story.of(4).id, story.of(4).sent.bytes), (3, 20));
}
