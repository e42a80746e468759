//! Every fact is a sentence in both languages.

use super::*;

/// Facts of every kind.
fn samples() -> Vec<Fact> {
    let text = |text: &str| text.to_owned();
    let (bytes, fd, took_ns, waited_ns) = (1204, 5, 85_000, 30_000_000);
    let address = || text("127.0.0.1:8080");
    let stages = [Stage::Resolve, Stage::Create, Stage::Connect, Stage::Communicate, Stage::Disconnect];
    let lessons = [
        Lesson::Descriptor,
        Lesson::Handshake,
        Lesson::InProgress,
        Lesson::Backlog,
        Lesson::Accept,
        Lesson::Stream,
        Lesson::Write,
        Lesson::End,
        Lesson::Datagram,
        Lesson::Again,
        Lesson::TimeWait,
        Lesson::HalfClose,
        Lesson::Reset,
    ];
    let kinds = [
        fact::Kind::Tcp { six: false },
        fact::Kind::Tcp { six: true },
        fact::Kind::Udp { six: false },
        fact::Kind::Udp { six: true },
        fact::Kind::Local { stream: true },
        fact::Kind::Local { stream: false },
        fact::Kind::Other { family: text("AF_NETLINK"), kind: text("SOCK_RAW") },
    ];
    use fact::Closing;
    let closings = [
        Closing::First { tcp: true },
        Closing::First { tcp: false },
        Closing::Second,
        Closing::AfterHalfClose,
        Closing::Unread { bytes: 1 },
        Closing::Unread { bytes: 3 },
        Closing::Linger,
        Closing::AfterReset,
        Closing::Both,
        Closing::Listener,
        Closing::Datagram,
        Closing::Unconnected,
        Closing::StillNamed,
        Closing::Unknown,
    ];
    let mut facts: Vec<Fact> = stages.map(Fact::Stage).into();
    facts.push(Fact::Secured { version: None, name: None, took_ns });
    facts.push(Fact::Secured { version: Some(text("TLS 1.3")), name: Some(text("localhost")), took_ns });
    facts.extend(stages.map(|stage| Fact::Lesson(Lesson::Stage(stage))));
    facts.extend(lessons.map(Fact::Lesson));
    facts.extend(kinds.map(|kind| Fact::Created { fd, kind }));
    for other in [End::Client, End::Server, End::Socket] {
        facts.extend(closings.map(|closing| Fact::Closed { fd, closing, other }));
        facts.extend([Fact::WaitsForBytes { other }, Fact::WaitsForRoom { other }, Fact::WasReset { other }]);
        for yes in [false, true] {
            facts.push(Fact::ShutDown { both: yes, other });
            facts.push(Fact::Ended { other, first: yes });
            facts.push(Fact::LeftOpen { fd, other_is_gone: yes, other });
        }
    }
    for errno in 1..=133 {
        facts.push(Fact::Failed { op: Op::Connect, errno, target: Some(address()) });
        facts.push(Fact::Failed { op: Op::Write, errno, target: None });
    }
    for name in [None, Some(text("localhost"))] {
        facts.push(Fact::ConnectBegun { name: name.clone(), address: address() });
        let local = name.clone().map(|_| address());
        facts.push(Fact::Connected { name, ip: text("::1"), port: 80, local: local.clone(), took_ns });
        facts.push(Fact::Accepted { fd, listener: 3, peer: local.clone(), waited_ns: 0 });
        facts.push(Fact::Accepted { fd, listener: 3, peer: local.clone(), waited_ns });
        facts.push(Fact::Listening { address: local.clone(), backlog: 4096 });
        facts.push(Fact::SentDatagram { bytes, to: local.clone() });
        facts.push(Fact::ReceivedDatagram { bytes, from: local.clone(), waited_ns });
        let begins = local.map(|_| text("GET / HTTP/1.1"));
        facts.push(Fact::Wrote { bytes, asked: bytes, begins: begins.clone() });
        facts.push(Fact::Wrote { bytes, asked: 5000, begins: begins.clone() });
        facts.push(Fact::Read { bytes, waited_ns, begins });
    }
    let names = vec![text("TCP_NODELAY"), text("SO_KEEPALIVE")];
    facts.extend([
        Fact::Program { name: text("curl"), pid: 7 },
        Fact::Resolved { name: text("localhost"), addresses: vec![text("::1"), text("127.0.0.1")], took_ns },
        Fact::Unresolved { name: text("localhorst"), error: text("EAI_NONAME") },
        Fact::Paired { fds: (3, 4) },
        Fact::Options { count: 1, names: names[..1].to_vec() },
        Fact::Options { count: 2, names: names.clone() },
        Fact::Options { count: 9, names },
        Fact::Bound { address: address(), port_is_free: false },
        Fact::Bound { address: address(), port_is_free: true },
        Fact::WaitsForClient,
        Fact::WaitsForAnswer,
        Fact::ConnectedTo { address: text("/run/x"), took_ns },
        Fact::PeerChosen { address: address() },
        Fact::WroteMore { calls: 1, bytes },
        Fact::ReadMore { calls: 1204, bytes },
        Fact::Exchanged { writes: 1, sent: 1, reads: 2, received: 2 },
        Fact::Again { reading: true },
        Fact::Again { reading: false },
        Fact::ReadsNoMore,
        Fact::Injected { op: Op::Connect, injected: Injected { rule: 1, what: 1, value: 111, delay_ns: 0 } },
        Fact::Lost { count: 1 },
        Fact::Untold { told: 24 },
        Fact::Over { sockets: 1, sent: 1, received: 2 },
    ]);
    facts
}

#[test]
fn every_fact_is_a_sentence_in_both_languages() {
    let wide = |char: char| "，。：；、？（）“”".contains(char);
    for fact in samples() {
        let (english, chinese) = (Lang::En.say(&fact), Lang::Zh.say(&fact));
        assert!(english.ends_with(['.', '?']), "{english}");
        assert!(chinese.ends_with(['。', '？']), "{chinese}");
        for text in [&english, &chinese] {
            assert!(!text.contains("  ") && !text.contains(" .") && text.trim() == text.as_str(), "{text:?}");
        }
        let pairs = chinese.chars().zip(chinese.chars().skip(1));
        let odd = pairs.into_iter().find(|pair| matches!(pair, (' ', char) | (char, ' ') if wide(*char)));
        assert_eq!(odd, None, "a blank beside wide punctuation in {chinese}");
    }
}
