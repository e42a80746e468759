//! A folder of files by host and day: `host=web-7/date=2026-11-24/part-RUN-1-1.parquet`.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use sockshim_reader::model::Connection;
use sockshim_reader::{Event, Model};

use super::super::output::{Output, Whole};
use super::super::rows::Rows;
use super::super::text::Times;
use super::super::{About, Ended, Exporter, Known, Options};
use super::columns;
use super::table::{Run, Table};

const DAY_NS: u64 = 86_400_000_000_000;
/// Days whose files are open at once. Rows come about by time, so that two would do; what a damaged trace claims has
/// no end.
const MAX_OPEN: usize = 8;

/// Writes into a folder, which has nothing of it until [`Folder::put`].
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
    /// Files that are whole, and the folder of each.
    whole: Vec<(PathBuf, Whole)>,
    /// Folders that were not there before, innermost last.
    made: Vec<PathBuf>,
}

impl Folder {
    /// One that has written nothing.
    pub fn new(root: PathBuf, options: Options) -> Folder {
        let (rows, run, files) = (Rows::default(), Run::default(), BTreeMap::new());
        let (whole, made) = (Vec::new(), Vec::new());
        Folder { root, options, rows, run, name: String::new(), start_ns: 0, files, opened: 0, whole, made }
    }

    /// Puts all files in their places, once nothing can go wrong any more but that.
    pub fn put(mut self) -> io::Result<()> {
        for (folder, file) in std::mem::take(&mut self.whole) {
            self.make(&folder)?;
            file.put()?;
        }
        Ok(())
    }

    /// Makes a folder, and remembers what was not there before.
    fn make(&mut self, folder: &Path) -> io::Result<()> {
        let missing: Vec<_> = folder.ancestors().take_while(|folder| !folder.exists()).map(Path::to_owned).collect();
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        self.made.extend(missing.into_iter().rev());
        Ok(())
    }

    /// The folder of a day.
    fn of_day(&self, day: u64) -> PathBuf {
        self.root.join(format!("host={}", partition(&self.run.host))).join(format!("date={}", date(day)))
    }

    /// Writes what a file has not, and keeps it until all are whole.
    fn complete(&mut self, day: u64, ended: Option<&Ended<'_>>) -> io::Result<()> {
        let Some((table, mut output)) = self.files.remove(&day) else { return Ok(()) };
        table.finish(ended, &mut output)?;
        self.whole.push((self.of_day(day), output.whole()?));
        Ok(())
    }

    /// The file for what happened then.
    fn file(&mut self, time_ns: u64) -> io::Result<&mut (Table, Output)> {
        let day = time_ns / DAY_NS;
        if !self.files.contains_key(&day) {
            if let Some(first) = self.files.keys().next().copied().filter(|_| self.files.len() >= MAX_OPEN) {
                self.complete(first, None)?;
            }
            self.opened += 1;
            let root = self.root.clone();
            self.make(&root)?;
            let path = self.of_day(day).join(format!("part-{}-{}.parquet", self.name, self.opened));
            let output = Output::open_in(&root, path)?;
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
        let days: Vec<u64> = self.files.keys().copied().collect();
        days.into_iter().try_for_each(|day| self.complete(day, Some(ended)))
    }
}

impl Drop for Folder {
    /// Takes away the folders that it has made and that nothing was put into.
    fn drop(&mut self) {
        for folder in self.made.iter().rev() {
            let _ = fs::remove_dir(folder);
        }
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
