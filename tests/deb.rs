//! The Debian package: what it says it needs, what Debian's own checker says of it, and that it can be
//! installed, used and removed.

#[path = "support/built.rs"]
mod built;
#[path = "support/there.rs"]
mod there;

use built::{lines, root, scratch, tool};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use there::there;

/// What lintian may say, and why it does not matter for a package that is made by `make deb` and is in no archive.
const LINTIAN: &[(&str, &str)] = &[
    ("bogus-mail-host", "whoever makes the package says who answers for it: DEBEMAIL"),
    ("bogus-mail-host-in-debian-changelog", "the same"),
    ("root-in-contact", "the same"),
    ("package-name-doesnt-match-sonames", "one package has the library and what programs are built with"),
    ("link-to-shared-library-in-wrong-package", "the same"),
];

fn make(folder: &str) -> PathBuf {
    let folder = scratch(&format!("deb/{folder}"));
    let mut command = Command::new(root().join("packaging/deb.sh"));
    command.arg(&folder).env("RELEASE", tool().parent().unwrap()).env("SOURCE_DATE_EPOCH", "1750000000");
    // Quickly made rather than small.
    let made = lines(command.env("DPKG_DEB_COMPRESSOR_TYPE", "gzip"));
    root().join(made.last().expect("the script names the package"))
}

/// None where Debian's tools are missing.
fn package() -> Option<&'static Path> {
    static PACKAGE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let package = PACKAGE.get_or_init(|| (there("dpkg-deb") && there("dpkg-shlibdeps")).then(|| make("package")));
    package.as_deref()
}

#[test]
fn it_says_what_it_is_and_needs() {
    let Some(package) = package() else { return };
    let field = |name: &str| lines(Command::new("dpkg-deb").arg("--field").arg(package).arg(name)).join("\n");
    assert_eq!(field("Version"), env!("CARGO_PKG_VERSION"));
    assert!(field("Depends").contains("libc6 (>= 2."), "{}", field("Depends"));
    assert!(field("Depends").contains("libgcc-s1"), "{}", field("Depends"));
    let contents = lines(Command::new("dpkg-deb").arg("--contents").arg(package));
    for line in &contents {
        assert!(line.contains(" root/root "), "not root's: {line}");
        assert!(!line.contains("/usr/local/"), "in a place of the administrator's: {line}");
    }
    for file in [
        "/usr/bin/sockshim",
        "/libsockshim.so.0 -> ",
        "/libsockshim_harness.so.0 -> ",
        "/man1/sockshim-run.1.gz",
        "/doc/sockshim/copyright",
    ] {
        assert!(contents.iter().any(|line| line.contains(file)), "{file} is not among {contents:#?}");
    }
}

#[test]
fn the_same_sources_give_the_same_package() {
    let Some(package) = package() else { return };
    assert!(fs::read(package).unwrap() == fs::read(make("again")).unwrap(), "two builds differ");
}

#[test]
fn lintian_has_nothing_against_it() {
    let Some(package) = package() else { return };
    if !there("lintian") {
        return;
    }
    let output = Command::new("lintian").arg("--no-tag-display-limit").arg(package).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let excused = |line: &str| LINTIAN.iter().any(|(tag, _)| line.split_whitespace().any(|word| word == *tag));
    let wrong: Vec<&str> = said.lines().filter(|line| line.starts_with(['E', 'W']) && !excused(line)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn it_is_installed_used_and_removed() {
    let Some(package) = package() else { return };
    // SAFETY: asks a number.
    if unsafe { libc::geteuid() } != 0 {
        println!("SKIPPED: only root can install a package, be it on an overlay that is thrown away");
        return;
    }
    let mut command = Command::new("unshare");
    command.args(["--mount", "--net", "--pid", "--fork", "--kill-child"]).arg(root().join("tests/deb/container.sh"));
    let output = command.arg(scratch("deb/container")).arg(package).arg(root()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(77) || said.contains("unshare failed") {
        println!("SKIPPED: no namespaces, or no overlay, on this system: {said}");
        return;
    }
    assert!(output.status.success(), "{}\n{said}", output.status);
    println!("{said}");
    assert!(said.contains("container: removed, and nothing is left"), "{said}");
}
