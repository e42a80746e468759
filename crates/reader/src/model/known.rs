//! What the descriptors of the last calls were found to name: nearly every call is about one of the same few.

use super::connection::ConnId;
use crate::event::CallInfo;

/// Descriptors that are remembered, by the lower bits of their numbers.
const PLACES: usize = 64;

/// A descriptor of a process, and the socket that a call under it was about.
type Name = (u32, i32, u64);

/// Connections by what names them, as long as no descriptor is taken from anything and no connection finishes.
pub(super) struct Known {
    places: Box<[Option<(Name, ConnId)>; PLACES]>,
    any: bool,
}

impl Default for Known {
    fn default() -> Known {
        Known { places: Box::new([None; PLACES]), any: false }
    }
}

impl Known {
    /// The connection that the call is about, if its descriptor is known to name it, and to be used.
    #[inline]
    pub fn get(&self, info: &CallInfo) -> Option<ConnId> {
        let (name, place) = name(info);
        self.places.get(place)?.filter(|(known, _)| *known == name).map(|(_, id)| id)
    }

    pub fn put(&mut self, info: &CallInfo, id: ConnId) {
        let (name, place) = name(info);
        if let Some(place) = self.places.get_mut(place) {
            (*place, self.any) = (Some((name, id)), true);
        }
    }

    pub fn forget(&mut self) {
        if std::mem::take(&mut self.any) {
            self.places.fill(None);
        }
    }
}

#[inline]
fn name(info: &CallInfo) -> (Name, usize) {
    let fd = info.call.fd;
    ((info.process, fd, info.call.socket), fd as usize % PLACES)
}
