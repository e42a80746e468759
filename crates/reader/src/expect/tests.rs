//! Files of expectations, and what is wrong with them.

use super::*;

#[test]
fn a_file_has_a_flag_on_each_line() {
    let text = "# of the client\n\nno-leaks\nmax-connect 50ms  # on loopback\n  --connects-to localhost:8080\ncloses-first=server\n";
    let all: Vec<Expectation> = lines(text).unwrap().into_iter().map(|expected| expected.what).collect();
    let expected = [
        Expectation::NoLeaks,
        Expectation::MaxPhase(Phase::Connect, 50_000_000),
        Expectation::ConnectsTo("localhost:8080".into(), None),
        Expectation::ClosesFirst(Side::Server),
    ];
    assert_eq!(all, expected);
}

#[test]
fn what_is_expected_is_said_as_it_is_read() {
    let all = ["no-leaks", "no-errors", "no-lints", "all-seen", "connections 3", "writes-first client"];
    let more = ["closes-first server", "connects-to a:1", "connects-to /run/a b.sock x3", "max-first-byte 50.0ms"];
    for text in all.into_iter().chain(more).chain(["max-resolve 1.00s", "max-disconnect 20.0µs"]) {
        assert_eq!(one(text).unwrap().to_string(), text);
    }
    assert_eq!(one("connects-to a:1 x2").unwrap().what, Expectation::ConnectsTo("a:1".into(), Some(2)));
    let of = one("--max-connect=50ms to [::1]:8080").unwrap();
    assert_eq!((of.to.as_deref(), of.to_string()), (Some("[::1]:8080"), "max-connect 50.0ms to [::1]:8080".into()));
    assert_eq!(one("connects-to /run/a to b").unwrap().what, Expectation::ConnectsTo("/run/a to b".into(), None));
}

#[test]
fn a_wrong_line_is_named() {
    let wrong = |text: &str| lines(text).unwrap_err();
    let (line, text) = wrong("no-leaks\nno-leeks\n");
    assert!(line == 2 && text.contains("--no-leeks"), "{text}");
    let (line, text) = wrong("max-connect soon");
    assert!(line == 1 && text.contains("soon") && text.contains("--max-connect"), "{text}");
    assert!(wrong("no-leaks yes").1.contains("yes"));
    assert!(wrong("closes-first me").1.contains("client or server"));
    assert!(wrong("connections many").1.contains("many"));
    assert!(wrong("connects-to").1.contains("HOST:PORT"));
}

#[test]
fn spans_of_time_have_a_unit() {
    let spans = ["200us", "50ms", "1.5s", "7ns"].map(|text| nanoseconds(text).unwrap());
    assert_eq!(spans, [200_000, 50_000_000, 1_500_000_000, 7]);
    for wrong in ["", "50", "ms", "-1s", "1e3s", "1..2s", "1m", "inf"] {
        assert!(nanoseconds(wrong).is_err(), "{wrong:?}");
    }
}
