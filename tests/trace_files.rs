//! A trace that the shim makes itself, `SOCKSHIM_TRACE=FILE`, and the processes of one run that share it.

#[path = "support/built.rs"]
mod built;

use built::{scratch, shim, succeed};
use sockshim_format::region::CLOCK_TSC;
use sockshim_reader::order::Events;
use sockshim_reader::region::RegionFile;
use sockshim_reader::{Event, Trace};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// More than the header remembers pids of processes.
const CHILDREN: usize = 100;

/// The processes of a trace, by name.
fn processes(file: &Path) -> BTreeMap<String, usize> {
    let mut programs = BTreeMap::new();
    for event in Events::new(Trace::open(file).unwrap()) {
        if let Event::Process(process) = event.unwrap() {
            *programs.entry(process.name()).or_default() += 1;
        }
    }
    programs
}

/// A shell that makes the trace itself.
fn shell(name: &str, script: &str) -> (Command, PathBuf) {
    let file = scratch("trace_files").join(name);
    _ = fs::remove_file(&file);
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]).env("LD_PRELOAD", shim()).env("SOCKSHIM_TRACE", &file);
    (command, file)
}

#[test]
fn a_shell_and_the_programs_that_it_starts_one_after_the_other_share_a_trace() {
    // `true` by its path is no builtin.
    let script = format!("i=0; while [ $i -lt {CHILDREN} ]; do /bin/true; i=$((i+1)); done; exec /bin/false");
    let (mut command, file) = shell("sequence.sst", &script);
    assert_eq!(command.status().unwrap().code(), Some(1));
    let programs = processes(&file);
    assert_eq!((programs.get("true"), programs.get("false")), (Some(&CHILDREN), Some(&1)), "{programs:?}");
}

/// Each finds a trace of a run that is over; one of them replaces it, and no other takes that one's away.
#[test]
fn programs_that_start_at_once_replace_an_old_trace_once() {
    const AT_ONCE: usize = 6;
    let (mut command, file) = shell("replaced.sst", "exec /bin/true");
    assert!(command.status().unwrap().success());
    for round in 0..50 {
        let mut cats: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                let mut cat = Command::new("/bin/cat");
                cat.env("LD_PRELOAD", shim()).env("SOCKSHIM_TRACE", &file);
                cat.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        // They end when their input does. Who has answered has attached, and so all of them are there at once.
        let mut inputs: Vec<_> = cats.iter_mut().map(|cat| cat.stdin.take().unwrap()).collect();
        inputs.iter_mut().for_each(|input| input.write_all(b"?").unwrap());
        cats.iter_mut().for_each(|cat| cat.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap());
        drop(inputs);
        assert!(cats.iter_mut().all(|cat| cat.wait().unwrap().success()));
        let programs = processes(&file);
        assert_eq!(programs, BTreeMap::from([("cat".to_owned(), AT_ONCE)]), "round {round}");
    }
}

#[test]
fn a_shell_and_the_programs_that_it_starts_all_at_once_share_a_trace() {
    // Each child says that it is there, and stays until our end of its standard input is closed.
    let script = format!(
        "exec 3<&0; i=0; while [ $i -lt {CHILDREN} ]; do sh -c 'echo here; exec /bin/cat' <&3 & i=$((i+1)); done
         exec 3<&-; wait; /bin/true; exec /bin/false"
    );
    let (mut command, file) = shell("at_once.sst", &script);
    let mut shell = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(shell.stdout.take().unwrap()).lines();
    assert_eq!(said.by_ref().take(CHILDREN).filter(|line| line.as_ref().unwrap() == "here").count(), CHILDREN);
    drop(shell.stdin.take());
    assert_eq!(shell.wait().unwrap().code(), Some(1));
    let programs = processes(&file);
    let some = ["cat", "true", "false"].map(|name| programs.get(name).copied());
    assert_eq!(some, [Some(CHILDREN), Some(1), Some(1)], "{programs:?}");
}

#[test]
fn what_was_recorded_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = scratch("trace_files");
    let [kept, alone, log] = ["kept.sst", "alone.sst", "text.log"].map(|name| folder.join(name));
    [&kept, &alone, &log].into_iter().for_each(|file| _ = std::fs::remove_file(file));
    // One that others could read before.
    std::fs::write(&kept, "old").unwrap();
    std::fs::set_permissions(&kept, std::fs::Permissions::from_mode(0o644)).unwrap();
    let demo = format!("umask 0; exec '{}' demo-program", built::tool().display());
    let sh = |variable: &str, file: &Path| {
        let mut command = Command::new("sh");
        command.args(["-c", &demo]).env("LD_PRELOAD", shim()).env(variable, file);
        succeed(&mut command);
    };
    succeed(Command::new(built::tool()).args(["run", "-q", "-o"]).arg(&kept).args(["--", "sh", "-c", &demo]));
    sh("SOCKSHIM_TRACE", &alone);
    sh("SOCKSHIM_LOG", &log);
    for file in [kept, alone, log] {
        let meta = std::fs::metadata(&file).unwrap();
        assert!(meta.len() > 100, "{}: {} bytes", file.display(), meta.len());
        assert_eq!(meta.permissions().mode() & 0o777, 0o600, "{}", file.display());
    }
}

/// By two points that lie far enough apart, taken before its own code runs: its destructor takes none.
#[test]
fn a_program_that_is_killed_tells_time() {
    let (mut command, file) = shell("killed.sst", "kill -9 $$");
    assert_eq!(command.status().unwrap().signal(), Some(9));
    let region = RegionFile::open(&file).unwrap();
    let header = region.header();
    assert!(region.clock().is_calibrated());
    // Where ticks are nanoseconds one point is enough.
    if header.clock == CLOCK_TSC {
        assert!(header.last_mono_ns - header.first_mono_ns >= 50_000, "{header:?}");
        assert!(header.last_ticks > header.first_ticks, "{header:?}");
    }
}

/// What kind of file system a folder is on, as stat(1) calls it.
fn file_system(folder: &Path) -> String {
    let kind = Command::new("stat").args(["-f", "-c", "%T"]).arg(folder).output().unwrap();
    String::from_utf8_lossy(&kind.stdout).trim().to_owned()
}

#[test]
fn a_trace_takes_what_it_needs() {
    use std::os::unix::fs::MetadataExt;
    for folder in [scratch("trace_files"), PathBuf::from("/dev/shm")] {
        let kind = file_system(&folder);
        if !["tmpfs", "ext2/ext3", "xfs", "btrfs"].contains(&kind.as_str()) {
            println!("SKIPPED: {} is on {kind}, where all of a trace has its room at once", folder.display());
            continue;
        }
        let file = folder.join(format!("sockshim-test-{}.sst", std::process::id()));
        let mut command = Command::new("/bin/true");
        assert!(command.env("LD_PRELOAD", shim()).env("SOCKSHIM_TRACE", &file).status().unwrap().success());
        let (programs, meta) = (processes(&file), fs::metadata(&file));
        _ = fs::remove_file(&file);
        assert_eq!(programs.get("true"), Some(&1), "{kind}: {programs:?}");
        let meta = meta.unwrap();
        assert_eq!(meta.len(), 64 << 20, "{kind}");
        assert!(meta.blocks() * 512 < 64 << 10, "{kind}: {} blocks", meta.blocks());
    }
}

/// How many pages of a file are in memory.
fn pages_in_memory(file: &Path) -> usize {
    let file = fs::File::open(file).unwrap();
    let bytes = file.metadata().unwrap().len() as usize;
    let mut pages = vec![0u8; bytes.div_ceil(4096)];
    // SAFETY: the mapping is ours, of that size, and not read; mincore(2) stores a byte for each page of it.
    unsafe {
        let base = libc::mmap(std::ptr::null_mut(), bytes, libc::PROT_READ, libc::MAP_SHARED, file.as_raw_fd(), 0);
        assert_ne!(base, libc::MAP_FAILED);
        assert_eq!(libc::mincore(base, bytes, pages.as_mut_ptr()), 0);
        libc::munmap(base, bytes);
    }
    pages.iter().filter(|page| **page & 1 == 1).count()
}

#[test]
fn a_trace_of_the_shims_own_is_not_read_ahead() {
    let (mut command, file) = shell("small.sst", "exec /bin/true");
    assert!(command.status().unwrap().success());
    if file_system(&file) == "tmpfs" {
        println!("SKIPPED: {} is on a file system that keeps all in memory", file.display());
        return;
    }
    // The header, a page of each bitmap and a chunk for each process, and not 2,048 pages of zeros.
    let pages = pages_in_memory(&file);
    assert!((1..64).contains(&pages), "{pages} pages are in memory");
}
