//! Faults on demand: what stands between a hook and its next definition where the user has a plan, and answers
//! for the kernel, or changes what it is asked. The one exception to the rules of this library: see its head.
//!
//! ```text
//! choose     which rules mean this call       flows    what has passed on each socket
//! change     shorter, elsewhere, otherwise    kernel   system calls that faults need
//! datagram   sent: lost, twice, late               received  the same
//! ```
//! A plan is the text of `SOCKSHIM_INJECT`, read once into a page of its own. Each process counts for itself from
//! the moment that it begins, a forked child too, as strace does it.

mod change;
pub mod choose;
mod datagram;
mod flows;
mod kernel;
mod received;

use crate::next;
use crate::recorder::{may_ask, plain, taken, verdict};
use crate::sys;
use choose::{Chosen, Facts};
use core::ffi::{CStr, c_int, c_void};
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering::*};
use flows::{RECEIVED, SENT};
use received::Receiving;
use sockshim_format::op::{Direction, Op, Phase};
use sockshim_format::plan::{self, Answer, Functions, MAX_RULES, Plan, Rule, What, parse};
use sockshim_format::record::Injected;

/// The eight words that a function's arguments come in: more than any row has.
pub type Words = [usize; 8];
/// A next definition, whatever its prototype: in the calling convention of this machine an argument too many is
/// not looked at.
type Next = unsafe extern "C-unwind" fn(usize, usize, usize, usize, usize, usize, usize, usize) -> usize;

/// A plan that is followed.
struct Loaded {
    plan: Plan,
    /// The functions that have to pass here.
    functions: Functions,
    /// How many calls each rule has counted,
    counts: [AtomicU32; MAX_RULES],
    /// in the process of this number.
    process: AtomicU32,
    /// Of the plan's rules those that are about another program, a bit each.
    elsewhere: u32,
}

/// The plan, null without one. Never freed: another thread may be reading it.
static PLAN: AtomicPtr<Loaded> = AtomicPtr::new(core::ptr::null_mut());

/// A word of a plan that is none.
pub struct Mistake<'a> {
    pub word: &'a [u8],
    pub why: &'static str,
}

/// Follows the plan from now on.
pub fn install(text: &CStr) -> Result<(), Mistake<'_>> {
    let plan = read(text, parse)?;
    let place = keep(Loaded {
        functions: plan.functions(),
        counts: [const { AtomicU32::new(0) }; MAX_RULES],
        process: AtomicU32::new(0),
        elsewhere: choose::elsewhere(&plan),
        plan,
    });
    if place.is_null() {
        return Err(Mistake { word: text.to_bytes(), why: "too much: there is no memory" });
    }
    PLAN.store(place, Release);
    verdict::planned(true);
    Ok(())
}

/// Reads a plan or a filter.
pub fn read(text: &CStr, parse: fn(&str) -> Result<Plan, plan::Mistake>) -> Result<Plan, Mistake<'_>> {
    let bytes = text.to_bytes();
    let text = core::str::from_utf8(bytes).map_err(|_| Mistake { word: bytes, why: "no UTF-8" })?;
    parse(text).map_err(|mistake| Mistake { word: bytes.get(mistake.at).unwrap_or(bytes), why: mistake.why })
}

/// Keeps something for ever, in memory of its own; null if there is none.
pub fn keep<T>(what: T) -> *mut T {
    let place = sys::mmap(size_of::<T>(), libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1).cast::<T>();
    if !place.is_null() {
        // SAFETY: mapped just now, aligned to a page, large enough, and nobody else's yet.
        unsafe { place.write(what) };
    }
    place
}

/// Follows none any more.
pub fn clear() {
    PLAN.store(core::ptr::null_mut(), Release);
    verdict::planned(false);
}

fn loaded() -> Option<&'static Loaded> {
    // SAFETY: null, or a plan that `install` has written and that stays mapped.
    unsafe { PLAN.load(Acquire).as_ref() }
}

/// Whether there is a plan.
#[inline(always)]
pub fn is_there() -> bool {
    !PLAN.load(Relaxed).is_null()
}

/// Whether calls of this function have to pass here.
pub fn concerns(op: Op) -> bool {
    loaded().is_some_and(|loaded| loaded.functions.has(op))
}

impl Loaded {
    /// Counts a call for a rule. A process that has just begun begins at 1.
    fn count(&self, index: usize) -> u32 {
        let now = plain::process().load(Relaxed);
        if self.process.swap(now, Relaxed) != now {
            self.counts.iter().for_each(|count| count.store(0, Relaxed));
        }
        self.counts.get(index).map_or(0, |count| count.fetch_add(1, Relaxed).wrapping_add(1))
    }
}

/// Calls a next definition.
unsafe fn call(next: usize, words: &Words) -> usize {
    let [a, b, c, d, e, f, g, h] = *words;
    // SAFETY: the caller's promise: a function whose arguments these are.
    unsafe { core::mem::transmute::<usize, Next>(next)(a, b, c, d, e, f, g, h) }
}

/// Stands between a hook and its next definition.
///
/// # Safety
/// `next` is a function of the kind of `op`, and `words` are its arguments; `recorder::gate` has said yes.
pub unsafe fn around(op: Op, next: usize, words: Words) -> usize {
    // SAFETY: the caller's promise.
    unsafe {
        let (Some(loaded), Some(seq)) = (loaded(), verdict::entered()) else { return call(next, &words) };
        if !may_ask() {
            // Most faults take system calls, which a filter that the program has installed may kill it for.
            return call(next, &words);
        }
        let facts = Facts::of(op, &words);
        let chosen = choose::choose(loaded, &facts);
        let mut fault = Fault { op, next, words, seq, facts, loaded };
        fault.run(&chosen)
    }
}

/// A call on its way.
struct Fault {
    op: Op,
    next: usize,
    words: Words,
    seq: u32,
    facts: Facts,
    loaded: &'static Loaded,
}

impl Fault {
    unsafe fn run(&mut self, chosen: &Chosen) -> usize {
        let mut answer = None;
        let (mut datagram, mut by) = (What(0), 0);
        let receives = self.op.direction() == Some(Direction::Received);
        let mut changed = change::Copies::new();
        // SAFETY: see `around`; our own copies live until the next definition has returned.
        unsafe {
            for (index, rule) in chosen.rules(&self.loaded.plan) {
                let mut injected = Injected { rule: index as u32 + 1, what: 0, value: 0, delay_ns: 0 };
                self.before(rule, &mut injected);
                if answer.is_none() {
                    answer = self.answer(rule, &mut injected);
                }
                if answer.is_none() {
                    changed.elsewhere(self.op, &mut self.words, rule, &mut injected);
                    let here = rule.what.0 & datagram::ALL.0;
                    if here != 0 {
                        (datagram.0, by) = (datagram.0 | here, index);
                    }
                    // What becomes of one that is received is told when it is there.
                    injected.what |= if receives { 0 } else { here };
                }
                // Before the program waits, or a signal ends it.
                self.tell(&injected);
                self.wait_and_signal(rule);
            }
            if let Some(answer) = answer {
                if matches!(self.op.base(), Op::Close | Op::Fclose) {
                    self.close_all_the_same();
                }
                self.delay(chosen, 0);
                if receives && answer as isize > 0 {
                    // The hook counts what it is told, and the kernel has given nothing.
                    taken::add(self.facts.fd, answer.wrapping_neg());
                }
                return answer;
            }
            if let Some((index, most)) = chosen.limit
                && changed.shorten(self.op, &mut self.words, most)
            {
                let what = What::SHORT.0;
                self.tell(&Injected { rule: index as u32 + 1, what, value: most as i64, delay_ns: 0 });
            }
            let ret = if receives { self.receive(datagram, by) } else { self.send(datagram) };
            changed.give_back();
            self.passed(ret, chosen);
            ret
        }
    }

    /// A close that fails has given the number back, on Linux (close(2)): one that is made to fail does so too, or
    /// each would be a leak.
    unsafe fn close_all_the_same(&self) {
        let errno = next::errno();
        // SAFETY: see `around`.
        unsafe { call(self.next, &self.words) };
        next::set_errno(errno);
    }

    unsafe fn tell(&self, injected: &Injected) {
        if injected.what != 0 {
            // SAFETY: see `around`.
            unsafe { verdict::tell(self.seq, injected) }
        }
    }

    /// How long a call waits before the kernel is asked.
    fn delay_of(&self, rule: &Rule) -> u64 {
        rule.delay_enter_ns + if self.op.base() == Op::Connect { rule.latency_ns } else { 0 }
    }

    fn wait_and_signal(&self, rule: &Rule) {
        let wait = self.delay_of(rule);
        if wait != 0 {
            kernel::sleep(wait);
        }
        if rule.signal != 0 {
            kernel::raise(rule.signal);
        }
    }

    /// What a rule does before the kernel is asked, if it is.
    fn before(&self, rule: &Rule, injected: &mut Injected) {
        injected.delay_ns = self.delay_of(rule) + rule.delay_exit_ns;
        if injected.delay_ns != 0 {
            injected.what |= What::DELAY.0;
        }
        if rule.signal != 0 {
            injected.what |= What::SIGNAL.0;
            injected.value = rule.signal.into();
        }
        let fd = self.facts.fd;
        if rule.what.is(What::RESET) {
            injected.what |= What::RESET.0;
            kernel::reset(fd);
        }
        if rule.what.is(What::HALF_CLOSE) {
            let sends = self.op.direction() == Some(Direction::Sent);
            injected.what |= What::HALF_CLOSE.0;
            kernel::shutdown(fd, if sends { libc::SHUT_WR } else { libc::SHUT_RD });
        }
        if rule.what.is(What::SILENCE) && kernel::silence(fd) {
            injected.what |= What::SILENCE.0;
        }
    }

    /// How a rule answers instead of the kernel, if it does.
    unsafe fn answer(&self, rule: &Rule, injected: &mut Injected) -> Option<usize> {
        let end = rule.what.is(What::HALF_CLOSE) && self.op.direction() == Some(Direction::Received);
        let answer = match rule.answer {
            Answer::Kernel if rule.what.is(What::RESET) => Answer::Error(libc::ECONNRESET as u16),
            Answer::Kernel if end => Answer::Value(0),
            answer => answer,
        };
        // SAFETY: see `around`.
        unsafe {
            match answer {
                Answer::Kernel => None,
                Answer::Error(errno) => {
                    injected.what |= What::ERROR.0;
                    injected.value = errno.into();
                    Some(self.fail(errno.into(), None))
                }
                Answer::Resolver(code) => {
                    injected.what |= What::VALUE.0;
                    injected.value = code.into();
                    Some(self.fail(0, Some(code)))
                }
                Answer::Value(value) => {
                    let value = change::most(self.op, &self.words, value);
                    injected.what |= What::VALUE.0;
                    injected.value = value;
                    Some(value as usize)
                }
            }
        }
    }

    /// The result of a call that has failed, as the manual page of its function has it.
    unsafe fn fail(&self, errno: c_int, resolver: Option<c_int>) -> usize {
        if errno != 0 {
            next::set_errno(errno);
        }
        let failed = -1isize as usize;
        match self.op.base() {
            Op::Getaddrinfo | Op::Getnameinfo => resolver.unwrap_or(libc::EAI_SYSTEM) as usize,
            op if op.phase() == Phase::Resolve && op != Op::Getifaddrs => {
                // SAFETY: see `around`.
                unsafe { change::host_not_found(op, &self.words, errno, resolver) }
            }
            Op::Fdopen | Op::Freopen => 0,
            _ => failed,
        }
    }

    /// Asks the next definition: not at all for a datagram that is lost, twice for one that comes twice.
    unsafe fn send(&self, datagram: What) -> usize {
        // SAFETY: see `around`.
        unsafe {
            if datagram.is(What::DROP) {
                return change::asked(self.op, &self.words) as usize;
            }
            if datagram.is(What::REORDER) && datagram::hold(self.op, &self.words) {
                return change::asked(self.op, &self.words) as usize;
            }
            let ret = call(self.next, &self.words);
            if datagram.is(What::DUPLICATE) && ret as isize >= 0 {
                return call(self.next, &self.words);
            }
            if self.op.direction() == Some(Direction::Sent) && ret as isize >= 0 {
                datagram::release(self.facts.fd);
            }
            ret
        }
    }

    /// Asks the next definition for a datagram as it is received, or not.
    unsafe fn receive(&self, datagram: What, by: usize) -> usize {
        let Fault { op, ref words, ref facts, next, .. } = *self;
        let receiving = Receiving { op, fd: facts.fd, socket: facts.socket, words };
        // SAFETY: see `around`.
        let tell = |What(what)| unsafe { self.tell(&Injected { rule: by as u32 + 1, what, value: 0, delay_ns: 0 }) };
        // SAFETY: see `around`.
        unsafe { receiving.ask(datagram, |words| call(next, words), tell) }
    }

    /// Counts what has passed, and waits where a rule is slow.
    unsafe fn passed(&self, ret: usize, chosen: &Chosen) {
        if self.op.base() == Op::Getaddrinfo && ret as c_int == 0 {
            // SAFETY: see `around`.
            unsafe { change::answers(&self.words, choose::resolved) };
        }
        let Some(direction) = self.op.direction() else { return self.delay(chosen, 0) };
        let several = matches!(self.op.base(), Op::Sendmmsg | Op::Recvmmsg | Op::Dprintf);
        // `int` comes back in the lower half of a word.
        let bytes = if several { 0 } else { (ret as isize).max(0) as u64 };
        let mut wait = 0;
        if let Some(flow) = flows::of(self.facts.socket) {
            let way = if direction == Direction::Sent { SENT } else { RECEIVED };
            let turned = bytes > 0 && flow.turn(way);
            if !change::peeks(self.op, &self.words) {
                flow.add(way, bytes);
            }
            for (index, rule) in chosen.rules(&self.loaded.plan) {
                let mut slow = if rule.bandwidth != 0 { flow.pace(way, bytes, rule.bandwidth) } else { 0 };
                if turned && way == RECEIVED {
                    slow += rule.latency_ns;
                }
                if slow != 0 {
                    let what = What::DELAY.0;
                    // SAFETY: see `around`.
                    unsafe { self.tell(&Injected { rule: index as u32 + 1, what, value: 0, delay_ns: slow }) };
                    wait += slow;
                }
            }
        }
        self.delay(chosen, wait);
    }

    /// Waits after the call; errno stays as it is, for a system call of ours does not touch it.
    fn delay(&self, chosen: &Chosen, more_ns: u64) {
        let wait: u64 = chosen.rules(&self.loaded.plan).map(|(_, rule)| rule.delay_exit_ns).sum();
        if wait + more_ns != 0 {
            kernel::sleep(wait + more_ns);
        }
    }
}

/// A pointer among the words.
fn pointer<T>(words: &Words, index: usize) -> *mut T {
    words.get(index).copied().unwrap_or(0) as *mut c_void as *mut T
}
