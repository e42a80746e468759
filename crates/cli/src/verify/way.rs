//! By which way a system call was made: told by its stack, exactly.

use std::collections::HashMap;

use sockshim_format::op::Op;

use super::strace::{Account, Frame};
use super::symbols::Symbols;
use crate::shim;

/// Where a frame lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Shim,
    /// libc or the dynamic linker.
    Libc,
    Other,
}

fn place(frame: &Frame) -> Place {
    let name = frame.module.rsplit('/').next().unwrap_or_default();
    match name {
        _ if shim::is_shim(name) => Place::Shim,
        // Up to glibc 2.33 the socket functions are in libpthread too.
        _ if ["libc.so", "libc-2.", "ld-linux", "ld-2.", "libpthread"].iter().any(|n| name.starts_with(n)) => {
            Place::Libc
        }
        _ => Place::Other,
    }
}

/// The way of a call from the program to the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// The shim's own doing.
    Own,
    /// By a hook, which delegated to a function of libc. Which one: the operations of that name; none
    /// if it could not be told.
    Hooked(Vec<Op>),
    /// By a public function that the shim should have stood in front of, and did not.
    Public(Vec<Op>),
    /// By another function of libc's.
    Libc(String),
    /// Not by libc at all.
    Raw(String),
    /// The stack is not known: the process was killed in the call, or has moved to where strace does
    /// not find its files (`chroot`).
    Unknown,
}

/// Tells ways, and remembers them: a program has few stacks and many calls.
pub struct Ways<'a> {
    frames: &'a [Frame],
    symbols: Symbols,
    known: HashMap<&'a [usize], Way>,
}

impl<'a> Ways<'a> {
    /// Of an account.
    pub fn new(account: &'a Account) -> Ways<'a> {
        Ways { frames: &account.frames, symbols: Symbols::default(), known: HashMap::new() }
    }

    /// Whether the shim is anywhere on a stack.
    pub fn has_shim(&self, stack: &[usize]) -> bool {
        stack.iter().any(|frame| place(&self.frames[*frame]) == Place::Shim)
    }

    /// A stack in words, the kernel's end first: down to the program's own function and its caller.
    pub fn describe(&self, stack: &[usize]) -> String {
        let frames: Vec<&Frame> = stack.iter().map(|frame| &self.frames[*frame]).collect();
        let own = frames.iter().position(|frame| place(frame) == Place::Other).unwrap_or(frames.len());
        let shown =
            frames.iter().enumerate().take_while(|(at, f)| *at <= own || (*at == own + 1 && place(f) == Place::Other));
        let words = shown.map(|(_, frame)| format!("{} in {}", frame.symbol, module(frame)));
        words.collect::<Vec<_>>().join(", ")
    }

    /// The way of a call with this stack.
    pub fn of(&mut self, stack: &'a [usize]) -> Way {
        if let Some(way) = self.known.get(stack) {
            return way.clone();
        }
        let way = self.tell(stack);
        self.known.insert(stack, way.clone());
        way
    }

    fn tell(&mut self, stack: &[usize]) -> Way {
        let frames: Vec<&Frame> = stack.iter().map(|frame| &self.frames[*frame]).collect();
        let places: Vec<Place> = frames.iter().map(|frame| place(frame)).collect();
        match places.first() {
            None => return Way::Unknown,
            Some(Place::Shim) => return Way::Own,
            Some(Place::Other) => return Way::Raw(module(frames[0])),
            Some(Place::Libc) => {}
        }
        let inside = places.iter().position(|place| *place != Place::Libc).unwrap_or(places.len());
        // The outermost of libc's frames is that of the function which was called from outside, if
        // that is public: one that ends by a jump leaves the frame of what it jumped to.
        let called = self.names(frames[inside - 1]);
        let ops = ops(&called);
        // Without symbols the rest of the stack is a guess.
        let lost = frames[0].symbol.is_empty() || (inside == frames.len() && !ops.is_empty());
        if lost {
            return Way::Unknown;
        }
        match places.get(inside) {
            Some(Place::Shim) if ops.is_empty() => Way::Hooked(hooks(&frames[inside..], &places[inside..])),
            Some(Place::Shim) => Way::Hooked(ops),
            // Another shim behind ours, or what libc has called back.
            Some(Place::Other) if places[inside..].contains(&Place::Shim) => Way::Hooked(ops),
            Some(Place::Other) if !ops.is_empty() && !frames[inside].module.is_empty() => Way::Public(ops),
            // It does the work of `aio_read` and its kind.
            None => Way::Libc("threads of libc's own".into()),
            _ => {
                let names = (0..inside).rev().map(|at| self.names(frames[at])).find(|names| !names.is_empty());
                Way::Libc(libcs(&names.unwrap_or_default()))
            }
        }
    }

    /// All public names of the function that a frame lies in.
    fn names(&mut self, frame: &Frame) -> Vec<String> {
        // The offset is that of the instruction behind the call.
        let names = self.symbols.at(&frame.module, frame.offset.saturating_sub(1));
        names.into_iter().map(str::to_owned).collect()
    }
}

fn module(frame: &Frame) -> String {
    match frame.module.rsplit('/').next() {
        None | Some("") => "code in no file".into(),
        Some(name) => name.into(),
    }
}

fn ops(names: &[String]) -> Vec<Op> {
    Op::ALL.iter().copied().filter(|op| names.iter().any(|name| name == op.symbol())).collect()
}

/// The operation of the hook, by the names of the shim's own frames: `sockshim::hooks::communicate::vdprintf`.
fn hooks(frames: &[&Frame], places: &[Place]) -> Vec<Op> {
    let ours = frames.iter().zip(places).take_while(|(_, place)| **place == Place::Shim);
    let names = ours.filter_map(|(frame, _)| frame.symbol.rsplit("::").next());
    // A hook is called as its function is, or without the underscores in front.
    ops(&names.flat_map(|name| [name.to_owned(), format!("__{name}")]).collect::<Vec<_>>())
}

/// What people call the part of libc that has these functions.
fn libcs(names: &[String]) -> String {
    const STDIO: &[&str] = &[
        "printf",
        "fprintf",
        "vfprintf",
        "fputs",
        "puts",
        "putc",
        "fputc",
        "putchar",
        "fwrite",
        "fread",
        "fgets",
        "getc",
        "fgetc",
        "getline",
        "getdelim",
        "fflush",
        "fscanf",
        "scanf",
        "ungetc",
        "perror",
        "fseek",
        "ftell",
        "rewind",
        "setvbuf",
        "fgetws",
        "fputws",
        "exit",
        "__printf_chk",
        "__fprintf_chk",
        "__vfprintf_chk",
        "__fgets_chk",
        "__fread_chk",
        "__underflow",
        "__overflow",
    ];
    let is = |list: &[&str]| names.iter().any(|name| list.contains(&name.strip_suffix("_unlocked").unwrap_or(name)));
    let begins = |list: &[&str]| names.iter().any(|name| list.iter().any(|start| name.starts_with(start)));
    let first = names.iter().min_by_key(|name| (name.starts_with('_'), name.len()));
    match first {
        _ if is(STDIO) || begins(&["_IO_"]) => "stdio".into(),
        _ if is(&["syslog", "vsyslog", "openlog", "closelog", "__syslog_chk", "__vsyslog_chk"]) => "syslog".into(),
        _ if begins(&["__res", "res_", "getaddrinfo", "gethost", "getname"]) => "libc's resolver".into(),
        _ if begins(&["getpw", "getgr", "initgroups", "getserv", "getnet", "getproto", "innetgr"]) => {
            format!("libc's name service, in {}", first.map_or("", String::as_str))
        }
        Some(name) => format!("libc's {name}"),
        None => "libc itself".into(),
    }
}
