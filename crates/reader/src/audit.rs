//! How a trace compares with what the kernel was asked: the result of `sockshim run --verify`.

use std::collections::BTreeMap;
use std::fmt;

/// What became of a call on a socket, or a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The kernel and the trace have it alike.
    Seen,
    /// Both have it, and they differ in a field.
    Wrong,
    /// It came by a function that should have been recorded, and was not.
    Missed,
    /// A record of which the kernel knows nothing.
    Invented,
    /// It happened inside a function that is recorded as a whole.
    Inside,
    /// It passed around the shim.
    Unseen,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Verdict; 6] =
        [Verdict::Seen, Verdict::Wrong, Verdict::Missed, Verdict::Invented, Verdict::Inside, Verdict::Unseen];

    /// Its word in the file.
    pub const fn word(self) -> &'static str {
        ["seen", "wrong", "missed", "invented", "inside", "unseen"][self as usize]
    }
}

/// Numbers of calls, by what became of them and by name: of the function that was called, or, of
/// what is unseen, of the way that it took.
///
/// Prints as the text that a trace keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    counts: BTreeMap<(Verdict, String), u64>,
}

impl Audit {
    /// Counts calls.
    pub fn add(&mut self, verdict: Verdict, name: &str, count: u64) {
        let sum = self.counts.entry((verdict, name.replace('\n', " "))).or_default();
        *sum = sum.saturating_add(count);
    }

    /// How many calls met with this.
    pub fn total(&self, verdict: Verdict) -> u64 {
        self.of(verdict).fold(0, |sum, (_, count)| sum.saturating_add(count))
    }

    /// The names of those, and how many each has.
    pub fn of(&self, verdict: Verdict) -> impl Iterator<Item = (&str, u64)> {
        let these = self.counts.iter().filter(move |((of, _), _)| *of == verdict);
        these.map(|((_, name), count)| (name.as_str(), *count))
    }

    /// How many calls of a name met with this.
    pub fn count(&self, verdict: Verdict, name: &str) -> u64 {
        self.of(verdict).find(|(of, _)| *of == name).map_or(0, |(_, count)| count)
    }

    /// Whether all that went through the shim is in the trace as the kernel had it, and nothing else.
    pub fn agrees(&self) -> bool {
        [Verdict::Wrong, Verdict::Missed, Verdict::Invented].iter().all(|verdict| self.total(*verdict) == 0)
    }

    /// Reads the text that a trace keeps. What is not understood is passed over.
    pub fn of_text(text: &str) -> Audit {
        let mut audit = Audit::default();
        for line in text.lines() {
            let mut words = line.splitn(3, ' ');
            let verdict = words.next().and_then(|word| Verdict::ALL.into_iter().find(|v| v.word() == word));
            let count = words.next().and_then(|count| count.parse().ok());
            if let (Some(verdict), Some(count), Some(name)) = (verdict, count, words.next()) {
                audit.add(verdict, name, count);
            }
        }
        audit
    }
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.counts.iter().try_for_each(|((verdict, name), count)| writeln!(f, "{} {count} {name}", verdict.word()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut audit = Audit::default();
        audit.add(Verdict::Seen, "recv", 2);
        audit.add(Verdict::Seen, "recv", 1);
        audit.add(Verdict::Unseen, "stdio, of\na kind", 7);
        assert_eq!(audit.to_string(), "seen 3 recv\nunseen 7 stdio, of a kind\n");
        assert_eq!(Audit::of_text(&audit.to_string()), audit);
        assert!(audit.agrees());
        audit.add(Verdict::Invented, "send", 1);
        assert!(!audit.agrees());
    }

    #[test]
    fn what_is_not_understood_is_passed_over() {
        let audit =
            Audit::of_text("seen 1\nseen x recv\nlater 3 recv\n\u{fffd}\nseen 18446744073709551615 a\nseen 9 b");
        assert_eq!(audit.total(Verdict::Seen), u64::MAX);
        assert_eq!(audit.of(Verdict::Seen).collect::<Vec<_>>(), [("a", u64::MAX), ("b", 9)]);
    }
}
