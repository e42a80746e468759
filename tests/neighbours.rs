//! Other libraries that stand in front of libc, in front of us and behind: the program behaves as it
//! does with the neighbour alone, and our trace holds its calls.
//!
//! A neighbour that is not installed makes its test print SKIPPED, or fail under
//! `SOCKSHIM_REQUIRE_PROGRAMS=1`.

#[path = "support/built.rs"]
mod built;

use built::{root, scratch, shim, succeed, tool};
use sockshim_reader::order::Events;
use sockshim_reader::{Event, Trace};
use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Calls of `send` that `neighbours/traffic.c` makes, in two threads.
const SENDS: usize = 200;

/// Compiles one of the programs here.
fn program(test: &str, source: &str, flags: &[&str]) -> PathBuf {
    let binary = scratch(&format!("neighbours/{test}")).join(source.split('.').next().unwrap());
    let source = root().join("tests/neighbours").join(source);
    succeed(Command::new("gcc").args(["-O1", "-D_GNU_SOURCE", "-pthread", "-o"]).arg(&binary).arg(source).args(flags));
    binary
}

/// Says that a test cannot do its work here, and why.
fn skipped(name: &str, reason: &str) {
    println!("SKIPPED: {name}: {reason}");
    let required = std::env::var_os("SOCKSHIM_REQUIRE_PROGRAMS").is_some_and(|value| value == "1");
    assert!(!required, "{name}: {reason}, and SOCKSHIM_REQUIRE_PROGRAMS=1 asks for all of them");
}

/// A library of Debian's, if it is installed.
fn library(name: &str) -> Option<String> {
    let path = Path::new("/usr/lib/x86_64-linux-gnu").join(name);
    if !path.exists() {
        skipped(name, "it is not installed");
    }
    path.exists().then(|| path.display().to_string())
}

/// A command that is preloaded with some libraries, in their order, and has a place for a trace.
fn command(folder: &Path, words: &[&str], preload: &[&str], trace: &Path) -> Command {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).current_dir(folder).env_clear().stdin(Stdio::null());
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("SOCKSHIM_TRACE", trace);
    if !preload.is_empty() {
        command.env("LD_PRELOAD", preload.join(" "));
    }
    command
}

/// The names of the calls in a trace, which is removed.
fn calls(trace: &Path) -> Vec<&'static str> {
    let mut events = Events::new(Trace::open(trace).unwrap_or_else(|e| panic!("{}: {e}", trace.display())));
    let calls = events.by_ref().filter_map(|event| match event.unwrap() {
        Event::Call(call) => Some(call.op().map_or("?", |op| op.name())),
        _ => None,
    });
    let names = calls.collect();
    fs::remove_file(trace).unwrap();
    names
}

/// Asserts that two runs are alike, stderr included if it was asked for.
#[track_caller]
fn alike(what: &str, alone: &Output, with: &Output) {
    let text = |output: &Output| {
        format!(
            "{}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )
    };
    assert_eq!(text(alone), text(with), "{what}");
}

/// Runs the traffic with a neighbour alone, behind it and in front of it. `seen`: how many sends are on
/// record in each place.
fn beside(test: &str, neighbour: &str, variables: &[(&str, &str)], seen: [usize; 2]) {
    let Some(neighbour) = library(neighbour) else { return };
    let binary = program(test, "traffic.c", &[]);
    let (folder, shim) = (binary.parent().unwrap(), shim().display().to_string());
    let trace = folder.join("trace.sst");
    let words = [binary.to_str().unwrap()];
    let run =
        |preload: &[&str]| command(folder, &words, preload, &trace).envs(variables.iter().copied()).output().unwrap();
    let alone = run(&[&neighbour]);
    assert!(alone.status.success(), "{neighbour} alone: {alone:?}");
    for (preload, wanted) in [[&neighbour, &shim], [&shim, &neighbour]].iter().zip(seen) {
        let preload = preload.map(String::as_str);
        alike(&preload.join(" "), &alone, &run(&preload));
        let sends = calls(&trace).into_iter().filter(|name| *name == "send").count();
        assert_eq!(sends, wanted, "sends on record with {preload:?}");
    }
}

#[test]
fn jemalloc() {
    beside("jemalloc", "libjemalloc.so.2", &[], [SENDS, SENDS]);
}

#[test]
fn tcmalloc() {
    beside("tcmalloc", "libtcmalloc_minimal.so.4", &[], [SENDS, SENDS]);
}

#[test]
fn mimalloc() {
    beside("mimalloc", "libmimalloc.so.2", &[], [SENDS, SENDS]);
}

#[test]
fn eatmydata() {
    beside("eatmydata", "libeatmydata.so", &[], [SENDS, SENDS]);
}

#[test]
fn faketime() {
    beside("faketime", "faketime/libfaketime.so.1", &[("FAKETIME", "+2d")], [SENDS, SENDS]);
    beside("faketime", "faketime/libfaketimeMT.so.1", &[("FAKETIME", "-3y x2")], [SENDS, SENDS]);
}

/// It looks libc's functions up in libc itself, and so passes around whoever stands behind it.
#[test]
fn socket_wrapper() {
    let folder = scratch("neighbours/socket_wrapper").join("sockets");
    fs::create_dir_all(&folder).unwrap();
    let variables = [("SOCKET_WRAPPER_DIR", folder.to_str().unwrap()), ("SOCKET_WRAPPER_DEFAULT_IFACE", "1")];
    beside("socket_wrapper", "libsocket_wrapper.so", &variables, [0, SENDS]);
}

/// A SOCKS5 proxy that says to each of so many connections that it leads where they want (RFC 1928).
fn proxy(listener: TcpListener, connections: usize) -> io::Result<()> {
    for _ in 0..connections {
        let (mut client, _) = listener.accept()?;
        // Version 5, one method: none. Then: connect, by address.
        let (mut greeting, mut request) = ([0; 3], [0; 10]);
        client.read_exact(&mut greeting)?;
        client.write_all(&[5, 0])?;
        client.read_exact(&mut request)?;
        let wanted = [5, 1, 0, 1, 192, 0, 2, 1, 0, 80];
        let answer = if greeting == [5, 1, 0] && request == wanted { 0 } else { 1 };
        client.write_all(&[5, answer, 0, 1, 0, 0, 0, 0, 0, 0])?;
        // Until the program hangs up.
        client.read_to_end(&mut Vec::new())?;
    }
    Ok(())
}

/// The connect goes as it does without us, by way of a proxy and where there is none. In front of proxychains we see
/// what the program asked for, behind it what it came to.
#[test]
fn proxychains() {
    let Some(neighbour) = library("libproxychains.so.4") else { return };
    let binary = program("proxychains", "connect.c", &[]);
    let (folder, shim) = (binary.parent().unwrap(), shim().display().to_string());
    let configuration = folder.join("proxychains.conf");
    let trace = folder.join("trace.sst");
    let words = [binary.to_str().unwrap()];
    let run = |preload: &[&str]| {
        command(folder, &words, preload, &trace).env("PROXYCHAINS_CONF_FILE", &configuration).output().unwrap()
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let proxy = std::thread::spawn(move || proxy(listener, 3));
    for (port, answer) in [(1, "ECONNREFUSED\n"), (port, "connected\n")] {
        let text = format!("strict_chain\nquiet_mode\n[ProxyList]\nsocks5 127.0.0.1 {port}\n");
        fs::write(&configuration, text).unwrap();
        let alone = run(&[&neighbour]);
        assert_eq!(String::from_utf8_lossy(&alone.stdout), answer);
        for preload in [[&neighbour, &shim], [&shim, &neighbour]] {
            let preload = preload.map(String::as_str);
            alike(&preload.join(" "), &alone, &run(&preload));
            let connects = calls(&trace).into_iter().filter(|name| *name == "connect").count();
            assert_eq!(connects, 1, "connects on record with {preload:?}");
        }
    }
    proxy.join().unwrap().unwrap();
}

/// Runs the traffic, built with a sanitizer, by the tool.
fn sanitized(test: &str, flag: &str, variables: &[(&str, &str)]) {
    let binary = program(test, "traffic.c", &["-g", flag]);
    let folder = binary.parent().unwrap();
    let trace = folder.join("trace.sst");
    let binary = binary.to_str().unwrap();
    let alone = command(folder, &[binary], &[], &trace).output().unwrap();
    assert!(alone.status.success(), "{flag} alone: {alone:?}");
    let tool = tool().display().to_string();
    let words = [&tool, "run", "-q", "-o", trace.to_str().unwrap(), "--", binary];
    let run =
        command(folder, &words, &[], &trace).env_remove("SOCKSHIM_TRACE").envs(variables.iter().copied()).output();
    alike(flag, &alone, &run.unwrap());
    assert_eq!(calls(&trace).into_iter().filter(|name| *name == "send").count(), SENDS, "sends on record with {flag}");
}

#[test]
fn thread_sanitizer() {
    sanitized("tsan", "-fsanitize=thread", &[]);
}

#[test]
fn undefined_behaviour_sanitizer() {
    sanitized("ubsan", "-fsanitize=undefined", &[]);
}

#[test]
fn leak_sanitizer() {
    sanitized("lsan", "-fsanitize=leak", &[]);
}

/// Its runtime refuses to start behind anybody, unless told. The tool says how.
#[test]
fn address_sanitizer() {
    sanitized("asan", "-fsanitize=address", &[("ASAN_OPTIONS", "verify_asan_link_order=0")]);
    let binary = scratch("neighbours/asan").join("traffic");
    let output =
        Command::new(tool()).args(["run", "-q", "--"]).arg(binary).env_remove("ASAN_OPTIONS").output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("set ASAN_OPTIONS=verify_asan_link_order=0"), "{error}");
}

/// Runs a program under a tool of valgrind's, without us and preloaded. Its own remarks on our checked
/// reading of memory ("unknown 'how'") are the only ones.
#[test]
fn valgrind() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        return skipped("valgrind", "it is not installed");
    }
    let binary = program("valgrind", "traffic.c", &["-g"]);
    let folder = binary.parent().unwrap();
    let (trace, shim) = (folder.join("trace.sst"), shim().display().to_string());
    let words = ["valgrind", "-q", "--error-exitcode=99", "--tool=memcheck", binary.to_str().unwrap()];
    let alone = command(folder, &words, &[], &trace).output().unwrap();
    assert!(alone.status.success(), "valgrind alone: {alone:?}");
    let mut with = command(folder, &words, &[&shim], &trace).output().unwrap();
    let error = String::from_utf8_lossy(&with.stderr).into_owned();
    let rest: String = error.split_inclusive('\n').filter(|line| !line.contains("unknown 'how' field -1")).collect();
    with.stderr = rest.into_bytes();
    alike("valgrind", &alone, &with);
    assert_eq!(calls(&trace).into_iter().filter(|name| *name == "send").count(), SENDS);
}

/// The shim itself, opened by the program in every way in which a library can be: nothing breaks,
/// whether or not it was preloaded; and a plugin with a view of libc of its own works, unseen.
#[test]
fn opened_by_the_program() {
    let binary = program("opened", "opened.c", &["-ldl"]);
    let folder = binary.parent().unwrap();
    let plugin = folder.join("plugin.so");
    let source = root().join("tests/neighbours/plugin.c");
    succeed(Command::new("gcc").args(["-O1", "-fPIC", "-shared", "-o"]).arg(&plugin).arg(source));
    let (trace, shim) = (folder.join("trace.sst"), shim().display().to_string());
    let words = [binary.to_str().unwrap(), &shim, plugin.to_str().unwrap()];
    for preload in [&[][..], &[&*shim]] {
        let output = command(folder, &words, preload, &trace).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.ends_with("done\n"), "{preload:?}: {output:?}");
        let writes = calls(&trace).into_iter().filter(|name| *name == "write").count();
        // Preloaded, the program's own five are seen; those of the plugin with a libc of its own are not.
        assert_eq!(writes, if preload.is_empty() { 0 } else { 5 }, "{text}");
    }
}
