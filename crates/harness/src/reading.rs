//! A region or a trace, read to its end: the model, the calls, and which connections are meant.

use crate::memory::{self, Recorded, Untold};
use sockshim_reader::expect::{Expected, Scene, Wrong};
use sockshim_reader::model::{ConnId, Connection};
use sockshim_reader::order::Events;
use sockshim_reader::{CallInfo, Error, Event, Model, Tail, Trace};
use std::collections::HashSet;
use std::ffi::CStr;
use std::fs;
use std::path::Path;

/// What a mark begins with that a test begins with.
pub const TEST_BEGINS: &str = "test begins: ";

/// What was recorded.
pub struct Reading {
    /// The connections.
    pub model: Model,
    /// The calls, in order of time, each with the connections that it has to do with.
    pub calls: Vec<(Vec<ConnId>, CallInfo)>,
    /// The zero of times: when the test began, or else the first event.
    pub zero_ns: u64,
    /// Calls that found no room.
    pub lost: u64,
    /// What the file lacks, in words.
    lacking: Vec<String>,
    /// Whether everything has ended.
    over: bool,
    /// Of whom connections are meant; `None`: of everybody.
    processes: Option<HashSet<u32>>,
    /// Connections before this are not meant.
    since_ns: u64,
}

/// Why nothing can be said.
pub enum Silence {
    /// There is nobody to ask.
    Untold(Untold),
    /// In words.
    Broken(String),
}

impl From<Untold> for Silence {
    fn from(why: Untold) -> Silence {
        Silence::Untold(why)
    }
}

impl From<Error> for Silence {
    fn from(error: Error) -> Silence {
        Silence::Broken(error.to_string())
    }
}

impl Reading {
    /// What was recorded at `path`, all of it; or without one by this process and those that it has forked, since its
    /// test began.
    pub fn of(path: Option<&CStr>) -> Result<Reading, Silence> {
        match path {
            Some(path) => {
                use std::os::unix::ffi::OsStrExt;
                Reading::new(Trace::open(Path::new(std::ffi::OsStr::from_bytes(path.to_bytes())))?, false)
            }
            None => match memory::recorded()? {
                Recorded::Region(copy) => Reading::new(Trace::of_copy(copy)?, true),
                Recorded::Kept(path) => Reading::new(Trace::open(path)?, true),
            },
        }
    }

    fn new(trace: Trace, own: bool) -> Result<Reading, Silence> {
        let mut events = Events::new(trace);
        let (mut model, mut calls, mut tests) = (Model::new(), Vec::new(), Vec::new());
        for event in events.by_ref() {
            let event = event?;
            model.feed(&event);
            match event {
                Event::Call(call) => calls.push((model.concerned(&call), call)),
                Event::Mark(mark) if mark.text.starts_with(TEST_BEGINS.as_bytes()) => {
                    tests.push((mark.process, mark.time_ns));
                }
                _ => {}
            }
        }
        // Nobody tells who has ended meanwhile.
        if own || matches!(events.trace().tail(), Tail::Region { .. }) {
            let gone: Vec<(u32, u64)> =
                model.processes().filter(|(_, p)| !p.gone && !runs(p.pid)).map(|(n, p)| (n, p.last_ns)).collect();
            gone.into_iter().for_each(|(number, last_ns)| model.process_gone(number, last_ns));
        }
        let over = matches!(events.trace().tail(), Tail::Ended(_)) || model.processes().all(|(_, p)| p.gone);
        model.finish(over);
        model.left_out_in_all(events.trace().left_out());
        let (lost, _) = events.trace().lost().unwrap_or_default();
        // Of a trace in several files the earlier ones may be gone.
        let lost = lost + if own { events.trace().calls_before() } else { 0 };
        // Our own is still being written.
        let lacking = if own { Vec::new() } else { events.trace().lacking() };
        let processes = own.then(|| family(&model));
        let begun = processes.as_ref().and_then(|_| {
            let ancestors = ancestors(&model);
            tests.iter().filter(|(process, _)| ancestors.contains(process)).map(|(_, time_ns)| *time_ns).max()
        });
        let since_ns = begun.unwrap_or(0);
        let zero_ns = begun.or(model.span().map(|span| span.start_ns)).unwrap_or(0);
        Ok(Reading { model, calls, zero_ns, lost, lacking, over, processes, since_ns })
    }

    /// Whether a connection is one that is asked about.
    pub fn is_meant(&self, conn: &Connection) -> bool {
        let mut holders = conn.holders.iter().map(|holder| holder.process);
        let ours = self.processes.as_ref().is_none_or(|own| holders.any(|process| own.contains(&process)));
        ours && conn.seen.is_some_and(|seen| seen.start_ns >= self.since_ns)
    }

    /// Whether a call is.
    pub fn is_ours(&self, call: &CallInfo) -> bool {
        self.processes.as_ref().is_none_or(|own| own.contains(&call.process)) && call.start_ns >= self.since_ns
    }

    /// The connections that are asked about.
    pub fn connections(&self) -> impl Iterator<Item = &Connection> {
        self.model.connections().filter(|conn| self.is_meant(conn))
    }

    /// What does not hold.
    pub fn wrong(&self, expected: &Expected) -> Vec<Wrong> {
        let scene = Scene {
            model: &self.model,
            zero_ns: self.zero_ns,
            meant: &|conn| self.is_meant(conn),
            over: self.over,
            unseen: &|conn| self.unseen(conn),
            not_followed: &|| {
                let paths = self.model.not_followed().iter().map(|launch| sockshim_reader::tell::safe(&launch.path));
                paths.collect()
            },
            lacking: &|| self.lacking.clone(),
        };
        scene.wrong(expected)
    }

    fn unseen(&self, conn: &Connection) -> Option<String> {
        use sockshim_format::op::Direction::{Received, Sent};
        let bytes = |direction| self.model.unseen(conn, direction).map_or(0, |unseen| unseen.bytes);
        let (sent, received) = (bytes(Sent), bytes(Received));
        (sent > 0 || received > 0).then(|| format!("{sent} B sent and {received} B received passed around us"))
    }
}

/// The number of this process, and of all that it has forked, and they.
fn family(model: &Model) -> HashSet<u32> {
    let mut family: HashSet<u32> = own_number(model).into_iter().collect();
    // A parent's number is smaller than its child's.
    for (number, process) in model.processes() {
        if process.info.as_ref().is_some_and(|info| family.contains(&info.process.parent)) {
            family.insert(number);
        }
    }
    family
}

/// The number of this process, and of those that it was forked from.
fn ancestors(model: &Model) -> HashSet<u32> {
    let parent = |number: &u32| {
        let info = model.process(*number)?.info.as_ref()?;
        Some(info.process.parent).filter(|parent| *parent != 0 && parent < number)
    };
    std::iter::successors(own_number(model), parent).collect()
}

fn own_number(model: &Model) -> Option<u32> {
    let pid = std::process::id();
    model.processes().filter(|(_, process)| process.pid == pid).map(|(number, _)| number).max()
}

/// Whether a process runs. In doubt it does.
fn runs(pid: u32) -> bool {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        // The state stands behind the name, which may hold anything.
        Ok(stat) => !stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with(['Z', 'X'])),
        Err(_) => Path::new(&format!("/proc/{pid}")).exists() || !Path::new("/proc/self").exists(),
    }
}
