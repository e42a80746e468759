//! Links the library as small as the shim, and for the same reasons: the build script beside the shim's
//! manifest has them.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let out = std::env::var("OUT_DIR").expect("cargo sets it");
    std::fs::write(format!("{out}/libgcc_s.so"), "INPUT(-lgcc_eh -lgcc)\n").expect("OUT_DIR can be written to");
    std::fs::write(format!("{out}/libc.so"), "INPUT(-l:libc.so.6 -l:libc_nonshared.a)\n")
        .expect("OUT_DIR can be written to");
    // nodelete: callbacks of ours stay in contexts of OpenSSL for as long as those live.
    let soname = "-Wl,-soname,libsockshim_keylog.so";
    let search = format!("-L{out}");
    for argument in
        ["-fuse-ld=bfd", "-Wl,--gc-sections", "-Wl,--strip-debug", "-Wl,-z,nodelete", "-Wl,-Bsymbolic", soname, &search]
    {
        // Not `rustc-cdylib-link-arg`: cargo hands that on to the shim too (rust-lang/cargo#9562).
        println!("cargo::rustc-link-arg={argument}");
    }
}
