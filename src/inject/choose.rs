//! Which rules mean a call.

use super::flows::{self, RECEIVED, SENT};
use super::{Loaded, Words, datagram, pointer};
use crate::recorder::{descriptors, may_ask, plain};
use crate::sys::{self, End};
use core::cell::Cell;
use core::ffi::{CStr, c_char, c_int};
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use sockshim_format::op::{Direction, Op, Phase};
use sockshim_format::plan::{self, Place, Plan, Rule};

/// What is known of a call before the kernel is asked. Addresses are asked only where a rule wants them.
pub struct Facts {
    op: Op,
    words: Words,
    pub fd: c_int,
    pub socket: u64,
    peer: Cell<Option<Option<Place>>>,
    local: Cell<Option<Option<Place>>>,
}

impl Facts {
    /// The facts of a call whose arguments these are.
    pub fn of(op: Op, words: &Words) -> Facts {
        let stream = matches!(
            op.base(),
            Op::Fclose | Op::Pclose | Op::Freopen | Op::AioRead | Op::AioWrite | Op::CloseRange | Op::PidfdGetfd
        );
        let fd = if op.names_descriptor() && !stream { words.first().map_or(-1, |word| *word as c_int) } else { -1 };
        let (peer, local) = (Cell::new(None), Cell::new(None));
        Facts { op, words: *words, fd, socket: descriptors::last_known(fd), peer, local }
    }

    /// Whether a rule's words about the socket hold: its ends and its family.
    pub fn is_at(&self, rule: &Rule) -> bool {
        let port = |place: Option<Place>| place.is_some_and(|place| place.port == rule.port);
        (rule.peer.is_any() || rule.peer.matches(self.peer().as_ref()))
            && (rule.local.is_any() || rule.local.matches(self.local().as_ref()))
            && (rule.port == 0 || port(self.peer()) || port(self.local()))
            && (rule.family == 0 || self.family() == Some(rule.family.into()))
    }

    /// Whether it is the descriptor that a rule names, if it names one.
    pub fn is_fd(&self, rule: &Rule) -> bool {
        rule.fd.is_none_or(|fd| fd == self.fd)
    }

    /// Whether the other end is known: to whom it is connected stays so.
    pub fn has_peer(&self) -> bool {
        self.peer.get().flatten().is_some()
    }

    fn family(&self) -> Option<c_int> {
        match self.op.base() {
            Op::Socket | Op::Socketpair => self.words.first().map(|word| *word as c_int),
            _ if self.fd < 0 || !may_ask() => None,
            _ => sys::getsockopt_int(self.fd, libc::SOL_SOCKET, libc::SO_DOMAIN).ok(),
        }
    }

    fn asked(&self, end: End) -> Option<Place> {
        if self.fd < 0 || !may_ask() {
            return None;
        }
        Place::of(sys::socket_address(self.fd, end, &mut MaybeUninit::uninit())?)
    }

    /// The address that the program gives, if the function takes one.
    fn given(&self) -> Option<Place> {
        let at = match self.op.base() {
            Op::Connect => 1,
            Op::Sendto => 4,
            _ => return None,
        };
        let mut copy = [0; 28];
        let got = sys::memory::copy_checked(pointer(&self.words, at), &mut copy);
        Place::of(copy.get(..got)?)
    }

    fn peer(&self) -> Option<Place> {
        let listens = matches!(self.op.base(), Op::Accept | Op::Accept4 | Op::Listen | Op::Bind);
        let find = || self.given().or_else(|| if listens { None } else { self.asked(End::Peer) });
        once(&self.peer, find)
    }

    fn local(&self) -> Option<Place> {
        once(&self.local, || self.asked(End::Local))
    }

    fn way(&self) -> usize {
        if self.op.direction() == Some(Direction::Sent) { SENT } else { RECEIVED }
    }

    /// Of others than the Internet's, what is received may hold descriptors, which cannot be lost.
    fn is_datagram(&self) -> bool {
        let sends = self.op.direction() == Some(Direction::Sent);
        sys::getsockopt_int(self.fd, libc::SOL_SOCKET, libc::SO_TYPE) == Ok(libc::SOCK_DGRAM)
            && (sends || matches!(self.family(), Some(libc::AF_INET | libc::AF_INET6)))
    }

    /// The name that is resolved, where it is the function's business.
    fn name(&self) -> Option<&CStr> {
        let at = match self.op.base() {
            Op::ResNquery | Op::ResNsearch | Op::ResNquerydomain => 1,
            Op::Getnameinfo | Op::Gethostbyaddr | Op::GethostbyaddrR | Op::ResSend | Op::ResNsend | Op::Getifaddrs => {
                return None;
            }
            op if op.phase() == Phase::Resolve => 0,
            _ => return None,
        };
        let name: *const c_char = pointer(&self.words, at);
        // SAFETY: libc is going to read the name to its zero byte itself.
        (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) })
    }
}

fn once(place: &Cell<Option<Option<Place>>>, find: impl FnOnce() -> Option<Place>) -> Option<Place> {
    let found = place.get().unwrap_or_else(find);
    place.set(Some(found));
    found
}

/// The rules that mean a call, and how much of it may pass.
pub struct Chosen {
    bits: u32,
    /// The rule, and the bytes.
    pub limit: Option<(usize, u64)>,
}

impl Chosen {
    /// The rules, each with its place in the plan.
    pub fn rules<'a>(&self, plan: &'a Plan) -> impl Iterator<Item = (usize, &'a Rule)> + use<'a> {
        let bits = self.bits;
        plan.rules().iter().enumerate().filter(move |(index, _)| bits >> index & 1 != 0)
    }

    fn limit(&mut self, index: usize, most: u64) {
        if self.limit.is_none_or(|(_, before)| most < before) {
            self.limit = Some((index, most));
        }
    }
}

/// Looks for them, and counts the call.
pub(super) fn choose(loaded: &Loaded, facts: &Facts) -> Chosen {
    let mut chosen = Chosen { bits: 0, limit: None };
    let flow =
        if facts.op.direction().is_some() || facts.op.base() == Op::Connect { flows::of(facts.socket) } else { None };
    let passed = flow.map_or(0, |flow| flow.passed(facts.way()));
    let number = flow.map_or(0, |flow| flow.number.load(Relaxed));
    for (index, rule) in loaded.plan.rules().iter().enumerate() {
        if loaded.elsewhere >> index & 1 != 0
            || !rule.functions.has(facts.op)
            || (facts.op == Op::Getifaddrs && matches!(rule.answer, plan::Answer::Resolver(_)))
            || (rule.process_number != 0 && rule.process_number != plain::process().load(Relaxed))
            || (rule.connection != 0 && rule.connection != number)
            || !is_there(rule, index, facts)
            || (rule.what.is(datagram::ALL) && !facts.is_datagram())
        {
            continue;
        }
        match rule.after {
            Some(after) if passed < after => {
                chosen.limit(index, after - passed);
                continue;
            }
            _ => {}
        }
        if !rule.is_due(index, loaded.count(index), loaded.plan.seed) {
            continue;
        }
        chosen.bits |= 1 << index;
        if rule.short != 0 {
            chosen.limit(index, rule.short);
        }
        if rule.split > passed {
            chosen.limit(index, rule.split - passed);
        }
        if rule.bandwidth != 0 {
            // A tenth of a second at a time, or one large write would pass at once.
            chosen.limit(index, (rule.bandwidth / 10).max(1));
        }
    }
    remember(loaded, facts);
    chosen
}

fn is_there(rule: &Rule, index: usize, facts: &Facts) -> bool {
    facts.is_at(rule)
        && facts.is_fd(rule)
        && (rule.name.is_empty()
            || match facts.name() {
                Some(name) => name.to_bytes() == rule.name.bytes(),
                None => facts.peer().is_some_and(|peer| came_from(peer, index)),
            })
}

/// Whether this program is none of those that each rule names, a bit for each.
pub fn elsewhere(plan: &Plan) -> u32 {
    let (mut exe, mut arguments) = ([0; 512], [0; 512]);
    let exe = file_name(sys::readlink(c"/proc/self/exe", &mut exe));
    let fd = sys::open(c"/proc/self/cmdline", libc::O_RDONLY, 0);
    let got = sys::read_start(fd, &mut arguments).max(0) as usize;
    sys::close(fd);
    let called = arguments.get(..got).unwrap_or(&[]).split(|b| *b == 0).next().unwrap_or(&[]);
    let called = file_name(called);
    let named = |rule: &Rule| rule.process.is_empty() || [exe, called].contains(&rule.process.bytes());
    let numbered = plan.rules().iter().enumerate().filter(|(_, rule)| !named(rule));
    numbered.fold(0, |bits, (index, _)| bits | 1 << index)
}

fn file_name(path: &[u8]) -> &[u8] {
    path.rsplit(|b| *b == b'/').next().unwrap_or(path)
}

/// Addresses that names of rules were resolved to: the address, and the rules, a bit each.
struct Answer {
    ip: [AtomicU64; 2],
    rules: AtomicU32,
}

#[unsafe(link_section = ".bss.table")]
static ANSWERS: [Answer; 64] =
    [const { Answer { ip: [AtomicU64::new(0), AtomicU64::new(0)], rules: AtomicU32::new(0) } }; 64];
static NEXT_ANSWER: AtomicU32 = AtomicU32::new(0);

fn halves(ip: [u8; 16]) -> [u64; 2] {
    let whole = u128::from_ne_bytes(ip);
    [whole as u64, (whole >> 64) as u64]
}

/// Notes which rules name the name that is being resolved, for the addresses that come of it.
fn remember(loaded: &Loaded, facts: &Facts) {
    if let Some(name) = facts.name() {
        let meant = |rule: &Rule| !rule.name.is_empty() && rule.name.bytes() == name.to_bytes();
        let numbered = loaded.plan.rules().iter().enumerate().filter(|(_, rule)| meant(rule));
        RESOLVING.store(numbered.fold(0, |bits, (index, _)| bits | 1 << index), Relaxed);
    }
}

/// The rules that name what was resolved last.
static RESOLVING: AtomicU32 = AtomicU32::new(0);

/// A name was resolved to this address.
pub fn resolved(place: Place) {
    let rules = RESOLVING.load(Relaxed);
    if rules == 0 {
        return;
    }
    let at = NEXT_ANSWER.fetch_add(1, Relaxed) as usize % ANSWERS.len();
    if let Some(answer) = ANSWERS.get(at) {
        answer.ip.iter().zip(halves(place.ip)).for_each(|(to, half)| to.store(half, Relaxed));
        answer.rules.store(rules, Relaxed);
    }
}

fn came_from(peer: Place, index: usize) -> bool {
    let wanted = halves(peer.ip);
    ANSWERS.iter().any(|answer| {
        answer.rules.load(Relaxed) >> index & 1 != 0
            && answer.ip.iter().zip(wanted).all(|(half, wanted)| half.load(Relaxed) == wanted)
    })
}
