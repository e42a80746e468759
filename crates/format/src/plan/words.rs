//! The words of a rule: what each takes, and where it goes.

use super::parse::cut;
use super::{Answer, CERTAIN, Place, Rule, Text, What};
use crate::errno::errno_number;
use crate::names;
use crate::op::{Direction, Op, Phase};

/// Why a word is none, in words that say what would be one.
pub(super) type Why = &'static str;

/// EAI_ numbers (netdb.h).
fn resolver_error(name: &str) -> Option<i32> {
    Some(match name {
        "EAI_NONAME" => -2,
        "EAI_AGAIN" => -3,
        "EAI_FAIL" => -4,
        "EAI_NODATA" => -5,
        "EAI_FAMILY" => -6,
        "EAI_SERVICE" => -8,
        "EAI_MEMORY" => -10,
        _ => return None,
    })
}

/// Signals by name, without SIG (signal(7)).
fn signal(name: &str) -> Option<u8> {
    Some(match name {
        "HUP" => 1,
        "INT" => 2,
        "QUIT" => 3,
        "ABRT" => 6,
        "KILL" => 9,
        "USR1" => 10,
        "SEGV" => 11,
        "USR2" => 12,
        "PIPE" => 13,
        "ALRM" => 14,
        "TERM" => 15,
        "CHLD" => 17,
        "CONT" => 18,
        "STOP" => 19,
        "URG" => 23,
        "IO" => 29,
        _ => return None,
    })
}

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
            let resolver = resolver_error(value).map(Answer::Resolver);
            let errno = errno_number(value).or(number(value).filter(|n| (1..4096).contains(n)).map(|n| n as u16));
            rule.answer = resolver
                .or(errno.map(Answer::Error))
                .ok_or("no errno; a name such as ECONNREFUSED, of the resolver EAI_AGAIN, or a number")?;
        }
        // What the kernel returns: a negative number is an errno to libc, and so it is with strace.
        "retval" => {
            const WHY: Why = "no number to return; -4095 to 2147483647, and below zero it is an errno";
            let errno = value.strip_prefix('-').map(|value| small(value).filter(|n| (1..4096).contains(n)));
            rule.answer = match errno {
                Some(errno) => Answer::Error(errno.ok_or(WHY)? as u16),
                None => Answer::Value(number(value).filter(|n| *n <= i32::MAX as u64).ok_or(WHY)? as i64),
            };
        }
        "signal" => {
            let known = signal(value.strip_prefix("SIG").unwrap_or(value));
            let known = known.or(number(value).filter(|n| (1..65).contains(n)).map(|n| n as u8));
            rule.signal = known.ok_or("no signal; a name such as SIGTERM, or a number")?;
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
        "port" => {
            rule.port =
                number(value).and_then(|n| u16::try_from(n).ok()).filter(|n| *n > 0).ok_or("no port; 1 to 65535")?
        }
        "fd" => rule.fd = Some(number(value).and_then(|n| i32::try_from(n).ok()).ok_or("no descriptor; such as 7")?),
        "family" => {
            let named = (1..64).find(|n| names::family(*n) == Some(value)).map(|n| n as u16);
            rule.family = named.ok_or("no address family; such as AF_INET, AF_INET6 or AF_UNIX")?;
        }
        "connection" => rule.connection = small(value).filter(|n| *n > 0).ok_or("no number; 1 is the first")?,
        "process" => match small(value) {
            Some(number) => rule.process_number = number,
            None => rule.process = Text::new(value.as_bytes()).ok_or(LONG)?,
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
    chance= peer= local= port= fd= family= name= process= connection= after=";

/// Whether something happens to the calls that it means.
fn acts(rule: &Rule) -> bool {
    rule.answer != Answer::Kernel
        || rule.what.0 != 0
        || rule.signal != 0
        || rule.short != 0
        || rule.split != 0
        || rule.bandwidth != 0
        || rule.delay_enter_ns != 0
        || rule.delay_exit_ns != 0
        || rule.latency_ns != 0
        || !rule.redirect.is_any()
        || !rule.resolve.is_empty()
}

/// Whether it is a rule of a filter: what is not known of a socket from one call to the next chooses none.
pub(super) fn chooses(rule: &Rule) -> Result<(), Why> {
    let counted = rule.first != 1 || rule.last != u32::MAX || rule.step != 1 || rule.chance != CERTAIN;
    if acts(rule) || counted || rule.after.is_some() || rule.connection != 0 || !rule.name.is_empty() {
        return Err("a filter only chooses calls, by functions and by peer= local= port= fd= family= process=");
    }
    Ok(())
}

/// What only shows when the whole rule is known.
pub(super) fn whole(rule: &Rule) -> Result<(), Why> {
    let all = |test: fn(Op) -> bool| rule.functions.iter().all(test);
    let moves = |op: Op| op.direction().is_some();
    let resolves = |op: Op| op.phase() == Phase::Resolve && op != Op::Getifaddrs;
    if !acts(rule) {
        return Err("nothing would happen; say what, such as error=ECONNREFUSED");
    }
    // `%resolve` names getifaddrs too, which resolves nothing: it is passed over.
    let names = rule.functions.iter().any(resolves) && all(|op| op.phase() == Phase::Resolve);
    if matches!(rule.answer, Answer::Resolver(_)) && !names {
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
    if rule.what.is(What(What::DROP.0 | What::DUPLICATE.0 | What::REORDER.0)) && !all(moves) {
        return Err("drop, duplicate and reorder are of functions that move bytes, such as sendto or %received");
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
    let (range, step) = match cut(value, b'+') {
        Some((range, "")) => (range, Some(1)),
        Some((range, step)) => (range, Some(small(step).filter(|n| *n > 0)?)),
        None => (value, None),
    };
    let (first, last) = match cut(range, b'.') {
        Some((first, last)) => (first, Some(small(last.strip_prefix('.')?)?)),
        None => (range, None),
    };
    rule.first = small(first).filter(|n| *n > 0)?;
    rule.last = last.unwrap_or(u32::MAX);
    rule.step = step.unwrap_or(u32::from(last.is_some()));
    (rule.last >= rule.first).then_some(())
}

/// A number in decimal digits.
pub(super) fn number(text: &str) -> Option<u64> {
    let digit = |sum: u64, b: u8| sum.checked_mul(10)?.checked_add(u64::from(b.checked_sub(b'0').filter(|d| *d < 10)?));
    (!text.is_empty()).then(|| text.bytes().try_fold(0, digit)).flatten()
}

fn small(text: &str) -> Option<u32> {
    number(text)?.try_into().ok()
}

/// A number with a unit; microseconds without, as strace has it.
fn time(value: &str) -> Result<u64, Why> {
    let units = [("ns", 1), ("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000), ("", 1_000)];
    let of = |(unit, ns): (&str, u64)| number(value.strip_suffix(unit)?)?.checked_mul(ns);
    let ns = units.into_iter().find_map(of);
    ns.filter(|ns| (1..=3_600_000_000_000).contains(ns))
        .ok_or("no time; such as 50ms, 2s, 100us, or microseconds without a unit; an hour at most")
}

fn bytes(value: &str) -> Option<u64> {
    let units = [("K", 10), ("k", 10), ("M", 20), ("m", 20), ("G", 30), ("g", 30), ("", 0)];
    units.into_iter().find_map(|(unit, shift)| number(value.strip_suffix(unit)?)?.checked_mul(1 << shift))
}

/// A percentage with at most four decimal places, in millionths.
fn chance(value: &str) -> Option<u32> {
    let digits = value.strip_suffix('%')?;
    let (whole, part) = cut(digits, b'.').unwrap_or((digits, ""));
    let mut fraction = if part.is_empty() { 0 } else { small(part).filter(|_| part.len() <= 4)? };
    for _ in part.len()..4 {
        fraction *= 10;
    }
    let millionths = small(whole)?.checked_mul(10_000)?.checked_add(fraction)?;
    (1..=CERTAIN).contains(&millionths).then_some(millionths)
}

/// An IP address, with or without a port, or a port alone.
fn place(value: &str) -> Option<Place> {
    let colon = value.as_bytes().iter().rposition(|b| *b == b':').filter(|_| !value.ends_with(']'));
    let (host, port) = match colon {
        Some(at) => (value.get(..at)?, u16::try_from(number(value.get(at + 1..)?)?).ok().filter(|n| *n > 0)?),
        None => (value, 0),
    };
    if host.is_empty() {
        return Some(Place { port, ..Place::ANY });
    }
    let ip = match host.strip_prefix('[') {
        Some(host) => ipv6(host.strip_suffix(']')?)?,
        None => ipv4(host)?,
    };
    Some(Place { ip, exact: true, port })
}

// The standard library's parsers could panic, as far as the compiler knows: see `parse`.

/// As IPv6 has it: ::ffff:a.b.c.d.
fn ipv4(text: &str) -> Option<[u8; 16]> {
    let mut ip = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0];
    let mut parts = text.as_bytes().split(|b| *b == b'.');
    for place in ip.iter_mut().skip(12) {
        let part = core::str::from_utf8(parts.next()?).ok()?;
        *place = number(part)?.try_into().ok().filter(|_| part.len() <= 3)?;
    }
    parts.next().is_none().then_some(ip)
}

/// Groups of hexadecimal digits, of which `::` stands for as many zeros as are missing.
fn ipv6(text: &str) -> Option<[u8; 16]> {
    let gap = text.as_bytes().windows(2).position(|pair| pair == b"::");
    let (front, back) = match gap {
        Some(at) => (text.get(..at)?, text.get(at + 2..)?),
        None => (text, ""),
    };
    let mut ip = [0; 16];
    let filled = groups(front, ip.iter_mut())?;
    // From the end backwards, so that what is missing is in the middle.
    let mut reversed = [0; 16];
    let behind = groups_backwards(back, reversed.iter_mut())?;
    ip.iter_mut().rev().zip(reversed).for_each(|(to, from)| *to |= from);
    let whole = filled + behind;
    (if gap.is_some() { whole <= 14 } else { whole == 16 }).then_some(ip)
}

fn group(part: &[u8]) -> Option<[u8; 2]> {
    let digit = |sum: u16, b: &u8| Some(sum << 4 | (*b as char).to_digit(16)? as u16);
    let value = part.iter().try_fold(0, digit).filter(|_| (1..=4).contains(&part.len()))?;
    Some(value.to_be_bytes())
}

/// Stores the groups of a text one after the other; how many bytes they have.
fn groups<'a>(text: &str, mut places: impl Iterator<Item = &'a mut u8>) -> Option<usize> {
    let mut bytes = 0;
    for part in text.as_bytes().split(|b| *b == b':').filter(|_| !text.is_empty()) {
        for byte in group(part)? {
            *places.next()? = byte;
            bytes += 1;
        }
    }
    Some(bytes)
}

/// The same from the last group to the first, each with its last byte first.
fn groups_backwards<'a>(text: &str, mut places: impl Iterator<Item = &'a mut u8>) -> Option<usize> {
    let mut bytes = 0;
    for part in text.as_bytes().split(|b| *b == b':').rev().filter(|_| !text.is_empty()) {
        for byte in group(part)?.into_iter().rev() {
            *places.next()? = byte;
            bytes += 1;
        }
    }
    Some(bytes)
}
