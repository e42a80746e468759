//! Which record belongs to which system call of a thread.

use std::collections::{HashMap, HashSet, VecDeque};

use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::compare::Candidate;
use super::records::Record;

/// What the two sides of one call have in common.
type Key = (&'static str, i32, Option<(i64, u16)>);

/// Pairs of a candidate and a record, by their places, and what is left of either.
#[derive(Default)]
pub struct Aligned {
    /// A candidate, a record.
    pub pairs: Vec<(usize, usize)>,
    /// Candidates that are left.
    pub calls: Vec<usize>,
    /// Records that are left.
    pub records: Vec<usize>,
}

/// Finds for each call its record: in order first; then, for calls of signal handlers, which may
/// stand on either side of the call that they interrupted, in any order; then what is the same call
/// with another result. What has to be recorded chooses first, before a file that had the same number.
pub fn align(candidates: &[Candidate<'_>], records: &[&Record]) -> Aligned {
    let kernel: Vec<Key> = candidates.iter().map(|c| (c.class, c.fd, c.ret)).collect();
    let trace: Vec<Key> = records.iter().map(|r| (r.class, r.fd, r.ret)).collect();
    let (must, may): (Vec<usize>, Vec<usize>) = (0..kernel.len()).partition(|at| candidates[*at].must);
    let mut aligned = Aligned { records: (0..trace.len()).collect(), ..Aligned::default() };
    let exactly = |key: &Key| *key;
    let roughly = |(class, fd, _): &Key| (*class, *fd, None);
    let must = aligned.in_order(&kernel, &trace, must);
    let must = aligned.anywhere(&kernel, &trace, must, exactly);
    let may = aligned.in_order(&kernel, &trace, may);
    let must = aligned.anywhere(&kernel, &trace, must, roughly);
    aligned.calls = aligned.anywhere(&kernel, &trace, may, exactly);
    aligned.calls.extend(must);
    aligned
}

impl Aligned {
    /// Pairs what is equal and in the same order. The calls that are left.
    fn in_order(&mut self, kernel: &[Key], trace: &[Key], calls: Vec<usize>) -> Vec<usize> {
        let keys = |of: &[Key], places: &[usize]| places.iter().map(|at| of[*at]).collect::<Vec<_>>();
        let ops = capture_diff_slices(Algorithm::Myers, &keys(kernel, &calls), &keys(trace, &self.records));
        let (mut left_calls, mut left_records) = (Vec::new(), Vec::new());
        for op in ops {
            let (old, new) = (op.old_range(), op.new_range());
            if matches!(op, DiffOp::Equal { .. }) {
                self.pairs.extend(old.zip(new).map(|(call, record)| (calls[call], self.records[record])));
            } else {
                left_calls.extend(&calls[old]);
                left_records.extend(&self.records[new]);
            }
        }
        self.records = left_records;
        left_calls
    }

    /// Pairs what is alike, wherever it stands. The calls that are left.
    fn anywhere(&mut self, kernel: &[Key], trace: &[Key], calls: Vec<usize>, like: fn(&Key) -> Key) -> Vec<usize> {
        let mut by_key: HashMap<Key, VecDeque<usize>> = HashMap::new();
        self.records.iter().for_each(|at| by_key.entry(like(&trace[*at])).or_default().push_back(*at));
        let (mut left, mut used) = (Vec::new(), HashSet::new());
        for call in calls {
            match by_key.get_mut(&like(&kernel[call])).and_then(VecDeque::pop_front) {
                Some(record) => {
                    self.pairs.push((call, record));
                    used.insert(record);
                }
                None => left.push(call),
            }
        }
        self.records.retain(|record| !used.contains(record));
        left
    }
}
