//! Who is measured: ways to start a program.

use crate::lttng::Session;
use crate::machine::{Scratch, installed};
use std::process::Command;

/// One way to start a program.
pub struct Subject {
    pub name: &'static str,
    /// In front of the program.
    prefix: Vec<String>,
    environment: Vec<(&'static str, String)>,
    /// Operations are divided by this.
    pub share: u64,
    /// Whether its own process, not the traced one, does the work: then only wall time tells.
    pub outside: bool,
    only: &'static [&'static str],
}

impl Subject {
    fn new(name: &'static str) -> Subject {
        Subject { name, prefix: Vec::new(), environment: Vec::new(), share: 1, outside: false, only: &[] }
    }

    fn preload(mut self, library: impl AsRef<std::path::Path>) -> Subject {
        self.environment.push(("LD_PRELOAD", library.as_ref().display().to_string()));
        self
    }

    fn set(mut self, key: &'static str, value: impl Into<String>) -> Subject {
        self.environment.push((key, value.into()));
        self
    }

    fn behind(mut self, prefix: &[&str]) -> Subject {
        self.prefix = prefix.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    fn slow(mut self, share: u64) -> Subject {
        (self.share, self.outside) = (share, true);
        self
    }

    fn only(mut self, workloads: &'static [&'static str]) -> Subject {
        self.only = workloads;
        self
    }

    pub fn does(&self, workload: &str) -> bool {
        self.only.is_empty() || self.only.contains(&workload)
    }

    /// The program under this subject; `trace` is a file that it may write.
    pub fn command(&self, program: &str, trace: &std::path::Path) -> Command {
        let place = |word: &str| word.replace("@", &trace.display().to_string());
        let mut words = self.prefix.iter().map(|word| place(word)).chain([program.to_owned()]);
        let mut command = Command::new(words.next().expect("at least the program"));
        command.args(words).envs(self.environment.iter().map(|(key, value)| (key, place(value))));
        command
    }
}

pub fn bare() -> Subject {
    Subject::new("bare")
}

/// Who can be measured here, and who cannot because it is not installed.
pub fn all(scratch: &Scratch, lttng: Option<&Session>, quick: bool) -> (Vec<Subject>, Vec<&'static str>) {
    const SHARED: &[&str] = &["-fPIC", "-shared"];
    const LOGGED: &[&str] = &["again", "unix", "tcp", "start"];
    let (tool, shim) = (scratch.install("sockshim"), scratch.install("libsockshim.so"));
    let tool = tool.to_str().expect("a path in UTF-8");
    let ring = [SHARED, &["-DRING"]].concat();
    // The program and its three arguments: `$@` has a character that stands for the file.
    let lines = format!("exec {tool} run --color never -- \"$0\" \"$1\" \"$2\" \"$3\" 2>@");
    let mut all = vec![
        Subject::new("sockshim").behind(&[tool, "run", "-q", "-o", "@", "--"]),
        Subject::new("no preview").behind(&[tool, "run", "-q", "--snaplen", "0", "-o", "@", "--"]),
        Subject::new("off").preload(&shim).set("SOCKSHIM_LOG", "off").only(&["again", "unix", "file", "child"]),
        Subject::new("shim alone").preload(&shim).set("SOCKSHIM_TRACE", "@").only(&["again", "child", "start"]),
        Subject::new("text log").preload(&shim).set("SOCKSHIM_LOG", "@").only(LOGGED),
        Subject::new("text in blocks")
            .preload(&shim)
            .set("SOCKSHIM_LOG", "@")
            .set("SOCKSHIM_LOG_BUFFER", "block")
            .only(LOGGED),
        Subject::new("text by tool").behind(&["sh", "-c", &lines]).only(&["again", "unix", "tcp"]),
        Subject::new("no edges").behind(&[tool, "run", "-q", "--no-edges", "-o", "@", "--"]).only(&["churn"]),
        Subject::new("null").preload(scratch.build("null.c", "null.so", SHARED)),
        Subject::new("limit").preload(scratch.build("limit.c", "limit.so", SHARED)).set("LIMIT_OUT", "@"),
        Subject::new("limit-ring").preload(scratch.build("limit.c", "ring.so", &ring)).set("LIMIT_OUT", "@"),
        Subject::new("naive").preload(scratch.build("naive.c", "naive.so", SHARED)).set("NAIVE_OUT", "@"),
    ];
    let mut missing = Vec::new();
    match lttng {
        Some(session) => all.push(Subject::new("lttng").preload(&session.library)),
        None => missing.push("lttng"),
    }
    let calls = "trace=network,read,write,close,readv,writev,sendfile";
    let others = [
        Subject::new("strace").behind(&["strace", "-f", "-qq", "-e", calls, "-o", "@"]).slow(100),
        Subject::new("strace --seccomp-bpf")
            .behind(&["strace", "-f", "--seccomp-bpf", "-qq", "-e", calls, "-o", "@"])
            .slow(100)
            .only(&["file", "child", "start"]),
        Subject::new("ltrace").behind(&["ltrace", "-f", "-e", "read+write+recv", "-o", "@"]).slow(200).only(&["unix"]),
        Subject::new("uftrace").behind(&["uftrace", "record", "--force", "-d", "@"]).only(&["again", "unix", "file"]),
    ];
    for subject in others {
        match &*subject.prefix[0] {
            program if !installed(program) => missing.push(subject.name),
            _ if quick && subject.name != "strace" => {}
            _ => all.push(subject),
        }
    }
    (all, missing)
}
