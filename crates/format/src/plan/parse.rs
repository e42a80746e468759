//! From text to rules: splits it into rules, and rules into words, and remembers where each word stood.

use super::{MAX_RULES, Plan, Rule, words};
use core::fmt;
use core::ops::Range;

/// A word that is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where it stands in the text.
    pub at: Range<usize>,
    /// Why it is none, and what would be one.
    pub why: &'static str,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.why)
    }
}

/// Reads a plan: rules with spaces or line ends between them, `seed=N`, and comments from `#` to the end of a
/// line.
pub fn parse(text: &str) -> Result<Plan, Mistake> {
    let mut plan = Plan::EMPTY;
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let code = line.split('#').next().unwrap_or(line);
        let mut at = start;
        for token in code.split_inclusive(|c: char| c.is_whitespace() || c == ';') {
            let word = token.trim_end_matches(|c: char| c.is_whitespace() || c == ';');
            if !word.is_empty() {
                item(&mut plan, word, at)?;
            }
            at += token.len();
        }
        start += line.len();
    }
    Ok(plan)
}

fn item(plan: &mut Plan, word: &str, at: usize) -> Result<(), Mistake> {
    if let Some(seed) = word.strip_prefix("seed=") {
        plan.seed = seed.parse().map_err(|_| Mistake { at: at..at + word.len(), why: "no seed; a number" })?;
        return Ok(());
    }
    let rule = rule(word, at)?;
    const { assert!(MAX_RULES == 32, "the text below says so") };
    plan.push(rule)
        .then_some(())
        .ok_or(Mistake { at: at..at + word.len(), why: "one too many; a plan has 32 rules at most" })
}

fn rule(text: &str, at: usize) -> Result<Rule, Mistake> {
    let mut rule = Rule::EMPTY;
    let mut from = 0;
    let mut place = at;
    for function in text.split(':').next().unwrap_or(text).split(',') {
        let mistake = |why| Mistake { at: place..place + function.len(), why };
        words::function(&mut rule, function).map_err(mistake)?;
        place += function.len() + 1;
        from = place - at;
    }
    while let Some(rest) = text.get(from..).filter(|rest| !rest.is_empty()) {
        let word = first_word(rest);
        let mistake = |why| Mistake { at: at + from..at + from + word.len(), why };
        let (key, value) = word.split_once('=').map_or((word, None), |(key, value)| (key, Some(value)));
        words::word(&mut rule, key, value).map_err(mistake)?;
        from += word.len() + 1;
    }
    words::whole(&rule).map_err(|why| Mistake { at: at..at + text.len(), why })?;
    Ok(rule)
}

/// Up to the next colon that is none of an address: `peer=127.0.0.1:80` is one word, and so is `peer=[::1]:80`.
fn first_word(rest: &str) -> &str {
    let is_address = ["peer=", "local=", "redirect="].iter().any(|key| rest.starts_with(key));
    let mut bracket = false;
    for (i, c) in rest.char_indices() {
        match c {
            '[' => bracket = true,
            ']' => bracket = false,
            ':' if !bracket => {
                let behind = rest.get(i + 1..).unwrap_or("");
                if !(is_address && behind.starts_with(|c: char| c.is_ascii_digit())) {
                    return rest.get(..i).unwrap_or(rest);
                }
            }
            _ => {}
        }
    }
    rest
}
