//! What goes wrong around a traced program: disks, folders, limits, kernels. It does what it does without us,
//! and what can be recorded is.

#[path = "../support/built.rs"]
mod built;
#[allow(dead_code)] // c_tests.rs uses all of it
#[path = "../support/c_programs.rs"]
mod c_programs;
mod disk;
#[allow(dead_code)] // as above
#[path = "../support/expectations.rs"]
mod expectations;
mod folders;
mod kernel;
mod limits;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// A C program of this folder, compiled.
fn compiled(name: &str) -> PathBuf {
    static ALL: OnceLock<[PathBuf; 2]> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        ["refuse", "talk"].map(|name| {
            let source = built::root().join("tests/faults").join(format!("{name}.c"));
            let binary = built::scratch("faults").join(name);
            let mut compiler = Command::new("gcc");
            compiler.args(["-O1", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror"]);
            built::succeed(compiler.arg(source).arg("-o").arg(&binary));
            binary
        })
    });
    all[usize::from(name == "talk")].clone()
}

/// A folder of one test's own, empty.
fn empty_folder(test: &str) -> PathBuf {
    let folder = built::scratch(&format!("faults/{test}"));
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Whether this machine lets us mount; says so if not.
fn may_mount() -> bool {
    static MAY: OnceLock<bool> = OnceLock::new();
    let probe = || {
        let script = "mount -t tmpfs none /mnt";
        Command::new("unshare").args(["-m", "sh", "-c", script]).output().is_ok_and(|output| output.status.success())
    };
    let may = *MAY.get_or_init(probe);
    if !may {
        println!("SKIPPED: only root can mount, with unshare(1)");
    }
    may
}

/// A shell script with mounts of its own; `$1` and so on are the arguments.
fn mounted(script: &str, arguments: &[&Path]) -> Command {
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script, "sh"]).args(arguments);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What `talk` does without us.
fn native_talk(count: &str) -> Output {
    built::succeed(Command::new(compiled("talk")).arg(count))
}

fn same(output: &Output, native: &Output, what: &str) {
    assert_eq!(output.status, native.status, "{what}: {}", text(&output.stderr));
    assert_eq!(text(&output.stdout), text(&native.stdout), "{what}: {}", text(&output.stderr));
}

/// Calls in a trace that are done; the trace must be readable.
fn calls(trace: &Path) -> usize {
    let events = sockshim_reader::order::Events::new(sockshim_reader::Trace::open(trace).unwrap());
    events.filter(|event| matches!(event, Ok(sockshim_reader::Event::Call(_)))).count()
}
