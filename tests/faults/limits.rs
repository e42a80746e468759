//! Limits on the program: what we need counts against them.

use crate::{built, calls, compiled, empty_folder, native_talk, same, text};
use std::process::Command;

/// `ulimit -f` counts 512 bytes in some shells and 1024 in others; bash(1), which is everywhere here, 1024.
fn limited(limit: &str) -> Command {
    let mut command = Command::new("bash");
    command.args(["-c", &format!("ulimit {limit}; exec \"$@\""), "bash"]);
    command
}

#[test]
fn little_address_space() {
    let native = native_talk("200");
    for limit in ["-v 300000", "-v 100000", "-v 40000"] {
        let trace = empty_folder("address-space").join("x.sst");
        let mut alone = limited(limit);
        alone.arg("env").arg(format!("LD_PRELOAD={}", built::shim().display()));
        alone.arg(format!("SOCKSHIM_TRACE={}", trace.display())).arg(compiled("talk")).arg("200");
        same(&alone.output().unwrap(), &native, limit);
        // A smaller region: an eighth of what there is.
        assert_eq!(calls(&trace), 403, "{limit}, alone");
        let mut tool = Command::new(built::tool());
        tool.args(["run", "--region-size", "4M", "-o"]).arg(&trace).args(["--", "bash", "-c"]);
        tool.arg(format!("ulimit {limit}; exec \"$0\" 200")).arg(compiled("talk"));
        let output = tool.output().unwrap();
        same(&output, &native, limit);
        assert!(calls(&trace) >= 403, "{limit}, by the tool: {}", text(&output.stderr));
    }
}

/// Past the limit a write raises SIGXFSZ, which would end the program.
#[test]
fn small_files() {
    let native = native_talk("200");
    for (limit, room) in [("-f 1000", true), ("-f 100", true), ("-f 10", false), ("-f 0", false)] {
        let trace = empty_folder("file-size").join("x.sst");
        let mut alone = limited(limit);
        alone.arg("env").arg(format!("LD_PRELOAD={}", built::shim().display()));
        alone.arg(format!("SOCKSHIM_TRACE={}", trace.display())).arg(compiled("talk")).arg("200");
        // Into a pipe, which no limit is on.
        let output = alone.output().unwrap();
        same(&output, &native, limit);
        assert_eq!(trace.exists(), room, "{limit}: {}", text(&output.stderr));
        if room {
            assert!(calls(&trace) > 100, "{limit}");
        }
        let mut tool = Command::new(built::tool());
        tool.args(["run", "-q", "-o"]).arg(&trace).args(["--", "bash", "-c"]);
        tool.arg(format!("ulimit {limit}; exec \"$0\" 200")).arg(compiled("talk"));
        same(&tool.output().unwrap(), &native, limit);
        assert!(calls(&trace) >= 403, "{limit}: the tool's files are its own");
    }
}

/// What limits the tool itself: it takes less, or says in one line what it lacks, and then runs nothing.
#[test]
fn the_tools_own_limits() {
    let native = native_talk("200");
    for limit in ["-v 300000", "-v 150000", "-f 100000", "-f 10000", "-f 2000", "-f 100", "-f 0", "-n 12"] {
        let trace = empty_folder("own-limits").join("x.sst");
        let mut command = limited(limit);
        command.arg(built::tool()).args(["run", "-q", "-o"]).arg(&trace).arg("--").arg(compiled("talk")).arg("200");
        let output = command.output().unwrap();
        let said = text(&output.stderr);
        if output.status.code() == Some(125) {
            assert!(output.stdout.is_empty() && said.lines().count() == 1, "{limit}: {said}");
            continue;
        }
        same(&output, &native, limit);
        let found = calls(&trace);
        assert!(found >= 403 || said.contains("is not whole"), "{limit}: {found} calls, {said}");
    }
}
