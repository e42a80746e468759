use super::*;
use std::path::PathBuf;

/// A trace of everything that one can hold.
pub(super) fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../reader/tests/golden/v1.sst")
}

/// What a format makes of it.
pub(super) fn exported(name: &str, connections: bool) -> Vec<u8> {
    let format = FORMATS.iter().find(|format| format.name == name).unwrap();
    let flags = Export {
        files: vec![golden()],
        format: None,
        output: "-".into(),
        connections,
        list: false,
        view: crate::flags::View { color: clap::ColorChoice::Never },
    };
    let mut out = Vec::new();
    write(&flags, format, (format.make)(Options { connections }).as_mut(), &mut out).unwrap();
    out
}

#[test]
fn every_format_has_a_name_an_ending_and_an_example_of_its_own() {
    for (at, format) in FORMATS.iter().enumerate() {
        assert!(format.example.contains(&format!("x.{}", format.extension)), "{}", format.name);
        for other in &FORMATS[at + 1..] {
            assert!(format.name != other.name && format.extension != other.extension);
        }
    }
    let mut out = Vec::new();
    list(&mut out).unwrap();
    assert!(names().all(|name| String::from_utf8_lossy(&out).contains(name)));
}

#[test]
fn rows_have_the_same_fields_in_both_formats() {
    for connections in [false, true] {
        let lines = String::from_utf8(exported("jsonl", connections)).unwrap();
        let csv = String::from_utf8(exported("csv", connections)).unwrap();
        let kind = if connections { "{\"type\":\"connection\"" } else { "{\"type\":\"call\"" };
        let rows: Vec<&str> = lines.lines().filter(|line| line.starts_with(kind)).collect();
        assert!(rows.len() > 2, "{lines}");
        let keys = if connections { keys::connection::ALL } else { keys::call::ALL };
        let head = csv.lines().next().unwrap();
        assert_eq!(head.split(',').collect::<Vec<_>>(), keys.iter().map(|key| key.name).collect::<Vec<_>>());
        // Keys stand in the order of the columns, or rows of columns would be torn apart.
        for row in rows {
            let places: Vec<_> = keys.iter().filter_map(|key| row.find(key.json)).collect();
            assert!(places.is_sorted(), "{row}");
        }
    }
}

#[test]
fn a_call_that_never_returned_is_told_in_the_end() {
    let lines = String::from_utf8(exported("jsonl", false)).unwrap();
    assert!(lines.starts_with("{\"type\":\"header\",\"schema\":1,"), "{lines}");
    assert!(lines.lines().last().unwrap().starts_with("{\"type\":\"end\","), "{lines}");
    assert!(lines.contains("\"state\":\"entered\""), "{lines}");
}
