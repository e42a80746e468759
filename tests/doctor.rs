//! What passed around us is named: the bytes, by the kernel's own counters, the programs that were
//! not followed, and beforehand what of a program will be seen.

#[path = "support/built.rs"]
mod built;

use built::{root, scratch, succeed, tool};
use sockshim_format::op::Direction::{Received, Sent};
use sockshim_reader::model::{Cause, Connection, Role, Unseen};
use sockshim_reader::order::Events;
use sockshim_reader::{Model, Tail, Trace};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles a program of `tests/doctor`, or tells why that cannot be.
fn compiled(test: &str, name: &str, flags: &[&str]) -> Result<PathBuf, String> {
    let program = scratch(&format!("doctor/{test}")).join(name);
    let source = root().join("tests/doctor").join(format!("{name}.c"));
    let mut gcc = Command::new("gcc");
    gcc.args(["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O1", "-pthread", "-o"]).arg(&program);
    let output = gcc.arg(source).args(flags).output().expect("gcc does not start");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(program) } else { Err(said) }
}

fn skipped(test: &str, reason: &str) {
    println!("SKIPPED: {test}: {reason}");
    let required = std::env::var_os("SOCKSHIM_REQUIRE_PROGRAMS").is_some_and(|value| value == "1");
    assert!(!required, "{test}: {reason}, and SOCKSHIM_REQUIRE_PROGRAMS=1 asks for it");
}

/// A run that was recorded.
struct Recorded {
    model: Model,
    trace: PathBuf,
}

impl Recorded {
    /// Runs a program natively and by the tool, which has to change nothing that it says.
    fn run(test: &str, program: &Path, arguments: &[&str]) -> Recorded {
        let trace = scratch(&format!("doctor/{test}")).join("trace.sst");
        let native = succeed(Command::new(program).args(arguments));
        let mut command = Command::new(tool());
        command.args(["run", "-q", "-o"]).arg(&trace).arg("--").arg(program).args(arguments);
        assert_eq!(succeed(&mut command).stdout, native.stdout, "{program:?} {arguments:?}");
        Recorded::read(trace)
    }

    fn read(trace: PathBuf) -> Recorded {
        let mut events = Events::new(Trace::open(&trace).unwrap());
        let mut model = Model::new();
        events.by_ref().for_each(|event| model.feed(&event.unwrap()));
        let Tail::Ended(end) = events.trace().tail() else { panic!("{trace:?} was not ended") };
        assert_eq!((end.lost, end.lost_extensions), (0, 0));
        model.finish(true);
        Recorded { model, trace }
    }

    /// The only connection in a role.
    fn only(&self, role: Role) -> &Connection {
        let all: Vec<_> = self.model.connections().filter(|connection| connection.role == role).collect();
        let [only] = all[..] else { panic!("not one {role:?}: {all:#?}") };
        only
    }

    /// What passed around us on it: sent, received.
    fn unseen(&self, connection: &Connection) -> (Option<Unseen>, Option<Unseen>) {
        (self.model.unseen(connection, Sent), self.model.unseen(connection, Received))
    }

    /// The table of connections.
    fn table(&self) -> String {
        let output = succeed(Command::new(tool()).args(["show", "--connections", "--color", "never"]).arg(&self.trace));
        String::from_utf8(output.stdout).unwrap()
    }
}

fn exactly(bytes: u64) -> Option<Unseen> {
    Some(Unseen { bytes, exact: true })
}

const NOTHING: (Option<Unseen>, Option<Unseen>) =
    (Some(Unseen { bytes: 0, exact: true }), Some(Unseen { bytes: 0, exact: true }));

#[test]
fn bytes_of_a_stream() {
    let program = compiled("stdio", "passes", &[]).unwrap();
    let recorded = Recorded::run("stdio", &program, &["stdio"]);
    let (ours, peer) = (recorded.only(Role::Active), recorded.only(Role::Passive));
    assert_eq!((ours.sent.bytes, ours.received.bytes), (0, 0));
    assert_eq!(recorded.unseen(ours), (exactly(18), exactly(340)));
    assert_eq!((recorded.model.causes(ours), recorded.unseen(peer)), (vec![Cause::Stdio], NOTHING));
    let table = recorded.table();
    assert!(table.contains("18 B sent and 340 B received passed around us: stdio\n"), "{table}");
}

#[test]
fn bytes_of_system_calls_in_assembly() {
    let program = compiled("assembly", "passes", &[]).unwrap();
    let recorded = Recorded::run("assembly", &program, &["assembly"]);
    let (ours, peer) = (recorded.only(Role::Active), recorded.only(Role::Passive));
    assert_eq!((ours.sent.bytes, ours.received.bytes), (10, 20));
    assert_eq!(recorded.unseen(ours), (exactly(6), exactly(10)));
    assert_eq!((recorded.model.causes(ours), recorded.unseen(peer)), (vec![Cause::OwnSystemCalls], NOTHING));
}

#[test]
fn all_is_seen_however_a_connection_ends() {
    let program = compiled("endings", "passes", &[]).unwrap();
    for how in ["reset", "half_close", "unread"] {
        let recorded = Recorded::run("endings", &program, &[how]);
        for role in [Role::Active, Role::Passive] {
            assert_eq!(recorded.unseen(recorded.only(role)), NOTHING, "{how} {role:?}");
        }
        assert!(!recorded.table().contains("passed around"), "{how}");
    }
}

#[test]
fn bytes_of_an_io_uring() {
    let program = match compiled("uring", "uring", &["-luring"]) {
        Ok(program) => program,
        Err(said) => return skipped("bytes_of_an_io_uring", &format!("it does not compile (liburing-dev): {said}")),
    };
    if Command::new(&program).status().unwrap().code() == Some(77) {
        return skipped("bytes_of_an_io_uring", "the kernel allows no io_uring here");
    }
    let recorded = Recorded::run("uring", &program, &[]);
    let (ours, peer) = (recorded.only(Role::Active), recorded.only(Role::Passive));
    assert_eq!((recorded.unseen(ours), recorded.unseen(peer)), ((exactly(11), exactly(13)), NOTHING));
    let table = recorded.table();
    assert!(table.contains("11 B sent and 13 B received passed around us: io_uring\n"), "{table}");
}

#[test]
fn a_ring_that_is_made_by_its_number() {
    let program = compiled("ring", "passes", &[]).unwrap();
    let recorded = Recorded::run("ring", &program, &["ring"]);
    let ours = recorded.only(Role::Active);
    assert_eq!((recorded.unseen(ours), recorded.model.causes(ours)), ((exactly(6), exactly(10)), vec![Cause::IoUring]));
}

#[test]
fn a_static_child_that_was_given_the_connection() {
    let program = compiled("child", "passes", &[]).unwrap();
    let child = compiled("child", "child", &["-static"]).unwrap();
    let recorded = Recorded::run("child", &program, &["child", child.to_str().unwrap()]);
    let (ours, peer) = (recorded.only(Role::Active), recorded.only(Role::Passive));
    assert_eq!((recorded.unseen(ours), recorded.unseen(peer)), ((exactly(5), exactly(7)), NOTHING));
    let causes = recorded.model.causes(ours);
    let [Cause::NotFollowed(launch)] = causes[..] else { panic!("{causes:?}") };
    assert_eq!((&*launch.path, launch.pid != 0), (child.as_os_str().as_bytes(), true));
    let table = recorded.table();
    assert!(table.contains("which was not followed\n"), "{table}");
}

#[test]
fn a_socket_that_was_there_before() {
    let program = compiled("found", "passes", &[]).unwrap();
    let child = compiled("found", "child", &[]).unwrap();
    let folder = scratch("doctor/found");
    let (script, trace) = (folder.join("traced"), folder.join("trace.sst"));
    let line = format!("exec '{}' run -q -o '{}' -- '{}'", tool().display(), trace.display(), child.display());
    std::fs::write(&script, format!("#!/bin/sh\n{line}\n")).unwrap();
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    // Not traced; the child that it gives its connection to is, and leaves it to the kernel to close.
    succeed(Command::new(&program).arg("child").arg(&script));
    let recorded = Recorded::read(trace);
    let ours = recorded.only(Role::Unknown);
    assert_eq!((ours.sent.bytes, ours.received.bytes, ours.before_found()), (5, 7, Some((3, 0))));
    assert_eq!(recorded.unseen(ours), NOTHING);
    diagnosed(&recorded.trace, &["seen      every byte of the TCP connection"], 0);
}

/// What the tool says of programs that it could not follow.
fn not_followed(program: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Vec<String> {
    let mut command = Command::new(tool());
    command.args(["run", "--"]).arg(program).args(arguments).envs(environment.iter().copied());
    let said = String::from_utf8(succeed(&mut command).stderr).unwrap();
    said.lines().filter(|line| line.starts_with("sockshim: not followed: ")).map(str::to_owned).collect()
}

#[test]
fn programs_that_are_not_followed_are_named() {
    let program = compiled("named", "passes", &[]).unwrap();
    let (fixed, dynamic) = (scratch("doctor/named").join("static"), scratch("doctor/named").join("dynamic"));
    std::fs::copy(compiled("named", "child", &["-static"]).unwrap(), &fixed).unwrap();
    std::fs::copy(compiled("named", "child", &[]).unwrap(), &dynamic).unwrap();
    for how in ["fork", "vfork", "child"] {
        let [line] = &not_followed(&program, &[how, fixed.to_str().unwrap()], &[])[..] else { panic!("not one line") };
        // A vfork tells nobody the pid.
        let pid = if how == "vfork" { ": " } else { " (pid " };
        let named = line.contains(&format!("not followed: {}{pid}", fixed.display()));
        assert!(named && line.contains("linked statically"), "{how}: {line}");
        assert_eq!(not_followed(&program, &[how, dynamic.to_str().unwrap()], &[]), [""; 0], "{how}");
    }
    for how in ["system", "popen", "refused"] {
        assert_eq!(not_followed(&program, &[how, dynamic.to_str().unwrap()], &[]), [""; 0], "{how}");
    }
}

/// What `doctor` says, and its exit status.
fn doctor(subject: &Path) -> (String, i32) {
    let output = Command::new(tool()).args(["doctor", "--color", "never"]).arg(subject).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr);
    (text, output.status.code().expect("it was not killed"))
}

/// Asserts what it says, line by line, and how it ends.
#[track_caller]
fn diagnosed(subject: &Path, expected: &[&str], status: i32) {
    let (text, code) = doctor(subject);
    for expected in expected {
        assert!(text.lines().any(|line| line.trim() == *expected), "no {expected:?} in\n{text}");
    }
    assert_eq!(code, status, "{text}");
}

#[test]
fn a_program_is_told_what_will_be_seen_of_it() {
    let program = compiled("program", "passes", &[]).unwrap();
    let expected = [
        "seen      socket, connect, bind, listen, accept, send and 3 more",
        "seen      socket calls by their number (syscall)",
        "seen      programs that it starts, those that can be traced",
        "in part   getaddrinfo",
        "in part   fdopen",
        "in part   dlopen",
        "not seen  libraries in a namespace of their own (dlmopen)",
        "by the program",
    ];
    diagnosed(&program, &expected, 1);
    let script = scratch("doctor/program").join("script");
    std::fs::write(&script, "#!/bin/sh\necho\n").unwrap();
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    let (text, code) = doctor(&script);
    assert!(text.starts_with(&format!("{} can be traced: a script, which /bin/sh runs", script.display())), "{text}");
    assert_eq!(code, 0, "{text}");
}

#[test]
fn libraries_and_definitions_that_pass_around_us() {
    let library = compiled("user", "raw", &["-shared", "-fPIC"]).unwrap();
    let folder = library.parent().unwrap();
    std::fs::rename(&library, folder.join("libraw.so")).unwrap();
    let flags = ["-rdynamic", "-L", folder.to_str().unwrap(), "-lraw", "-Wl,-rpath,$ORIGIN"];
    let program = compiled("user", "user", &flags).unwrap();
    succeed(&mut Command::new(&program));
    let expected = [
        "not seen  sendto by system calls that are not libc's",
        "by libraw.so",
        "not seen  close, which the program defines itself",
    ];
    diagnosed(&program, &expected, 1);
    std::fs::remove_file(folder.join("libraw.so")).unwrap();
    let (text, code) = doctor(&program);
    assert!(text.contains("not seen  libraw.so, which ") && code == 1, "{text}");
}

#[test]
fn programs_that_cannot_be_traced() {
    let fixed = compiled("cannot", "child", &["-static"]).unwrap();
    diagnosed(&fixed, &["not seen  all of it: linked statically: no library can be loaded into it"], 1);
    let dynamic = compiled("cannot", "child", &[]).unwrap();
    diagnosed(&dynamic, &["seen      read, write and close, should a descriptor be a socket: none is made here"], 0);
    assert_eq!(doctor(Path::new("no-such-program-7f3a")).1, 127);
    assert_eq!(doctor(Path::new("/")).1, 126);
    match std::os::unix::fs::chown(&dynamic, Some(65534), None) {
        Err(error) => skipped("a setuid program", &format!("its owner cannot be changed: {error}")),
        Ok(()) => {
            std::fs::set_permissions(&dynamic, PermissionsExt::from_mode(0o4755)).unwrap();
            let expected = "not seen  all of it: setuid: the loader ignores LD_PRELOAD where privileges are gained";
            diagnosed(&dynamic, &[expected], 1);
        }
    }
}

#[test]
fn a_trace_is_told_what_was_not_seen() {
    let program = compiled("trace", "passes", &[]).unwrap();
    let child = compiled("trace", "child", &["-static"]).unwrap();
    let trace = |how: &[&str]| Recorded::run("trace", &program, how).trace;
    let every = "seen      every byte of all 2 TCP connections";
    diagnosed(&trace(&["half_close"]), &[every, "The kernel counted as many as the calls carried."], 0);
    let expected = [
        "seen      every byte of 1 of 2 TCP connections",
        "It was not followed: linked statically: no library can be loaded into it.",
    ];
    let (text, code) = doctor(&trace(&["child", child.to_str().unwrap()]));
    assert!(text.contains("not seen  5 B sent and 7 B received on passes["), "{text}");
    assert!(text.contains(expected[0]) && text.contains(expected[1]) && code == 1, "{text}");
    let library = compiled("trace", "raw", &["-shared", "-fPIC"]).unwrap();
    let deep = trace(&["deepbind", library.to_str().unwrap()]);
    let loaded = |how| format!("not seen  the calls of {}, which was loaded by {how}", library.display());
    let (text, code) = doctor(&deep);
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ").replace("not seen", "not seen ");
    assert!(flat.contains(&loaded("RTLD_DEEPBIND")) && flat.contains(&loaded("dlmopen")) && code == 1, "{text}");
    let (text, code) = doctor(&trace(&["restricted"]));
    assert!(text.contains("in part   1 name resolution (passes["), "{text}");
    assert!(text.contains("] installed a seccomp filter: from then on the kernel was asked nothing"), "{text}");
    assert_eq!(code, 0, "{text}");
}

#[test]
fn what_is_neither_a_trace_nor_a_program_may_have_been_meant_as_either() {
    let folder = scratch("doctor/neither");
    let file = |name: &str, text: &str| {
        std::fs::write(folder.join(name), text).unwrap();
        folder.join(name)
    };
    for (subject, status, words) in [
        ("missing-2c7e.sst".into(), 127, &["no such trace", "no such program in PATH"][..]),
        (folder.join("missing.sst"), 127, &["missing.sst: there is no such trace, and no such program;"]),
        (file("empty.sst", ""), 126, &["empty.sst: empty at offset 0", "nor is it a program"]),
        (file("foreign.sst", "hello, all"), 126, &["foreign.sst: not a sockshim trace"]),
        (file("text", "hello, all"), 126, &["permission to execute it denied", "nor is it a trace"]),
        ("-".into(), 127, &["-: ", "cat > copy.sst"]),
        ("/dev/null".into(), 126, &["/dev/null: ", "regular file"]),
        ("missing-2c7e".into(), 127, &["missing-2c7e: not found in PATH; install it"]),
    ] {
        let (text, code) = doctor(&subject);
        assert!(text.lines().count() == 1 && code == status, "{subject:?}: {code}: {text}");
        words.iter().for_each(|word| assert!(text.contains(word), "{subject:?}: {word:?} is not in {text}"));
    }
}

#[test]
fn an_audit_is_told_in_one_line() {
    if Command::new("strace").arg("-V").output().is_err() {
        println!("SKIPPED: strace is not installed");
        return;
    }
    let trace = scratch("doctor").join("audited.sst");
    succeed(
        Command::new(tool())
            .args(["run", "-q", "--verify", "-o"])
            .arg(&trace)
            .arg("--")
            .arg(tool())
            .arg("demo-program"),
    );
    let (text, code) = doctor(&trace);
    let line = text.lines().find(|line| line.contains("socket calls seen; ")).unwrap_or_else(|| panic!("{text}"));
    assert!(line.contains(" were not: ") && text.contains("libc's resolver ("), "{text}");
    assert_eq!(code, 0, "{text}");
}
