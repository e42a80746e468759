//! The next definition of each interposed function, in link order: libc's, or another shim's.
//!
//! Each symbol can be looked up singly, because calls come before our constructor and because a
//! `dlsym` that fails allocates, which deadlocked programs whose allocator was starting. The
//! constructor resolves them all in advance, and together: `dlsym` is not async-signal-safe, and not fast.
//!
//! # Safety
//! A slot holds the address of a function of the name in its row, whose prototype the row repeats.

pub(crate) use crate::arch::address;
use crate::arch::{any_syscall, number};
pub use behind::Behind;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::Relaxed};
use sockshim_format::op::Op;

mod behind;

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
    fn __errno_location() -> *mut c_int;
}

/// dlfcn.h: the definition after the caller's own object.
const RTLD_NEXT: *mut c_void = -1isize as *mut c_void;

/// Where one symbol's next definition is kept.
pub struct Slot {
    /// The address, 0 until it is resolved. Read by the naked rows as well.
    pub address: AtomicUsize,
    /// What the symbol's name hashes to. The name itself is told by what stands in: a pointer to it in each slot would be
    /// written at the start of every program, and make the slots twice as large.
    hash: u32,
    stand_in: StandIn,
}

/// The functions that open files. They have no number: they are no calls of ours.
const OPENERS: &str = "open\0open64\0__open_2\0__open64_2\0openat\0openat64\0__openat_2\0__openat64_2\0";

/// The name of a function, of a text that ends in a zero byte. For statics alone.
#[expect(clippy::panic, reason = "the compiler makes the statics: it meets the panic, or nobody does")]
pub const fn name(text: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(text.as_bytes()) {
        Ok(name) => name,
        Err(_) => panic!("a function's name holds no zero byte"),
    }
}

/// Where a name is among those of the functions that open files. For statics alone.
#[expect(clippy::panic, clippy::indexing_slicing, reason = "the compiler makes the statics, as in `name`")]
const fn among_openers(name: &CStr) -> u16 {
    let (all, name) = (OPENERS.as_bytes(), name.to_bytes_with_nul());
    let mut begin = 0;
    while begin < all.len() {
        let mut len = 0;
        while len < name.len() && all[begin + len] == name[len] {
            len += 1;
        }
        if len == name.len() {
            return begin as u16;
        }
        while all[begin] != 0 {
            begin += 1;
        }
        begin += 1;
    }
    panic!("no function that opens files has this name")
}

/// What is called where there is no next definition.
#[derive(Clone, Copy)]
enum StandIn {
    /// What is nothing but a system call is made as that one.
    Op(Op),
    /// openat(2), from the working directory or from the descriptor that comes first; where the name is among them.
    OpensHere(u16),
    OpensAt(u16),
    /// Nothing, though it has a number.
    Nothing(Op),
}

impl Slot {
    /// A slot for the symbol of `op`.
    pub const fn new(op: Op, name: &CStr) -> Slot {
        Slot::with(name, StandIn::Op(op))
    }

    /// A slot for a function with the arguments of `open`.
    pub const fn opens_here(name: &CStr) -> Slot {
        Slot::with(name, StandIn::OpensHere(among_openers(name)))
    }

    /// A slot for a function with the arguments of `openat`.
    pub const fn opens_at(name: &CStr) -> Slot {
        Slot::with(name, StandIn::OpensAt(among_openers(name)))
    }

    /// A slot for a symbol that is called but not interposed.
    pub const fn helper(op: Op, name: &CStr) -> Slot {
        Slot::with(name, StandIn::Nothing(op))
    }

    const fn with(name: &CStr, stand_in: StandIn) -> Slot {
        Slot { address: AtomicUsize::new(0), hash: behind::hash(name), stand_in }
    }

    /// The name that is looked up.
    pub fn name(&self) -> &'static CStr {
        match self.stand_in {
            StandIn::Op(op) | StandIn::Nothing(op) => op.c_symbol(),
            StandIn::OpensHere(at) | StandIn::OpensAt(at) => {
                let names = OPENERS.as_bytes().get(at.into()..).unwrap_or_default();
                CStr::from_bytes_until_nul(names).unwrap_or_default()
            }
        }
    }

    /// Whether the row and the operation that it is for have one name.
    #[cfg(test)]
    pub fn is_of_its_row(&self) -> bool {
        behind::hash(self.name()) == self.hash
    }

    /// The address of the next definition, if it has been looked up already.
    #[inline(always)]
    pub fn peek(&self) -> usize {
        self.address.load(Relaxed)
    }

    /// The address of the next definition.
    #[inline(always)]
    pub fn get(&self) -> usize {
        match self.address.load(Relaxed) {
            // SAFETY: that is the address of `resolve`. A plain call would look it up in a table, see
            // `address!`.
            0 => unsafe { core::mem::transmute::<usize, fn(&Slot) -> usize>(address!(Slot::resolve))(self) },
            address => address,
        }
    }

    /// Looks the symbol up at the start, when what is behind us is known. Not a part of whoever does so for every slot: that
    /// would be twenty kilobytes more of what is mapped at the start.
    #[inline(never)]
    pub fn resolve_in(&self, behind: &Behind) {
        if self.peek() == 0 {
            match behind.address_of(self.name(), self.hash) {
                0 => {
                    self.resolve();
                }
                address => self.address.store(address, Relaxed),
            }
        }
    }

    /// Looks the symbol up. errno is as it was: the caller's next call may succeed and leave it.
    #[cold]
    #[inline(never)]
    pub fn resolve(&self) -> usize {
        if !relocated() {
            return self.stand_in.address();
        }
        // SAFETY: a zero-terminated name; dlsym reads it only. A zeroed TLS block cannot come here:
        // the constructor resolved every slot before the program could clone such a child.
        let found = unsafe {
            let errno = __errno_location();
            let saved = *errno;
            let found = dlsym(RTLD_NEXT, self.name().as_ptr()) as usize;
            *errno = saved;
            found
        };
        let address = if found == 0 { self.stand_in.address() } else { found };
        self.address.store(address, Relaxed);
        address
    }
}

/// The address of a function that is behind us and no slot is for; 0 without it, or before we are relocated. For the start, as
/// [`Behind::find`].
pub fn find(name: &CStr) -> usize {
    if !relocated() {
        return 0;
    }
    let mut behind = Behind::NONE;
    behind.find();
    behind.address_of(name, behind::hash(name))
}

/// Whether the dynamic linker is through with us: a pointer of ours holds an address. It relocates the
/// program's own libraries before us when we are preloaded, and the IFUNC resolvers that it runs on the
/// way may make calls that come in here. Until then no function of libc can be called, `dlsym` and
/// `__errno_location` among them, and no thread-local storage be found.
#[inline(always)]
pub fn relocated() -> bool {
    static HERE: u8 = 0;
    static POINTER: AtomicPtr<u8> = AtomicPtr::new((&raw const HERE).cast_mut());
    // SAFETY: a static of ours. Volatile, or the compiler would know what it holds.
    unsafe { (&raw const POINTER).cast::<usize>().read_volatile() == address!(HERE) }
}

/// errno of the calling thread.
#[inline(always)]
pub fn errno() -> c_int {
    // SAFETY: __errno_location returns the calling thread's own errno, always valid.
    unsafe { *__errno_location() }
}

/// The descriptor of a stream, -1 without one; errno stays as it is.
///
/// # Safety
/// `stream` is an open stream, or null.
pub unsafe fn fileno(stream: *mut libc::FILE) -> c_int {
    if stream.is_null() {
        return -1;
    }
    // SAFETY: the caller's promise. fileno is not a name that we export; it may set errno.
    unsafe {
        let saved = *__errno_location();
        let fd = libc::fileno(stream);
        *__errno_location() = saved;
        fd
    }
}

/// Bytes that a stream has still to write.
///
/// # Safety
/// `stream` is an open stream, or null.
pub unsafe fn pending(stream: *mut libc::FILE) -> u64 {
    unsafe extern "C" {
        fn __fpending(stream: *mut libc::FILE) -> usize;
    }
    // SAFETY: the caller's promise. glibc subtracts two pointers of the stream, and takes no lock.
    if stream.is_null() { 0 } else { unsafe { __fpending(stream) as u64 } }
}

/// Sets errno, where it is not a next definition that fails: for the two cases where there is none, and for
/// faults that a plan asks for. Before we are relocated nobody can.
#[inline(always)]
pub fn set_errno(value: c_int) {
    if relocated() {
        // SAFETY: as in `errno`.
        unsafe { *__errno_location() = value }
    }
}

/// A function that is nothing but a system call: for fully static links, where there is no next
/// definition to find, and for the time before it can be looked for.
unsafe extern "C-unwind" fn raw<const NUMBER: i64>(
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> isize {
    // SAFETY: the arguments of the caller, whose prototype is that of the system call.
    let ret = unsafe { any_syscall(NUMBER, [a, b, c, d, e, f]) };
    if (-4095..0).contains(&ret) {
        set_errno(-ret as c_int);
        return -1;
    }
    ret
}

/// `send` and `recv`, which are `sendto` and `recvfrom` without an address: their callers leave in the
/// other two registers whatever was there.
unsafe extern "C-unwind" fn raw_without_address<const NUMBER: i64>(a: usize, b: usize, c: usize, d: usize) -> isize {
    // SAFETY: as in `raw`.
    unsafe { raw::<NUMBER>(a, b, c, d, 0, 0) }
}

/// `open` and its kind. No architecture is without openat(2).
unsafe extern "C-unwind" fn raw_open(path: usize, flags: usize, mode: usize) -> isize {
    // SAFETY: as in `raw`.
    unsafe { raw::<{ libc::SYS_openat }>(libc::AT_FDCWD as usize, path, flags, mode, 0, 0) }
}

/// A function that is not a system call and has no next definition.
unsafe extern "C-unwind" fn absent() -> isize {
    set_errno(libc::ENOSYS);
    -1
}

impl StandIn {
    #[inline(always)]
    fn address(self) -> usize {
        match self {
            StandIn::Op(op) => fallback(op),
            StandIn::OpensHere(_) => address!(raw_open),
            StandIn::OpensAt(_) => address!(raw::<{ libc::SYS_openat }>),
            StandIn::Nothing(_) => address!(absent),
        }
    }
}

/// What stands in where dlsym finds nothing.
#[inline(always)]
fn fallback(op: Op) -> usize {
    // `base` is a function to be called; the plain names do without.
    let base = if relocated() { op.base() } else { op };
    match op {
        // Their fourth argument is a capacity, where the system call has flags.
        Op::UnderRecvChk | Op::UnderRecvfromChk => return address!(absent),
        Op::Send | Op::UnderSend => return address!(raw_without_address::<{ libc::SYS_sendto }>),
        Op::Recv => return address!(raw_without_address::<{ libc::SYS_recvfrom }>),
        _ => {}
    }
    use number::*;
    macro_rules! raw {
        ($($op:ident $number:ident;)*) => {
            match base {
                $(Op::$op => address!(raw::<{ $number }>),)*
                _ => address!(absent),
            }
        };
    }
    raw! {
        Socket SYS_socket; Socketpair SYS_socketpair; Connect SYS_connect; Bind SYS_bind;
        Listen SYS_listen; Accept SYS_accept; Accept4 SYS_accept4; Read SYS_read; Readv SYS_readv;
        Write SYS_write; Writev SYS_writev; Sendto SYS_sendto; Sendmsg SYS_sendmsg;
        Sendmmsg SYS_sendmmsg; Recvfrom SYS_recvfrom; Recvmsg SYS_recvmsg; Recvmmsg SYS_recvmmsg;
        Sendfile SYS_sendfile; Splice SYS_splice; Tee SYS_tee; Vmsplice SYS_vmsplice;
        CopyFileRange SYS_copy_file_range; Shutdown SYS_shutdown; Close SYS_close;
        CloseRange SYS_close_range; Dup SYS_dup; Dup2 SYS_dup2; Dup3 SYS_dup3; Fcntl SYS_fcntl;
        Ioctl SYS_ioctl; Getsockopt SYS_getsockopt; Setsockopt SYS_setsockopt;
        Getsockname SYS_getsockname; Getpeername SYS_getpeername; PidfdGetfd SYS_pidfd_getfd;
        Poll SYS_poll; Select SYS_select; EpollCreate SYS_epoll_create;
        EpollCreate1 SYS_epoll_create1; EpollCtl SYS_epoll_ctl; EpollWait SYS_epoll_wait;
        Execve SYS_execve; Execveat SYS_execveat; Fork SYS_fork; UnderExit SYS_exit_group;
        CapitalExit SYS_exit_group; Prctl SYS_prctl;
    }
}

/// Names the type of a function with these arguments, as a hook takes it for `next`.
macro_rules! next_types {
    ($($name:ident($($arg:ident),*);)*) => {
        $(#[doc = "A next definition; its return type comes last."]
        pub type $name<$($arg,)* R> = unsafe extern "C-unwind" fn($($arg),*) -> R;)*
    };
}
next_types! {
    Fn0(); Fn1(A); Fn2(A, B); Fn3(A, B, C); Fn4(A, B, C, D); Fn5(A, B, C, D, E); Fn6(A, B, C, D, E, F);
    Fn7(A, B, C, D, E, F, G); Fn8(A, B, C, D, E, F, G, H);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn send_and_recv_pass_no_address_on() {
        type Six = unsafe extern "C-unwind" fn(usize, usize, usize, usize, usize, usize) -> isize;
        let mut pair = [0; 2];
        let mut bytes = *b"ping";
        // SAFETY: a socketpair of ours, and buffers of ours; the last two registers are to be ignored.
        unsafe {
            assert_eq!(libc::socketpair(libc::AF_UNIX, libc::SOCK_STREAM, 0, pair.as_mut_ptr()), 0);
            for (op, fd) in [(Op::Send, pair[0]), (Op::Recv, pair[1])] {
                let call = core::mem::transmute::<usize, Six>(fallback(op));
                assert_eq!(call(fd as usize, bytes.as_mut_ptr() as usize, 4, 0, 0xdead, 0xbeef), 4, "{op:?}");
            }
        }
    }

    #[test]
    fn what_no_slot_is_for_is_found() {
        // SAFETY: a zero-terminated name.
        let expected = unsafe { libc::dlsym(libc::RTLD_NEXT, c"qsort".as_ptr()) } as usize;
        assert_eq!((find(c"qsort"), find(c"no_such_function_at_all")), (expected, 0));
    }

    #[test]
    fn files_open_where_nothing_opens_them() {
        type Four = unsafe extern "C-unwind" fn(usize, usize, usize, usize) -> c_int;
        let (here, at) = (Slot::opens_here(c"open"), Slot::opens_at(c"openat"));
        let path = c"/dev/null".as_ptr() as usize;
        let flags = (libc::O_WRONLY | libc::O_CLOEXEC) as usize;
        for (slot, arguments) in [(here, [path, flags, 0, 0]), (at, [usize::MAX, path, flags, 0])] {
            let [a, b, c, d] = arguments;
            // SAFETY: what stands in for a function with these arguments, which are valid; the descriptor is ours.
            unsafe {
                let open = core::mem::transmute::<usize, Four>(slot.stand_in.address());
                let fd = open(a, b, c, d);
                assert!(fd >= 0, "{:?}: {}", slot.name(), errno());
                assert_eq!(libc::write(fd, c"text".as_ptr().cast(), 4), 4);
                assert_eq!(libc::close(fd), 0);
                assert_eq!((open(0, 0, 0, 0), errno()), (-1, libc::EFAULT), "{:?}", slot.name());
            }
        }
    }
}
