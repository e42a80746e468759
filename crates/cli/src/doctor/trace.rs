//! A run, afterwards: what of it was not seen, and why.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Result;
use sockshim_format::op::{Direction, Op, Phase};
use sockshim_reader::model::{Connect, Connection, Ending, Role};
use sockshim_reader::order::Events;
use sockshim_reader::{Audit, CallInfo, Event, Model, Tail, Trace, Verdict};

use super::{Report, Sight, names};
use crate::views::{bytes, count, live, safe, thousands, unseen};
use crate::watch;

/// Connections and programs that are told one by one.
const MOST: usize = 20;
/// dlopen(3): its own definitions come before those of the program, and before ours.
const RTLD_DEEPBIND: u32 = 8;
const PR_SET_SECCOMP: u32 = 22;
const STRACE: &str = "To see it: strace -f -e trace=network";

/// Whether a call starts another program.
pub fn starts_programs(op: Op) -> bool {
    use Op::*;
    matches!(
        op.base(),
        Execve
            | Execv
            | Execvp
            | Execvpe
            | Execl
            | Execlp
            | Execle
            | Execveat
            | Fexecve
            | PosixSpawn
            | PosixSpawnp
            | Popen
            | System
    )
}

/// What the calls of a trace tell, besides the connections.
#[derive(Default)]
struct Calls {
    count: u64,
    /// Calls of libc's resolver, by process.
    resolved: BTreeMap<u32, u64>,
    /// Processes that installed a seccomp filter.
    filtered: BTreeSet<u32>,
    /// Libraries whose calls pass around us, and how they were loaded.
    libraries: BTreeSet<(String, &'static str)>,
}

impl Calls {
    fn note(&mut self, call: &CallInfo) {
        self.count += 1;
        let Some(op) = call.op().map(Op::base) else { return };
        if op.phase() == Phase::Resolve {
            *self.resolved.entry(call.process).or_default() += 1;
        }
        if op == Op::Prctl && call.call.arg == PR_SET_SECCOMP && call.call.ret >= 0 {
            self.filtered.insert(call.process);
        }
        let how = match op.name() {
            "dlmopen" => "dlmopen",
            "dlopen" if call.call.arg & RTLD_DEEPBIND != 0 => "RTLD_DEEPBIND",
            _ => return,
        };
        let path = call.parts().path.unwrap_or_default();
        self.libraries.insert((safe(path), how));
    }
}

/// Looks at a trace.
pub fn examine(path: &Path) -> Result<Report> {
    let mut events = Events::new(Trace::open(path)?);
    let (mut model, mut calls) = (Model::new(), Calls::default());
    for event in events.by_ref() {
        let event = event?;
        model.feed(&event);
        if let Event::Call(call) = &event {
            calls.note(call);
        }
    }
    let trace = events.trace();
    let (lost, lost_extensions) = trace.lost().unwrap_or_default();
    model.finish(matches!(trace.tail(), Tail::Ended(_)));
    model.lost_in_all(lost.saturating_add(lost_extensions).saturating_add(trace.calls_before()));
    watch::tell(&mut model, trace.notes());

    let processes = model.processes().map(|(_, process)| process.pid).collect::<BTreeSet<_>>().len() as u64;
    let processes = if processes == 1 { "1 process".into() } else { format!("{processes} processes") };
    let command = trace.meta("command").map_or(String::new(), |command| format!(" of {}", safe(command.as_bytes())));
    let subject = format!("{}: {} in {processes}{command}.", path.display(), count(calls.count, "call"));
    let mut report = Report::new(subject);
    if let Some(audit) = trace.audit() {
        tell_audit(&mut report, audit);
    }
    tell_file(&mut report, trace, lost);
    tell_connections(&mut report, &model);
    tell_programs(&mut report, &model);
    tell_calls(&mut report, &model, &calls);
    Ok(report)
}

/// What `run --verify` found: the kernel's own word on how much there was to see.
fn tell_audit(report: &mut Report, audit: &Audit) {
    let seen = audit.total(Verdict::Seen);
    let mut ways: BTreeMap<String, u64> = BTreeMap::new();
    for verdict in [Verdict::Wrong, Verdict::Missed, Verdict::Inside, Verdict::Unseen] {
        for (name, count) in audit.of(verdict) {
            let resolves = Op::ALL.iter().any(|op| op.symbol() == name && op.phase() == Phase::Resolve);
            let way = match verdict {
                Verdict::Inside if resolves => "libc's resolver".into(),
                Verdict::Inside => format!("inside {name}"),
                Verdict::Wrong => format!("{name}, not recorded as it was"),
                Verdict::Missed => format!("{name}, missed"),
                _ => name.to_owned(),
            };
            *ways.entry(safe(way.as_bytes())).or_default() += count;
        }
    }
    let unseen: u64 = ways.values().sum();
    let were = if unseen == 1 { "was" } else { "were" };
    let text = format!("{} of {} seen", thousands(seen), count(seen + unseen, "socket call"));
    if unseen == 0 {
        report.add(Sight::Seen, text).note("By the kernel's account (run --verify).");
        return;
    }
    let mut ways: Vec<(String, u64)> = ways.into_iter().collect();
    ways.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let named = names(ways.iter().map(|(way, count)| format!("{way} ({})", thousands(*count))));
    let text = format!("{text}; {} {were} not: {named}", thousands(unseen));
    report.add(Sight::InPart, text).note("By the kernel's account (run --verify).");
    if !audit.agrees() {
        report
            .add(Sight::NotSeen, "calls that should have been recorded")
            .note("This is a bug of sockshim: please tell.");
    }
}

fn tell_file(report: &mut Report, trace: &Trace, lost: u64) {
    if lost > 0 {
        let text = format!("{}, which were lost while the program ran", count(lost, "call"));
        report.add(Sight::NotSeen, text).note("Give them more room: sockshim run --region-size 256M");
    }
    if trace.calls_before() > 0 {
        let which = if trace.keeps_newest() { "which were overwritten" } else { "which are in the files before it" };
        report.add(Sight::InPart, format!("{}, {which}", count(trace.calls_before(), "earlier call")));
    }
    if trace.damaged_bytes() > 0 {
        report.add(Sight::NotSeen, format!("{} of the trace, which are damaged", count(trace.damaged_bytes(), "byte")));
    }
    match trace.tail() {
        Tail::Ended(_) | Tail::Region { .. } => {}
        Tail::Continued => _ = report.add(Sight::InPart, "the run, which goes on in another file"),
        Tail::Open => _ = report.add(Sight::InPart, "the run: the trace was not ended, or is still being written"),
        Tail::Torn { .. } => _ = report.add(Sight::InPart, "the run: the trace is cut short"),
    }
}

/// TCP connections, whose bytes the kernel counts.
fn tell_connections(report: &mut Report, model: &Model) {
    let tcp = |c: &&Connection| matches!(c.domain, libc::AF_INET | libc::AF_INET6) && c.kind == libc::SOCK_STREAM;
    // One that was inherited was connected by somebody else.
    let connected = |c: &Connection| c.is_connected() || (c.connect == Connect::None && c.peer_address().is_some());
    let talked = |c: &&Connection| c.role != Role::Listener && connected(c);
    let all: Vec<&Connection> = model.connections().filter(tcp).filter(talked).collect();
    let nothing = |c: &Connection, way| model.unseen(c, way).is_some_and(|unseen| unseen.bytes == 0);
    let whole = all.iter().filter(|c| nothing(c, Direction::Sent) && nothing(c, Direction::Received)).count();
    if whole > 0 {
        let which = match all.len() {
            1 => "the TCP connection".into(),
            n if n == whole => format!("all {n} TCP connections"),
            n => format!("{whole} of {n} TCP connections"),
        };
        let note = "The kernel counted as many as the calls carried.";
        report.add(Sight::Seen, format!("every byte of {which}")).note(note);
    }
    let around: Vec<(&Connection, String)> = all.iter().filter_map(|c| Some((*c, unseen::amount(model, c)?))).collect();
    for (connection, amount) in around.iter().take(MOST) {
        let (who, cause) = (name(model, connection), unseen::causes(model, connection));
        report.add(Sight::NotSeen, format!("{amount} on {who}: {cause}")).note(STRACE);
    }
    if around.len() > MOST {
        report.add(Sight::NotSeen, format!("bytes on {} more connections", around.len() - MOST));
    }
    let unknown: Vec<&&Connection> = all
        .iter()
        .filter(|c| [Direction::Sent, Direction::Received].iter().any(|way| model.unseen(c, *way).is_none()))
        .collect();
    if !unknown.is_empty() {
        let left = unknown.iter().filter(|c| !matches!(c.ending, Ending::Closed(_))).count();
        let why = match left {
            0 => "the kernel was not asked for its counts, or they do not compare".into(),
            n if n == unknown.len() => {
                "left open until the process ended, so that the kernel's counts are not known".into()
            }
            n => format!("{n} were left open until the process ended, of the others the kernel's counts are not known"),
        };
        let which = count(unknown.len() as u64, "TCP connection");
        report.add(
            Sight::InPart,
            format!("{which}: the calls, but whether bytes passed around them is not known: {why}"),
        );
    }
    for (connection, (sent, received)) in all.iter().filter_map(|c| Some((c, c.before_found()?))).take(MOST) {
        let (sent, received) = (bytes(sent), bytes(received));
        let who = name(model, connection);
        report.add(Sight::InPart, format!("{who}: {sent} sent and {received} received before it was first seen"));
    }
    let others = |c: &&Connection| !tcp(c) && (c.stdio || c.asynchronous);
    for connection in model.connections().filter(others).take(MOST) {
        let how = if connection.stdio { "a stream (fdopen)" } else { "POSIX asynchronous I/O" };
        let who = name(model, connection);
        report.add(Sight::InPart, format!("{who}: what passed through {how} was not seen, and nobody counts it"));
    }
}

fn name(model: &Model, connection: &Connection) -> String {
    let holder = connection.holders.first();
    let who = holder.map_or(String::new(), |h| format!("{}[{}]:{}", live::name(model, h.process), h.pid, h.fd));
    match (connection.peer_address(), connection.local_address()) {
        (Some(peer), _) if peer.unix_path() != Some(&[]) => format!("{who} with {peer}"),
        (_, Some(local)) => format!("{who} at {local}"),
        _ => who,
    }
}

fn tell_programs(report: &mut Report, model: &Model) {
    let all = model.not_followed();
    for launch in all.iter().take(MOST) {
        let why = unseen::why_not_followed(launch).map_or(String::new(), |why| format!("It was not followed: {why}."));
        report.add(Sight::NotSeen, format!("what {} did", unseen::program(launch))).note(why);
    }
    if all.len() > MOST {
        report.add(Sight::NotSeen, format!("what {} more programs did", all.len() - MOST));
    }
    let rings = model.processes().filter(|(_, process)| process.io_uring);
    let rings: Vec<String> = rings.map(|(number, _)| process(model, number)).collect();
    if !rings.is_empty() {
        report.add(Sight::NotSeen, format!("what {} did through io_uring", names(rings))).note(STRACE);
    }
}

fn process(model: &Model, number: u32) -> String {
    format!("{}[{}]", live::name(model, number), model.process(number).map_or(0, |process| process.pid))
}

fn tell_calls(report: &mut Report, model: &Model, calls: &Calls) {
    let resolved: u64 = calls.resolved.values().sum();
    if resolved > 0 {
        let who = names(calls.resolved.keys().map(|number| process(model, *number)));
        let text =
            format!("{} ({who}): the sockets of libc's resolver were not seen", count(resolved, "name resolution"));
        report.add(Sight::InPart, text);
    }
    if !calls.filtered.is_empty() {
        let who = names(calls.filtered.iter().map(|number| process(model, *number)));
        let text = format!("{who} installed a seccomp filter: from then on the kernel was asked nothing");
        report.add(Sight::InPart, text);
    }
    for (library, how) in &calls.libraries {
        let library = if library.is_empty() { "a library" } else { library };
        report.add(Sight::NotSeen, format!("the calls of {library}, which was loaded by {how}"));
    }
}
