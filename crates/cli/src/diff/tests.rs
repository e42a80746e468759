use super::*;
use sockshim_reader::model::Verdict;
use std::collections::BTreeSet;

fn seen(id: usize, peer: &str) -> Seen {
    Seen {
        key: Key { program: "curl".into(), kind: "active IPv4".into(), peer: peer.into() },
        id,
        verdict: Verdict::WeClosed,
        durations: vec![("connect", 1_000_000), ("first byte", 30_000_000)],
        bytes: [78, 4096],
        calls: [1, 3],
        errors: BTreeSet::new(),
        lints: BTreeSet::new(),
        functions: ["connect", "recv", "send"].into(),
        accepted: 0,
    }
}

fn words(old: &Seen, new: &Seen, threshold: f64) -> Vec<String> {
    let measure = Measure { threshold, times: true };
    changes(old, new, &measure).iter().map(|change| format!("{}: {}", change.name(), change.words)).collect()
}

#[test]
fn what_changed_is_told_from_what_to_what() {
    let old = seen(0, "localhost:*");
    let mut new = seen(7, "localhost:*");
    assert_eq!(words(&old, &new, 1.0), [""; 0], "the number of a connection is chance");
    new.verdict = Verdict::Refused;
    new.errors.insert(("connect", libc::ECONNREFUSED as u16));
    new.functions = ["connect"].into();
    new.bytes = [0, 4097];
    let expected = [
        "ended: we-closed → refused",
        "errors: + connect ECONNREFUSED",
        "sent: 78 B → 0 B",
        "received: 4096 B → 4097 B",
        "functions: - recv, send",
    ];
    assert_eq!(words(&old, &new, 3.0), expected);
}

#[test]
fn durations_count_when_ratio_and_difference_are_large() {
    let old = seen(0, "a");
    let slower = |name, ns| {
        let mut new = seen(0, "a");
        new.durations = vec![(name, ns)];
        new
    };
    // 19 times as long, and nobody would notice.
    assert_eq!(words(&old, &slower("connect", 19_000_000), 3.0), [""; 0]);
    assert_eq!(words(&old, &slower("connect", 41_000_000), 3.0), ["connect: 1.00ms → 41.0ms, 41x as much"]);
    assert_eq!(words(&old, &slower("first byte", 75_000_000), 3.0), [""; 0]);
    assert_eq!(words(&old, &slower("first byte", 75_000_000), 2.5), ["first byte: 30.0ms → 75.0ms, 2.5x as much"]);
    assert_eq!(words(&slower("connect", 50_000_000), &old, 3.0), ["connect: 50.0ms → 1.00ms, 50x less"]);
    let measure = Measure { threshold: 1.0, times: false };
    assert_eq!(changes(&old, &slower("connect", 1 << 40), &measure), []);
}

#[test]
fn few_calls_more_are_the_schedulers() {
    let (old, mut new) = (seen(0, "a"), seen(0, "a"));
    new.calls = [1, 12];
    assert_eq!(words(&old, &new, 3.0), [""; 0]);
    new.calls = [1, 30];
    assert_eq!(words(&old, &new, 3.0), ["calls: received in 3 → 30 calls, 10x as much"]);
}
