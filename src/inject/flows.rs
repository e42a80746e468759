//! What has passed on each socket, as far as a plan has to know: bytes in both directions, and which way last.

use crate::sys;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// The directions.
pub const SENT: usize = 0;
pub const RECEIVED: usize = 1;

/// Sockets that are known at a time. Further ones take the place of others, whose counts begin anew.
const FLOWS: usize = 1024;
/// Places where a socket may be found.
const TRIES: usize = 8;

/// A socket that was connected, or that bytes have passed on.
pub struct Flow {
    socket: AtomicU64,
    /// Which one of its process it is, from 1 on.
    pub number: AtomicU32,
    /// Whether something was sent since something was received last.
    asked: AtomicU32,
    passed: [AtomicU64; 2],
    /// When what has passed would have passed at the speed of the rule.
    due_ns: [AtomicU64; 2],
}

#[unsafe(link_section = ".bss.table")]
static TABLE: [Flow; FLOWS] = [const {
    Flow {
        socket: AtomicU64::new(0),
        number: AtomicU32::new(0),
        asked: AtomicU32::new(0),
        passed: [AtomicU64::new(0), AtomicU64::new(0)],
        due_ns: [AtomicU64::new(0), AtomicU64::new(0)],
    }
}; FLOWS];

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// The flow of a socket; `None` if it is not known which socket it is.
pub fn of(socket: u64) -> Option<&'static Flow> {
    if socket == 0 {
        return None;
    }
    let start = (socket.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54) as usize;
    let places = || (start..start + TRIES).filter_map(|place| TABLE.get(place % FLOWS));
    if let Some(known) = places().find(|flow| flow.socket.load(Relaxed) == socket) {
        return Some(known);
    }
    let free = places().find(|flow| flow.socket.compare_exchange(0, socket, Relaxed, Relaxed).is_ok());
    let flow = free.or_else(|| TABLE.get(start))?;
    flow.socket.store(socket, Relaxed);
    flow.number.store(NUMBER.fetch_add(1, Relaxed) + 1, Relaxed);
    flow.asked.store(0, Relaxed);
    flow.passed.iter().chain(&flow.due_ns).for_each(|count| count.store(0, Relaxed));
    Some(flow)
}

impl Flow {
    /// Bytes that have passed in a direction.
    pub fn passed(&self, way: usize) -> u64 {
        self.passed.get(way).map_or(0, |passed| passed.load(Relaxed))
    }

    /// Counts bytes.
    pub fn add(&self, way: usize, bytes: u64) {
        if let Some(passed) = self.passed.get(way) {
            passed.fetch_add(bytes, Relaxed);
        }
    }

    /// Bytes pass in a direction: whether they are the first that answer what was sent.
    pub fn turn(&self, way: usize) -> bool {
        self.asked.swap(u32::from(way == SENT), Relaxed) != 0 && way == RECEIVED
    }

    /// How long to wait for bytes to have passed at so many in a second.
    pub fn pace(&self, way: usize, bytes: u64, bandwidth: u64) -> u64 {
        let now = sys::clock_ns(libc::CLOCK_MONOTONIC);
        let takes = (u128::from(bytes) * 1_000_000_000 / u128::from(bandwidth.max(1))) as u64;
        let Some(due) = self.due_ns.get(way) else { return 0 };
        let at = due.load(Relaxed).max(now).saturating_add(takes);
        due.store(at, Relaxed);
        at - now
    }
}
