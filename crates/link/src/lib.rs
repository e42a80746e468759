//! For build scripts: what name a shared library has, and which version its symbols.
//!
//! Both change with the first number of the version, and that with the first function that goes or changes
//! (docs/ABI.md).

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|e| panic!("{name}, which cargo sets for build scripts: {e}"))
}

fn argument(argument: &str) {
    println!("cargo::rustc-cdylib-link-arg={argument}");
}

/// Gives `library` the name that linked programs ask for, `library.so.N`. Links of that name make what cargo
/// builds good to link and run with as it lies, before anything is installed.
pub fn soname(library: &str) {
    let soname = format!("{library}.so.{}", variable("CARGO_PKG_VERSION_MAJOR"));
    argument(&format!("-Wl,-soname,{soname}"));
    let out = variable("OUT_DIR");
    for folder in ["../../..", "../../../deps"] {
        let link = format!("{out}/{folder}/{soname}");
        if fs::symlink_metadata(&link).is_err() {
            symlink(format!("{library}.so"), &link).expect("cargo has made the folder");
        }
    }
}

/// Gives the functions `sockshim_*` the version SOCKSHIM_N. What matches none of the patterns `local` either is
/// exported without one.
///
/// rustc hands the linker a version script that names no version, and GNU ld joins such a one with no other. So what
/// stands for the linker here puts our script in the place of rustc's. The C compiler finds it by -B, and it goes on
/// to the linker that the compiler would have found.
pub fn versions(local: &[&str]) {
    let out = PathBuf::from(variable("OUT_DIR"));
    let script = out.join("versions");
    let version = variable("CARGO_PKG_VERSION_MAJOR");
    let local = local.join("; ");
    let text = format!("SOCKSHIM_{version} {{\n    global: sockshim_*;\n    local: {local};\n}};\n");
    fs::write(&script, text).expect("OUT_DIR can be written to");

    let compiler = env::var("RUSTC_LINKER").unwrap_or_else(|_| "cc".into());
    let asked = Command::new(compiler).arg("-print-prog-name=ld.bfd").output();
    let linker = asked.ok().and_then(|asked| String::from_utf8(asked.stdout).ok()).unwrap_or_default();
    let linker = if linker.trim().is_empty() { "ld.bfd" } else { linker.trim() };
    let stands_in = out.join("ld.bfd");
    let text = format!(
        "#!/bin/sh\n\
         for argument; do\n    \
             shift\n    \
             case $argument in --version-script=*) argument='--version-script={}' ;; esac\n    \
             set -- \"$@\" \"$argument\"\n\
         done\n\
         exec '{linker}' \"$@\"\n",
        script.display()
    );
    fs::write(&stands_in, text).expect("OUT_DIR can be written to");
    fs::set_permissions(&stands_in, fs::Permissions::from_mode(0o755)).expect("the file is ours");
    argument("-fuse-ld=bfd");
    argument(&format!("-B{}", out.display()));
}
