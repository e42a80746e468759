//! Communicate, later: POSIX asynchronous I/O. libc reads and writes in threads of its own, around
//! us; what is recorded is the request. `aio_return`, which gives the result, names no descriptor.

use crate::next::{Fn1, Fn4};
use crate::recorder::call::{Call, Row};
use core::ffi::c_int;
use libc::{LIO_NOP, LIO_NOWAIT, LIO_READ, LIO_WAIT, aiocb, sigevent};
use sockshim_format::record::{ROLE_INPUT, ROLE_OUTPUT};

/// `aio_read` and `aio_write`.
pub unsafe fn request(row: Row, next: Fn1<*mut aiocb, c_int>, block: *mut aiocb) -> c_int {
    // SAFETY: see the module's parent; libc itself reads the block before anything else.
    unsafe {
        let Some(call) = Call::on(row, (*block).aio_fildes, 0, (*block).aio_nbytes as u64) else {
            return next(block);
        };
        let ret = next(block);
        call.leave(ret)
    }
}

/// `lio_listio`: several requests at once, of which those on sockets are told.
pub unsafe fn list(
    row: Row,
    next: Fn4<c_int, *const *mut aiocb, c_int, *mut sigevent, c_int>,
    mode: c_int,
    blocks: *const *mut aiocb,
    count: c_int,
    event: *mut sigevent,
) -> c_int {
    // SAFETY: see the module's parent; libc itself reads the list, whose entries may be null.
    unsafe {
        let call = Call::enter(row, mode as u32, count as u32 as u64);
        // With any other mode libc reads nothing.
        let count_read = if matches!(mode, LIO_WAIT | LIO_NOWAIT) { count.max(0) as usize } else { 0 };
        for i in 0..count_read {
            let block = *blocks.add(i);
            if block.is_null() || (*block).aio_lio_opcode == LIO_NOP {
                continue;
            }
            if let Some(identity) = call.lookup((*block).aio_fildes) {
                let role = if (*block).aio_lio_opcode == LIO_READ { ROLE_INPUT } else { ROLE_OUTPUT };
                call.names(role, (*block).aio_fildes, identity);
            }
        }
        let ret = next(mode, blocks, count, event);
        call.leave(ret)
    }
}
