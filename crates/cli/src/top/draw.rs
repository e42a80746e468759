//! The screen: a heading, connections, what threads are blocked in, and a line of keys.

use anstyle::{AnsiColor, Color as Ansi, Effects};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use sockshim_format::line::Line as CallLine;
use sockshim_format::op::{Op, Phase};
use sockshim_reader::CallInfo;
use sockshim_reader::model::{Connection, Verdict};

use super::blocked;
use super::state::{Page, State, other, stands};
use crate::palette;
use crate::views::report::row::cut;
use crate::views::report::{number, seconds, who};
use crate::views::{bytes, count, live, thousands};

/// Fewer columns than these show less of each connection.
const WIDE: u16 = 76;
const WIDEST: u16 = 100;

/// Draws all of it. Without color only bold, dim and reversed are left.
pub fn draw(frame: &mut Frame<'_>, state: &State, color: bool) {
    let paint = Paint { color };
    let area = frame.area();
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(2), Constraint::Min(0), Constraint::Length(1)]).areas(area);
    frame.render_widget(Paragraph::new(heading(state, head.width, paint)), head);
    match state.page {
        Page::Help => frame.render_widget(Paragraph::new(help()), body),
        Page::Calls(id) => calls(frame, body, state, id, paint),
        Page::Connections => {
            let threads = state.blocked.threads().len() as u16;
            // A third of the room at most; on a small screen the connections come first.
            let most = body.height / 3;
            let rows = if threads == 0 { 0 } else { (threads + 2).min(most.max(2)) };
            let [above, below] = Layout::vertical([Constraint::Min(0), Constraint::Length(rows)]).areas(body);
            connections(frame, above, state, paint);
            blocked(frame, below, state, paint);
        }
    }
    frame.render_widget(Paragraph::new(keys(state, foot.width, paint)), foot);
}

/// From the styles of all views to those of the screen.
#[derive(Clone, Copy)]
struct Paint {
    color: bool,
}

impl Paint {
    fn of(self, style: anstyle::Style) -> Style {
        let mut painted = Style::new();
        if let Some(Ansi::Ansi(color)) = style.get_fg_color().filter(|_| self.color) {
            painted = painted.fg(match color {
                AnsiColor::Red => Color::Red,
                AnsiColor::Green => Color::Green,
                AnsiColor::Yellow => Color::Yellow,
                AnsiColor::Magenta => Color::Magenta,
                AnsiColor::Cyan => Color::Cyan,
                _ => Color::Reset,
            });
        }
        let effects = style.get_effects();
        for (effect, modifier) in [(Effects::BOLD, Modifier::BOLD), (Effects::DIMMED, Modifier::DIM)] {
            if effects.contains(effect) {
                painted = painted.add_modifier(modifier);
            }
        }
        painted
    }
}

fn heading(state: &State, width: u16, paint: Paint) -> Vec<Line<'static>> {
    let width = usize::from(width);
    let model = &state.model;
    let stands = if state.paused { "paused" } else { &state.stands };
    let since_ns = state.now_ns.saturating_sub(state.zero_ns);
    let right = format!(" {}  {stands}", clock(since_ns));
    let left = cut(&state.title, width.saturating_sub(right.chars().count()));
    let gap = width.saturating_sub(left.chars().count() + right.chars().count());
    let tone = if state.paused { palette::WARNING } else { palette::FAINT };
    let first = Line::from(vec![
        Span::styled(left, paint.of(palette::STRONG)),
        Span::raw(" ".repeat(gap)),
        Span::styled(right, paint.of(tone)),
    ]);
    let (mut open, mut all, mut sent, mut received) = (0, 0, 0u64, 0u64);
    let mut rate = (0u64, 0u64);
    for connection in model.connections() {
        all += 1;
        open += u64::from(connection.ending == sockshim_reader::model::Ending::Open);
        sent = sent.saturating_add(connection.sent.bytes);
        received = received.saturating_add(connection.received.bytes);
        let one = state.rate(connection.id);
        rate = (rate.0.saturating_add(one.sent), rate.1.saturating_add(one.received));
    }
    let alive = model.processes().filter(|(_, process)| process.pid != 0 && !process.gone).count() as u64;
    let mut words = vec![
        format!("{} open of {}", thousands(open), thousands(all)),
        match alive {
            1 => "1 process".into(),
            alive => format!("{} processes", thousands(alive)),
        },
        format!("▲ {}/s  ▼ {}/s", bytes(rate.0), bytes(rate.1)),
        format!("{}, {}/s", count(state.calls, "call"), thousands(state.call_rate)),
        format!("▲ {}  ▼ {} in all", bytes(sent), bytes(received)),
    ];
    if model.lost() > 0 {
        words.insert(0, format!("{} lost", count(model.lost(), "call")));
    }
    // As many as fit.
    let mut second = String::new();
    for word in words {
        let more = if second.is_empty() { word } else { format!("   {word}") };
        if second.chars().count() + more.chars().count() <= width {
            second += &more;
        }
    }
    vec![first, Line::styled(second, paint.of(palette::FAINT))]
}

/// A table of texts, cut and aligned by hand: the same on a screen and on paper.
struct Columns(Vec<(&'static str, usize, bool)>);

impl Columns {
    /// For so many columns of the terminal: heading, width, whether numbers stand to the right.
    fn of(width: u16) -> Columns {
        let mut columns = vec![("#", if width >= WIDE { 5 } else { 3 }, false)];
        if width >= WIDE {
            columns.push(("PROCESS", if width >= WIDEST { 18 } else { 16 }, false));
        }
        columns.push(("PEER", 0, false));
        columns.push(("PHASE", 11, false));
        if width >= WIDEST {
            columns.extend([("SENT/s", 8, true), ("RECV/s", 8, true)]);
        } else {
            columns.push(("RATE/s", 8, true));
        }
        if width >= WIDE {
            columns.extend([("SENT", 8, true), ("RECEIVED", 8, true)]);
        }
        let taken: usize = columns.iter().map(|(_, width, _)| width + 1).sum::<usize>() - 1;
        for (_, columns, _) in columns.iter_mut().filter(|(_, width, _)| *width == 0) {
            *columns = usize::from(width).saturating_sub(taken);
        }
        Columns(columns)
    }

    fn line(&self, cells: impl Fn(&'static str) -> String, style: impl Fn(&'static str) -> Style) -> Line<'static> {
        let mut spans = Vec::new();
        for (at, (name, width, right)) in self.0.iter().enumerate() {
            if at > 0 {
                spans.push(Span::raw(" "));
            }
            let text = cut(&cells(name), *width);
            let text = if *right { format!("{text:>width$}") } else { format!("{text:<width$}") };
            spans.push(Span::styled(text, style(name)));
        }
        Line::from(spans)
    }
}

fn connections(frame: &mut Frame<'_>, area: Rect, state: &State, paint: Paint) {
    let columns = Columns::of(area.width);
    let shown = state.shown();
    let strong = paint.of(palette::STRONG);
    let mut lines = vec![columns.line(str::to_owned, |_| strong)];
    let rows = usize::from(area.height).saturating_sub(1);
    let ids: Vec<_> = shown.iter().map(|connection| connection.id).collect();
    let at = state.position(&ids);
    let first = at.saturating_sub(rows.saturating_sub(1));
    for (row, connection) in shown.iter().enumerate().skip(first).take(rows) {
        let mut line = connection_line(state, connection, &columns, paint);
        if row == at && state.selected.is_some() {
            line = line.patch_style(Style::new().add_modifier(Modifier::REVERSED));
        }
        lines.push(line);
    }
    if shown.is_empty() {
        let text = if state.filter.is_empty() { "No sockets yet." } else { "No connection has that in it." };
        lines.push(Line::styled(text, paint.of(palette::FAINT)));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

fn connection_line(state: &State, connection: &Connection, columns: &Columns, paint: Paint) -> Line<'static> {
    let (word, phase) = stands(&state.model, connection);
    let ended = phase.is_none();
    let tone = match phase {
        Some(phase) => palette::phase(phase),
        None => tone(state.model.verdict(connection)),
    };
    let rate = state.rate(connection.id);
    let amount = |amount: u64, unit: &str| if amount == 0 { String::new() } else { bytes(amount) + unit };
    let cells = |name: &'static str| match name {
        "#" => number(connection.id),
        "PROCESS" => who(&state.model, connection),
        "PEER" => other(connection),
        "PHASE" => word.to_owned(),
        "SENT/s" => amount(rate.sent, ""),
        "RECV/s" => amount(rate.received, ""),
        "RATE/s" => amount(rate.sum(), ""),
        "SENT" => amount(connection.sent.bytes, ""),
        _ => amount(connection.received.bytes, ""),
    };
    let faint = paint.of(palette::FAINT);
    columns.line(cells, |name| match name {
        "PHASE" => paint.of(tone),
        "#" => faint,
        _ if ended => faint,
        _ => Style::new(),
    })
}

fn tone(verdict: Verdict) -> anstyle::Style {
    match verdict {
        _ if verdict.is_failure() => palette::ERROR,
        Verdict::Leaked | Verdict::WeReset => palette::WARNING,
        _ => palette::FAINT,
    }
}

/// What threads are blocked in, those first that have been for longest.
fn blocked(frame: &mut Frame<'_>, area: Rect, state: &State, paint: Paint) {
    if area.height < 2 {
        return;
    }
    let threads = state.blocked.threads();
    let width = usize::from(area.width);
    let rows = usize::from(area.height) - 1;
    let title = match threads.len() {
        1 => "1 thread is blocked".to_owned(),
        all => format!("{} threads are blocked", thousands(all as u64)),
    };
    let title = format!("── {title} {}", "─".repeat(width));
    let mut lines = vec![Line::styled(title.chars().take(width).collect::<String>(), paint.of(palette::FAINT))];
    for call in threads.iter().take(rows) {
        lines.push(blocked_line(state, call, width, paint));
    }
    if threads.len() > rows
        && let Some(last) = lines.last_mut()
    {
        let more = format!("and {} more", thousands((threads.len() - rows + 1) as u64));
        *last = Line::styled(more, paint.of(palette::FAINT));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

/// `server[123/124]  blocked in accept 3.2 s  fd 3  #1 on 127.0.0.1:8080`.
fn blocked_line(state: &State, call: &CallInfo, width: usize, paint: Paint) -> Line<'static> {
    let name = live::name(&state.model, call.process);
    let pid = if call.pid == 0 { state.model.process(call.process).map_or(0, |process| process.pid) } else { call.pid };
    let thread = if call.tid == pid { format!("{name}[{pid}]") } else { format!("{name}[{pid}/{}]", call.tid) };
    let op = call.op();
    let what = op.map_or("?", Op::name);
    let lasts = clock(state.now_ns.saturating_sub(call.start_ns));
    let fd = op.filter(|op| op.names_descriptor() && call.call.fd >= 0).map(|_| format!("  fd {}", call.call.fd));
    let whom = blocked::connection(&state.model, call)
        .map(|connection| format!("  {} {}", number(connection.id), other(connection)));
    let phase = palette::phase(op.map_or(Phase::Process, Op::phase));
    // On a narrow screen what it is blocked in is worth more than the words around it.
    let narrow = width < usize::from(WIDE);
    let thread = if narrow { cut(&thread, 15) } else { format!("{:<22}", cut(&thread, 24)) };
    let parts = [
        (thread, Style::new()),
        (if narrow { " " } else { " blocked in " }.into(), paint.of(palette::FAINT)),
        (what.to_owned(), paint.of(phase).add_modifier(Modifier::BOLD)),
        (format!(" {lasts}"), Style::new()),
        (fd.filter(|_| !narrow).unwrap_or_default(), paint.of(palette::FAINT)),
        (whom.unwrap_or_default(), paint.of(palette::FAINT)),
    ];
    Line::from_iter(parts.map(|(text, style)| Span::styled(text, style)))
}

/// The calls of one connection, the last at the bottom.
fn calls(frame: &mut Frame<'_>, area: Rect, state: &State, id: usize, paint: Paint) {
    let Some(connection) = state.model.connection(id) else {
        let text = "This connection is over, and has been forgotten.";
        return frame.render_widget(Paragraph::new(text), area);
    };
    let title = format!("{}  {} ─▶ {}", number(id), who(&state.model, connection), other(connection));
    let sentence = state.model.sentence(connection, state.zero_ns);
    let mut lines = vec![Line::styled(title, paint.of(palette::STRONG)), Line::styled(sentence, Style::new())];
    let rows = usize::from(area.height).saturating_sub(lines.len());
    let all: Vec<&CallInfo> = state.last_calls(id).collect();
    let end = all.len().saturating_sub(state.scrolled.min(all.len().saturating_sub(rows)));
    let begin = end.saturating_sub(rows);
    let faint = paint.of(palette::FAINT);
    for call in all.get(begin..end).unwrap_or_default() {
        let parts = call.parts();
        let text =
            CallLine { call: &call.call, parts: &parts, peer: None, duration_ns: call.duration_ns() }.to_string();
        let phase = call.op().map_or(Phase::Process, Op::phase);
        let failed = call.call.errno != 0 && i32::from(call.call.errno) != libc::EAGAIN;
        let style = if failed { palette::ERROR } else { palette::phase(phase) };
        let since = seconds(call.start_ns, state.zero_ns);
        lines.push(Line::from(vec![
            Span::styled(format!("{since:>9} "), faint),
            Span::styled(format!("{:<11} ", phase.name()), paint.of(palette::phase(phase))),
            Span::styled(text, paint.of(style)),
        ]));
    }
    if all.is_empty() {
        lines.push(Line::styled("No call of it is remembered.", faint));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

fn keys(state: &State, width: u16, paint: Paint) -> Line<'static> {
    if state.typing || (!state.filter.is_empty() && state.page == Page::Connections) {
        let cursor = if state.typing { "▏" } else { "" };
        let hint = if state.typing { "   Enter keeps it, Esc drops it" } else { "   f changes it" };
        return Line::from(vec![
            Span::styled(format!("filter: {}{cursor}", state.filter), paint.of(palette::STRONG)),
            Span::styled(hint, paint.of(palette::FAINT)),
        ]);
    }
    if !state.message.is_empty() {
        return Line::styled(cut(&state.message, usize::from(width)), paint.of(palette::WARNING));
    }
    let words: &[&str] = match state.page {
        Page::Connections => &["q quit", "? help", "⏎ calls", "f filter", "space pause", "↑↓ move", "sort:"],
        Page::Calls(_) => &["Esc back", "↑↓ scroll", "space pause", "q quit"],
        Page::Help => &["Esc back", "q quit"],
    };
    let mut text = String::new();
    let room = usize::from(width);
    for word in words {
        let word =
            if *word == "sort:" { format!("b r t n sort (by {})", state.sort.word()) } else { (*word).to_owned() };
        let more = if text.is_empty() { word } else { format!("  {word}") };
        if text.chars().count() + more.chars().count() <= room {
            text += &more;
        }
    }
    Line::styled(text, paint.of(palette::FAINT))
}

fn help() -> Vec<Line<'static>> {
    let text = "
  ↑ ↓ k j      move          PgUp PgDn  by a page
  Enter        calls of the connection marked
  b r t n      sort by bytes, rate, time, name
  f            show what has this in it: type
  space        pause, go on
  Esc          back; drop the filter
  q ^C         quit

  PHASE is how far it is or how it ended.
  RATE is of the last second, ▲ sent ▼ received.
  Blocked: threads in a call for 20 ms or more.";
    text.lines().map(Line::from).collect()
}

/// How long something lasts, for a look: `3.2 s`, `12 min 5 s`.
fn clock(ns: u64) -> String {
    let tenths = ns / 100_000_000;
    let seconds = tenths / 10;
    match seconds {
        0..60 => format!("{seconds}.{} s", tenths % 10),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}
