//! Which formats there are: for `--list`, and for `--format`, which knows those too that a build was made without.

use std::io::{self, Write};

use clap::builder::PossibleValue;

use super::{FORMATS, names};
use crate::palette;

/// Formats that this build was made without, how names of their files end, and the cargo feature that each needs.
pub(super) const ABSENT: &[(&str, &str, &str)] = &[
    #[cfg(not(feature = "parquet"))]
    ("parquet", "parquet", "parquet"),
];

/// All that `--format` knows: those that are not in this build get an answer of their own, and stand in no help.
pub fn known() -> impl Iterator<Item = PossibleValue> {
    let absent = ABSENT.iter().map(|(name, ..)| PossibleValue::new(name).hide(true));
    names().map(PossibleValue::new).chain(absent)
}

/// Why a format is missing.
pub(super) fn not_here(feature: &str) -> String {
    format!("not in this build, which was made without the cargo feature `{feature}`")
}

/// Asks for a format, where neither a flag nor the name of the output tells one.
pub(super) fn which(output: &str) -> String {
    let all = names().collect::<Vec<_>>().join(", ");
    let endings: Vec<String> = FORMATS.iter().map(|format| format!(".{}", format.extension)).collect();
    let endings = endings.join(", ");
    match output {
        "-" => format!("which format? name one with --format: {all}; or a file with -o that ends in one of {endings}"),
        output => format!("which format? {output} ends in none of {endings}; name one with --format: {all}"),
    }
}

/// `a, b and c`.
pub(super) fn and(words: &[&str]) -> String {
    match words {
        [before @ .., last] if !before.is_empty() => format!("{} and {last}", before.join(", ")),
        words => words.concat(),
    }
}

/// Tells the formats: what each is, who reads it, and how.
pub(super) fn list(out: &mut dyn Write, absent: &[(&str, &str, &str)]) -> io::Result<()> {
    let strong = palette::STRONG;
    let faint = palette::FAINT;
    let width = names().map(str::len).chain(absent.iter().map(|(name, ..)| name.len())).max().unwrap_or(0);
    for format in FORMATS {
        writeln!(out, "{strong}{:<width$}{strong:#}  {}", format.name, format.about)?;
        writeln!(out, "{:<width$}  {faint}{}{faint:#}", "", format.example)?;
    }
    for (name, _, feature) in absent {
        writeln!(out, "{faint}{name:<width$}  {}{faint:#}", not_here(feature))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_names_no_format_is_told_the_endings_that_are_known() {
        for (output, word) in [("a.json", "a.json ends in none of .jsonl, "), ("-", "-o that ends in one of .jsonl, ")]
        {
            let text = which(output);
            for word in [word, ".trace.json", ".otlp.json", ".pcapng", "--format: jsonl, "] {
                assert!(text.contains(word), "{text}");
            }
        }
    }

    #[test]
    fn words_are_put_in_a_row() {
        assert_eq!(
            [and(&[]), and(&["a"]), and(&["a", "b"]), and(&["a", "b", "c"])],
            ["", "a", "a and b", "a, b and c"]
        );
    }
}
