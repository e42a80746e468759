//! Compares what the kernel was asked with what was recorded, thread by thread.

use std::collections::HashSet;
use std::collections::hash_map::{Entry, HashMap};

use sockshim_format::op::Op;
use sockshim_reader::{Audit, Verdict};

use super::address;
use super::align::align;
use super::programs::Programs;
use super::records::{NOT_BY_NUMBER, ON_SOCKETS, Record, Records, WITHOUT_DESCRIPTOR, class, class_of};
use super::strace::{Account, Call, Task, split, unquote};
use super::way::{Way, Ways};

/// Disagreements that are told with all that is known of them; the others are counted.
const TOLD: usize = 20;

/// The result.
#[derive(Debug, Default)]
pub struct Comparison {
    /// Numbers.
    pub audit: Audit,
    /// The first disagreements, in words, and how often each was met.
    pub told: Vec<(String, u64)>,
    /// By what was missed, and by which stack: its place in `told`.
    places: HashMap<(&'static str, Vec<usize>), usize>,
}

impl Comparison {
    fn add(&mut self, verdict: Verdict, name: &str) {
        self.audit.add(verdict, name, 1);
    }

    fn disagree(&mut self, verdict: Verdict, name: &str, text: impl FnOnce() -> String) {
        self.add(verdict, name);
        if self.told.len() < TOLD {
            self.told.push((text(), 1));
        }
    }

    /// Tells once what the same lines of the program do again and again.
    fn missed(&mut self, name: &'static str, stack: &[usize], text: impl FnOnce() -> String) {
        match self.places.entry((name, stack.to_vec())) {
            Entry::Occupied(place) => {
                self.audit.add(Verdict::Missed, name, 1);
                if let Some((_, times)) = self.told.get_mut(*place.get()) {
                    *times += 1;
                }
            }
            Entry::Vacant(place) => {
                place.insert(self.told.len());
                self.disagree(Verdict::Missed, name, text);
            }
        }
    }
}

/// A system call that may be in the trace, or has to be.
pub struct Candidate<'a> {
    tid: u32,
    call: &'a Call,
    way: Way,
    program: usize,
    /// What it is, by one name for all that are the same.
    pub class: &'static str,
    /// The descriptor.
    pub fd: i32,
    /// What it returned, and errno.
    pub ret: Option<(i64, u16)>,
    /// Whether it has to be recorded: calls on files pass through the shim as well.
    pub must: bool,
}

/// Compares a run with its trace.
pub fn compare(account: &Account, records: &Records) -> Comparison {
    let ways = Ways::new(account);
    let programs = Programs::of(account, &ways);
    let mut comparer = Comparer {
        records,
        ways,
        programs,
        recording: HashSet::new(),
        missed: Vec::new(),
        result: Comparison::default(),
    };
    account.tasks.iter().for_each(|task| comparer.task(task));
    let known: HashSet<u32> = account.tasks.iter().map(|task| task.tid).collect();
    for tid in records.threads().filter(|tid| !known.contains(tid)) {
        records.of(tid).into_iter().for_each(|record| comparer.invented(tid, record));
    }
    comparer.judge_missed();
    comparer.result
}

struct Comparer<'a> {
    records: &'a Records,
    ways: Ways<'a>,
    programs: Programs,
    /// Programs of which some record was found.
    recording: HashSet<usize>,
    /// What has no record and should have one; judged when it is known who records at all.
    missed: Vec<Candidate<'a>>,
    result: Comparison,
}

impl<'a> Comparer<'a> {
    fn task(&mut self, task: &'a Task) {
        let calls = task.calls.iter().enumerate();
        let candidates: Vec<Candidate<'a>> =
            calls.filter_map(|(at, call)| self.candidate(task.tid, at, call)).collect();
        let records = self.records.of(task.tid);
        let aligned = align(&candidates, &records);
        for (call, record) in aligned.pairs {
            let (candidate, record) = (&candidates[call], records[record]);
            self.recording.insert(candidate.program);
            match difference(candidate, record) {
                None => self.result.add(Verdict::Seen, record.name),
                Some(what) => self.result.disagree(Verdict::Wrong, record.name, || {
                    format!("{what}: {}\n  in the trace: {}", kernels(task.tid, candidate.call), traces(record))
                }),
            }
        }
        // One that never returned may never have come so far.
        let invented = aligned.records.into_iter().map(|at| records[at]).filter(|record| record.ret.is_some());
        invented.for_each(|record| self.invented(task.tid, record));
        let left: HashSet<usize> = aligned.calls.into_iter().collect();
        let left = candidates.into_iter().enumerate().filter(|(at, candidate)| candidate.must && left.contains(at));
        self.missed.extend(left.map(|(_, candidate)| candidate));
    }

    /// What has to be compared, or may have to be. The others are counted at once.
    fn candidate(&mut self, tid: u32, at: usize, call: &'a Call) -> Option<Candidate<'a>> {
        let class = class(&call.name)?;
        let args = split(&call.args);
        let names_socket = |text: &str| text.contains("<socket:[");
        let on_socket = args.iter().take(3).any(|arg| names_socket(arg) && is_descriptor(arg));
        let must = on_socket || !ON_SOCKETS.contains(&class);
        let (vforked, program) = self.programs.at(tid, at);
        let number = args.first().and_then(|arg| arg.split('<').next()?.parse::<i64>().ok()).unwrap_or(-1);
        let fd = if WITHOUT_DESCRIPTOR.contains(&class) { -1 } else { number as i32 };
        let way = self.ways.of(&call.stack);
        let candidate = Candidate { tid, call, way, program, class, fd, ret: call.ret, must };
        if !must {
            return matches!(&candidate.way, Way::Hooked(ops) if !are_whole(ops)).then_some(candidate);
        }
        // Of waits around the shim those count that can be about a socket.
        let meant = on_socket || class.starts_with("epoll") || class == "socket" || names_socket(&call.args);
        let unseen = match &candidate.way {
            Way::Own => return None,
            _ if vforked => "between vfork and exec".to_owned(),
            _ if !self.programs.has_shim(program) => format!("{}, without the shim", self.programs.name(program)),
            Way::Hooked(ops) if are_whole(ops) && ops.iter().any(|op| self.records.has_whole(tid, *op)) => {
                self.result.add(Verdict::Inside, ops[0].name());
                return None;
            }
            Way::Hooked(ops) if !are_whole(ops) => return Some(candidate),
            Way::Unknown => return Some(candidate),
            Way::Hooked(_) | Way::Public(_) => {
                self.missed.push(candidate);
                return None;
            }
            Way::Libc(part) => part.clone(),
            Way::Raw(module) => format!("system calls of {module} itself"),
        };
        if meant {
            self.result.add(Verdict::Unseen, &unseen);
        }
        None
    }

    fn invented(&mut self, tid: u32, record: &Record) {
        let text = || format!("unknown to the kernel: thread {tid}: {}", traces(record));
        self.result.disagree(Verdict::Invented, record.name, text);
    }

    fn judge_missed(&mut self) {
        for Candidate { tid, call, way, program, class, .. } in std::mem::take(&mut self.missed) {
            let by_number = NOT_BY_NUMBER.contains(&call.name.as_str());
            let name = match &way {
                Way::Hooked(ops) | Way::Public(ops) if ops.contains(&Op::Syscall) && by_number => {
                    self.result.add(Verdict::Unseen, &format!("syscall() for {}", call.name));
                    continue;
                }
                Way::Unknown => {
                    self.result.add(Verdict::Unseen, "a way that is not known");
                    continue;
                }
                _ if !self.recording.contains(&program) => {
                    let unseen = format!("{}, which recorded nothing", self.programs.name(program));
                    self.result.add(Verdict::Unseen, &unseen);
                    continue;
                }
                Way::Hooked(ops) | Way::Public(ops) => function(ops, class),
                _ => class,
            };
            let ways = &self.ways;
            self.result.missed(name, &call.stack, || {
                format!("not in the trace: {}\n  by {}", kernels(tid, call), ways.describe(&call.stack))
            });
        }
    }
}

/// Whether a function is recorded as a whole, whatever it does.
fn are_whole(ops: &[Op]) -> bool {
    !ops.is_empty() && !ops.contains(&Op::Syscall) && ops.iter().all(|op| class_of(*op).is_none())
}

/// The name of the function that made a system call of this class.
fn function(ops: &[Op], class: &'static str) -> &'static str {
    let exactly = ops.iter().find(|op| class_of(**op) == Some(class));
    let whole = ops.first().filter(|_| are_whole(ops));
    exactly.or(whole).map_or(class, |op| op.name())
}

/// `3<socket:[7]>`: not what a structure holds.
fn is_descriptor(argument: &str) -> bool {
    argument.starts_with(|c: char| c.is_ascii_digit())
}

/// In what the two sides of a call differ.
fn difference(candidate: &Candidate<'_>, record: &Record) -> Option<&'static str> {
    let call = candidate.call;
    // The thread was cancelled, or left the call by longjmp, before its function returned.
    let (Some((ret, errno)), Some(recorded)) = (call.ret, record.ret) else {
        return (record.ret.is_some() && candidate.must).then_some("never returned");
    };
    // glibc asks for F_GETOWN by F_GETOWN_EX, which returns the owner in memory.
    let owner = candidate.class == "fcntl" && call.args.contains("F_GETOWN_EX");
    if ret != recorded.0 && !owner {
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
        // The shim asks for these itself, and does not where it may not, or was told not to.
        let asked = matches!(candidate.class, "accept" | "accept4" | "getsockname" | "getpeername");
        if let Some(shown) = place.and_then(|arg| address::of_strace(arg))
            && record.address.as_ref() != Some(&shown)
            && !(asked && record.address.is_none())
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
