//! Compares what the kernel was asked with what was recorded, thread by thread.

use std::collections::{HashMap, HashSet, VecDeque};

use similar::{Algorithm, DiffOp, capture_diff_slices};
use sockshim_format::op::Op;
use sockshim_reader::{Audit, Verdict};

use super::address;
use super::records::{ALWAYS, ALWAYS_WITHOUT, NOT_BY_NUMBER, Record, Records, class, class_of};
use super::strace::{Account, Call, split, unquote};
use super::way::{Way, Ways};

/// Disagreements that are told with all that is known of them; the others are counted.
const TOLD: usize = 20;
/// The bit of clone(2) that makes the child run in its parent's memory while the parent waits.
const VFORK: &str = "CLONE_VFORK";

/// The result.
#[derive(Debug, Default)]
pub struct Comparison {
    /// Numbers.
    pub audit: Audit,
    /// The first disagreements, in words.
    pub told: Vec<String>,
}

impl Comparison {
    fn add(&mut self, verdict: Verdict, name: &str) {
        self.audit.add(verdict, name, 1);
    }

    fn disagree(&mut self, verdict: Verdict, name: &str, text: impl FnOnce() -> String) {
        self.add(verdict, name);
        if self.told.len() < TOLD {
            self.told.push(text());
        }
    }
}

/// A system call that came through the shim, and should be in the trace.
struct Candidate<'a> {
    tid: u32,
    call: &'a Call,
    class: &'static str,
    fd: i32,
    /// Whether it has to be recorded.
    must: bool,
    /// The function by which it came, if that is known.
    name: &'static str,
    way: Way,
    program: usize,
}

/// Compares a run with its trace.
pub fn compare(account: &Account, records: &Records) -> Comparison {
    let mut result = Comparison::default();
    let mut ways = Ways::new(account);
    let programs = Programs::of(account, &ways);
    let mut recorded = HashSet::new();
    let mut missed = Vec::new();
    for task in &account.tasks {
        let mut candidates = Vec::new();
        for (at, call) in task.calls.iter().enumerate() {
            let Some(class) = class(&call.name) else { continue };
            let (vforked, program) = programs.at(task.tid, at);
            let touches = |text: &str| text.contains("<socket:[");
            let args = split(&call.args);
            let on_socket = args.iter().take(3).any(|arg| touches(arg) && is_descriptor(arg));
            let must = ALWAYS.contains(&class) || on_socket;
            // Of waits and the like it is only said that they passed around us when a socket was meant.
            let meant = on_socket || class.starts_with("epoll") || class == "socket" || touches(&call.args);
            let way = ways.of(&call.stack);
            if way == Way::Own || !must {
                if let Way::Hooked(ops) = &way
                    && !inside(ops)
                {
                    candidates.push(candidate(task.tid, call, class, &args, false, way, program));
                }
                continue;
            }
            if vforked {
                result.add(Verdict::Unseen, "between vfork and exec");
                continue;
            }
            if !programs.has_shim(program) {
                if meant {
                    result.add(Verdict::Unseen, &format!("{}, without the shim", programs.name(program)));
                }
                continue;
            }
            match &way {
                Way::Own => {}
                Way::Hooked(ops) if inside(ops) => result.add(Verdict::Inside, ops[0].name()),
                Way::Hooked(_) | Way::Unknown => {
                    candidates.push(candidate(task.tid, call, class, &args, must, way, program))
                }
                Way::Public(_) => missed.push(candidate(task.tid, call, class, &args, must, way, program)),
                Way::Libc(part) if meant => result.add(Verdict::Unseen, part),
                Way::Raw(module) if meant => result.add(Verdict::Unseen, &format!("system calls of {module} itself")),
                Way::Libc(_) | Way::Raw(_) => {}
            }
        }
        let records = records.of(task.tid);
        let aligned = align(&candidates, &records);
        for (call, record) in aligned.pairs {
            let (candidate, record) = (&candidates[call], records[record]);
            recorded.insert(candidate.program);
            match difference(candidate, record) {
                None => result.add(Verdict::Seen, record.name),
                Some(what) => result.disagree(Verdict::Wrong, record.name, || {
                    format!("{what}: {}\n  in the trace: {}", kernels(task.tid, candidate.call), traces(record))
                }),
            }
        }
        let left: HashSet<usize> = aligned.calls.into_iter().collect();
        let left = candidates.into_iter().enumerate().filter(|(at, candidate)| candidate.must && left.contains(at));
        missed.extend(left.map(|(_, candidate)| candidate));
        // One that never returned may never have come so far.
        for record in aligned.records.into_iter().map(|at| records[at]).filter(|record| record.ret.is_some()) {
            result.disagree(Verdict::Invented, record.name, || {
                format!("unknown to the kernel: thread {}: {}", task.tid, traces(record))
            });
        }
    }
    let known: HashSet<u32> = account.tasks.iter().map(|task| task.tid).collect();
    for tid in records.threads().filter(|tid| !known.contains(tid)) {
        for record in records.of(tid) {
            result.disagree(Verdict::Invented, record.name, || format!("of a thread that strace did not see: {tid}"));
        }
    }
    for candidate in missed {
        let Candidate { tid, call, name, way, program, .. } = &candidate;
        match way {
            Way::Unknown => result.add(Verdict::Unseen, "a way that is not known"),
            Way::Hooked(ops) | Way::Public(ops) if ops.contains(&Op::Syscall) && by_number(call) => {
                result.add(Verdict::Unseen, &format!("syscall() for {}", call.name));
            }
            _ if !recorded.contains(program) => {
                result.add(Verdict::Unseen, &format!("{}, which recorded nothing", programs.name(*program)));
            }
            _ => result.disagree(Verdict::Missed, name, || {
                format!("not in the trace: {}\n  by {}", kernels(*tid, call), ways.describe(&call.stack))
            }),
        }
    }
    result
}

fn by_number(call: &Call) -> bool {
    NOT_BY_NUMBER.contains(&call.name.as_str())
}

/// Whether a function is recorded as a whole, whatever it does.
fn inside(ops: &[Op]) -> bool {
    !ops.is_empty() && !ops.contains(&Op::Syscall) && ops.iter().all(|op| class_of(*op).is_none())
}

/// `3<socket:[7]>`: not what a structure holds.
fn is_descriptor(argument: &str) -> bool {
    argument.starts_with(|c: char| c.is_ascii_digit())
}

fn candidate<'a>(
    tid: u32,
    call: &'a Call,
    class: &'static str,
    args: &[&str],
    must: bool,
    way: Way,
    program: usize,
) -> Candidate<'a> {
    let number = args.first().and_then(|arg| arg.split('<').next()?.parse::<i64>().ok()).unwrap_or(-1);
    let fd = if ALWAYS_WITHOUT.contains(&class) { -1 } else { number as u32 as i32 };
    let name = match &way {
        Way::Hooked(ops) | Way::Public(ops) => {
            ops.first().filter(|op| **op != Op::Syscall).map_or(class, |op| op.name())
        }
        _ => class,
    };
    Candidate { tid, call, class, fd, must, name, way, program }
}

/// What the two sides of one call have in common.
type Key = (&'static str, i32, Option<(i64, u16)>);

/// Pairs of a candidate and a record, by their places, and what is left of either.
#[derive(Default)]
struct Aligned {
    pairs: Vec<(usize, usize)>,
    calls: Vec<usize>,
    records: Vec<usize>,
}

/// Finds for each call its record: in order first; then, for calls of signal handlers, which may
/// stand on either side of the call that they interrupted, in any order; then what is the same call
/// with another result. What has to be recorded chooses first, before a file that had the same number.
fn align(candidates: &[Candidate<'_>], records: &[&Record]) -> Aligned {
    let kernel: Vec<Key> = candidates.iter().map(|c| (c.class, c.fd, c.call.ret)).collect();
    let trace: Vec<Key> = records.iter().map(|r| (r.class, r.fd, r.ret)).collect();
    let (must, may): (Vec<usize>, Vec<usize>) = (0..kernel.len()).partition(|at| candidates[*at].must);
    let mut aligned = Aligned { records: (0..trace.len()).collect(), ..Aligned::default() };
    let exactly = |key: &Key| *key;
    let roughly = |(class, fd, _): &Key| (*class, *fd, None);
    let must = aligned.in_order(&kernel, &trace, must);
    let must = aligned.anywhere(&kernel, &trace, must, exactly);
    let may = aligned.in_order(&kernel, &trace, may);
    let must = aligned.anywhere(&kernel, &trace, must, roughly);
    aligned.calls = aligned.anywhere(&kernel, &trace, may, exactly);
    aligned.calls.extend(must);
    aligned
}

impl Aligned {
    /// Pairs what is equal and in the same order. The calls that are left.
    fn in_order(&mut self, kernel: &[Key], trace: &[Key], calls: Vec<usize>) -> Vec<usize> {
        let keys = |of: &[Key], places: &[usize]| places.iter().map(|at| of[*at]).collect::<Vec<_>>();
        let ops = capture_diff_slices(Algorithm::Myers, &keys(kernel, &calls), &keys(trace, &self.records));
        let (mut left_calls, mut left_records) = (Vec::new(), Vec::new());
        for op in ops {
            let (old, new) = (op.old_range(), op.new_range());
            if matches!(op, DiffOp::Equal { .. }) {
                self.pairs.extend(old.zip(new).map(|(call, record)| (calls[call], self.records[record])));
            } else {
                left_calls.extend(&calls[old]);
                left_records.extend(&self.records[new]);
            }
        }
        self.records = left_records;
        left_calls
    }

    /// Pairs what is alike, wherever it stands. The calls that are left.
    fn anywhere(&mut self, kernel: &[Key], trace: &[Key], calls: Vec<usize>, like: fn(&Key) -> Key) -> Vec<usize> {
        let mut by_key: HashMap<Key, VecDeque<usize>> = HashMap::new();
        self.records.iter().for_each(|at| by_key.entry(like(&trace[*at])).or_default().push_back(*at));
        let (mut left, mut used) = (Vec::new(), HashSet::new());
        for call in calls {
            match by_key.get_mut(&like(&kernel[call])).and_then(VecDeque::pop_front) {
                Some(record) => {
                    self.pairs.push((call, record));
                    used.insert(record);
                }
                None => left.push(call),
            }
        }
        self.records.retain(|record| !used.contains(record));
        left
    }
}

/// In what the two sides of a call differ.
fn difference(candidate: &Candidate<'_>, record: &Record) -> Option<&'static str> {
    let call = candidate.call;
    // The thread was cancelled, or left the call by longjmp, before its function returned.
    let (Some((ret, errno)), Some(recorded)) = (call.ret, record.ret) else {
        return (record.ret.is_some() && candidate.must).then_some("never returned");
    };
    if ret != recorded.0 {
        return Some("another result");
    }
    if errno != recorded.1 {
        return Some("another errno");
    }
    let args = split(&call.args);
    if ret >= 0 || candidate.class == "connect" {
        let place = match candidate.class {
            "connect" | "bind" | "accept" | "accept4" | "getsockname" | "getpeername" | "sendmsg" | "recvmsg"
            | "sendmmsg" | "recvmmsg" => args.get(1),
            "sendto" | "recvfrom" => args.get(4),
            _ => None,
        };
        if let Some(shown) = place.and_then(|arg| address::of_strace(arg))
            && record.address.as_ref() != Some(&shown)
        {
            return Some("another address");
        }
    }
    if let (Some(bytes), false) = (record.bytes, call.args.contains("...]"))
        && lengths(&call.args) != bytes
    {
        return Some("another number of bytes");
    }
    let shown = match candidate.class {
        "read" | "write" | "sendto" | "recvfrom" if ret > 0 => args.get(1).and_then(|arg| unquote(arg)),
        _ => None,
    };
    let shown = shown.unwrap_or_default();
    let common = shown.len().min(record.payload.len()).min(ret.max(0) as usize);
    (shown[..common] != record.payload[..common]).then_some("other bytes")
}

/// The sum of all `msg_len=`, outside of strings as far as these look like it.
fn lengths(args: &str) -> u64 {
    let numbers = args.split("msg_len=").skip(1);
    numbers.filter_map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u64>().ok()).sum()
}

fn kernels(tid: u32, call: &Call) -> String {
    let Call { name, args, ret, .. } = call;
    let shown: String = args.chars().take(100).collect();
    let dots = if shown.len() < args.len() { "..." } else { "" };
    format!("thread {tid}: {name}({shown}{dots}) = {}", result(*ret))
}

fn traces(record: &Record) -> String {
    let Record { name, fd, ret, address, .. } = record;
    let address = address.as_ref().map(|address| format!(", {address:?}")).unwrap_or_default();
    let bytes = record.bytes.map(|bytes| format!(", {bytes} bytes")).unwrap_or_default();
    format!("{name}({fd}{address}{bytes}) = {}", result(*ret))
}

fn result(ret: Option<(i64, u16)>) -> String {
    match ret {
        None => "?".into(),
        Some((ret, 0)) => ret.to_string(),
        Some((ret, errno)) => format!("{ret} {}", sockshim_format::errno::errno_name(errno)),
    }
}

/// Which program each task runs, call by call: a task goes from one to the next by exec, and has its
/// first one from whoever made it.
struct Programs {
    /// By task: at which call it begins, the program's number.
    of_task: HashMap<u32, Vec<(usize, usize)>>,
    /// By task that `vfork` made: the call by which it got a program of its own.
    vforked: HashMap<u32, usize>,
    names: Vec<String>,
    with_shim: HashSet<usize>,
}

impl Programs {
    fn of(account: &Account, ways: &Ways<'_>) -> Programs {
        let mut made: HashMap<u32, Vec<(usize, u32, bool)>> = HashMap::new();
        let mut children = HashSet::new();
        for task in &account.tasks {
            for (at, call) in task.calls.iter().enumerate() {
                if !matches!(call.name.as_str(), "fork" | "vfork" | "clone" | "clone3") {
                    continue;
                }
                if let Some(child) = call.ret.and_then(|(ret, _)| u32::try_from(ret).ok()) {
                    let vfork = call.name == "vfork" || call.args.contains(VFORK);
                    made.entry(task.tid).or_default().push((at, child, vfork));
                    children.insert(child);
                }
            }
        }
        let mut programs = Programs {
            of_task: HashMap::new(),
            vforked: HashMap::new(),
            names: vec!["the program".into()],
            with_shim: HashSet::new(),
        };
        let roots = account.tasks.iter().filter(|task| !children.contains(&task.tid));
        let mut waiting: Vec<(u32, usize)> = roots.map(|task| (task.tid, 0)).collect();
        while let Some((tid, first)) = waiting.pop() {
            let task = account.tasks.iter().find(|task| task.tid == tid);
            // A number that was used twice is followed once.
            let Some(task) = task.filter(|task| !programs.of_task.contains_key(&task.tid)) else { continue };
            let mut segments = vec![(0, first)];
            let mut program = first;
            for (at, call) in task.calls.iter().enumerate() {
                if ways.has_shim(&call.stack) {
                    programs.with_shim.insert(program);
                }
                if matches!(call.name.as_str(), "execve" | "execveat") && call.ret == Some((0, 0)) {
                    let path = split(&call.args).iter().find_map(|arg| unquote(arg)).unwrap_or_default();
                    program = programs.names.len();
                    programs.names.push(String::from_utf8_lossy(&path).into_owned());
                    segments.push((at + 1, program));
                }
            }
            for (at, child, vfork) in made.get(&tid).into_iter().flatten() {
                let program = segments.iter().rev().find(|(start, _)| start <= at).map_or(first, |(_, p)| *p);
                if *vfork {
                    let of_child = account.tasks.iter().find(|task| task.tid == *child);
                    let executed = of_child.and_then(|task| {
                        task.calls.iter().position(|c| c.name.starts_with("execve") && c.ret == Some((0, 0)))
                    });
                    programs.vforked.insert(*child, executed.unwrap_or(usize::MAX));
                }
                waiting.push((*child, program));
            }
            programs.of_task.insert(tid, segments);
        }
        programs
    }

    /// Whether a call was made between `vfork` and exec, and in which program.
    fn at(&self, tid: u32, call: usize) -> (bool, usize) {
        let segments = self.of_task.get(&tid).map_or(&[][..], Vec::as_slice);
        let program = segments.iter().rev().find(|(start, _)| *start <= call).map_or(0, |(_, program)| *program);
        (self.vforked.get(&tid).is_some_and(|executed| call < *executed), program)
    }

    fn has_shim(&self, program: usize) -> bool {
        self.with_shim.contains(&program)
    }

    fn name(&self, program: usize) -> &str {
        self.names[program].rsplit('/').next().unwrap_or_default()
    }
}
