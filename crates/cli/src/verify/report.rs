//! What a person reads of an audit.

use std::io::{self, Write};

use sockshim_reader::{Audit, Verdict};

use super::Comparison;
use crate::palette;
use crate::views::{count, safe};

/// Prints it: the calls, what is missing by name, and one line that sums it up. With `short`, only
/// what is wrong.
pub fn print(out: &mut dyn Write, comparison: &Comparison, short: bool) -> io::Result<()> {
    let audit = &comparison.audit;
    if !short {
        calls(out, audit)?;
        others(out, "inside", audit, Verdict::Inside)?;
        others(out, "around the shim", audit, Verdict::Unseen)?;
    }
    for text in &comparison.told {
        writeln!(out, "{}", text.split('\n').map(|line| safe(line.as_bytes())).collect::<Vec<_>>().join("\n"))?;
    }
    if !short || !audit.agrees() {
        let style = if audit.agrees() { palette::STRONG } else { palette::ERROR };
        writeln!(out, "{style}sockshim:{style:#} {}", sum(audit))?;
    }
    Ok(())
}

const COLUMNS: [(&str, Verdict); 4] =
    [("SEEN", Verdict::Seen), ("WRONG", Verdict::Wrong), ("MISSED", Verdict::Missed), ("INVENTED", Verdict::Invented)];

/// A line per function. A column that is empty everywhere is left out.
fn calls(out: &mut dyn Write, audit: &Audit) -> io::Result<()> {
    let columns: Vec<_> =
        COLUMNS.iter().filter(|(_, verdict)| *verdict == Verdict::Seen || audit.total(*verdict) > 0).collect();
    let mut names: Vec<&str> = COLUMNS.iter().flat_map(|(_, verdict)| audit.of(*verdict)).map(|(n, _)| n).collect();
    names.sort_unstable();
    names.dedup();
    let width = names.iter().map(|name| name.len()).chain([4]).max().unwrap_or_default();
    let style = palette::STRONG;
    write!(out, "{style}{:width$}", "CALL")?;
    for (heading, _) in &columns {
        write!(out, "  {heading:>8}")?;
    }
    writeln!(out, "{style:#}")?;
    for name in names {
        write!(out, "{name:width$}")?;
        for (_, verdict) in &columns {
            let number = audit.count(*verdict, name);
            let style = if number > 0 && *verdict != Verdict::Seen { palette::ERROR } else { anstyle::Style::new() };
            write!(out, "  {style}{:>8}{style:#}", if number > 0 { number.to_string() } else { String::new() })?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// One line: how many, and where.
fn others(out: &mut dyn Write, what: &str, audit: &Audit, verdict: Verdict) -> io::Result<()> {
    let faint = palette::FAINT;
    let mut all: Vec<(&str, u64)> = audit.of(verdict).collect();
    all.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    match all.as_slice() {
        [] => Ok(()),
        all => {
            let list: Vec<String> = all.iter().map(|(name, count)| format!("{name} ({count})")).collect();
            writeln!(out, "{faint}{what}: {}{faint:#}", safe(list.join(", ").as_bytes()))
        }
    }
}

/// The sentence that people remember.
fn sum(audit: &Audit) -> String {
    let [seen, wrong, missed, invented] = COLUMNS.map(|(_, verdict)| audit.total(verdict));
    let unseen = audit.total(Verdict::Unseen);
    let all = count(seen + wrong + missed, "socket call");
    let around = if unseen > 0 { format!("; {unseen} more passed around the shim") } else { String::new() };
    if audit.agrees() {
        return format!("the kernel agrees: {all} through the shim, each recorded as it was{around}");
    }
    let parts = [(missed, "missed"), (wrong, "wrong"), (invented, "unknown to the kernel")];
    let parts: Vec<String> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    format!("the kernel disagrees: of {all} {}{around}", parts.join(", "))
}
