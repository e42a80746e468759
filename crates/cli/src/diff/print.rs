//! The difference as text: `-` for what was, `+` for what is new, `~` for what changed.

use std::io::{self, Write};

use super::{Difference, Group, Pair};
use crate::palette;
use crate::views::report::number;
use crate::views::{count, thousands};

use super::compare::Change;
use super::side::{Key, Seen};

/// Numbers of connections that are told for one set of changes; the others are counted.
const MOST: usize = 5;

/// What differs, program by program and connection by connection.
pub fn print(out: &mut dyn Write, difference: &Difference<'_>) -> io::Result<()> {
    for (name, before, after) in &difference.programs {
        let sign = if before < after { '+' } else { '-' };
        let style = style(sign);
        let name = if name.is_empty() { "?" } else { name };
        let processes = format!("{} → {}", thousands(*before as u64), count_processes(*after));
        writeln!(out, "{style}{sign} program {name}{style:#}: {processes}")?;
    }
    for Group { key, changed, gone, new } in &difference.groups {
        for (changes, pairs) in changed {
            pair(out, key, changes, pairs)?;
        }
        one_sided(out, '-', "only in A", key, gone)?;
        one_sided(out, '+', "only in B", key, new)?;
    }
    Ok(())
}

/// One line for all of it.
pub fn summarize(out: &mut dyn Write, difference: &Difference<'_>, names: &(String, String)) -> io::Result<()> {
    let (before, after) = names;
    let Difference { groups, same, .. } = difference;
    if difference.is_none() {
        let same = count(*same as u64, "connection");
        return writeln!(out, "{before} and {after} behave the same: {same} compared.");
    }
    let same = thousands(*same as u64);
    let sum = |number: fn(&Group<'_>) -> usize| groups.iter().map(number).sum::<usize>();
    let changed = sum(|group| group.changed.iter().map(|(_, pairs)| pairs.len()).sum());
    let (gone, new) = (sum(|group| group.gone.len()), sum(|group| group.new.len()));
    let words: Vec<String> = [(changed, "changed"), (gone, "only in A"), (new, "only in B")]
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, word)| format!("{} {word}", thousands(number as u64)))
        .chain([format!("{same} the same")])
        .collect();
    writeln!(out, "{before} and {after} differ: of their connections {}.", words.join(", "))
}

/// Pairs that changed alike, with the numbers of the first.
fn pair(out: &mut dyn Write, key: &Key, changes: &[Change], pairs: &[Pair<'_>]) -> io::Result<()> {
    let numbers = pairs.iter().map(|(old, new)| format!("{} → {}", number(old.id), number(new.id)));
    heading(out, '~', "", key, numbers, pairs.len())?;
    for change in changes {
        let faint = palette::FAINT;
        let first = if pairs.len() > 1 { " (the first of them)" } else { "" };
        let first = if change.what().1 == change.words { "" } else { first };
        writeln!(out, "    {faint}{:<12}{faint:#}{}{faint}{first}{faint:#}", change.name(), change.words)?;
    }
    Ok(())
}

fn one_sided(out: &mut dyn Write, sign: char, words: &str, key: &Key, seen: &[&Seen]) -> io::Result<()> {
    let Some(first) = seen.first() else { return Ok(()) };
    heading(out, sign, words, key, seen.iter().map(|seen| number(seen.id)), seen.len())?;
    let faint = palette::FAINT;
    let more = if seen.len() > 1 { " (the first of them)" } else { "" };
    writeln!(out, "    {faint}{:<12}{faint:#}{}{faint}{more}{faint:#}", "ended", first.verdict.word())
}

/// `~ curl active IPv4 to localhost:8080  #1 → #1`.
fn heading(
    out: &mut dyn Write,
    sign: char,
    words: &str,
    key: &Key,
    numbers: impl Iterator<Item = String>,
    all: usize,
) -> io::Result<()> {
    let Key { program, kind, peer } = key;
    let style = style(sign);
    let program = if program.is_empty() { "?" } else { program };
    let preposition = if kind.starts_with("passive") || kind.starts_with("listener") { " at " } else { " to " };
    let peer = if peer.is_empty() { String::new() } else { format!("{preposition}{peer}") };
    let mut numbers: Vec<String> = numbers.take(MOST).collect();
    if all > numbers.len() {
        numbers.push(format!("{} more", thousands((all - numbers.len()) as u64)));
    }
    let words = if words.is_empty() { String::new() } else { format!("{words}: ") };
    let (faint, numbers) = (palette::FAINT, numbers.join(", "));
    writeln!(out, "{style}{sign} {program} {kind}{peer}{style:#}  {faint}{words}{numbers}{faint:#}")
}

fn style(sign: char) -> anstyle::Style {
    match sign {
        '-' => anstyle::AnsiColor::Red.on_default(),
        '+' => anstyle::AnsiColor::Green.on_default(),
        _ => palette::STRONG,
    }
}

fn count_processes(number: usize) -> String {
    match number {
        1 => "1 process".into(),
        _ => format!("{} processes", thousands(number as u64)),
    }
}
