//! What `make install` installs is what programs are built with, and `make uninstall` takes it away again.

#[path = "support/built.rs"]
mod built;
#[path = "install/cargo_c.rs"]
mod cargo_c;
#[path = "support/there.rs"]
mod there;

use built::{declared, root, scratch, succeed, text, tool};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use there::there;

/// Calls the script as the Makefile does, for what is built already.
fn make(verb: &str, prefix: &str, destination: &str) -> Output {
    let mut command = Command::new("make");
    command.args(["-s", "-C"]).arg(root()).args(["-o", "build", verb]);
    command.arg(format!("RELEASE={}", tool().parent().unwrap().display()));
    succeed(command.args([format!("PREFIX={prefix}"), format!("DESTDIR={destination}")]))
}

/// Everything below a folder, relative to it. A folder ends with a slash, a link says where it leads.
fn tree(folder: &Path) -> BTreeSet<String> {
    let (mut found, mut folders) = (BTreeSet::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for path in fs::read_dir(next).unwrap().map(|entry| entry.unwrap().path()) {
            let name = path.strip_prefix(folder).unwrap().display().to_string();
            if path.is_symlink() {
                found.insert(format!("{name} -> {}", fs::read_link(&path).unwrap().display()));
            } else if path.is_dir() {
                found.insert(format!("{name}/"));
                folders.push(path);
            } else {
                found.insert(name);
            }
        }
    }
    found
}

fn empty(name: &str) -> PathBuf {
    let folder = scratch(&format!("install/{name}"));
    fs::remove_dir_all(&folder).unwrap();
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// The installed copy that programs are built with.
fn prefix() -> &'static Path {
    static PREFIX: OnceLock<PathBuf> = OnceLock::new();
    PREFIX.get_or_init(|| {
        let prefix = empty("prefix");
        make("install", prefix.to_str().unwrap(), "");
        prefix
    })
}

#[test]
fn uninstall_leaves_nothing_behind() {
    let destination = empty("destination");
    make("install", "/usr", destination.to_str().unwrap());
    let installed = tree(&destination);
    let version = env!("CARGO_PKG_VERSION");
    for file in [
        "usr/bin/sockshim",
        &format!("usr/lib/libsockshim.so.{version}"),
        &format!("usr/lib/libsockshim.so.0 -> libsockshim.so.{version}"),
        "usr/lib/libsockshim.so -> libsockshim.so.0",
        "usr/lib/libsockshim.a",
        &format!("usr/lib/libsockshim_harness.so.{version}"),
        &format!("usr/lib/libsockshim_harness.so.0 -> libsockshim_harness.so.{version}"),
        "usr/lib/libsockshim_harness.so -> libsockshim_harness.so.0",
        "usr/lib/pkgconfig/sockshim-harness.pc",
        "usr/include/sockshim/harness.h",
        "usr/include/sockshim/assert.h",
        "usr/include/sockshim/check.h",
        "usr/include/sockshim/cmocka.h",
        "usr/include/sockshim/peer.h",
        "usr/include/sockshim/tap.h",
        "usr/share/man/man3/sockshim-harness.3",
        "usr/share/man/man3/sockshim_expect.3 -> sockshim-harness.3",
        "usr/include/sockshim.h",
        "usr/include/sockshim.hpp",
        "usr/include/sockshim/redirect.h",
        "usr/include/sockshim/weak.h",
        "usr/lib/pkgconfig/sockshim.pc",
        "usr/lib/cmake/sockshim/sockshimConfig.cmake",
        "usr/lib/cmake/sockshim/sockshimConfigVersion.cmake",
        "usr/share/man/man1/sockshim.1",
        "usr/share/man/man1/sockshim-run.1",
        "usr/share/man/man3/sockshim.3",
        "usr/share/bash-completion/completions/sockshim",
        "usr/share/zsh/vendor-completions/_sockshim",
        "usr/share/fish/vendor_completions.d/sockshim.fish",
    ] {
        assert!(installed.contains(file), "{file} is not among {installed:#?}");
    }
    for function in declared() {
        let page = format!("usr/share/man/man3/{function}.3 -> sockshim.3");
        assert!(installed.contains(&page), "no {page}");
    }
    // A second installation over the first is the same.
    make("install", "/usr", destination.to_str().unwrap());
    assert_eq!(tree(&destination), installed);
    make("uninstall", "/usr", destination.to_str().unwrap());
    assert_eq!(tree(&destination), BTreeSet::new());
}

#[test]
fn uninstall_touches_nothing_of_others() {
    let prefix = empty("shared");
    let others = ["bin/other", "lib/libother.so", "share/man/man1/sockshimmer.1", "include/sockshim/mine.h"];
    for file in others {
        fs::create_dir_all(prefix.join(file).parent().unwrap()).unwrap();
        fs::write(prefix.join(file), "").unwrap();
    }
    let before = tree(&prefix);
    make("install", prefix.to_str().unwrap(), "");
    assert!(tree(&prefix).len() > before.len() + 40);
    make("uninstall", prefix.to_str().unwrap(), "");
    let after = tree(&prefix);
    let files = |tree: &BTreeSet<String>| tree.iter().filter(|name| !name.ends_with('/')).cloned().collect::<Vec<_>>();
    assert_eq!(files(&after), files(&before));
    assert!(!after.contains("lib/cmake/sockshim/"), "{after:#?}");
}

#[test]
fn the_installed_tool_uses_the_installed_library() {
    let version = env!("CARGO_PKG_VERSION");
    let library = prefix().join(format!("lib/libsockshim.so.{version}")).canonicalize().unwrap();
    let said = succeed(Command::new(prefix().join("bin/sockshim")).arg("lib"));
    assert_eq!(String::from_utf8_lossy(&said.stdout).trim(), library.display().to_string());
    let told = succeed(Command::new(prefix().join("bin/sockshim")).args(["demo", "--color", "never"]));
    let told = String::from_utf8_lossy(&told.stdout).into_owned() + &String::from_utf8_lossy(&told.stderr);
    assert!(told.contains("HOW IT ENDED") && told.contains("connect("), "{told}");
    // Alone, it has the copy that it carries.
    let alone = empty("alone");
    fs::copy(prefix().join("bin/sockshim"), alone.join("sockshim")).unwrap();
    let said = succeed(Command::new(alone.join("sockshim")).arg("lib"));
    let carried = PathBuf::from(String::from_utf8_lossy(&said.stdout).trim());
    assert!(carried.ends_with("libsockshim.so") && carried.exists(), "{}", carried.display());
    assert!(!carried.starts_with(prefix()), "{}", carried.display());
}

#[test]
fn a_linked_program_has_one_shim_also_where_the_tool_brings_another() {
    let (program, alone) = (scratch("install").join("maps"), empty("another"));
    let (library, tool) = (prefix().join("lib"), alone.join("sockshim"));
    let mut command = Command::new("gcc");
    command.arg(root().join("tests/install/maps.c")).arg("-o").arg(&program).arg("-L").arg(&library);
    succeed(command.args(["-lsockshim", &format!("-Wl,-rpath,{}", library.display())]));
    fs::copy(prefix().join("bin/sockshim"), &tool).unwrap();
    for tool in [tool, prefix().join("bin/sockshim")] {
        let shim = succeed(Command::new(&tool).arg("lib"));
        let output = succeed(Command::new(&tool).args(["run", "--color", "never", "--"]).arg(&program));
        assert_eq!(output.stdout, shim.stdout, "the shim of the tool, and no other");
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(told.matches("socket(AF_UNIX").count(), 1, "{told}");
    }
}

#[test]
fn the_installed_library_is_told_from_others_on_the_stacks_of_strace() {
    if !there("strace") {
        return;
    }
    let tool = prefix().join("bin/sockshim");
    let mut command = Command::new(&tool);
    let output = succeed(command.args(["run", "--verify", "--color", "never", "--"]).arg(&tool).arg("demo-program"));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("the kernel agrees"), "{told}");
}

/// Runs what was built from `examples/explicit.c` against the example's server, and looks into its trace.
fn talks(way: &str, client: &Path, variables: &[(&str, &Path)]) {
    use std::io::{BufRead, BufReader};
    let folder = scratch("install/talk");
    let server = folder.join(format!("server.{way}"));
    succeed(Command::new("gcc").arg(root().join("examples/server.c")).arg("-o").arg(&server));
    let mut server = Command::new(server).arg("0").stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port = line.trim().strip_prefix("listening on port ").unwrap();
    let trace = folder.join(format!("{way}.sst"));
    let _ = fs::remove_file(&trace);
    let mut command = Command::new(client);
    command.args(["127.0.0.1", port, "hello"]).env("SOCKSHIM_TRACE", &trace).envs(variables.iter().copied());
    let output = succeed(&mut command);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "HELLO\n", "{way}");
    server.wait().unwrap();
    let shown = succeed(Command::new(prefix().join("bin/sockshim")).args(["show", "--color", "never"]).arg(&trace));
    let shown = String::from_utf8_lossy(&shown.stdout);
    assert!(shown.contains("about to connect") && shown.contains("write(3<127.0.0.1:"), "{way}: {shown}");
}

/// The library's folder, for the loader: pkg-config tells the compiler where it is, and nobody else.
fn library_path() -> PathBuf {
    prefix().join("lib")
}

fn needs_the_soname(binary: &Path) {
    let dynamic = succeed(Command::new("readelf").arg("-dW").arg(binary));
    let dynamic = String::from_utf8_lossy(&dynamic.stdout);
    assert!(dynamic.contains("Shared library: [libsockshim.so.0]"), "{dynamic}");
}

#[test]
fn programs_are_built_with_pkg_config() {
    if !there("pkg-config") {
        return;
    }
    let flags = succeed(
        Command::new("pkg-config")
            .args(["--cflags", "--libs", "sockshim"])
            .env("PKG_CONFIG_PATH", prefix().join("lib/pkgconfig")),
    );
    let flags = String::from_utf8(flags.stdout).unwrap();
    let build = |compiler: &str, standard: &str, source: &str| {
        let binary = scratch("install").join(format!("pkg-config{standard}"));
        let mut command = Command::new(compiler);
        // As some distributions link: only what is asked for, and the plain names do ask for it.
        command.args([standard, "-Wall", "-Wextra", "-Werror", "-Wl,--as-needed"]).arg(root().join(source));
        succeed(command.arg("-o").arg(&binary).args(flags.split_whitespace()));
        needs_the_soname(&binary);
        binary
    };
    let path = library_path();
    for standard in ["-std=c99", "-std=c11"] {
        let binary = build("gcc", standard, "examples/explicit.c");
        talks(&format!("pkg-config{standard}"), &binary, &[("LD_LIBRARY_PATH", &path)]);
    }
    build("gcc", "-std=gnu11", "examples/client.c");
    spans(Command::new(build("g++", "-std=c++17", "tests/install/span.cc")).env("LD_LIBRARY_PATH", &path));
    let version = succeed(
        Command::new("pkg-config")
            .args(["--modversion", "sockshim"])
            .env("PKG_CONFIG_PATH", prefix().join("lib/pkgconfig")),
    );
    assert_eq!(String::from_utf8_lossy(&version.stdout).trim(), env!("CARGO_PKG_VERSION"));
}

#[test]
fn programs_are_built_with_cmake() {
    if !there("cmake") {
        return;
    }
    let folder = empty("cmake");
    fs::write(
        folder.join("CMakeLists.txt"),
        format!(
            "cmake_minimum_required(VERSION 3.16)\nproject(user C CXX)\nfind_package(sockshim 0.1 REQUIRED)\n\
             add_executable(explicit {examples}/explicit.c)\ntarget_link_libraries(explicit sockshim::sockshim)\n\
             add_executable(archived {examples}/explicit.c)\ntarget_link_libraries(archived sockshim::static)\n\
             add_executable(tap {adapters}/with_tap.c)\ntarget_link_libraries(tap sockshim::harness)\n\
             add_executable(span {tests}/span.cc)\ntarget_link_libraries(span sockshim::sockshim)\n\
             set_target_properties(span PROPERTIES CXX_STANDARD 17 CXX_STANDARD_REQUIRED ON CXX_EXTENSIONS OFF)\n",
            examples = root().join("examples").display(),
            adapters = root().join("c-tests/adapters").display(),
            tests = root().join("tests/install").display(),
        ),
    )
    .unwrap();
    let build = folder.join("build");
    let path = format!("-DCMAKE_PREFIX_PATH={}", prefix().display());
    succeed(Command::new("cmake").arg("-S").arg(&folder).arg("-B").arg(&build).arg(path));
    succeed(Command::new("cmake").arg("--build").arg(&build));
    needs_the_soname(&build.join("explicit"));
    talks("cmake", &build.join("explicit"), &[]);
    talks("cmake-static", &build.join("archived"), &[]);
    spans(&mut Command::new(build.join("span")));
    let told = succeed(&mut Command::new(build.join("tap")));
    assert!(String::from_utf8_lossy(&told.stdout).contains("ok 4 - no-leaks\n1..4"), "{told:?}");
    // A version that is to come, and the one before the promise, are not this one.
    for wanted in ["0.99", "1.0"] {
        let other = empty("cmake-version");
        let lists = format!(
            "cmake_minimum_required(VERSION 3.16)\nproject(u C)\nfind_package(sockshim {wanted})\n\
             if(sockshim_FOUND)\nmessage(FATAL_ERROR found)\nendif()\n"
        );
        fs::write(other.join("CMakeLists.txt"), lists).unwrap();
        let path = format!("-DCMAKE_PREFIX_PATH={}", prefix().display());
        succeed(Command::new("cmake").arg("-S").arg(&other).arg("-B").arg(other.join("build")).arg(path));
    }
}

/// Runs `tests/install/span.cc`, which marks a block.
fn spans(program: &mut Command) {
    let output = succeed(program.env("SOCKSHIM_LOG", "stderr"));
    let log = String::from_utf8_lossy(&output.stderr);
    let place = |text: &str| log.find(text).unwrap_or_else(|| panic!("no {text:?} in {log}"));
    assert!(place("\"request 17: begin\"") < place("socketpair("), "{log}");
    assert!(place("socketpair(") < place("\"request 17: end\""), "{log}");
}

#[test]
fn programs_are_built_with_meson() {
    if !there("meson") || !there("ninja") {
        return;
    }
    let folder = empty("meson");
    fs::copy(root().join("examples/explicit.c"), folder.join("explicit.c")).unwrap();
    fs::write(
        folder.join("meson.build"),
        "project('user', 'c', default_options: ['c_std=gnu11', 'werror=true', 'warning_level=2'])\n\
         executable('explicit', 'explicit.c', dependencies: dependency('sockshim', version: '>=0.1'))\n",
    )
    .unwrap();
    let build = folder.join("build");
    let pkg_config = prefix().join("lib/pkgconfig");
    succeed(Command::new("meson").arg("setup").arg(&build).arg(&folder).env("PKG_CONFIG_PATH", pkg_config));
    succeed(Command::new("ninja").arg("-C").arg(&build));
    needs_the_soname(&build.join("explicit"));
    talks("meson", &build.join("explicit"), &[("LD_LIBRARY_PATH", &library_path())]);
}

#[test]
fn the_manual_renders_without_warnings() {
    if !there("man") {
        return;
    }
    let linted = there("mandoc");
    let man = prefix().join("share/man");
    let page = text("docs/man/sockshim.3");
    assert!(page.contains(&format!("sockshim {}", env!("CARGO_PKG_VERSION"))), "the page is of another version");
    for function in declared() {
        assert!(page.contains(&function), "docs/man/sockshim.3 does not name {function}");
    }
    let pages = ["man1", "man3"].into_iter().flat_map(|section| fs::read_dir(man.join(section)).unwrap());
    let pages: Vec<PathBuf> = pages.map(|entry| entry.unwrap().path()).filter(|path| !path.is_symlink()).collect();
    assert!(pages.len() > 5, "{pages:?}");
    for page in pages {
        let output = succeed(Command::new("man").args(["--warnings", "-l"]).arg(&page).env("MANPAGER", "cat"));
        assert!(output.stderr.is_empty(), "{}: {}", page.display(), String::from_utf8_lossy(&output.stderr));
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(shown.contains("NAME") && shown.contains("SEE ALSO"), "{}: {shown}", page.display());
        if linted {
            let output = Command::new("mandoc").args(["-T", "lint", "-W", "warning"]).arg(&page).output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            // clap_mangen puts empty lines around the values that an option may have.
            let wrong: Vec<&str> = said.lines().filter(|line| !line.contains("skipping paragraph macro")).collect();
            assert!(wrong.is_empty(), "{wrong:#?}");
        }
    }
    let found = succeed(Command::new("man").args(["-w", "sockshim_mark"]).env("MANPATH", &man));
    assert!(String::from_utf8_lossy(&found.stdout).contains("man3/sockshim"), "{found:?}");
}

#[test]
fn completions_complete() {
    let share = prefix().join("share");
    let script = format!(
        "source '{}'; COMP_WORDS=(sockshim ru); COMP_CWORD=1; _sockshim sockshim ru sockshim; echo ${{COMPREPLY[@]}}",
        share.join("bash-completion/completions/sockshim").display()
    );
    let said = succeed(Command::new("bash").args(["-c", &script]));
    assert_eq!(String::from_utf8_lossy(&said.stdout).trim(), "run");
    if there("zsh") {
        succeed(Command::new("zsh").arg("-n").arg(share.join("zsh/site-functions/_sockshim")));
    }
    if there("fish") {
        let file = share.join("fish/vendor_completions.d/sockshim.fish");
        let script = format!("source '{}'; complete -C 'sockshim ru'", file.display());
        let said = succeed(Command::new("fish").args(["--no-config", "-c", &script]));
        assert!(String::from_utf8_lossy(&said.stdout).starts_with("run\t"), "{said:?}");
    }
}
