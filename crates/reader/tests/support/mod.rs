//! A shim of our own, that records into a live region through the public layouts: the other side of
//! what the reader must understand.
#![allow(dead_code)]

use sockshim_format::op::Op;
use sockshim_format::record::*;
use sockshim_format::region::*;
use sockshim_reader::{Region, RegionOptions};
use std::fs::OpenOptions;
use std::mem::offset_of;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};

pub struct Shim {
    start: *mut u8,
    bytes: usize,
    pub header: Header,
}

// SAFETY: the memory is reached through atomics only, and stays mapped for ever.
unsafe impl Send for Shim {}
// SAFETY: as above.
unsafe impl Sync for Shim {}

impl Shim {
    pub fn attach(path: &Path) -> Arc<Shim> {
        let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
        let bytes = file.metadata().unwrap().len() as usize;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping of a whole file, at an address of the kernel's choice.
        let start =
            unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        assert_ne!(start, libc::MAP_FAILED);
        let header = Header::read(&std::fs::read(path).unwrap()).unwrap();
        assert_eq!(header.magic, REGION_MAGIC);
        Arc::new(Shim { start: start.cast(), bytes, header })
    }

    pub fn word(&self, offset: usize) -> &AtomicU64 {
        assert!(offset.is_multiple_of(8) && offset + 8 <= self.bytes);
        // SAFETY: aligned and in bounds by the assertion.
        unsafe { &*self.start.add(offset).cast() }
    }

    pub fn half(&self, offset: usize) -> &AtomicU32 {
        assert!(offset.is_multiple_of(4) && offset + 4 <= self.bytes);
        // SAFETY: aligned and in bounds by the assertion.
        unsafe { &*self.start.add(offset).cast() }
    }

    pub fn chunk(&self, index: u32) -> usize {
        self.header.chunks_offset as usize + index as usize * CHUNK_BYTES
    }

    /// Takes a free chunk: the lowest one.
    fn claim(&self) -> Option<(u32, u32)> {
        for i in 0..self.header.chunk_count.div_ceil(64) {
            let word = self.word(self.header.free_offset as usize + i as usize * 8);
            let mut free = word.load(Acquire);
            while free != 0 {
                let bit = free & free.wrapping_neg();
                free &= free - 1;
                let index = i * 64 + bit.trailing_zeros();
                let status = self.word(self.chunk(index));
                let old = status.load(Acquire);
                let generation = (old >> 32) as u32 + 1;
                let new = chunk_status(generation, CHUNK_OWNED);
                if old as u32 == CHUNK_FREE && status.compare_exchange(old, new, AcqRel, Relaxed).is_ok() {
                    word.fetch_and(!bit, AcqRel);
                    return Some((index, generation));
                }
            }
        }
        None
    }
}

/// One thread of a traced program.
pub struct Thread {
    pub shim: Arc<Shim>,
    pub process: u32,
    pub pid: u32,
    pub tid: u32,
    pub seq: u32,
    /// The next start of a call; advances by 10 with each one, unless ticks are real.
    pub ticks: u64,
    pub chunk: Option<(u32, u32)>,
    number: u64,
}

/// A call that has been entered.
#[derive(Clone, Copy)]
pub struct Entered {
    pub call: Call,
    chunk: (u32, u32),
    at: usize,
}

impl Thread {
    pub fn new(shim: &Arc<Shim>, process: u32, pid: u32, tid: u32) -> Thread {
        let ticks = shim.header.first_ticks + 1000;
        Thread { shim: shim.clone(), process, pid, tid, seq: 0, ticks, chunk: None, number: 0 }
    }

    /// Reserves slots, in a new chunk if need be, waiting for one.
    pub fn reserve(&mut self, slots: u32) -> ((u32, u32), usize) {
        loop {
            if let Some((index, generation)) = self.chunk {
                let chunk = self.shim.chunk(index);
                let used = self.shim.half(chunk + 8).fetch_add(slots, AcqRel);
                if used + slots <= CHUNK_SLOTS {
                    return ((index, generation), chunk + SLOT_BYTES * (1 + used as usize));
                }
                self.leave_chunk();
            }
            let Some((index, generation)) = self.shim.claim() else {
                std::thread::yield_now();
                continue;
            };
            let chunk = self.shim.chunk(index);
            let set = |offset, value| self.shim.half(chunk + offset).store(value, Relaxed);
            set(offset_of!(Chunk, used), 0);
            set(offset_of!(Chunk, process), self.process);
            set(offset_of!(Chunk, pid), self.pid);
            set(offset_of!(Chunk, tid), self.tid);
            set(offset_of!(Chunk, lost), 0);
            self.shim.word(chunk + offset_of!(Chunk, number)).store(self.number, Relaxed);
            self.shim.half(chunk + offset_of!(Chunk, identity_generation)).store(generation, Release);
            self.number += 1;
            self.chunk = Some((index, generation));
        }
    }

    /// Leaves the chunk for good.
    pub fn leave_chunk(&mut self) {
        if let Some((index, _)) = self.chunk.take() {
            let word = self.shim.word(self.shim.header.full_offset as usize + index as usize / 64 * 8);
            word.fetch_or(1 << (index % 64), Release);
        }
    }

    /// Writes a record whose first word is the commit word, that one last.
    fn publish(&self, at: usize, generation: u32, kind: u8, state: u8, record: &[u8]) {
        let slots = record.len().div_ceil(SLOT_BYTES);
        let mut bytes = record.to_vec();
        // Behind them stays what was there, as the shim leaves it.
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        for (i, word) in bytes.chunks_exact(8).enumerate().skip(1) {
            let value = u64::from_le_bytes(word.try_into().unwrap());
            self.shim.word(at + i * 8).store(value, Relaxed);
        }
        let commit = Commit { generation, kind, slots: slots as u8, state, flags: bytes[0] };
        self.shim.word(at).store(commit.word(), Release);
    }

    pub fn enter(&mut self, op: Op, fd: i32, change: impl FnOnce(&mut Call)) -> Entered {
        let (chunk, at) = self.reserve(1);
        let mut call = Call {
            commit: 0,
            start_ticks: self.ticks,
            duration_ticks: 0,
            ret: 0,
            socket: 0,
            size: 0,
            seq: self.seq,
            fd,
            op: op as u16,
            errno: 0,
            arg: 0,
        };
        change(&mut call);
        self.seq += 1;
        self.ticks += 10;
        self.publish(at, chunk.1, KIND_CALL, STATE_ENTERED, &call.to_bytes());
        Entered { call, chunk, at }
    }

    pub fn extension(&mut self, seq: u32, kind: u8, role: u8, part: u8, body: &[u8]) {
        let head = Extension { commit: 0, seq, len: body.len() as u16, role, part };
        let record = [&head.to_bytes()[..], body].concat();
        let (chunk, at) = self.reserve(record.len().div_ceil(SLOT_BYTES) as u32);
        self.publish(at, chunk.1, kind, STATE_DONE, &record);
    }

    pub fn leave(&mut self, entered: Entered, change: impl FnOnce(&mut Call)) {
        let Entered { mut call, chunk, at } = entered;
        call.duration_ticks = 5;
        change(&mut call);
        if self.chunk == Some(chunk) {
            self.publish(at, chunk.1, KIND_CALL, STATE_DONE, &call.to_bytes());
        } else {
            let (chunk, at) = self.reserve(1);
            self.publish(at, chunk.1, KIND_COMPLETION, STATE_DONE, &call.to_bytes());
        }
    }

    /// A whole call without extensions.
    pub fn call(&mut self, op: Op, fd: i32, ret: i64, change: impl Fn(&mut Call)) -> u32 {
        let entered = self.enter(op, fd, &change);
        self.leave(entered, |call| {
            change(call);
            call.ret = ret;
        });
        entered.call.seq
    }

    /// A whole call with a body at its end.
    pub fn call_with(&mut self, op: Op, fd: i32, ret: i64, socket: u64, parts: &[(u8, u8, &[u8])]) -> u32 {
        let entered = self.enter(op, fd, |call| call.socket = socket);
        for &(kind, role, body) in parts {
            self.extension(entered.call.seq, kind, role, 0, body);
        }
        self.leave(entered, |call| call.ret = ret);
        entered.call.seq
    }

    pub fn introduce(&mut self, parent: u32, how: u32, exe: &str, args: &[&str]) {
        let path = [exe.as_bytes(), b"\0"].concat();
        let arguments: Vec<u8> = args.iter().flat_map(|arg| [arg.as_bytes(), b"\0"].concat()).collect();
        let process = Process {
            process: self.process,
            parent,
            pid: self.pid,
            ppid: 1,
            how,
            uid: 0,
            ticks: self.ticks,
            real_ns: 0,
            pid_namespace: 0,
            net_namespace: 0,
            path_bytes: path.len() as u32,
            arguments_bytes: arguments.len() as u32,
            reserved: 0,
        };
        let body = [&process.to_bytes()[..], &path, &arguments].concat();
        self.extension(0, KIND_PROCESS, 0, 0, &body);
    }
}

/// A directory of a test's own.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("sockshim-reader-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// An owned batch.
pub type OwnedBatch = (u32, u32, u32, Vec<u8>);

/// A new region, and a shim that has attached to it. Its threads give themselves no chunks, so it begins with enough.
pub fn region(scratch: &Scratch, bytes: u64) -> (Region, Arc<Shim>) {
    let path = scratch.path("region");
    let options = RegionOptions { bytes, first_bytes: 256 << 10, ..RegionOptions::default() };
    let mut region = Region::create(&path, &options).unwrap();
    // Synthetic ticks are of the past: every call in progress would be told at once.
    region.announce_after_ns = u64::MAX;
    let shim = Shim::attach(&path);
    (region, shim)
}

/// One pass, what it told.
pub fn drain(region: &mut Region) -> Vec<OwnedBatch> {
    let mut out = Vec::new();
    region.drain(&mut |b| out.push((b.process, b.tid, b.lost, b.slots.to_vec())));
    region.give_back();
    out
}

/// The calls in a list of batches: (seq, state).
pub fn calls(batches: &[OwnedBatch]) -> Vec<(u32, u8)> {
    let mut out = Vec::new();
    for (process, tid, lost, slots) in batches {
        let batch = sockshim_reader::Batch { process: *process, pid: 0, tid: *tid, lost: *lost, slots };
        for record in batch.records() {
            if matches!(record.commit.kind, KIND_CALL | KIND_COMPLETION) {
                out.push((Call::read(record.bytes).unwrap().seq, record.commit.state));
            }
        }
    }
    out
}

/// A region file of five chunks with nothing random in it.
pub fn fixed_region(path: &Path) -> Arc<Shim> {
    let bytes = 32 << 10;
    let (chunk_count, free_offset, _, _) = region_parts(bytes).unwrap();
    let schema = SCHEMA.concat();
    let header = Header {
        clock: CLOCK_TSC,
        flags: REGION_DRAINED,
        snaplen_bytes: 64,
        id: [0x1122_3344_5566_7788, 0x99aa_bbcc_ddee_ff00],
        creator_pid: 99,
        schema_bytes: schema.len() as u32,
        first_ticks: 1_000_000,
        first_mono_ns: 5_000_000_000,
        first_real_ns: 1_700_000_000_000_000_000,
        last_ticks: 1_000_000 + 4_000_000,
        last_mono_ns: 5_000_000_000 + 2_000_000,
        processes: 2,
        lost: 3,
        lost_extensions: 1,
        tool_pid: 99,
        ..Header::new(bytes).unwrap()
    };
    let mut file = vec![0u8; bytes as usize];
    file[..Header::SIZE].copy_from_slice(&header.to_bytes());
    file[SCHEMA_OFFSET..SCHEMA_OFFSET + schema.len()].copy_from_slice(schema.as_bytes());
    file[free_offset as usize] = (1 << chunk_count) - 1;
    std::fs::write(path, file).unwrap();
    Shim::attach(path)
}

/// A small story: a client and a server in two processes, one of them killed in a call.
pub fn record_story(shim: &Arc<Shim>) {
    const SERVER: &[u8] = &[2, 0, 0x1f, 0x90, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    const CLIENT: &[u8] = &[2, 0, 0x9c, 0x40, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    let info = |state: u8| {
        let mut body = TcpState { unread_bytes: 0, unsent_bytes: 0 }.to_bytes().to_vec();
        body.extend([state, 0, 0, 0]);
        body
    };
    let sock = |socket: u64, fd: i32| {
        Socket { socket, inode: socket, fd, domain: 2, kind: 1, protocol: 6, net_namespace: 0, reserved: 0 }.to_bytes()
    };
    let mut client = Thread::new(shim, 1, 10, 10);
    client.introduce(0, PROCESS_IMAGE, "/usr/bin/client", &["client", "-v", "two words"]);
    let seq = client.seq;
    client.extension(seq, KIND_MARK, 0, 0, &[&Mark { ticks: client.ticks }.to_bytes()[..], b"begin"].concat());
    let entered = client.enter(Op::Socket, -1, |call| (call.arg, call.size) = (2, 1));
    client.extension(entered.call.seq, KIND_SOCKET, 0, 0, &sock(7, 3));
    client.leave(entered, |call| (call.ret, call.socket) = (3, 7));
    let address: [(u8, u8, &[u8]); 2] = [(KIND_ADDRESS, ROLE_GIVEN, SERVER), (KIND_ADDRESS, ROLE_LOCAL, CLIENT)];
    client.call_with(Op::Connect, 3, 0, 7, &address);
    let entered = client.enter(Op::Send, 3, |call| (call.socket, call.size) = (7, 90));
    client.extension(entered.call.seq, KIND_PAYLOAD, ROLE_SENT, 0, &[b'a'; 50]);
    client.extension(entered.call.seq, KIND_PAYLOAD, ROLE_SENT, 1, &[b'b'; 40]);
    client.leave(entered, |call| call.ret = 90);
    client.call_with(Op::Close, 3, 0, 7, &[(KIND_TCP_INFO, 0, &info(1))]);
    let mut server = Thread::new(shim, 2, 20, 21);
    server.introduce(0, PROCESS_IMAGE, "/usr/bin/server", &["server"]);
    let accepted: [(u8, u8, &[u8]); 3] =
        [(KIND_SOCKET, 0, &sock(9, 5)), (KIND_ADDRESS, ROLE_RETURNED, CLIENT), (KIND_ADDRESS, ROLE_LOCAL, SERVER)];
    server.call_with(Op::Accept, 4, 5, 8, &accepted);
    for i in 0..40 {
        let text = [b'0' + i; 70];
        server.call_with(Op::Recv, 5, 70, 9, &[(KIND_PAYLOAD, ROLE_RECEIVED, &text)]);
    }
    server.enter(Op::Recv, 5, |call| (call.socket, call.size) = (9, 100));
}
