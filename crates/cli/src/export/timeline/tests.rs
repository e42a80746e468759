use std::collections::BTreeMap;

use crate::export::tests::exported;

/// A field of a message: its number, and a number or bytes.
#[derive(Debug, PartialEq)]
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message, which has to consist of whole ones.
fn fields(mut left: &[u8]) -> Vec<(u64, Value<'_>)> {
    fn varint(left: &mut &[u8]) -> u64 {
        let len = left.iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
        let (bytes, rest) = left.split_at(len);
        *left = rest;
        bytes.iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f))
    }
    let mut fields = Vec::new();
    while !left.is_empty() {
        let key = varint(&mut left);
        let value = match key & 7 {
            0 => Value::Number(varint(&mut left)),
            kind => {
                let len = if kind == 1 { 8 } else { varint(&mut left) as usize };
                assert!(kind == 1 || kind == 2, "{kind}");
                let (bytes, rest) = left.split_at(len);
                left = rest;
                Value::Bytes(bytes)
            }
        };
        fields.push((key >> 3, value));
    }
    fields
}

fn number(message: &[u8], field: u64) -> Option<u64> {
    fields(message).into_iter().find_map(|(number, value)| match value {
        Value::Number(value) if number == field => Some(value),
        _ => None,
    })
}

fn message(of: &[u8], field: u64) -> Option<&[u8]> {
    fields(of).into_iter().find_map(|(number, value)| match value {
        Value::Bytes(value) if number == field => Some(value),
        _ => None,
    })
}

#[test]
fn every_slice_of_a_track_that_was_described_begins_and_ends() {
    let file = exported("perfetto", false);
    let (mut open, mut described) = (BTreeMap::<u64, i64>::new(), Vec::new());
    for (field, packet) in fields(&file) {
        let Value::Bytes(packet) = packet else { panic!("a trace has packets") };
        assert_eq!((field, number(packet, 10)), (1, Some(1)));
        if let Some(descriptor) = message(packet, 60) {
            described.push(number(descriptor, 1).unwrap());
        }
        if let Some(event) = message(packet, 11) {
            let track = number(event, 11).unwrap();
            assert!(described.contains(&track), "{track:x}");
            assert!(number(packet, 8).is_some());
            *open.entry(track).or_default() += match number(event, 9).unwrap() {
                1 => 1,
                2 => -1,
                _ => 0,
            };
        }
    }
    assert!(open.len() > 3 && open.values().all(|open| *open >= 0), "{open:?}");
    described.sort_unstable();
    described.dedup();
    let tracks = described.len();
    assert!(tracks >= open.len());
}

#[test]
fn the_json_has_an_event_per_line() {
    let text = String::from_utf8(exported("chrome", false)).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[0].starts_with("{\"displayTimeUnit\":\"ns\"") && lines[0].ends_with("\"traceEvents\":["),
        "{}",
        lines[0]
    );
    let (events, last) = lines[1..].split_at(lines.len() - 2);
    assert_eq!(last, ["]}"]);
    assert!(events.len() > 10);
    for (at, line) in events.iter().enumerate() {
        let end = if at + 1 < events.len() { "}," } else { "}" };
        assert!(line.starts_with("{\"ph\":\"") && line.ends_with(end), "{line}");
    }
}
