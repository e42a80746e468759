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

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};

use crate::export::output::Output;
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

/// Writes it, so that nobody sees half of it, and nobody but its owner any of it, as it is with traces: there is payload in
/// it. `-` is `out`.
pub fn save(path: &Path, out: &mut dyn Write, page: &str) -> Result<()> {
    if path == Path::new("-") {
        return Ok(out.write_all(page.as_bytes())?);
    }
    let write = || {
        let mut file = Output::at(path)?;
        file.write_all(page.as_bytes())?;
        file.finish()
    };
    write().with_context(|| format!("cannot write {}", path.display()))?;
    note(format!("{}: {}, for any browser", path.display(), bytes(page.len() as u64)))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_page_is_its_owners_alone_also_where_there_was_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("page.html");
        fs::write(&path, "an earlier one").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        save(&path, &mut Vec::new(), "a page").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "a page");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
