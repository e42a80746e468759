//! What a program of `c-tests/` says about its own trace, and whether the trace agrees.
//! `c-tests/README.md` tells the notation.

use sockshim_format::errno::{errno_name, errno_number};
use sockshim_format::line::Line;
use sockshim_format::op::{Direction, Op};
use sockshim_format::record::*;
use sockshim_reader::order::Events;
use sockshim_reader::{CallInfo, Event, Trace};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

/// The calls of a trace, by thread.
pub struct Recorded {
    /// By process number and thread; each thread's calls in its own order.
    threads: BTreeMap<(u32, u32), Vec<CallInfo>>,
    /// Pid of each process number.
    pids: BTreeMap<u32, u32>,
    /// Calls and extensions that were lost.
    pub lost: (u64, u64),
}

impl Recorded {
    /// Reads a trace.
    pub fn read(path: &Path) -> Result<Recorded, String> {
        let trace = Trace::open(path).map_err(|e| e.to_string())?;
        let mut events = Events::new(trace);
        let mut calls: BTreeMap<(u32, u32), BTreeMap<u32, CallInfo>> = BTreeMap::new();
        let mut pids = BTreeMap::new();
        for event in events.by_ref() {
            match event.map_err(|e| e.to_string())? {
                Event::Process(info) => {
                    pids.insert(info.process.process, info.process.pid);
                }
                // A call that was told as entered is told again when it is over.
                Event::Entered(call) | Event::Call(call) => {
                    calls.entry((call.process, call.tid)).or_default().insert(call.call.seq, call);
                }
                Event::Mark(_) | Event::Left(_) | Event::Earlier(_) | Event::Lost { .. } => {}
            }
        }
        let lost = events.trace().lost().unwrap_or((0, 0));
        let threads = calls.into_iter().map(|(thread, calls)| (thread, calls.into_values().collect())).collect();
        Ok(Recorded { threads, pids, lost })
    }

    /// Every call.
    pub fn calls(&self) -> impl Iterator<Item = &CallInfo> {
        self.threads.values().flatten()
    }

    /// The symbols that were recorded.
    pub fn symbols(&self) -> BTreeSet<&'static str> {
        self.calls().filter_map(CallInfo::op).map(Op::symbol).collect()
    }

    /// The calls of the main thread of the `number`th process that attached, from 1.
    fn main_thread(&self, number: usize) -> &[CallInfo] {
        let process = self.pids.iter().nth(number - 1);
        process.and_then(|(process, pid)| self.threads.get(&(*process, *pid))).map_or(&[], |calls| &calls[..])
    }

    /// All of it as text, a few hundred lines at most.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for ((process, tid), calls) in self.threads.iter().take(12) {
            text += &format!("  process {process}, thread {tid}: {} calls\n", calls.len());
            calls.iter().take(40).for_each(|call| text += &format!("    {}\n", line(call)));
        }
        text
    }
}

/// A call as one line, its duration left out.
pub fn line(call: &CallInfo) -> String {
    let line = Line { call: &call.call, parts: &call.parts(), peer: None, duration_ns: 0 }.to_string();
    let symbol = call.op().map_or("", Op::symbol);
    let name = call.op().map_or("", Op::name);
    let line = line.strip_suffix(" <0ns>").unwrap_or(&line).to_owned();
    if symbol == name { line } else { format!("{line}   [{symbol}]") }
}

/// One expected call.
#[derive(Clone, Debug)]
struct Expected {
    /// As it stands in the program.
    text: String,
    /// Base name, `None` for "any calls".
    name: Option<String>,
    /// Letter of the descriptor.
    fd: Option<String>,
    result: Option<String>,
    keys: Vec<(String, String)>,
}

/// Letters and the descriptors that they stand for.
#[derive(Clone, Default)]
struct Letters(HashMap<String, i32>, HashMap<String, u64>);

impl Letters {
    /// Whether `fd` may be what the letter stands for; a letter that is new stands for it from now on.
    fn is(&mut self, letter: &str, fd: i32) -> bool {
        *self.0.entry(letter.to_owned()).or_insert(fd) == fd
    }
}

/// What must hold for every trace of a run that began and ended at these times; `gaps`: calls may have
/// been left before they were on record.
pub fn sane(recorded: &Recorded, began_ns: u64, ended_ns: u64, gaps: bool) -> Result<(), String> {
    // Two ticks of the coarse clock, and as much for the calibration of the fine one.
    const SLACK_NS: u64 = 20_000_000;
    if recorded.lost != (0, 0) {
        return Err(format!("{:?} calls and extensions were lost\n", recorded.lost));
    }
    for calls in recorded.threads.values() {
        for (previous, call) in calls.iter().zip(&calls[1..]) {
            if !gaps && call.call.seq != previous.call.seq + 1 {
                return Err(format!("calls are missing between\n  {}\n  {}\n", line(previous), line(call)));
            }
        }
    }
    for call in recorded.calls() {
        if call.start_ns + SLACK_NS < began_ns || call.end_ns > ended_ns + SLACK_NS {
            let (start, end) = (call.start_ns as i128 - began_ns as i128, call.end_ns as i128 - began_ns as i128);
            return Err(format!("from {start} to {end} ns after the start?\n  {}\n", line(call)));
        }
        let bytes = call.bytes().is_some_and(|(_, bytes)| bytes > 0);
        if bytes && call.call.socket == 0 && call.commit().flags & FLAG_UNCLASSIFIED == 0 {
            return Err(format!("bytes on no socket?\n  {}\n", line(call)));
        }
    }
    Ok(())
}

/// Checks everything that the program says. Returns what is wrong.
pub fn check(text: &str, recorded: &Recorded) -> Result<(), String> {
    let mut letters = Letters::default();
    for number in 1..=9 {
        let marker = if number == 1 { "//:".to_owned() } else { format!("//:{number}") };
        let expected = parse(text, &marker)?;
        if expected.is_empty() {
            continue;
        }
        let calls = recorded.main_thread(number);
        let mut furthest = (0, 0);
        match sequence(&expected, calls, (0, 0), letters.clone(), &mut furthest) {
            Some(found) => letters = found,
            None => return Err(mismatch(&marker, &expected, calls, furthest)),
        }
    }
    for expected in parse(text, "//:t")? {
        let found = recorded.calls().find_map(|call| {
            let mut letters = letters.clone();
            fits(&expected, call, &mut letters).ok().map(|()| letters)
        });
        match found {
            Some(found) => letters = found,
            None => return Err(format!("no call anywhere fits  {}\n{}", expected.text, recorded.text())),
        }
    }
    totals(text, recorded)
}

/// The `//=` lines.
fn totals(text: &str, recorded: &Recorded) -> Result<(), String> {
    for line in text.lines().filter_map(|line| line.strip_prefix("//=")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (found, wanted) = match words[..] {
            ["calls", name, count] => {
                let named = |call: &&CallInfo| call.op().is_some_and(|op| op.name() == name);
                let good = recorded.calls().filter(named).filter(|call| call.is_done() && call.call.ret >= 0);
                (good.count() as u64, count)
            }
            ["bytes", which @ ("sent" | "received"), count] => {
                let wanted = if which == "sent" { Direction::Sent } else { Direction::Received };
                let bytes = recorded.calls().filter_map(CallInfo::bytes);
                (bytes.filter(|(direction, _)| *direction == wanted).map(|(_, n)| n).sum(), count)
            }
            ["own", "sockets"] => {
                own_sockets(recorded)?;
                continue;
            }
            _ => return Err(format!("not understood: //={line}")),
        };
        if wanted.parse() != Ok(found) {
            return Err(format!("//={line}, but there are {found}"));
        }
    }
    Ok(())
}

/// Every transfer of a thread is on the socket that the thread itself made under that number last.
fn own_sockets(recorded: &Recorded) -> Result<(), String> {
    for calls in recorded.threads.values() {
        let mut made: HashMap<i32, u64> = HashMap::new();
        for call in calls {
            made.extend(call.fds(ROLE_MADE).map(|fd| (fd.fd, fd.socket)));
            let wanted = made.get(&call.call.fd).filter(|_| call.bytes().is_some());
            if wanted.is_some_and(|wanted| *wanted != call.call.socket) {
                return Err(format!("on {:#x}, not {wanted:x?}:  {}\n", call.call.socket, line(call)));
            }
        }
    }
    Ok(())
}

/// Expected call number `at.0` and the rest, against the calls from number `at.1` on.
fn sequence(
    expected: &[Expected],
    calls: &[CallInfo],
    at: (usize, usize),
    letters: Letters,
    furthest: &mut (usize, usize),
) -> Option<Letters> {
    *furthest = (*furthest).max(at);
    let Some(next) = expected.get(at.0) else { return (at.1 == calls.len()).then_some(letters) };
    if next.name.is_none() {
        return (at.1..=calls.len())
            .find_map(|skip| sequence(expected, calls, (at.0 + 1, skip), letters.clone(), furthest));
    }
    let mut letters = letters;
    fits(next, calls.get(at.1)?, &mut letters).ok()?;
    sequence(expected, calls, (at.0 + 1, at.1 + 1), letters, furthest)
}

fn mismatch(
    marker: &str,
    expected: &[Expected],
    calls: &[CallInfo],
    (line_number, call_number): (usize, usize),
) -> String {
    let wanted = expected.get(line_number).map_or("nothing more", |e| &e.text);
    let why = match (expected.get(line_number), calls.get(call_number)) {
        (Some(expected), Some(call)) => fits(expected, call, &mut Letters::default()).err().unwrap_or_default(),
        (Some(_), None) => "the calls end here".into(),
        _ => String::new(),
    };
    let mut text = format!("expected  {wanted}   {why}\n");
    for (i, call) in calls.iter().enumerate().skip(call_number.saturating_sub(6)).take(12) {
        text += &format!("  {} {}\n", if i == call_number { ">" } else { " " }, line(call));
    }
    if calls.is_empty() {
        text += &format!("  no calls for {marker}\n");
    }
    text
}

/// Whether a call is the expected one. Takes in the letters that it binds.
fn fits(expected: &Expected, info: &CallInfo, letters: &mut Letters) -> Result<(), String> {
    let call = &info.call;
    let op = info.op().ok_or("an unknown operation")?;
    if Some(op.name()) != expected.name.as_deref() {
        return Err("another function".into());
    }
    if let Some(letter) = &expected.fd {
        if !letters.is(letter, call.fd) {
            return Err(format!("another descriptor, {letter} is {:?}", letters.0.get(letter)));
        }
        letters.1.insert(letter.clone(), call.socket);
    }
    if let Some(result) = &expected.result {
        if result != "?" && !info.is_done() {
            return Err("it has not returned".into());
        }
        let good = match &result[..] {
            "?" => true,
            number if number.parse::<i64>().is_ok() => number.parse() == Ok(call.ret),
            name if errno_number(name).is_some() => call.ret == -1 && errno_name(call.errno) == name,
            letter => call.ret >= 0 && letters.is(letter, call.ret as i32),
        };
        if !good {
            return Err(format!("another result: {} {}", call.ret, errno_name(call.errno)));
        }
    }
    expected.keys.iter().try_for_each(|(key, value)| attribute(key, value, info, op, letters))
}

/// A `key=value`.
fn attribute(key: &str, value: &str, info: &CallInfo, op: Op, letters: &mut Letters) -> Result<(), String> {
    let text = |role| info.bodies(KIND_TEXT, role).next().map(|body| String::from_utf8_lossy(body).into_owned());
    let found = match key {
        "symbol" => Some(op.symbol().to_owned()),
        "sent" | "received" => info.payload().map(|(direction, bytes)| {
            let right = (direction == Direction::Sent) == (key == "sent");
            if right { String::from_utf8_lossy(bytes).into_owned() } else { "the other direction".into() }
        }),
        "name" => text(ROLE_NAME),
        "service" => text(ROLE_SERVICE),
        "path" => text(ROLE_PATH),
        "returned" => info.address(ROLE_RETURNED).and_then(|address| address.ip()).map(|ip| ip.to_string()),
        "made" | "closed" | "passed" => {
            let role = [("made", ROLE_MADE), ("closed", ROLE_CLOSED), ("passed", ROLE_PASSED)];
            let role = role.iter().find(|(name, _)| *name == key).map_or(0, |(_, role)| *role);
            let fds: Vec<Fd> = info.fds(role).collect();
            let wanted: Vec<&str> = value.split(',').filter(|letter| !letter.is_empty()).collect();
            let good =
                fds.len() == wanted.len() && wanted.iter().zip(&fds).all(|(letter, fd)| letters.is(letter, fd.fd));
            for (letter, fd) in wanted.iter().zip(&fds) {
                letters.1.insert((*letter).to_owned(), fd.socket);
            }
            Some(if good { value.to_owned() } else { format!("{:?}", fds.iter().map(|fd| fd.fd).collect::<Vec<_>>()) })
        }
        "socket" => {
            let known = letters.1.get(value).copied().unwrap_or(0);
            let same = known != 0 && known == info.call.socket;
            Some(if same { value.to_owned() } else { format!("{:#x}, not {known:#x}", info.call.socket) })
        }
        "flag" => {
            let flag = match value {
                "syscall" => FLAG_SYSCALL,
                "peek" => FLAG_PEEK,
                "coarse" => FLAG_COARSE,
                _ => return Err(format!("unknown flag {value}")),
            };
            Some(if info.commit().flags & flag != 0 { value.to_owned() } else { "not set".into() })
        }
        _ => return Err(format!("unknown key {key}")),
    };
    match found {
        Some(found) if found == value => Ok(()),
        found => Err(format!("{key} is {found:?}")),
    }
}

/// The lines that begin with a marker and a space.
fn parse(text: &str, marker: &str) -> Result<Vec<Expected>, String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix(marker)?.strip_prefix(' '));
    lines.map(|line| parse_line(line).ok_or_else(|| format!("not understood: {marker} {line}"))).collect()
}

/// `NAME [FD] [-> RESULT] [key=value ...]`, or `...`.
fn parse_line(line: &str) -> Option<Expected> {
    let mut words = words(line)?.into_iter().peekable();
    let name = words.next()?;
    let mut expected = Expected { text: line.to_owned(), name: None, fd: None, result: None, keys: Vec::new() };
    if name == "..." {
        return words.next().is_none().then_some(expected);
    }
    Op::ALL.iter().find(|op| op.name() == name)?;
    expected.name = Some(name);
    expected.fd = words.next_if(|word| word != "->" && !word.contains('=')).filter(|fd| fd != "-");
    if words.next_if(|word| word == "->").is_some() {
        expected.result = Some(words.next()?);
    }
    for word in words {
        let (key, value) = word.split_once('=')?;
        expected.keys.push((key.to_owned(), value.to_owned()));
    }
    Some(expected)
}

/// Words between spaces. `"` keeps spaces together; `\n` and `\"` are what they are in C.
fn words(line: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quoted, mut any) = (Vec::new(), String::new(), false, false);
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => (quoted, any) = (!quoted, true),
            '\\' => match chars.next()? {
                'n' => word.push('\n'),
                other => word.push(other),
            },
            ' ' if !quoted => {
                if any || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                any = false;
            }
            c => word.push(c),
        }
    }
    if any || !word.is_empty() {
        words.push(word);
    }
    (!quoted).then_some(words)
}

/// The name on the first line that expects a call, for the log.
pub fn first_name(text: &str) -> Option<String> {
    parse(text, "//:").ok()?.into_iter().find_map(|expected| expected.name)
}
