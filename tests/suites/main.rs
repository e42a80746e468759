//! Test suites of others: every single test has the same outcome under the shim as without it, and
//! the trace of the run is whole.
//!
//! ```text
//! suite     a suite in one of its ways of running, and what became of each of its tests
//! compare   native against traced: what differs is run again, alone, before it is called a difference
//! python    CPython's regression tests, a suite for each module, and walk.py that runs them
//! libuv     libuv's test suite, and walk.sh that runs it
//! ```
//! `cargo test --test suites` takes a part of them, `SOCKSHIM_SOAK=1` everything and both ways of
//! tracing. `SUITES=test_ssl,libuv` takes only these. Everything stays on loopback.

#[path = "../support/built.rs"]
mod built;
mod compare;
mod libuv;
mod python;
mod suite;
#[path = "../support/tally.rs"]
mod tally;

use suite::{Suite, Way};

/// Whether everything shall run, for as long as it takes.
fn soak() -> bool {
    std::env::var_os("SOCKSHIM_SOAK").is_some_and(|value| value == "1")
}

/// Only what `SUITES` asks for, if it asks.
fn asked_for(mut suites: Vec<Suite>) -> Vec<Suite> {
    if let Ok(some) = std::env::var("SUITES") {
        suites.retain(|suite| some.split(',').any(|name| name == suite.name));
    }
    suites
}

/// Says that something cannot be done here, and why.
fn skipped(what: &str, reason: &str) {
    println!("SKIPPED: {what}: {reason}");
    let required = std::env::var_os("SOCKSHIM_REQUIRE_PROGRAMS").is_some_and(|value| value == "1");
    assert!(!required, "{what}: {reason}, and SOCKSHIM_REQUIRE_PROGRAMS=1 asks for everything");
}

fn ways() -> &'static [Way] {
    if soak() { &[Way::Run, Way::Region] } else { &[Way::Run] }
}

#[test]
fn cpython() {
    if let Some(suites) = python::suites(soak()) {
        // Most of these tests wait most of the time.
        compare::all(&asked_for(suites), ways(), if soak() { 8 } else { 4 });
    }
}

#[test]
fn libuv() {
    match libuv::suites(soak()) {
        // Its tests share a port.
        Ok(suites) => compare::all(&asked_for(suites), ways(), 1),
        Err(reason) => skipped("libuv", &reason),
    }
}
