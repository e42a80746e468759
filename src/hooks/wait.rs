//! Waiting for readiness. What ended the wait is told, so that waiting can be charged to it.

use crate::next::{Fn1, Fn3, Fn4, Fn5, Fn6};
use crate::recorder::call::{Call, Row};
use crate::recorder::{descriptors, may_ask};
use crate::sys;
use core::ffi::c_int;
use libc::{POLLIN, POLLOUT, POLLPRI, epoll_event, fd_set, nfds_t, pollfd, sigset_t, timespec, timeval};
use sockshim_format::record::{KIND_READY, Ready};

/// Descriptors that one wait tells of at most.
const MOST: usize = 40;
/// Descriptors that go into one record: the list is on the stack of whoever calls, which may be a
/// signal handler on a small stack of its own.
const BATCH: usize = 8;

/// The descriptors that a wait ended with, on their way into records.
struct List<'a> {
    call: &'a Call,
    bytes: [u8; BATCH * Ready::SIZE],
    len: usize,
    told: usize,
}

impl List<'_> {
    fn new(call: &Call) -> List<'_> {
        List { call, bytes: [0; BATCH * Ready::SIZE], len: 0, told: 0 }
    }

    fn add(&mut self, fd: c_int, events: u32, data: u64) {
        let Some(socket) = descriptors::listed(fd).filter(|_| self.told < MOST) else { return };
        self.told += 1;
        if let Some(place) = self.bytes.get_mut(self.len..self.len + Ready::SIZE) {
            place.copy_from_slice(&Ready { fd, events, data, socket }.to_bytes());
            self.len += Ready::SIZE;
        }
        if self.len == self.bytes.len() {
            self.tell();
        }
    }

    fn tell(&mut self) {
        if self.len > 0 {
            // SAFETY: our own bytes; the call was entered by this thread.
            unsafe { self.call.extend(KIND_READY, 0, self.bytes.get(..self.len).unwrap_or(&[])) };
            self.len = 0;
        }
    }
}

/// A timeout in milliseconds, rounded up; -1 for none. Only for the record: the pointer is read
/// after the call, when the kernel has read it.
unsafe fn milliseconds(seconds: i64, nanoseconds: i64) -> u32 {
    let ms = seconds.saturating_mul(1000).saturating_add((nanoseconds + 999_999) / 1_000_000);
    ms.clamp(0, i32::MAX as i64) as u32
}

pub(super) unsafe fn of_timespec(timeout: *const timespec) -> u32 {
    if timeout.is_null() {
        return u32::MAX;
    }
    // SAFETY: the caller says that the kernel has read it.
    unsafe { milliseconds((*timeout).tv_sec, (*timeout).tv_nsec) }
}

#[inline(never)]
pub(super) unsafe fn polled(call: &Call, fds: *const pollfd, count: nfds_t, ret: c_int) {
    if ret <= 0 || fds.is_null() {
        return;
    }
    let mut list = List::new(call);
    // SAFETY: the kernel has just read and written `count` entries.
    for entry in unsafe { core::slice::from_raw_parts(fds, count as usize) } {
        if entry.revents != 0 {
            list.add(entry.fd, entry.revents as u16 as u32, 0);
        }
    }
    list.tell();
}

pub unsafe fn poll(
    row: Row,
    next: Fn3<*mut pollfd, nfds_t, c_int, c_int>,
    fds: *mut pollfd,
    count: nfds_t,
    timeout: c_int,
) -> c_int {
    // SAFETY: see the module's parent; the caller's own arguments.
    unsafe {
        let call = Call::enter(row, timeout as u32, count);
        call.announce(|| timeout != 0);
        let ret = next(fds, count, timeout);
        polled(&call, fds, count, ret);
        call.leave(ret)
    }
}

/// `__poll_chk`: what gcc makes of `poll` with _FORTIFY_SOURCE.
pub unsafe fn poll_chk(
    row: Row,
    next: Fn4<*mut pollfd, nfds_t, c_int, usize, c_int>,
    fds: *mut pollfd,
    count: nfds_t,
    timeout: c_int,
    capacity: usize,
) -> c_int {
    // SAFETY: see the module's parent; the caller's own arguments.
    unsafe {
        let call = Call::enter(row, timeout as u32, count);
        call.announce(|| timeout != 0);
        let ret = next(fds, count, timeout, capacity);
        polled(&call, fds, count, ret);
        call.leave(ret)
    }
}

pub unsafe fn ppoll(
    row: Row,
    next: Fn4<*mut pollfd, nfds_t, *const timespec, *const sigset_t, c_int>,
    fds: *mut pollfd,
    count: nfds_t,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: see the module's parent; the caller's own arguments.
    unsafe {
        let mut call = Call::enter(row, u32::MAX, count);
        call.announce(|| true);
        let ret = next(fds, count, timeout, mask);
        if ret >= 0 {
            call.set_arg(of_timespec(timeout));
        }
        polled(&call, fds, count, ret);
        call.leave(ret)
    }
}

/// `__ppoll_chk`: what gcc makes of `ppoll` with _FORTIFY_SOURCE.
pub unsafe fn ppoll_chk(
    row: Row,
    next: Fn5<*mut pollfd, nfds_t, *const timespec, *const sigset_t, usize, c_int>,
    fds: *mut pollfd,
    count: nfds_t,
    timeout: *const timespec,
    mask: *const sigset_t,
    capacity: usize,
) -> c_int {
    // SAFETY: see the module's parent; the caller's own arguments.
    unsafe {
        let mut call = Call::enter(row, u32::MAX, count);
        call.announce(|| true);
        let ret = next(fds, count, timeout, mask, capacity);
        if ret >= 0 {
            call.set_arg(of_timespec(timeout));
        }
        polled(&call, fds, count, ret);
        call.leave(ret)
    }
}

/// The members of one of `select`'s sets. The kernel looks at no more bits than the process has
/// descriptors, so `count` may reach beyond the program's memory: read by a copy that cannot fault,
/// unless the set ends in the page that it begins in.
#[inline(never)]
unsafe fn members(list: &mut List<'_>, count: c_int, set: *const fd_set, event: i16) {
    /// Words that are looked at together, and descriptors that are looked at at all.
    const WORDS: usize = 16;
    const DESCRIPTORS: usize = 4096;
    let bits = (count.max(0) as usize).min(DESCRIPTORS);
    let in_page = bits.div_ceil(64) * 8 <= 4096 - (set as usize & 4095);
    if set.is_null() || !(in_page || may_ask()) {
        return;
    }
    for first in (0..bits).step_by(WORDS * 64) {
        let mut words = [0u64; WORDS];
        let bytes = ((bits - first).div_ceil(64) * 8).min(size_of_val(&words));
        // SAFETY: `words` has room; a set whose first word the kernel wrote can be read to the end
        // of its page, and anything else is copied checked.
        unsafe {
            let from = set.cast::<u8>().add(first / 8);
            if in_page {
                core::ptr::copy_nonoverlapping(from, words.as_mut_ptr().cast::<u8>(), bytes);
            } else {
                let to = core::slice::from_raw_parts_mut(words.as_mut_ptr().cast::<u8>(), bytes);
                sys::memory::copy_checked(from.cast(), to);
            }
        }
        for (at, word) in words.iter_mut().enumerate() {
            while *word != 0 {
                let fd = first + at * 64 + word.trailing_zeros() as usize;
                list.add(fd as c_int, event as u32, 0);
                *word &= *word - 1;
            }
        }
    }
}

#[inline(never)]
pub(super) unsafe fn selected(
    call: &Call,
    count: c_int,
    read: *const fd_set,
    write: *const fd_set,
    except: *const fd_set,
    ret: c_int,
) {
    if ret > 0 {
        let mut list = List::new(call);
        // SAFETY: the call has succeeded.
        unsafe {
            members(&mut list, count, read, POLLIN);
            members(&mut list, count, write, POLLOUT);
            members(&mut list, count, except, POLLPRI);
            list.tell();
        }
    }
}

pub unsafe fn select(
    row: Row,
    next: Fn5<c_int, *mut fd_set, *mut fd_set, *mut fd_set, *mut timeval, c_int>,
    count: c_int,
    read: *mut fd_set,
    write: *mut fd_set,
    except: *mut fd_set,
    timeout: *mut timeval,
) -> c_int {
    // SAFETY: see the module's parent. Linux stores the time that was left into `timeout`, so what
    // was asked is not known afterwards: a timeout is recorded as 0, none as -1.
    unsafe {
        let arg = if timeout.is_null() { u32::MAX } else { 0 };
        let call = Call::enter(row, arg, count as u32 as u64);
        call.announce(|| true);
        let ret = next(count, read, write, except, timeout);
        selected(&call, count, read, write, except, ret);
        call.leave(ret)
    }
}

pub unsafe fn pselect(
    row: Row,
    next: Fn6<c_int, *mut fd_set, *mut fd_set, *mut fd_set, *const timespec, *const sigset_t, c_int>,
    count: c_int,
    read: *mut fd_set,
    write: *mut fd_set,
    except: *mut fd_set,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: see the module's parent; the caller's own arguments.
    unsafe {
        let mut call = Call::enter(row, u32::MAX, count as u32 as u64);
        call.announce(|| true);
        let ret = next(count, read, write, except, timeout, mask);
        if ret >= 0 {
            call.set_arg(of_timespec(timeout));
        }
        selected(&call, count, read, write, except, ret);
        call.leave(ret)
    }
}

/// `epoll_create` and `epoll_create1`: the argument is a size that nobody uses, or flags.
pub unsafe fn epoll_create(row: Row, next: Fn1<c_int, c_int>, argument: c_int) -> c_int {
    // SAFETY: see the module's parent; the caller's own arguments.
    unsafe {
        let call = Call::enter(row, argument as u32, 0);
        let ret = next(argument);
        descriptors::forget(ret);
        call.leave(ret)
    }
}

pub unsafe fn epoll_ctl(
    row: Row,
    next: Fn4<c_int, c_int, c_int, *mut epoll_event, c_int>,
    epoll: c_int,
    command: c_int,
    fd: c_int,
    event: *mut epoll_event,
) -> c_int {
    // SAFETY: see the module's parent. The event is read only when the kernel has: not for
    // EPOLL_CTL_DEL, where it may be anything.
    unsafe {
        let call = Call::at(row, epoll, command as u32, fd as u32 as u64);
        let ret = next(epoll, command, fd, event);
        if ret == 0 {
            let (events, data) = match command {
                libc::EPOLL_CTL_DEL => (0, 0),
                _ if event.is_null() => (0, 0),
                _ => {
                    let event = event.read_unaligned();
                    (event.events, event.u64)
                }
            };
            if let Some(socket) = descriptors::listed(fd) {
                call.extend(KIND_READY, 0, &Ready { fd, events, data, socket }.to_bytes());
            }
        }
        call.leave(ret)
    }
}

/// The events that an epoll wait returned: the kernel gives the program's own data, no descriptor.
#[inline(never)]
pub(super) unsafe fn waited(call: &Call, events: *const epoll_event, ret: c_int) {
    let mut list = List::new(call);
    for i in 0..(ret.max(0) as usize).min(MOST) {
        // SAFETY: the kernel has just written `ret` events.
        let event = unsafe { events.add(i).read_unaligned() };
        list.add(-1, event.events, event.u64);
    }
    list.tell();
}

pub unsafe fn epoll_wait(
    row: Row,
    next: Fn4<c_int, *mut epoll_event, c_int, c_int, c_int>,
    epoll: c_int,
    events: *mut epoll_event,
    most: c_int,
    timeout: c_int,
) -> c_int {
    // SAFETY: see the module's parent; the caller's own arguments.
    unsafe {
        let call = Call::at(row, epoll, timeout as u32, most as u32 as u64);
        call.announce(|| timeout != 0);
        let ret = next(epoll, events, most, timeout);
        waited(&call, events, ret);
        call.leave(ret)
    }
}

pub unsafe fn epoll_pwait(
    row: Row,
    next: Fn5<c_int, *mut epoll_event, c_int, c_int, *const sigset_t, c_int>,
    epoll: c_int,
    events: *mut epoll_event,
    most: c_int,
    timeout: c_int,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: see the module's parent; the caller's own arguments.
    unsafe {
        let call = Call::at(row, epoll, timeout as u32, most as u32 as u64);
        call.announce(|| timeout != 0);
        let ret = next(epoll, events, most, timeout, mask);
        waited(&call, events, ret);
        call.leave(ret)
    }
}

pub unsafe fn epoll_pwait2(
    row: Row,
    next: Fn5<c_int, *mut epoll_event, c_int, *const timespec, *const sigset_t, c_int>,
    epoll: c_int,
    events: *mut epoll_event,
    most: c_int,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: see the module's parent; the caller's own arguments.
    unsafe {
        let mut call = Call::at(row, epoll, u32::MAX, most as u32 as u64);
        call.announce(|| true);
        let ret = next(epoll, events, most, timeout, mask);
        if ret >= 0 {
            call.set_arg(of_timespec(timeout));
        }
        waited(&call, events, ret);
        call.leave(ret)
    }
}
