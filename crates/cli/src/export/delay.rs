//! Puts off what is told too early: an event stands where its call began, and what it means may happen when the
//! call ends, or when the connection does.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// Things with their time. Of one time they come as they were pushed.
pub struct Delay<T> {
    heap: BinaryHeap<Reverse<Entry<T>>>,
    pushed: u64,
}

struct Entry<T> {
    time_ns: u64,
    number: u64,
    thing: T,
}

impl<T> Delay<T> {
    /// Puts a thing off until its time.
    pub fn push(&mut self, time_ns: u64, thing: T) {
        self.heap.push(Reverse(Entry { time_ns, number: self.pushed, thing }));
        self.pushed += 1;
    }

    /// The next thing that is due before `time_ns`.
    pub fn pop_before(&mut self, time_ns: u64) -> Option<(u64, T)> {
        self.heap.peek().filter(|Reverse(entry)| entry.time_ns < time_ns)?;
        self.pop()
    }

    /// The next thing.
    pub fn pop(&mut self) -> Option<(u64, T)> {
        self.heap.pop().map(|Reverse(entry)| (entry.time_ns, entry.thing))
    }
}

impl<T> Default for Delay<T> {
    fn default() -> Delay<T> {
        Delay { heap: BinaryHeap::new(), pushed: 0 }
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Entry<T>) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Entry<T>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Entry<T>) -> Ordering {
        (self.time_ns, self.number).cmp(&(other.time_ns, other.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_come_in_time_and_as_they_were_pushed() {
        let mut delay = Delay::default();
        for (time_ns, thing) in [(5, 'd'), (2, 'b'), (5, 'e'), (1, 'a'), (2, 'c')] {
            delay.push(time_ns, thing);
        }
        let mut told = Vec::new();
        told.extend(std::iter::from_fn(|| delay.pop_before(5)));
        assert_eq!(told, [(1, 'a'), (2, 'b'), (2, 'c')]);
        assert_eq!((delay.pop(), delay.pop(), delay.pop()), (Some((5, 'd')), Some((5, 'e')), None));
    }
}
