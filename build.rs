//! Links the shim small, and writes the C header to OUT_DIR.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // rustc's default linker keeps all of std in the shared library (5 MB, 49 imports, libgcc_s); GNU ld
    // throws away what is not reachable (5 imports and libc alone), which is also 0.1 ms of start-up.
    println!("cargo::rustc-cdylib-link-arg=-Wl,--gc-sections");
    // The tool carries the library, and nobody debugs that copy. `make symbols` links one with everything.
    println!("cargo::rerun-if-env-changed=SOCKSHIM_SYMBOLS");
    if std::env::var_os("SOCKSHIM_SYMBOLS").is_none() {
        println!("cargo::rustc-cdylib-link-arg=-Wl,--strip-debug");
    }
    // GNU ld counts libgcc_s as needed by code that it then throws away. A linker script of that name,
    // found first, stands for the static halves, of which nothing is left either.
    let out = std::env::var("OUT_DIR").expect("cargo sets it");
    std::fs::write(format!("{out}/libgcc_s.so"), "INPUT(-lgcc_eh -lgcc)\n").expect("OUT_DIR can be written to");
    // Likewise the dynamic linker as a library of its own, which the same code counts as needed: a program
    // for another libc, executed by one that we trace, would not start for the lack of it.
    std::fs::write(format!("{out}/libc.so"), "INPUT(-l:libc.so.6 -l:libc_nonshared.a)\n")
        .expect("OUT_DIR can be written to");
    println!("cargo::rustc-cdylib-link-arg=-L{out}");
    // The tool keeps its unwinder: the static half of libgcc, which saves loading another library at each start
    // (crates/cli/src/unwind.rs).
    std::fs::create_dir_all(format!("{out}/tool")).expect("OUT_DIR can be written to");
    std::fs::write(format!("{out}/tool/libgcc_s.so"), "INPUT(-lgcc_eh -lgcc)\n").expect("OUT_DIR can be written to");
    println!("cargo::rustc-link-arg-bins=-L{out}/tool");
    // The region stays mapped for ever, and a thread may be blocked below one of our functions: dlclose
    // must not unload us.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    // Our own calls of one another go straight, not through the table that other libraries may change.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-Bsymbolic-functions");
    let root = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    println!("cargo::rerun-if-changed=src/layout.ld");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-T,{root}/src/layout.ld");
    // Fewer pieces to map: code and constants lie in one.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,noseparate-code");
    sockshim_link::soname("libsockshim");
    // The plain names stand for every version of them that a program asks for, so they have none. What else a
    // linker finds in Rust's libraries is nobody's business.
    sockshim_link::versions(&["_R*", "_ZN*", "rust_*", "__rust_*"]);
    // `cargo check` and clippy compile the tool, which embeds the shared libraries, and link none. Empty
    // ones stand in; `cargo build` puts the real ones in their place before it compiles the tool.
    for name in ["libsockshim.so", "libsockshim_keylog.so"] {
        let library = format!("{out}/../../../deps/{name}");
        if !std::fs::exists(&library).unwrap_or(true) {
            std::fs::write(&library, "").expect("cargo has made deps/");
        }
    }
    #[cfg(feature = "header")]
    header();
}

/// Never into include/: a build script that changes the sources makes `cargo package` refuse. A test
/// compares the two, and `make header` copies.
#[cfg(feature = "header")]
fn header() {
    use std::path::PathBuf;
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it"));
    let sources = ["src/abi/control.rs", "src/abi/lookalikes.rs"];
    for source in sources.iter().chain(&["cbindgen.toml"]) {
        println!("cargo::rerun-if-changed={source}");
    }
    let mut config = cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("cbindgen.toml is valid");
    let version = |part| std::env::var(format!("CARGO_PKG_VERSION_{part}")).expect("cargo sets it");
    config.after_includes = Some(format!(
        "\n// The version that this header belongs to; sockshim_version() tells that of the library.\n\
         #define SOCKSHIM_VERSION_MAJOR {}\n#define SOCKSHIM_VERSION_MINOR {}",
        version("MAJOR"),
        version("MINOR")
    ));
    let mut builder = cbindgen::Builder::new().with_config(config);
    for source in sources {
        builder = builder.with_src(root.join(source));
    }
    builder.generate().expect("the control functions are plain C").write_to_file(out.join("sockshim.h"));
}
