//! What there is to say: facts with their values, and no word of any language.
#![allow(missing_docs)] // each fact says what its values are

use sockshim_format::op::Op;
use sockshim_format::record::Injected;

/// The phases that are announced: resolution, and the four of a socket's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// A name becomes addresses.
    Resolve,
    /// A socket comes into being.
    Create,
    /// It gets a peer.
    Connect,
    /// Bytes pass.
    Communicate,
    /// It ends.
    Disconnect,
}

/// Who speaks, or is spoken of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// The end that connected.
    Client,
    /// The end that was accepted.
    Server,
    /// The socket that clients knock at.
    Listener,
    /// A socket of datagrams.
    Datagram,
    /// One of a pair.
    Pair,
    /// Nothing has shown yet what it is for.
    Socket,
}

/// What a socket speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// TCP, over IPv6 or IPv4.
    Tcp { six: bool },
    /// UDP, over IPv6 or IPv4.
    Udp { six: bool },
    /// AF_UNIX, with a stream or datagrams.
    Local { stream: bool },
    /// Another one, by the names of its family and type.
    Other { family: String, kind: String },
}

/// What is explained once, when it is first met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lesson {
    /// What a stage is for.
    Stage(Stage),
    /// What a descriptor is.
    Descriptor,
    /// What address and port are for, and the handshake.
    Handshake,
    /// A connect that does not wait.
    InProgress,
    /// The backlog.
    Backlog,
    /// Accept gives a new socket, and the listener goes on listening.
    Accept,
    /// A stream has no messages.
    Stream,
    /// A write hands bytes over to the kernel.
    Write,
    /// A read of 0 is the end.
    End,
    /// A datagram arrives whole, or not at all.
    Datagram,
    /// EAGAIN is no error.
    Again,
    /// TIME_WAIT, where the end that closed first waits.
    TimeWait,
    /// Half close.
    HalfClose,
    /// Close with unread bytes.
    Reset,
}

/// How a descriptor was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// This end is the first to close, in order.
    First { tcp: bool },
    /// The other end had closed before.
    Second,
    /// The direction was ended by `shutdown` before.
    AfterHalfClose,
    /// Bytes were never read, so the close resets.
    Unread { bytes: u32 },
    /// SO_LINGER with a time of zero: the close resets.
    Linger,
    /// The connection had been reset before.
    AfterReset,
    /// Both ends closed at once.
    Both,
    /// It was a listener.
    Listener,
    /// It sent and received datagrams.
    Datagram,
    /// It never had a peer.
    Unconnected,
    /// Another descriptor names the socket still.
    StillNamed,
    /// A stream ended, and nothing tells who was first.
    Unknown,
}

/// One thing to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A program speaks for the first time.
    Program { name: String, pid: u32 },
    /// A stage begins.
    Stage(Stage),
    /// What is explained once.
    Lesson(Lesson),
    /// A name was resolved.
    Resolved { name: String, addresses: Vec<String>, took_ns: u64 },
    /// A name was not resolved, and the resolver's own word for it.
    Unresolved { name: String, error: String },
    /// A descriptor names a new socket.
    Created { fd: i32, kind: Kind },
    /// Two descriptors name the ends of a pipe.
    Paired { fds: (i32, i32) },
    /// Options were set: how many, and the names of the first.
    Options { count: usize, names: Vec<String> },
    /// It has an address; or the kernel will choose the port.
    Bound { address: String, port_is_free: bool },
    /// It listens.
    Listening { address: Option<String>, backlog: u32 },
    /// Accept waits.
    WaitsForClient,
    /// Connect waits.
    WaitsForAnswer,
    /// A read waits for bytes.
    WaitsForBytes { other: End },
    /// A write waits for room.
    WaitsForRoom { other: End },
    /// Connect was asked for, and goes on in the background.
    ConnectBegun { name: Option<String>, address: String },
    /// The pipe is open.
    Connected { name: Option<String>, ip: String, port: u16, local: Option<String>, took_ns: u64 },
    /// The pipe is open, by a path or another address that has no port.
    ConnectedTo { address: String, took_ns: u64 },
    /// A socket of datagrams has a default peer.
    PeerChosen { address: String },
    /// A client was accepted.
    Accepted { fd: i32, listener: i32, peer: Option<String>, waited_ns: u64 },
    /// Bytes were written, and how many the program had asked for.
    Wrote { bytes: u64, asked: u64, begins: Option<String> },
    /// Bytes were read, after so long a wait.
    Read { bytes: u64, waited_ns: u64, begins: Option<String> },
    /// More calls in the same direction, and all bytes of it so far.
    WroteMore { calls: u64, bytes: u64 },
    /// More reads.
    ReadMore { calls: u64, bytes: u64 },
    /// A long conversation, summed up.
    Exchanged { writes: u64, sent: u64, reads: u64, received: u64 },
    /// Both ends have keys: with which version of TLS, and for which name, where that could be seen.
    Secured { version: Option<String>, name: Option<String>, took_ns: u64 },
    /// A datagram was sent.
    SentDatagram { bytes: u64, to: Option<String> },
    /// A datagram was received.
    ReceivedDatagram { bytes: u64, from: Option<String>, waited_ns: u64 },
    /// A call would have blocked.
    Again { reading: bool },
    /// A read gave nothing: the other end has closed, first or after us.
    Ended { other: End, first: bool },
    /// This end has ended its direction; or both of them.
    ShutDown { both: bool, other: End },
    /// This end will read no more.
    ReadsNoMore,
    /// A descriptor was closed.
    Closed { fd: i32, closing: Closing, other: End },
    /// The other end reset the connection.
    WasReset { other: End },
    /// A call failed.
    Failed { op: Op, errno: u16, target: Option<String> },
    /// A rule of the plan has done this to a call: what follows is not the network's doing.
    Injected { op: Op, injected: Injected },
    /// A program ended with an open socket.
    LeftOpen { fd: i32, other_is_gone: bool, other: End },
    /// Calls are missing here.
    Lost { count: u64 },
    /// More sockets than these are not told of one by one.
    Untold { told: u64 },
    /// All is told: sockets, bytes sent and received.
    Over { sockets: u64, sent: u64, received: u64 },
}
