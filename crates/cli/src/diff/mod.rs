//! `sockshim diff`: how the behaviour of two runs differs, connection by connection, with diff's exit status.

mod compare;
mod print;
mod side;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use anyhow::Result;

use crate::entry::Exit;
use crate::flags::Diff;
use crate::{out, palette};
use compare::{Change, Measure, changes};
use side::{Key, Seen, Side};

#[cfg(test)]
mod tests;

/// Exit status: there is nothing to compare.
const TROUBLE: u8 = 2;

/// Compares two traces.
pub fn diff(flags: &Diff) -> Result<Exit> {
    match compare_files(flags) {
        // The reader of a pipe had enough: that is no trouble.
        Err(error) if !crate::is_broken_pipe(&error) => {
            let style = palette::ERROR;
            let _ = writeln!(anstream::stderr(), "{style}sockshim:{style:#} {error:#}");
            Ok(Exit::from(TROUBLE))
        }
        result => result,
    }
}

fn compare_files(flags: &Diff) -> Result<Exit> {
    let (before, after) = (Side::read(&flags.before)?, Side::read(&flags.after)?);
    let measure = Measure { threshold: flags.threshold, times: !flags.no_times };
    let difference = Difference::of(&before, &after, &measure);
    let mut out = out::stdout();
    if !flags.brief {
        print::print(&mut out, &difference)?;
    }
    let names = (name(&flags.before), name(&flags.after));
    print::summarize(&mut out, &difference, &names)?;
    out.flush()?;
    drop(out);
    let code = if difference.is_none() { Exit::SUCCESS } else { Exit::FAILURE };
    before.tell()?;
    after.tell()?;
    Ok(code)
}

fn name(path: &Path) -> String {
    crate::views::safe(path.as_os_str().as_encoded_bytes())
}

/// A connection of the first run, and the one of the second that it is compared with.
type Pair<'a> = (&'a Seen, &'a Seen);

/// What differs between two runs.
#[derive(Debug, Default)]
struct Difference<'a> {
    /// Programs of which there were more, or fewer: how many before and after.
    programs: Vec<(&'a str, usize, usize)>,
    /// Connections with one key, in order of first sight.
    groups: Vec<Group<'a>>,
    /// Connections of both that are the same.
    same: usize,
}

/// Connections of one program to one peer that differ.
#[derive(Debug)]
struct Group<'a> {
    key: &'a Key,
    /// What has changed, for each set of changes the pairs that it is true of.
    changed: Vec<(Vec<Change>, Vec<Pair<'a>>)>,
    gone: Vec<&'a Seen>,
    new: Vec<&'a Seen>,
}

impl<'a> Difference<'a> {
    fn of(before: &'a Side, after: &'a Side, measure: &Measure) -> Difference<'a> {
        let mut difference = Difference::default();
        let mut keys: Vec<&Key> = Vec::new();
        let mut grouped: BTreeMap<&Key, [Vec<&Seen>; 2]> = BTreeMap::new();
        for (at, side) in [before, after].into_iter().enumerate() {
            for seen in &side.seen {
                let group = grouped.entry(&seen.key).or_insert_with(|| {
                    keys.push(&seen.key);
                    Default::default()
                });
                group.get_mut(at).into_iter().for_each(|one| one.push(seen));
            }
        }
        for key in keys {
            let Some([old, new]) = grouped.remove(key) else { continue };
            let both = old.len().min(new.len());
            let mut group = Group {
                key,
                changed: Vec::new(),
                gone: old.get(both..).unwrap_or_default().to_vec(),
                new: new.get(both..).unwrap_or_default().to_vec(),
            };
            for (old, new) in old.into_iter().zip(new) {
                let changes = changes(old, new, measure);
                if changes.is_empty() {
                    difference.same += 1;
                    continue;
                }
                // A thousand requests that all became slower are told once.
                let alike = |known: &Vec<Change>| known.iter().map(Change::what).eq(changes.iter().map(Change::what));
                match group.changed.iter_mut().find(|(known, _)| alike(known)) {
                    Some((_, pairs)) => pairs.push((old, new)),
                    None => group.changed.push((changes, vec![(old, new)])),
                }
            }
            if !(group.changed.is_empty() && group.gone.is_empty() && group.new.is_empty()) {
                difference.groups.push(group);
            }
        }
        let names = before.programs.keys().chain(after.programs.keys());
        let count = |side: &Side, name: &str| side.programs.get(name).copied().unwrap_or(0);
        let mut programs: Vec<_> =
            names.map(|name| (name.as_str(), count(before, name), count(after, name))).filter(|p| p.1 != p.2).collect();
        programs.sort_unstable();
        programs.dedup();
        difference.programs = programs;
        difference
    }

    fn is_none(&self) -> bool {
        self.groups.is_empty() && self.programs.is_empty()
    }
}
