use super::super::tests::exported;

/// The value of a line.
fn value(text: &str, line: &str) -> u64 {
    let found = text.lines().find_map(|other| other.strip_prefix(line)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("{line} is not in {text}")).parse().unwrap()
}

fn sum(text: &str, family: &str) -> u64 {
    let lines = text.lines().filter(|line| line.starts_with(family));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

#[test]
fn the_numbers_are_those_of_the_rows() {
    let text = String::from_utf8(exported("prometheus", false)).unwrap();
    let rows = String::from_utf8(exported("jsonl", true)).unwrap();
    let calls = String::from_utf8(exported("jsonl", false)).unwrap();
    let connections = rows.matches("{\"type\":\"connection\"").count() as u64;
    assert!(connections > 2);
    assert_eq!(value(&text, "sockshim_connections_opened_total"), connections);
    assert_eq!(sum(&text, "sockshim_connections{"), connections);
    assert_eq!(sum(&text, "sockshim_connections_by_verdict{"), connections);
    let done = calls.matches("\"state\":\"done\"").count() as u64;
    assert!(done > 10);
    assert_eq!(sum(&text, "sockshim_calls_total{"), done);
    let of_rows = |key: &str| -> u64 {
        let key = format!("\"{key}\":");
        let values = rows.split(&key).skip(1);
        values.map(|rest| rest.split([',', '}']).next().unwrap().parse::<u64>().unwrap()).sum()
    };
    assert_eq!(value(&text, "sockshim_bytes_total{direction=\"transmit\"}"), of_rows("sent_bytes"));
    assert_eq!(value(&text, "sockshim_bytes_total{direction=\"receive\"}"), of_rows("received_bytes"));
}
