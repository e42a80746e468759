//! Parquet: the rows of JSON Lines as columns, for fleets of machines. One file, or a folder with a file per host and
//! day, as Hive partitions tables and every engine reads them.
//!
//! Rows are collected until they make a row group, `table`, so memory is bounded whatever the trace has.

mod folder;
mod table;

use std::io::{self, Write};

use sockshim_reader::model::Connection;
use sockshim_reader::{Event, Model};

use super::keys::{self, Key};
use super::rows::Rows;
use super::{About, Ended, Exporter, Format, Known, Options};
pub use folder::Folder;
use table::{Run, Table};

/// What the tool knows of this format.
pub const FORMAT: Format = Format {
    name: "parquet",
    extension: "parquet",
    about: "columns, for many traces at once: DuckDB, Spark, ClickHouse; -o FOLDER has files by host and day",
    example: "duckdb -c \"SELECT count(*) FROM 'x.parquet'\"",
    is_binary: true,
    has_connections: true,
    looks_ahead: false,
    forgets: true,
    make: |options| Box::new(Single { options, rows: Rows::default(), table: None }),
};

/// The columns of a table, behind those of the run.
fn columns(options: Options) -> &'static [Key] {
    if options.connections { keys::connection::ALL } else { keys::call::ALL }
}

/// Writes one file.
struct Single {
    options: Options,
    rows: Rows,
    /// None before the beginning.
    table: Option<Table>,
}

impl Exporter for Single {
    fn begin(&mut self, about: &About<'_>, _out: &mut dyn Write) -> io::Result<()> {
        self.rows.begin(about);
        self.table = Some(Table::new(Run::of(about), columns(self.options), self.options.payload)?);
        Ok(())
    }

    fn event(&mut self, event: &Event, known: Known<'_>, out: &mut dyn Write) -> io::Result<()> {
        match event {
            Event::Process(info) => self.rows.renamed(info.process.process),
            Event::Call(call) if !self.options.connections => {
                let Some(table) = &mut self.table else { return Ok(()) };
                if self.rows.call(table.begin(), call, known.so_far) {
                    table.end_row(out)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn connection(&mut self, connection: &Connection, model: &Model, out: &mut dyn Write) -> io::Result<()> {
        let Some(table) = &mut self.table else { return Ok(()) };
        self.rows.connection(table.begin(), connection, model);
        table.end_row(out)
    }

    fn end(&mut self, ended: &Ended<'_>, out: &mut dyn Write) -> io::Result<()> {
        self.table.take().map_or(Ok(()), |table| table.finish(Some(ended), out))
    }
}

#[cfg(test)]
mod tests;
