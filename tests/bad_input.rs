//! Bad input gets one line that names the thing and the remedy, and a documented exit code; and the
//! shim never stops a program, whatever its settings say.

#[path = "support/built.rs"]
mod built;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A folder of this run's own, removed at the end of the test.
fn scratch(name: &str) -> PathBuf {
    built::scratch(&format!("bad_input.{}.{name}", std::process::id()))
}

fn tool(arguments: &[&str]) -> Output {
    Command::new(built::tool()).args(arguments).output().unwrap()
}

/// Runs the tool, which must fail with this code and one line on stderr that holds all of `words`.
fn refused(arguments: &[&str], code: i32, words: &[&str]) {
    let output = tool(arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    assert_eq!(said.trim_end().lines().count(), 1, "{arguments:?}: {said}");
    for word in words {
        assert!(said.contains(word), "{arguments:?}: {word:?} is not in {said:?}");
    }
}

#[test]
fn the_command_line() {
    for (arguments, word) in [
        (&["run", "--nonsense", "true"][..], "--nonsense"),
        (&["run", "--snaplen", "65536", "true"], "65536"),
        (&["run", "--region-size", "1", "true"], "16K"),
        (&["run"], "PROGRAM"),
        (&["nonsense"], "nonsense"),
    ] {
        let output = tool(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(word), "{arguments:?}");
    }
}

#[test]
fn programs_that_are_not_there_or_cannot_be_traced() {
    refused(&["run", "--", "no-such-program-7f3a"], 127, &["no-such-program-7f3a", "not found"]);
    refused(&["run", "--", "/no/such/program"], 127, &["/no/such/program"]);
    refused(&["run", "--", "/"], 126, &["/", "directory"]);
    let folder = scratch("programs");
    let text = folder.join("text");
    fs::write(&text, "neither ELF nor a script").unwrap();
    refused(&["run", "--", text.to_str().unwrap()], 126, &["chmod"]);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn output_that_cannot_be_written() {
    refused(&["run", "-o", "/no/such/folder/x.sst", "--", "true"], 125, &["/no/such/folder/x.sst", "-o"]);
    refused(&["run", "-o", "/dev/full", "--", "true"], 125, &["/dev/full", "No space left"]);
}

#[test]
fn output_that_is_the_programs() {
    refused(&["run", "-o", "-", "--", "true"], 125, &["trace -;", "the program's own output"]);
    let folder = scratch("own");
    let log = folder.join("log");
    fs::write(&log, "kept\n").unwrap();
    let mut run = Command::new(built::tool());
    run.args(["run", "-q", "-o", "/dev/stdout", "--", "true"]);
    let output = run.stdout(fs::File::options().append(true).open(&log).unwrap()).output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert_eq!(fs::read_to_string(&log).unwrap(), "kept\n");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_run_that_does_not_begin_takes_nothing_away() {
    let folder = scratch("begin");
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (trace, link, in_the_way, new) = (path("a.sst"), path("link.sst"), path("a.sst.1"), path("new.sst"));
    assert!(tool(&["run", "-q", "-o", &trace, "--", "true"]).status.success());
    let whole = fs::read(&trace).unwrap();
    std::os::unix::fs::symlink("a.sst", &link).unwrap();
    let refused = |arguments: &[&str], words: &[&str]| {
        refused(arguments, 125, words);
        assert_eq!(fs::read(&trace).unwrap(), whole, "{arguments:?}");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(!Path::new(&new).exists(), "{arguments:?}");
    };
    for file in [&trace, &link, &new] {
        refused(&["run", "-q", "--jsonl", "fd:77", "-o", file, "--", "true"], &["fd:77"]);
    }
    fs::write(&in_the_way, "notes").unwrap();
    refused(&["run", "-q", "--rotate", "1M", "-o", &trace, "--", "true"], &["a.sst.1 is in the way"]);

    // Whoever writes to a file has it alone: what two write is no trace of either.
    let mut first = Command::new(built::tool())
        .args(["run", "-q", "-o", &trace, "--", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    first.stdin.as_mut().unwrap().write_all(b"x").unwrap();
    first.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    crate::refused(&["run", "-q", "-o", &trace, "--", "true"], 125, &["another run writes to it", "-o"]);
    assert!(first.wait().unwrap().success());
    assert!(tool(&["show", &trace]).status.success());
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_program_that_cannot_be_executed_after_all_leaves_no_trace() {
    let folder = scratch("busy");
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (program, new, old) = (path("program"), path("new.sst"), path("old.sst"));
    fs::copy("/bin/true", &program).unwrap();
    // Text file busy.
    let written_to = fs::File::options().append(true).open(&program).unwrap();
    refused(&["run", "-o", &new, "--", &program], 126, &["program"]);
    assert!(!Path::new(&new).exists());
    fs::write(&old, "there before").unwrap();
    refused(&["run", "-o", &old, "--", &program], 126, &["program"]);
    assert!(Path::new(&old).exists());
    drop(written_to);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn files_that_are_no_traces() {
    let folder = scratch("files");
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    refused(&["show", "/no/such/file"], 125, &["/no/such/file", "No such file"]);
    refused(&["show", &file("empty", b"")], 125, &["empty"]);
    refused(&["show", &file("text", b"root:x:0:0")], 125, &["not a sockshim trace", "root:x:0"]);
    let trace = folder.join("whole.sst");
    let run =
        tool(&["run", "-q", "-o", trace.to_str().unwrap(), "--", built::tool().to_str().unwrap(), "demo-program"]);
    assert!(run.status.success());
    let whole = fs::read(&trace).unwrap();
    refused(&["show", &file("short", &whole[..40])], 125, &["header"]);

    // A pipe cannot be gone through twice.
    let script = "cat \"$1\" | \"$0\" show /dev/stdin";
    let mut piped = Command::new("sh");
    let piped = piped.args(["-c", script]).arg(built::tool()).arg(&trace).output().unwrap();
    let said = String::from_utf8(piped.stderr).unwrap();
    assert!(piped.status.code() == Some(125) && said.contains("/dev/stdin: ") && said.contains("cat > "), "{said}");
    refused(&["show", "-"], 125, &["-: ", "regular file", "cat > "]);

    // A torn tail is no reason to show nothing: all that is in front of it, and a word about it.
    let torn = tool(&["show", &file("torn", &whole[..whole.len() - 100])]);
    assert!(torn.status.success());
    assert!(String::from_utf8_lossy(&torn.stderr).contains("cut short"), "{torn:?}");
    let shown = tool(&["show", trace.to_str().unwrap()]);
    assert!(shown.status.success() && shown.stderr.is_empty(), "{shown:?}");
    assert!(String::from_utf8_lossy(&shown.stdout).contains("GET /hello"));
    fs::remove_dir_all(folder).unwrap();
}

/// A program that talks to itself, with the shim preloaded and one setting.
fn preloaded(name: &str, value: &str) -> Output {
    Command::new(built::tool())
        .arg("demo-program")
        .env("LD_PRELOAD", built::shim())
        .env(name, value)
        .env_remove("SOCKSHIM_REGION")
        .output()
        .unwrap()
}

#[test]
fn settings_of_the_shim_never_stop_the_program() {
    let native = Command::new(built::tool()).arg("demo-program").output().unwrap();
    assert!(native.status.success() && !native.stdout.is_empty());
    let folder = scratch("settings");
    let precious = folder.join("precious");
    fs::write(&precious, "not a trace").unwrap();
    let precious = precious.to_str().unwrap();
    let fifo = folder.join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    for (name, value, word) in [
        ("SOCKSHIM_SNAPLEN", "many", "0 to 65535"),
        ("SOCKSHIM_SNAPLEN", "65536", "0 to 65535"),
        ("SOCKSHIM_SIZE", "1", "64K to 4G"),
        ("SOCKSHIM_EDGES", "perhaps", "on or off"),
        ("SOCKSHIM_LOG_BUFFER", "always", "line or block"),
        ("SOCKSHIM_LOG", "fd:x", "fd:N"),
        ("SOCKSHIM_LOG", "fd:999", "not open"),
        ("SOCKSHIM_LOG", "/no/such/folder/log", "cannot be opened"),
        ("SOCKSHIM_TRACE", "/no/such/folder/x.sst", "cannot be created"),
        ("SOCKSHIM_TRACE", precious, "is not a sockshim trace"),
        ("SOCKSHIM_TRACE", fifo.to_str().unwrap(), "is not a sockshim trace"),
    ] {
        let output = preloaded(name, value);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && output.stdout == native.stdout, "{name}={value}: {said}");
        let lines: Vec<&str> = said.lines().filter(|line| line.starts_with("sockshim: ")).collect();
        assert_eq!(lines.len(), 1, "{name}={value} is worth one line: {said}");
        assert!(lines[0].contains(name) && lines[0].contains(word), "{name}={value}: {}", lines[0]);
    }
    assert_eq!(fs::read_to_string(precious).unwrap(), "not a trace", "what is not ours is not touched");
    assert!(fifo.exists(), "nor taken away");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_region_that_is_gone_or_foreign_is_no_reason_to_say_anything() {
    let native = Command::new(built::tool()).arg("demo-program").output().unwrap();
    for region in [Path::new("/no/such/region"), Path::new("/etc/passwd"), Path::new("/dev/null")] {
        let mut command = Command::new(built::tool());
        command.arg("demo-program").env("LD_PRELOAD", built::shim()).env("SOCKSHIM_REGION", region);
        let output = command.output().unwrap();
        assert!(output.status.success() && output.stdout == native.stdout, "{}", region.display());
        assert!(output.stderr.is_empty(), "{output:?}");
    }
}

#[test]
fn the_programs_own_end_passes_through() {
    assert_eq!(tool(&["run", "-q", "--", "sh", "-c", "exit 41"]).status.code(), Some(41));
    assert_eq!(tool(&["run", "-q", "--", "sh", "-c", "kill -TERM $$"]).status.signal(), Some(15));
}

/// A program with more privilege than its user obeys nothing of the user's environment, also when
/// the dynamic linker has taken variables out of it, which moves what lies behind it.
#[test]
fn a_setuid_program_obeys_nothing() {
    // SAFETY: asks a number.
    if unsafe { libc::geteuid() } != 0 {
        println!("SKIPPED: only root can make a setuid program of somebody else's");
        return;
    }
    use std::os::unix::fs::PermissionsExt;
    // Not in the target folder, which another user may not be able to enter.
    let folder = std::env::temp_dir().join(format!("sockshim-setuid-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let readable = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    readable(&folder, 0o777);
    // By the name that the program will ask for.
    let library = folder.join("libsockshim.so.0");
    fs::copy(built::shim(), &library).unwrap();
    readable(&library, 0o755);
    let (source, program) = (folder.join("setuid.c"), folder.join("setuid"));
    fs::write(
        &source,
        "#include <stdio.h>\n#include <sys/auxv.h>\n#include <sys/socket.h>\n\
         int main(void) { printf(\"%d %lu\\n\", socket(AF_UNIX, SOCK_STREAM, 0), getauxval(AT_SECURE)); }\n",
    )
    .unwrap();
    let mut compiler = Command::new("gcc");
    compiler.arg(&source).arg("-o").arg(&program).arg(&library);
    built::succeed(compiler.arg(format!("-Wl,-rpath,{}", folder.display())));
    let run = |mode: u32, extra: Option<&str>| {
        use std::os::unix::process::CommandExt;
        readable(&program, mode);
        let mut command = Command::new(&program);
        command.env_clear().env("SOCKSHIM_TRACE", folder.join("trace")).env("SOCKSHIM_LOG", "stderr");
        if let Some(name) = extra {
            command.env(name, "/x");
        }
        command.uid(65534).gid(65534).output().unwrap()
    };
    // First without the privilege: then the settings are obeyed, so that what follows means something.
    let plain = run(0o755, None);
    assert_eq!(String::from_utf8_lossy(&plain.stdout), "3 0\n");
    assert!(!plain.stderr.is_empty() && folder.join("trace").exists());
    fs::remove_file(folder.join("trace")).unwrap();
    for extra in [None, Some("GCONV_PATH"), Some("TMPDIR"), Some("LD_LIBRARY_PATH")] {
        let output = run(0o4755, extra);
        if output.stdout == b"3 0\n" {
            println!("SKIPPED: {} is mounted nosuid", folder.display());
            break;
        }
        assert_eq!(String::from_utf8_lossy(&output.stdout), "3 1\n", "{output:?}");
        assert!(output.stderr.is_empty(), "{extra:?}: {output:?}");
        assert!(!folder.join("trace").exists(), "{extra:?} made it obey");
    }
    fs::remove_dir_all(folder).unwrap();
}
