//! Datagrams that are lost, come twice or late.

use crate::{c_program, inject};

/// Ten datagrams, numbered, and those that arrive, in their order.
fn arrived(test: &str, rules: &[&str]) -> (Vec<u32>, crate::Ran) {
    let program = c_program("datagrams");
    let ran = inject(test, rules, &[program.to_str().unwrap()]);
    assert_eq!(ran.code(), Some(0));
    (ran.stdout().split_whitespace().map(|number| number.parse().unwrap()).collect(), ran)
}

#[test]
fn datagrams_are_lost_doubled_and_overtaken() {
    assert_eq!(arrived("udp", &["sendto:drop:when=99"]).0, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    let (lost, ran) = arrived("udp-drop", &["sendto:drop:when=3+4"]);
    assert_eq!(lost, [1, 2, 4, 5, 6, 8, 9, 10]);
    assert_eq!(ran.injected(), 2);
    assert!(ran.report().contains("sendto lost by rule 1, 2 times"), "{}", ran.report());
    assert_eq!(arrived("udp-twice", &["sendto:duplicate:when=10"]).0, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10]);
    assert_eq!(arrived("udp-late", &["sendto:reorder:when=2..9+4"]).0, [1, 3, 2, 4, 5, 7, 6, 8, 9, 10]);
}

#[test]
fn the_same_seed_loses_the_same_datagrams() {
    let lossy = |test: &str, seed: &str| arrived(test, &[seed, "sendto:drop:chance=40%"]).0;
    let (one, again, other) = (lossy("seed-1", "seed=1"), lossy("seed-1b", "seed=1"), lossy("seed-2", "seed=2"));
    assert_eq!(one, again);
    assert_ne!(one, other);
    assert!(one.len() < 10 && !one.is_empty(), "{one:?}");
}

#[test]
fn a_stream_loses_no_bytes_by_a_rule_for_datagrams() {
    let program = c_program("stream");
    let ran = inject("stream-drop", &["write:drop"], &[program.to_str().unwrap(), "write"]);
    assert_eq!((ran.stdout().as_str(), ran.injected()), ("1000 end same\n", 0));
}
