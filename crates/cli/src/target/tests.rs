//! Every verdict, on files that the test makes itself.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::*;

/// The parts of a hand-made ELF64 file of this machine.
struct Made<'a> {
    machine: u16,
    loader: Option<&'a str>,
    needed: &'a [&'a str],
    soname: Option<&'a str>,
    note: &'a [u8],
}

const PLAIN: Made =
    Made { machine: OUR_MACHINE, loader: Some("/proc/self/exe"), needed: &["libc.so.6"], soname: None, note: b"" };

impl Made<'_> {
    /// Header, four program headers, then what they point to. Loaded at 0x1000, so that addresses
    /// are not offsets.
    fn bytes(&self) -> Vec<u8> {
        let mut strings = vec![0];
        let mut dynamic: Vec<u64> = Vec::new();
        let names = self.needed.iter().map(|name| (1, *name)).chain(self.soname.map(|name| (14, name)));
        for (tag, name) in names {
            dynamic.extend([tag, strings.len() as u64]);
            strings.extend(name.bytes().chain([0]));
        }
        let parts_at = 64 + 4 * 56;
        let loader = self.loader.map(|name| [name.as_bytes(), b"\0"].concat()).unwrap_or_default();
        let strings_at = parts_at + loader.len() + self.note.len();
        dynamic.extend([5, 0x1000 + strings_at as u64, 0, 0]);
        let dynamic: Vec<u8> = dynamic.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let dynamic_at = strings_at + strings.len();
        let end = dynamic_at + dynamic.len();

        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.resize(16, 0);
        file.extend([3u16.to_ne_bytes(), self.machine.to_ne_bytes()].concat());
        file.resize(32, 0);
        file.extend(64u64.to_ne_bytes());
        file.resize(54, 0);
        file.extend([56u16.to_ne_bytes(), 4u16.to_ne_bytes()].concat());
        file.resize(64, 0);
        let loader_sort = if self.loader.is_some() { 3u32 } else { 0 };
        for (sort, at, len) in [
            (loader_sort, parts_at, loader.len()),
            (4, parts_at + loader.len(), self.note.len()),
            (1, 0, end),
            (2, dynamic_at, dynamic.len()),
        ] {
            file.extend([sort.to_ne_bytes(), 0u32.to_ne_bytes()].concat());
            for word in [at, 0x1000 + at, 0, len, len, 1] {
                file.extend((word as u64).to_ne_bytes());
            }
        }
        [&file[..], &loader, self.note, &strings, &dynamic].concat()
    }
}

fn put(directory: &TempDir, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = directory.path().join(name);
    fs::write(&path, bytes).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn refused(path: &Path) -> Refusal {
    inspect(path.as_os_str()).expect_err("the program should be refused")
}

/// What the Go linker puts into every program, of which only the name matters.
const SOURCE: &str = r#"
#ifdef GO
__attribute__((section(".go.buildinfo"))) int info = 1;
#endif
int main(void) { return 0; }
"#;

/// Compiles an empty program; None, with a printed reason, where that is not possible.
fn compiled(directory: &TempDir, flags: &[&str]) -> Option<PathBuf> {
    let source = put(directory, "main.c", SOURCE);
    let program = directory.path().join("compiled");
    match Command::new("cc").args(flags).arg(&source).arg("-o").arg(&program).output() {
        Ok(output) if output.status.success() => Some(program),
        other => {
            println!("skipped: cc {flags:?} is not possible here ({other:?})");
            None
        }
    }
}

#[test]
fn an_ordinary_program_is_found_in_the_search_path() {
    let target = inspect(OsStr::new("sh")).unwrap();
    assert!(target.path.is_absolute() && target.path.ends_with("sh"), "{target:?}");
    assert_eq!((target.interpreters.len(), target.warnings.len()), (0, 0), "{target:?}");
}

#[test]
fn a_name_that_no_directory_has_is_127() {
    let refusal = inspect(OsStr::new("no-such-program-1b2c")).unwrap_err();
    assert_eq!(refusal.exit_code(), NOT_FOUND);
    assert_eq!(refusal.to_string(), "no-such-program-1b2c: not found in PATH; install it, or give its path");
    assert_eq!(inspect(OsStr::new("")).unwrap_err().exit_code(), NOT_FOUND);
    assert_eq!(inspect(OsStr::new("./no/such")).unwrap_err().exit_code(), NOT_FOUND);
}

#[test]
fn the_search_goes_on_behind_a_file_that_may_not_be_executed() {
    let (first, second) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let plain = put(&first, "tool", "");
    fs::set_permissions(&plain, fs::Permissions::from_mode(0o644)).unwrap();
    let search_path = format!("/dev/null:{}:{}", first.path().display(), second.path().display());
    let search = || inspect_in(OsStr::new("tool"), Some(OsStr::new(&search_path)));

    let refusal = search().unwrap_err();
    assert!(matches!(refusal.reason, Reason::NotExecutable), "{refusal}");
    assert_eq!((refusal.file.clone(), refusal.exit_code()), (plain, CANNOT_RUN));
    let good = put(&second, "tool", PLAIN.bytes());
    assert_eq!(search().unwrap().path, good);
}

#[test]
fn directories_and_files_that_are_no_programs_are_126() {
    let directory = TempDir::new().unwrap();
    assert!(matches!(refused(directory.path()).reason, Reason::Directory));
    for (name, bytes) in [("empty", &b""[..]), ("text", b"echo hello\n"), ("bare", b"#!\n"), ("cut", b"\x7fELF")] {
        let refusal = refused(&put(&directory, name, bytes));
        assert!(matches!(refusal.reason, Reason::NotProgram), "{name}: {refusal}");
        assert_eq!(refusal.exit_code(), CANNOT_RUN);
    }
}

#[test]
fn a_fifo_is_refused_without_waiting_for_a_writer() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("fifo");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::from_bits_truncate(0o777)).unwrap();
    assert!(matches!(refused(&path).reason, Reason::NotExecutable));
}

#[test]
fn a_script_is_followed_to_its_interpreter_and_through_env() {
    let directory = TempDir::new().unwrap();
    let inner = put(&directory, "inner", PLAIN.bytes());
    let middle = put(&directory, "middle", format!("#! {}\t-x -y \n", inner.display()));
    let outer = put(&directory, "outer", format!("#!{}", middle.display()));
    assert_eq!(inspect(outer.as_os_str()).unwrap().interpreters, [middle.clone(), inner.clone()]);

    let env = Path::new("/usr/bin/env");
    for argument in ["inner", "-S inner -x", "-S A=1 inner"] {
        let script = put(&directory, "script", format!("#!/usr/bin/env {argument}\n"));
        let found = inspect_in(script.as_os_str(), Some(directory.path().as_os_str())).unwrap();
        assert_eq!(found.interpreters, [env, &inner], "{argument}");
    }
    let script = put(&directory, "script", "#!/usr/bin/env -S -i \"inner\"\n");
    assert_eq!(inspect(script.as_os_str()).unwrap().interpreters, [env], "too much to tell");
}

#[test]
fn a_script_without_its_interpreter_is_127_and_says_which() {
    let directory = TempDir::new().unwrap();
    let script = put(&directory, "script", "#!/no/such/pyton\n");
    let refusal = refused(&script);
    assert_eq!(refusal.exit_code(), NOT_FOUND);
    let script = script.display();
    assert_eq!(
        refusal.to_string(),
        format!("{script}, which runs /no/such/pyton: no such file; correct the first line of {script}")
    );
    let script = put(&directory, "script", "#!/usr/bin/env no-such-1b2c\n");
    assert_eq!(refused(&script).exit_code(), NOT_FOUND);
}

#[test]
fn as_many_scripts_are_followed_as_the_kernel_follows() {
    let directory = TempDir::new().unwrap();
    let mut interpreter = inspect(OsStr::new("true")).unwrap().path;
    for depth in 1..=SCRIPTS_MAX + 1 {
        interpreter = put(&directory, &format!("script{depth}"), format!("#!{}\n", interpreter.display()));
        let natively = loop {
            match Command::new(&interpreter).status() {
                // Another test forked while this one was writing the file.
                Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => std::thread::yield_now(),
                status => break status.is_ok(),
            }
        };
        assert_eq!(inspect(interpreter.as_os_str()).is_ok(), natively, "{depth} scripts");
    }
    assert!(matches!(refused(&interpreter).reason, Reason::ScriptLoop));
}

#[test]
fn static_programs_are_refused() {
    let directory = TempDir::new().unwrap();
    for flag in ["-static", "-static-pie"] {
        let Some(program) = compiled(&directory, &[flag]) else { continue };
        let refusal = refused(&program);
        assert!(matches!(refusal.reason, Reason::Static { go: false }), "{flag}: {refusal}");
    }
    let go = Made { loader: None, note: b"\x04\0\0\0\x04\0\0\0\x04\0\0\0Go\0\0abcd", ..PLAIN };
    let refusal = refused(&put(&directory, "go", go.bytes()));
    assert!(matches!(refusal.reason, Reason::Static { go: true }), "{refusal}");
    assert_eq!(refusal.exit_code(), CANNOT_RUN);
}

#[test]
fn a_compiled_program_and_the_loader_itself_are_traced() {
    let directory = TempDir::new().unwrap();
    if let Some(program) = compiled(&directory, &[]) {
        let target = inspect(program.as_os_str()).unwrap();
        assert_eq!((target.path, target.warnings), (program, vec![]));
    }
    if let Some(program) = compiled(&directory, &["-DGO"]) {
        assert!(inspect(program.as_os_str()).unwrap().warnings[0].contains("Go program"));
    }
    let loader = Made { loader: None, soname: Some("ld-linux-x86-64.so.2"), ..PLAIN };
    inspect(put(&directory, "ld", loader.bytes()).as_os_str()).unwrap();
}

#[test]
fn musl_other_machines_and_missing_loaders_are_refused() {
    let directory = TempDir::new().unwrap();
    let musl = Made { loader: Some("/lib/ld-musl-x86_64.so.1"), needed: &["libc.musl-x86_64.so.1"], ..PLAIN };
    assert!(matches!(refused(&put(&directory, "musl", musl.bytes())).reason, Reason::Musl));

    let riscv = refused(&put(&directory, "riscv", Made { machine: 243, ..PLAIN }.bytes()));
    assert!(riscv.to_string().contains("built for 64-bit RISC-V"), "{riscv}");

    let mut header = b"\x7fELF\x01\x01\x01".to_vec();
    header.resize(16, 0);
    header.extend([2, 0, 3, 0]);
    header.resize(52, 0);
    let i386 = refused(&put(&directory, "i386", header));
    assert!(matches!(i386.reason, Reason::OtherMachine { bits: 32, machine: 3 }), "{i386}");

    let foreign = refused(&put(&directory, "foreign", Made { loader: Some("/no/ld.so"), ..PLAIN }.bytes()));
    assert!(matches!(foreign.reason, Reason::LoaderMissing(_)), "{foreign}");
    assert_eq!(foreign.exit_code(), NOT_FOUND);
}

#[test]
fn what_narrows_the_view_is_a_warning() {
    let directory = TempDir::new().unwrap();
    let warnings = |name: &str, made: Made| inspect(put(&directory, name, made.bytes()).as_os_str()).unwrap().warnings;
    let needed = &["libasan.so.8", "liburing.so.2", "libc.so.6"];
    let found = warnings("app", Made { needed, ..PLAIN });
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("verify_asan_link_order=0") && found[1].contains("io_uring"), "{found:?}");
    assert!(warnings("cgo", Made { note: b"\x04\0\0\0Go\0\0", ..PLAIN })[0].contains("Go program"));
    assert!(warnings("sudo", PLAIN)[0].contains("in front of sockshim"));
}

#[test]
fn a_program_that_gains_privileges_is_refused_to_those_who_gain() {
    let directory = TempDir::new().unwrap();
    let program = put(&directory, "program", PLAIN.bytes());
    fs::set_permissions(&program, fs::Permissions::from_mode(0o6755)).unwrap();
    inspect(program.as_os_str()).expect("its owner gains nothing");
    if !nix::unistd::getuid().is_root() || privileges_are_off(&program) {
        return println!("skipped: only root can give the file away, and here the bits must count");
    }
    // chown clears the bits, so they are set again after it.
    for (owner, group, cause) in [(Some(65534), None, "setuid"), (Some(0), Some(65534), "setgid")] {
        std::os::unix::fs::chown(&program, owner, group).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o6755)).unwrap();
        assert!(matches!(refused(&program).reason, Reason::Privileged(found) if found == cause));
    }
}

#[test]
fn file_capabilities_are_found() {
    let directory = TempDir::new().unwrap();
    let program = put(&directory, "program", PLAIN.bytes());
    assert!(!has_capabilities(&program));
    // struct vfs_cap_data, revision 2: CAP_NET_RAW (bit 13) permitted, and effective at once.
    let words = [0x0200_0001u32, 1 << 13, 0, 0, 0].map(u32::to_le_bytes).concat();
    let path = std::ffi::CString::new(program.as_os_str().as_bytes()).unwrap();
    // SAFETY: both names end with a zero, and `words` has the length that is given.
    let set = unsafe {
        libc::setxattr(path.as_ptr(), c"security.capability".as_ptr(), words.as_ptr().cast(), words.len(), 0)
    };
    if set != 0 {
        return println!("skipped: no right to set capabilities, or a file system without");
    }
    assert!(has_capabilities(&program));
    assert_eq!(inspect(program.as_os_str()).is_ok(), nix::unistd::getuid().is_root() || privileges_are_off(&program));
}

#[test]
fn a_damaged_file_is_judged_without_panic() {
    let directory = TempDir::new().unwrap();
    let whole = Made { note: b"\x04\0\0\0Go\0\0", ..PLAIN }.bytes();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] = !damaged[at];
        let _ = inspect(put(&directory, "damaged", &damaged).as_os_str());
        let _ = inspect(put(&directory, "cut", &whole[..at]).as_os_str());
    }
}

#[test]
fn a_link_is_judged_by_what_it_points_to() {
    let directory = TempDir::new().unwrap();
    let link = directory.path().join("link");
    symlink("nowhere", &link).unwrap();
    assert_eq!(refused(&link).exit_code(), NOT_FOUND);
    fs::remove_file(&link).unwrap();
    symlink(put(&directory, "program", PLAIN.bytes()), &link).unwrap();
    assert_eq!(inspect(link.as_os_str()).unwrap().path, link);
}
