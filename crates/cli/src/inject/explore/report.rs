//! The table of an exploration: what was survived is counted, the rest told call by call.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::Finding;
use super::outcome::Outcome;
use super::points::Point;
use super::program::Run;
use crate::flags::Explore;
use crate::palette;
use crate::views::count;

/// What is there to tell.
pub struct Exploration<'a> {
    pub flags: &'a Explore,
    pub first: &'a Run,
    pub points: &'a [Point],
    pub findings: &'a [Finding],
    /// Faults that --max left out.
    pub left_out: usize,
    /// Whether the program did the same twice when nothing was injected.
    pub steady: bool,
}

impl Exploration<'_> {
    /// Prints it.
    pub fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        let (strong, faint) = (palette::STRONG, palette::FAINT);
        let command: Vec<_> = self.flags.command.iter().map(|word| word.to_string_lossy()).collect();
        let command = command.join(" ");
        let processes = self.points.iter().map(|point| point.process).max().unwrap_or(1);
        writeln!(
            out,
            "{strong}{}{strong:#}  {faint}{}, {}, {}{faint:#}",
            crate::views::safe(command.as_bytes()),
            count(self.points.len() as u64, "call"),
            count(self.findings.len() as u64, "fault"),
            self.first.ending.status
        )?;
        let rows: Vec<&Finding> =
            self.findings.iter().filter(|f| self.flags.all || f.outcome != Outcome::Same).collect();
        let call = |point: &Point| match processes {
            1 => format!("{} #{}", point.op.name(), point.number),
            _ => format!("{} #{} in process {}", point.op.name(), point.number, point.process),
        };
        let fault = |finding: &Finding| finding.fault.strip_prefix("error=").unwrap_or(&finding.fault).to_owned();
        let calls = rows.iter().map(|f| call(&f.point).len()).max().unwrap_or(0).max(4);
        let faults = rows.iter().map(|f| fault(f).len()).max().unwrap_or(0).max(5);
        if !rows.is_empty() {
            writeln!(out, "\n{faint}{:calls$}  {:faults$}  WHAT BECAME OF IT{faint:#}", "CALL", "FAULT")?;
        }
        for finding in &rows {
            let style = match &finding.outcome {
                outcome if outcome.is_bad() => palette::ERROR,
                Outcome::OtherOutput => palette::WARNING,
                _ => anstyle::Style::new(),
            };
            let words = finding.outcome.words();
            writeln!(out, "{:calls$}  {:faults$}  {style}{words}{style:#}", call(&finding.point), fault(finding))?;
        }
        self.summary(out)?;
        self.again(out, &command)
    }

    /// How many of each kind.
    fn summary(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut kinds: BTreeMap<u8, (&str, u64)> = BTreeMap::new();
        for finding in self.findings {
            let (order, name) = match finding.outcome {
                Outcome::Crashed(_) => (0, "crashed"),
                Outcome::Spins | Outcome::Hangs => (1, "hung"),
                Outcome::Leaked(..) => (2, "leaked"),
                Outcome::OtherOutput => (3, "went wrong without a word"),
                Outcome::Ended(..) => (4, "ended in order with another status"),
                Outcome::Same => (5, "survived"),
                Outcome::NotReached => (6, "not reached"),
            };
            kinds.entry(order).or_insert((name, 0)).1 += 1;
        }
        let words: Vec<String> = kinds.values().map(|(name, times)| format!("{times} {name}")).collect();
        writeln!(out, "\n{}: {}", count(self.findings.len() as u64, "fault"), words.join(", "))?;
        let warning = palette::WARNING;
        if self.left_out > 0 {
            writeln!(out, "{warning}{} left out by --max{warning:#}", count(self.left_out as u64, "fault"))?;
        }
        if !self.steady {
            let text = "the program does not do the same twice, so what became of it may have other reasons";
            writeln!(out, "{warning}{text}{warning:#}")?;
        }
        Ok(())
    }

    /// How to see the worst of them happen.
    fn again(&self, out: &mut dyn Write, command: &str) -> io::Result<()> {
        let Some(worst) = self.findings.iter().filter(|f| f.outcome.is_bad()).min_by_key(|f| &f.outcome) else {
            return Ok(());
        };
        let faint = palette::FAINT;
        writeln!(out, "{faint}again: sockshim run --inject {} -- {command}{faint:#}", worst.rule)
    }
}
