//! Room on disks and in memory: whoever touches a page of a mapped file that has none is killed (SIGBUS).

use super::{checked, madvise, syscall};
use core::ffi::c_int;

/// Gives an empty file its size and the room for it, so that touching it can never raise SIGBUS; 0 or a negative
/// errno, and the file is empty again. Filesystems without fallocate(2) get zeros written.
pub fn allocate(fd: c_int, bytes: u64) -> isize {
    static ZEROS: [u8; 4096] = [0; 4096];
    let ret = checked(libc::SYS_fallocate, [fd as usize, 0, 0, bytes as usize, 0, 0]);
    if ret != -(libc::EOPNOTSUPP as isize) && ret != -(libc::ENOSYS as isize) {
        if ret != 0 {
            // It may have got half way.
            resize(fd, 0);
        }
        return ret;
    }
    let mut at = 0;
    while at < bytes {
        let len = (ZEROS.len() as u64).min(bytes - at);
        let ret = checked(libc::SYS_pwrite64, [fd as usize, ZEROS.as_ptr() as usize, len as usize, at as usize, 0, 0]);
        if ret <= 0 {
            resize(fd, 0);
            return ret.min(-1);
        }
        at += ret as u64;
    }
    0
}

/// Gives a file a size without room for it; false if that cannot be.
pub fn resize(fd: c_int, bytes: u64) -> bool {
    checked(libc::SYS_ftruncate, [fd as usize, bytes as usize, 0, 0, 0, 0]) == 0
}

/// Gives the beginning of a file room, without a change to what is there. False if there is not as much, or it cannot be asked for.
pub fn reserve(fd: c_int, bytes: u64) -> bool {
    checked(libc::SYS_fallocate, [fd as usize, libc::FALLOC_FL_KEEP_SIZE as usize, 0, bytes as usize, 0, 0]) == 0
}

/// Whether an empty file is on a file system that makes room for a page before a mapping may write to it, so that where there is
/// none MADV_POPULATE_WRITE fails and no later write does: tmpfs, ext4, XFS, and Btrfs with a word to it. Others may find out only
/// when they write the page back.
pub fn gives_room(fd: c_int) -> bool {
    let mut out = core::mem::MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: the kernel writes one `struct statfs` into `out`, of which zeroed bytes are a valid one.
    let kind = unsafe {
        syscall(libc::SYS_fstatfs, [fd as usize, out.as_mut_ptr() as usize, 0, 0, 0, 0]);
        out.assume_init().f_type
    };
    match kind {
        libc::TMPFS_MAGIC | libc::XFS_SUPER_MAGIC => true,
        // The kernel's ext2 has ext4's number, and makes no room. It can punch no holes either; this is none.
        libc::EXT4_SUPER_MAGIC => {
            let hole = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
            checked(libc::SYS_fallocate, [fd as usize, hole as usize, 0, 4096, 0, 0]) == 0
        }
        libc::BTRFS_SUPER_MAGIC => write_in_place(fd),
        _ => false,
    }
}

/// Has Btrfs write an empty file in place (chattr(1), C), as systemd's journal does. It would want new room each time that a page
/// is written after it was written back, and where there is none left it writes back to find some.
fn write_in_place(fd: c_int) -> bool {
    // linux/fs.h. They are said to take a long, and take an int.
    const GET_FLAGS: u64 = 0x8008_6601;
    const SET_FLAGS: usize = 0x4008_6602;
    const COMPRESSED: c_int = 0x4;
    const NO_COPY_ON_WRITE: c_int = 0x0080_0000;
    let set =
        |flags: c_int| checked(libc::SYS_ioctl, [fd as usize, SET_FLAGS, &raw const flags as usize, 0, 0, 0]) == 0;
    super::ioctl_int(fd, GET_FLAGS).is_some_and(|flags| {
        // It may have that from its folder, and not both: nor may the one go when the other comes.
        let flags = flags & !COMPRESSED;
        set(flags) && set(flags | NO_COPY_ON_WRITE)
    })
}

/// What became of pages that were asked for.
pub enum Pages {
    /// They can be written to.
    There,
    /// There is no room for all of them: to touch them might be SIGBUS.
    NoRoom,
    /// The kernel is older than Linux 5.14, or a filter forbids to ask it.
    Unknown,
}

/// Gives a part of a mapping its pages, by MADV_POPULATE_WRITE.
pub fn populate(start: *mut u8, bytes: usize) -> Pages {
    // EFAULT where a touch would be SIGBUS, ENOMEM where there is no memory for the page: madvise(2).
    const NO_ROOM: [isize; 2] = [-(libc::EFAULT as isize), -(libc::ENOMEM as isize)];
    match madvise(start, bytes, libc::MADV_POPULATE_WRITE) {
        0 => Pages::There,
        error if NO_ROOM.contains(&error) => Pages::NoRoom,
        _ => Pages::Unknown,
    }
}
