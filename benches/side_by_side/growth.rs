//! How the cost grows with the work: connections, threads, calls a second, calls in a trace.

use crate::machine::Scratch;
use crate::report::spread;
use crate::subjects::Subject;
use crate::workloads::{Measured, counted};
use sockshim_reader::Trace;
use std::fmt::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

pub struct Growth<'a> {
    pub scratch: &'a Scratch,
    pub bare: &'a Subject,
    pub traced: &'a Subject,
    pub pairs: usize,
    pub quick: bool,
}

/// What a process has taken, its children too.
struct Usage {
    cpu_ns: f64,
    user_ns: f64,
    peak_kib: i64,
    output: String,
}

impl Growth<'_> {
    pub fn markdown(&self, progress: fn(&str)) -> String {
        let program = self.scratch.build("workload.c", "workload", &[]).display().to_string();
        let mut text = String::new();
        text.push_str("| | untraced | added by sockshim | lost |\n| --- | ---: | ---: | ---: |\n");
        let calls: u64 = if self.quick { 40_000 } else { 200_000 };
        for count in [1, 10, 100, 1000] {
            progress(&format!("{count} connections"));
            self.row(
                &mut text,
                &format!("{count} connections in turn"),
                &program,
                ["many", &calls.to_string(), &count.to_string()],
            );
        }
        for count in [1, 10, 100, 1000] {
            progress(&format!("{count} threads"));
            // More than the region holds: it comes round again and again.
            let each = (5 * calls / count).to_string();
            self.row(&mut text, &format!("{count} threads at once"), &program, ["threads", &each, &count.to_string()]);
        }
        progress("10,000 threads");
        self.row(&mut text, "10,000 threads, a call each", &program, ["once", "10000", "1"]);
        text.push_str("\n| calls a second | the tool's share of a core | lost |\n| --- | ---: | ---: |\n");
        for rate in [10_000, 100_000, 500_000, 0] {
            progress(&format!("{rate} calls a second"));
            self.rate(&mut text, &program, rate);
        }
        text.push_str(
            "\n| calls in a trace | bytes each | read to a summary | calls a second | memory | report | memory |\n",
        );
        text.push_str("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n");
        let most = if self.quick { 6 } else { 7 };
        for power in 5..=most {
            progress(&format!("10^{power} calls"));
            self.records(&mut text, &program, 10u64.pow(power));
        }
        text
    }

    /// CPU that is added to a call, and what was lost in all the runs.
    fn row(&self, text: &mut String, what: &str, program: &str, words: [&str; 3]) {
        let trace = self.scratch.path("trace");
        let mut lost = 0;
        let mut run = |subject: &Subject| -> Option<Measured> {
            let measured = counted(subject.command(program, &trace).args(words))?;
            if trace.exists() {
                lost += Trace::open(&trace).ok()?.lost()?.0;
                let _ = std::fs::remove_file(&trace);
            }
            Some(measured)
        };
        let mut pairs = Vec::new();
        for turn in 0..self.pairs {
            let first = if turn.is_multiple_of(2) { self.bare } else { self.traced };
            let second = if turn.is_multiple_of(2) { self.traced } else { self.bare };
            let (Some(a), Some(b)) = (run(first), run(second)) else {
                let _ = writeln!(text, "| {what} | failed | | |");
                return;
            };
            pairs.push(if turn.is_multiple_of(2) { (a, b) } else { (b, a) });
        }
        let each = |m: &Measured| m.cpu_ns / m.operations;
        let (least, median, most) = spread(pairs.iter().map(|(a, b)| each(b) - each(a))).numbers();
        let bare = spread(pairs.iter().map(|(a, _)| each(a))).numbers().1;
        let _ = writeln!(text, "| {what} | {bare:.0} ns | {median:+.0} ns <sub>{least:.0}..{most:.0}</sub> | {lost} |");
    }

    /// What the tool takes while a program makes so many calls a second; 0: as many as it can, in two threads.
    fn rate(&self, text: &mut String, program: &str, rate: u64) {
        let trace = self.scratch.path("trace");
        let seconds = if self.quick { 1 } else { 5 };
        let mut command = self.traced.command(program, &trace);
        match rate {
            0 => command.args(["flood", &(seconds * 1_500_000).to_string(), "2"]),
            rate => command.args(["paced", &(rate * seconds).to_string(), &rate.to_string()]),
        };
        let Some(usage) = used(&mut command) else {
            let _ = writeln!(text, "| {rate} | failed | |");
            return;
        };
        let numbers: Vec<f64> = usage.output.split_whitespace().filter_map(|n| n.parse().ok()).collect();
        let [calls, wall_ns, cpu_ns] = numbers[..] else { return };
        let lost = Trace::open(&trace).ok().and_then(|trace| trace.lost()).map_or(u64::MAX, |lost| lost.0);
        let _ = std::fs::remove_file(&trace);
        let share = (usage.cpu_ns - cpu_ns) / wall_ns;
        let made = calls / wall_ns * 1e9;
        let _ = writeln!(text, "| {made:.0} | {:.1} % | {lost} |", share * 100.0);
    }

    /// What it takes to read so many calls.
    fn records(&self, text: &mut String, program: &str, count: u64) {
        let trace = self.scratch.path("trace");
        let made = counted(self.traced.command(program, &trace).args(["again", &count.to_string(), "1"]));
        let bytes = std::fs::metadata(&trace).map_or(0, |meta| meta.len()) as f64 / count as f64;
        let mut show = Command::new(crate::machine::release("sockshim"));
        let usage = made.and_then(|_| used(show.args(["show", "--connections"]).arg(&trace)));
        let report = used(Command::new(crate::machine::release("sockshim")).arg("report").arg(&trace));
        let _ = std::fs::remove_file(&trace);
        let Some((usage, report)) = usage.zip(report) else {
            let _ = writeln!(text, "| {count} | failed | | | | | |");
            return;
        };
        let (seconds, mib) = (usage.user_ns / 1e9, usage.peak_kib as f64 / 1024.0);
        let per_second = count as f64 / seconds;
        let (report_s, report_mib) = (report.user_ns / 1e9, report.peak_kib as f64 / 1024.0);
        let _ = writeln!(
            text,
            "| {count} | {bytes:.1} | {seconds:.2} s | {per_second:.0} | {mib:.0} MiB | {report_s:.2} s | {report_mib:.0} MiB |"
        );
    }
}

/// Runs a command to its end, and tells what it took. None if it failed.
fn used(command: &mut Command) -> Option<Usage> {
    let output = std::env::temp_dir().join(format!("sockshim-bench-{}.out", std::process::id()));
    let file = std::fs::File::create(&output).ok()?;
    let child = command.stdin(Stdio::null()).stdout(file).stderr(Stdio::null()).spawn().ok()?;
    let (mut status, pid) = (0, child.id() as libc::pid_t);
    // SAFETY: all zeroes is a value of this struct; the call fills it in, for a child of ours that nobody else waits for.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        (libc::wait4(pid, &raw mut status, 0, &raw mut usage) == pid).then_some(usage)?
    };
    let text = read(&output);
    let time = |t: libc::timeval| t.tv_sec as f64 * 1e9 + t.tv_usec as f64 * 1e3;
    let (user_ns, system_ns) = (time(usage.ru_utime), time(usage.ru_stime));
    let succeeded = ExitStatus::from_raw(status).success();
    succeeded.then_some(Usage { cpu_ns: user_ns + system_ns, user_ns, peak_kib: usage.ru_maxrss, output: text })
}

fn read(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let _ = std::fs::remove_file(path);
    text
}
