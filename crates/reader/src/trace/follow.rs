//! A trace that is read while it is being written.

use super::part::Part;
use super::{Tail, Trace};
use crate::error::Error;
use crate::region::RegionFile;

impl Trace {
    /// Takes note of what has been written since `next_pass` gave `None`, also where the run goes on in another
    /// file: then `next_pass` may give more. False once nothing more will come, because the run is over or its tool
    /// is gone.
    pub fn grow(&mut self) -> Result<bool, Error> {
        let read = self.at >= self.parts.len() && self.tail == Tail::Continued;
        let more = read && self.go_on();
        // Asked before the file is looked at: what was written until then is read.
        let drained = self.is_drained();
        let Some(last) = self.parts.last_mut().filter(|_| self.region.is_none()) else { return Ok(false) };
        let over = matches!(self.tail, Tail::Ended(_));
        last.blocks.grow()?;
        self.at = self.at.min(self.parts.len().saturating_sub(1));
        self.goes_on = drained && !over;
        Ok(self.goes_on || more)
    }

    /// Opens the files behind the last one, as far as they are there. They tell again what the ones before have told,
    /// which is passed over.
    fn go_on(&mut self) -> bool {
        let Some(last) = self.parts.last() else { return false };
        let (path, number, id) = (last.blocks.path().to_owned(), last.number(), last.header.id);
        // A flight recorder's newest file has the name that this one had.
        let next = match last.blocks.next_file() {
            None | Some("") => path,
            Some(name) => path.with_file_name(name),
        };
        let Ok(Some(part)) = Part::open(&next) else { return false };
        let newer = part.with_earlier(&next).into_iter().filter(|part| part.header.id == id && part.number() > number);
        let newer: Vec<Part> = newer.collect();
        if newer.is_empty() {
            return false;
        }
        // The ones before have been read to their end, and hold files open.
        self.parts = newer;
        (self.at, self.tail) = (0, Tail::Open);
        true
    }

    fn is_drained(&self) -> bool {
        let is_file = |path: &&str| std::fs::metadata(path).is_ok_and(|meta| meta.is_file());
        let path = self.meta("region").filter(is_file);
        path.is_some_and(|path| RegionFile::drained_now(path.as_ref(), self.id).is_some())
    }
}
