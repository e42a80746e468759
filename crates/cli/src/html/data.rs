//! The model as JSON: a list of numbers for each connection, which page.js takes apart by the same places.
//!
//! Strings are in a table, and times are nanoseconds since the beginning of the recording, so that 100,000
//! connections are some megabytes. -1 stands for what is not there.

use std::fmt::Write;

use sockshim_format::op::Phase;
use sockshim_reader::Model;
use sockshim_reader::model::{Connection, LintKind, Role, Verdict};

use super::calls::Calls;
use super::json::{self, Strings};
use crate::views::report::{Item, Scene, bar, block, peer, who};
use crate::views::unseen;

/// The phases, by the numbers that calls have.
const PHASES: [Phase; 8] = [
    Phase::Resolve,
    Phase::Create,
    Phase::Connect,
    Phase::Communicate,
    Phase::Disconnect,
    Phase::Wait,
    Phase::Control,
    Phase::Process,
];
const ROLES: [Role; 6] = [Role::Unknown, Role::Active, Role::Passive, Role::Listener, Role::Pair, Role::Datagram];

/// All of it. `summary` is the report's, a label and a text for each line.
pub fn json(scene: &Scene<'_>, items: &[Item<'_>], title: &str, summary: &str, calls: &Calls<'_>) -> String {
    let mut out = String::from("{\"title\":");
    json::string(&mut out, title);
    out.push_str(",\"version\":");
    json::string(&mut out, env!("CARGO_PKG_VERSION"));
    out.push_str(",\"summary\":");
    write_summary(&mut out, summary);
    out.push_str(",\"phases\":");
    json::list(&mut out, PHASES.iter().map(|phase| phase.name()));
    out.push_str(",\"roles\":");
    json::list(&mut out, ROLES.iter().map(|role| role.name()));
    out.push_str(",\"verdicts\":");
    json::list(&mut out, Verdict::ALL.iter().map(|verdict| verdict.word()));
    let failures = Verdict::ALL.iter().map(|verdict| i128::from(verdict.is_failure())).collect::<Vec<_>>();
    out.push_str(",\"failures\":[");
    json::numbers(&mut out, &failures);
    let span = calls.span();
    let since = |time_ns: u64| time_ns.saturating_sub(scene.zero_ns);
    _ = write!(out, "],\"span\":[{},{}],\"leftOut\":{}", since(span.start_ns), since(span.end_ns), calls.left_out());
    out.push_str(",\"bytes\":");
    calls.write_bins(&mut out);
    out.push_str(",\"ends\":[");
    let mut strings = Strings::default();
    let mut first = true;
    for item in items {
        for (at, end) in item.ends().enumerate() {
            out.push_str(if std::mem::take(&mut first) { "\n" } else { ",\n" });
            write_end(&mut out, &mut strings, scene, end, at > 0);
        }
    }
    out.push_str("],\"strings\":");
    strings.write(&mut out);
    out.push_str(",\"calls\":");
    calls.write(&mut out, scene.zero_ns);
    out.push('}');
    out
}

/// `  label   text`, below the heading, to `[[label, text], ...]`. The heading has no label.
fn write_summary(out: &mut String, summary: &str) {
    out.push('[');
    for (at, line) in summary.lines().filter(|line| !line.trim().is_empty()).enumerate() {
        let (label, text) = match at {
            0 => ("", line.trim()),
            _ => line.trim().split_once("  ").or_else(|| line.trim().split_once(' ')).unwrap_or((line.trim(), "")),
        };
        out.push_str(if at > 0 { "," } else { "" });
        json::list(out, [label, text.trim()].into_iter());
    }
    out.push(']');
}

fn write_end(out: &mut String, strings: &mut Strings, scene: &Scene<'_>, end: &Connection, far: bool) {
    let (model, zero_ns) = (scene.model, scene.zero_ns);
    let known = |number: Option<u64>| number.map_or(-1, i128::from);
    let extent = bar::extent(end);
    let local = end.local_address().filter(|address| address.unix_path() != Some(&[]));
    let place = |of: &[_], wanted| of.iter().position(|it| *it == wanted).unwrap_or(0) as i128;
    let (sent, received) = (&end.sent, &end.received);
    let tcp = end.tcp_last.as_ref().filter(|_| end.is_connected());
    let silence = end.facts.silence().map(|span| span.duration_ns());
    let process = end.holders.first().map_or(0, |holder| holder.pid);
    let numbers = [
        (end.id + 1) as i128,
        i128::from(far),
        strings.place(who(model, end)),
        strings.place(peer(end).unwrap_or_default()),
        strings.place(local.map_or(String::new(), |address| address.to_string())),
        place(&ROLES.map(Role::name), end.role.name()),
        place(&Verdict::ALL.map(Verdict::word), model.verdict(end).word()),
        strings.place(model.sentence(end, zero_ns)),
        i128::from(extent.start_ns) - i128::from(zero_ns),
        i128::from(extent.duration_ns()),
        sent.bytes.into(),
        sent.calls.into(),
        received.bytes.into(),
        received.calls.into(),
        known(end.first_byte_ns),
        end.waited_ns().into(),
        strings.place(block::options(end).join(" ")),
        i128::from(sent.again.saturating_add(received.again)),
        sent.partial.into(),
        known(silence),
        known(tcp.and_then(|tcp| tcp.rtt_us()).map(u64::from)),
        known(tcp.and_then(|tcp| tcp.retransmits()).map(u64::from)),
        end.accepted.into(),
        end.calls.into(),
        process.into(),
    ];
    out.push('[');
    json::numbers(out, &numbers);
    out.push_str(",[");
    for (at, (phase, span)) in bar::phases(end).into_iter().filter(|(p, s)| bar::is_near(end, *p, *s)).enumerate() {
        let offset = span.start_ns.saturating_sub(extent.start_ns);
        _ = write!(out, "{}{},{offset},{}", if at > 0 { "," } else { "" }, phase as u8, span.duration_ns());
    }
    out.push_str("],");
    notes(out, strings, model, end, zero_ns);
    out.push(']');
}

/// What passed around us, and habits: `[[name, fact, remedy], ...]` as places of strings.
fn notes(out: &mut String, strings: &mut Strings, model: &Model, end: &Connection, zero_ns: u64) {
    let mut notes = Vec::new();
    if let Some(words) = unseen::words(model, end) {
        notes.push(["unseen".into(), words, "sockshim doctor says more of it".into()]);
    }
    for lint in model.lints(end, zero_ns) {
        let kind: LintKind = lint.kind;
        notes.push([kind.name().to_owned(), lint.fact, kind.remedy().to_owned()]);
    }
    out.push('[');
    for (at, note) in notes.into_iter().enumerate() {
        out.push_str(if at > 0 { ",[" } else { "[" });
        let places = note.map(|text| strings.place(text));
        json::numbers(out, &places);
        out.push(']');
    }
    out.push(']');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_have_the_numbers_that_calls_have() {
        assert!(PHASES.iter().enumerate().all(|(at, phase)| *phase as usize == at));
    }

    #[test]
    fn a_summary_is_labels_and_texts() {
        let mut out = String::new();
        write_summary(&mut out, "  46 calls of 1 process\n  sockets   7: 3 pipes\n  to whom   a, b\n");
        assert_eq!(out, r#"[["","46 calls of 1 process"],["sockets","7: 3 pipes"],["to whom","a, b"]]"#);
    }
}
