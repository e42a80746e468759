//! What the descriptors of the last calls were found to name: nearly every call is about one of the same few.

use super::connection::ConnId;
use crate::event::CallInfo;

/// Descriptors that are remembered, by the lower bits of their numbers.
const PLACES: usize = 1024;

/// A descriptor of a process, and the socket that a call under it was about.
type Name = (u32, i32, u64);

/// Connections by what names them, as long as no descriptor is taken from anything and no connection finishes.
pub(super) struct Known {
    /// What was put there before the last `forget` has another number in front.
    places: Box<[(u64, Name, ConnId)]>,
    now: u64,
}

impl Default for Known {
    fn default() -> Known {
        let empty = (0, Name::default(), ConnId::default());
        Known { places: vec![empty; PLACES].into_boxed_slice(), now: 1 }
    }
}

impl Known {
    /// The connection that the call is about, if its descriptor is known to name it, and to be used.
    #[inline]
    pub fn get(&self, info: &CallInfo) -> Option<ConnId> {
        let (name, place) = name(info);
        self.places.get(place).filter(|(put, known, _)| (*put, *known) == (self.now, name)).map(|(_, _, id)| *id)
    }

    pub fn put(&mut self, info: &CallInfo, id: ConnId) {
        let (name, place) = name(info);
        if let Some(place) = self.places.get_mut(place) {
            *place = (self.now, name, id);
        }
    }

    pub fn forget(&mut self) {
        self.now += 1;
    }
}

#[inline]
fn name(info: &CallInfo) -> (Name, usize) {
    let fd = info.call.fd;
    ((info.process, fd, info.call.socket), fd as usize % PLACES)
}
