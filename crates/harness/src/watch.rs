//! A subscriber, and what it has been told.

use crate::facts::{ns, sockshim_call, sockshim_connection};
use crate::reading::Reading;
use crate::story::line;
use sockshim_format::op::Op;
use sockshim_reader::CallInfo;
use sockshim_reader::model::{Connection, Ending};
use std::collections::{HashMap, HashSet};
use std::ffi::{CString, c_char, c_int, c_void};

/// `sockshim_callbacks`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Callbacks {
    pub size: usize,
    pub context: *mut c_void,
    pub call: Option<unsafe extern "C" fn(*const sockshim_call, *mut c_void)>,
    pub phase: Option<unsafe extern "C" fn(*const sockshim_connection, c_int, *mut c_void)>,
    pub finished: Option<unsafe extern "C" fn(*const sockshim_connection, *mut c_void)>,
}

/// A subscription. What it has been told is remembered by numbers that no later reading changes.
pub struct Watch {
    callbacks: Callbacks,
    /// Calls: process, thread, and which of the thread's.
    calls: HashSet<(u32, u32, u32)>,
    /// Phases, a bit each, by the socket.
    phases: HashMap<u64, u8>,
    finished: HashSet<u64>,
}

impl Watch {
    /// Subscribes to what comes from now on.
    pub fn new(callbacks: Callbacks, reading: &Reading) -> Watch {
        let nobody = Callbacks { call: None, phase: None, finished: None, ..callbacks };
        let mut watch =
            Watch { callbacks: nobody, calls: HashSet::new(), phases: HashMap::new(), finished: HashSet::new() };
        watch.deliver(reading);
        watch.callbacks = callbacks;
        watch
    }

    /// Tells what is new. Returns how much that was.
    pub fn deliver(&mut self, reading: &Reading) -> c_int {
        let mut told = 0;
        for (_, call) in reading.calls.iter().filter(|(_, call)| reading.is_ours(call)) {
            if self.calls.insert((call.process, call.tid, call.call.seq)) {
                self.tell_call(call);
                told += 1;
            }
        }
        for conn in reading.connections() {
            let begun = conn.phases.spans().fold(0u8, |bits, (phase, _)| bits | 1 << phase as u8);
            let before = self.phases.insert(conn.socket, begun).unwrap_or(0);
            for phase in (0..5).filter(|phase| (begun & !before) >> phase & 1 == 1) {
                self.tell(reading, conn, Some(phase));
                told += 1;
            }
            if conn.ending != Ending::Open && self.finished.insert(conn.socket) {
                self.tell(reading, conn, None);
                told += 1;
            }
        }
        told
    }

    fn tell_call(&self, info: &CallInfo) {
        let Some(callback) = self.callbacks.call else { return };
        let text = CString::new(line(info)).unwrap_or_default();
        let name = CString::new(info.op().map_or("unknown", Op::name)).unwrap_or_default();
        let call = sockshim_call {
            size: size_of::<sockshim_call>(),
            cookie: info.call.socket,
            name: name.as_ptr().cast::<c_char>(),
            line: text.as_ptr().cast::<c_char>(),
            pid: info.pid as c_int,
            tid: info.tid as c_int,
            fd: info.call.fd,
            phase: info.op().map_or(-1, |op| op.phase() as c_int),
            error: c_int::from(info.call.errno),
            reserved: 0,
            result: info.call.ret,
            begin_ns: ns(info.start_ns),
            duration_ns: ns(info.duration_ns()),
        };
        // SAFETY: the subscriber's function, as `sockshim_watch_new` was promised; what it is given lives until it
        // returns.
        unsafe { callback(&call, self.callbacks.context) };
    }

    /// A phase that has begun, or that it is finished.
    fn tell(&self, reading: &Reading, conn: &Connection, phase: Option<c_int>) {
        let Callbacks { context, phase: on_phase, finished, .. } = self.callbacks;
        // SAFETY: as in `tell_call`.
        unsafe {
            match (phase, on_phase, finished) {
                (Some(phase), Some(callback), _) => callback(&sockshim_connection::of(reading, conn), phase, context),
                (None, _, Some(callback)) => callback(&sockshim_connection::of(reading, conn), context),
                _ => {}
            }
        }
    }
}
