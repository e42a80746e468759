//! Whether a program that a test needs is there.

use std::process::Command;

/// Whether a program is there; if not, says so, or fails where everything has to be there.
pub fn there(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        assert!(std::env::var_os("SOCKSHIM_REQUIRE_PROGRAMS").is_none(), "{program} is missing: run `make packages`");
        println!("SKIPPED: {program} is not installed");
    }
    found
}
