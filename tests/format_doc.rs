//! `docs/FORMAT.md` says what the sources say, and its reader reads.

#[path = "support/built.rs"]
mod built;

use built::{lines, root, scratch, succeed, text, tool};
use sockshim_format::op::Op;
use sockshim_format::record::SCHEMA;
use sockshim_reader::order::Events;
use sockshim_reader::{Event, Trace};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

const DOC: &str = "docs/FORMAT.md";

/// The cells of a row of a table, without the marks around code.
fn cells(line: &str) -> Vec<String> {
    let cells = line.trim().trim_matches('|').split(" | ");
    cells.map(|cell| cell.trim().trim_matches('`').to_owned()).collect()
}

/// Every table of a structure, as its line of the schema.
fn documented_layouts(doc: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = doc.lines().peekable();
    while let Some(line) = lines.next() {
        // **`call`**, 64 bytes
        let Some((name, rest)) = line.strip_prefix("**`").and_then(|line| line.split_once("`**, ")) else { continue };
        let size = rest.strip_suffix(" bytes").unwrap_or_else(|| panic!("no size: {line}"));
        let mut schema = format!("{name} {size}");
        while lines
            .next_if(|line| line.is_empty() || line.starts_with("| offset") || line.starts_with("| ---"))
            .is_some()
        {}
        while let Some(row) = lines.next_if(|line| line.starts_with('|')) {
            let cells = cells(row);
            schema += &format!(" {}@{}:{}", cells[1], cells[0], cells[2]);
        }
        found.push(schema + "\n");
    }
    found
}

#[test]
fn every_structure_is_documented_as_it_is() {
    let documented: BTreeSet<String> = documented_layouts(&text(DOC)).into_iter().collect();
    let real: BTreeSet<String> = SCHEMA.iter().map(|line| (*line).to_owned()).collect();
    let missing: Vec<_> = real.difference(&documented).collect();
    let wrong: Vec<_> = documented.difference(&real).collect();
    assert!(missing.is_empty() && wrong.is_empty(), "\nin the sources only: {missing:#?}\nin {DOC} only: {wrong:#?}");
}

#[test]
fn every_number_is_documented_as_it_is() {
    const PREFIXES: &[&str] =
        &["KIND_", "STATE_", "FLAG_", "ROLE_", "PROCESS_", "CLOCK_", "REGION_", "BLOCK_", "CODEC_"];
    let mut real = BTreeMap::new();
    for file in ["region", "record", "trace"] {
        for line in text(&format!("crates/format/src/{file}.rs")).lines() {
            // pub const KIND_CALL: u8 = 1;
            let Some((name, rest)) = line.strip_prefix("pub const ").and_then(|line| line.split_once(':')) else {
                continue;
            };
            let value = rest.split_once("= ").and_then(|(_, value)| value.strip_suffix(';'));
            let number = value.and_then(|value| value.parse::<u64>().ok());
            if let (Some(number), true) = (number, PREFIXES.iter().any(|prefix| name.starts_with(prefix))) {
                real.insert(name.to_owned(), number);
            }
        }
    }
    // The versions stand in the text.
    assert_eq!(real.remove("REGION_VERSION"), Some(1));
    let mut documented = BTreeMap::new();
    for row in text(DOC).lines().filter(|line| line.starts_with('|')) {
        let cells = cells(row);
        if let (Ok(number), Some(name)) = (cells[0].parse(), cells.get(1))
            && PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        {
            documented.insert(name.clone(), number);
        }
    }
    assert_eq!(documented, real);
}

#[test]
fn every_function_is_documented_with_its_numbers() {
    let mut real: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for op in Op::ALL {
        real.entry(op.name()).or_default().push((*op as u16).to_string());
    }
    let doc = text(DOC);
    let table = doc.split("| function | numbers |").nth(1).expect("there is a table of functions");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|')).map(cells).collect::<Vec<_>>();
    let documented: BTreeMap<&str, Vec<String>> =
        rows.iter().map(|row| (&*row[0], row[1].split(", ").map(str::to_owned).collect())).collect();
    assert_eq!(documented, real);
    assert!(rows.iter().all(|row| row.len() == 6), "{DOC}: a row has not six cells");
}

/// What the reader in the document has to print of a trace, but for times.
fn expected(trace: &Path) -> Vec<String> {
    let events = Events::new(Trace::open(trace).unwrap());
    let mut calls: Vec<_> = events
        .filter_map(|event| match event.unwrap() {
            Event::Call(call) if call.is_done() => Some(call),
            _ => None,
        })
        .collect();
    calls.sort_by_key(|info| info.call.start_ticks);
    let line = |info: &sockshim_reader::CallInfo| {
        let call = &info.call;
        let who = format!("process {} thread {}", info.process, info.tid);
        format!("{who} op {} fd {} = {} errno {}", call.op, call.fd, call.ret, call.errno)
    };
    calls.iter().map(line).collect()
}

#[test]
fn the_reader_in_the_document_reads() {
    if Command::new("python3").arg("--version").output().is_err() {
        println!("skipped: there is no python3");
        return;
    }
    let folder = scratch("format_doc");
    let doc = text(DOC);
    let script = doc.split("```python\n").nth(1).and_then(|rest| rest.split("```").next()).expect("there is a reader");
    fs::write(folder.join("reader.py"), script).unwrap();
    let (program, trace) = (folder.join("client"), folder.join("client.sst"));
    succeed(Command::new("gcc").arg("-o").arg(&program).arg(root().join("tests/format_doc/calls.c")));
    succeed(Command::new(tool()).args(["run", "-q", "-o"]).arg(&trace).arg("--").arg(&program));

    let printed = lines(Command::new("python3").arg(folder.join("reader.py")).arg(&trace));
    let (mut calls, mut last) = (Vec::new(), 0.0);
    for line in &printed {
        let (seconds, rest) = line.split_once(' ').unwrap();
        let (call, duration) = rest.strip_suffix(" us").and_then(|rest| rest.rsplit_once(' ')).unwrap();
        let (seconds, duration) = (seconds.parse::<f64>().unwrap(), duration.parse::<f64>().unwrap());
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
        assert!(seconds >= last && (now - seconds).abs() < 60.0, "{line}");
        assert!((0.0..1e6).contains(&duration), "{line}");
        last = seconds;
        calls.push(call.to_owned());
    }
    assert_eq!(calls, expected(&trace));
    // socketpair, 20 times send and recv, close of both
    assert_eq!(calls.len(), 43, "{printed:#?}");
    let send = format!(" op {} ", Op::Send as u16);
    assert_eq!(calls.iter().filter(|call| call.contains(&send) && call.ends_with("= 4 errno 0")).count(), 20);
}
