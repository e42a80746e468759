//! The tool. It carries the shim, and never links it: the library's exports would interpose the tool itself.

fn main() -> std::process::ExitCode {
    // cargo builds the shared library before this binary and leaves it in deps/, beside the build
    // scripts' own directories.
    sockshim_cli::main(include_bytes!(concat!(env!("OUT_DIR"), "/../../../deps/libsockshim.so")))
}
