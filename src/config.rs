//! What the user asked for, read from the environment once, without allocating.
//!
//! The environment is found where the kernel put it, above the first stack frame: a call may come
//! before libc has set `environ`, and `getenv` may be interposed.

use crate::arch::stack_end;
use core::ffi::{CStr, c_char};
use sockshim_format::region::DEFAULT_REGION_BYTES;

/// Where the text log goes.
#[derive(Clone, Copy)]
pub enum Log {
    /// Nothing was said: stderr if there is no trace either.
    Default,
    /// Nowhere.
    Off,
    /// A descriptor of the program.
    Descriptor(i32),
    /// A file.
    File(&'static CStr),
}

/// The settings.
pub struct Config {
    /// SOCKSHIM_REGION: the live region that the tool made.
    pub region: Option<&'static CStr>,
    /// SOCKSHIM_TRACE: a trace file to make.
    pub trace: Option<&'static CStr>,
    /// SOCKSHIM_LOG.
    pub log: Log,
    /// SOCKSHIM_LOG_BUFFER: whether lines of the log are collected.
    pub collect: bool,
    /// SOCKSHIM_SNAPLEN.
    pub snaplen: u32,
    /// SOCKSHIM_SIZE: bytes of a trace file.
    pub size: u64,
    /// SOCKSHIM_EDGES: whether addresses, TCP_INFO and the numbers of new sockets are asked.
    pub edges: bool,
    /// SOCKSHIM_FOLLOW: whether a program that is executed with another environment is followed.
    pub follow: bool,
    /// SOCKSHIM_INJECT: the faults that are asked for.
    pub inject: Option<&'static CStr>,
    /// A setting that made no sense: its name, its value, what it takes.
    pub complaint: Option<(&'static str, &'static CStr, &'static str)>,
    /// The program runs with more privilege than its user: do nothing.
    pub secure: bool,
}

/// The kernel's block above the first stack frame.
pub struct Start {
    argv: *const *const c_char,
    argc: usize,
    envp: *const *const c_char,
}

impl Start {
    /// Finds it; None with another libc than glibc.
    pub fn find() -> Option<Start> {
        let mut block = stack_end();
        if block.is_null() {
            return None;
        }
        // SAFETY: `stack_end` points at argc.
        unsafe {
            // In a fully static program it points one word lower: _start has pushed a zero there
            // (glibc, sysdeps/x86_64/start.S), where the dynamic linker has argc.
            if *block == 0 && *block.add(1) != 0 {
                block = block.add(1);
            }
            let argc = *block;
            Some(Start { argv: block.add(1).cast(), argc, envp: block.add(argc + 2).cast() })
        }
    }

    /// The value of an environment variable.
    pub fn variable(&self, name: &str) -> Option<&'static CStr> {
        let mut at = self.envp;
        // SAFETY: the block ends with a null pointer and holds zero-terminated strings, which the
        // kernel put there for the life of the process.
        unsafe {
            while !(*at).is_null() {
                // No further than to the first byte that differs: there may be much of it, and mostly is.
                let entry = *at;
                let mut bytes = name.bytes().chain([b'=']).enumerate();
                if bytes.all(|(i, byte)| *entry.add(i) as u8 == byte) {
                    return Some(CStr::from_ptr(entry.add(name.len() + 1)));
                }
                at = at.add(1);
            }
        }
        None
    }

    /// Where the environment begins.
    pub fn environment(&self) -> *mut *const c_char {
        self.envp.cast_mut()
    }

    /// AT_SECURE of the auxiliary vector. The kernel always tells: if we cannot find it, we do not know, and do nothing.
    pub fn secure(&self) -> bool {
        const AT_SECURE: usize = 23;
        self.auxiliary(AT_SECURE) != Some(0)
    }

    /// AT_EXECFN: what was executed, in the words of whoever executed it; of a script, the script.
    pub fn executed(&self) -> Option<&'static CStr> {
        const AT_EXECFN: usize = 31;
        let path = self.auxiliary(AT_EXECFN).filter(|path| *path != 0)?;
        // SAFETY: the kernel put the string there, for the life of the process.
        Some(unsafe { CStr::from_ptr(path as *const c_char) })
    }

    /// Whether what was executed is a script, or something else that the kernel has found a program for: then that is an argument of
    /// the program's. One of the first: each of five interpreters at most may have one of its own (execve(2)).
    pub fn is_script(&self, executed: &CStr) -> bool {
        // SAFETY: as above.
        (1..self.argc.min(11)).any(|i| unsafe { CStr::from_ptr(*self.argv.add(i)) } == executed)
    }

    /// A value of the auxiliary vector (getauxval(3)).
    fn auxiliary(&self, key: usize) -> Option<usize> {
        // SAFETY: as above; the vector follows the environment's null and ends with AT_NULL.
        unsafe {
            let mut at = self.envp;
            while !(*at).is_null() {
                at = at.add(1);
            }
            // In a secure program the dynamic linker has taken variables out of the environment, and
            // left as many nulls at its end.
            while (*at).is_null() {
                at = at.add(1);
            }
            let mut pair = at.cast::<usize>();
            while *pair != 0 {
                if *pair == key {
                    return Some(*pair.add(1));
                }
                pair = pair.add(2);
            }
        }
        None
    }

    /// The arguments with the zero bytes between them, as much as fits.
    pub fn arguments<'a>(&self, buffer: &'a mut [u8]) -> &'a [u8] {
        let mut len = 0;
        for i in 0..self.argc {
            // SAFETY: as above.
            let text = unsafe { CStr::from_ptr(*self.argv.add(i)) }.to_bytes_with_nul();
            let Some(place) = buffer.get_mut(len..len + text.len()) else { break };
            place.copy_from_slice(text);
            len += text.len();
        }
        buffer.get(..len).unwrap_or(&[])
    }
}

/// A decimal number and an optional K, M or G.
fn number(text: &CStr, suffixes: bool) -> Option<u64> {
    let text = core::str::from_utf8(text.to_bytes()).ok()?;
    let (digits, shift) = match text.as_bytes().last()? {
        b'K' | b'k' if suffixes => (text.get(..text.len() - 1)?, 10),
        b'M' | b'm' if suffixes => (text.get(..text.len() - 1)?, 20),
        b'G' | b'g' if suffixes => (text.get(..text.len() - 1)?, 30),
        _ => (text, 0),
    };
    digits.parse::<u64>().ok()?.checked_shl(shift)
}

/// Most bytes of payload that are kept of one call.
pub const MAX_SNAPLEN: u64 = 65_535;
/// Bytes of payload that are kept of one call unless somebody asks for more: strace's.
pub const DEFAULT_SNAPLEN: u32 = 32;

/// Reads the settings.
pub fn read(start: &Start) -> Config {
    let mut config = Config {
        region: start.variable("SOCKSHIM_REGION").filter(|v| !v.is_empty()),
        trace: start.variable("SOCKSHIM_TRACE").filter(|v| !v.is_empty()),
        log: Log::Default,
        collect: false,
        snaplen: DEFAULT_SNAPLEN,
        size: DEFAULT_REGION_BYTES,
        edges: true,
        follow: true,
        inject: start.variable("SOCKSHIM_INJECT").filter(|v| !v.is_empty()),
        complaint: None,
        secure: start.secure(),
    };
    if let Some(value) = start.variable("SOCKSHIM_LOG") {
        config.log = match value.to_bytes() {
            b"off" | b"0" => Log::Off,
            b"" => Log::Default,
            b"stderr" => Log::Descriptor(2),
            [b'f', b'd', b':', ..] => {
                // SAFETY: the value is at least three bytes long, its zero byte behind them.
                let digits = unsafe { CStr::from_ptr(value.as_ptr().add(3)) };
                match number(digits, false).and_then(|n| i32::try_from(n).ok()) {
                    Some(fd) => Log::Descriptor(fd),
                    None => {
                        config.complaint = Some(("SOCKSHIM_LOG", value, "off, stderr, fd:N or a file"));
                        Log::Default
                    }
                }
            }
            _ => Log::File(value),
        };
    }
    if let Some(value) = start.variable("SOCKSHIM_LOG_BUFFER") {
        match value.to_bytes() {
            b"line" => {}
            b"block" => config.collect = true,
            _ => config.complaint = Some(("SOCKSHIM_LOG_BUFFER", value, "line or block")),
        }
    }
    if let Some(value) = start.variable("SOCKSHIM_SNAPLEN") {
        match number(value, false).filter(|n| *n <= MAX_SNAPLEN) {
            Some(bytes) => config.snaplen = bytes as u32,
            None => config.complaint = Some(("SOCKSHIM_SNAPLEN", value, "a number from 0 to 65535")),
        }
    }
    if let Some(value) = start.variable("SOCKSHIM_SIZE") {
        match number(value, true).filter(|n| (64 << 10..=1 << 32).contains(n)) {
            Some(bytes) => config.size = bytes,
            None => config.complaint = Some(("SOCKSHIM_SIZE", value, "a size from 64K to 4G")),
        }
    }
    for (name, setting) in [("SOCKSHIM_EDGES", &mut config.edges), ("SOCKSHIM_FOLLOW", &mut config.follow)] {
        let Some(value) = start.variable(name) else { continue };
        match value.to_bytes() {
            b"1" | b"on" => {}
            b"0" | b"off" => *setting = false,
            _ => config.complaint = Some((name, value, "on or off")),
        }
    }
    config
}
