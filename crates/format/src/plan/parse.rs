//! From text to rules: splits it into rules, and rules into words, and remembers where each word stood.
//!
//! With `get` and `position` alone: the shim may not hold code that can panic, and most of `str`'s searching can, as
//! far as the compiler knows.

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
    rules(text, false)
}

/// Reads a filter: rules that say which calls are meant and nothing else, each of all functions if it names none.
pub fn parse_filter(text: &str) -> Result<Plan, Mistake> {
    let plan = rules(text, true)?;
    let why = "no rule; such as port=443 or %communicate:fd=7";
    if plan.rules().is_empty() { Err(Mistake { at: 0..text.len(), why }) } else { Ok(plan) }
}

fn rules(text: &str, filter: bool) -> Result<Plan, Mistake> {
    let mut plan = Plan::EMPTY;
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let len = match rest.as_bytes().first() {
            Some(b'#') => until(rest, |b| b == b'\n'),
            Some(b) if is_between(*b) => 1,
            _ => {
                let len = until(rest, |b| is_between(b) || b == b'#');
                item(&mut plan, rest.get(..len).unwrap_or(rest), at, filter)?;
                len
            }
        };
        at += len;
    }
    Ok(plan)
}

fn is_between(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == b';'
}

/// Bytes in front of the first of these, all if there is none.
fn until(text: &str, found: impl Fn(u8) -> bool) -> usize {
    text.bytes().position(found).unwrap_or(text.len())
}

/// The texts in front of the first byte of a kind, and behind it.
pub(super) fn cut(text: &str, byte: u8) -> Option<(&str, &str)> {
    let at = text.bytes().position(|b| b == byte)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

fn item(plan: &mut Plan, word: &str, at: usize, filter: bool) -> Result<(), Mistake> {
    let mistake = |why| Mistake { at: at..at + word.len(), why };
    if let Some(seed) = word.strip_prefix("seed=") {
        plan.seed = words::number(seed).ok_or(mistake("no seed; a number"))?;
        return Ok(());
    }
    let rule = rule(word, at, filter)?;
    const { assert!(MAX_RULES == 32, "the text below says so") };
    plan.push(&rule).then_some(()).ok_or(mistake("one too many; a plan has 32 rules at most"))
}

fn rule(text: &str, at: usize, filter: bool) -> Result<Rule, Mistake> {
    let mut rule = Rule::EMPTY;
    let end = until(text, |b| b == b':');
    let mut from = 0;
    let unnamed = filter && text.bytes().take(end).any(|b| b == b'=');
    if unnamed {
        rule.functions.add_all();
    }
    while from <= end && !unnamed {
        let function = text.get(from..end).unwrap_or("");
        let function = function.get(..until(function, |b| b == b',')).unwrap_or(function);
        let mistake = |why| Mistake { at: at + from..at + from + function.len(), why };
        words::function(&mut rule, function).map_err(mistake)?;
        from += function.len() + 1;
    }
    while let Some(rest) = text.get(from..).filter(|rest| !rest.is_empty()) {
        let word = first_word(rest);
        let mistake = |why| Mistake { at: at + from..at + from + word.len(), why };
        let (key, value) = cut(word, b'=').map_or((word, None), |(key, value)| (key, Some(value)));
        words::word(&mut rule, key, value).map_err(mistake)?;
        from += word.len() + 1;
    }
    let whole = if filter { words::chooses } else { words::whole };
    whole(&rule).map_err(|why| Mistake { at: at..at + text.len(), why })?;
    Ok(rule)
}

/// Up to the next colon that is none of an address: `peer=127.0.0.1:80` is one word, and so is `peer=[::1]:80`.
fn first_word(rest: &str) -> &str {
    let is_address = ["peer=", "local=", "redirect="].iter().any(|key| rest.starts_with(key));
    let mut bracket = false;
    for (i, byte) in rest.bytes().enumerate() {
        match byte {
            b'[' => bracket = true,
            b']' => bracket = false,
            b':' if !bracket => {
                let digit = rest.as_bytes().get(i + 1).is_some_and(u8::is_ascii_digit);
                if !(is_address && digit) {
                    return rest.get(..i).unwrap_or(rest);
                }
            }
            _ => {}
        }
    }
    rest
}
