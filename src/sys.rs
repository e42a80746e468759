//! Raw system calls, for the shim's own needs only.
//!
//! # Safety
//! A libc function that we export would re-enter our own hook, and libc's `syscall` sets errno. So
//! the few calls that the shim makes for itself are made here: they touch neither errno nor the
//! heap, take no lock, and are not cancellation points. Each wrapper is safe where the kernel checks
//! its arguments, and `unsafe` where it writes through a pointer.

pub mod memory;
pub mod path;
pub mod room;

use crate::arch::number;
pub use crate::arch::syscall;
use core::ffi::{CStr, c_int};
use core::mem::MaybeUninit;
use core::sync::atomic::AtomicU32;
use libc::{sockaddr_storage, socklen_t, stat};

/// A system call whose arguments are numbers, or memory that it only reads and may refuse.
#[inline(always)]
fn checked(number: i64, args: [usize; 6]) -> isize {
    // SAFETY: callers pass no pointer that the kernel would write through.
    unsafe { syscall(number, args) }
}

pub fn getpid() -> u32 {
    checked(libc::SYS_getpid, [0; 6]) as u32
}

pub fn getppid() -> u32 {
    checked(libc::SYS_getppid, [0; 6]) as u32
}

pub fn gettid() -> u32 {
    checked(libc::SYS_gettid, [0; 6]) as u32
}

pub fn getuid() -> u32 {
    checked(libc::SYS_getuid, [0; 6]) as u32
}

/// Whether `pid` exists (kill with signal 0). A process of another user counts as existing.
pub fn process_exists(pid: u32) -> bool {
    checked(libc::SYS_kill, [pid as usize, 0, 0, 0, 0, 0]) != -(libc::ESRCH as isize)
}

/// Whether thread `tid` of `pid` exists.
pub fn thread_exists(pid: u32, tid: u32) -> bool {
    checked(libc::SYS_tgkill, [pid as usize, tid as usize, 0, 0, 0, 0]) != -(libc::ESRCH as isize)
}

/// open(2) with O_CLOEXEC; the descriptor, or a negative errno.
pub fn open(path: &CStr, flags: c_int, mode: u32) -> c_int {
    let flags = flags | libc::O_CLOEXEC;
    let (number, args) = number::open(path.as_ptr() as usize, flags, mode);
    checked(number, args) as c_int
}

pub fn close(fd: c_int) {
    checked(libc::SYS_close, [fd as usize, 0, 0, 0, 0, 0]);
}

pub fn unlink(path: &CStr) {
    let (number, args) = number::unlink(path.as_ptr() as usize);
    checked(number, args);
}

/// Locks a file, by flock(2), until the descriptor is closed; false while somebody else has it locked. Where files cannot be
/// locked it goes without.
pub fn lock(fd: c_int) -> bool {
    let flags = libc::LOCK_EX | libc::LOCK_NB;
    checked(libc::SYS_flock, [fd as usize, flags as usize, 0, 0, 0, 0]) != -(libc::EWOULDBLOCK as isize)
}

/// Who has locked a file by fcntl(2), in the terms of our pid namespace; 0 if nobody has, or whoever has is not to be seen from
/// here.
pub fn lock_holder(fd: c_int) -> u32 {
    // SAFETY: plain integers.
    let mut lock: libc::flock = unsafe { core::mem::zeroed() };
    (lock.l_type, lock.l_whence) = (libc::F_RDLCK as i16, libc::SEEK_SET as i16);
    // SAFETY: the kernel reads and writes one `struct flock`, which we own.
    let ret =
        unsafe { syscall(libc::SYS_fcntl, [fd as usize, libc::F_GETLK as usize, &raw mut lock as usize, 0, 0, 0]) };
    if ret == 0 && lock.l_type != libc::F_UNLCK as i16 { lock.l_pid.max(0) as u32 } else { 0 }
}

/// Gives a file without a name (O_TMPFILE) one, as open(2) says how; 0 or a negative errno.
pub fn link(fd: c_int, path: &CStr) -> isize {
    let (here, to) = (libc::AT_FDCWD as usize, path.as_ptr() as usize);
    // Root may, and since Linux 6.10 whoever has opened the file. Others are told that there is no such file.
    let given =
        checked(libc::SYS_linkat, [fd as usize, c"".as_ptr() as usize, here, to, libc::AT_EMPTY_PATH as usize, 0]);
    if given == 0 || given == -(libc::EEXIST as isize) { given } else { link_by_proc(fd, path) }
}

fn link_by_proc(fd: c_int, path: &CStr) -> isize {
    const PREFIX: &[u8] = b"/proc/self/fd/";
    // The number has ten digits at most, and a zero stays behind them.
    let mut from = [0u8; PREFIX.len() + 11];
    let (mut at, mut divisor) = (PREFIX.len(), 1_000_000_000);
    from.iter_mut().zip(PREFIX).for_each(|(to, byte)| *to = *byte);
    while divisor > 0 {
        let digit = fd / divisor;
        if (digit > 0 || divisor == 1)
            && let Some(place) = from.get_mut(at)
        {
            *place = b'0' + (digit % 10) as u8;
            at += 1;
        }
        divisor /= 10;
    }
    let (here, follow) = (libc::AT_FDCWD as usize, libc::AT_SYMLINK_FOLLOW as usize);
    let to = path.as_ptr() as usize;
    checked(libc::SYS_linkat, [here, from.as_ptr() as usize, here, to, follow, 0])
}

/// write(2); bytes written, or a negative errno.
pub fn write(fd: c_int, bytes: &[u8]) -> isize {
    checked(libc::SYS_write, [fd as usize, bytes.as_ptr() as usize, bytes.len(), 0, 0, 0])
}

/// The beginning of a file (pread(2)); bytes read, or a negative errno.
pub fn read_start(fd: c_int, buffer: &mut [u8]) -> isize {
    // SAFETY: the kernel writes at most the buffer's length into the buffer, which we own.
    unsafe { syscall(libc::SYS_pread64, [fd as usize, buffer.as_mut_ptr() as usize, buffer.len(), 0, 0, 0]) }
}

/// The status of a descriptor, or None.
pub fn fstat(fd: c_int) -> Option<stat> {
    let mut out = core::mem::MaybeUninit::<stat>::zeroed();
    // SAFETY: the kernel writes one `struct stat` into `out`.
    let ret = unsafe { syscall(libc::SYS_fstat, [fd as usize, out.as_mut_ptr() as usize, 0, 0, 0, 0]) };
    // SAFETY: zeroed bytes are a valid `stat`, and on success the kernel filled it.
    (ret == 0).then(|| unsafe { out.assume_init() })
}

/// The inode of what `path` leads to, 0 if it cannot be asked.
pub fn inode(path: &CStr) -> u64 {
    let mut out = core::mem::MaybeUninit::<stat>::zeroed();
    let (number, args) = number::stat(path.as_ptr() as usize, out.as_mut_ptr() as usize);
    // SAFETY: the kernel writes one `struct stat` into `out`.
    let ret = unsafe { syscall(number, args) };
    // SAFETY: zeroed bytes are a valid `stat`, and on success the kernel filled it.
    if ret == 0 { unsafe { out.assume_init() }.st_ino } else { 0 }
}

/// readlink(2): the bytes written into `buffer`.
pub fn readlink<'a>(path: &CStr, buffer: &'a mut [u8]) -> &'a [u8] {
    let (number, args) = number::readlink(path.as_ptr() as usize, buffer.as_mut_ptr() as usize, buffer.len());
    // SAFETY: the kernel writes at most the buffer's length into the buffer, which we own.
    let ret = unsafe { syscall(number, args) };
    buffer.get(..ret.max(0) as usize).unwrap_or(&[])
}

/// The working directory, with its final zero byte cut off; empty if it cannot be asked.
pub fn getcwd(buffer: &mut [u8]) -> &[u8] {
    let args = [buffer.as_mut_ptr() as usize, buffer.len(), 0, 0, 0, 0];
    // SAFETY: the kernel writes at most the buffer's length into the buffer, which we own.
    let ret = unsafe { syscall(libc::SYS_getcwd, args) };
    buffer.get(..(ret.max(1) - 1) as usize).unwrap_or(&[])
}

/// Fresh or file-backed memory, readable and writable; null on failure.
pub fn mmap(bytes: usize, flags: c_int, fd: c_int) -> *mut u8 {
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    let args = [0, bytes, prot as usize, flags as usize, fd as usize, 0];
    // SAFETY: without MAP_FIXED the kernel never touches an existing mapping.
    let ret = unsafe { syscall(libc::SYS_mmap, args) };
    if (-4095..0).contains(&ret) { core::ptr::null_mut() } else { ret as *mut u8 }
}

/// Gives a mapping back.
///
/// # Safety
/// Nobody uses the mapping any more.
pub unsafe fn munmap(start: *mut u8, bytes: usize) {
    // SAFETY: the caller's promise.
    unsafe { syscall(libc::SYS_munmap, [start as usize, bytes, 0, 0, 0, 0]) };
}

/// madvise(2) with an advice that does not change what the memory holds; 0 or a negative errno.
pub fn madvise(start: *mut u8, bytes: usize, advice: c_int) -> isize {
    checked(libc::SYS_madvise, [start as usize, bytes, advice as usize, 0, 0, 0])
}

/// The soft limit of a resource; RLIM_INFINITY when it cannot be asked.
pub fn limit(resource: u32) -> u64 {
    let mut out = [u64::MAX; 2];
    let args = [resource as usize, out.as_mut_ptr() as usize, 0, 0, 0, 0];
    // SAFETY: the kernel writes one `struct rlimit`, two u64.
    unsafe { syscall(libc::SYS_getrlimit, args) };
    out[0]
}

/// A clock in nanoseconds, by the kernel itself: a preloaded libfaketime does not reach it.
pub fn clock_ns(clock: c_int) -> u64 {
    let mut out = [0u64; 2];
    let args = [clock as usize, out.as_mut_ptr() as usize, 0, 0, 0, 0];
    // SAFETY: the kernel writes one `struct timespec`, two 64-bit words.
    unsafe { syscall(libc::SYS_clock_gettime, args) };
    out[0] * 1_000_000_000 + out[1]
}

/// Sleeps until somebody wakes those who wait on `word`, if it is still `seen`, for so long at most, less than a second, or
/// until a signal has been handled (futex(2)). Other processes may see to the word.
pub fn wait_while(word: &AtomicU32, seen: u32, ns: u64) {
    let time = [0u64, ns];
    checked(
        libc::SYS_futex,
        [word.as_ptr() as usize, libc::FUTEX_WAIT as usize, seen as usize, time.as_ptr() as usize, 0, 0],
    );
}

/// 16 random bytes as two words; when the kernel has none to give, what is hardly ever the same twice.
pub fn random() -> [u64; 2] {
    let mut out = [0u64; 2];
    // SAFETY: the kernel writes at most the 16 bytes of `out`. 1 is GRND_NONBLOCK.
    let got = unsafe { syscall(libc::SYS_getrandom, [out.as_mut_ptr() as usize, 16, 1, 0, 0, 0]) };
    if got == 16 {
        out
    } else {
        [clock_ns(libc::CLOCK_REALTIME), clock_ns(libc::CLOCK_MONOTONIC) << 32 | getpid() as u64]
    }
}

/// Whether the time-stamp counter may be read: prctl(PR_GET_TSC) says PR_TSC_ENABLE (1).
pub fn tsc_enabled() -> bool {
    let mut out: c_int = 1;
    // SAFETY: PR_GET_TSC (25) writes one int.
    unsafe { syscall(libc::SYS_prctl, [25, &raw mut out as usize, 0, 0, 0, 0]) };
    out == 1
}

/// A socket option, copied into `out`; the bytes that the kernel wrote, or the errno.
pub fn getsockopt<T: Copy>(fd: c_int, level: c_int, name: c_int, out: &mut [T]) -> Result<usize, c_int> {
    let mut len = size_of_val(out) as socklen_t;
    let args = [fd as usize, level as usize, name as usize, out.as_mut_ptr() as usize, &raw mut len as usize, 0];
    // SAFETY: the kernel writes at most `len` bytes, which is what `out` holds; every caller's T is
    // an integer, valid for any bytes.
    let ret = unsafe { syscall(libc::SYS_getsockopt, args) };
    if ret == 0 { Ok(len as usize) } else { Err(-ret as c_int) }
}

/// SO_COOKIE: the kernel's own number of a socket.
pub fn cookie(fd: c_int) -> Option<u64> {
    let mut cookie = [0u64];
    getsockopt(fd, libc::SOL_SOCKET, libc::SO_COOKIE, &mut cookie).ok().map(|_| cookie[0])
}

/// A socket option that is an int, or the errno.
pub fn getsockopt_int(fd: c_int, level: c_int, name: c_int) -> Result<c_int, c_int> {
    let mut out = [0 as c_int];
    getsockopt(fd, level, name, &mut out).map(|_| out[0])
}

/// Which end of a socket is asked.
#[derive(Clone, Copy)]
pub enum End {
    /// Its own.
    Local,
    /// The other.
    Peer,
}

/// A socket's address, in `room`; None where it has none.
pub fn socket_address(fd: c_int, end: End, room: &mut MaybeUninit<sockaddr_storage>) -> Option<&[u8]> {
    let number = match end {
        End::Local => libc::SYS_getsockname,
        End::Peer => libc::SYS_getpeername,
    };
    let mut len = size_of::<sockaddr_storage>() as socklen_t;
    let args = [fd as usize, room.as_mut_ptr() as usize, &raw mut len as usize, 0, 0, 0];
    // SAFETY: the kernel writes at most `len` bytes, which is what `room` holds.
    let ret = unsafe { syscall(number, args) };
    let written = (len as usize).min(size_of::<sockaddr_storage>());
    // SAFETY: the kernel has written so many bytes.
    (ret == 0 && len > 0).then(|| unsafe { core::slice::from_raw_parts(room.as_ptr().cast(), written) })
}

/// socket(2) with SOCK_CLOEXEC; the descriptor, or a negative errno.
pub fn socket(domain: c_int, kind: c_int) -> c_int {
    checked(libc::SYS_socket, [domain as usize, (kind | libc::SOCK_CLOEXEC) as usize, 0, 0, 0, 0]) as c_int
}

/// connect(2) to a path.
pub fn connect(fd: c_int, address: &libc::sockaddr_un) -> isize {
    checked(libc::SYS_connect, [fd as usize, (&raw const *address) as usize, size_of_val(address), 0, 0, 0])
}

/// Receives one byte and a descriptor with it (SCM_RIGHTS, unix(7)); negative if there came none.
pub fn receive_fd(socket: c_int) -> c_int {
    let (mut byte, mut control) = ([0u8; 1], [0usize; 8]);
    let mut vector = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    // SAFETY: all zeros is a message without anything.
    let mut message: libc::msghdr = unsafe { core::mem::zeroed() };
    message.msg_iov = &raw mut vector;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control) as _;
    let flags = libc::MSG_CMSG_CLOEXEC;
    // SAFETY: the kernel writes into the three buffers, whose sizes the message holds.
    let got =
        unsafe { syscall(libc::SYS_recvmsg, [socket as usize, &raw mut message as usize, flags as usize, 0, 0, 0]) };
    // SAFETY: the header lies in `control`, aligned, and the kernel has set how much of it counts.
    unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        if got == 1 && !header.is_null() && (*header).cmsg_type == libc::SCM_RIGHTS {
            return libc::CMSG_DATA(header).cast::<c_int>().read_unaligned();
        }
    }
    -1
}

/// An ioctl that writes one int, such as SIOCINQ.
pub fn ioctl_int(fd: c_int, request: u64) -> Option<c_int> {
    let mut out: c_int = 0;
    let args = [fd as usize, request as usize, &raw mut out as usize, 0, 0, 0];
    // SAFETY: callers ask only requests that write one int.
    let ret = unsafe { syscall(libc::SYS_ioctl, args) };
    (ret == 0).then_some(out)
}

/// Whether `fd` would block now for `events` (poll(2) with no wait). False when it cannot be asked.
pub fn would_block(fd: c_int, events: i16) -> bool {
    poll(fd, events, 0) == 0
}

/// Whether there is something to read before the time is over.
pub fn readable_within(fd: c_int, milliseconds: c_int) -> bool {
    poll(fd, libc::POLLIN, milliseconds) > 0
}

fn poll(fd: c_int, events: i16, milliseconds: c_int) -> isize {
    let mut pollfd = libc::pollfd { fd, events, revents: 0 };
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let (number, args) = number::poll(&raw mut pollfd as usize, 1, milliseconds, &mut time);
    // SAFETY: one pollfd, which the kernel reads and writes, and a time that it may write what was left to.
    unsafe { syscall(number, args) }
}

/// Whether O_NONBLOCK is set.
pub fn nonblocking(fd: c_int) -> bool {
    let flags = checked(libc::SYS_fcntl, [fd as usize, libc::F_GETFL as usize, 0, 0, 0, 0]);
    flags > 0 && flags as c_int & libc::O_NONBLOCK != 0
}
