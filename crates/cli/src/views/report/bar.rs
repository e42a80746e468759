//! The phases of a connection as a bar, in proportion to their time.
//!
//! Each phase has a shade of its own, so the bar can be read without color.

use anstyle::Style;
use sockshim_format::op::Phase;
use sockshim_reader::model::{Connection, Span};

use super::row::Row;
use crate::palette;

/// A name that was resolved longer ago is not part of the picture: others may have been connected by it since.
const RESOLVED_NS: u64 = 10_000_000;

/// How a phase is drawn.
pub const fn shade(phase: Phase) -> char {
    match phase {
        Phase::Resolve => '░',
        Phase::Create => '▒',
        Phase::Connect => '▓',
        Phase::Communicate => '█',
        _ => '▚',
    }
}

/// The phases that a connection has gone through, in order.
pub fn phases(connection: &Connection) -> Vec<(Phase, Span)> {
    connection.phases.spans().collect()
}

/// Whether the name was resolved for this connection, as far as time tells.
pub fn is_near(connection: &Connection, phase: Phase, span: Span) -> bool {
    let begin_ns = connection.seen.map_or(0, |seen| seen.start_ns);
    phase != Phase::Resolve || span.end_ns.saturating_add(RESOLVED_NS) >= begin_ns
}

/// From the first to the last that is drawn of a connection.
pub fn extent(connection: &Connection) -> Span {
    let mut all = connection.seen.unwrap_or(Span { start_ns: 0, end_ns: 0 });
    for (phase, span) in phases(connection) {
        if is_near(connection, phase, span) {
            all = Span { start_ns: all.start_ns.min(span.start_ns), end_ns: all.end_ns.max(span.end_ns) };
        }
    }
    all
}

/// The bar, so many columns wide, on a scale that may reach further than the connection does.
pub fn bar(connection: &Connection, scale: Span, columns: usize) -> Row {
    let at = |time_ns: u64| {
        let since = u128::from(time_ns.saturating_sub(scale.start_ns));
        let column = since * columns as u128 / u128::from(scale.duration_ns().max(1));
        usize::try_from(column).unwrap_or(columns).min(columns)
    };
    let drawn: Vec<(Phase, Span)> =
        phases(connection).into_iter().filter(|(phase, span)| is_near(connection, *phase, *span)).collect();
    // Every phase has a column at least, behind the one before it.
    let mut cells: Vec<(Phase, usize, usize)> = Vec::new();
    let mut free = 0;
    for (phase, span) in drawn {
        let start = at(span.start_ns).max(free).min(columns);
        free = at(span.end_ns).max(start + 1);
        cells.push((phase, start, free));
    }
    // Those at the end move forward to make room.
    let mut limit = columns;
    for (_, start, end) in cells.iter_mut().rev() {
        *end = (*end).min(limit);
        *start = (*start).min(end.saturating_sub(1));
        limit = *start;
    }
    let seen = extent(connection);
    let (from, to) = (at(seen.start_ns), at(seen.end_ns));
    let mut row = Row::new();
    let between = |row: &mut Row, until: usize| {
        let here = row.width();
        let blank = from.clamp(here, until.max(here)) - here;
        row.push(Style::new(), " ".repeat(blank));
        let here = row.width();
        let idle = to.clamp(here, until.max(here)) - here;
        row.push(palette::FAINT, "─".repeat(idle));
        row.to_column(until);
    };
    for (phase, start, end) in cells {
        between(&mut row, start);
        row.push(palette::phase(phase), shade(phase).to_string().repeat(end.saturating_sub(start)));
    }
    between(&mut row, columns);
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockshim_reader::model::Phases;

    fn connection(spans: [Option<(u64, u64)>; 5], seen: (u64, u64)) -> Connection {
        let span = |(start_ns, end_ns)| Span { start_ns, end_ns };
        let [resolve, create, connect, communicate, disconnect] = spans.map(|it| it.map(span));
        let phases = Phases { resolve, create, connect, communicate, disconnect };
        let mut connection = Connection::default();
        (connection.phases, connection.seen) = (phases, Some(span(seen)));
        connection
    }

    #[test]
    fn phases_are_in_proportion_and_each_is_there() {
        let conn = connection([None, Some((0, 1)), Some((1, 200)), Some((200, 990)), Some((999, 1000))], (0, 1000));
        assert_eq!(bar(&conn, extent(&conn), 10).text(), "▒▓███████▚");
        // Short ones at the end need room too.
        let conn = connection([None, None, Some((0, 990)), Some((995, 996)), Some((999, 1000))], (0, 1000));
        assert_eq!(bar(&conn, extent(&conn), 10).text(), "▓▓▓▓▓▓▓▓█▚");
        assert_eq!(bar(&conn, Span { start_ns: 0, end_ns: 2000 }, 10).text(), "▓▓▓▓█▚    ");
        assert_eq!(bar(&conn, extent(&conn), 2).width(), 2);
    }

    #[test]
    fn silence_is_a_line_and_absence_is_nothing() {
        let conn = connection([None, Some((500, 510)), None, None, Some((890, 900))], (500, 900));
        assert_eq!(bar(&conn, Span { start_ns: 0, end_ns: 1000 }, 10).text(), "     ▒──▚ ");
        let old =
            connection([Some((0, 10)), Some((50_000_000, 50_000_010)), None, None, None], (50_000_000, 50_000_100));
        assert_eq!(extent(&old).start_ns, 50_000_000);
    }
}
