//! Whether a program that a test needs is there.

use std::process::Command;

/// Whether a program is there; if not, says so, or fails where everything has to be there.
pub fn there(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        let required = std::env::var_os("SOCKSHIM_REQUIRE_PROGRAMS").is_some_and(|value| value == "1");
        assert!(!required, "{program} is missing: run `make packages`");
        println!("SKIPPED: {program} is not installed");
    }
    found
}
