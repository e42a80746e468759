//! What a person reads of an audit.

use std::io::{self, Write};

use sockshim_reader::{Audit, Verdict};

use super::Comparison;
use crate::palette;
use crate::views::{count, safe};

/// Prints it: a table of the calls, the first disagreements in full, and one line that sums it up.
/// With `short` only what is wrong.
pub fn print(out: &mut dyn Write, comparison: &Comparison, short: bool) -> io::Result<()> {
    let audit = &comparison.audit;
    if short && audit.agrees() {
        return Ok(());
    }
    if !short {
        writeln!(out)?;
        table(out, audit)?;
        writeln!(out)?;
    }
    for (text, times) in &comparison.told {
        let mut lines = text.lines();
        let times = if *times > 1 { format!("{times} times ") } else { String::new() };
        writeln!(out, "{times}{}", safe(lines.next().unwrap_or_default().as_bytes()))?;
        lines.try_for_each(|line| writeln!(out, "{}", safe(line.as_bytes())))?;
    }
    let style = if audit.agrees() { palette::FAINT } else { palette::ERROR };
    writeln!(out, "{style}sockshim:{style:#} {}", sum(audit))
}

/// What is wrong about the calls of a name, in the words of the file.
const WRONG: [Verdict; 3] = [Verdict::Missed, Verdict::Wrong, Verdict::Invented];

fn total(audit: &Audit, verdicts: &[Verdict], name: Option<&str>) -> u64 {
    verdicts.iter().map(|verdict| name.map_or_else(|| audit.total(*verdict), |name| audit.count(*verdict, name))).sum()
}

/// What the kernel has of a name, or of all.
fn kernel(audit: &Audit, name: Option<&str>) -> u64 {
    total(audit, &[Verdict::Seen, Verdict::Wrong, Verdict::Missed], name)
}

/// What the trace has.
fn trace(audit: &Audit, name: Option<&str>) -> u64 {
    total(audit, &[Verdict::Seen, Verdict::Wrong, Verdict::Invented], name)
}

/// A line per function; then what is inside recorded calls, and what passed around the shim.
fn table(out: &mut dyn Write, audit: &Audit) -> io::Result<()> {
    let mut names: Vec<&str> =
        WRONG.iter().chain(&[Verdict::Seen]).flat_map(|verdict| audit.of(*verdict)).map(|(name, _)| name).collect();
    names.sort_unstable();
    names.dedup();
    let others = [("INSIDE A RECORDED CALL", Verdict::Inside), ("AROUND THE SHIM", Verdict::Unseen)];
    let others = others.map(|(heading, verdict)| {
        let mut counts: Vec<(&str, u64)> = audit.of(verdict).collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        (heading, counts)
    });
    let used = others.iter().filter(|(_, counts)| !counts.is_empty());
    let widest = names.iter().map(|name| name.len());
    let widest = widest.chain(
        used.clone().flat_map(|(heading, counts)| counts.iter().map(|(name, _)| name.len()).chain([heading.len()])),
    );
    let width = widest.max().unwrap_or_default();
    let (strong, error) = (palette::STRONG, palette::ERROR);
    writeln!(out, "{strong}{:width$}  {:>7}  {:>7}{strong:#}", "CALL", "KERNEL", "TRACE")?;
    for name in names {
        let wrong = words(audit, Some(name));
        let (style, gap) = if wrong.is_empty() { (anstyle::Style::new(), "") } else { (error, "  ") };
        let (kernel, trace) = (kernel(audit, Some(name)), trace(audit, Some(name)));
        writeln!(out, "{style}{name:width$}  {kernel:>7}  {trace:>7}{gap}{wrong}{style:#}")?;
    }
    for (heading, counts) in used {
        writeln!(out, "{strong}{heading}{strong:#}")?;
        for (name, count) in counts {
            writeln!(out, "{:width$}  {count:>7}", safe(name.as_bytes()))?;
        }
    }
    Ok(())
}

/// `3 missed, 1 wrong`.
fn words(audit: &Audit, name: Option<&str>) -> String {
    let counts = WRONG.iter().map(|verdict| (total(audit, &[*verdict], name), verdict.word()));
    counts.filter(|(count, _)| *count > 0).map(|(n, word)| format!("{n} {word}")).collect::<Vec<_>>().join(", ")
}

/// The sentence that people remember.
fn sum(audit: &Audit) -> String {
    let (seen, unseen) = (audit.total(Verdict::Seen), audit.total(Verdict::Unseen));
    let (kernel, trace) = (kernel(audit, None), trace(audit, None));
    let verdict = if audit.agrees() { "agrees".into() } else { format!("disagrees: {}", words(audit, None)) };
    let around = if unseen > 0 { format!("; {unseen} more passed around the shim") } else { String::new() };
    format!(
        "the kernel {verdict}; recall {} ({seen} of {}), precision {} ({seen} of {}){around}",
        percent(seen, kernel),
        count(kernel, "socket call"),
        percent(seen, trace),
        count(trace, "record"),
    )
}

/// 100% is all, and nothing less.
fn percent(part: u64, all: u64) -> String {
    match all {
        0 => "100%".into(),
        _ if part == all => "100%".into(),
        _ => format!("{:.1}%", (part as f64 / all as f64 * 1000.0).floor() / 10.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(audit: &Audit, told: &[&str], short: bool) -> String {
        let told = told.iter().map(|text| ((*text).to_owned(), 2)).collect();
        let mut out = anstream::StripStream::new(Vec::new());
        let mut comparison = Comparison::default();
        (comparison.audit, comparison.told) = (audit.clone(), told);
        print(&mut out, &comparison, short).unwrap();
        String::from_utf8(out.into_inner()).unwrap()
    }

    #[test]
    fn agreement_is_one_sentence_and_disagreement_is_told() {
        let mut audit = Audit::of_text("seen 2 recv\nseen 1 send\ninside 4 getaddrinfo\nunseen 1 stdio");
        let text = printed(&audit, &[], false);
        let expected = "
CALL                     KERNEL    TRACE
recv                          2        2
send                          1        1
INSIDE A RECORDED CALL
getaddrinfo                   4
AROUND THE SHIM
stdio                         1

sockshim: the kernel agrees; recall 100% (3 of 3 socket calls), precision 100% (3 of 3 records); \
                        1 more passed around the shim
";
        assert_eq!(text, expected);
        assert_eq!(printed(&audit, &[], true), "");
        audit.add(Verdict::Missed, "send", 2);
        audit.add(Verdict::Wrong, "recv", 1);
        let text = printed(&audit, &["not in the trace: \x1b"], true);
        let expected = "2 times not in the trace: \\x1b
sockshim: the kernel disagrees: 2 missed, 1 wrong; recall 50.0% (3 of 6 socket calls), precision 75.0% \
                        (3 of 4 records); 1 more passed around the shim
";
        assert_eq!(text, expected);
        assert!(printed(&audit, &[], false).contains("send                          3        1  2 missed\n"));
    }
}
