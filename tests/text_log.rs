//! The text log, `SOCKSHIM_LOG`, a line at a time and with lines collected (`SOCKSHIM_LOG_BUFFER=block`): the same lines, whole,
//! none twice, and there before anybody waits.

#[path = "support/built.rs"]
mod built;
#[path = "support/c_programs.rs"]
#[allow(dead_code)]
mod c_programs;
#[path = "support/there.rs"]
mod there;

use built::{root, scratch, shim, succeed};
use c_programs::{Build, Program, for_each};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

const MODES: [&str; 2] = ["line", "block"];

/// The program of this folder, logged to a file.
fn logged(mode: &str, words: [&str; 2]) -> (Command, PathBuf) {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    let folder = scratch("text_log");
    let program = MADE.get_or_init(|| {
        let (program, source) = (folder.join("program"), root().join("tests/text_log/program.c"));
        succeed(Command::new("gcc").args(["-D_GNU_SOURCE", "-O1", "-pthread", "-o"]).arg(&program).arg(source));
        program
    });
    let log = folder.join(format!("{}.{mode}", words[0]));
    _ = fs::remove_file(&log);
    let mut command = Command::new(program);
    command.args(words).env("LD_PRELOAD", shim()).env("SOCKSHIM_LOG", &log).env("SOCKSHIM_LOG_BUFFER", mode);
    (command, log)
}

/// Lines that tell of calls that are done, each of them whole.
fn lines(log: &Path) -> Vec<String> {
    let text = fs::read_to_string(log).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "the last line is torn");
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let torn = lines.iter().find(|line| line.matches("sockshim[").count() != 1 || !line.starts_with("sockshim["));
    assert_eq!(torn, None, "in {}", log.display());
    lines
}

fn transfers(lines: &[String]) -> usize {
    lines.iter().filter(|line| line.contains(" = 1 <") && line.contains("communicate")).count()
}

#[test]
fn threads_lose_no_line() {
    for mode in MODES {
        let (mut command, log) = logged(mode, ["threads", "2000"]);
        succeed(&mut command);
        assert_eq!(transfers(&lines(&log)), 8 * 2 * 2000, "{mode}");
    }
}

#[test]
fn a_handler_that_interrupts_a_line_loses_none() {
    for mode in MODES {
        let (mut command, log) = logged(mode, ["signals", "20000"]);
        let handled: usize = String::from_utf8(succeed(&mut command).stdout).unwrap().trim().parse().unwrap();
        assert!(handled > 100, "{handled} calls by the handler");
        assert_eq!(transfers(&lines(&log)), 2 * 20_000 + handled, "{mode}");
    }
}

#[test]
fn a_program_that_is_killed_has_told_all_but_what_was_collected() {
    let told = MODES.map(|mode| {
        let (mut command, log) = logged(mode, ["killed", "5000"]);
        assert_eq!(command.status().unwrap().signal(), Some(libc::SIGKILL), "{mode}");
        transfers(&lines(&log))
    });
    assert_eq!(told[0], 10_000, "a line at a time");
    // The last page of 16 KiB, in lines of sixty bytes and more.
    assert!(told[1] <= 10_000 && told[1] > 10_000 - 16_384 / 60, "{told:?}");
}

/// What was collected is told where recording stops, and where it goes on in other memory.
#[test]
fn nothing_waits_for_a_recorder_that_stopped() {
    for words in [["stopped", "100"], ["recorded", "100"]] {
        let (mut command, log) = logged("block", words);
        assert_eq!(command.status().unwrap().signal(), Some(libc::SIGKILL), "{words:?}");
        assert_eq!(transfers(&lines(&log)), 200, "{words:?}");
    }
}

#[test]
fn collected_lines_take_few_writes() {
    if !there::there("strace") {
        return;
    }
    let [line, block] = MODES.map(|mode| {
        let (program, log) = logged(mode, ["threads", "200"]);
        let traced = log.with_extension(format!("{mode}.strace"));
        let mut strace = Command::new("strace");
        strace.args(["-f", "-e", "trace=write", "-o"]).arg(&traced);
        for (name, value) in program.get_envs() {
            strace.arg("-E").arg(format!("{}={}", name.display(), value.unwrap().display()));
        }
        succeed(strace.arg(program.get_program()).args(program.get_args()));
        fs::read_to_string(traced).unwrap().matches("\"sockshim[").count()
    });
    assert!(line >= 8 * 2 * 200, "{line} writes, one for each line");
    assert!(block < line / 4, "{block} writes where a line at a time takes {line}");
}

/// A program that waits at a socket has told how it came there, and where it waits: on a pipe, whose reader need not guess when.
#[test]
fn what_was_collected_is_told_before_the_program_waits() {
    for mode in MODES {
        let ([mut ours, theirs], [log, end]) =
            [(); 2].map(|()| UnixStream::pair().unwrap()).map(<[UnixStream; 2]>::from).into();
        log.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut cat = Command::new("cat")
            .env("LD_PRELOAD", shim())
            .env("SOCKSHIM_LOG", "stderr")
            .env("SOCKSHIM_LOG_BUFFER", mode)
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::piped())
            .stderr(OwnedFd::from(end))
            .spawn()
            .unwrap();
        let mut told = BufReader::new(&log).lines().map(|line| line.expect("a line before the program goes on"));
        for word in ["one", "two", "three"] {
            ours.write_all(word.as_bytes()).unwrap();
            let received = format!("\"{word}\", ");
            let line =
                told.by_ref().find(|line| line.contains(&received) && line.contains(&format!(" = {} <", word.len())));
            assert!(line.is_some(), "{mode}: {word}");
            let waits = told.by_ref().find(|line| line.contains("read(0") && line.ends_with(" ..."));
            assert!(waits.is_some(), "{mode}: behind {word}");
        }
        drop(ours);
        let last = told.last();
        assert!(last.as_ref().is_some_and(|line| line.contains("close")), "{mode}: {last:?}");
        let mut said = String::new();
        cat.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(cat.wait().unwrap().success() && said == "onetwothree", "{mode}: {said}");
    }
}

/// Not each small write is asked about, but one that waits is told of: the shell writes two bytes at a time to a socket that nobody
/// reads from.
#[test]
fn a_write_that_waits_is_announced() {
    for mode in MODES {
        let (_unread, theirs) = UnixStream::pair().unwrap();
        let (log, end) = UnixStream::pair().unwrap();
        log.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut shell = Command::new("sh")
            .args(["-c", "while :; do echo x; done"])
            .env("LD_PRELOAD", shim())
            .env("SOCKSHIM_LOG", "stderr")
            .env("SOCKSHIM_LOG_BUFFER", mode)
            .stdout(OwnedFd::from(theirs))
            .stderr(OwnedFd::from(end))
            .spawn()
            .unwrap();
        let told = BufReader::new(&log).lines().map(|line| line.expect("a line, or the one that waits"));
        let (mut done, mut waits) = (0, false);
        for line in told {
            done += usize::from(line.contains("write(1") && line.contains(" = 2 <"));
            waits = line.contains("write(1") && line.ends_with(" ...");
            if waits {
                break;
            }
        }
        assert!(waits && done > 10, "{mode}: {done} writes");
        shell.kill().unwrap();
        shell.wait().unwrap();
    }
}

/// What two runs of a program have in common: which calls there were, and what they returned.
fn common(log: &Path) -> Vec<String> {
    let alike = |line: &str| {
        let (_, told) = line.split_once("] +")?;
        let (call, _) = told.split_once(' ')?.1.split_once('(')?;
        let result = told.rsplit_once(" = ").map_or("", |(_, behind)| behind);
        let result = result.split_once(" <").map_or(result, |(result, _)| result);
        // Other numbers are the kernel's to choose: pids, and descriptors, of which a log may have one for a moment.
        let chosen = !call.starts_with("communicate") && result != "0" && result.bytes().all(|b| b.is_ascii_digit());
        (!told.ends_with(" ...")).then(|| format!("{call} = {}", if chosen { "#" } else { result }))
    };
    // Some are killed while they write a line.
    let text = fs::read_to_string(log).unwrap_or_default().replace("sockshim[", "\nsockshim[");
    let mut lines: Vec<String> = text.lines().filter_map(alike).collect();
    lines.sort();
    lines
}

/// Programs whose lines are not the same ones, and why.
const OTHERS: &[(&str, &str)] = &[
    ("cancel_async", "as many calls as there is time for"),
    ("exit_in_flight", "as many calls as there is time for"),
    ("fork_threads", "as many calls as there is time for"),
    ("garbage", "another seed each time"),
    ("jump_storm", "as many calls as there is time for"),
    ("large_transfer", "as many calls as it takes"),
    ("own_malloc", "as many calls as there is time for"),
    ("sigpipe", "its children are killed"),
    ("nofile", "takes away the descriptor that the file is opened with"),
    ("privileges", "takes away the right to open the file"),
];

/// Every program of `c-tests/`: they fork, execute others, end in every way, are cancelled, leave handlers by longjmp.
#[test]
fn the_lines_are_the_same_ones() {
    const RUNS: usize = 6;
    let shim = shim();
    let mut programs = Program::all();
    for (name, why) in OTHERS {
        println!("skipped: {name}: {why}");
        assert!(programs.iter().any(|program| program.name == *name), "{name} is no program");
    }
    programs.retain(|program| {
        program.lines("// not logged:").next().is_none() && OTHERS.iter().all(|(name, _)| program.name != *name)
    });
    let wrong = for_each(&programs, |program| {
        let binary = program.build(Build::Plain).unwrap_or_else(|e| panic!("{}: {e}", program.name));
        let mut seen: [Vec<Vec<String>>; 2] = Default::default();
        // One that does not always do the same in the same order gets more than one chance.
        for _ in 0..RUNS {
            for (mode, seen) in MODES.iter().zip(&mut seen) {
                let log = scratch("text_log").join(format!("{}.{mode}.log", program.name));
                _ = fs::remove_file(&log);
                let settings =
                    [("LD_PRELOAD", &*shim), ("SOCKSHIM_LOG", &log), ("SOCKSHIM_LOG_BUFFER", Path::new(mode))];
                program.run(&[&binary], "text_log", &settings);
                seen.push(common(&log));
                _ = fs::remove_file(&log);
            }
            if seen[1].iter().any(|lines| seen[0].contains(lines)) {
                return None;
            }
        }
        let [line, block] = seen.map(|mut runs| runs.swap_remove(0));
        let only = |these: &[String], those: &[String]| {
            let mut left = those.to_vec();
            let mut alone =
                |line: &&String| left.iter().position(|other| other == *line).map(|at| left.swap_remove(at)).is_none();
            these.iter().filter(|line| alone(line)).take(8).map(|line| format!("  {line}\n")).collect::<String>()
        };
        Some(format!(
            "{}: {} lines, collected {}\n only a line at a time:\n{} only collected:\n{}",
            program.name,
            line.len(),
            block.len(),
            only(&line, &block),
            only(&block, &line)
        ))
    });
    let wrong: Vec<String> = wrong.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
