//! Files of expectations, and what is wrong with them.

use super::*;

#[test]
fn a_file_has_a_flag_on_each_line() {
    let text = "# of the client\n\nno-leaks\nmax-connect 50ms  # on loopback\n  --connects-to localhost:8080\ncloses-first=server\n";
    let all = expectations(text).unwrap();
    assert_eq!(all.len(), 4);
    assert!(all[0].no_leaks);
    assert_eq!(all[1].max_connect, Some(50_000_000));
    assert_eq!(all[2].connects_to, ["localhost:8080"]);
    assert_eq!(all[3].closes_first, Some(Side::Server));
}

#[test]
fn a_wrong_line_is_named() {
    let wrong = |text: &str| expectations(text).unwrap_err();
    let (line, text) = wrong("no-leaks\nno-leeks\n");
    assert!(line == 2 && text.contains("--no-leeks"), "{text}");
    let (line, text) = wrong("max-connect soon");
    assert!(line == 1 && text.contains("soon") && text.contains("--max-connect"), "{text}");
    assert!(wrong("no-leaks yes").1.contains("yes"));
}
