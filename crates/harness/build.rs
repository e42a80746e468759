//! Gives the library its name and its functions their version, as the shim's build does.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    sockshim_link::soname("libsockshim_harness");
    sockshim_link::versions(&["*"]);
}
