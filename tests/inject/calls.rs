//! What `accept` may say besides EMFILE, and each function that resolves names.

use crate::{c_program, inject};
use std::collections::BTreeSet;

#[test]
fn accept_fails_as_accept_may_fail() {
    let program = c_program("calls");
    for (error, says) in [
        ("ECONNABORTED", "Software caused connection abort"),
        ("ENFILE", "Too many open files in system"),
        ("EMFILE", "Too many open files"),
        ("ENOBUFS", "No buffer space available"),
        ("ENOMEM", "Cannot allocate memory"),
        ("EPROTO", "Protocol error"),
        ("EPERM", "Operation not permitted"),
        ("EINTR", "Interrupted system call"),
        ("EAGAIN", "Resource temporarily unavailable"),
    ] {
        let ran = inject(
            &format!("accept-{error}"),
            &[&format!("accept:error={error}:when=2")],
            &[program.to_str().unwrap()],
        );
        let accepts: Vec<String> =
            ran.stdout().lines().filter(|line| line.starts_with("accept ")).map(str::to_owned).collect();
        assert_eq!(accepts, ["accept 0 ".to_owned(), format!("accept -1 {says}"), "accept 0 ".to_owned()], "{error}");
        let told = ran.lines(" accept(");
        assert!(told[1].contains(&format!("= -1 {error} (INJECTED)")), "{told:?}");
        assert!(ran.report().contains(&format!("accept failed with {error} by rule 1")), "{}", ran.report());
    }
}

#[test]
fn a_call_is_meant_by_its_own_end_its_family_and_its_descriptor() {
    let program = c_program("calls");
    for (number, (chooses, hits)) in [
        ("local=127.0.0.1", 3),
        ("local=127.0.0.2", 0),
        ("family=AF_INET", 3),
        ("family=AF_INET6", 0),
        ("fd=5", 3), // behind the listener and the client
        ("fd=77", 0),
    ]
    .into_iter()
    .enumerate()
    {
        let rule = format!("recvfrom:error=EIO:{chooses}");
        let ran = inject(&format!("calls-{number}"), &[&rule], &[program.to_str().unwrap()]);
        assert_eq!(ran.stdout().matches("recv -1 Input/output error").count(), hits, "{chooses}: {}", ran.stdout());
        assert_eq!(ran.injected(), hits, "{chooses}");
    }
}

/// What each function said.
fn resolved(test: &str, rule: &str) -> Vec<(String, String)> {
    let program = c_program("names");
    let ran = inject(test, &[rule], &[program.to_str().unwrap()]);
    assert_eq!(ran.code(), Some(0), "{rule}");
    let line = |line: &str| line.split_once(' ').map(|(function, says)| (function.to_owned(), says.to_owned()));
    ran.stdout().lines().filter_map(line).collect()
}

#[test]
fn names_are_not_found_by_any_function() {
    for (error, old, modern) in [
        ("EAI_AGAIN", "Host name lookup failure", "Temporary failure in name resolution"),
        ("EAI_NONAME", "Unknown host", "Name or service not known"),
        ("EAI_FAIL", "Unknown server error", "Non-recoverable failure in name resolution"),
        ("EAI_NODATA", "No address associated with name", "No address associated with hostname"),
        ("ETIMEDOUT", "Connection timed out", "Connection timed out"),
    ] {
        let told = resolved(&format!("names-{error}"), &format!("%resolve:error={error}"));
        assert_eq!(told.iter().map(|(function, _)| function).collect::<BTreeSet<_>>().len(), 14, "{told:?}");
        for (function, says) in told {
            let expected = if ["getaddrinfo", "getnameinfo"].contains(&&*function) { modern } else { old };
            assert_eq!(says, expected, "{function} with {error}");
        }
    }
}

#[test]
fn only_the_function_that_is_named_fails() {
    let all = "gethostbyname,gethostbyname2,gethostbyaddr,gethostbyname2_r,gethostbyaddr_r,getnameinfo,res_query,res_search,\
               res_querydomain,res_nquery,res_nsearch,res_nquerydomain";
    let told = resolved("names-some", &format!("{all}:error=EAI_NONAME"));
    let found: Vec<&str> =
        told.iter().filter(|(_, says)| says == "found").map(|(function, _)| function.as_str()).collect();
    assert_eq!(found, ["gethostbyname_r", "getaddrinfo"], "{told:?}");
}

/// A call that is answered in the kernel's place has had no address judged.
#[test]
fn an_address_that_is_not_there_is_not_read_for_a_success_that_was_made_up() {
    let program = c_program("nowhere");
    let rules = ["connect:retval=0", "bind:retval=0", "sendto:retval=2"];
    let ran = inject("nowhere", &rules, &[program.to_str().unwrap()]);
    assert_eq!(ran.stdout(), "connect 0\nconnect 0\nbind 0\nsendto 2\n");
    assert_eq!(
        inject("nowhere-as-it-is", &[], &[program.to_str().unwrap()]).stdout(),
        "connect -1\nconnect -1\nbind -1\nsendto -1\n"
    );
}
