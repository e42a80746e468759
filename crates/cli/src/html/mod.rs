//! A report as a page for browsers: one file with its style, its script and its data, that needs no network.
//!
//! ```text
//! page.html     what is there without any data, and the policy that forbids network
//! style.css     how it looks: light, dark, on a phone, on paper
//! page.js       takes the data apart; the summary, the table
//! plots.js      the waterfall, bytes over time, latencies, peers
//! detail.js     one connection: its phases, its notes, its calls as a sequence
//! data          the model to JSON
//! calls         the calls that are drawn
//! ```
//!
//! Data is text that is parsed, and is put on the page as text: nothing that a program sent or was called can be markup.

pub mod calls;
mod data;
mod json;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::reading::note;
use crate::views::bytes;
use crate::views::report::{Item, Scene};
use calls::Calls;

const PAGE: &str = include_str!("page.html");
/// What stands in the page for a part of it.
const PARTS: [(&str, &str); 4] = [
    ("/*STYLE*/", include_str!("style.css")),
    ("/*PAGE*/", include_str!("page.js")),
    ("/*PLOTS*/", include_str!("plots.js")),
    ("/*DETAIL*/", include_str!("detail.js")),
];
const DATA: &str = "/*DATA*/";

/// The page.
pub fn page(scene: &Scene<'_>, items: &[Item<'_>], title: &str, summary: &str, calls: &Calls<'_>) -> String {
    let mut page = PAGE.to_owned();
    for (mark, part) in PARTS {
        page = page.replacen(mark, part, 1);
    }
    let summary = anstream::adapter::strip_str(summary).to_string();
    // Last, and once: a mark in the data is not looked for.
    page.replacen(DATA, &data::json(scene, items, title, &summary, calls), 1)
}

/// Writes it: beside the file, and renamed, so that nobody sees half of it. `-` is `out`.
pub fn save(path: &Path, out: &mut dyn Write, page: &str) -> Result<()> {
    if path == Path::new("-") {
        return Ok(out.write_all(page.as_bytes())?);
    }
    let failed = || format!("cannot write {}", path.display());
    // A terminal, a pipe: nothing that could be replaced.
    if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        fs::write(path, page).with_context(failed)?;
    } else {
        replace(path, page).with_context(failed)?;
    }
    note(format!("{}: {}, for any browser", path.display(), bytes(page.len() as u64)))?;
    Ok(())
}

fn replace(path: &Path, page: &str) -> io::Result<()> {
    let name = path.file_name().ok_or_else(|| io::Error::other("it names no file"))?;
    let mut beside = name.to_owned();
    beside.push(format!(".{}.part", std::process::id()));
    let beside: PathBuf = path.with_file_name(beside);
    let done = fs::write(&beside, page).and_then(|()| fs::rename(&beside, path));
    if done.is_err() {
        _ = fs::remove_file(&beside);
    }
    done
}
