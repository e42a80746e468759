use super::*;
use std::path::PathBuf;

#[allow(dead_code)] // the reader's own tests use all of it
#[path = "../../../reader/tests/support/mutator.rs"]
mod mutator;

/// A trace of everything that one can hold.
pub(super) fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../reader/tests/golden/v1.sst")
}

fn flags(file: PathBuf, connections: bool) -> Export {
    let view = crate::flags::View { color: clap::ColorChoice::Never };
    let (output, patience_ns) = ("-".into(), 0);
    Export {
        files: vec![file],
        format: None,
        output,
        endpoint: None,
        patience_ns,
        connections,
        payload: false,
        list: false,
        view,
    }
}

/// What a format makes of it.
pub(super) fn exported(name: &str, connections: bool) -> Vec<u8> {
    let format = FORMATS.iter().find(|format| format.name == name).unwrap();
    let mut out = Vec::new();
    let mut exporter = (format.make)(Options { connections, payload: false });
    write(&flags(golden(), connections), format, exporter.as_mut(), &mut out, &mut |_| {}).unwrap();
    out
}

/// A disk that is full soon: what a damaged trace claims has no end.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn whatever_a_trace_claims_no_format_panics() {
    let folder = tempfile::tempdir().unwrap();
    let sources =
        ["v1.sst", "v1-raw.sst", "v1-region.sst"].map(|name| std::fs::read(golden().with_file_name(name)).unwrap());
    let mut written = 0;
    for case in 0..300 {
        let file = folder.path().join(case.to_string());
        std::fs::write(&file, mutator::Mutator::new(case).mutate(&sources)).unwrap();
        for (format, connections) in FORMATS.iter().flat_map(|format| [(format, false), (format, true)]) {
            let mut exporter = (format.make)(Options { connections, payload: false });
            let flags = flags(file.clone(), connections);
            written += usize::from(write(&flags, format, exporter.as_mut(), &mut Full(1 << 20), &mut |_| {}).is_ok());
        }
        std::fs::remove_file(file).unwrap();
    }
    assert!(written > 300, "{written}");
}

#[test]
fn every_format_has_a_name_an_ending_and_an_example_of_its_own() {
    for (at, format) in FORMATS.iter().enumerate() {
        assert!(format.example.contains(&format!("x.{}", format.extension)), "{}", format.name);
        for other in &FORMATS[at + 1..] {
            assert!(format.name != other.name && format.extension != other.extension);
        }
    }
}

#[test]
fn all_formats_are_listed_and_those_that_are_not_here_say_why() {
    let mut out = Vec::new();
    list(&mut out, &[("arrow", "arrow", "columns")]).unwrap();
    let out = anstream::adapter::strip_bytes(&out).into_vec();
    let said = String::from_utf8(out).unwrap();
    assert!(names().all(|name| said.lines().any(|line| line.starts_with(name))), "{said}");
    let last = said.lines().last().unwrap();
    assert!(last.starts_with("arrow ") && last.contains("not in this build") && last.contains("`columns`"), "{said}");
    // Whatever is left out of a build, its name is known.
    let known: Vec<_> = listed::known().map(|value| value.get_name().to_owned()).collect();
    assert_eq!((known.len(), known.contains(&"parquet".to_owned())), (8, true), "{known:?}");
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
