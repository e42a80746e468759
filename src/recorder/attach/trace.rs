//! A trace that the shim makes itself: the file is the region, and all processes of a run share it.

use super::{Birth, Refusal, affordable, begin, fill, install, is_ours, map, shared};
use crate::recorder::region;
use crate::sys;
use crate::sys::path::KeptPath;
use crate::sys::room::{self, Pages};
use core::ffi::{CStr, c_int};
use sockshim_format::region::*;

/// Makes `path` a trace of its own, or joins it if the run that made it is still going on.
pub fn to_trace(path: &CStr, bytes: u64, snaplen: u32, edges: bool) -> Result<Header, Refusal> {
    // Several tries: two processes of one run may start together, and a file left behind by an earlier run is replaced.
    for _ in 0..5 {
        let fd = sys::open(path, libc::O_RDWR | libc::O_NOFOLLOW, 0);
        let done = if fd < 0 {
            make(path, bytes, snaplen, edges)
        } else {
            let joined = join(fd, path);
            sys::close(fd);
            joined
        };
        if let Some(result) = done {
            // SAFETY: no call is recorded before the region is there, and none asks for the path. One that is too long was
            // refused before.
            unsafe { PATH.keep(path) };
            return result;
        }
    }
    Err("the trace file cannot be created")
}

/// Where the trace is, for when all of its room is wanted.
#[unsafe(link_section = ".bss.table")]
static PATH: KeptPath = KeptPath::new();

/// Gives a sparse trace all of its room, in one go. False if there is not as much, or the file is not found: its name may
/// be another by now, or lie outside of what the program sees.
pub fn take_all_room() -> bool {
    let fd = sys::open(PATH.get(), libc::O_RDWR | libc::O_NOFOLLOW, 0);
    if fd < 0 {
        return false;
    }
    let mut start = [0u8; Header::SIZE];
    let taken = sys::read_start(fd, &mut start) == Header::SIZE as isize
        && region::begins_so(&start)
        && room::reserve(fd, region::bytes());
    sys::close(fd);
    if taken {
        region::is_sparse_no_more();
    }
    taken
}

fn put_to_use((base, header): (*mut u8, Header)) -> Header {
    install(base, false);
    header
}

/// Joins the run that a trace is of. None if it is over: then its trace has no name any more.
fn join(fd: c_int, path: &CStr) -> Option<Result<Header, Refusal>> {
    const FOREIGN: Refusal = "the trace file exists and is not a sockshim trace";
    // A device, for instance, is not taken away.
    if sys::fstat(fd).is_none_or(|file| file.st_mode & libc::S_IFMT != libc::S_IFREG) {
        return Some(Err(FOREIGN));
    }
    // Its creator may still be writing the header.
    match in_a_moment(|| header_of(fd)) {
        Some(header) if is_going_on(&header) => {
            return Some(map(fd).map(put_to_use));
        }
        None if sys::fstat(fd).is_none_or(|file| file.st_size != 0) => return Some(Err(FOREIGN)),
        _ => {}
    }
    // One at a time, as who comes second would take away what the first has put in its place.
    let locked = in_a_moment(|| sys::lock(fd).then_some(())).is_some();
    if locked && sys::fstat(fd).is_some_and(|file| file.st_ino == sys::inode(path)) {
        sys::unlink(path);
    }
    None
}

/// The header of a trace of this version. Read, if that shows it: most that are found are of a run that is over, and not mapped
/// for it. On some file systems (9p, vboxsf) what another process has mapped is only seen in a mapping.
fn header_of(fd: c_int) -> Option<Header> {
    let mut start = [0u8; Header::SIZE];
    sys::read_start(fd, &mut start);
    let bytes = sys::fstat(fd)?.st_size as u64;
    Header::read(&start).filter(|header| is_ours(header, bytes)).or_else(|| {
        let (base, header) = map(fd).ok()?;
        // SAFETY: mapped just now, not installed.
        unsafe { sys::munmap(base, header.region_bytes as usize) };
        Some(header)
    })
}

/// Whether a process of the run is there, or the one that has made the file a moment ago and is about to attach.
fn is_going_on(header: &Header) -> bool {
    let begins = header.processes == 0 && sys::process_exists(header.creator_pid);
    begins || header.attached.iter().any(|pid| *pid != 0 && sys::process_exists(*pid))
}

/// What `get` gives, if it does so within 20 ms: others are at work on the file.
fn in_a_moment<T>(get: impl Fn() -> Option<T>) -> Option<T> {
    let start = sys::clock_ns(libc::CLOCK_MONOTONIC);
    loop {
        let got = get();
        if got.is_some() || sys::clock_ns(libc::CLOCK_MONOTONIC) - start > 20_000_000 {
            return got;
        }
    }
}

/// Makes the file: without a name until it is whole, so that a program which is killed in here leaves none that cannot be read.
/// None if it cannot be made, which may be because somebody else was faster.
fn make(path: &CStr, bytes: u64, snaplen: u32, edges: bool) -> Option<Result<Header, Refusal>> {
    let birth = Birth::now(true);
    let mut buffer = [0u8; 4096];
    let fd = sys::open(folder_of(path, &mut buffer)?, libc::O_RDWR | libc::O_TMPFILE, 0o600);
    if fd >= 0 {
        let made = create(fd, birth, bytes, snaplen, edges).map(|made| (made, sys::link(fd, path)));
        sys::close(fd);
        match made {
            Ok((mapped, 0)) => return Some(Ok(put_to_use(mapped))),
            Ok(((base, header), error)) => {
                // SAFETY: mapped just now, not installed.
                unsafe { sys::munmap(base, header.region_bytes as usize) };
                if error == -(libc::EEXIST as isize) {
                    return None;
                }
            }
            Err(why) => return Some(Err(why)),
        }
    }
    make_named(path, birth, bytes, snaplen, edges)
}

/// Likewise where files without a name are not known, or cannot be given one.
fn make_named(path: &CStr, birth: Birth, bytes: u64, snaplen: u32, edges: bool) -> Option<Result<Header, Refusal>> {
    let flags = libc::O_RDWR | libc::O_NOFOLLOW | libc::O_CREAT | libc::O_EXCL;
    let fd = sys::open(path, flags, 0o600);
    if fd < 0 {
        return None;
    }
    // Who finds it empty must not take it away.
    sys::lock(fd);
    let created = create(fd, birth, bytes, snaplen, edges);
    if created.is_err() {
        sys::unlink(path);
    }
    sys::close(fd);
    Some(created.map(put_to_use))
}

/// The folder that a path is in.
fn folder_of<'a>(path: &CStr, buffer: &'a mut [u8; 4096]) -> Option<&'a CStr> {
    let bytes = path.to_bytes();
    let folder = match bytes.iter().rposition(|b| *b == b'/') {
        Some(end) => bytes.get(..end + 1)?,
        None => b".",
    };
    buffer.get_mut(..folder.len())?.copy_from_slice(folder);
    *buffer.get_mut(folder.len())? = 0;
    CStr::from_bytes_until_nul(buffer).ok()
}

/// Chunks of a trace of our own that are offered at first: that which the first record needs, for most programs have no
/// socket, and a page of a file takes ext4 15 us. Threads give the others their pages, and room where there is none yet, when
/// they come to them: many at a time, which takes less than a page fault for each.
const FIRST_CHUNKS: u32 = 1;

/// Sizes, allocates, maps and fills a file that we have just created.
fn create(fd: c_int, birth: Birth, bytes: u64, snaplen: u32, edges: bool) -> Result<(*mut u8, Header), Refusal> {
    // Past RLIMIT_FSIZE the kernel would send SIGXFSZ.
    let limit = sys::limit(libc::RLIMIT_FSIZE) & !(CHUNK_BYTES as u64 - 1);
    let mut bytes = affordable(bytes).min(limit);
    if room::gives_room(fd)
        && let Ok(header) = begin_file(birth, bytes, snaplen, edges)
        && let Some(made) = create_sparse(fd, header)
    {
        return Ok(made);
    }
    // There a page of a sparse file might kill the program with SIGBUS when the disk is full: allocate it all now.
    const NO_ROOM: Refusal = "there is no space for a trace of even 64 KiB";
    while bytes < 64 << 10 || room::allocate(fd, bytes) != 0 {
        bytes /= 2;
        if bytes < 64 << 10 {
            return Err(NO_ROOM);
        }
    }
    let header = begin_file(birth, bytes, snaplen, edges)?;
    let base = shared(fd, header.region_bytes).ok_or("the trace file cannot be mapped")?;
    // SAFETY: mapped just now, of that size; others see it only once the magic is there.
    unsafe {
        // Some have allocated, and want more room to write there.
        if let Pages::NoRoom = room::populate(base, first_bytes(&header)) {
            sys::munmap(base, header.region_bytes as usize);
            return Err(NO_ROOM);
        }
        Ok((base, fill(base, header)))
    }
}

/// Sizes, maps and fills a file that has no room but for its beginning: to have 64 MiB takes longer than many a program, and
/// each of a thousand processes may have a file of its own. Whoever offers chunks makes room for them first. None, and the file
/// is empty again, where there is no room, or the kernel cannot be asked for it.
fn create_sparse(fd: c_int, mut header: Header) -> Option<(*mut u8, Header)> {
    if header.offered == 0 || !room::resize(fd, header.region_bytes) {
        return None;
    }
    header.flags |= REGION_SPARSE;
    if let Some(base) = shared(fd, header.region_bytes) {
        // SAFETY: mapped just now, of that size; others see it only once the magic is there.
        unsafe {
            if let Pages::There = room::populate(base, first_bytes(&header)) {
                return Some((base, fill(base, header)));
            }
            sys::munmap(base, header.region_bytes as usize);
        }
    }
    room::resize(fd, 0);
    None
}

/// Bytes from the beginning of a region to the end of the chunks that are offered.
fn first_bytes(header: &Header) -> usize {
    header.chunks_offset as usize + header.offered_chunks() as usize * CHUNK_BYTES
}

/// The header of a new trace of our own.
fn begin_file(birth: Birth, bytes: u64, snaplen_bytes: u32, edges: bool) -> Result<Header, Refusal> {
    let header = begin(birth, bytes, snaplen_bytes, edges)?;
    Ok(Header { offered: if header.chunk_count > FIRST_CHUNKS { FIRST_CHUNKS } else { 0 }, ..header })
}
