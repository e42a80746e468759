//! The words of a rule: what each takes, and where it goes.

use super::{Answer, CERTAIN, Place, Rule, Text, What};
use crate::errno::errno_number;
use crate::op::{Direction, Op, Phase};

/// Why a word is none, in words that say what would be one.
pub(super) type Why = &'static str;

/// EAI_ numbers (netdb.h).
const RESOLVER: &[(&str, i32)] = &[
    ("EAI_NONAME", -2),
    ("EAI_AGAIN", -3),
    ("EAI_FAIL", -4),
    ("EAI_NODATA", -5),
    ("EAI_FAMILY", -6),
    ("EAI_SERVICE", -8),
    ("EAI_MEMORY", -10),
];

/// Signals by name, without SIG (signal(7)).
const SIGNALS: &[(&str, u8)] = &[
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ABRT", 6),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("CHLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("URG", 23),
    ("IO", 29),
];

/// Adds the functions that one word of the list names: a function, or a class with a percent sign.
pub(super) fn function(rule: &mut Rule, word: &str) -> Result<(), Why> {
    let mut any = false;
    for op in Op::ALL.iter().copied().filter(|op| super::may_fail(*op)) {
        let meant = match word {
            "all" | "%net" => op.phase() != Phase::Control && op.phase() != Phase::Wait,
            "%sent" => op.direction() == Some(Direction::Sent),
            "%received" => op.direction() == Some(Direction::Received),
            _ => match word.strip_prefix('%') {
                Some(phase) => op.phase().name() == phase,
                None => op.symbol() == word,
            },
        };
        if meant {
            rule.functions.add(op);
            any = true;
        }
    }
    any.then_some(()).ok_or(
        "no function of the socket family that could fail; a function such as connect, or %connect, %communicate, \
         %sent, %received or another phase, or all",
    )
}

/// Takes in one word behind the functions.
pub(super) fn word(rule: &mut Rule, key: &str, value: Option<&str>) -> Result<(), Why> {
    let Some(value) = value else {
        rule.what |= match key {
            "reset" => What::RESET,
            "half_close" => What::HALF_CLOSE,
            "silence" => What::SILENCE,
            "drop" => What::DROP,
            "duplicate" => What::DUPLICATE,
            "reorder" => What::REORDER,
            _ => return Err(UNKNOWN),
        };
        return Ok(());
    };
    match key {
        "error" => {
            let resolver = RESOLVER.iter().find(|(name, _)| *name == value).map(|(_, n)| Answer::Resolver(*n));
            let number = errno_number(value).or(value.parse().ok().filter(|n| (1..4096).contains(n)));
            rule.answer = resolver
                .or(number.map(Answer::Error))
                .ok_or("no errno; a name such as ECONNREFUSED, of the resolver EAI_AGAIN, or a number")?;
        }
        "retval" => rule.answer = Answer::Value(value.parse().map_err(|_| "no number to return")?),
        "signal" => {
            let name = value.strip_prefix("SIG").unwrap_or(value);
            let known = SIGNALS.iter().find(|(signal, _)| *signal == name).map(|(_, n)| *n);
            let number = known.or(value.parse().ok().filter(|n| (1..65).contains(n)));
            rule.signal = number.ok_or("no signal; a name such as SIGTERM, or a number")?;
        }
        "delay_enter" => rule.delay_enter_ns = time(value)?,
        "delay_exit" => rule.delay_exit_ns = time(value)?,
        "latency" => rule.latency_ns = time(value)?,
        "when" => when(rule, value).ok_or("no choice of calls; FIRST, FIRST+, FIRST+STEP or FIRST..LAST, from 1 on")?,
        "chance" => rule.chance = chance(value).ok_or("no chance; a percentage such as 10% or 0.5%")?,
        "short" => rule.short = bytes(value).filter(|n| *n > 0).ok_or(BYTES)?,
        "split" => rule.split = bytes(value).filter(|n| *n > 0).ok_or(BYTES)?,
        "after" => rule.after = Some(bytes(value).ok_or(BYTES)?),
        "bandwidth" => rule.bandwidth = bytes(value).filter(|n| *n > 0).ok_or(BYTES)?,
        "peer" => rule.peer = place(value).ok_or(PLACE)?,
        "local" => rule.local = place(value).ok_or(PLACE)?,
        "redirect" => rule.redirect = place(value).ok_or(PLACE)?,
        "port" => rule.port = value.parse().ok().filter(|n| *n > 0).ok_or("no port; 1 to 65535")?,
        "connection" => rule.connection = value.parse().ok().filter(|n| *n > 0).ok_or("no number; 1 is the first")?,
        "process" => match value.parse() {
            Ok(number) => rule.process_number = number,
            Err(_) => rule.process = Text::new(value.as_bytes()).ok_or(LONG)?,
        },
        "name" => rule.name = Text::new(value.as_bytes()).ok_or(LONG)?,
        "answer" => {
            place(value).filter(|place| place.exact && place.port == 0).ok_or("no IP address")?;
            let text = value.strip_prefix('[').and_then(|v| v.strip_suffix(']')).unwrap_or(value);
            rule.resolve = Text::new(text.as_bytes()).ok_or(LONG)?;
        }
        _ => return Err(UNKNOWN),
    }
    Ok(())
}

const LONG: Why = "too long; 63 bytes at most";
const BYTES: Why = "no number of bytes; such as 17, 64K or 1M";
const PLACE: Why = "no address; an IP address, one with :PORT, or :PORT alone; IPv6 in brackets";
const UNKNOWN: Why = "no word of a rule; what happens: error= retval= signal= delay_enter= delay_exit= short= split= \
    reset half_close silence drop duplicate reorder bandwidth= latency= redirect= answer=; to which calls: when= \
    chance= peer= local= port= name= process= connection= after=";

/// What only shows when the whole rule is known.
pub(super) fn whole(rule: &Rule) -> Result<(), Why> {
    let all = |test: fn(Op) -> bool| rule.functions.iter().all(test);
    let moves = |op: Op| op.direction().is_some();
    let resolves = |op: Op| op.phase() == Phase::Resolve && op != Op::Getifaddrs;
    let acts = rule.answer != Answer::Kernel
        || rule.what.0 != 0
        || rule.signal != 0
        || rule.short != 0
        || rule.split != 0
        || rule.bandwidth != 0
        || rule.delay_enter_ns != 0
        || rule.delay_exit_ns != 0
        || rule.latency_ns != 0
        || !rule.redirect.is_any()
        || !rule.resolve.is_empty();
    if !acts {
        return Err("nothing would happen; say what, such as error=ECONNREFUSED");
    }
    if matches!(rule.answer, Answer::Resolver(_)) && !all(resolves) {
        return Err("EAI_ errors are of getaddrinfo and its kind; give the others an errno");
    }
    if matches!(rule.answer, Answer::Value(n) if n >= 0) && rule.functions.iter().any(resolves) {
        return Err("a name that is resolved has an answer, not a number; say answer=ADDRESS");
    }
    if (rule.short != 0 || rule.split != 0 || rule.bandwidth != 0 || rule.after.is_some()) && !all(moves) {
        return Err(
            "short=, split=, bandwidth= and after= are of functions that move bytes, such as read or %received",
        );
    }
    if rule.what.is(What(What::DROP.0 | What::DUPLICATE.0 | What::REORDER.0))
        && !all(|op| op.direction() == Some(Direction::Sent))
    {
        return Err("drop, duplicate and reorder are of functions that send, such as sendto or %sent");
    }
    if (rule.what.is(What::RESET) || rule.what.is(What::HALF_CLOSE)) && !all(moves) {
        return Err("reset and half_close are of functions that move bytes, such as read or %sent");
    }
    if !rule.redirect.is_any() && !all(|op| op == Op::Connect) {
        return Err("redirect= is of connect");
    }
    if !rule.resolve.is_empty() && !all(|op| matches!(op, Op::Getaddrinfo | Op::Gethostbyname | Op::GethostbynameR)) {
        return Err("answer= is of getaddrinfo, gethostbyname and gethostbyname_r");
    }
    Ok(())
}

/// FIRST, FIRST+, FIRST+STEP, FIRST..LAST and FIRST..LAST+STEP, as strace has it.
fn when(rule: &mut Rule, value: &str) -> Option<()> {
    let (range, step) = match value.split_once('+') {
        Some((range, "")) => (range, Some(1)),
        Some((range, step)) => (range, Some(step.parse().ok().filter(|n| *n > 0)?)),
        None => (value, None),
    };
    let (first, last) = match range.split_once("..") {
        Some((first, last)) => (first, Some(last.parse().ok()?)),
        None => (range, None),
    };
    rule.first = first.parse().ok().filter(|n| *n > 0)?;
    rule.last = last.unwrap_or(u32::MAX);
    rule.step = step.unwrap_or(u32::from(last.is_some()));
    (rule.last >= rule.first).then_some(())
}

/// A number with a unit; microseconds without, as strace has it.
fn time(value: &str) -> Result<u64, Why> {
    const WHY: Why = "no time; such as 50ms, 2s, 100us, or microseconds without a unit; an hour at most";
    let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match value.strip_prefix(digits) {
        Some("ns") => 1,
        Some("us" | "") => 1_000,
        Some("ms") => 1_000_000,
        Some("s") => 1_000_000_000,
        _ => return Err(WHY),
    };
    let ns = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(unit));
    ns.filter(|ns| *ns > 0 && *ns <= 3_600_000_000_000).ok_or(WHY)
}

fn bytes(value: &str) -> Option<u64> {
    let (digits, shift) = match value.char_indices().last()? {
        (at, 'K' | 'k') => (value.get(..at)?, 10),
        (at, 'M' | 'm') => (value.get(..at)?, 20),
        (at, 'G' | 'g') => (value.get(..at)?, 30),
        _ => (value, 0),
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// A percentage with at most four decimal places, in millionths.
fn chance(value: &str) -> Option<u32> {
    let digits = value.strip_suffix('%')?;
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    if part.len() > 4 {
        return None;
    }
    let mut fraction = if part.is_empty() { 0 } else { part.parse::<u32>().ok()? };
    for _ in part.len()..4 {
        fraction *= 10;
    }
    let millionths = whole.parse::<u32>().ok()?.checked_mul(10_000)?.checked_add(fraction)?;
    (1..=CERTAIN).contains(&millionths).then_some(millionths)
}

/// An IP address, with or without a port, or a port alone.
fn place(value: &str) -> Option<Place> {
    let (host, port) = match value.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok().filter(|n| *n > 0)?),
        _ => (value, 0),
    };
    if host.is_empty() {
        return Some(Place { port, ..Place::ANY });
    }
    let ip = match host.strip_prefix('[') {
        Some(host) => host.strip_suffix(']')?.parse::<core::net::Ipv6Addr>().ok()?,
        None => host.parse::<core::net::Ipv4Addr>().ok()?.to_ipv6_mapped(),
    };
    Some(Place { ip: ip.octets(), exact: true, port })
}
