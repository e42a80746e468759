//! CPython's regression tests (Debian: libpython3.11-testsuite), a suite for each module.

use crate::built::root;
use crate::skipped;
use crate::suite::Suite;
use std::fs;
use std::path::Path;

/// Debian's own, which the tests belong to; no version manager's.
const PYTHON: &str = "/usr/bin/python3.11";
const TESTS: &str = "/usr/lib/python3.11/test";

/// What `make test` runs: every phase, every kind of server, processes and threads.
const QUICK: &str = "test_socket test_ssl test_threading test_socketserver test_select test_epoll test_asyncore \
    test_asynchat test_os test_posix test_thread test_smtplib test_httplib test_httpservers test_urllib2_localnet \
    test_telnetlib test_popen test_pty test_openpty test_fcntl test_ioctl test_smtpd test_nntplib test_docxmlrpc test_wsgiref";

/// What `make soak` runs besides, the longest first.
const LONG: &str = "test_multiprocessing_spawn test_concurrent_futures test_multiprocessing_forkserver test_multiprocessing_fork \
    test_asyncio test_signal test_subprocess test_imaplib test_xmlrpc test_io test_logging \
    test_multiprocessing_main_handling test_faulthandler test_selectors test_poll test_ftplib test_poplib test_eintr \
    test_pathlib test_cmd_line test_threadsignals test_wait3 test_wait4 test_fork1 test_audit test_file_eintr test_urllib \
    test_urllib2 test_robotparser test_mmap test_fileio test_file test_syslog test_sched test_threadedtempfile test_posixpath \
    test_pipes test_atexit test_bdb";

/// Tests that are left out, by a part of their names, each with its reason.
const WITHOUT: &[(&str, &str)] = &[("VSOCK", "their set-up hangs on virtual machines, natively too")];

pub fn suites(everything: bool) -> Option<Vec<Suite>> {
    if !Path::new(PYTHON).exists() || !Path::new(TESTS).join("test_socket.py").exists() {
        skipped("cpython", "python3.11 and libpython3.11-testsuite are not installed");
        return None;
    }
    for (tests, reason) in WITHOUT {
        println!("SKIPPED: cpython: tests named *{tests}*: {reason}");
    }
    let long = if everything { LONG } else { "" };
    let walk = root().join("tests/suites/walk.py");
    let without: Vec<_> = WITHOUT.iter().map(|(tests, _)| format!("-{tests}").into()).collect();
    let suite = |module: &str| Suite {
        name: module.into(),
        program: vec![PYTHON.into(), (&walk).into()],
        always: vec![module.into()],
        everything: without.clone(),
        only: "+",
    };
    let modules = long.split_whitespace().chain(QUICK.split_whitespace()).flat_map(files);
    Some(modules.map(|module| suite(&module)).collect())
}

/// A module, or the modules of a package.
fn files(module: &str) -> Vec<String> {
    let Ok(package) = fs::read_dir(Path::new(TESTS).join(module)) else { return vec![module.into()] };
    let names = package.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let tests =
        names.filter_map(|name| name.strip_suffix(".py").filter(|name| name.starts_with("test_")).map(str::to_owned));
    let mut files: Vec<String> = tests.map(|name| format!("{module}.{name}")).collect();
    files.sort();
    files
}
