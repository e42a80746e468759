//! Datagrams that are lost, come twice or late where they are received.

use crate::{c_program, inject};

const ALL: [u32; 10] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];

/// Ten datagrams, numbered, and those that are received by a function, in their order.
fn received(function: &str, rule: &str) -> (Vec<u32>, crate::Ran) {
    let program = c_program("received");
    let test = format!("received-{function}-{}", rule.replace([':', '=', '.', '+'], "-"));
    let ran = inject(&test, &[&format!("{function}:{rule}")], &[program.to_str().unwrap(), function]);
    assert_eq!(ran.code(), Some(0), "{function}:{rule}: {}", String::from_utf8_lossy(&ran.output.stderr));
    (ran.stdout().split_whitespace().map(|number| number.parse().unwrap()).collect(), ran)
}

#[test]
fn each_function_loses_doubles_and_is_overtaken() {
    for function in ["recv", "recvfrom", "recvmsg", "read", "readv"] {
        let (lost, ran) = received(function, "drop:when=3+4");
        assert_eq!((&lost[..], ran.injected()), (&[1, 2, 4, 5, 6, 7, 9, 10][..], 2), "{function}");
        assert!(ran.report().contains(&format!("{function} lost by rule 1, 2 times")), "{}", ran.report());
        let late = received(function, "reorder:when=2..9+4").0;
        assert_eq!(late, [1, 3, 2, 4, 5, 7, 6, 8, 9, 10], "{function}");
    }
    for function in ["recv", "recvfrom", "recvmsg"] {
        let (twice, ran) = received(function, "duplicate:when=10");
        assert_eq!((&twice[..], ran.injected()), (&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10][..], 1), "{function}");
    }
}

#[test]
fn a_batch_loses_doubles_or_lets_ahead_its_first() {
    assert_eq!(received("recvmmsg", "drop:when=2").0, [1, 2, 3, 5, 6, 7, 8, 9, 10]);
    assert_eq!(received("recvmmsg", "duplicate:when=2").0, [1, 2, 3, 4, 4, 5, 6, 7, 8, 9, 10]);
    assert_eq!(received("recvmmsg", "reorder:when=1").0, [2, 1, 3, 4, 5, 6, 7, 8, 9, 10]);
}

#[test]
fn what_nothing_can_overtake_comes_as_it_is() {
    let (all, ran) = received("recvfrom", "reorder:when=11");
    assert_eq!((&all[..], ran.injected()), (&ALL[..], 0));
    // read has no way to look without taking.
    let (all, ran) = received("read", "duplicate");
    assert_eq!((&all[..], ran.injected()), (&ALL[..], 0));
}

#[test]
fn who_does_not_wait_finds_nothing_where_one_was_lost() {
    let program = c_program("received");
    let ran = inject("received-alone", &["recv:drop"], &[program.to_str().unwrap(), "alone"]);
    assert_eq!((ran.stdout().as_str(), ran.injected()), ("-1 Resource temporarily unavailable\n", 1));
}
