//! A file in the making: columns in memory, until they are a row group.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{ColumnPath, Type};

use super::super::keys::{Key, call, connection};
use super::super::rows::Row;
use super::super::{About, Ended};

/// Rows of a row group.
const GROUP_ROWS: usize = 1 << 17;
/// Bytes of texts and payload that end a row group before that.
const GROUP_BYTES: usize = 64 << 20;

/// Columns that every row has, in front of the others: what makes rows of a fleet's machines and runs one table.
const RUN: [&str; 3] = ["host.name", "boot_id", "run"];
/// What JSON Lines has as text or as base64.
const PAYLOAD: &str = "payload";

/// Which run the rows are of.
#[derive(Clone, Default)]
pub struct Run {
    pub host: String,
    pub boot_id: String,
    pub id: String,
    command: String,
}

impl Run {
    pub fn of(about: &About<'_>) -> Run {
        Run {
            host: about.host.into(),
            boot_id: about.boot_id.into(),
            id: format!("{:016x}{:016x}", about.id[0], about.id[1]),
            command: about.command.into(),
        }
    }
}

/// Where the writer writes to, which wants to own it.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Sink {
    fn drain(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        out.write_all(&bytes)?;
        bytes.clear();
        Ok(())
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The values of a column.
enum Values {
    Numbers(Vec<i64>),
    /// All of them, one behind the other, and where each ends.
    Bytes(Vec<u8>, Vec<usize>),
}

struct Column {
    name: &'static str,
    values: Values,
    /// For each row whether it has a value: 1 or 0.
    there: Vec<i16>,
}

/// A file in the making, and the row that is being given to it.
pub struct Table {
    run: Run,
    columns: Vec<Column>,
    /// The column that is next.
    at: usize,
    rows: usize,
    bytes: usize,
    writer: SerializedFileWriter<Sink>,
    sink: Sink,
}

impl Table {
    pub fn new(run: Run, keys: &'static [Key], payload: bool) -> io::Result<Table> {
        let payload_text = call::PAYLOAD_TEXT.name;
        let names =
            keys.iter().map(|key| key.name).filter(|name| !name.starts_with("payload_") || *name == payload_text);
        let names = names.map(|name| if name == payload_text { PAYLOAD } else { name });
        let names = RUN.into_iter().chain(names.filter(|name| payload || *name != PAYLOAD));
        let columns: Vec<Column> = names.map(Column::new).collect();
        let fields =
            columns.iter().map(|column| column.field().map(Arc::new)).collect::<Result<_, _>>().map_err(failed)?;
        let schema = Type::group_type_builder("sockshim").with_fields(fields).build().map_err(failed)?;
        let mut properties = WriterProperties::builder()
            .set_created_by(concat!("sockshim version ", env!("CARGO_PKG_VERSION")).into())
            .set_compression(Compression::LZ4_RAW);
        // What differs from row to row gains nothing from a dictionary; what grows has small differences.
        for name in ["ts", "ts_ns", "dur_ns"] {
            let path = ColumnPath::from(name);
            properties = properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
        }
        let sink = Sink::default();
        let writer = SerializedFileWriter::new(sink.clone(), Arc::new(schema), Arc::new(properties.build()));
        Ok(Table { run, columns, at: RUN.len(), rows: 0, bytes: 0, writer: writer.map_err(failed)?, sink })
    }

    /// Begins a row. One that is not ended must have been given nothing.
    pub fn begin(&mut self) -> &mut Table {
        self.at = RUN.len();
        self
    }

    /// Ends it: what it was not given is null.
    pub fn end_row(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let Run { host, boot_id, id, .. } = &self.run;
        for (column, value) in self.columns.iter_mut().zip([host, boot_id, id]) {
            if !value.is_empty() {
                self.bytes += column.text(value.as_bytes());
            }
        }
        self.rows += 1;
        for column in &mut self.columns {
            column.there.resize(self.rows, 0);
        }
        if self.rows >= GROUP_ROWS || self.bytes >= GROUP_BYTES { self.group(out) } else { Ok(()) }
    }

    /// Writes a row group.
    fn group(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let mut group = self.writer.next_row_group().map_err(failed)?;
        for column in &mut self.columns {
            let Some(mut writer) = group.next_column().map_err(failed)? else { break };
            let there = Some(&*column.there);
            match &mut column.values {
                Values::Numbers(numbers) => {
                    writer.typed::<Int64Type>().write_batch(numbers, there, None).map_err(failed)?;
                    numbers.clear();
                }
                Values::Bytes(bytes, ends) => {
                    let bytes = Bytes::from(std::mem::take(bytes));
                    let mut start = 0;
                    let value = |end| ByteArray::from(bytes.slice(std::mem::replace(&mut start, end)..end));
                    let values: Vec<ByteArray> = ends.drain(..).map(value).collect();
                    writer.typed::<ByteArrayType>().write_batch(&values, there, None).map_err(failed)?;
                }
            }
            column.there.clear();
            writer.close().map_err(failed)?;
        }
        group.close().map_err(failed)?;
        (self.rows, self.bytes) = (0, 0);
        self.sink.drain(out)
    }

    /// Writes what is left, and how the run ended if that is known.
    pub fn finish(mut self, ended: Option<&Ended<'_>>, out: &mut dyn Write) -> io::Result<()> {
        if self.rows > 0 {
            self.group(out)?;
        }
        for (key, value) in [
            ("sockshim.schema", "1".to_owned()),
            ("sockshim.command", std::mem::take(&mut self.run.command)),
            ("sockshim.lost", ended.map_or(String::new(), |ended| ended.lost.to_string())),
            ("sockshim.complete", ended.is_some_and(|ended| ended.whole).to_string()),
        ] {
            self.writer.append_key_value_metadata(KeyValue::new(key.to_owned(), value));
        }
        self.writer.finish().map_err(failed)?;
        self.sink.drain(out)
    }

    /// Goes on to the column of a key, and gives it a value of a row; there is none for payload that nobody asked for.
    fn column(&mut self, key: &Key) -> Option<&mut Column> {
        let name = if key.name.starts_with("payload_") { PAYLOAD } else { key.name };
        let found = self.columns.iter().skip(self.at).position(|column| column.name == name)?;
        self.at += found + 1;
        self.columns.get_mut(self.at - 1)
    }

    fn put(&mut self, key: &Key, value: &[u8]) {
        let added = self.column(key).map_or(0, |column| column.text(value));
        self.bytes += added;
    }
}

impl Row for Table {
    fn text(&mut self, key: &Key, value: &str) {
        self.put(key, value.as_bytes());
    }

    fn plain(&mut self, key: &Key, value: &[u8]) {
        self.put(key, value);
    }

    fn signed(&mut self, key: &Key, value: i64) {
        if let Some(column) = self.column(key) {
            column.number(value);
        }
    }

    fn unsigned(&mut self, key: &Key, value: u64) {
        // Only what a damaged trace claims is more.
        self.signed(key, i64::try_from(value).unwrap_or(i64::MAX));
    }

    fn time(&mut self, time_ns: u64) {
        self.unsigned(&call::TS, time_ns / 1000);
        self.unsigned(&call::TS_NS, time_ns);
    }

    fn bytes(&mut self, key: &Key, value: &[u8]) {
        self.put(key, value);
    }

    fn list(&mut self, key: &Key, values: &[String]) {
        self.text(key, &values.join(" "));
    }

    /// Columns have no fields to give again.
    fn given(&self) -> Option<&[u8]> {
        None
    }

    fn again(&mut self, _fields: &[u8]) {}
}

impl Column {
    fn new(name: &'static str) -> Column {
        let values = if is_number(name) { Values::Numbers(Vec::new()) } else { Values::Bytes(Vec::new(), Vec::new()) };
        Column { name, values, there: Vec::new() }
    }

    fn field(&self) -> Result<Type, ParquetError> {
        let physical = if is_number(self.name) { Physical::INT64 } else { Physical::BYTE_ARRAY };
        let logical = match self.name {
            "ts" => Some(LogicalType::timestamp(true, TimeUnit::MICROS)),
            name if is_number(name) || name == PAYLOAD => None,
            _ => Some(LogicalType::String),
        };
        let field = Type::primitive_type_builder(self.name, physical).with_repetition(Repetition::OPTIONAL);
        field.with_logical_type(logical).build()
    }

    fn number(&mut self, value: i64) {
        if let Values::Numbers(numbers) = &mut self.values {
            numbers.push(value);
            self.there.push(1);
        }
    }

    /// Adds it, and tells how many bytes that took.
    fn text(&mut self, value: &[u8]) -> usize {
        let Values::Bytes(bytes, ends) = &mut self.values else { return 0 };
        bytes.extend_from_slice(value);
        ends.push(bytes.len());
        self.there.push(1);
        value.len()
    }
}

/// Whether a column has numbers; all others have text.
pub(super) fn is_number(name: &str) -> bool {
    use connection::*;
    let others =
        [&call::TS, &call::TS_NS, &call::RET, &call::BYTES, &call::TID, &PID, &FD, &CALLS, &ACCEPTED, &NET_NAMESPACE];
    ["_ns", "_bytes", "_calls", ".port"].iter().any(|ending| name.ends_with(ending))
        || others.iter().any(|key| key.name == name)
}

fn failed(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(error) => match error.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(error) => io::Error::other(error),
        },
        error => io::Error::other(error),
    }
}
