//! What happened on a connection: its sentence, and its calls as lines.

use crate::reading::Reading;
use sockshim_format::line::Line;
use sockshim_reader::CallInfo;
use sockshim_reader::model::{ConnId, Connection};
use sockshim_reader::tell;
use std::fmt::Write;

/// Calls that are told of a connection: so many at its beginning, so many at its end.
const FIRST: usize = 16;
const LAST: usize = 8;

/// A call as a line: `write(4<127.0.0.1:8080>, "ping", 4) = 4 <9.21µs>`.
pub fn line(call: &CallInfo) -> String {
    Line { call: &call.call, parts: &call.parts(), peer: None, duration_ns: call.duration_ns() }.to_string()
}

/// The sentence, and the calls below it.
pub fn story(reading: &Reading, conn: &Connection) -> String {
    let mut text = tell::story(&reading.model, conn, reading.zero_ns, "");
    text.push('\n');
    calls(reading, conn.id, &mut text);
    text
}

/// The calls of a connection, each with the time since the test began.
pub fn calls(reading: &Reading, id: ConnId, text: &mut String) {
    let calls: Vec<&CallInfo> =
        reading.calls.iter().filter(|(conns, _)| conns.contains(&id)).map(|(_, call)| call).collect();
    let left_out = calls.len().saturating_sub(FIRST + LAST);
    for (at, call) in calls.iter().enumerate() {
        if at == FIRST && left_out > 0 {
            let _ = writeln!(text, "       ...      {left_out} calls between");
        }
        if at < FIRST || at >= FIRST + left_out {
            let us = call.start_ns.saturating_sub(reading.zero_ns) / 1000;
            let _ = writeln!(text, "    {:>3}.{:06}  {}", us / 1_000_000, us % 1_000_000, line(call));
        }
    }
}
