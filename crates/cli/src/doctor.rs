//! `sockshim doctor`: beforehand, what of a program will be seen and what will not; afterwards, what
//! of a run was not, and why.
//!
//! Both are lists of findings. What is not seen at all decides the exit status.

mod binary;
mod libraries;
mod program;
mod trace;

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use anstyle::{AnsiColor, Style};
use anyhow::Result;
use sockshim_format::region::REGION_MAGIC;
use sockshim_format::trace::TRACE_MAGIC;
use sockshim_reader::{ErrorKind, Trace};

use crate::entry::Exit;
use crate::flags::Doctor;
use crate::target::{Reason, Refusal};
use crate::{out, palette};

/// Exit status: something is not seen.
const NOT_ALL: u8 = 1;
/// Where lines end. Longer words stand over.
const COLUMNS: usize = 100;
/// Names in a row; of more only the number is told.
const NAMES_MAX: usize = 6;

/// How much of something is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    Seen,
    InPart,
    NotSeen,
}

impl Sight {
    fn word(self) -> (&'static str, Style) {
        match self {
            Sight::Seen => ("seen", AnsiColor::Green.on_default()),
            Sight::InPart => ("in part", palette::WARNING),
            Sight::NotSeen => ("not seen", palette::ERROR),
        }
    }
}

/// One thing that is seen, or is not.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    sight: Sight,
    what: String,
    /// Whose it is.
    by: String,
    /// What that means, or what a person can do about it.
    note: String,
}

impl Finding {
    fn by(&mut self, names: String) -> &mut Finding {
        self.by = names;
        self
    }

    fn note(&mut self, note: impl Into<String>) -> &mut Finding {
        self.note = note.into();
        self
    }
}

/// What `doctor` has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Report {
    /// What it is about, in one line.
    subject: String,
    findings: Vec<Finding>,
}

impl Report {
    fn new(subject: String) -> Report {
        Report { subject, findings: Vec::new() }
    }

    /// Adds a finding, to be said more of.
    fn add(&mut self, sight: Sight, what: impl Into<String>) -> &mut Finding {
        let (by, note) = (String::new(), String::new());
        self.findings.push(Finding { sight, what: what.into(), by, note });
        let last = self.findings.len() - 1;
        &mut self.findings[last]
    }

    fn sees_all(&self) -> bool {
        self.findings.iter().all(|finding| finding.sight != Sight::NotSeen)
    }

    fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        let (strong, faint) = (palette::STRONG, palette::FAINT);
        writeln!(out, "{strong}{}{strong:#}", self.subject)?;
        for sight in [Sight::Seen, Sight::InPart, Sight::NotSeen] {
            let (word, style) = sight.word();
            for finding in self.findings.iter().filter(|finding| finding.sight == sight) {
                for (number, line) in wrapped(&finding.what).iter().enumerate() {
                    let word = if number == 0 { word } else { "" };
                    writeln!(out, "  {style}{word:<8}{style:#}  {line}")?;
                }
                let by = if finding.by.is_empty() { String::new() } else { format!("by {}", finding.by) };
                for line in [&by, &finding.note].iter().filter(|text| !text.is_empty()).flat_map(|text| wrapped(text)) {
                    writeln!(out, "            {faint}{line}{faint:#}")?;
                }
            }
        }
        Ok(())
    }
}

/// Looks at a trace or at a program, whichever it is.
pub fn doctor(flags: &Doctor) -> Result<Exit> {
    let path = flags.subject.as_ref();
    let report = match is_trace(path) {
        true => trace::examine(path)?,
        false => match program::examine(&flags.subject) {
            Ok(report) => report,
            Err(error) => return neither(path, error),
        },
    };
    let mut out = out::stdout();
    report.print(&mut out)?;
    out.flush()?;
    Ok(if report.sees_all() { Exit::SUCCESS } else { Exit::from(NOT_ALL) })
}

/// It is no program that could be run: perhaps a trace was meant. The exit status is that of a program all the same, for
/// scripts that ask about one.
fn neither(path: &Path, error: anyhow::Error) -> Result<Exit> {
    let Some(refusal) = error.downcast_ref::<Refusal>() else { return Err(error) };
    let not_run = matches!(
        refusal.reason,
        Reason::NotInPath { .. } | Reason::NotFound | Reason::NotExecutable | Reason::NotProgram
    ) && refusal.interpreter_of.is_none();
    let is_named = path.extension().is_some_and(|ending| ending == "sst");
    let text = match Trace::open(path).err() {
        Some(wrong) if not_run && matches!(wrong.kind, ErrorKind::NotRegular) => wrong.to_string(),
        Some(_) if not_run && is_named && !path.exists() => {
            let program = if matches!(refusal.reason, Reason::NotFound) { "" } else { " in PATH" };
            format!("{}: there is no such trace, and no such program{program}; check the path", path.display())
        }
        Some(wrong) if not_run && is_named => format!("{wrong} (nor is it a program)"),
        Some(_) if not_run && path.is_file() => format!("{refusal}; nor is it a trace, which `sockshim run -o` writes"),
        _ => return Err(error),
    };
    let (style, code) = (palette::ERROR, refusal.exit_code());
    writeln!(anstream::stderr(), "{style}sockshim:{style:#} {text}")?;
    Ok(Exit::from(code))
}

/// Whether the file begins as a trace or a live region does. A bare name that is none is a program.
fn is_trace(path: &Path) -> bool {
    let mut first = [0; 8];
    let whole = |file: &File| file.metadata().is_ok_and(|meta| meta.is_file());
    let read = File::open(path).is_ok_and(|file| whole(&file) && file.read_exact_at(&mut first, 0).is_ok());
    read && [TRACE_MAGIC, REGION_MAGIC].contains(&u64::from_le_bytes(first))
}

/// Names in a row: `a, b and 3 more`.
fn names(names: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let all: Vec<_> = names.into_iter().collect();
    let first = all.iter().take(NAMES_MAX).map(AsRef::as_ref).collect::<Vec<&str>>();
    match (&first[..], all.len().saturating_sub(NAMES_MAX)) {
        ([before @ .., last], 0) if !before.is_empty() => format!("{} and {last}", before.join(", ")),
        (first, 0) => first.concat(),
        (first, more) => format!("{} and {more} more", first.join(", ")),
    }
}

fn wrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= COLUMNS - 12 => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_names_are_counted() {
        assert_eq!(names(["a"; 0]), "");
        assert_eq!(names(["a"]), "a");
        assert_eq!(names(["a", "b", "c"]), "a, b and c");
        assert_eq!(names(["a"; 9]), "a, a, a, a, a, a and 3 more");
    }

    #[test]
    fn lines_end_before_they_are_too_long() {
        assert_eq!(wrapped("two words"), ["two words"]);
        let lines = wrapped(&"word ".repeat(40));
        assert!(lines.len() > 1 && lines.iter().all(|line| line.len() <= COLUMNS - 12));
        assert_eq!(wrapped(&"x".repeat(200)).len(), 1);
    }

    #[test]
    fn what_is_not_seen_decides() {
        let mut report = Report::new("it".into());
        report.add(Sight::Seen, "this");
        report.add(Sight::InPart, "half of that");
        assert!(report.sees_all());
        report.add(Sight::NotSeen, "those").by(names(["a", "b"])).note("look elsewhere");
        assert!(!report.sees_all());
        let mut out = Vec::new();
        report.print(&mut out).unwrap();
        let text = anstream::adapter::strip_str(std::str::from_utf8(&out).unwrap()).to_string();
        let expected = "it\n  seen      this\n  in part   half of that\n  not seen  those\n            by a and b\n            look elsewhere\n";
        assert_eq!(text, expected);
    }
}
