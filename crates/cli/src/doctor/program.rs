//! A program, before it runs: what will be seen of it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::Path;

use anyhow::Result;
use sockshim_format::op::{Op, Phase};

use super::binary::Binary;
use super::libraries::Libraries;
use super::{Report, Sight, names};
use crate::target::{self, Elf, Reason, Refusal, Target};

/// The libraries of libc itself, and the compilers': what they do inside is told by other lines.
const LIBC: &[&str] = &[
    "ld-linux",
    "libanl.",
    "libc.so",
    "libdl.",
    "libgcc_s.",
    "libm.",
    "libmvec.",
    "libnss_",
    "libpthread.",
    "libresolv.",
    "librt.",
    "libstdc++.",
    "libutil.",
    "linux-vdso.",
];
const STRACE: &str = "To see it: strace -f -e trace=network";
/// Functions that only sockets know, those that say most first.
const SOCKETS: &[&str] = &[
    "socket",
    "connect",
    "bind",
    "listen",
    "accept",
    "accept4",
    "send",
    "sendto",
    "sendmsg",
    "sendmmsg",
    "recv",
    "recvfrom",
    "recvmsg",
    "recvmmsg",
    "shutdown",
    "socketpair",
    "getsockopt",
    "setsockopt",
];

/// Looks at a program and all that it will load.
pub fn examine(program: &OsStr) -> Result<Report> {
    let target = match target::inspect(program) {
        Ok(target) => target,
        Err(refusal) => return refused(refusal),
    };
    let file = target.interpreters.last().unwrap_or(&target.path);
    let elf = Elf::of_our_machine(file).unwrap_or_default();
    let libraries = Libraries::of(file, &elf);
    let mut parts = Parts::default();
    parts.read("the program", file);
    for (name, path) in libraries.found.iter().filter(|(name, _)| !LIBC.iter().any(|libc| name.starts_with(libc))) {
        parts.read(name, path);
    }
    let mut report = Report::new(subject(&target, file, &libraries));
    for warning in &target.warnings {
        report.add(Sight::NotSeen, warning);
    }
    for (name, who) in &libraries.missing {
        let text = format!("{name}, which {} needs, was not found, so that it will not start", who.display());
        report.add(Sight::NotSeen, text).note("Install it, or set LD_LIBRARY_PATH.");
    }
    for (name, why) in &parts.unreadable {
        report.add(Sight::InPart, format!("{name} could not be read ({why}): nobody knows what it calls"));
    }
    parts.tell_seen(&mut report);
    parts.tell_in_part(&mut report);
    parts.tell_not_seen(&mut report, &elf, &libraries);
    Ok(report)
}

/// What cannot be traced is a report, too; what is no program is an error.
fn refused(refusal: Refusal) -> Result<Report> {
    match refusal.reason {
        Reason::Static { .. } | Reason::Musl | Reason::OtherMachine { .. } | Reason::Privileged(_) => {
            let asked_for = refusal.interpreter_of.as_ref().unwrap_or(&refusal.file).display();
            let mut report = Report::new(format!("{asked_for} cannot be traced."));
            let what = match &refusal.interpreter_of {
                Some(_) => format!("all of it: {}, which runs it, is {}", refusal.file.display(), refusal.reason),
                None => format!("all of it: {}", refusal.reason),
            };
            report.add(Sight::NotSeen, what).note(format!("What to do: {}.", refusal.remedy()));
            Ok(report)
        }
        _ => Err(refusal.into()),
    }
}

fn subject(target: &Target, file: &Path, libraries: &Libraries) -> String {
    let with = match libraries.found.len() {
        1 => "with 1 library".into(),
        n => format!("with {n} libraries"),
    };
    match target.interpreters.len() {
        0 => format!("{} can be traced: a dynamic program for glibc, {with}.", target.path.display()),
        _ => {
            let script = target.path.display();
            format!("{script} can be traced: a script, which {} runs, a dynamic program, {with}.", file.display())
        }
    }
}

/// The files that come together in one process.
#[derive(Default)]
struct Parts {
    /// By the name that people know them under; the program first.
    all: Vec<(String, Binary)>,
    unreadable: Vec<(String, String)>,
}

impl Parts {
    fn read(&mut self, name: &str, path: &Path) {
        match Binary::read(path) {
            Ok(binary) => self.all.push((name.to_owned(), binary)),
            Err(error) => self.unreadable.push((name.to_owned(), error.to_string())),
        }
    }

    /// Who imports one of these.
    fn importers(&self, symbols: &[&str]) -> Vec<&str> {
        let imports = |binary: &Binary| symbols.iter().any(|symbol| binary.imports.contains(*symbol));
        self.all.iter().filter(|(_, binary)| imports(binary)).map(|(name, _)| name.as_str()).collect()
    }

    fn tell_seen(&self, report: &mut Report) {
        let called: BTreeSet<&str> =
            self.all.iter().flat_map(|(_, binary)| &binary.imports).map(String::as_str).collect();
        let sockets = SOCKETS.iter().filter(|symbol| called.contains(*symbol));
        let callers = self.importers(SOCKETS);
        if callers.is_empty() {
            let what = "read, write and close, should a descriptor be a socket: none is made here";
            report.add(Sight::Seen, what);
        } else {
            report.add(Sight::Seen, names(sockets)).by(names(callers));
        }
        let by_number = self.importers(&["syscall"]);
        if !by_number.is_empty() {
            report.add(Sight::Seen, "socket calls by their number (syscall)").by(names(by_number));
        }
        let starts = |op: &&Op| super::trace::starts_programs(**op);
        let starters = self.importers(&Op::ALL.iter().filter(starts).map(|op| op.symbol()).collect::<Vec<_>>());
        if !starters.is_empty() {
            report.add(Sight::Seen, "programs that it starts, those that can be traced").by(names(starters));
        }
    }

    fn tell_in_part(&self, report: &mut Report) {
        let resolve: Vec<&str> =
            Op::ALL.iter().filter(|op| op.phase() == Phase::Resolve).map(|op| op.symbol()).collect();
        let used = resolve.iter().filter(|symbol| !self.importers(&[symbol]).is_empty());
        let note = "The call, the name and the answers are seen, the sockets of libc's resolver are not.";
        self.tell(report, &resolve, &names(used), note);
        let streams = ["fdopen", "_IO_fdopen"];
        let note = "If a stream is opened on a socket, its bytes pass inside libc. On TCP the kernel counts them, which is told.";
        self.tell(report, &streams, "fdopen", note);
        let requests = ["aio_read", "aio_read64", "aio_write", "aio_write64", "lio_listio", "lio_listio64"];
        let note = "The requests are seen, not when they end and with how many bytes.";
        self.tell(report, &requests, "POSIX asynchronous I/O", note);
        let note = "Plugins are not looked at here. Their calls are seen, unless they are opened with RTLD_DEEPBIND: \
                    trace it, then ask sockshim doctor TRACE.";
        self.tell(report, &["dlopen"], "dlopen", note);
        let note =
            "Once a filter is installed the kernel is asked nothing more: addresses of new sockets may be missing.";
        self.tell(report, &["seccomp_load"], "seccomp filters", note);
    }

    /// Tells of something that is seen in part, if anybody imports one of the symbols.
    fn tell(&self, report: &mut Report, symbols: &[&str], what: &str, note: &str) {
        let importers = self.importers(symbols);
        if !importers.is_empty() {
            report.add(Sight::InPart, what).by(names(importers)).note(note);
        }
    }

    fn tell_not_seen(&self, report: &mut Report, elf: &Elf, libraries: &Libraries) {
        let uring = |name: &str| name.starts_with("liburing.so");
        // Its own need of it is among the warnings.
        if libraries.found.iter().any(|(name, _)| uring(name) && !elf.needed.contains(name)) {
            report.add(Sight::NotSeen, "what its libraries send and receive through io_uring (liburing)").note(STRACE);
        }
        let mut calls: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (name, binary) in self.all.iter().filter(|(name, binary)| !binary.own_calls.is_empty() && !uring(name)) {
            calls.entry(names(&binary.own_calls)).or_default().push(name);
        }
        for (called, who) in calls {
            let what = format!("{called} by system calls that are not libc's");
            report.add(Sight::NotSeen, what).by(names(who)).note(STRACE);
        }
        let loaders = self.importers(&["dlmopen"]);
        if !loaders.is_empty() {
            report.add(Sight::NotSeen, "libraries in a namespace of their own (dlmopen)").by(names(loaders));
        }
        let Some((_, program)) = self.all.first() else { return };
        let symbols = Op::ALL.iter().map(|op| op.symbol());
        let defined: Vec<&str> = symbols.filter(|symbol| program.exports.contains(*symbol)).collect();
        if !defined.is_empty() {
            let what = format!("{}, which the program defines itself", names(defined));
            report.add(Sight::NotSeen, what).note("A program's own definitions come before ours.");
        }
        if program.exports.contains("__asan_init") {
            let note = "Link it with -shared-libasan, and set ASAN_OPTIONS=verify_asan_link_order=0.";
            report.add(Sight::NotSeen, "read, write and so on, which AddressSanitizer takes for itself").note(note);
        }
    }
}
