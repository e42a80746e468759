//! Which language, and what each calls the speakers.

use clap::ValueEnum;

use super::fact::{End, Fact};
use super::{en, zh};

/// A language of the narration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Lang {
    /// English.
    En,
    /// 简体中文.
    Zh,
}

impl Lang {
    /// The language of the locale, as its variables name it: the first that is set decides.
    pub fn of_locale() -> Lang {
        let variables = ["LC_ALL", "LC_MESSAGES", "LANG"];
        Lang::of(variables.into_iter().filter_map(|name| std::env::var(name).ok()))
    }

    fn of(mut values: impl Iterator<Item = String>) -> Lang {
        let language = values.find(|value| !value.is_empty()).unwrap_or_default();
        match language.split(['_', '.', '@', '-']).next() {
            Some("zh") => Lang::Zh,
            _ => Lang::En,
        }
    }

    /// Says it.
    pub fn say(self, fact: &Fact) -> String {
        match self {
            Lang::En => en::say(fact),
            Lang::Zh => zh::say(fact),
        }
    }

    /// What an end is called at the side.
    pub const fn voice(self, end: End) -> &'static str {
        match (self, end) {
            (Lang::En, _) => en::end(end),
            (Lang::Zh, _) => zh::end(end),
        }
    }
}

/// Between a number and its unit: no line breaks there.
pub(super) const GLUE: char = '\u{a0}';

/// A span of time for prose: `85 µs`, `1.2 s`.
pub(super) fn time(ns: u64) -> String {
    let (value, unit) = match ns {
        0..1_000 => return format!("{ns}{GLUE}ns"),
        1_000..1_000_000 => (ns as f64 / 1e3, "µs"),
        1_000_000..1_000_000_000 => (ns as f64 / 1e6, "ms"),
        _ => (ns as f64 / 1e9, "s"),
    };
    let digits = usize::from(value < 9.95);
    format!("{value:.digits$}{GLUE}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variable_that_is_set_decides() {
        let of = |values: &[&str]| Lang::of(values.iter().map(|value| (*value).to_owned()));
        assert_eq!(of(&[]), Lang::En);
        assert_eq!(of(&["", "zh_CN.UTF-8", "en_US.UTF-8"]), Lang::Zh);
        assert_eq!(of(&["C", "zh_CN.UTF-8"]), Lang::En);
        assert_eq!(of(&["zh"]), Lang::Zh);
        assert_eq!(of(&["zha_CN"]), Lang::En);
    }

    #[test]
    fn times_have_two_digits_that_matter() {
        assert_eq!(
            [0, 850, 8_540, 85_400, 30_100_000, 1_234_000_000].map(|ns| time(ns).replace(GLUE, " ")),
            ["0 ns", "850 ns", "8.5 µs", "85 µs", "30 ms", "1.2 s"]
        );
    }
}
