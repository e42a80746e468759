//! Comma-separated values (RFC 4180): the same fields as JSON Lines in columns, for spreadsheets and `COPY`.

use std::io::{self, Write};

use sockshim_reader::model::Connection;
use sockshim_reader::{Event, Model};

use super::keys::{self, Key};
use super::rows::{Row, Rows};
use super::text::{self, Times};
use super::{About, Ended, Exporter, Format, Known, Options};

/// What the tool knows of this format.
pub const FORMAT: Format = Format {
    name: "csv",
    extension: "csv",
    about: "the same in columns: spreadsheets, pandas, COPY of a database",
    example: "python3 -c 'import csv; print(len(list(csv.DictReader(open(\"x.csv\")))))'",
    is_binary: false,
    has_connections: true,
    looks_ahead: false,
    forgets: true,
    make: |options| Box::new(Csv::new(options)),
};

/// Writes comma-separated values.
struct Csv {
    options: Options,
    rows: Rows,
    line: Columns,
}

impl Csv {
    fn new(options: Options) -> Csv {
        let keys = if options.connections { keys::connection::ALL } else { keys::call::ALL };
        Csv {
            options,
            rows: Rows::default(),
            line: Columns { keys, at: 0, bytes: Vec::new(), times: Times::default() },
        }
    }
}

impl Exporter for Csv {
    fn begin(&mut self, about: &About<'_>, out: &mut dyn Write) -> io::Result<()> {
        self.rows.begin(about);
        let names: Vec<&str> = self.line.keys.iter().map(|key| key.name).collect();
        writeln!(out, "{}", names.join(","))
    }

    fn event(&mut self, event: &Event, known: Known<'_>, out: &mut dyn Write) -> io::Result<()> {
        match event {
            Event::Process(info) => self.rows.renamed(info.process.process),
            Event::Call(call) if !self.options.connections => {
                self.line.begin();
                if self.rows.call(&mut self.line, call, known.so_far) {
                    self.line.end(out)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn connection(&mut self, connection: &Connection, model: &Model, out: &mut dyn Write) -> io::Result<()> {
        self.line.begin();
        self.rows.connection(&mut self.line, connection, model);
        self.line.end(out)
    }

    fn end(&mut self, _ended: &Ended<'_>, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

/// A line in the making.
struct Columns {
    keys: &'static [Key],
    /// The column that is next.
    at: usize,
    bytes: Vec<u8>,
    times: Times,
}

impl Columns {
    fn begin(&mut self) {
        self.at = 0;
        self.bytes.clear();
    }

    /// Goes on to the column of a key: those in between stay empty.
    fn column(&mut self, key: &Key) {
        let skipped = self.keys.iter().skip(self.at).take_while(|column| column.name != key.name).count();
        let commas = skipped + usize::from(self.at > 0);
        self.bytes.extend(std::iter::repeat_n(b',', commas));
        self.at += skipped + 1;
    }

    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let missing = self.keys.len().saturating_sub(self.at.max(1));
        self.bytes.extend(std::iter::repeat_n(b',', missing));
        self.bytes.push(b'\n');
        out.write_all(&self.bytes)
    }
}

impl Row for Columns {
    fn text(&mut self, key: &Key, value: &str) {
        self.column(key);
        if !value.bytes().any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r')) {
            return self.bytes.extend_from_slice(value.as_bytes());
        }
        self.bytes.push(b'"');
        for (at, piece) in value.split('"').enumerate() {
            if at > 0 {
                self.bytes.extend_from_slice(b"\"\"");
            }
            self.bytes.extend_from_slice(piece.as_bytes());
        }
        self.bytes.push(b'"');
    }

    fn plain(&mut self, key: &Key, value: &[u8]) {
        self.column(key);
        self.bytes.extend_from_slice(value);
    }

    fn signed(&mut self, key: &Key, value: i64) {
        self.column(key);
        text::number(&mut self.bytes, value);
    }

    fn unsigned(&mut self, key: &Key, value: u64) {
        self.column(key);
        text::number(&mut self.bytes, value);
    }

    fn time(&mut self, time_ns: u64) {
        // The first two columns.
        self.times.write_both(&mut self.bytes, time_ns, "Z,");
        self.at = 2;
    }

    fn bytes(&mut self, key: &Key, value: &[u8]) {
        self.column(key);
        text::base64(&mut self.bytes, value);
    }

    fn list(&mut self, key: &Key, values: &[String]) {
        self.text(key, &values.join(" "));
    }

    /// How many commas are in front of a field depends on where it stands.
    fn given(&self) -> Option<&[u8]> {
        None
    }

    fn again(&mut self, _fields: &[u8]) {}
}
