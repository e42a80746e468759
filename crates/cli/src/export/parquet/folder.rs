//! A folder of files by host and day: `host=web-7/date=2026-11-24/part-RUN-1-1.parquet`.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use sockshim_reader::model::Connection;
use sockshim_reader::{Event, Model};

use super::super::output::Output;
use super::super::rows::Rows;
use super::super::text::Times;
use super::super::{About, Ended, Exporter, Known, Options};
use super::columns;
use super::table::{Run, Table};

const DAY_NS: u64 = 86_400_000_000_000;
/// Days whose files are open at once. Rows come about by time, so that two would do; what a damaged trace claims has
/// no end.
const MAX_OPEN: usize = 8;

/// Writes into a folder.
pub struct Folder {
    root: PathBuf,
    options: Options,
    rows: Rows,
    run: Run,
    /// The name of the run in names of files: exporting it again replaces them.
    name: String,
    start_ns: u64,
    /// By day since the epoch.
    files: BTreeMap<u64, (Table, Output)>,
    opened: u64,
}

impl Folder {
    /// One that has written nothing.
    pub fn new(root: PathBuf, options: Options) -> Folder {
        let (rows, run, files) = (Rows::default(), Run::default(), BTreeMap::new());
        Folder { root, options, rows, run, name: String::new(), start_ns: 0, files, opened: 0 }
    }

    /// The file for what happened then.
    fn file(&mut self, time_ns: u64) -> io::Result<&mut (Table, Output)> {
        let day = time_ns / DAY_NS;
        if !self.files.contains_key(&day) {
            if self.files.len() >= MAX_OPEN
                && let Some((_, (table, mut output))) = self.files.pop_first()
            {
                table.finish(None, &mut output)?;
                output.finish()?;
            }
            self.opened += 1;
            let folder =
                self.root.join(format!("host={}", partition(&self.run.host))).join(format!("date={}", date(day)));
            DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
            let path = folder.join(format!("part-{}-{}.parquet", self.name, self.opened));
            let output = Output::open(&path, true).map_err(io::Error::other)?;
            let table = Table::new(self.run.clone(), columns(self.options), self.options.payload)?;
            self.files.insert(day, (table, output));
        }
        self.files.get_mut(&day).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Exporter for Folder {
    fn begin(&mut self, about: &About<'_>, _out: &mut dyn Write) -> io::Result<()> {
        self.rows.begin(about);
        self.run = Run::of(about);
        self.name = format!("{}-{}", self.run.id, about.part);
        self.start_ns = about.start_ns;
        Ok(())
    }

    fn event(&mut self, event: &Event, known: Known<'_>, _out: &mut dyn Write) -> io::Result<()> {
        match event {
            Event::Process(info) => self.rows.renamed(info.process.process),
            Event::Call(call) if !self.options.connections => {
                let mut rows = std::mem::take(&mut self.rows);
                let (table, output) = self.file(call.start_ns)?;
                let told = rows.call(table.begin(), call, known.so_far);
                if told {
                    table.end_row(output)?;
                }
                self.rows = rows;
            }
            _ => {}
        }
        Ok(())
    }

    fn connection(&mut self, connection: &Connection, model: &Model, _out: &mut dyn Write) -> io::Result<()> {
        let mut rows = std::mem::take(&mut self.rows);
        let (table, output) = self.file(connection.seen.map_or(self.start_ns, |seen| seen.start_ns))?;
        rows.connection(table.begin(), connection, model);
        table.end_row(output)?;
        self.rows = rows;
        Ok(())
    }

    fn end(&mut self, ended: &Ended<'_>, _out: &mut dyn Write) -> io::Result<()> {
        for (_, (table, mut output)) in std::mem::take(&mut self.files) {
            table.finish(Some(ended), &mut output)?;
            output.finish()?;
        }
        Ok(())
    }
}

/// A value as Hive has it in the name of a folder.
fn partition(value: &str) -> String {
    if value.is_empty() {
        return "__HIVE_DEFAULT_PARTITION__".into();
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    value.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// `2026-11-24`.
fn date(day: u64) -> String {
    let mut text = Vec::new();
    Times::default().write_both(&mut text, day.saturating_mul(DAY_NS), "");
    text.truncate(10);
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_named_as_hive_names_them() {
        assert_eq!(partition("web-7.example"), "web-7.example");
        assert_eq!(partition("../a=b"), "..%2Fa%3Db");
        assert_eq!(partition(""), "__HIVE_DEFAULT_PARTITION__");
        assert_eq!((date(0), date(20_781)), ("1970-01-01".into(), "2026-11-24".into()));
    }
}
