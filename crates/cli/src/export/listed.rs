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
