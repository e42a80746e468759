//! Recordings that are limited in size: the newest is kept, or one file follows the other; and reading what
//! is still being written.

#[path = "support/built.rs"]
mod built;

use built::{root, scratch, succeed, tool};
use sockshim_reader::order::Events;
use sockshim_reader::{Event, Model, Tail, Trace};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const LIMIT: u64 = 1 << 20;
/// Numbers that are sent and received, for 480,000 calls: enough for three files of LIMIT.
const TIMES: &str = "240000";

/// The program, built once for all tests of this file.
fn program() -> PathBuf {
    static BUILT: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    let build = || {
        let binary = scratch("long_runs").join("calls");
        let source = root().join("tests/long_runs/calls.c");
        succeed(Command::new("gcc").args(["-O1", "-pthread", "-o"]).arg(&binary).arg(source));
        binary
    };
    BUILT.get_or_init(build).clone()
}

/// A trace in an empty folder.
fn trace(name: &str) -> PathBuf {
    let folder = scratch("long_runs").join(name);
    _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder.join("x.sst")
}

fn run(file: &Path, limit: &[&str], arguments: &[&str]) -> Command {
    let mut command = Command::new(tool());
    command.arg("run").args(limit).arg("-o").arg(file).arg("--").arg(program()).args(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn show(file: &[&Path]) -> Output {
    succeed(Command::new(tool()).arg("show").args(file))
}

/// The files that a run has made, in the order of their numbers.
fn files(file: &Path) -> Vec<PathBuf> {
    let number = |path: &Path| path.extension().and_then(|number| number.to_str()?.parse().ok()).unwrap_or(0u32);
    let mut files: Vec<PathBuf> = fs::read_dir(file.parent().unwrap()).unwrap().map(|e| e.unwrap().path()).collect();
    // What a tool that was killed had not yet made a file of the recording.
    files.retain(|path| path.extension() != Some("part".as_ref()));
    files.sort_by_key(|path| number(path));
    files
}

/// Bytes on the disk. A file that has two names is one.
fn bytes(file: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = fs::read_dir(file.parent().unwrap()).unwrap().flatten();
    let files: std::collections::BTreeMap<u64, u64> =
        entries.filter_map(|e| e.metadata().ok()).map(|meta| (meta.ino(), meta.len())).collect();
    files.values().sum()
}

/// What a trace tells.
struct Told {
    /// `seq` of the calls that are done, in order.
    calls: Vec<u32>,
    /// The same, thread by thread.
    threads: BTreeMap<(u32, u32), Vec<u32>>,
    /// Connections that know their peer.
    connected: usize,
    tail: Tail,
    before: u64,
    lost: u64,
    goes_on: bool,
}

fn read(trace: Trace) -> Told {
    let (mut events, mut model, mut calls) = (Events::new(trace), Model::new(), Vec::new());
    let mut threads: BTreeMap<_, Vec<u32>> = BTreeMap::new();
    for event in events.by_ref() {
        let event = event.unwrap();
        model.feed(&event);
        if let Event::Call(call) = &event {
            calls.push(call.call.seq);
            threads.entry((call.process, call.tid)).or_default().push(call.call.seq);
        }
    }
    let trace = events.trace();
    assert_eq!(trace.damaged_bytes(), 0);
    Told {
        calls,
        threads,
        connected: model.connections().filter(|connection| connection.peer_address().is_some()).count(),
        tail: trace.tail(),
        before: trace.calls_before(),
        lost: trace.lost().map_or(0, |(lost, _)| lost),
        goes_on: trace.goes_on(),
    }
}

/// There is one thread, so the numbers of its calls tell whether one is missing.
fn is_whole(calls: &[u32]) -> bool {
    calls.windows(2).all(|pair| pair[0] + 1 == pair[1])
}

/// Waits until something is the case.
fn wait_for(what: impl Fn() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < Duration::from_secs(60), "it never came to that");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Removes the region that a killed tool has left.
fn remove_region(trace: &Trace) {
    fs::remove_file(trace.meta("region").unwrap()).unwrap();
}

/// Waits for the processes that hold the other end of the program's output.
fn all_gone(mut tool: Child) {
    use std::io::Read;
    tool.stdout.take().unwrap().read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn a_flight_recorder_keeps_the_newest_within_its_bound() {
    let file = trace("keep");
    let mut tool = run(&file, &["-q", "--keep", "1M"], &[TIMES]).spawn().unwrap();
    let mut most = 0;
    while tool.try_wait().unwrap().is_none() {
        most = most.max(bytes(&file));
        std::thread::sleep(Duration::from_micros(500));
    }
    let output = tool.wait_with_output().unwrap();
    let made: u64 = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
    most = most.max(bytes(&file));
    assert!(most <= LIMIT, "{most} bytes");
    assert_eq!(files(&file), [file.as_path()], "all is in one file at the end");
    assert!(bytes(&file) > LIMIT / 16 * 13, "{} bytes", bytes(&file));

    let told = read(Trace::open(&file).unwrap());
    assert!(matches!(told.tail, Tail::Ended(_)), "{:?}", told.tail);
    assert!(is_whole(&told.calls) && told.lost == 0, "{} lost", told.lost);
    assert!(told.before > 0);
    assert_eq!(told.before + told.calls.len() as u64, made);
    assert_eq!(told.connected, 2, "who talked to whom is known, although that was long before");
    println!("most {most} bytes, {} of {made} calls kept", told.calls.len());

    let shown = show(&[&file]);
    let said = String::from_utf8(shown.stderr).unwrap();
    assert!(said.contains(" earlier calls were overwritten"), "{said}");
}

/// Of each thread of each process the newest calls are kept, without a hole.
#[test]
fn a_flight_recorder_of_many_threads_and_processes() {
    let script = "calls 6000 0 8 & calls 6000 0 4 & calls 20000 & wait";
    let script = script.replace("calls", &program().display().to_string());
    let run = |name: &str, limit: &[&str]| {
        let file = trace(name);
        let mut command = Command::new(tool());
        command.args(["run", "-q"]).args(limit).arg("-o").arg(&file).args(["--", "sh", "-c", &script]);
        let output = succeed(&mut command);
        let text = String::from_utf8(output.stdout).unwrap();
        let made: u64 = text.lines().map(|line| line.parse::<u64>().unwrap()).sum();
        (read(Trace::open(&file).unwrap()), made, bytes(&file))
    };
    let (all, made, _) = run("keep-all", &[]);
    assert!(all.lost == 0 && all.calls.len() as u64 > made, "the shell's own calls are there too");
    let (kept, _, bytes) = run("keep-many", &["--keep", "1M"]);
    assert!(bytes <= LIMIT && kept.lost == 0 && kept.before > 0, "{bytes} bytes, {} overwritten", kept.before);
    assert_eq!(kept.before + kept.calls.len() as u64, all.calls.len() as u64);
    assert!(kept.threads.len() > 2, "{} threads", kept.threads.len());
    for (thread, calls) in &kept.threads {
        assert!(is_whole(calls), "{thread:?} has a hole");
    }
}

/// The audit compares what the kernel was asked with all that was recorded: of a trace that has only the newest
/// it would tell that calls are missing.
#[test]
fn a_flight_recorder_is_not_verified() {
    let file = trace("keep-verify");
    let output = run(&file, &["--verify", "--keep", "1M"], &["10"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("--verify") && said.contains("--keep"), "{said}");
}

#[test]
fn a_flight_recorder_with_room_for_all_says_nothing() {
    let file = trace("room");
    let output = succeed(&mut run(&file, &["--keep", "8M"], &["100"]));
    assert!(!String::from_utf8(output.stderr).unwrap().contains("overwritten"));
    let told = read(Trace::open(&file).unwrap());
    assert_eq!((told.calls.len(), told.before), (210, 0));
    assert!(show(&[&file]).stderr.is_empty());
}

#[test]
fn files_that_follow_each_other_have_all_calls() {
    let file = trace("rotate");
    let output = succeed(&mut run(&file, &["-q", "--rotate", "1M"], &[TIMES]));
    let made: usize = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
    let files = files(&file);
    assert!(files.len() > 2 && files[0] == file, "{files:?}");

    let (mut calls, count) = (Vec::new(), files.len());
    for (number, file) in files.iter().enumerate() {
        assert!(fs::metadata(file).unwrap().len() <= LIMIT);
        // Each by itself, among them those that know only from what is carried over who talks to whom.
        let told = read(Trace::open(file).unwrap());
        assert_eq!(told.before, calls.len() as u64, "{}", file.display());
        assert_eq!(told.connected, 2, "{}", file.display());
        assert_eq!(told.tail == Tail::Continued, number + 1 < count, "{:?}", told.tail);
        calls.extend(told.calls);
    }
    assert!(is_whole(&calls));
    assert_eq!(calls.len(), made);

    // All together, in whatever order.
    let mut paths: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    paths.rotate_left(1);
    let told = read(Trace::open_all(&paths).unwrap());
    assert!(is_whole(&told.calls) && matches!(told.tail, Tail::Ended(_)));
    assert_eq!((told.calls.len(), told.before, told.connected), (made, 0, 2));
    let shown = show(&[&files[0]]);
    assert!(String::from_utf8(shown.stderr).unwrap().contains("goes on in x.sst.1"));

    // One is missing, or is of another run.
    assert!(Trace::open_all(&[&files[0], &files[2]]).is_err());
    let other = trace("rotate-other");
    succeed(&mut run(&other, &["-q"], &["10"]));
    assert!(Trace::open_all(&[&files[0], &other]).is_err());
}

#[test]
fn whatever_lies_there_when_the_tool_is_killed_is_read() {
    for (limit, number) in [("--keep", "x.sst.20"), ("--rotate", "x.sst.1")] {
        let file = trace(&format!("killed{limit}"));
        let mut tool = run(&file, &["-q", limit, "1M"], &[TIMES]).spawn().unwrap();
        wait_for(|| file.with_file_name(number).exists());
        tool.kill().unwrap();
        tool.wait().unwrap();
        all_gone(tool);
        let files = files(&file);
        // The one that was begun last may have no calls yet.
        let bare = |file: &&PathBuf| read(Trace::open(file).unwrap()).calls.is_empty();
        assert!(files.iter().filter(bare).count() <= 1, "{files:?}");
        let opened = if limit == "--keep" { Trace::open(&file) } else { Trace::open_all(&files) }.unwrap();
        assert!(opened.region().is_some(), "the rest is in the region");
        remove_region(&opened);
        let told = read(opened);
        assert!(is_whole(&told.calls), "{limit}: {files:?}");
        assert!(!told.goes_on && matches!(told.tail, Tail::Open | Tail::Torn { .. }));
        assert_eq!((told.connected, told.before > 0), (2, limit == "--keep"));
    }
}

#[test]
fn a_trace_is_read_while_it_grows() {
    for limit in [&[][..], &["--keep", "1M"], &["--rotate", "1M"]] {
        let file = trace("live");
        let options: Vec<&str> = ["-q"].iter().chain(limit).copied().collect();
        let mut tool = run(&file, &options, &["5000000", "100000"]).spawn().unwrap();
        wait_for(|| bytes(&file) > 150_000);
        let mut last = 0;
        for _ in 0..4 {
            let told = read(Trace::open(&file).unwrap());
            assert!(is_whole(&told.calls), "{limit:?}");
            assert!(told.tail == Tail::Continued || told.goes_on, "{limit:?}: {:?}", told.tail);
            let newest = told.calls.last().copied().unwrap_or(0);
            assert!(newest >= last, "{limit:?}");
            last = newest;
        }
        let shown = show(&[&file]);
        let said = String::from_utf8(shown.stderr).unwrap();
        assert!(said.contains("the run goes on") && !said.contains("cut short"), "{limit:?}: {said}");
        // SIGTERM is passed on to the program.
        succeed(Command::new("kill").arg(tool.id().to_string()));
        tool.wait().unwrap();
        let ended = Trace::open(files(&file).last().unwrap()).unwrap();
        assert!(matches!(ended.tail(), Tail::Ended(_)), "{limit:?}");
    }
}

/// What a run has kept so far, as a file that stays when the recorder goes on to overwrite it.
#[test]
fn a_snapshot_is_taken_while_the_run_goes_on() {
    for limit in [&[][..], &["--keep", "1M"]] {
        let file = trace("snapshot");
        let copy = file.with_file_name("copy.sst");
        let options: Vec<&str> = ["-q"].iter().chain(limit).copied().collect();
        let mut tool = run(&file, &options, &["5000000", "100000"]).spawn().unwrap();
        wait_for(|| bytes(&file) > 150_000);
        let copied = succeed(Command::new(built::tool()).arg("snapshot").arg(&file).arg("-o").arg(&copy));
        assert!(String::from_utf8(copied.stderr).unwrap().contains("copy.sst"));
        let there = bytes(&file);
        wait_for(|| bytes(&file) > there + 10_000);
        succeed(Command::new("kill").arg(tool.id().to_string()));
        tool.wait().unwrap();
        // Of the run as it was then, with nothing of what came later.
        let (then, ended) = (read(Trace::open(&copy).unwrap()), read(Trace::open(&file).unwrap()));
        assert_eq!((then.tail, then.goes_on, then.connected), (Tail::Continued, false, 2));
        assert!(is_whole(&then.calls) && then.calls.len() > 1000);
        assert!(then.before + (then.calls.len() as u64) < ended.before + ended.calls.len() as u64);
        let shown = show(&[&copy]);
        assert!(String::from_utf8(shown.stderr).unwrap().contains("the run goes on in x.sst"));
        // Of a run that is over it is the same.
        let again = file.with_file_name("again.sst");
        succeed(Command::new(built::tool()).arg("snapshot").arg(&file).arg("-o").arg(&again));
        let again = read(Trace::open(&again).unwrap());
        assert!(again.calls == ended.calls && again.before == ended.before && again.tail == ended.tail);
    }
    let file = trace("snapshot-of-nothing");
    let output = Command::new(tool()).arg("snapshot").arg(&file).arg("-o").arg(file.with_extension("copy")).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert!(String::from_utf8(output.stderr).unwrap().contains("x.sst"));
    assert_eq!(files(&file), [] as [PathBuf; 0], "nothing is left behind");
}

#[test]
fn what_is_in_the_way_is_not_overwritten() {
    for (limit, number, before) in
        [("--keep", 1, true), ("--rotate", 1, true), ("--keep", 2, false), ("--rotate", 2, false)]
    {
        let file = trace("way");
        let foreign = file.with_file_name(format!("x.sst.{number}"));
        fs::write(&foreign, "a letter").unwrap();
        let output = run(&file, &["-q", limit, "1M"], &[TIMES]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(&format!("x.sst.{number} is in the way")), "{said}");
        assert_eq!(fs::read_to_string(&foreign).unwrap(), "a letter");
        // What can be known beforehand is told before the program runs.
        assert_eq!(output.status.code(), Some(if before { 125 } else { 0 }), "{said}");
        assert_eq!(said.contains("calls are missing"), !before, "{said}");
        if before {
            assert!(!file.exists(), "nothing is left behind");
        } else {
            assert!(!read(Trace::open(&file).unwrap()).calls.is_empty());
        }
    }
    let output = Command::new(tool()).args(["run", "--keep", "1M", "-o", "/dev/null", "true"]).output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert!(String::from_utf8(output.stderr).unwrap().contains("no regular file"));
}
