//! Where connections are kept, by number, and given back when nobody asks for them any more.

use super::connection::{ConnId, Connection};

/// Connections whose places are kept together: of what was forgotten nothing is left but a word for so many.
const PAGE: usize = 256;

type Page = [Option<Box<Connection>>; PAGE];

/// Connections by number, in order of first sight.
#[derive(Default)]
pub(super) struct Store {
    pages: Vec<Option<Box<(usize, Page)>>>,
    /// How many there have been.
    next: ConnId,
    there: usize,
    /// The most that were there at a time.
    most: usize,
}

impl Store {
    /// The number of the next one.
    pub fn next(&self) -> ConnId {
        self.next
    }

    /// The most that were kept at a time.
    pub fn most(&self) -> usize {
        self.most
    }

    pub fn push(&mut self, connection: Connection) {
        let (page, at) = (self.next / PAGE, self.next % PAGE);
        if page >= self.pages.len() {
            self.pages.push(None);
        }
        if let Some(page) = self.pages.get_mut(page) {
            let (used, places) = &mut **page.get_or_insert_with(|| Box::new((0, [const { None }; PAGE])));
            if let Some(place) = places.get_mut(at) {
                *place = Some(Box::new(connection));
                *used += 1;
            }
        }
        self.next += 1;
        self.there += 1;
        self.most = self.most.max(self.there);
    }

    #[inline]
    pub fn get(&self, id: ConnId) -> Option<&Connection> {
        self.pages.get(id / PAGE)?.as_ref()?.1.get(id % PAGE)?.as_deref()
    }

    /// To change it. What has finished does not change, whether it was forgotten or not: so the answer is the same.
    #[inline]
    pub fn get_mut(&mut self, id: ConnId) -> Option<&mut Connection> {
        let place = self.pages.get_mut(id / PAGE)?.as_mut()?.1.get_mut(id % PAGE)?;
        place.as_deref_mut().filter(|connection| !connection.finished)
    }

    pub fn remove(&mut self, id: ConnId) {
        let Some(page) = self.pages.get_mut(id / PAGE) else { return };
        let Some((used, places)) = page.as_deref_mut() else { return };
        if places.get_mut(id % PAGE).and_then(Option::take).is_some() {
            *used -= 1;
            self.there -= 1;
        }
        if *used == 0 && id / PAGE != self.next / PAGE {
            *page = None;
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Connection> {
        self.pages.iter().flatten().flat_map(|page| page.1.iter().flatten()).map(Box::as_ref)
    }
}
