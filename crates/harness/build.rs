//! Gives the library the name that linked programs ask for, as the shim's build does.

fn main() {
    let major = std::env::var("CARGO_PKG_VERSION_MAJOR").expect("cargo sets it");
    let soname = format!("libsockshim_harness.so.{major}");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,{soname}");
    let out = std::env::var("OUT_DIR").expect("cargo sets it");
    for folder in ["../../..", "../../../deps"] {
        let link = format!("{out}/{folder}/{soname}");
        if std::fs::symlink_metadata(&link).is_err() {
            std::os::unix::fs::symlink("libsockshim_harness.so", &link).expect("cargo has made the folder");
        }
    }
    println!("cargo::rerun-if-changed=build.rs");
}
