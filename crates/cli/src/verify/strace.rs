//! strace's account of a run, read: which system calls each task made, what each returned, and by
//! which functions it was made.
//!
//! strace writes a file per task (`-ff`). A line is a call, with its result; ` > ` begins a frame of
//! the stack below it. A call that a signal interrupted is there twice: as ERESTART, and again when
//! it is restarted, unless `rt_sigreturn` gives it EINTR. Here it is one call.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use sockshim_format::errno::errno_number;

/// What is asked of strace: the calls that the shim records, those that make processes, and those
/// by which an interrupted call is told from another one.
pub const TRACED: &str = "trace=network,read,write,readv,writev,preadv2,pwritev2,close,close_range,\
    dup,dup2,dup3,fcntl,ioctl,sendfile,splice,tee,vmsplice,copy_file_range,pidfd_getfd,\
    poll,ppoll,select,pselect6,epoll_create,epoll_create1,epoll_ctl,epoll_wait,epoll_pwait,epoll_pwait2,\
    execve,execveat,fork,vfork,clone,clone3,rt_sigreturn,restart_syscall";

/// errno of a call that a signal has ended.
const EINTR: u16 = 4;

/// A system call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// Its name, such as `recvfrom`.
    pub name: String,
    /// Its arguments, as strace shows them.
    pub args: String,
    /// What it returned, and errno. `None`: it never did, as far as its thread saw.
    pub ret: Option<(i64, u16)>,
    /// Who made it, the innermost frame first: numbers of [`Account::frames`].
    pub stack: Vec<usize>,
}

/// A task: a thread, or a process with one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Task {
    /// Its number.
    pub tid: u32,
    /// What it called, in order.
    pub calls: Vec<Call>,
}

/// A place in a file that is mapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The file; empty if the address lies in none.
    pub module: String,
    /// The symbol, as strace found it: of a file without debugging symbols the nearest in front.
    pub symbol: String,
    /// The offset in the file.
    pub offset: u64,
}

/// All of it.
#[derive(Debug, Default)]
pub struct Account {
    /// The tasks, by number.
    pub tasks: Vec<Task>,
    /// Every frame that occurs, once.
    pub frames: Vec<Frame>,
    numbers: HashMap<String, usize>,
}

impl Account {
    /// Reads the files `PREFIX.TID` in a folder.
    pub fn read(folder: &Path, prefix: &str) -> io::Result<Account> {
        let mut account = Account::default();
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let tid = name.to_str().and_then(|name| name.strip_prefix(prefix)?.strip_prefix('.')?.parse().ok());
            if let Some(tid) = tid {
                account.task(tid, BufReader::new(std::fs::File::open(entry.path())?))?;
            }
        }
        account.tasks.sort_by_key(|task| task.tid);
        Ok(account)
    }

    /// Reads the file of a task.
    pub fn task(&mut self, tid: u32, mut lines: impl BufRead) -> io::Result<()> {
        let mut task = Builder { task: Task { tid, calls: Vec::new() }, current: None, interrupted: Vec::new() };
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line)? > 0 {
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end_matches('\n');
            if let Some(frame) = text.strip_prefix(" > ") {
                let number = self.frame(frame);
                if let Some((call, _)) = &mut task.current {
                    call.stack.push(number);
                }
            } else if let Some(call) = call(text) {
                task.end_current();
                task.current = Some(call);
            }
            line.clear();
        }
        task.end_current();
        self.tasks.push(task.task);
        Ok(())
    }

    fn frame(&mut self, text: &str) -> usize {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        self.frames.push(frame(text));
        self.numbers.insert(text.to_owned(), self.frames.len() - 1);
        self.frames.len() - 1
    }
}

/// Puts interrupted calls together.
struct Builder {
    task: Task,
    /// The call whose frames are being read, and whether a signal interrupted it.
    current: Option<(Call, bool)>,
    /// Places of calls that were interrupted and have not gone on.
    interrupted: Vec<usize>,
}

impl Builder {
    fn end_current(&mut self) {
        let Some((call, interrupted)) = self.current.take() else { return };
        let latest = self.interrupted.last().map(|place| (*place, &self.task.calls[*place]));
        match (call.name.as_str(), latest) {
            ("rt_sigreturn", Some((place, _))) if call.ret == Some((-1, EINTR)) => {
                self.task.calls[place].ret = call.ret;
                self.interrupted.pop();
            }
            ("rt_sigreturn", _) => {}
            // The same call by the same functions is the same call again. (A handler's has more frames.)
            (name, Some((place, first)))
                if name == "restart_syscall" || (name == first.name && call.stack == first.stack) =>
            {
                if !interrupted {
                    let first = &mut self.task.calls[place];
                    first.ret = call.ret;
                    if call.name == first.name {
                        first.args = call.args;
                    }
                    self.interrupted.pop();
                }
            }
            ("restart_syscall", None) => {}
            _ => {
                if interrupted {
                    self.interrupted.push(self.task.calls.len());
                }
                self.task.calls.push(call);
            }
        }
    }
}

/// `name(arguments) = result`, and whether the result is that a signal interrupted it.
fn call(line: &str) -> Option<(Call, bool)> {
    let (name, rest) = line.split_once('(')?;
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_') {
        return None;
    }
    // From behind: there may be anything in a string, but no " = " behind the result's own.
    let result = rest.rmatch_indices(')').find_map(|(at, _)| {
        let result = rest[at + 1..].strip_prefix(' ')?.trim_start().strip_prefix("= ")?;
        Some((&rest[..at], result))
    });
    let (args, result) = result.unwrap_or((rest, "?"));
    let call = Call { name: name.into(), args: args.into(), ret: returned(result), stack: Vec::new() };
    Some((call, result.starts_with("? ERESTART")))
}

/// `4<socket:[7]>`, `0x2 (flags O_RDWR)`, `-1 EAGAIN (...)`, `?`.
fn returned(result: &str) -> Option<(i64, u16)> {
    let mut words = result.split(' ');
    let word = words.next()?;
    if let Some(hex) = word.strip_prefix("0x") {
        return Some((i64::from_str_radix(hex, 16).ok()?, 0));
    }
    let digits = word.split('<').next()?;
    let value = digits.parse().ok()?;
    let errno = if value == -1 { words.next().and_then(errno_number).unwrap_or(0) } else { 0 };
    Some((value, errno))
}

/// `/usr/lib/libc.so.6(send+0x19) [0x10ab59]`.
fn frame(text: &str) -> Frame {
    let (place, offset) = text.rsplit_once(" [0x").unwrap_or((text, ""));
    let offset = u64::from_str_radix(offset.trim_end_matches(']'), 16).unwrap_or(0);
    // What has no parentheses says that there is no such file.
    let (module, symbol) = place.split_once('(').unwrap_or(("", ""));
    let symbol = symbol.strip_suffix(')').unwrap_or(symbol);
    let symbol = symbol.rsplit_once("+0x").map_or(symbol, |(name, _)| name);
    Frame { module: module.into(), symbol: symbol.into(), offset }
}

/// The arguments, each for itself.
pub fn split(args: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start, mut before) = (Vec::new(), 0_i32, 0, ' ');
    let mut chars = args.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => skip_string(&mut chars),
            // What a descriptor names; strace escapes `>` in it.
            '<' if before.is_ascii_digit() && !args[at..].starts_with("<<") => _ = chars.find(|(_, c)| *c == '>'),
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(args[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
        before = c;
    }
    if !args.trim().is_empty() {
        parts.push(args[start..].trim());
    }
    parts
}

/// Up to the end of a string whose first quote has been read.
fn skip_string(chars: &mut std::str::CharIndices<'_>) {
    while let Some((_, c)) = chars.next() {
        match c {
            '\\' => _ = chars.next(),
            '"' => return,
            _ => {}
        }
    }
}

/// The bytes of a string at the beginning of a text, as far as strace shows them.
pub fn unquote(text: &str) -> Option<Vec<u8>> {
    let mut rest = text.strip_prefix('"')?.bytes().peekable();
    let mut bytes = Vec::new();
    loop {
        match rest.next()? {
            b'"' => return Some(bytes),
            b'\\' => bytes.push(match rest.next()? {
                b'n' => b'\n',
                b't' => b'\t',
                b'r' => b'\r',
                b'v' => 0x0b,
                b'f' => 0x0c,
                digit @ b'0'..=b'7' => {
                    let mut value = u32::from(digit - b'0');
                    for _ in 0..2 {
                        if let Some(digit) = rest.next_if(|byte| (b'0'..=b'7').contains(byte)) {
                            value = value * 8 + u32::from(digit - b'0');
                        }
                    }
                    value as u8
                }
                other => other,
            }),
            byte => bytes.push(byte),
        }
    }
}
