//! The table: a row for each workload, a column for each subject, the goals beside.

use crate::subjects::Subject;
use crate::workloads::{Measured, Unit, Workload};
use std::fmt::Write;

pub struct Table {
    pairs: usize,
    missing: Vec<&'static str>,
    rows: Vec<Row>,
    columns: Vec<&'static str>,
}

struct Row {
    name: &'static str,
    what: &'static str,
    goal: &'static str,
    /// Untraced: what one operation takes, in nanoseconds of CPU.
    bare_ns: f64,
    cells: Vec<(&'static str, String, Option<f64>)>,
}

/// The least, the median, the most.
pub struct Spread(f64, f64, f64);

impl Spread {
    /// The least, the median, the most.
    pub fn numbers(self) -> (f64, f64, f64) {
        (self.0, self.1, self.2)
    }
}

pub fn spread(values: impl Iterator<Item = f64>) -> Spread {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match (values.first(), values.get(values.len() / 2), values.last()) {
        (Some(least), Some(median), Some(most)) => Spread(*least, *median, *most),
        _ => Spread(f64::NAN, f64::NAN, f64::NAN),
    }
}

impl Table {
    pub fn new(pairs: usize, missing: Vec<&'static str>) -> Table {
        Table { pairs, missing, rows: Vec::new(), columns: Vec::new() }
    }

    /// Takes in pairs of (untraced, traced); `None` where the subject could not do it.
    pub fn add(&mut self, workload: &Workload, subject: &Subject, pairs: Option<Vec<(Measured, Measured)>>) {
        if !self.columns.contains(&subject.name) {
            self.columns.push(subject.name);
        }
        if self.rows.last().is_none_or(|row| row.name != workload.name) {
            let (name, what, goal) = (workload.name, workload.what, workload.goal);
            self.rows.push(Row { name, what, goal, bare_ns: f64::NAN, cells: Vec::new() });
        }
        let Some(row) = self.rows.last_mut() else { return };
        let Some(pairs) = pairs else {
            row.cells.push((subject.name, "failed".into(), None));
            return;
        };
        let outside = subject.outside;
        let spent = |m: &Measured| if outside { m.wall_ns } else { m.cpu_ns } / m.operations;
        let bytes = spread(pairs.iter().map(|(_, with)| with.trace_bytes / with.operations)).1;
        row.bare_ns = row.bare_ns.min(spread(pairs.iter().map(|(without, _)| without.cpu_ns / without.operations)).1);
        let cell = match workload.unit {
            Unit::AddedNs | Unit::AddedUs => {
                let unit = if workload.unit == Unit::AddedUs { 1e3 } else { 1.0 };
                let Spread(least, median, most) = spread(pairs.iter().map(|(a, b)| (spent(b) - spent(a)) / unit));
                format!("{median:+.0} <sub>{least:.0}..{most:.0}</sub>")
            }
            Unit::Speed => {
                let speed = |(a, b): &(Measured, Measured)| (b.operations / b.wall_ns) / (a.operations / a.wall_ns);
                let Spread(least, median, most) = spread(pairs.iter().map(speed));
                let cpu = spread(pairs.iter().map(|(a, b)| spent(b) / spent(a))).1;
                let cpu = if outside { String::new() } else { format!(", CPU ×{cpu:.2}") };
                format!("{median:.2}{cpu} <sub>{least:.2}..{most:.2}</sub>")
            }
        };
        row.cells.push((subject.name, cell, (bytes > 0.0).then_some(bytes)));
    }

    pub fn markdown(&self) -> String {
        let mut text = String::new();
        let _ = writeln!(text, "{}\n", machine());
        let _ = writeln!(text, "{} pairs each; the median, and the least and the most of them.\n", self.pairs);
        let _ = writeln!(text, "| | untraced | goal | {} |", self.columns.join(" | "));
        let _ = writeln!(text, "| --- | ---: | --- |{}", " ---: |".repeat(self.columns.len()));
        for row in &self.rows {
            let _ = write!(text, "| **{}**: {} | {:.0} ns | {} |", row.name, row.what, row.bare_ns, row.goal);
            for column in &self.columns {
                let cell = row.cells.iter().find(|cell| cell.0 == *column);
                let _ = write!(text, " {} |", cell.map_or("", |cell| &cell.1));
            }
            text.push('\n');
        }
        let _ = writeln!(text, "\nBytes of trace for each operation:\n");
        let _ = writeln!(text, "| | {} |", self.columns.join(" | "));
        let _ = writeln!(text, "| --- |{}", " ---: |".repeat(self.columns.len()));
        for row in &self.rows {
            let _ = write!(text, "| {} |", row.name);
            for column in &self.columns {
                let bytes = row.cells.iter().find(|cell| cell.0 == *column).and_then(|cell| cell.2);
                let _ = write!(text, " {} |", bytes.map_or(String::new(), |bytes| format!("{bytes:.1}")));
            }
            text.push('\n');
        }
        for name in &self.missing {
            let _ = writeln!(text, "\n{name} is not installed here, and was not measured.");
        }
        text
    }
}

/// What the figures were measured on.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("", |v| v.trim_start_matches([' ', '\t', ':']));
    let cpus = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or("");
    format!("{cpus} CPUs ({model}), Linux {}, load {load} at the end.", kernel.trim())
}

const BEGIN: &str = "<!-- measured by `make bench` -->\n";
const END: &str = "<!-- end -->";

/// Puts the table between the markers.
pub fn write(file: &str, table: &str) {
    let old = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let parts = old.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = parts.unwrap_or_else(|| panic!("{file} has no markers"));
    std::fs::write(file, format!("{before}{BEGIN}\n{table}\n{END}{after}"))
        .unwrap_or_else(|error| panic!("{file}: {error}"));
}
