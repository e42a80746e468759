//! What has changed of one connection.

use std::collections::BTreeSet;

use sockshim_format::errno::errno_name;
use sockshim_format::line::Duration;

use super::side::Seen;
use crate::views::{bytes, count, thousands};

/// A duration that changed by less says nothing: it is the scheduler's.
const LEAST_NS: u64 = 20_000_000;
/// As few calls more or less depend on how the bytes arrived.
const LEAST_CALLS: u64 = 10;

/// How large a change has to be.
pub struct Measure {
    /// Of durations, and of numbers of calls.
    pub threshold: f64,
    /// Whether durations are compared.
    pub times: bool,
}

/// Something that has changed, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What of the connection.
    name: &'static str,
    /// What is told where nothing is measured: the same of all connections that changed alike.
    kind: String,
    /// From what to what.
    pub words: String,
}

impl Change {
    /// What changed, for telling connections that changed alike from others.
    pub fn what(&self) -> (&'static str, &str) {
        (self.name, &self.kind)
    }

    /// What of the connection changed.
    pub fn name(&self) -> &'static str {
        self.name
    }

    fn to(name: &'static str, words: String) -> Change {
        Change { name, kind: words.clone(), words }
    }

    /// One whose numbers are of this connection alone.
    fn measured(name: &'static str, more: bool, words: String) -> Change {
        Change { name, kind: if more { "more" } else { "less" }.into(), words }
    }
}

/// All that has changed, the most telling first.
pub fn changes(old: &Seen, new: &Seen, measure: &Measure) -> Vec<Change> {
    let mut changes = Vec::new();
    if old.verdict != new.verdict {
        changes.push(Change::to("ended", format!("{} → {}", old.verdict.word(), new.verdict.word())));
    }
    let error = |(op, errno): &(&'static str, u16)| format!("{op} {}", errno_name(*errno));
    let errors = |seen: &Seen| seen.errors.iter().map(error).collect::<BTreeSet<String>>();
    set(&mut changes, "errors", &errors(old), &errors(new));
    if old.accepted != new.accepted {
        let words = format!("{} → {}", thousands(old.accepted), thousands(new.accepted));
        changes.push(Change::measured("accepted", new.accepted > old.accepted, words));
    }
    for (at, name) in ["sent", "received"].into_iter().enumerate() {
        let of = |numbers: &[u64; 2]| numbers.get(at).copied().unwrap_or(0);
        let (was, is) = (of(&old.bytes), of(&new.bytes));
        if was != is {
            changes.push(Change::measured(name, is > was, format!("{} → {}", bytes(was), bytes(is))));
        }
        let (was, is) = (of(&old.calls), of(&new.calls));
        if was.abs_diff(is) >= LEAST_CALLS
            && let Some(ratio) = measure.ratio(was, is)
        {
            let words = format!("{name} in {} → {}{ratio}", thousands(was), count(is, "call"));
            changes.push(Change::measured("calls", is > was, words));
        }
    }
    for (name, was) in &old.durations {
        let Some((_, is)) = new.durations.iter().find(|(other, _)| other == name).filter(|_| measure.times) else {
            continue;
        };
        if was.abs_diff(*is) >= LEAST_NS
            && let Some(ratio) = measure.ratio(*was, *is)
        {
            let words = format!("{} → {}{ratio}", Duration(*was), Duration(*is));
            changes.push(Change::measured(name, is > was, words));
        }
    }
    set(&mut changes, "lints", &old.lints, &new.lints);
    set(&mut changes, "functions", &old.functions, &new.functions);
    changes
}

impl Measure {
    /// By how much a number changed, in words; none if that is below the threshold.
    fn ratio(&self, was: u64, is: u64) -> Option<String> {
        let (more, less) = (was.max(is) as f64, was.min(is) as f64);
        if more < less * self.threshold {
            return None;
        }
        Some(match (was, is) {
            (0, _) | (_, 0) => String::new(),
            _ => format!(", {} {}", times(more / less), if is > was { "as much" } else { "less" }),
        })
    }
}

/// `3.2x`, `12x`.
fn times(ratio: f64) -> String {
    if ratio < 9.95 { format!("{ratio:.1}x") } else { format!("{ratio:.0}x") }
}

/// What is no more in a set, and what is new in it.
fn set<T: AsRef<str> + Ord>(changes: &mut Vec<Change>, name: &'static str, old: &BTreeSet<T>, new: &BTreeSet<T>) {
    let list = |sign: &str, mut words: Vec<&str>| match words.as_mut_slice() {
        [] => None,
        words => Some(format!("{sign} {}", words.join(", "))),
    };
    let gone = list("-", old.difference(new).map(AsRef::as_ref).collect());
    let added = list("+", new.difference(old).map(AsRef::as_ref).collect());
    let words: Vec<String> = [gone, added].into_iter().flatten().collect();
    if !words.is_empty() {
        changes.push(Change::to(name, words.join("  ")));
    }
}
