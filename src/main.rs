//! The tool. It carries the shim, and never links it: the library's exports would interpose the tool itself.

// cargo builds the shared libraries before this binary and leaves them in deps/, beside the build scripts' own
// directories.
macro_rules! library {
    ($name:literal) => {
        include_bytes!(concat!(env!("OUT_DIR"), "/../../../deps/", $name))
    };
}

fn main() -> std::process::ExitCode {
    sockshim_cli::main(&sockshim_cli::Embedded {
        shim: library!("libsockshim.so"),
        keylog: library!("libsockshim_keylog.so"),
    })
}
