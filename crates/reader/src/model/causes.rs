//! Why bytes passed around us, as far as it can be known.

use super::connection::Connection;
use super::{HashSet, Launch, Model};

/// A reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause<'a> {
    /// A stream was opened on the socket: `fread`, `fprintf` and so on call libc's own `read` and `write`.
    Stdio,
    /// The requests of POSIX asynchronous I/O pass in threads of libc's.
    Asynchronous,
    /// A process that used it has an io_uring.
    IoUring,
    /// A program that we are not in was given it.
    NotFollowed(&'a Launch),
    /// It is a standard stream of a process, which `printf` and so on use.
    StandardStream,
    /// System calls that are not made through libc.
    OwnSystemCalls,
}

impl Model {
    /// Why bytes passed around us on a connection, where some did: each reason that it may have.
    pub fn causes(&self, connection: &Connection) -> Vec<Cause<'_>> {
        let holders = || connection.holders.iter().filter_map(|holder| self.processes.get(&holder.process));
        let known = |rings: &HashSet<u32>| connection.holders.iter().any(|holder| rings.contains(&holder.process));
        let known_ring = || self.known_rings.as_ref().is_some_and(known);
        let given = self.launches.iter().find(|launch| launch.inherits.contains(&connection.id));
        let causes = [
            connection.stdio.then_some(Cause::Stdio),
            connection.asynchronous.then_some(Cause::Asynchronous),
            (holders().any(|process| process.io_uring) || known_ring()).then_some(Cause::IoUring),
            given.map(Cause::NotFollowed),
            connection.standard_stream.then_some(Cause::StandardStream),
        ];
        let causes: Vec<Cause<'_>> = causes.into_iter().flatten().collect();
        if causes.is_empty() { vec![Cause::OwnSystemCalls] } else { causes }
    }

    /// Takes note that a process was seen to have an io_uring.
    pub fn has_io_uring(&mut self, process: u32) {
        if let Some(process) = self.processes.get_mut(&process) {
            process.io_uring = true;
        }
    }
}
