//! `docs/HARNESS.md` says what is so: its code is compiled with what is installed, its commands are run, and their output is
//! the one on the page, but for numbers.

#[path = "support/built.rs"]
mod built;
#[path = "support/there.rs"]
mod there;

use built::{root, scratch, succeed, text, tool};
use std::fs;
use std::path::Path;
use std::process::Command;
use there::there;

/// Installs what was built, as the Makefile does it.
fn install(prefix: &Path) {
    let mut command = Command::new("make");
    command.args(["-s", "-C"]).arg(root()).args(["-o", "build", "install", "DESTDIR="]);
    command.arg(format!("RELEASE={}", tool().parent().unwrap().display()));
    succeed(command.arg(format!("PREFIX={}", prefix.display())));
}

/// Numbers of processes, ports, lengths of time: all that differs from run to run.
fn without_numbers(output: &str) -> String {
    let mut out = String::new();
    for line in output.lines() {
        let mut number = false;
        for char in line.trim_end().replace("ns>", ">").replace("µs>", ">").replace("ms>", ">").chars() {
            let digit = char.is_ascii_digit() || number && char == '.';
            if digit && !number {
                out.push('N');
            } else if !digit {
                out.push(char);
            }
            number = digit;
        }
        out.push('\n');
    }
    // How wide a number is, is no matter.
    out.replace(" N", "N").replace(' ', "")
}

#[test]
fn what_the_page_shows_is_what_happens() {
    if !there("pkg-config") {
        return;
    }
    let prefix = scratch("harness_doc/prefix");
    let folder = scratch("harness_doc/work");
    fs::remove_dir_all(&folder).unwrap();
    fs::create_dir_all(&folder).unwrap();
    install(&prefix);
    let path = format!("{}:{}", prefix.join("bin").display(), std::env::var("PATH").unwrap());
    let page = text("docs/HARNESS.md");
    let (mut files, mut commands) = (0, 0);
    for block in page.split("\n```").skip(1).step_by(2) {
        let (head, body) = block.split_once('\n').unwrap();
        let Some((_, file)) = head.split_once(' ') else {
            assert_eq!(head, "console", "a block is neither a file nor commands");
            for part in body.split("$ ").skip(1) {
                // What a command is told to be, and what it printed; `$ ` is nowhere in that.
                let (typed, printed) = part.split_once('\n').unwrap_or((part, ""));
                let mut shell = Command::new("sh");
                shell.arg("-c").arg(format!("{{ {typed}\n}} 2>&1")).current_dir(&folder).env("PATH", &path);
                shell.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")).env("LD_LIBRARY_PATH", prefix.join("lib"));
                let output = shell.output().unwrap();
                let said = String::from_utf8_lossy(&output.stdout);
                let same = without_numbers(printed) == without_numbers(&said);
                assert!(same && output.status.success(), "$ {typed}\n{said}\nand the page:\n{printed}");
                commands += 1;
            }
            continue;
        };
        fs::write(folder.join(file), body).unwrap();
        files += 1;
    }
    assert!(files == 4 && commands >= 10, "{files} files, {commands} commands");
}
