//! Which function was called, and which phase of a socket's life the call belongs to.

use core::ffi::CStr;

/// Declares [`Op`]: number on disk, Rust name, exported symbol, the function it is an alias of, phase.
macro_rules! ops {
    ($($number:literal $variant:ident $symbol:literal $base:ident $phase:ident;)*) => {
        /// One exported symbol. Numbers are written to disk: they are never reused, and a retired
        /// one stays here as a comment.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        #[allow(missing_docs)]
        pub enum Op { $($variant = $number,)* }

        /// Every symbol, each with a zero byte behind it: one text, where a table of texts would have a pointer for each,
        /// to be written at the start of every program that the shim is in.
        const SYMBOLS: &str = concat!($($symbol, "\0"),*);

        /// Where the symbol of each number begins and ends in that text.
        static PLACES: [(u16, u16); LAST + 1] = {
            let mut places = [(0, 0); LAST + 1];
            let mut end = 0;
            $(
                let begin = end;
                end += $symbol.len() as u16;
                places[$number] = (begin, end);
                end += 1;
            )*
            assert!(end as usize == SYMBOLS.len());
            places
        };

        const LAST: usize = {
            let mut last = 0;
            $(if $number > last { last = $number })*
            last
        };

        impl Op {
            /// Every operation, in the order of the table.
            pub const ALL: &[Op] = &[$(Op::$variant,)*];

            /// The operation with this number on disk, if this version knows it.
            #[inline]
            pub const fn from_number(number: u16) -> Option<Op> {
                match number { $($number => Some(Op::$variant),)* _ => None }
            }

            /// What the call is: `Op::Read` for `read`, `__read` and `__read_chk`.
            #[inline]
            pub const fn base(self) -> Op {
                match self { $(Op::$variant => Op::$base,)* }
            }

            /// The phase that the call belongs to.
            #[inline]
            pub const fn phase(self) -> Phase {
                match self { $(Op::$variant => Phase::$phase,)* }
            }
        }
    };
}

/// The phases of a socket's life, and what surrounds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Phase {
    /// A name is turned into addresses, before there is a socket.
    Resolve = 0,
    /// A socket comes into being and gets a descriptor.
    Create = 1,
    /// The socket gets an address and a peer: connect, or bind, listen and accept.
    Connect = 2,
    /// Bytes pass.
    Communicate = 3,
    /// The socket, or one direction of it, ends.
    Disconnect = 4,
    /// Waiting for readiness.
    Wait = 5,
    /// Descriptors are copied or configured.
    Control = 6,
    /// Processes begin, change or end.
    Process = 7,
}

impl Phase {
    /// The word that people see.
    pub const fn name(self) -> &'static str {
        match self {
            Phase::Resolve => "resolve",
            Phase::Create => "create",
            Phase::Connect => "connect",
            Phase::Communicate => "communicate",
            Phase::Disconnect => "disconnect",
            Phase::Wait => "wait",
            Phase::Control => "control",
            Phase::Process => "process",
        }
    }
}

/// Which way the bytes of a call go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the program to the peer.
    Sent,
    /// From the peer to the program.
    Received,
}

impl Op {
    /// The symbol that the program called, such as `__read_chk`.
    pub fn symbol(self) -> &'static str {
        let (begin, end) = PLACES.get(self as usize).copied().unwrap_or_default();
        SYMBOLS.get(begin.into()..end.into()).unwrap_or_default()
    }

    /// The symbol as C has it.
    pub fn c_symbol(self) -> &'static CStr {
        let (begin, end) = PLACES.get(self as usize).copied().unwrap_or_default();
        let text = SYMBOLS.as_bytes().get(begin.into()..=end.into()).unwrap_or_default();
        CStr::from_bytes_with_nul(text).unwrap_or_default()
    }

    /// What people read: the plain name of the function, `read` for `__read_chk`.
    pub fn name(self) -> &'static str {
        self.base().symbol()
    }

    /// The direction of the bytes that this operation returns, if it carries bytes on the
    /// descriptor that is its `fd`. `splice`, `tee` and their kind have two descriptors: see
    /// their [`crate::record::Fd`]s.
    #[inline]
    pub const fn direction(self) -> Option<Direction> {
        Some(match self.base() {
            Op::Read | Op::Readv | Op::Preadv2 | Op::Recv | Op::Recvfrom | Op::Recvmsg | Op::Recvmmsg => {
                Direction::Received
            }
            Op::Write | Op::Writev | Op::Pwritev2 | Op::Send | Op::Sendto | Op::Sendmsg | Op::Sendmmsg => {
                Direction::Sent
            }
            Op::Sendfile | Op::Dprintf => Direction::Sent,
            _ => return None,
        })
    }

    /// Whether the first argument of the call is the descriptor.
    #[inline]
    pub const fn names_descriptor(self) -> bool {
        !matches!(self.phase(), Phase::Resolve | Phase::Process | Phase::Create)
            && !matches!(
                self.base(),
                Op::Poll
                    | Op::Ppoll
                    | Op::Select
                    | Op::Pselect
                    | Op::EpollCreate
                    | Op::EpollCreate1
                    | Op::Fcloseall
                    | Op::LioListio
            )
    }
}

#[rustfmt::skip]
ops! {
//  no. variant            symbol              alias of       phase
      1 Socket             "socket"            Socket         Create;
      2 Socketpair         "socketpair"        Socketpair     Create;
     10 Connect            "connect"           Connect        Connect;
     11 UnderConnect       "__connect"         Connect        Connect;
     12 Bind               "bind"              Bind           Connect;
     13 Bindresvport       "bindresvport"      Bindresvport   Connect;
     14 Listen             "listen"            Listen         Connect;
     15 Accept             "accept"            Accept         Connect;
     16 Accept4            "accept4"           Accept4        Connect;
     20 Read               "read"              Read           Communicate;
     21 UnderRead          "__read"            Read           Communicate;
     22 UnderReadChk       "__read_chk"        Read           Communicate;
     23 Readv              "readv"             Readv          Communicate;
     24 Preadv2            "preadv2"           Preadv2        Communicate;
     25 Preadv64v2         "preadv64v2"        Preadv2        Communicate;
     26 Write              "write"             Write          Communicate;
     27 UnderWrite         "__write"           Write          Communicate;
     28 Writev             "writev"            Writev         Communicate;
     29 Pwritev2           "pwritev2"          Pwritev2       Communicate;
     30 Pwritev64v2        "pwritev64v2"       Pwritev2       Communicate;
     31 Send               "send"              Send           Communicate;
     32 UnderSend          "__send"            Send           Communicate;
     33 Sendto             "sendto"            Sendto         Communicate;
     34 Sendmsg            "sendmsg"           Sendmsg        Communicate;
     35 Sendmmsg           "sendmmsg"          Sendmmsg       Communicate;
     36 Recv               "recv"              Recv           Communicate;
     37 UnderRecvChk       "__recv_chk"        Recv           Communicate;
     38 Recvfrom           "recvfrom"          Recvfrom       Communicate;
     39 UnderRecvfromChk   "__recvfrom_chk"    Recvfrom       Communicate;
     40 Recvmsg            "recvmsg"           Recvmsg        Communicate;
     41 Recvmmsg           "recvmmsg"          Recvmmsg       Communicate;
     42 Sendfile           "sendfile"          Sendfile       Communicate;
     43 Sendfile64         "sendfile64"        Sendfile       Communicate;
     44 Splice             "splice"            Splice         Communicate;
     45 Tee                "tee"               Tee            Communicate;
     46 Vmsplice           "vmsplice"          Vmsplice       Communicate;
     47 CopyFileRange      "copy_file_range"   CopyFileRange  Communicate;
     48 Dprintf            "dprintf"           Dprintf        Communicate;
     49 Vdprintf           "vdprintf"          Dprintf        Communicate;
     50 UnderDprintfChk    "__dprintf_chk"     Dprintf        Communicate;
     51 UnderVdprintfChk   "__vdprintf_chk"    Dprintf        Communicate;
     52 Sockatmark         "sockatmark"        Sockatmark     Communicate;
     53 AioRead            "aio_read"          AioRead        Communicate;
     54 AioRead64          "aio_read64"        AioRead        Communicate;
     55 AioWrite           "aio_write"         AioWrite       Communicate;
     56 AioWrite64         "aio_write64"       AioWrite       Communicate;
     57 LioListio          "lio_listio"        LioListio      Communicate;
     58 LioListio64        "lio_listio64"      LioListio      Communicate;
     60 Shutdown           "shutdown"          Shutdown       Disconnect;
     61 Close              "close"             Close          Disconnect;
     62 UnderClose         "__close"           Close          Disconnect;
     63 CloseRange         "close_range"       CloseRange     Disconnect;
     64 Closefrom          "closefrom"         Closefrom      Disconnect;
     65 Fclose             "fclose"            Fclose         Disconnect;
     66 IoFclose           "_IO_fclose"        Fclose         Disconnect;
     67 Fcloseall          "fcloseall"         Fcloseall      Disconnect;
     68 Pclose             "pclose"            Pclose         Disconnect;
     69 Freopen            "freopen"           Freopen        Disconnect;
     70 Freopen64          "freopen64"         Freopen        Disconnect;
     80 Dup                "dup"               Dup            Control;
     81 Dup2               "dup2"              Dup2           Control;
     82 UnderDup2          "__dup2"            Dup2           Control;
     83 Dup3               "dup3"              Dup3           Control;
     84 Fcntl              "fcntl"             Fcntl          Control;
     85 UnderFcntl         "__fcntl"           Fcntl          Control;
     86 Fcntl64            "fcntl64"           Fcntl          Control;
     87 Ioctl              "ioctl"             Ioctl          Control;
     88 Getsockopt         "getsockopt"        Getsockopt     Control;
     89 Setsockopt         "setsockopt"        Setsockopt     Control;
     90 Getsockname        "getsockname"       Getsockname    Control;
     91 Getpeername        "getpeername"       Getpeername    Control;
     92 Fdopen             "fdopen"            Fdopen         Control;
     93 IoFdopen           "_IO_fdopen"        Fdopen         Control;
     94 PidfdGetfd         "pidfd_getfd"       PidfdGetfd     Control;
     95 Isfdtype           "isfdtype"          Isfdtype       Control;
    100 Poll               "poll"              Poll           Wait;
    101 UnderPoll          "__poll"            Poll           Wait;
    102 UnderPollChk       "__poll_chk"        Poll           Wait;
    103 Ppoll              "ppoll"             Ppoll          Wait;
    104 UnderPpollChk      "__ppoll_chk"       Ppoll          Wait;
    105 Select             "select"            Select         Wait;
    106 UnderSelect        "__select"          Select         Wait;
    107 Pselect            "pselect"           Pselect        Wait;
    108 EpollCreate        "epoll_create"      EpollCreate    Wait;
    109 EpollCreate1       "epoll_create1"     EpollCreate1   Wait;
    110 EpollCtl           "epoll_ctl"         EpollCtl       Wait;
    111 EpollWait          "epoll_wait"        EpollWait      Wait;
    112 EpollPwait         "epoll_pwait"       EpollPwait     Wait;
    113 EpollPwait2        "epoll_pwait2"      EpollPwait2    Wait;
    120 Getaddrinfo        "getaddrinfo"       Getaddrinfo    Resolve;
    121 GetaddrinfoA       "getaddrinfo_a"     GetaddrinfoA   Resolve;
    122 Getnameinfo        "getnameinfo"       Getnameinfo    Resolve;
    123 Gethostbyname      "gethostbyname"     Gethostbyname  Resolve;
    124 GethostbynameR     "gethostbyname_r"   GethostbynameR Resolve;
    125 Gethostbyname2     "gethostbyname2"    Gethostbyname2 Resolve;
    126 Gethostbyname2R    "gethostbyname2_r"  Gethostbyname2R Resolve;
    127 Gethostbyaddr      "gethostbyaddr"     Gethostbyaddr  Resolve;
    128 GethostbyaddrR     "gethostbyaddr_r"   GethostbyaddrR Resolve;
    129 ResQuery           "res_query"         ResQuery       Resolve;
    130 ResSearch          "res_search"        ResSearch      Resolve;
    131 ResNquery          "res_nquery"        ResNquery      Resolve;
    132 ResNsearch         "res_nsearch"       ResNsearch     Resolve;
    133 ResSend            "res_send"          ResSend        Resolve;
    134 ResNsend           "res_nsend"         ResNsend       Resolve;
    135 ResQuerydomain     "res_querydomain"   ResQuerydomain Resolve;
    136 ResNquerydomain    "res_nquerydomain"  ResNquerydomain Resolve;
    137 Getifaddrs         "getifaddrs"        Getifaddrs     Resolve;
    150 Fork               "fork"              Fork           Process;
    151 UnderFork          "__fork"            Fork           Process;
    152 CapitalFork        "_Fork"             Fork           Process;
    153 Vfork              "vfork"             Vfork          Process;
    154 UnderVfork         "__vfork"           Vfork          Process;
    155 Daemon             "daemon"            Daemon         Process;
    156 Forkpty            "forkpty"           Forkpty        Process;
    157 Execve             "execve"            Execve         Process;
    158 Execv              "execv"             Execv          Process;
    159 Execvp             "execvp"            Execvp         Process;
    160 Execvpe            "execvpe"           Execvpe        Process;
    161 Execl              "execl"             Execl          Process;
    162 Execlp             "execlp"            Execlp         Process;
    163 Execle             "execle"            Execle         Process;
    164 Execveat           "execveat"          Execveat       Process;
    165 Fexecve            "fexecve"           Fexecve        Process;
    166 PosixSpawn         "posix_spawn"       PosixSpawn     Process;
    167 PosixSpawnp        "posix_spawnp"      PosixSpawnp    Process;
    168 Popen              "popen"             Popen          Process;
    169 IoPopen            "_IO_popen"         Popen          Process;
    170 System             "system"            System         Process;
    171 UnderExit          "_exit"             UnderExit      Process;
    172 CapitalExit        "_Exit"             CapitalExit      Process;
    173 QuickExit          "quick_exit"        QuickExit      Process;
    174 Prctl              "prctl"             Prctl          Process;
    175 Syscall            "syscall"           Syscall        Process;
    176 Dlopen             "dlopen"            Dlopen         Process;
    177 Dlmopen            "dlmopen"           Dlmopen        Process;
}
