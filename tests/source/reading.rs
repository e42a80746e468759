//! Sources as words: which files there are, and what they name outside of texts and comments.

use super::built::{root, text};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// Every Rust file under a folder of the sources, its path relative to the root.
pub fn sources(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// The words and signs of Rust code: no comments, no strings.
pub fn tokens(code: &str) -> Vec<String> {
    let (mut tokens, mut left) = (Vec::new(), code);
    while let Some(first) = left.chars().next() {
        let char_literal = || left[1..].chars().nth(1) == Some('\'') || left[1..].starts_with('\\');
        let len = match first {
            '/' if left.starts_with("//") => left.find('\n').unwrap_or(left.len()),
            '"' => string_len(left, '"'),
            '\'' if char_literal() => string_len(left, '\''),
            c if c.is_alphanumeric() || c == '_' => {
                let len = left.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(left.len());
                tokens.push(left[..len].to_owned());
                len
            }
            ':' if left.starts_with("::") => {
                tokens.push("::".to_owned());
                2
            }
            c => {
                if "{},".contains(c) {
                    tokens.push(c.to_string());
                }
                c.len_utf8()
            }
        };
        left = &left[len..];
    }
    tokens
}

pub fn string_len(text: &str, quote: char) -> usize {
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => _ = chars.next(),
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The first names behind each `root::`: `a` and `b` of `root::{a::{self, X}, b}`.
pub fn named(tokens: &[String], root: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, pair) in tokens.windows(2).enumerate() {
        if pair[0] != root || pair[1] != "::" {
            continue;
        }
        let rest = &tokens[at + 2..];
        if rest.first().is_none_or(|token| token != "{") {
            found.extend(rest.first().cloned());
            continue;
        }
        let (mut depth, mut begins) = (0, false);
        for token in rest {
            match &**token {
                "{" => (depth, begins) = (depth + 1, depth == 0),
                "}" => depth -= 1,
                "," => begins = depth == 1,
                name if begins && depth == 1 => {
                    found.insert(name.to_owned());
                    begins = false;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    found
}

/// The same without the unit tests, which set up what they need.
pub fn code(folder: &str) -> impl Iterator<Item = String> {
    sources(folder).into_iter().filter(|path| !path.ends_with("/tests.rs"))
}

pub fn rust(path: &str) -> Vec<String> {
    tokens(&text(path))
}
