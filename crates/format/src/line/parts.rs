//! What belongs to a call besides its own record.

use crate::address::Address;
use crate::record::*;

/// What belongs to a call besides its own record: the bodies of its extensions.
#[derive(Clone, Copy, Default)]
pub struct Parts<'a> {
    /// The address that the program passed.
    pub given: Option<Address<'a>>,
    /// The address that the call returned.
    pub returned: Option<Address<'a>>,
    /// The socket's own address.
    pub local: Option<Address<'a>>,
    /// The peer's address, asked by the shim.
    pub peer: Option<Address<'a>>,
    /// The first answers of name resolution.
    pub resolved: [Option<Address<'a>>; 4],
    /// Payload, the first part of it.
    pub payload: Option<&'a [u8]>,
    /// The name that was resolved.
    pub name: Option<&'a [u8]>,
    /// The service that was resolved.
    pub service: Option<&'a [u8]>,
    /// The program or command.
    pub path: Option<&'a [u8]>,
    /// [`Fd`]s made.
    pub made: Option<&'a [u8]>,
    /// [`Fd`]s closed.
    pub closed: Option<&'a [u8]>,
    /// [`Fd`]s passed to another process.
    pub passed: Option<&'a [u8]>,
    /// [`Ready`]s.
    pub ready: Option<&'a [u8]>,
    /// What a plan did to the call: [`crate::plan::What`] numbers, added up.
    pub injected: u32,
    /// The value of a socket option.
    pub option: Option<&'a [u8]>,
}

impl<'a> Parts<'a> {
    /// Takes in one extension. Of several alike the first is kept.
    pub fn add(&mut self, kind: u8, head: &Extension, body: &'a [u8]) {
        let body = &body[..body.len().min(head.len as usize)];
        if kind == KIND_INJECTED {
            self.injected |= Injected::read(body).map_or(0, |injected| injected.what);
            return;
        }
        let place = match (kind, head.role) {
            (KIND_ADDRESS, ROLE_RESOLVED) => {
                if let Some(free) = self.resolved.iter_mut().find(|slot| slot.is_none()) {
                    *free = Some(Address(body));
                }
                return;
            }
            (KIND_ADDRESS, role) => {
                let place = match role {
                    ROLE_GIVEN => &mut self.given,
                    ROLE_RETURNED => &mut self.returned,
                    ROLE_LOCAL => &mut self.local,
                    ROLE_PEER => &mut self.peer,
                    _ => return,
                };
                place.get_or_insert(Address(body));
                return;
            }
            (KIND_PAYLOAD, _) => &mut self.payload,
            (KIND_TEXT, ROLE_NAME) => &mut self.name,
            (KIND_TEXT, ROLE_SERVICE) => &mut self.service,
            (KIND_TEXT, ROLE_PATH) => &mut self.path,
            (KIND_FDS, ROLE_MADE) => &mut self.made,
            (KIND_FDS, ROLE_CLOSED) => &mut self.closed,
            (KIND_FDS, ROLE_PASSED) => &mut self.passed,
            (KIND_READY, _) => &mut self.ready,
            (KIND_OPTION, _) => &mut self.option,
            _ => return,
        };
        place.get_or_insert(body);
    }

    /// The descriptors in one of the lists.
    pub fn fds(list: Option<&'a [u8]>) -> impl Iterator<Item = Fd> + 'a {
        list.unwrap_or(&[]).chunks_exact(Fd::SIZE).filter_map(Fd::read)
    }

    /// What the wait ended with.
    pub fn ready(&self) -> impl Iterator<Item = Ready> + 'a {
        self.ready.unwrap_or(&[]).chunks_exact(Ready::SIZE).filter_map(Ready::read)
    }
}
