//! Connections and calls as C sees them. The structures are those of `include/sockshim/harness.h`.
#![allow(non_camel_case_types)]

use crate::reading::Reading;
use sockshim_reader::model::{Connect, Connection, Ending, FirstToClose, Role, Span};
use std::ffi::{c_char, c_int, c_uint};
use std::fmt::Display;

/// `sockshim_connection`.
#[repr(C)]
pub struct sockshim_connection {
    pub size: usize,
    pub cookie: u64,
    pub number: c_uint,
    pub pid: c_int,
    pub fd: c_int,
    pub role: c_int,
    pub phase: c_int,
    pub open: c_int,
    pub error: c_int,
    pub closed_first: c_int,
    pub sent_bytes: u64,
    pub received_bytes: u64,
    pub sent_calls: u64,
    pub received_calls: u64,
    pub begin_ns: i64,
    pub resolve_ns: i64,
    pub create_ns: i64,
    pub connect_ns: i64,
    pub first_byte_ns: i64,
    pub communicate_ns: i64,
    pub disconnect_ns: i64,
    pub local: [c_char; 112],
    pub peer: [c_char; 112],
    pub name: [c_char; 256],
    pub sentence: [c_char; 512],
}

/// Text in a fixed array, zero-terminated, cut to fit between two characters.
pub fn put(out: &mut [c_char], text: &str) {
    let mut end = text.len().min(out.len().saturating_sub(1));
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    out.fill(0);
    for (place, byte) in out.iter_mut().zip(text.as_bytes().iter().take(end)) {
        *place = *byte as c_char;
    }
}

fn array<const N: usize>(text: Option<impl Display>) -> [c_char; N] {
    let mut out = [0; N];
    if let Some(text) = text {
        put(&mut out, &text.to_string());
    }
    out
}

impl sockshim_connection {
    /// What is known of a connection.
    pub fn of(reading: &Reading, conn: &Connection) -> sockshim_connection {
        let holder = conn.holders.first();
        let took = |span: Option<Span>| span.map_or(-1, |span| ns(span.duration_ns()));
        let phases = &conn.phases;
        sockshim_connection {
            size: size_of::<sockshim_connection>(),
            cookie: conn.socket,
            number: conn.id as c_uint + 1,
            pid: holder.map_or(0, |holder| holder.pid as c_int),
            fd: holder.map_or(-1, |holder| holder.fd),
            role: match conn.role {
                Role::Unknown => 0,
                Role::Active => 1,
                Role::Passive => 2,
                Role::Listener => 3,
                Role::Pair => 4,
                Role::Datagram => 5,
            },
            phase: phases.spans().last().map_or(1, |(phase, _)| phase as c_int),
            open: c_int::from(conn.ending == Ending::Open),
            error: if let Connect::Failed(errno) = conn.connect { c_int::from(errno) } else { 0 },
            closed_first: match reading.model.closed_first(conn) {
                FirstToClose::Us | FirstToClose::UsReset => 1,
                FirstToClose::Peer | FirstToClose::Reset => 2,
                FirstToClose::Both => 3,
                FirstToClose::Nobody | FirstToClose::Unknown => 0,
            },
            sent_bytes: conn.sent.bytes,
            received_bytes: conn.received.bytes,
            sent_calls: conn.sent.calls,
            received_calls: conn.received.calls,
            begin_ns: conn.seen.map_or(0, |seen| ns(seen.start_ns)),
            resolve_ns: took(phases.resolve),
            create_ns: took(phases.create),
            connect_ns: took(phases.connect),
            first_byte_ns: conn.first_byte_ns.map_or(-1, ns),
            communicate_ns: took(phases.communicate),
            disconnect_ns: took(phases.disconnect),
            local: array(conn.local_address()),
            peer: array(conn.peer_address()),
            name: array(conn.peer_name.as_ref().map(|name| sockshim_reader::tell::safe(name))),
            sentence: array(Some(reading.model.sentence(conn, reading.zero_ns))),
        }
    }
}

/// `sockshim_call`.
#[repr(C)]
pub struct sockshim_call {
    pub size: usize,
    pub cookie: u64,
    pub name: *const c_char,
    pub line: *const c_char,
    pub pid: c_int,
    pub tid: c_int,
    pub fd: c_int,
    pub phase: c_int,
    pub error: c_int,
    pub reserved: c_int,
    pub result: i64,
    pub begin_ns: i64,
    pub duration_ns: i64,
}

/// As C has it: years enough.
pub fn ns(ns: u64) -> i64 {
    i64::try_from(ns).unwrap_or(i64::MAX)
}
