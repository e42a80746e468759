//! Faults on demand: the rules of a plan, and the text that they are written in.
//!
//! The tool reads the text to refuse what is wrong in it; the shim, which finds it in its environment, reads
//! it again by the same code. `docs/INJECT.md` tells the language for people. A filter is a plan whose rules only choose.

mod parse;
#[cfg(test)]
mod tests;
mod told;
mod words;

pub use parse::{Mistake, parse, parse_filter};
pub use told::Told;

use crate::op::{Op, Phase};

/// Most rules of one plan.
pub const MAX_RULES: usize = 32;

/// The rules of a plan, in order. The first that answers a call wins; delays add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    rules: [Rule; MAX_RULES],
    count: usize,
    /// What decides where a rule has a chance only: the same seed, the same faults.
    pub seed: u64,
}

impl Plan {
    /// A plan without rules.
    pub const EMPTY: Plan = Plan { rules: [Rule::EMPTY; MAX_RULES], count: 0, seed: 0 };

    /// The rules in order; people count them from 1.
    pub fn rules(&self) -> &[Rule] {
        self.rules.get(..self.count).unwrap_or(&[])
    }

    fn push(&mut self, rule: &Rule) -> bool {
        let place = self.rules.get_mut(self.count);
        let room = place.is_some();
        if let Some(place) = place {
            *place = *rule;
            self.count += 1;
        }
        room
    }

    /// The functions that any rule has to look at. Who counts bytes or sockets looks at all that move them.
    pub fn functions(&self) -> Functions {
        let mut all = Functions::NONE;
        for rule in self.rules() {
            all.join(&rule.functions);
            if rule.connection != 0 || rule.after.is_some() || rule.split != 0 {
                Op::ALL
                    .iter()
                    .filter(|op| op.direction().is_some() || op.base() == Op::Connect)
                    .for_each(|op| all.add(*op));
            }
            if rule.latency_ns != 0 || rule.what.is(What::REORDER) {
                Op::ALL.iter().filter(|op| op.direction().is_some()).for_each(|op| all.add(*op));
            }
            if !rule.name.is_empty() {
                all.add(Op::Getaddrinfo);
            }
        }
        all
    }
}

/// A set of functions, aliases included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Functions([u64; 3]);

impl Functions {
    /// None of them.
    pub const NONE: Functions = Functions([0; 3]);

    /// Adds the function that `op` is an alias of.
    pub fn add(&mut self, op: Op) {
        let number = op.base() as u16;
        if let Some(word) = self.0.get_mut(usize::from(number / 64)) {
            *word |= 1 << (number % 64);
        }
    }

    /// Adds every function that a plan may name.
    pub fn add_all(&mut self) {
        Op::ALL.iter().filter(|op| may_fail(**op)).for_each(|op| self.add(*op));
    }

    /// Adds those of another set.
    pub fn join(&mut self, other: &Functions) {
        self.0.iter_mut().zip(other.0).for_each(|(word, more)| *word |= more);
    }

    /// Whether the function that `op` is an alias of is one of them.
    pub fn has(&self, op: Op) -> bool {
        let number = op.base() as u16;
        self.0.get(usize::from(number / 64)).is_some_and(|word| word >> (number % 64) & 1 != 0)
    }

    /// The functions.
    pub fn iter(&self) -> impl Iterator<Item = Op> {
        let all = *self;
        Op::ALL.iter().copied().filter(move |op| op.base() == *op && all.has(*op))
    }
}

/// Whether a plan may touch calls of this function: those about sockets and names. How processes begin and end
/// is not the family's business.
pub fn may_fail(op: Op) -> bool {
    op.phase() != Phase::Process && !matches!(op.base(), Op::Closefrom | Op::Fcloseall | Op::GetaddrinfoA)
}

/// One rule: which calls, and what becomes of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Calls of these functions,
    pub functions: Functions,
    /// of which those that the conditions below are met for are counted from 1: the first that is meant,
    pub first: u32,
    /// the last,
    pub last: u32,
    /// and how far from one to the next; 0: the first alone.
    pub step: u32,
    /// Of those so many in a million.
    pub chance: u32,
    /// The other end.
    pub peer: Place,
    /// The socket's own end.
    pub local: Place,
    /// The port at either end, 0: any.
    pub port: u16,
    /// The descriptor.
    pub fd: Option<i32>,
    /// The address family of the socket, 0: any.
    pub family: u16,
    /// The number of the socket in its process, by its first connect or transfer; 0: any.
    pub connection: u32,
    /// The number of the process in the run, 0: any.
    pub process_number: u32,
    /// The name of the program's file; empty: any.
    pub process: Text,
    /// The name that is resolved, or that the peer's address came from; empty: any.
    pub name: Text,
    /// So many bytes have passed in the direction of the call.
    pub after: Option<u64>,
    /// How the call is answered, instead of by the kernel.
    pub answer: Answer,
    /// How long it waits before the kernel is asked,
    pub delay_enter_ns: u64,
    /// and after.
    pub delay_exit_ns: u64,
    /// The signal that the thread gets first, 0: none.
    pub signal: u8,
    /// Most bytes of a transfer, 0: as many as asked.
    pub short: u64,
    /// A place in the stream that no transfer passes over, 0: none.
    pub split: u64,
    /// Bytes in a second, 0: as fast as it goes.
    pub bandwidth: u64,
    /// How long an answer takes at least.
    pub latency_ns: u64,
    /// Where a connect goes instead.
    pub redirect: Place,
    /// What a name is resolved to instead: an address as text.
    pub resolve: Text,
    /// What happens besides.
    pub what: What,
}

impl Rule {
    /// Every call of no function, and nothing happens to it.
    pub const EMPTY: Rule = Rule {
        functions: Functions::NONE,
        first: 1,
        last: u32::MAX,
        step: 1,
        chance: CERTAIN,
        peer: Place::ANY,
        local: Place::ANY,
        port: 0,
        fd: None,
        family: 0,
        connection: 0,
        process_number: 0,
        process: Text::EMPTY,
        name: Text::EMPTY,
        after: None,
        answer: Answer::Kernel,
        delay_enter_ns: 0,
        delay_exit_ns: 0,
        signal: 0,
        short: 0,
        split: 0,
        bandwidth: 0,
        latency_ns: 0,
        redirect: Place::ANY,
        resolve: Text::EMPTY,
        what: What(0),
    };

    /// Whether the `n`th call that meets the conditions is meant: the same for the same seed.
    pub fn is_due(&self, index: usize, n: u32, seed: u64) -> bool {
        let far = n.wrapping_sub(self.first);
        let counted =
            n >= self.first && n <= self.last && if self.step == 0 { far == 0 } else { far.is_multiple_of(self.step) };
        counted
            && (self.chance >= CERTAIN || random(seed, index as u64, n) % u64::from(CERTAIN) < u64::from(self.chance))
    }
}

/// [`Rule::chance`] of what happens every time.
pub const CERTAIN: u32 = 1_000_000;

/// A number that depends on all three (splitmix64, by Sebastiano Vigna, public domain).
fn random(seed: u64, index: u64, n: u32) -> u64 {
    let mut z = seed ^ (index << 32 | u64::from(n)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for factor in [0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb] {
        z = (z ^ z >> 30).wrapping_mul(factor);
    }
    z ^ z >> 31
}

/// How a call is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// By the kernel.
    Kernel,
    /// It fails with this errno.
    Error(u16),
    /// Resolving fails with this EAI_ number.
    Resolver(i32),
    /// It returns this.
    Value(i64),
}

/// An address, or a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The IP address; IPv4 as ::ffff:a.b.c.d. All zero: any, unless `exact`.
    pub ip: [u8; 16],
    /// Whether `ip` counts.
    pub exact: bool,
    /// The port, 0: any.
    pub port: u16,
}

impl Place {
    /// Any address.
    pub const ANY: Place = Place { ip: [0; 16], exact: false, port: 0 };

    /// Whether it says nothing.
    pub fn is_any(&self) -> bool {
        !self.exact && self.port == 0
    }

    /// Takes a `sockaddr` apart. `None` if it is no IP address.
    pub fn of(sockaddr: &[u8]) -> Option<Place> {
        let port = u16::from_be_bytes(*sockaddr.get(2..)?.first_chunk()?);
        let mut ip = [0; 16];
        match u16::from_le_bytes(*sockaddr.first_chunk()?) {
            2 => {
                *ip.get_mut(10..12)?.first_chunk_mut()? = [0xff; 2];
                *ip.get_mut(12..)?.first_chunk_mut()? = *sockaddr.get(4..)?.first_chunk::<4>()?;
            }
            10 => ip = *sockaddr.get(8..)?.first_chunk()?,
            _ => return None,
        }
        Some(Place { ip, exact: true, port })
    }

    /// Whether `other` is what this one means.
    pub fn matches(&self, other: Option<&Place>) -> bool {
        self.is_any()
            || other.is_some_and(|other| {
                (!self.exact || self.ip == other.ip) && (self.port == 0 || self.port == other.port)
            })
    }

    /// A `sockaddr` for a socket of `family` and how long it is; `None` if it has no such address. A port that
    /// is not named is `port`.
    pub fn sockaddr(&self, family: u16, port: u16) -> Option<([u8; 28], usize)> {
        let mut out = [0; 28];
        let port = if self.port == 0 { port } else { self.port };
        *out.first_chunk_mut()? = family.to_le_bytes();
        *out.get_mut(2..)?.first_chunk_mut()? = port.to_be_bytes();
        let v4 = self.ip.starts_with(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]);
        match family {
            2 if v4 => {
                *out.get_mut(4..)?.first_chunk_mut()? = *self.ip.get(12..)?.first_chunk::<4>()?;
                Some((out, 16))
            }
            10 => {
                *out.get_mut(8..)?.first_chunk_mut()? = self.ip;
                Some((out, 28))
            }
            _ => None,
        }
    }
}

/// A short text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    bytes: [u8; 64],
    len: u8,
}

impl Text {
    /// No text.
    pub const EMPTY: Text = Text { bytes: [0; 64], len: 0 };

    /// `None` if it is too long: a zero byte always follows.
    pub fn new(text: &[u8]) -> Option<Text> {
        let mut bytes = [0; 64];
        if text.len() >= bytes.len() {
            return None;
        }
        bytes.get_mut(..text.len())?.copy_from_slice(text);
        Some(Text { bytes, len: text.len() as u8 })
    }

    /// The text.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// The text with a zero byte behind it.
    pub fn with_zero(&self) -> &[u8] {
        self.bytes.get(..=usize::from(self.len)).unwrap_or(&[0])
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// What a fault did, added up: for a rule what it is to do besides answering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct What(pub u32);

impl What {
    /// The call failed with an errno.
    pub const ERROR: What = What(1);
    /// It returned a value, or resolving failed with one.
    pub const VALUE: What = What(2);
    /// It waited.
    pub const DELAY: What = What(4);
    /// Its thread got a signal.
    pub const SIGNAL: What = What(8);
    /// It was cut short.
    pub const SHORT: What = What(16);
    /// The connection was reset, which its peer sees too.
    pub const RESET: What = What(32);
    /// The direction was ended.
    pub const HALF_CLOSE: What = What(64);
    /// From then on nothing of the peer arrives.
    pub const SILENCE: What = What(128);
    /// A datagram was lost.
    pub const DROP: What = What(256);
    /// A datagram came twice.
    pub const DUPLICATE: What = What(512);
    /// A datagram came behind the next one.
    pub const REORDER: What = What(1024);
    /// It went to another address.
    pub const REDIRECT: What = What(2048);
    /// A name was resolved to another address.
    pub const RESOLVE: What = What(4096);

    /// Every one, with the word that people read.
    pub const ALL: [(What, &'static str); 13] = [
        (What::ERROR, "failed"),
        (What::VALUE, "answered"),
        (What::DELAY, "delayed"),
        (What::SIGNAL, "signal"),
        (What::SHORT, "cut short"),
        (What::RESET, "reset"),
        (What::HALF_CLOSE, "half-closed"),
        (What::SILENCE, "peer silenced"),
        (What::DROP, "lost"),
        (What::DUPLICATE, "doubled"),
        (What::REORDER, "overtaken"),
        (What::REDIRECT, "redirected"),
        (What::RESOLVE, "resolved otherwise"),
    ];

    /// Whether `other` is part of it.
    pub fn is(self, other: What) -> bool {
        self.0 & other.0 != 0
    }
}

impl core::ops::BitOrAssign for What {
    fn bitor_assign(&mut self, other: What) {
        self.0 |= other.0;
    }
}
