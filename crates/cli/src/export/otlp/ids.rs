//! The ids of traces and spans: made of the run's own id and the number of the connection, so that whoever exports the
//! same trace again gets the same spans again, and no others.

use std::fmt;

use sockshim_reader::model::ConnId;

use super::super::About;

/// Where a span is: its trace, and its own id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The trace.
    pub trace: u128,
    /// The span.
    pub span: u64,
}

/// Makes the ids of a run.
#[derive(Default)]
pub struct Ids {
    run: [u64; 2],
    part: u64,
}

impl Ids {
    /// Of this run, and this file of it.
    pub fn of(about: &About<'_>) -> Ids {
        Ids { run: about.id, part: about.part }
    }

    /// The span of a connection, which is the root of a trace of its own.
    pub fn root(&self, conn: ConnId) -> Place {
        // Who keeps one trace of a hundred looks at the lower bits, so all of them have to be like chance.
        let number = mix(mix(self.part) ^ conn as u64);
        let halves = self.run.map(|half| mix(half ^ number));
        let trace = u128::from(halves[0]) << 64 | u128::from(halves[1]);
        Place { trace: trace.max(1), span: span_of(trace, 0) }
    }
}

impl Place {
    /// A span in the same trace.
    pub fn child(self, number: u64) -> Place {
        Place { span: span_of(self.trace, number), ..self }
    }
}

/// As hexadecimal digits: OTLP/JSON has ids so, and no base64.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"traceId\":\"{:032x}\",\"spanId\":\"{:016x}\"", self.trace, self.span)
    }
}

fn span_of(trace: u128, number: u64) -> u64 {
    // An id of zeros is none.
    mix((trace >> 64) as u64 ^ mix(trace as u64 ^ number)).max(1)
}

/// Spreads a number over all bits, no two to the same (SplitMix64, Steele and others 2014).
fn mix(number: u64) -> u64 {
    let mut bits = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_are_all_different_and_always_the_same() {
        let make = |id: [u64; 2], part: u64| -> Vec<Place> {
            let ids = Ids { run: id, part };
            (0..500).map(|conn| ids.root(conn)).flat_map(|root| (0..6).map(move |phase| root.child(phase))).collect()
        };
        let runs = [([1, 2], 1), ([1, 2], 2), ([2, 1], 1), ([0, 0], 1)];
        let all: Vec<Place> = runs.iter().flat_map(|(id, part)| make(*id, *part)).collect();
        assert_eq!(all.iter().map(|place| place.span).collect::<HashSet<_>>().len(), 4 * 500 * 6);
        assert_eq!(all.iter().map(|place| place.trace).collect::<HashSet<_>>().len(), 4 * 500);
        assert_eq!(make([1, 2], 1), all[..3000]);
        assert_eq!(Ids { run: [1, 2], part: 1 }.root(0), all[0]);
    }

    #[test]
    fn an_id_is_written_with_all_its_digits() {
        let place = Place { trace: 0xab << 64 | 1, span: 2 };
        let text = place.to_string();
        assert_eq!(text, "\"traceId\":\"00000000000000ab0000000000000001\",\"spanId\":\"0000000000000002\"");
    }
}
