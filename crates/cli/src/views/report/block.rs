//! One connection, or one pipe: who, to whom, its phases as a bar, what passed, how it ended.

use std::io::{self, Write};

use anstyle::Style;
use sockshim_format::line::Duration;
use sockshim_reader::model::{Connection, Role, Span, Traffic, Verdict};

use super::row::{Row, cut, flow, wrapped};
use super::{Item, Scene, bar, number, peer, seconds, who};
use crate::palette;
use crate::views::{bytes, count, thousands, tls, unseen};

/// Where the texts of a block begin.
const INDENT: usize = 4;
/// Where bars begin: behind the longest word for an end.
const BARS: usize = 12;
/// A shorter silence is none to speak of.
const SILENCE_NS: u64 = 1_000_000;

/// Prints the block.
pub fn print(out: &mut dyn Write, scene: &Scene<'_>, item: &Item<'_>) -> io::Result<()> {
    let model = scene.model;
    let extents = item.ends().map(bar::extent);
    let scale = extents.reduce(|a, b| Span { start_ns: a.start_ns.min(b.start_ns), end_ns: a.end_ns.max(b.end_ns) });
    let scale = scale.unwrap_or(Span { start_ns: 0, end_ns: 0 });
    title(out, scene, item, scale)?;
    let verdict = model.verdict(item.near);
    let mut first = Row::new();
    first.to_column(INDENT);
    let sentence = model.sentence(item.near, scene.zero_ns);
    wrapped(out, first.clone(), INDENT, scene.width, tone(verdict), &sentence)?;
    // The other end may know more: what it never read, that it leaked.
    if let Some(far) = item.far {
        let theirs = model.sentence(far, scene.zero_ns);
        if theirs != sentence && !mirrors(verdict, model.verdict(far), &theirs) {
            let end = match end_name(far, true) {
                "end" => number(far.id),
                name => format!("the {name}"),
            };
            let text = format!("seen from {end}: {theirs}");
            wrapped(out, first, INDENT, scene.width, tone(model.verdict(far)), &text)?;
        }
    }
    for end in item.ends() {
        phases(out, scene, item, end, scale)?;
    }
    traffic(out, scene, item)?;
    flow(out, INDENT, 3, scene.width, facts(item))?;
    for end in item.ends() {
        if let Some(words) = unseen::words(model, end) {
            let first = Row::of(palette::WARNING, "  ? ");
            wrapped(out, first, INDENT, scene.width, palette::WARNING, &words)?;
        }
    }
    for end in item.ends() {
        for lint in model.lints(end, scene.zero_ns) {
            let mut first = Row::of(palette::WARNING, format!("  ! {}:", lint.kind.name()));
            first.push(Style::new(), " ");
            let whose = if item.far.is_some() { format!("{}, ", number(end.id)) } else { String::new() };
            wrapped(out, first, INDENT, scene.width, Style::new(), &format!("{whose}{}", lint.fact))?;
            let remedy = Row::of(palette::FAINT, "    → ");
            wrapped(out, remedy, INDENT + 2, scene.width, palette::FAINT, lint.kind.remedy())?;
        }
    }
    Ok(())
}

fn tone(verdict: Verdict) -> Style {
    match verdict {
        _ if verdict.is_failure() => palette::ERROR,
        Verdict::Leaked | Verdict::WeReset => palette::WARNING,
        _ => palette::STRONG,
    }
}

/// Whether both ends tell the same: `client closed first` is true for both.
fn mirrors(near: Verdict, far: Verdict, theirs: &str) -> bool {
    let quiet = !theirs.contains(';') && !theirs.contains("never");
    let same = matches!(
        (near, far),
        (Verdict::WeClosed | Verdict::HalfClosed, Verdict::PeerClosed)
            | (Verdict::PeerClosed, Verdict::WeClosed | Verdict::HalfClosed)
            | (Verdict::BothClosed, Verdict::BothClosed)
            | (Verdict::Closed, Verdict::Closed)
            | (Verdict::WeReset, Verdict::Reset)
            | (Verdict::Reset, Verdict::WeReset)
    );
    same && quiet
}

/// `#3 ⇄ #2  curl[26537]:5 ──▶ localhost 127.0.0.1:8080 http-alt      at 0.006 s for 1.02ms`.
fn title(out: &mut dyn Write, scene: &Scene<'_>, item: &Item<'_>, scale: Span) -> io::Result<()> {
    let (model, near) = (scene.model, item.near);
    let when = format!("at {} for {}", seconds(scale.start_ns, scene.zero_ns), Duration(scale.duration_ns()));
    let room = scene.width.saturating_sub(when.chars().count() + 2);
    let names = match item.far {
        Some(far) => format!("{} ⇄ {}", number(near.id), number(far.id)),
        None => number(near.id),
    };
    let mut row = Row::of(palette::STRONG, names).with(Style::new(), "  ");
    let process = who(model, near);
    let far = item.far.map(|far| who(model, far));
    let named = near.local_address().filter(|address| address.unix_path() != Some(&[]));
    let local = named.map_or(String::new(), |address| address.to_string());
    let words = match (near.role, peer(near), &far) {
        (Role::Listener, ..) => format!("{process} listens on {local}, {} accepted", thousands(near.accepted)),
        (Role::Passive, Some(peer), None) => format!("{process} ◀── {peer}"),
        (_, Some(peer), _) => format!("{process} ──▶ {peer}"),
        (_, None, _) if local.is_empty() => process,
        (_, None, _) => format!("{process} {local}"),
    };
    let left = room.saturating_sub(row.width());
    let arrow = if peer(near).is_some() { "──▶" } else { "⇄" };
    let whole = far.map(|far| format!("{words} {arrow} {far}")).filter(|whole| whole.chars().count() <= left);
    row.push(palette::STRONG, whole.unwrap_or_else(|| cut(&words, left)));
    let column = scene.width.saturating_sub(when.chars().count());
    row.to_column(column.max(row.width() + 2));
    row.push(palette::FAINT, when);
    row.print(out)
}

/// What an end is called in a block.
fn end_name(connection: &Connection, pipe: bool) -> &'static str {
    match (connection.role, pipe) {
        (Role::Active, _) => "client",
        (Role::Passive, _) => "server",
        (Role::Listener, _) => "",
        (_, true) => "end",
        _ => "",
    }
}

/// The bar of one end, and its durations below.
fn phases(out: &mut dyn Write, scene: &Scene<'_>, item: &Item<'_>, end: &Connection, scale: Span) -> io::Result<()> {
    let name = match end_name(end, item.far.is_some()) {
        "end" => number(end.id),
        name => name.to_owned(),
    };
    let mut row = Row::new();
    row.to_column(INDENT);
    row.push(Style::new(), name);
    row.to_column(BARS);
    row.append(bar::bar(end, scale, scene.width.saturating_sub(BARS)));
    row.print(out)?;
    let drawn = bar::phases(end).into_iter().filter(|(phase, span)| bar::is_near(end, *phase, *span));
    let durations = drawn.map(|(phase, span)| {
        let style = palette::phase(phase);
        Row::of(style, format!("{}{}", bar::shade(phase), phase.name()))
            .with(Style::new(), format!(" {}", Duration(span.duration_ns())))
    });
    flow(out, BARS, 2, scene.width, durations.collect())
}

/// Bytes and calls each way.
fn traffic(out: &mut dyn Write, scene: &Scene<'_>, item: &Item<'_>) -> io::Result<()> {
    let near = item.near;
    if near.role == Role::Listener {
        return Ok(());
    }
    let silent = (Traffic::default(), Traffic::default());
    let (far_received, far_sent) = item.far.map_or(silent, |far| (far.received, far.sent));
    // Of a pipe both ends are known: what neither wrote nor read did not pass.
    let pipe = item.far.is_some();
    let used = |traffic: &[&Traffic]| traffic.iter().any(|t| if pipe { t.bytes > 0 } else { t.calls > 0 });
    let mut rows = Vec::new();
    let mut way = |arrow: &str, written: &Traffic, read: &Traffic, pipe: bool| {
        let words = match pipe {
            false => {
                let one = if written.calls > 0 { written } else { read };
                format!("{} in {}", bytes(one.bytes), count(one.calls, "call"))
            }
            true if written.bytes == read.bytes => {
                let (writes, reads) = (count(written.calls, "write"), count(read.calls, "read"));
                format!("{} in {writes}, {reads}", bytes(written.bytes))
            }
            true if read.calls == 0 => {
                format!("{} written in {}, none read", bytes(written.bytes), count(written.calls, "call"))
            }
            true => format!(
                "{} in {}, {} in {}",
                format_args!("{} written", bytes(written.bytes)),
                count(written.calls, "call"),
                format_args!("{} read", bytes(read.bytes)),
                count(read.calls, "call")
            ),
        };
        rows.push(Row::of(palette::STRONG, arrow).with(Style::new(), format!(" {words}")));
    };
    if used(&[&near.sent, &far_received]) {
        way("──▶", &near.sent, &far_received, pipe);
    }
    if used(&[&near.received, &far_sent]) {
        match pipe {
            true => way("◀──", &far_sent, &near.received, true),
            false => way("◀──", &Traffic::default(), &near.received, false),
        }
    }
    if rows.is_empty() && near.is_connected() {
        rows.push(Row::of(palette::FAINT, "no byte passed"));
    }
    flow(out, INDENT, 4, scene.width, rows)
}

/// What else is worth knowing, told where it is not the ordinary.
fn facts(item: &Item<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut tell = |label: &str, value: String| {
        rows.push(Row::of(palette::FAINT, format!("{label} ")).with(Style::new(), value));
    };
    let near = item.near;
    if item.far.is_none()
        && let Some(local) = near.local_address().filter(|local| local.unix_path() != Some(&[]))
        && peer(near).is_some()
    {
        tell("from", local.to_string());
    }
    if let Some(first_ns) = near.first_byte_ns {
        tell("first byte after", Duration(first_ns).to_string());
    }
    for end in item.ends() {
        let whose = match (item.far, end.role) {
            (None, _) => String::new(),
            (_, Role::Active) => "client ".into(),
            (_, Role::Passive) => "server ".into(),
            _ => format!("{} ", number(end.id)),
        };
        if end.waited_ns() > 0 && end.role != Role::Listener {
            tell(&format!("{whose}waited"), Duration(end.waited_ns()).to_string());
        }
        let again = end.sent.again + end.received.again;
        if again > 0 {
            tell(&format!("{whose}EAGAIN"), thousands(again));
        }
        if end.sent.partial > 0 {
            tell(&format!("{whose}partial writes"), thousands(end.sent.partial));
        }
        let options = options(end);
        if !options.is_empty() {
            tell(&format!("{whose}set"), options.join(" "));
        }
    }
    if let Some((version, words)) = item.ends().find_map(|end| end.tls.as_deref()).map(tls::words) {
        tell(&version, words);
    }
    if let Some(silence) = near.facts.silence().filter(|silence| silence.duration_ns() >= SILENCE_NS) {
        tell("longest silence", Duration(silence.duration_ns()).to_string());
    }
    if let Some(tcp) = near.tcp_last.as_ref().filter(|_| near.is_connected()) {
        if let Some(rtt) = tcp.rtt_us() {
            tell("rtt", Duration(u64::from(rtt) * 1000).to_string());
        }
        if let Some(again) = tcp.retransmits().filter(|again| *again > 0) {
            tell("retransmits", thousands(again.into()));
        }
    }
    rows
}

pub(crate) fn options(connection: &Connection) -> Vec<String> {
    let options = &connection.facts.options;
    let flags = [
        (options.no_delay, "TCP_NODELAY"),
        (options.reuse_address, "SO_REUSEADDR"),
        (options.keep_alive, "SO_KEEPALIVE"),
        (options.non_blocking, "O_NONBLOCK"),
    ];
    let mut words: Vec<String> = flags.iter().filter(|(on, _)| *on).map(|(_, word)| (*word).to_owned()).collect();
    words.extend(options.send_buffer.map(|size| format!("SO_SNDBUF={size}")));
    words.extend(options.receive_buffer.map(|size| format!("SO_RCVBUF={size}")));
    words
}
