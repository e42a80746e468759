//! Disks that fill up, and files that others change while they are written.

use crate::{built, calls, compiled, empty_folder, may_mount, mounted, native_talk, same, text};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

/// The version of the kernel: major, minor.
fn kernel() -> (u32, u32) {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Runs the rest of its arguments on a disk of `$SIZE` at `$1`, and copies what is there then to `$2`.
const ON_A_SMALL_DISK: &str = "mount -t tmpfs -o size=$SIZE none $1 || exit 99; disk=$1 out=$2; shift 2; \
    \"$@\"; status=$?; cp -R $disk/. $out; exit $status";

#[test]
fn the_tools_trace_on_a_full_disk() {
    if !may_mount() {
        return;
    }
    let (disk, out) = (empty_folder("full"), empty_folder("full-out"));
    let (native, trace) = (native_talk("4000"), disk.join("x.sst"));
    // A disk that has no room even for the beginning: tests/bad_input.rs.
    let (mut cut, mut last) = (0, 0);
    for size in ["4k", "8k", "16k", "32k", "64k", "128k", "256k", "8m"] {
        let command =
            [built::tool().as_path(), Path::new("run"), Path::new("-qo"), &trace, Path::new("--")].map(Path::to_owned);
        let mut arguments: Vec<&Path> = vec![&disk, &out];
        arguments.extend(command.iter().map(|path| &**path));
        let talk = compiled("talk");
        arguments.extend([&*talk, Path::new("4000")]);
        let output = mounted(ON_A_SMALL_DISK, &arguments).env("SIZE", size).output().unwrap();
        let said = text(&output.stderr);
        same(&output, &native, size);
        let found = calls(&out.join("x.sst"));
        // How much of it fits is the chance of how the passes fell; that the rest is counted is not.
        last = found;
        if found < 8003 {
            assert!(said.contains("is not whole") && said.contains("No space left"), "{size}: {said}");
            let missing = said.rsplit("; ").next().and_then(|words| words.split(' ').next()?.parse::<usize>().ok());
            assert_eq!(missing, Some(8003 - found), "{size}: {said}");
            cut += 1;
        }
    }
    assert!(cut > 1 && last == 8003, "{cut} cut, {last} calls");
}

/// The oldest makes way for the newest, as it does where there is room for all that may be kept.
#[test]
fn a_flight_recorder_on_a_full_disk() {
    if !may_mount() {
        return;
    }
    let (disk, out) = (empty_folder("recorder"), empty_folder("recorder-out"));
    let (native, trace, talk) = (native_talk("40000"), disk.join("x.sst"), compiled("talk"));
    let words = ["run", "--keep", "1M", "-qo"].map(Path::new);
    let mut arguments: Vec<&Path> = vec![&disk, &out];
    let tool = built::tool();
    arguments.push(&tool);
    arguments.extend(words);
    arguments.extend([&*trace, Path::new("--"), &*talk, Path::new("40000")]);
    let output = mounted(ON_A_SMALL_DISK, &arguments).env("SIZE", "300k").output().unwrap();
    same(&output, &native, "recorder");
    assert!(text(&output.stderr).is_empty(), "{}", text(&output.stderr));
    let kept = out.join("x.sst");
    let before = sockshim_reader::Trace::open(&kept).unwrap().calls_before();
    assert!(before > 0);
    assert_eq!(before as usize + calls(&kept), 80_003);
}

#[test]
fn the_shims_trace_on_a_full_disk() {
    if !may_mount() {
        return;
    }
    let (disk, out) = (empty_folder("alone"), empty_folder("alone-out"));
    let (native, talk) = (native_talk("2000"), compiled("talk"));
    for (size, room) in [("4k", false), ("12k", false), ("24k", true), ("64k", true), ("128k", true), ("1m", true)] {
        let preload = format!("LD_PRELOAD={}", built::shim().display());
        let setting = format!("SOCKSHIM_TRACE={}", disk.join("x.sst").display());
        let arguments: [&Path; 7] =
            [&disk, &out, Path::new("env"), Path::new(&preload), Path::new(&setting), &talk, Path::new("2000")];
        let output = mounted(ON_A_SMALL_DISK, &arguments).env("SIZE", size).output().unwrap();
        same(&output, &native, size);
        assert_eq!(text(&output.stderr).contains("no space"), !room, "{size}: {}", text(&output.stderr));
        assert_eq!(out.join("x.sst").exists(), room, "{size}");
        if room {
            // As many as there is room for; of the largest all.
            let least = [("1m", 4003), ("128k", 500), ("24k", 20)]
                .iter()
                .find(|(of, _)| *of == size)
                .map_or(250, |(_, least)| *least);
            assert!(calls(&out.join("x.sst")) >= least, "{size}: {}", calls(&out.join("x.sst")));
            fs::remove_file(out.join("x.sst")).unwrap();
        }
    }
}

/// Room that is there later is used: programs run for longer than disks are full.
#[test]
fn the_shims_trace_on_a_disk_that_was_full_for_a_while() {
    if !may_mount() {
        return;
    }
    const ALMOST_FULL: &str = "mount -t tmpfs -o size=2m none $1 || exit 99; disk=$1 out=$2; shift 2; \
        head -c 1900k /dev/zero > $disk/fill; \"$@\"; status=$?; cp $disk/x.sst $out; exit $status";
    let recorded = |what: &str| {
        let (disk, out) = (empty_folder("while"), empty_folder("while-out"));
        let (fill, talk) = (disk.join("fill"), compiled("talk"));
        let preload = format!("LD_PRELOAD={}", built::shim().display());
        let setting = format!("SOCKSHIM_TRACE={}", disk.join("x.sst").display());
        let mut arguments: Vec<&Path> = vec![&disk, &out, Path::new("env"), Path::new(&preload), Path::new(&setting)];
        // Half way, which leaves it a good part of a second.
        arguments.extend([&talk, Path::new("1000000"), Path::new(what), &fill]);
        let output = mounted(ALMOST_FULL, &arguments).output().unwrap();
        let native = built::succeed(Command::new(&talk).args(["1000000", what, "/no/such/file"]));
        same(&output, &native, what);
        calls(&out.join("x.sst"))
    };
    let (full, later) = (recorded("leave"), recorded("unlink"));
    assert!(full > 100 && later > 5 * full, "{full} calls, {later} when there is room again");
}

/// Real file systems find out at different times that there is no room: when a file is allocated, when a mapping may write to a page
/// of it, when the page is written back.
#[test]
fn the_shims_trace_on_full_disks_of_many_kinds() {
    if !may_mount() {
        return;
    }
    // All but so much of the disk is taken before.
    const LEAVING: &str = "kind=$1 disk=$2 out=$3; shift 3; \
        truncate -s $SIZE $out/image && mkfs.$kind -q $out/image >&2 && mount -o loop $out/image $disk || exit 99; \
        for bytes in 4096 512; do dd if=/dev/zero of=$disk/fill-$bytes bs=$bytes 2>/dev/null; sync -f $disk; done; \
        truncate -s -$LEFT $disk/fill-4096; sync -f $disk; \
        \"$@\"; status=$?; cp $disk/x.sst $out 2>/dev/null; exit $status";
    let (native, talk) = (native_talk("20000"), compiled("talk"));
    for (kind, size) in [("ext4", "32M"), ("xfs", "300M"), ("btrfs", "120M")] {
        if kind == "btrfs" && kernel() < (6, 17) {
            println!("SKIPPED: Btrfs needs room to write in place before Linux 6.17");
            continue;
        }
        let mut found = Vec::new();
        for left in ["8K", "200K", "2000K", "20000K"] {
            let (disk, out) = (empty_folder(&format!("full-{kind}")), empty_folder(&format!("full-{kind}-out")));
            let preload = format!("LD_PRELOAD={}", built::shim().display());
            let setting = format!("SOCKSHIM_TRACE={}", disk.join("x.sst").display());
            let arguments: [&Path; 8] = [
                Path::new(kind),
                &disk,
                &out,
                Path::new("env"),
                Path::new(&preload),
                Path::new(&setting),
                &talk,
                Path::new("20000"),
            ];
            let output = mounted(LEAVING, &arguments).env("SIZE", size).env("LEFT", left).output().unwrap();
            fs::remove_file(out.join("image")).unwrap();
            if output.status.code() == Some(99) {
                println!("SKIPPED: no {kind} can be made and mounted here: {}", text(&output.stderr));
                break;
            }
            same(&output, &native, &format!("{kind}, {left}"));
            let trace = out.join("x.sst");
            found.push(if trace.exists() { calls(&trace) } else { 0 });
            if trace.exists() {
                let here = found[found.len() - 1] as u64;
                let (lost, _) = sockshim_reader::Trace::open(&trace).unwrap().lost().unwrap();
                // What it could not write down, it has counted; the last that was begun may be shown as that.
                assert!((40_002..=40_003).contains(&(here + lost)), "{kind}, {left}: {here}, {lost} lost");
            }
        }
        assert!(found.is_sorted(), "{kind}: {found:?}");
        assert!(found.last().is_none_or(|most| *most == 40_003), "{kind}: {found:?}");
    }
}

#[test]
fn the_log_on_a_full_disk() {
    if !may_mount() {
        return;
    }
    let (disk, out) = (empty_folder("log"), empty_folder("log-out"));
    let (native, talk) = (native_talk("2000"), compiled("talk"));
    let preload = format!("LD_PRELOAD={}", built::shim().display());
    let setting = format!("SOCKSHIM_LOG={}", disk.join("log").display());
    let arguments: [&Path; 7] =
        [&disk, &out, Path::new("env"), Path::new(&preload), Path::new(&setting), &talk, Path::new("2000")];
    let output = mounted(ON_A_SMALL_DISK, &arguments).env("SIZE", "16k").output().unwrap();
    same(&output, &native, "log");
    let log = fs::read(out.join("log")).unwrap();
    assert!(log.len() == 16384 && text(&log).contains("socketpair("), "{} bytes", log.len());
}

/// Runs `talk` by the tool, which does something to a file half way.
fn meddled(name: &str, what: &str, whom: &str) -> (std::process::Output, std::path::PathBuf) {
    let trace = empty_folder(name).join("x.sst");
    let whom = if whom == "trace" { trace.to_str().unwrap() } else { whom };
    let mut command = Command::new(built::tool());
    command.arg("run").arg("-o").arg(&trace).arg("--").arg(compiled("talk")).args(["4000", what, whom]);
    (command.output().unwrap(), trace)
}

#[test]
fn the_tools_trace_is_removed_or_cut_short() {
    let native = native_talk("4000");
    let (output, trace) = meddled("removed", "unlink", "trace");
    same(&output, &native, "removed");
    assert!(text(&output.stderr).contains("somebody removed its file") && !trace.exists(), "{}", text(&output.stderr));
    let (output, _) = meddled("cut", "truncate", "trace");
    same(&output, &native, "cut short");
    assert!(text(&output.stderr).contains("somebody else changed its file"), "{}", text(&output.stderr));
}

/// Both sides have it mapped: nothing is lost.
#[test]
fn the_region_is_removed() {
    let (output, trace) = meddled("region", "unlink", "SOCKSHIM_REGION");
    same(&output, &native_talk("4000"), "region");
    assert!(!text(&output.stderr).contains("lost"), "{}", text(&output.stderr));
    // And one for the removal is none: unlink is no socket call.
    assert_eq!(calls(&trace), 8003);
}

/// A known hole. A mapped file that somebody cuts short ends whoever touches the mapping (SIGBUS), and the shim
/// may handle no signals: they are the program's.
#[test]
fn a_trace_that_is_cut_short_under_the_program_ends_it() {
    let trace = empty_folder("sigbus").join("x.sst");
    let mut command = Command::new(compiled("talk"));
    command.args(["200", "truncate"]).arg(&trace);
    let output = command.env("LD_PRELOAD", built::shim()).env("SOCKSHIM_TRACE", &trace).output().unwrap();
    assert_eq!(output.status.signal(), Some(libc::SIGBUS), "{}", text(&output.stderr));
}
