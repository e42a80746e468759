//! Every interposed function, one row each: the table of contents of the product.
//!
//! `docs/FUNCTIONS.md` lists the same, for people; a test compares both with what the library exports.
#![allow(non_snake_case)] // the names are libc's

use crate::hooks::communicate::VaList;
use crate::hooks::resolve::gaicb;
use crate::hooks::{
    accept, asynchronous, communicate, connect, create, descriptor, disconnect, execute, message, process, raw,
    resolve, resolver, transfer, wait,
};
use core::ffi::{c_char, c_int, c_long, c_uchar, c_uint, c_ulong, c_void};
use libc::{
    FILE, addrinfo, aiocb, epoll_event, fd_set, hostent, ifaddrs, iovec, loff_t, mmsghdr, msghdr, nfds_t, off_t, pid_t,
    pollfd, sigevent, sigset_t, size_t, sockaddr, sockaddr_in, socklen_t, ssize_t, timespec, timeval,
};

#[rustfmt::skip]
interpose! {
//  Create
    Socket       libc => fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int => create::socket;
    Socketpair   libc => fn socketpair(domain: c_int, kind: c_int, protocol: c_int, pair: *mut c_int) -> c_int => create::socketpair;

//  Connect
    Connect      libc => fn connect(fd: c_int, address: *const sockaddr, len: socklen_t) -> c_int => connect::connect;
    UnderConnect      => fn __connect(fd: c_int, address: *const sockaddr, len: socklen_t) -> c_int => connect::connect;
    Bind         libc => fn bind(fd: c_int, address: *const sockaddr, len: socklen_t) -> c_int => accept::bind;
    Bindresvport      => fn bindresvport(fd: c_int, address: *mut sockaddr_in) -> c_int => accept::bindresvport;
    Listen       libc => fn listen(fd: c_int, backlog: c_int) -> c_int => accept::listen;
    Accept       libc => fn accept(fd: c_int, address: *mut sockaddr, len: *mut socklen_t) -> c_int => accept::accept;
    Accept4      libc => fn accept4(fd: c_int, address: *mut sockaddr, len: *mut socklen_t, flags: c_int) -> c_int => accept::accept4;

//  Communicate
    Read         libc => fn read(fd: c_int, buffer: *mut c_void, len: size_t) -> ssize_t => communicate::read, if fd;
    UnderRead         => fn __read(fd: c_int, buffer: *mut c_void, len: size_t) -> ssize_t => communicate::read, if fd;
    UnderReadChk      => fn __read_chk(fd: c_int, buffer: *mut c_void, len: size_t, capacity: size_t) -> ssize_t => communicate::read_chk, if fd;
    Readv        libc => fn readv(fd: c_int, iov: *const iovec, count: c_int) -> ssize_t => communicate::readv, if fd;
    Preadv2      libc => fn preadv2(fd: c_int, iov: *const iovec, count: c_int, offset: off_t, flags: c_int) -> ssize_t => communicate::preadv2, if fd;
    Preadv64v2        => fn preadv64v2(fd: c_int, iov: *const iovec, count: c_int, offset: off_t, flags: c_int) -> ssize_t => communicate::preadv2, if fd;
    Write        libc => fn write(fd: c_int, buffer: *const c_void, len: size_t) -> ssize_t => communicate::write, if fd;
    UnderWrite        => fn __write(fd: c_int, buffer: *const c_void, len: size_t) -> ssize_t => communicate::write, if fd;
    Writev       libc => fn writev(fd: c_int, iov: *const iovec, count: c_int) -> ssize_t => communicate::writev, if fd;
    Pwritev2     libc => fn pwritev2(fd: c_int, iov: *const iovec, count: c_int, offset: off_t, flags: c_int) -> ssize_t => communicate::pwritev2, if fd;
    Pwritev64v2       => fn pwritev64v2(fd: c_int, iov: *const iovec, count: c_int, offset: off_t, flags: c_int) -> ssize_t => communicate::pwritev2, if fd;
    Send         libc => fn send(fd: c_int, buffer: *const c_void, len: size_t, flags: c_int) -> ssize_t => communicate::send;
    UnderSend         => fn __send(fd: c_int, buffer: *const c_void, len: size_t, flags: c_int) -> ssize_t => communicate::send;
    Sendto       libc => fn sendto(fd: c_int, buffer: *const c_void, len: size_t, flags: c_int, address: *const sockaddr, address_len: socklen_t) -> ssize_t => communicate::sendto;
    Sendmsg      libc => fn sendmsg(fd: c_int, message: *const msghdr, flags: c_int) -> ssize_t => message::sendmsg;
    Sendmmsg     libc => fn sendmmsg(fd: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int) -> c_int => message::sendmmsg;
    Recv         libc => fn recv(fd: c_int, buffer: *mut c_void, len: size_t, flags: c_int) -> ssize_t => communicate::recv;
    UnderRecvChk      => fn __recv_chk(fd: c_int, buffer: *mut c_void, len: size_t, capacity: size_t, flags: c_int) -> ssize_t => communicate::recv_chk;
    Recvfrom     libc => fn recvfrom(fd: c_int, buffer: *mut c_void, len: size_t, flags: c_int, address: *mut sockaddr, address_len: *mut socklen_t) -> ssize_t => communicate::recvfrom;
    UnderRecvfromChk  => fn __recvfrom_chk(fd: c_int, buffer: *mut c_void, len: size_t, capacity: size_t, flags: c_int, address: *mut sockaddr, address_len: *mut socklen_t) -> ssize_t => communicate::recvfrom_chk;
    Recvmsg      libc => fn recvmsg(fd: c_int, message: *mut msghdr, flags: c_int) -> ssize_t => message::recvmsg;
    Recvmmsg     libc => fn recvmmsg(fd: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int, timeout: *mut timespec) -> c_int => message::recvmmsg;
    Sendfile     libc => fn sendfile(output: c_int, input: c_int, offset: *mut off_t, count: size_t) -> ssize_t => transfer::sendfile;
    Sendfile64        => fn sendfile64(output: c_int, input: c_int, offset: *mut off_t, count: size_t) -> ssize_t => transfer::sendfile;
    Splice       libc => fn splice(input: c_int, input_offset: *mut loff_t, output: c_int, output_offset: *mut loff_t, len: size_t, flags: c_uint) -> ssize_t => transfer::splice;
    Tee          libc => fn tee(input: c_int, output: c_int, len: size_t, flags: c_uint) -> ssize_t => transfer::tee;
    Vmsplice     libc => fn vmsplice(fd: c_int, iov: *const iovec, count: size_t, flags: c_uint) -> ssize_t => transfer::vmsplice;
    CopyFileRange libc => fn copy_file_range(input: c_int, input_offset: *mut loff_t, output: c_int, output_offset: *mut loff_t, len: size_t, flags: c_uint) -> ssize_t => transfer::copy_file_range;
    Vdprintf          => fn vdprintf(fd: c_int, format: *const c_char, arguments: VaList) -> c_int => communicate::vdprintf;
    UnderVdprintfChk  => fn __vdprintf_chk(fd: c_int, flag: c_int, format: *const c_char, arguments: VaList) -> c_int => communicate::vdprintf_chk;
    Sockatmark        => fn sockatmark(fd: c_int) -> c_int => descriptor::sockatmark;
    AioRead           => fn aio_read(block: *mut aiocb) -> c_int => asynchronous::request;
    AioRead64         => fn aio_read64(block: *mut aiocb) -> c_int => asynchronous::request;
    AioWrite          => fn aio_write(block: *mut aiocb) -> c_int => asynchronous::request;
    AioWrite64        => fn aio_write64(block: *mut aiocb) -> c_int => asynchronous::request;
    LioListio         => fn lio_listio(mode: c_int, blocks: *const *mut aiocb, count: c_int, event: *mut sigevent) -> c_int => asynchronous::list;
    LioListio64       => fn lio_listio64(mode: c_int, blocks: *const *mut aiocb, count: c_int, event: *mut sigevent) -> c_int => asynchronous::list;

//  Disconnect
    Shutdown     libc => fn shutdown(fd: c_int, how: c_int) -> c_int => disconnect::shutdown;
    Close        libc => fn close(fd: c_int) -> c_int => disconnect::close;
    UnderClose        => fn __close(fd: c_int) -> c_int => disconnect::close;
    CloseRange        => fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int => disconnect::close_range;
    Closefrom         => fn closefrom(first: c_int) -> () => disconnect::closefrom;
    Fclose       libc => fn fclose(stream: *mut FILE) -> c_int => disconnect::fclose;
    IoFclose          => fn _IO_fclose(stream: *mut FILE) -> c_int => disconnect::fclose;
    Fcloseall         => fn fcloseall() -> c_int => disconnect::fcloseall;
    Pclose       libc => fn pclose(stream: *mut FILE) -> c_int => disconnect::pclose;
    Freopen      libc => fn freopen(path: *const c_char, mode: *const c_char, stream: *mut FILE) -> *mut FILE => disconnect::freopen;
    Freopen64         => fn freopen64(path: *const c_char, mode: *const c_char, stream: *mut FILE) -> *mut FILE => disconnect::freopen;

//  Control. fcntl, ioctl, prctl and syscall are variadic in C: a definition of fixed arity receives
//  the same registers, as many as the kernel can look at.
    Dup          libc => fn dup(fd: c_int) -> c_int => descriptor::dup;
    Dup2         libc => fn dup2(from: c_int, to: c_int) -> c_int => descriptor::dup2;
    UnderDup2         => fn __dup2(from: c_int, to: c_int) -> c_int => descriptor::dup2;
    Dup3         libc => fn dup3(from: c_int, to: c_int, flags: c_int) -> c_int => descriptor::dup3;
    Fcntl             => fn fcntl(fd: c_int, command: c_int, argument: usize) -> c_int => descriptor::fcntl;
    UnderFcntl        => fn __fcntl(fd: c_int, command: c_int, argument: usize) -> c_int => descriptor::fcntl;
    Fcntl64           => fn fcntl64(fd: c_int, command: c_int, argument: usize) -> c_int => descriptor::fcntl;
    Ioctl             => fn ioctl(fd: c_int, request: c_ulong, argument: usize) -> c_int => descriptor::ioctl;
    Getsockopt   libc => fn getsockopt(fd: c_int, level: c_int, name: c_int, value: *mut c_void, len: *mut socklen_t) -> c_int => descriptor::getsockopt;
    Setsockopt   libc => fn setsockopt(fd: c_int, level: c_int, name: c_int, value: *const c_void, len: socklen_t) -> c_int => descriptor::setsockopt;
    Getsockname  libc => fn getsockname(fd: c_int, address: *mut sockaddr, len: *mut socklen_t) -> c_int => descriptor::getname;
    Getpeername  libc => fn getpeername(fd: c_int, address: *mut sockaddr, len: *mut socklen_t) -> c_int => descriptor::getname;
    Fdopen       libc => fn fdopen(fd: c_int, mode: *const c_char) -> *mut FILE => descriptor::fdopen;
    IoFdopen          => fn _IO_fdopen(fd: c_int, mode: *const c_char) -> *mut FILE => descriptor::fdopen;
    PidfdGetfd        => fn pidfd_getfd(pidfd: c_int, target: c_int, flags: c_uint) -> c_int => descriptor::pidfd_getfd;
    Isfdtype          => fn isfdtype(fd: c_int, kind: c_int) -> c_int => descriptor::isfdtype;

//  Wait
    Poll         libc => fn poll(fds: *mut pollfd, count: nfds_t, timeout: c_int) -> c_int => wait::poll;
    UnderPoll         => fn __poll(fds: *mut pollfd, count: nfds_t, timeout: c_int) -> c_int => wait::poll;
    UnderPollChk      => fn __poll_chk(fds: *mut pollfd, count: nfds_t, timeout: c_int, capacity: size_t) -> c_int => wait::poll_chk;
    Ppoll        libc => fn ppoll(fds: *mut pollfd, count: nfds_t, timeout: *const timespec, mask: *const sigset_t) -> c_int => wait::ppoll;
    UnderPpollChk     => fn __ppoll_chk(fds: *mut pollfd, count: nfds_t, timeout: *const timespec, mask: *const sigset_t, capacity: size_t) -> c_int => wait::ppoll_chk;
    Select       libc => fn select(count: c_int, read: *mut fd_set, write: *mut fd_set, except: *mut fd_set, timeout: *mut timeval) -> c_int => wait::select;
    UnderSelect       => fn __select(count: c_int, read: *mut fd_set, write: *mut fd_set, except: *mut fd_set, timeout: *mut timeval) -> c_int => wait::select;
    Pselect      libc => fn pselect(count: c_int, read: *mut fd_set, write: *mut fd_set, except: *mut fd_set, timeout: *const timespec, mask: *const sigset_t) -> c_int => wait::pselect;
    EpollCreate  libc => fn epoll_create(size: c_int) -> c_int => wait::epoll_create;
    EpollCreate1 libc => fn epoll_create1(flags: c_int) -> c_int => wait::epoll_create;
    EpollCtl     libc => fn epoll_ctl(epoll: c_int, command: c_int, fd: c_int, event: *mut epoll_event) -> c_int => wait::epoll_ctl;
    EpollWait    libc => fn epoll_wait(epoll: c_int, events: *mut epoll_event, most: c_int, timeout: c_int) -> c_int => wait::epoll_wait;
    EpollPwait   libc => fn epoll_pwait(epoll: c_int, events: *mut epoll_event, most: c_int, timeout: c_int, mask: *const sigset_t) -> c_int => wait::epoll_pwait;
    EpollPwait2       => fn epoll_pwait2(epoll: c_int, events: *mut epoll_event, most: c_int, timeout: *const timespec, mask: *const sigset_t) -> c_int => wait::epoll_pwait2;

//  Resolve
    Getaddrinfo  libc => fn getaddrinfo(node: *const c_char, service: *const c_char, hints: *const addrinfo, answer: *mut *mut addrinfo) -> c_int => resolve::getaddrinfo;
    GetaddrinfoA      => fn getaddrinfo_a(mode: c_int, list: *mut *mut gaicb, count: c_int, event: *mut sigevent) -> c_int => resolve::getaddrinfo_a;
    Getnameinfo  libc => fn getnameinfo(address: *const sockaddr, len: socklen_t, host: *mut c_char, host_len: socklen_t, service: *mut c_char, service_len: socklen_t, flags: c_int) -> c_int => resolve::getnameinfo;
    Gethostbyname     => fn gethostbyname(name: *const c_char) -> *mut hostent => resolve::gethostbyname;
    GethostbynameR    => fn gethostbyname_r(name: *const c_char, entry: *mut hostent, buffer: *mut c_char, len: size_t, result: *mut *mut hostent, error: *mut c_int) -> c_int => resolve::gethostbyname_r;
    Gethostbyname2    => fn gethostbyname2(name: *const c_char, family: c_int) -> *mut hostent => resolve::gethostbyname2;
    Gethostbyname2R   => fn gethostbyname2_r(name: *const c_char, family: c_int, entry: *mut hostent, buffer: *mut c_char, len: size_t, result: *mut *mut hostent, error: *mut c_int) -> c_int => resolve::gethostbyname2_r;
    Gethostbyaddr     => fn gethostbyaddr(address: *const c_void, len: socklen_t, family: c_int) -> *mut hostent => resolve::gethostbyaddr;
    GethostbyaddrR    => fn gethostbyaddr_r(address: *const c_void, len: socklen_t, family: c_int, entry: *mut hostent, buffer: *mut c_char, buffer_len: size_t, result: *mut *mut hostent, error: *mut c_int) -> c_int => resolve::gethostbyaddr_r;
    ResQuery          => fn res_query(name: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar, len: c_int) -> c_int => resolver::res_query;
    ResSearch         => fn res_search(name: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar, len: c_int) -> c_int => resolver::res_query;
    ResNquery         => fn res_nquery(state: *mut c_void, name: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar, len: c_int) -> c_int => resolver::res_nquery;
    ResNsearch        => fn res_nsearch(state: *mut c_void, name: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar, len: c_int) -> c_int => resolver::res_nquery;
    ResSend           => fn res_send(message: *const c_uchar, len: c_int, answer: *mut c_uchar, answer_len: c_int) -> c_int => resolver::res_send;
    ResNsend          => fn res_nsend(state: *mut c_void, message: *const c_uchar, len: c_int, answer: *mut c_uchar, answer_len: c_int) -> c_int => resolver::res_nsend;
    ResQuerydomain    => fn res_querydomain(name: *const c_char, domain: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar, len: c_int) -> c_int => resolver::res_querydomain;
    ResNquerydomain   => fn res_nquerydomain(state: *mut c_void, name: *const c_char, domain: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar, len: c_int) -> c_int => resolver::res_nquerydomain;
    Getifaddrs   libc => fn getifaddrs(list: *mut *mut ifaddrs) -> c_int => resolve::getifaddrs;

//  Process
    Fork         libc => fn fork() -> pid_t => process::fork;
    UnderFork         => fn __fork() -> pid_t => process::fork;
    CapitalFork       => fn _Fork() -> pid_t => process::fork;
    Daemon       libc => fn daemon(nochdir: c_int, noclose: c_int) -> c_int => process::daemon;
    Forkpty           => fn forkpty(master: *mut c_int, name: *mut c_char, terminal: *const c_void, window: *const c_void) -> pid_t => process::forkpty;
    Execve       libc => fn execve(path: *const c_char, argv: *const *const c_char, envp: *const *const c_char) -> c_int => execute::execve, else execute::unrecorded::execve;
    Execv        libc => fn execv(path: *const c_char, argv: *const *const c_char) -> c_int => execute::execv, else execute::unrecorded::execv;
    Execvp       libc => fn execvp(path: *const c_char, argv: *const *const c_char) -> c_int => execute::execvp, else execute::unrecorded::execvp;
    Execvpe      libc => fn execvpe(path: *const c_char, argv: *const *const c_char, envp: *const *const c_char) -> c_int => execute::execve, else execute::unrecorded::execve;
    Execveat          => fn execveat(at: c_int, path: *const c_char, argv: *const *const c_char, envp: *const *const c_char, flags: c_int) -> c_int => execute::execveat, else execute::unrecorded::execveat;
    Fexecve      libc => fn fexecve(fd: c_int, argv: *const *const c_char, envp: *const *const c_char) -> c_int => execute::fexecve, else execute::unrecorded::fexecve;
    PosixSpawn        => fn posix_spawn(pid: *mut pid_t, path: *const c_char, actions: *const c_void, attributes: *const c_void, argv: *const *const c_char, envp: *const *const c_char) -> c_int => execute::spawn, else execute::unrecorded::spawn;
    PosixSpawnp       => fn posix_spawnp(pid: *mut pid_t, path: *const c_char, actions: *const c_void, attributes: *const c_void, argv: *const *const c_char, envp: *const *const c_char) -> c_int => execute::spawn, else execute::unrecorded::spawn;
    Popen        libc => fn popen(command: *const c_char, mode: *const c_char) -> *mut FILE => execute::popen;
    IoPopen           => fn _IO_popen(command: *const c_char, mode: *const c_char) -> *mut FILE => execute::popen;
    System       libc => fn system(command: *const c_char) -> c_int => execute::system;
    UnderExit    libc => fn _exit(status: c_int) -> ! => process::exit;
    CapitalExit       => fn _Exit(status: c_int) -> ! => process::exit;
    QuickExit         => fn quick_exit(status: c_int) -> ! => process::exit;
    Prctl             => fn prctl(option: c_int, a: c_ulong, b: c_ulong, c: c_ulong, d: c_ulong) -> c_int => process::prctl;
    Syscall           => fn syscall(number: c_long, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> c_long => raw::syscall;
}

#[cfg(test)]
mod tests {
    use super::{ROWS, SLOTS};
    use crate::abi::naked;
    use sockshim_format::op::Op;

    #[test]
    fn each_slot_is_of_the_name_in_its_row() {
        let slots = [SLOTS, naked::SLOTS, crate::abi::openers::SLOTS, crate::hooks::execute::SLOTS].concat();
        assert!(slots.len() > ROWS.len());
        for slot in slots {
            assert!(slot.is_of_its_row(), "{:?}", slot.name());
        }
    }

    #[test]
    fn every_operation_has_one_row() {
        let mut rows: Vec<Op> = ROWS.iter().chain(naked::ROWS).copied().collect();
        rows.sort();
        assert_eq!(rows, Op::ALL);
    }
}
